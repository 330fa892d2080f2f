//! What must hold of a data directory, whatever is in it.

use warren_core::amqp::ShortStr;
use warren_core::{Boot, Check, CheckReport, Config, Recovery, Salvage, StartError};

use crate::disk::{Disk, drive, is_at_end};
use crate::world::World;

/// Looks at a directory in every way there is.
pub fn look_at(data: &[u8]) {
    let disk = Disk::read(data);
    let checked = check(&disk);
    look_at_start(&disk, &checked);
    look_at_salvage(&disk, &checked);
}

fn config() -> Config {
    Config { segment_len: 4096, read_len: 4096, queue_window: 1000, ..Config::default() }
}

/// What `check` says, which changes nothing.
fn check(disk: &Disk) -> CheckReport {
    let mut looked_at = disk.clone();
    let report = drive(Check::new(&config()), &mut looked_at);
    assert_eq!(looked_at, *disk, "check has changed something");
    report.expect("check comes to a report")
}

fn start(disk: &mut Disk, seed: u64) -> Result<Vec<(ShortStr, u64)>, StartError> {
    let broker =
        drive(Recovery::new(config(), Boot { seed: [seed, 1], clock_origin_ms: 0 }), disk)?;
    Ok(broker.queues().into_iter().map(|queue| (queue.name, queue.ready)).collect())
}

fn look_at_start(disk: &Disk, checked: &CheckReport) {
    let mut started = disk.clone();
    let queues = match start(&mut started, 1) {
        Ok(queues) => queues,
        Err(error) => {
            assert_eq!(started, *disk, "a start that says '{error}' has changed something");
            assert_eq!(checked.refusal.as_ref(), Some(&error), "check says something else");
            return;
        }
    };
    assert_eq!(checked.refusal, None, "a start comes to {queues:?}");
    match start(&mut started.clone(), 2) {
        Err(error) if is_at_end(&error) => return,
        again => assert_eq!(again.as_ref(), Ok(&queues), "the second start"),
    }
    if checked.is_clean() {
        let messages: u64 = queues.iter().map(|(_, ready)| ready).sum();
        assert_eq!(messages, checked.messages, "check counts otherwise");
        read_all(disk, messages);
    } else {
        // It may give up, and must not do anything else.
        World::on(config(), started).consume_all();
    }
}

fn look_at_salvage(disk: &Disk, checked: &CheckReport) {
    let mut salvaged = disk.clone();
    let report = match drive(Salvage::new(&config()), &mut salvaged) {
        Ok(report) => report,
        Err(error) => {
            assert_eq!(salvaged, *disk, "a salvage that says '{error}' has changed something");
            let is_refused = checked.refusal.is_some() || is_at_end(&error);
            assert!(is_refused, "it can be started, and not salvaged: {error}");
            return;
        }
    };
    assert_eq!(report.is_changed, salvaged != *disk);
    assert_eq!(report.is_changed, !checked.is_clean());
    let again = check(&salvaged);
    assert!(again.is_clean(), "salvage leaves {:?} {:?}", again.refusal, again.problems);
    assert_eq!((again.messages, again.queues), (report.messages, report.queues));
    read_all(&salvaged, report.messages);
}

/// All messages of a directory that is as it should be come to a consumer.
fn read_all(disk: &Disk, messages: u64) {
    let mut world = World::on(config(), disk.clone());
    let out_of_reach = world.consume_all();
    assert!(!world.is_halted, "it gives up on a directory that is clean");
    assert_eq!(world.delivered + out_of_reach, messages);
    world.stop();
}
