//! The course of a run: what those need to know who vary its plan.
//!
//! Says where in the plan a run ended, what the disk had been asked for by then, and which bytes
//! went over each connection that the plan made.

use warren_core::MarkCounts;

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// How many requests the disk had begun when each step of the plan began, and when the last
    /// was done. A run that failed among its steps has none behind the one that failed.
    pub requests: Vec<u64>,
    /// The phases that were entered, in order.
    pub phases: Vec<Phase>,
    /// Which of the broker's branches were reached when all steps of the plan were done.
    pub marks: MarkCounts,
    /// The connections that were made by steps of the plan, in order.
    pub connections: Vec<Connection>,
}

/// What a phase of a run took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// Simulated nanoseconds.
    pub simulated_ns: u64,
    /// Methods that clients sent and the broker handled.
    pub operations: u64,
}

/// A connection that a step of the plan made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The step, from 0.
    pub step: usize,
    /// Its link, which numbers all connections of the run.
    pub link: usize,
    /// What went over it.
    pub traffic: Traffic,
}

/// What went over a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many bytes the broker has read.
    pub read: u64,
    /// Every byte that the client has received, if that was asked for.
    pub received: Vec<u8>,
}

impl Course {
    /// How many steps of the plan were begun.
    #[must_use]
    pub fn steps_begun(&self) -> usize {
        self.requests.len()
    }

    /// A phase begins; the numbers are those of the run so far.
    pub(crate) fn enter(&mut self, name: &'static str, simulated_ns: u64, operations: u64) {
        self.leave(simulated_ns, operations);
        self.phases.push(Phase { name, simulated_ns, operations });
    }

    /// The last phase has ended; the numbers are those of the run so far.
    pub(crate) fn leave(&mut self, simulated_ns: u64, operations: u64) {
        if let Some(phase) = self.phases.last_mut() {
            phase.simulated_ns = simulated_ns - phase.simulated_ns;
            phase.operations = operations - phase.operations;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_count_what_they_took_themselves() {
        let mut course = Course::default();
        course.enter("safety", 0, 0);
        course.enter("heal", 500, 20);
        course.leave(800, 23);
        let took = course.phases.iter().map(|phase| (phase.simulated_ns, phase.operations));
        assert_eq!(took.collect::<Vec<_>>(), [(500, 20), (300, 3)]);
    }
}
