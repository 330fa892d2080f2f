//! Very many messages that expire, each at a time of its own.

use std::time::Duration;

use warren_core::amqp::*;
use warren_core::{Config, Input, Mark, Output};

use super::client::{World, publish_with};
use super::costs::{resident, time_each, worked};

const BODY: &str = "a body of some sixty-four bytes, as small ones are, and no more text";

/// What many messages cost that expire each at a time of its own, in no order, and are dead letters
/// then. A few here; what a million take is printed by
/// `EXPIRING=1000000 cargo test --release -p warren-core --test broker -- --nocapture many_expire`.
#[test]
fn many_expire_each_at_its_time_and_hold_up_nobody() {
    let all = std::env::var("EXPIRING").map_or(10_000, |all| all.parse().expect("a number"));
    let step = Duration::from_millis(1);
    // The fewer there are, the smaller are the segments, so that they are cleaned alike.
    let segment_len = 16 * all.max(4096);
    let mut world = World::with_disk(Config { segment_len, ..Config::default() });
    let client = world.client();
    let declare = |world: &mut World, name: &str, arguments: &[(&str, &'static str)]| {
        let arguments =
            arguments.iter().map(|(name, value)| ((*name).into(), FieldValue::text(value)));
        let arguments = FieldTable::new(arguments.collect());
        let (queue, durable) = (name.into(), true);
        world.tell(client, 1, QueueDeclare { queue, durable, arguments, ..Default::default() });
    };
    declare(&mut world, "due", &[]);
    let letters = [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", "due")];
    declare(&mut world, "waiting", &letters);
    let (queue, no_ack) = ("due".into(), true);
    world.tell(client, 1, BasicConsume { queue, no_ack, ..Default::default() });
    world.settle();
    let resident_before = resident();
    // All times occur once, and those of neighbours are far apart.
    let mut strides = u64::from(all) * 618 / 1000..;
    let stride = strides.find(|stride| gcd(*stride, all.into()) == 1).expect("a stride");
    let lead = Duration::from_secs(60);
    let each = time_each(&mut world, all, |at| {
        let slot = u64::from(at) * stride % u64::from(all);
        let ttl = (lead + step * slot as u32).as_millis().to_string();
        let (expiration, delivery_mode) = (Some(ttl.as_str().into()), Some(2));
        let properties = BasicProperties { expiration, delivery_mode, ..Default::default() };
        publish_with(client, "", "waiting", BODY, properties.encode())
    });
    world.settle();
    world.heard(client);
    let memory = resident().saturating_sub(resident_before);
    println!("{all} expire: {} MiB, {} bytes each", memory >> 20, memory / u64::from(all));
    println!("a publish: {each:?}");
    world.pass(lead - Duration::from_millis(100));
    let (mut took, mut received) = (Vec::new(), 0);
    let begun = worked();
    while received < all {
        let begun = worked();
        world.pass(10 * step);
        while world.step(|_| true, false) {}
        took.push(worked() - begun);
        let is_delivery =
            |output: &&Output| matches!(output, Output::Send(_, OutFrame::Deliver(..)));
        received += world.outputs().iter().filter(is_delivery).count() as u32;
        world.heard(client);
        world.input(Input::EgressLen(client, 0));
        assert!(took.len() as u32 <= all / 10 + 100, "{received} came");
    }
    let each = (worked() - begun) / all;
    let (at, longest) = took.iter().enumerate().max_by_key(|(_, took)| **took).expect("a turn");
    println!("each: {each:?}; of {} turns the {at}th took longest: {longest:?}", took.len());
    took.sort_unstable();
    println!("99 of 100: {:?}", took[took.len() * 99 / 100]);
    assert!(world.broker.marks().count(Mark::MessageMoved) > 0, "old segments are cleaned");
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}
