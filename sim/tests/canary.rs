//! A broker that is broken on purpose: the simulator must name each fault by the right checker. A
//! simulator that stays silent here would stay silent anywhere.

use warren_sim::plan::Plan;
use warren_sim::run::{Options, play};
use warren_sim::world::{Fault, Tamper};

/// Two clients: one publishes, the other consumes, holds, gives back.
const PLAN: &str = "
setup boot_seed=9
c1 connect latency_us=50
c1/1 open
c1/1 confirm
c1/1 declare q=q1
c1/1 bind q=q1 x=amq.direct key=k
c1/1 declare q=q1 passive
wait us=2000
c1/1 publish x=amq.direct key=k body=20
c1/1 publish key=q1 body=20
c1/1 publish key=q1 body=20
c1/1 publish key=q1 body=20
wait us=2000
c2 connect latency_us=50
c2/1 open
c2/1 qos count=2
c2/1 consume q=q1 tag=t1
wait us=2000
c2/1 ack nth=0
wait us=2000
c2/1 nack nth=0 requeue
wait us=2000
c2/2 open
c2/2 declare q=q2
c2/2 consume q=q2 tag=t2 no_ack
c2/2 tx
c2/2 publish key=q2 body=7
c2/2 rollback
wait us=2000
c2/3 open
c2/3 declare q=q3
c2/3 consume q=q3 tag=low no_ack
c2/3 consume q=q3 tag=high no_ack priority=5
c2/3 publish key=q3 body=7
wait us=2000
c2/3 delete q=q3 nowait
wait us=2000
";

/// One client keeps messages in a durable queue and settles some; the broker dies and comes back,
/// and its disk fails and is full.
const DISK_PLAN: &str = "
setup boot_seed=9 segment_len=4096
c1 connect latency_us=50
c1/1 open
c1/1 confirm
c1/1 declare q=q1 durable
wait us=20000
c1/1 publish key=q1 body=900 persistent
c1/1 publish key=q1 body=900 persistent
c1/1 publish key=q1 body=900 persistent
wait us=20000
c1/1 get q=q1
c1/1 get q=q1
wait us=20000
c1/1 ack nth=0
wait us=20000
crash seed=1
restart
c1 connect latency_us=50
c1/1 open
c1/1 confirm
c1/1 consume q=q1 tag=t1 no_ack
wait us=50000
c1/1 publish key=q1 body=900 persistent
wait us=20000
c1/1 publish key=q1 body=900 persistent
wait us=20000
c1/1 publish key=q1 body=900 persistent
wait us=20000
c1/1 cancel tag=t1
wait us=20000
c1/1 publish key=q1 body=60000 persistent
wait us=20000
c1/1 publish key=q1 body=60000 persistent
wait us=20000
c1/1 publish key=q1 body=60000 persistent
wait us=20000
c1/1 publish key=q1 body=60000 persistent
wait us=20000
disk full us=1500000
wait us=200000
c1/1 publish key=q1 body=10 persistent
wait us=3000000
c1/2 open
disk eio=sync seed=1
c1/2 publish key=q1 body=10 persistent
wait us=20000
restart
c1 connect latency_us=50
c1/1 open
c1/1 consume q=q1 tag=t1 no_ack
wait us=50000
";

/// Damage that a start meets, and damage that a reader meets; then the disk is gone.
const DECAY_PLAN: &str = "
setup boot_seed=9 segment_len=4096 queue_window=1 read_len=1
c1 connect latency_us=50
c1/1 open
c1/1 confirm
c1/1 declare q=q1 durable
wait us=20000
c1/1 publish key=q1 body=1500 persistent
wait us=20000
c1/1 publish key=q1 body=1500 persistent
wait us=20000
c1/1 publish key=q1 body=1500 persistent
wait us=20000
c1/1 publish key=q1 body=1500 persistent
wait us=20000
crash seed=1
disk decay=rot seed=7
restart
disk mend
restart
disk decay=rot seed=1
c1 connect latency_us=50
c1/1 open
c1/1 get q=q1
c1/1 get q=q1
c1/1 get q=q1
c1/1 get q=q1
wait us=50000
disk mend
restart
disk gone
restart
";

