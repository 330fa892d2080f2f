//! What things take: memory and time.

use std::time::Duration;

use warren_core::Input;

use super::client::World;

/// What this process has in memory, in bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib << 10
}

/// For how long this thread has had a processor.
pub(crate) fn worked() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = stat.split_whitespace().next().expect("a number");
    Duration::from_nanos(nanos.parse().expect("a number"))
}

/// Has so many messages published, a thousand at once, and the disk do its part; the time that one
/// takes on average.
pub(crate) fn time_each(
    world: &mut World,
    count: u32,
    mut publish: impl FnMut(u32) -> Vec<Input>,
) -> Duration {
    let mut sum = Duration::ZERO;
    for chunk in 0..count / 1000 {
        let inputs: Vec<Input> = (0..1000).flat_map(|at| publish(chunk * 1000 + at)).collect();
        let begun = worked();
        world.batch(inputs);
        while world.step(|_| true, false) {}
        sum += worked() - begun;
    }
    sum / count
}
