//! What a message allocates on its steady way through the core.

use allocation_counter::measure;
use warren_costs::{Course, Rig};

/// Messages that go before those that count, until everything has the size that it needs.
const BEFORE: u64 = 20_000;
const MESSAGES: u64 = 20_000;

/// Fails if a hundred messages allocate more often than `most`. None is what is wanted; what is
/// given is how many there are, so that none is added, and whoever saves one lowers it. A few come
/// from the rig, which makes a buffer for each batch.
fn allocations(course: Course, size: usize, most: u64) {
    let mut rig = Rig::new(course, size);
    assert_eq!(rig.run(BEFORE), BEFORE);
    let mut delivered = 0;
    let counted = measure(|| delivered = rig.run(MESSAGES));
    assert_eq!(delivered, MESSAGES, "every message is delivered");
    let hundredths = counted.count_total * 100 / MESSAGES;
    let name = course.name();
    println!("{name}, {size} bytes: {hundredths} allocations for 100 messages");
    assert!(hundredths <= most, "{name}, {size} bytes: {hundredths} for 100, not {most}");
}

#[test]
fn transient_messages_acknowledged_by_the_broker() {
    allocations(Course::Automatic, 16, 1);
    allocations(Course::Automatic, 1024, 109);
}

#[test]
fn transient_messages_acknowledged_by_the_consumer() {
    allocations(Course::Manual, 16, 2);
    allocations(Course::Manual, 1024, 411);
}

#[test]
fn persistent_messages_with_confirms() {
    allocations(Course::Durable, 16, 13);
    allocations(Course::Durable, 1024, 529);
}
