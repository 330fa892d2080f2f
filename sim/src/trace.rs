//! What happened, line by line in fixed columns, and its hash.
//!
//! A run keeps lines only when it is asked to: a failed run is played again for its trace, which
//! costs nothing as long as all goes well. The hash is always kept, and lines are no part of it.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::{FixedState, FoldHasher};

use crate::model::{Model, QueueId};

/// What happened is cut off behind this many characters when a line is written as text.
const WHAT_LEN_MAX: usize = 140;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in simulated nanoseconds.
    pub at_ns: u64,
    /// A client (`c1`), a channel of a client (`c1/2`), the `disk`; nothing for the broker itself
    /// and the world around it.
    pub who: String,
    /// What: `>` went to the broker or from it to the disk, `<` came back, `^` is something inside
    /// the broker, `!` a step of the plan, a fault or a phase, `<!` what no checker allows.
    pub what: String,
    /// The queue that was touched, as it is now.
    pub queue: Option<QueueState>,
    /// The batch of the log that gathers, and the last one that is durable.
    pub log: (u64, u64),
}

/// A queue as it was when a line was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Its name.
    pub name: String,
    /// How many messages were ready.
    pub ready: usize,
    /// How many were delivered and not settled.
    pub unacked: u64,
}

impl fmt::Display for QueueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q={} r={} u={}", self.name, self.ready, self.unacked)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at_ns / 1_000_000_000, self.at_ns / 1000 % 1_000_000);
        let time = format!("{seconds}.{micros:06}s");
        let end = self.what.char_indices().nth(WHAT_LEN_MAX).map(|(at, _)| at);
        let what = end.map_or(self.what.clone(), |at| format!("{}…", &self.what[..at]));
        let queue = self.queue.as_ref().map_or(String::new(), QueueState::to_string);
        let (gathers, durable) = self.log;
        write!(
            f,
            "{time:>14} {:<7} {what:<64} {queue:<20} pos {gathers} durable {durable}",
            self.who
        )
    }
}

/// The trace of a run.
pub struct Trace {
    lines: Option<Vec<Line>>,
    hasher: FoldHasher<'static>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("hash", &self.hash()).finish_non_exhaustive()
    }
}

impl Trace {
    /// A trace that keeps its lines if `keeps_lines`.
    #[must_use]
    pub fn new(keeps_lines: bool) -> Self {
        Self { lines: keeps_lines.then(Vec::new), hasher: FixedState::default().build_hasher() }
    }

    /// Whether lines are kept, and so worth making.
    #[must_use]
    pub fn keeps_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Adds to the hash.
    pub fn note(&mut self, fact: impl Hash) {
        fact.hash(&mut self.hasher);
    }

    /// Adds a line: when, who, what (see [`Line`]), and the queue that was touched.
    pub fn line(&mut self, model: &Model, now: u64, who: &str, what: &str, queue: Option<QueueId>) {
        let Some(lines) = &mut self.lines else { return };
        let queue = queue.and_then(|queue| model.queues.get(&queue)).map(|queue| QueueState {
            name: queue.name.clone(),
            ready: queue.ready.len(),
            unacked: queue.unacked,
        });
        lines.push(Line {
            at_ns: now,
            who: who.to_owned(),
            what: what.to_owned(),
            queue,
            log: (model.history.batch, model.history.durable),
        });
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or(&[])
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_fixed_columns_and_long_ones_are_cut() {
        let queue = Some(QueueState { name: "q1".into(), ready: 4, unacked: 1 });
        let what = "> basic.ack delivery-tag=1".to_owned();
        let who = "c3/1".to_owned();
        let line = Line { at_ns: 12_611_000_000, who, what, queue, log: (31, 30) };
        let text = "    12.611000s c3/1    > basic.ack delivery-tag=1                          \
                    \u{20}            q=q1 r=4 u=1         pos 31 durable 30";
        assert_eq!(line.to_string(), text);

        let long = Line { what: "ä".repeat(1000), ..line };
        assert!(long.to_string().contains(&format!(" {}… q=q1", "ä".repeat(WHAT_LEN_MAX))));
    }
}