fn checker_that_fails(fault: Option<Fault>, plan: &str) -> Option<&'static str> {
    let plan: Plan = plan.parse().expect("a plan");
    let tamper = fault.map(Tamper::new);
    let outcome = play(&plan, Options { keeps_trace: true, tamper });
    if let Some(failure) = &outcome.failure {
        println!("{}\n{fault:?}: {failure}", outcome.trace_text());
    }
    outcome.failure.map(|failure| failure.checker)
}

#[test]
fn the_plans_pass_when_nothing_is_broken() {
    assert_eq!(checker_that_fails(None, PLAN), None);
    assert_eq!(checker_that_fails(None, DISK_PLAN), None);
    assert_eq!(checker_that_fails(None, DECAY_PLAN), None);
}

#[test]
fn the_plan_of_decay_meets_what_it_is_about() {
    let outcome = play(&DECAY_PLAN.parse().expect("a plan"), Options::default());
    for fault in ["rot", "refused", "halt-on-damage", "disk-gone"] {
        assert!(outcome.faults.contains_key(fault), "{fault} is not among {:?}", outcome.faults);
    }
}

#[test]
fn each_fault_is_named_by_its_checker() {
    let faults = [
        (Fault::SwapDeliveries, "order"),
        (Fault::RepeatDelivery, "no-phantom"),
        (Fault::FlipBodyByte, "no-phantom"),
        (Fault::HideRedelivery, "redelivered"),
        (Fault::DropConfirm, "confirms"),
        (Fault::InventConfirm, "confirms"),
        (Fault::EnlargePrefetch, "tags-and-prefetch"),
        (Fault::ReducePrefetch, "liveness"),
        (Fault::SkipTag, "tags-and-prefetch"),
        (Fault::BendBinding, "conservation"),
        (Fault::DropReply, "protocol"),
        (Fault::LoseAck, "conservation"),
        (Fault::CommitRollback, "tx"),
        (Fault::LoseDelete, "topology"),
        (Fault::LosePriority, "fairness"),
        (Fault::DropCloseOk, "liveness"),
        (Fault::Restless, "liveness"),
        (Fault::KeepMemory, "memory"),
    ];
    for (fault, checker) in faults {
        assert_eq!(checker_that_fails(Some(fault), PLAN), Some(checker), "{fault:?}");
    }
}

#[test]
fn each_fault_of_the_disk_and_of_restarts_is_named_by_its_checker() {
    let faults = [
        (Fault::LieAboutSync, "confirms"),
        (Fault::LieAboutSyncDir, "confirms"),
        (Fault::HideSyncError, "disk"),
        (Fault::LoseFileDeletion, "disk"),
        (Fault::EmptyDisk, "topology"),
        (Fault::DiskBeforePublish, "no-loss"),
        (Fault::DiskBeforeAck, "ack-final"),
        (Fault::EmptyDiskAgain, "recovery"),
        (Fault::HideRedelivery, "redelivered"),
        (Fault::HideBlocked, "alarms"),
    ];
    for (fault, checker) in faults {
        assert_eq!(checker_that_fails(Some(fault), DISK_PLAN), Some(checker), "{fault:?}");
    }
}

#[test]
fn each_wrong_word_about_damage_is_named_by_its_checker() {
    let faults = [
        (Fault::MisnameDamage, "decay"),
        (Fault::HushDamage, "decay"),
        (Fault::BlindCheck, "decay"),
        (Fault::KeepGoneDisk, "topology"),
    ];
    for (fault, checker) in faults {
        assert_eq!(checker_that_fails(Some(fault), DECAY_PLAN), Some(checker), "{fault:?}");
    }
}
