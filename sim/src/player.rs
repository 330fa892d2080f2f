//! How all commands play plans: as they are, or with something broken on purpose.

use clap::ValueEnum;
use warren_sim::plan::Plan;
use warren_sim::run::{Options, Outcome, play};
use warren_sim::world::{Fault, Tamper};

/// Plays plans.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Player {
    /// What is broken on purpose.
    pub(crate) broken: Option<Fault>,
}

impl Player {
    /// Plays a plan.
    pub(crate) fn play(self, plan: &Plan) -> Outcome {
        self.play_with(plan, false)
    }

    /// Plays a plan and keeps its trace.
    pub(crate) fn trace(self, plan: &Plan) -> Outcome {
        self.play_with(plan, true)
    }

    /// Plays a plan and keeps its trace if `keeps_trace`.
    pub(crate) fn play_with(self, plan: &Plan, keeps_trace: bool) -> Outcome {
        play(plan, Options { keeps_trace, tamper: self.broken.map(Tamper::new) })
    }

    /// What a command line needs to play plans in the same way; begins with a space.
    pub(crate) fn arguments(self) -> String {
        let value = self.broken.as_ref().and_then(ValueEnum::to_possible_value);
        value.map_or(String::new(), |value| format!(" --break {}", value.get_name()))
    }
}
