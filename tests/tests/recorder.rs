//! The flight recorder, from end to end: real clients, a recording of what their broker did, and
//! the simulator that has the core do it again.

use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error,
    ExchangeKind,
};
use rustix::process::Signal;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use warren_tests::broker::{Broker, simulator};
use warren_tests::client::Address;
use warren_tests::planted::Planted;
use warren_tests::setup::Setup;

/// For something that must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How `Ready` puts back what was requeued: in its place, and how many brokers do it: at the tail.
const IN_ITS_PLACE: &str = "\
        debug_assert!(self.fresh.front().is_none_or(|first| entry.position < first.position));
        self.cached += entry.cached_size();
        self.weight.come_back(entry.size.bytes());
        self.returned.insert(entry.position, entry);
";
const AT_THE_TAIL: &str = "\
        self.cached += entry.cached_size();
        self.weight.come_back(entry.size.bytes());
        self.fresh.push_back(entry);
";

#[test]
fn what_was_recorded_is_what_the_core_does_again_and_every_checker_agrees() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut broker = recorded(&Setup::new(), dir.path());
    on_a_runtime(work_of_all_kinds(&broker.address())).expect("the work is done");
    assert!(broker.end_by(Signal::TERM).success());

    let replayed = simulate(simulator(), &["replay", text(dir.path())]);
    let said = said_of(&replayed);
    assert!(replayed.status.success(), "{said}");
    assert!(said.contains("checkers    looked on"), "{said}");
    assert!(said.contains("its end     the broker was told to stop"), "{said}");

    let plan = dir.path().join("work.plan");
    let made = simulate(simulator(), &["replay", text(dir.path()), "--plan", text(&plan)]);
    assert!(made.status.success(), "{}", said_of(&made));
    let played = simulate(simulator(), &["replay", text(&plan)]);
    assert!(played.status.success(), "{}", said_of(&played));
}

#[test]
fn a_broker_that_was_killed_and_started_again_leaves_two_recordings_that_replay() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("another"));
    let setup = Setup::new().in_dir(&data.path().join("data"));
    for start in 1..=2 {
        let mut broker = recorded(&setup, dir.path());
        let seen = on_a_runtime(requeue(&broker.address())).expect("the work is done");
        assert!(seen.is_sorted(), "{seen:?}");
        // What was recorded is written with what comes next, and something comes each second.
        std::thread::sleep(Duration::from_millis(1200));
        broker.end_by(Signal::KILL);
        let replayed = simulate(simulator(), &["replay", text(dir.path())]);
        let said = said_of(&replayed);
        assert!(replayed.status.success(), "start {start}: {said}");
        assert!(said.contains("without a word") || said.contains("within a block"), "{said}");
        assert_eq!(said.contains("looked on"), start == 1, "{said}");
    }
}

#[test]
fn a_defect_that_clients_tripped_over_is_found_again_in_the_recording_and_shrunk() {
    let file = "core/src/broker/ready.rs";
    let planted = Planted::build("requeue", file, IN_ITS_PLACE, AT_THE_TAIL);
    let dir = TempDir::new().expect("a temporary directory");
    let mut broker = recorded(&Setup::new().program(&planted.program("warren")), dir.path());
    let seen = on_a_runtime(requeue(&broker.address())).expect("the work is done");
    assert!(!seen.is_sorted(), "the clients saw nothing of the defect: {seen:?}");
    assert!(broker.end_by(Signal::TERM).success());

    let simulator = planted.program("warren-sim");
    let plan = dir.path().join("run.plan");
    let arguments = ["replay", text(dir.path()), "--plan", text(&plan)];
    assert_finds_order(&simulate(&simulator, &arguments));
    assert_finds_order(&simulate(&simulator, &["replay", text(&plan)]));
    let shrunk = simulate(&simulator, &["shrink", text(&plan), "--shrink-time", "60s"]);
    let said = said_of(&shrunk);
    assert!(shrunk.status.success() && said.contains("checker     order"), "{said}");
    let (_, behind) = said.split_once("run-shrunk.plan (").expect("a plan that was shrunk");
    let steps: usize = behind.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(steps <= 10, "{said}");

    // The sound core does not do what was recorded.
    let sound = simulate(warren_tests::broker::simulator(), &["replay", text(dir.path())]);
    assert!(!sound.status.success() && said_of(&sound).contains("divergence"), "{sound:?}");
}

/// A broker that is recorded to this directory.
fn recorded(setup: &Setup, dir: &Path) -> Broker {
    setup.clone().flag("--record", text(dir)).start()
}

