//! What happened, line by line in fixed columns, and its hash.
//!
//! A run keeps lines only when it is asked to: a failed run is played again for its trace, which
//! costs nothing as long as all goes well. The hash is always kept.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::{Model, QueueId};

/// The trace of a run.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
    hasher: DefaultHasher,
}

impl Trace {
    /// A trace that keeps its lines if `keeps_lines`.
    #[must_use]
    pub fn new(keeps_lines: bool) -> Self {
        Self { lines: keeps_lines.then(Vec::new), hasher: DefaultHasher::new() }
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

    /// Adds a line: when, who, what (`>` to the broker, `<` from it, `!` a fault), and the state
    /// of the queue that was touched.
    pub fn line(&mut self, model: &Model, now: u64, who: &str, what: &str, queue: Option<QueueId>) {
        let Some(lines) = &mut self.lines else { return };
        let state = queue
            .and_then(|queue| model.queues.get(&queue))
            .map_or(String::new(), |q| format!("q={} r={} u={}", q.name, q.ready.len(), q.unacked));
        let time = format!("{}.{:06}s", now / 1_000_000_000, now / 1000 % 1_000_000);
        let line = format!("{time:>14} {who:<7} {what:<64} {state}");
        lines.push(line.trim_end().to_owned());
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or(&[])
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}
