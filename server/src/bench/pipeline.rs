//! Many requests of one kind, sent without waiting for one another's answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::connection::{Connection, unasked};
use super::error::BenchError;
use super::scan::Sink;

/// So much is written before it is looked for answers.
const WRITE_BYTES: usize = 32 * 1024;
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `count` requests without waiting, and waits for as many methods `answer`.
pub(super) fn pipeline(
    connection: &mut Connection,
    answer: u32,
    count: u32,
    interrupt: &AtomicBool,
    mut request: impl FnMut(u32, &mut Vec<u8>),
) -> Result<(), BenchError> {
    let mut answers = Answers { wanted: answer, count: 0 };
    let mut bytes = Vec::with_capacity(WRITE_BYTES * 2);
    for index in 0..count {
        request(index, &mut bytes);
        if bytes.len() >= WRITE_BYTES || index + 1 == count {
            if !connection.send(&bytes, &mut answers, interrupt)? {
                return Err(BenchError::Interrupted);
            }
            bytes.clear();
            connection.poll(&mut answers)?;
        }
    }
    let mut moved = (Instant::now(), answers.count);
    while answers.count < count {
        connection.wait(&mut answers)?;
        if answers.count > moved.1 {
            moved = (Instant::now(), answers.count);
        }
        if interrupt.load(Ordering::Relaxed) {
            return Err(BenchError::Interrupted);
        }
        if moved.0.elapsed() > PATIENCE {
            return Err(BenchError::Unanswered { what: "an answer", after: PATIENCE });
        }
    }
    Ok(())
}

/// Counts the methods that are wanted.
struct Answers {
    wanted: u32,
    count: u32,
}

impl Sink for Answers {
    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        if id == self.wanted {
            self.count += 1;
            return Ok(());
        }
        unasked(id, args).map(drop)
    }
}