fn assert_finds_order(output: &Output) {
    let said = said_of(output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("checker     order"), "{said}");
}

fn simulate(simulator: &Path, arguments: &[&str]) -> Output {
    Command::new(simulator).args(arguments).output().expect("the simulator starts")
}

fn said_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// Publishes messages, confirmed each, and consumes them one by one; every third is requeued once.
/// Gives what was acknowledged, in order.
async fn requeue(address: &Address) -> Result<Vec<u32>, Error> {
    let connection = connect(address).await?;
    let channel = connection.create_channel().await?;
    declare(&channel, "orders").await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for n in 0..12_u32 {
        let body = format!("order number {n}");
        let confirmed = send(&channel, "", "orders", body.as_bytes()).await?;
        assert!(matches!(confirmed, Confirmation::Ack(None)), "{confirmed:?}");
    }
    let consuming = connect(address).await?.create_channel().await?;
    consuming.basic_qos(1, BasicQosOptions::default()).await?;
    let mut consumer = consume(&consuming, "orders").await?;
    let mut seen = Vec::new();
    while seen.len() < 12 {
        let delivery = next(&mut consumer).await;
        let body = String::from_utf8_lossy(&delivery.data).into_owned();
        let n: u32 = body.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("has a number");
        if n.is_multiple_of(3) && !delivery.redelivered {
            delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
        } else {
            seen.push(n);
            delivery.ack(BasicAckOptions::default()).await?;
        }
    }
    Ok(seen)
}

/// What clients do: bodies of all lengths, several queues, gets, returns, transactions, a client
/// that leaves without a word.
async fn work_of_all_kinds(address: &Address) -> Result<(), Error> {
    requeue(address).await?;
    let connection = connect(address).await?;
    let channel = connection.create_channel().await?;
    let topic = ExchangeKind::Topic;
    let (options, arguments) = (ExchangeDeclareOptions::default(), FieldTable::default());
    channel.exchange_declare("events".into(), topic, options, arguments).await?;
    let own = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?;
    let (name, options) = (queue.name().clone(), QueueBindOptions::default());
    let arguments = FieldTable::default();
    channel.queue_bind(name.clone(), "events".into(), "a.*".into(), options, arguments).await?;
    for len in [0, 1, 3, 4, 7, 8, 9, 1000, 5000, 200_000] {
        send(&channel, "events", "a.b", &vec![b'x'; len]).await?;
        send(&channel, "events", "not.bound", &vec![b'y'; len]).await?;
    }
    for n in 0..5 {
        let got = channel.basic_get(name.clone(), BasicGetOptions::default()).await?;
        let got = got.expect("there are more");
        let requeue = BasicRejectOptions { requeue: n % 2 == 0 };
        got.delivery.reject(requeue).await?;
    }
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let (exchange, properties) = ("events".into(), BasicProperties::default());
    let returned = channel.basic_publish(exchange, "x".into(), mandatory, b"back", properties);
    returned.await?.await?;

    let tx = connection.create_channel().await?;
    tx.tx_select().await?;
    send(&tx, "", "orders", b"committed").await?;
    tx.tx_commit().await?;
    send(&tx, "", "orders", b"rolled back").await?;
    tx.tx_rollback().await?;

    let leaving = connect(address).await?;
    let held = leaving.create_channel().await?;
    let mut consumer = consume(&held, "orders").await?;
    assert_eq!(next(&mut consumer).await.data, b"committed");
    leaving.close(200, "bye".into()).await?;
    let again = channel.basic_get("orders".into(), BasicGetOptions::default()).await?;
    let again = again.expect("what was not settled comes back");
    assert!(again.delivery.redelivered);
    again.delivery.ack(BasicAckOptions::default()).await?;
    connection.close(200, "bye".into()).await
}

fn on_a_runtime<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(body)
}

async fn connect(address: &Address) -> Result<Connection, Error> {
    let uri = format!("amqp://guest:guest@{address}/%2f");
    Connection::connect(&uri, ConnectionProperties::default()).await
}

async fn declare(channel: &Channel, queue: &str) -> Result<lapin::Queue, Error> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), durable, FieldTable::default()).await
}

async fn consume(channel: &Channel, queue: &str) -> Result<Consumer, Error> {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
}

async fn send(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
) -> Result<Confirmation, Error> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await
}

async fn next(consumer: &mut Consumer) -> lapin::message::Delivery {
    let delivery = timeout(PATIENCE, consumer.next()).await.expect("a delivery comes in time");
    delivery.expect("the consumer goes on").expect("the channel is open")
}
