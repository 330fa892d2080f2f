//! `warren bench compare`: the same workloads with several brokers in turn.
//!
//! Each workload is measured once with each of them, then again, until all rounds are over, so that
//! what the machine does beside it comes to all alike; who begins changes from round to round. The
//! medians count. The floor is one of those that are measured, unless it is left out, so that every
//! figure comes with what this machine could do at that time.
//!
//! | Module | Holds |
//! |---|---|
//! | [`options`] | the command line, and the plan that comes of it |
//! | [`contender`] | those who are measured; what is started, and ended, for it |
//! | [`workload`] | the workloads |
//! | [`one_by_one`], [`declaring`], [`idle`] | those that no other measurement has |
//! | [`report`], [`table`] | the figures |

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::BenchError;

pub(super) mod contender;
mod declaring;
mod idle;
mod one_by_one;
mod options;
mod report;
mod table;
mod workload;

pub(super) use options::{CompareArgs, ComparePlan};
pub(super) use report::median;

use contender::{Contender, Scratch};
use report::{Comparison, Row, WorkloadFigures};
use workload::Workload;

/// The row of the disk without anybody who asks it.
const DISK: &str = "(disk alone)";

/// Carries out `plan`; `interrupt` is set when the user wants it to end.
pub(super) fn run(plan: &ComparePlan, interrupt: &AtomicBool) -> Result<Comparison, BenchError> {
    let scratch = Scratch::new(&plan.dir)?;
    let mut contenders = Contender::all(plan, &scratch)?;
    let mut comparison = Comparison::new(plan, &contenders);
    for workload in &plan.workloads {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        let mut figures = WorkloadFigures::new(plan, *workload, &contenders);
        measure(plan, *workload, &mut contenders, &scratch, &mut figures, interrupt);
        comparison.add(figures);
    }
    comparison.end(interrupt.load(Ordering::Relaxed))
}

/// All rounds of one workload. Who fails is not measured again.
fn measure(
    plan: &ComparePlan,
    workload: Workload,
    contenders: &mut [Contender],
    scratch: &Scratch,
    figures: &mut WorkloadFigures,
    interrupt: &AtomicBool,
) {
    let rounds = workload.rounds(plan.rounds);
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round as usize) % contenders.len();
            let contender = &mut contenders[index];
            if !workload.is_for(contender) || interrupt.load(Ordering::Relaxed) {
                continue;
            }
            let row = figures.row(&contender.name);
            if row.has_failed() {
                continue;
            }
            let measured = workload.measure(contender, &plan.size, interrupt);
            tell(workload, (round, rounds), row, measured, interrupt);
        }
        if workload == Workload::Confirm && !interrupt.load(Ordering::Relaxed) {
            let measured = one_by_one::disk(scratch.path(), &plan.size, interrupt);
            tell(workload, (round, rounds), figures.row(DISK), measured, interrupt);
        }
    }
}

/// Takes a measurement in, and tells of it on the standard error. What the user cut short counts
/// for nothing.
fn tell(
    workload: Workload,
    (round, rounds): (u32, u32),
    row: &mut Row,
    measured: Result<workload::Sample, BenchError>,
    interrupt: &AtomicBool,
) {
    if interrupt.load(Ordering::Relaxed) {
        return;
    }
    let said = match &measured {
        Ok(sample) => table::figure(sample.value),
        Err(error) => error.to_string(),
    };
    let (name, unit) = (workload.name(), table::unit(workload.unit()));
    eprintln!("{:>2}/{rounds}  {name:<18}{:<18}{said:>12} {unit}", round + 1, row.name());
    row.add(measured);
}
