//! What the parts of the core take, in time: the codec, topic matching, a queue, the log, recovery.
//!
//! `cargo bench -p warren-costs`; a part of it with `-- topic`.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use warren_core::amqp::{
    Decoder, ExchangeDeclare, FieldTable, FieldValue, QueueBind, QueueDeclare,
};
use warren_costs::{Course, Disk, Files, Rig, frames, recover};

/// Messages that go through in one step.
const MESSAGES: u64 = 1000;

const SIZES: [(&str, usize); 2] = [("16B", 16), ("1KiB", 1024)];

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(MESSAGES));
    for (name, size) in SIZES {
        let bytes =
            Bytes::from(frames::message("", "costs", size, false).repeat(MESSAGES as usize));
        group.bench_function(name, |bencher| {
            let mut decoder = Decoder::past_header();
            bencher.iter(|| {
                decoder.feed(bytes.clone());
                while let Some(frame) = decoder.poll().expect("frames") {
                    black_box(frame);
                }
            });
        });
    }
}

/// Publishing to an exchange with so many bindings, of which each key matches a few. Every message
/// goes to another key than the one before, so that no route is remembered.
fn topic(criterion: &mut Criterion) {
    const BINDINGS: usize = 100_000;
    let mut rig = Rig::without_queue(Disk::sink());
    let exchange =
        ExchangeDeclare { exchange: "topics".into(), kind: "topic".into(), ..Default::default() };
    rig.publisher_says([exchange]);
    // One message at the most is kept, and what is measured is the way to it.
    let limit = ("x-max-length".into(), FieldValue::I64(1));
    let arguments = FieldTable::new(vec![limit]);
    rig.publisher_says([QueueDeclare { queue: "q".into(), arguments, ..Default::default() }]);
    rig.publisher_says((0..BINDINGS).map(|n| QueueBind {
        queue: "q".into(),
        exchange: "topics".into(),
        routing_key: key(n).as_str().into(),
        ..Default::default()
    }));
    let keys: Vec<String> = (0..100).map(|n| format!("region{}.kind{n}.host{n}", n % 10)).collect();
    let names: Vec<(&str, &str)> = keys.iter().map(|key| ("topics", key.as_str())).collect();
    rig.publish_from_now_on(&names, 16, false);
    let mut group = criterion.benchmark_group("topic");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("100000 bindings", |bencher| bencher.iter(|| rig.run(MESSAGES)));
}

/// Binding keys of three words, some with wildcards.
fn key(n: usize) -> String {
    let region = n % 10;
    match n % 100 {
        0 => format!("region{region}.*.host{n}"),
        1 => format!("#.kind{n}.host{n}"),
        _ => format!("region{region}.kind{}.host{n}", n % 1000),
    }
}

/// A message from the publisher's bytes to the consumer's.
fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(MESSAGES));
    for course in Course::ALL {
        for (name, size) in SIZES {
            let mut rig = Rig::new(course, size);
            group.bench_function(format!("{} {name}", course.name()), |bencher| {
                bencher.iter(|| rig.run(MESSAGES));
            });
        }
    }
}

/// A broker with a durable queue that keeps so many messages at the most.
fn keeping(disk: Disk, messages: i64, size: usize) -> Rig {
    let mut rig = Rig::without_queue(disk);
    let limit = ("x-max-length".into(), FieldValue::I64(messages));
    let arguments = FieldTable::new(vec![limit]);
    let declare =
        QueueDeclare { queue: "q".into(), durable: true, arguments, ..Default::default() };
    rig.publisher_says([declare]);
    rig.publish_from_now_on(&[("", "q")], size, true);
    rig
}

/// A message into the log, and out of it again for the next.
fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log append");
    group.throughput(Throughput::Elements(MESSAGES));
    for (name, size) in SIZES {
        let mut rig = keeping(Disk::sink(), 1, size);
        group.bench_function(name, |bencher| bencher.iter(|| rig.run(MESSAGES)));
    }
}

/// A start after a kill, with a queue of messages in the log.
fn recovery(criterion: &mut Criterion) {
    const KEPT: u64 = 20_000;
    let mut rig = keeping(Disk::of(Files::new()), KEPT as i64, 1024);
    rig.run(KEPT);
    let files = rig.kill();
    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(KEPT));
    group.bench_function("messages of 1KiB", |bencher| {
        let disk = || Disk::of(files.clone());
        bencher.iter_batched(disk, |mut disk| (recover(&mut disk), disk), BatchSize::LargeInput);
    });
}

criterion_group! {
    name = parts;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = codec, topic, queue, log, recovery
}
criterion_main!(parts);
