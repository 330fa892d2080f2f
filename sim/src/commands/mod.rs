//! What the commands do. Each says whether all went well; an error is a request that makes no
//! sense, a plan that cannot be read for instance.

mod coverage;
mod exhaustive;
mod mutants;
mod pool;
mod replay;
mod run;
mod shrink;
mod speed;

use std::path::Path;

use warren_sim::plan::{self, Plan};

use crate::cli::Which;
use crate::report::Name;

pub(crate) use coverage::coverage;
pub(crate) use exhaustive::exhaustive;
pub(crate) use mutants::{hunt, mutants};
pub(crate) use replay::replay;
pub(crate) use run::run;
pub(crate) use shrink::shrink;
pub(crate) use speed::speed;

/// Whether all went well.
type Done = Result<bool, String>;

/// The plan that is meant: a seed's, or a file's.
fn find(which: &Which) -> Result<(Name, Plan), String> {
    let seed = which.seed.or_else(|| which.plan.as_ref()?.parse().ok());
    match (seed, &which.plan) {
        (Some(seed), _) => Ok((Name::Seed(seed), plan::draw(seed))),
        (None, Some(path)) => Ok((Name::File(path.into()), read(Path::new(path))?)),
        (None, None) => Err("a file with a plan is wanted, or a seed".to_owned()),
    }
}

fn read(path: &Path) -> Result<Plan, String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
    text.parse().map_err(|error: plan::PlanError| fail(&error))
}
