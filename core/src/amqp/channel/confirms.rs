//! Which publishes of a channel are answered, and which are to be, when.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::log::BatchNumber;

/// Sequence numbers that wait for the same batch of the log; both ends included.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    last: u64,
    gate: BatchNumber,
}

/// The publishes of a channel; sequence numbers count from 1.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    published: u64,
    /// Everything up to this one is answered.
    confirmed: u64,
    waiting: VecDeque<Run>,
    /// Those of the unanswered, and of the last answered, that were refused; and how many of them,
    /// the last ones, are still to be told.
    refused: VecDeque<u64>,
    refused_due: usize,
    /// Behind some that wait, but waiting for nothing: answered one by one.
    at_once: Vec<u64>,
}

/// What is to be done about a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// The channel has something to send that it had not before.
    Due,
    /// The channel waits for a batch that it did not wait for before.
    Waits,
    /// Nothing.
    Known,
}

impl Confirms {
    /// Notes a publish, which is safe once the batch `gate` is durable; 0 if it is now.
    pub(super) fn publish(&mut self, gate: BatchNumber, durable: BatchNumber) -> Noted {
        let had_due = self.has_due(durable);
        self.published += 1;
        let number = self.published;
        if gate <= durable {
            if !self.waiting.is_empty() {
                self.at_once.push(number);
            }
            return if had_due { Noted::Known } else { Noted::Due };
        }
        match self.waiting.back_mut() {
            Some(run) if run.gate == gate && run.last + 1 == number => {
                run.last = number;
                Noted::Known
            }
            Some(run) if run.gate == gate => {
                self.waiting.push_back(Run { first: number, last: number, gate });
                Noted::Known
            }
            _ => {
                self.waiting.push_back(Run { first: number, last: number, gate });
                Noted::Waits
            }
        }
    }

    /// Notes a publish that was refused.
    pub(super) fn refuse(&mut self) {
        self.published += 1;
        self.refused.push_back(self.published);
        self.refused_due += 1;
    }

    /// Takes those that were refused and are still to be told. To be called before
    /// [`Self::take_due`].
    pub(super) fn take_refused(&mut self) -> Vec<u64> {
        let due = core::mem::take(&mut self.refused_due);
        self.refused.iter().skip(self.refused.len() - due).copied().collect()
    }

    /// Up to which number all are answered.
    pub(super) fn answered(&self) -> u64 {
        self.confirmed
    }

    /// How many are not answered.
    pub(super) fn unanswered(&self) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|run| run.last - run.first + 1).sum();
        waiting + (self.at_once.len() + self.refused_due) as u64
    }

    /// Whether some wait for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the answers that are due: each with its number, and whether it is for all up to it.
    pub(super) fn take_due(&mut self, durable: BatchNumber) -> Vec<(u64, bool)> {
        let mut due = Vec::new();
        // Those before the first that waits, or waited.
        let free = self.waiting.front().map_or(self.published, |run| run.first - 1);
        let mut last = free;
        while let Some(run) = self.waiting.front().filter(|run| run.gate <= durable) {
            last = run.last;
            self.waiting.pop_front();
        }
        due.extend(self.at_once.drain(..).filter(|number| *number > last).map(|n| (n, false)));
        // One that was refused has its answer.
        let mut told = last;
        while self.refused.binary_search(&told).is_ok() {
            told -= 1;
        }
        if told > self.confirmed {
            due.insert(0, (told, told - self.confirmed > 1));
        }
        // What is before the next that waits has been answered one by one.
        let next = self.waiting.front().map_or(self.published, |run| run.first - 1);
        self.confirmed = self.confirmed.max(next.max(last));
        while self.refused.front().is_some_and(|first| *first <= self.confirmed) {
            self.refused.pop_front();
        }
        due
    }

    fn has_due(&self, durable: BatchNumber) -> bool {
        let free = match self.waiting.front() {
            None => self.published,
            Some(run) if run.gate <= durable => run.last,
            Some(run) => run.first - 1,
        };
        free > self.confirmed || !self.at_once.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map of what waits for which batch: each is answered once, never before
        /// its batch, and at once when it is durable.
        #[test]
        fn each_is_answered_once_when_its_batch_is_durable(
            steps in prop::collection::vec((0u8..5, 0u64..4), 0..100),
        ) {
            let (mut confirms, mut model) = (Confirms::default(), BTreeMap::new());
            let (mut number, mut durable, mut batch) = (0, 0, 1);
            let mut refused = Vec::new();
            for (step, more) in steps {
                match step {
                    0 | 1 => {
                        number += 1;
                        let gate = if step == 0 { 0 } else { batch };
                        model.insert(number, gate);
                        confirms.publish(gate, durable);
                    }
                    2 => batch += u64::from(more == 0),
                    3 => {
                        number += 1;
                        confirms.refuse();
                        refused.push(number);
                    }
                    _ => durable = (durable + more).min(batch),
                }
                if batch == durable {
                    batch += 1;
                }
                if more % 2 == 0 {
                    prop_assert_eq!(confirms.take_refused(), core::mem::take(&mut refused));
                    for (tag, is_multiple) in confirms.take_due(durable) {
                        prop_assert!(model.contains_key(&tag), "{tag} is not open");
                        let first = if is_multiple { 0 } else { tag };
                        let answered: Vec<u64> =
                            model.range(first..=tag).map(|(number, _)| *number).collect();
                        for answered in answered {
                            prop_assert!(model.remove(&answered) <= Some(durable));
                        }
                    }
                    prop_assert!(model.values().all(|gate| *gate > durable), "{model:?}");
                }
            }
        }
    }
}
