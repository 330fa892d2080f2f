//! Threads that work off a row of numbers while somebody watches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the one who watches is called.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// Does `work` for each number from `from` up to, not including, `to`, on so many threads, in
/// order but for what is done at the same time. `watch` is called now and then, and at the end.
pub(super) fn each(
    (from, to): (u64, u64),
    jobs: usize,
    work: impl Fn(u64) + Sync,
    mut watch: impl FnMut(),
) {
    let next = AtomicU64::new(from);
    let work_off = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= to {
                return;
            }
            work(number);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work_off)).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::park_timeout(WATCH_EVERY);
            watch();
        }
    });
    watch();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_worked_off_once() {
        let sum = AtomicU64::new(0);
        let add = |number| {
            sum.fetch_add(number, Ordering::Relaxed);
        };
        each((3, 103), 4, add, || {});
        assert_eq!(sum.into_inner(), (3..103).sum::<u64>());
    }
}
