//! `warren bench curves`: what a message costs the broker, against how much there is of something.
//!
//! Each curve has points at the powers of ten up to a maximum. At each point the same messages go
//! the same way, and only the number of queues, bindings, connections, consumers or of messages
//! that wait differs; so a cost that grows with one of them shows as a curve that rises. Costs are
//! the broker's CPU time, so the broker has to be on this machine.
//!
//! | Module | Holds |
//! |---|---|
//! | [`options`] | the command line, and the plan that comes of it |
//! | [`curve`] | the curves, and how a point of each is measured |
//! | [`connections`] | many connections, of which each publishes in its turn |
//! | [`report`], [`plot`] | the figures, and the drawing |

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::compare::contender::{Contender, Scratch};
use super::error::BenchError;

mod connections;
mod curve;
mod options;
mod plot;
mod report;

pub(super) use options::{CurvesArgs, CurvesPlan};

use report::{CurveFigures, Curves, Point};

/// Carries out `plan`; `interrupt` is set when the user wants it to end.
pub(super) fn run(plan: &CurvesPlan, interrupt: &AtomicBool) -> Result<Curves, BenchError> {
    let scratch = Scratch::new(&plan.dir)?;
    let mut broker = match &plan.broker {
        Some((uri, pid)) => Contender::of("broker", uri.clone(), Some(*pid))?,
        None => Contender::warren(&scratch)?,
    };
    let mut curves = Curves::new(&broker);
    for &(curve, max) in &plan.curves {
        let mut figures = CurveFigures::new(curve);
        for number in steps(max) {
            let mut point = Point::new(number);
            for _ in 0..plan.rounds {
                if interrupt.load(Ordering::Relaxed) {
                    break;
                }
                point.add(curve.measure(&mut broker, number, plan.duration, interrupt)?);
            }
            if point.settle() {
                eprintln!("{:<12} {}", figures.name(), point.told());
                figures.add(point);
            }
        }
        curves.add(figures);
    }
    if let Some(path) = &plan.svg {
        write(path, &plot::svg(&curves)?)?;
    }
    Ok(curves)
}

/// The powers of ten up to `max`, and `max`.
fn steps(max: u32) -> Vec<u32> {
    let powers = std::iter::successors(Some(1_u32), |step| step.checked_mul(10));
    let mut steps: Vec<u32> = powers.take_while(|step| *step < max).collect();
    steps.push(max);
    steps
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    let doing = || format!("writing {}", path.display());
    fs::write(path, text).map_err(|error| BenchError::system(doing(), error))
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn steps_are_powers_of_ten_and_the_maximum() {
        assert_eq!(steps(1), [1]);
        assert_eq!(steps(100), [1, 10, 100]);
        assert_eq!(steps(2500), [1, 10, 100, 1000, 2500]);
    }
}
