//! The figures of a comparison: medians, and what they are of others'.

use std::thread;

use serde::Serialize;

use super::contender::Contender;
use super::options::{ComparePlan, FLOOR};
use super::workload::{Sample, Unit, Workload};
use crate::bench::error::BenchError;

/// All figures.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Comparison {
    measurement: &'static str,
    /// Processors of this machine, which ran the load generator too.
    pub(super) processors: usize,
    pub(super) brokers: Vec<About>,
    /// Against whom others are measured.
    pub(super) base: String,
    pub(super) rounds: u32,
    pub(super) warmup_s: f64,
    pub(super) seconds: f64,
    /// Whether the user ended it early.
    pub(super) interrupted: bool,
    pub(super) workloads: Vec<WorkloadFigures>,
}

/// Who was measured.
#[derive(Debug, Serialize)]
pub(super) struct About {
    pub(super) name: String,
    /// What it calls itself.
    pub(super) product: String,
    pub(super) uri: String,
    pub(super) pid: Option<u32>,
}

/// The figures of one workload.
#[derive(Debug, Serialize)]
pub(super) struct WorkloadFigures {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) unit: Unit,
    /// The same behind `warren bench`.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    pub(super) rows: Vec<Row>,
}

/// Those of one broker in it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    broker: String,
    /// The median of each figure.
    #[serde(flatten)]
    pub(super) median: Option<Sample>,
    /// What the medians are of the floor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_floor: Option<Ratios>,
    /// What they are of the base's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_base: Option<Ratios>,
    /// Why there are no figures, or fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    rounds: Vec<Sample>,
}

/// Figures divided by another's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratios {
    pub(super) value: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) cpu_us: Option<f64>,
}

impl Comparison {
    pub(super) fn new(plan: &ComparePlan, contenders: &[Contender]) -> Self {
        let about = |contender: &Contender| About {
            name: contender.name.clone(),
            product: contender.product.clone(),
            uri: contender.uri.to_string(),
            pid: contender.pid,
        };
        Self {
            measurement: "compare",
            processors: thread::available_parallelism().map_or(1, usize::from),
            brokers: contenders.iter().map(about).collect(),
            base: plan.base.clone(),
            rounds: plan.rounds,
            warmup_s: plan.size.warmup.as_secs_f64(),
            seconds: plan.size.duration.as_secs_f64(),
            interrupted: false,
            workloads: Vec::new(),
        }
    }

    /// Takes in a workload of which nothing is measured any more.
    pub(super) fn add(&mut self, mut figures: WorkloadFigures) {
        figures.settle(&self.base);
        self.workloads.push(figures);
    }

    /// All of it; an error if there is no figure at all.
    pub(super) fn end(mut self, interrupted: bool) -> Result<Self, BenchError> {
        self.interrupted = interrupted;
        let mut rows = self.workloads.iter().flat_map(|workload| &workload.rows);
        match rows.any(|row| row.median.is_some()) {
            true => Ok(self),
            false => Err(BenchError::Interrupted),
        }
    }
}

impl WorkloadFigures {
    pub(super) fn new(plan: &ComparePlan, workload: Workload, contenders: &[Contender]) -> Self {
        let those = contenders.iter().filter(|contender| workload.is_for(contender));
        Self {
            name: workload.name(),
            title: workload.title(&plan.size),
            unit: workload.unit(),
            command: workload.words(&plan.size),
            rows: those.map(|contender| Row::new(&contender.name)).collect(),
        }
    }

    /// The row of this name, which is made if there is none.
    pub(super) fn row(&mut self, name: &str) -> &mut Row {
        let found = self.rows.iter().position(|row| row.broker == name);
        let at = found.unwrap_or_else(|| {
            self.rows.push(Row::new(name));
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// Finds the medians, and holds them against each other.
    fn settle(&mut self, base: &str) {
        for row in &mut self.rows {
            row.median = median_of(&row.rounds);
        }
        let of = |name| self.rows.iter().find(|row| row.broker == name)?.median;
        let (floor, base) = (of(FLOOR), of(base));
        for row in &mut self.rows {
            let ratios = |other| Some(Ratios::new(&row.median?, &other?));
            (row.of_floor, row.of_base) = (ratios(floor), ratios(base));
        }
    }
}

impl Row {
    fn new(name: &str) -> Self {
        let broker = name.to_owned();
        let (median, of_floor, of_base, failure) = (None, None, None, None);
        Self { broker, median, of_floor, of_base, failure, rounds: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.broker
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn add(&mut self, measured: Result<Sample, BenchError>) {
        match measured {
            Ok(sample) => self.rounds.push(sample),
            Err(error) => self.failure = Some(error.to_string()),
        }
    }
}

impl Ratios {
    fn new(one: &Sample, other: &Sample) -> Self {
        let between = |one: Option<f64>, other: Option<f64>| {
            Some(one? / other?).filter(|ratio| ratio.is_finite())
        };
        Self {
            value: between(Some(one.value), Some(other.value)),
            p99: between(one.p99, other.p99),
            cpu_us: between(one.cpu_us, other.cpu_us),
        }
    }
}

/// The median of each figure by itself; `None` without a sample.
fn median_of(samples: &[Sample]) -> Option<Sample> {
    let of = |figure: fn(&Sample) -> Option<f64>| median(samples.iter().filter_map(figure));
    Some(Sample {
        value: of(|sample| Some(sample.value))?,
        p99: of(|sample| sample.p99),
        cpu_us: of(|sample| sample.cpu_us),
        memory_peak_bytes: of(|sample| sample.memory_peak_bytes.map(|bytes| bytes as f64))
            .map(|bytes| bytes as u64),
    })
}

/// The middle one, or the mean of the two in the middle.
pub(in crate::bench) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures.len().checked_sub(1)? / 2, figures.len() / 2);
    Some((figures[low] + figures[high]) / 2.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Figures as they come of rounds: brokers, and the value and CPU time of each round.
    pub(in super::super) fn figures(unit: Unit, rows: &[(&str, &[(f64, f64)])]) -> WorkloadFigures {
        let mut figures = WorkloadFigures {
            name: "transient-16".into(),
            title: "16 B, transient, automatic acks".into(),
            unit,
            command: None,
            rows: Vec::new(),
        };
        for (name, rounds) in rows {
            for (value, cpu) in *rounds {
                let p99 = (unit == Unit::Microseconds).then_some(2.0 * value);
                let memory_peak_bytes = Some(100 << 20);
                let cpu_us = Some(*cpu);
                let sample = Sample { value: *value, p99, cpu_us, memory_peak_bytes };
                figures.row(name).add(Ok(sample));
            }
        }
        figures.settle("other");
        figures
    }

    #[test]
    fn a_median_is_the_middle_of_an_odd_number_and_between_the_middle_ones_of_an_even() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn ratios_are_between_medians() {
        let rounds = [(10.0, 1.0), (1000.0, 2.0), (20.0, 3.0)];
        let figures = figures(
            Unit::PerSecond,
            &[(FLOOR, &[(40.0, 0.5)]), ("one", &rounds), ("other", &[(5.0, 8.0)])],
        );
        let one = &figures.rows[1];
        assert_eq!(one.median.map(|median| (median.value, median.cpu_us)), Some((20.0, Some(2.0))));
        let of = |ratios: Option<Ratios>| ratios.map(|ratios| (ratios.value, ratios.cpu_us));
        assert_eq!(of(one.of_floor), Some((Some(0.5), Some(4.0))));
        assert_eq!(of(one.of_base), Some((Some(4.0), Some(0.25))));
    }

    #[test]
    fn who_failed_has_what_was_measured_before_and_the_reason() {
        let mut row = Row::new("one");
        row.add(Ok(Sample { value: 3.0, ..Sample::default() }));
        row.add(Err(BenchError::Interrupted));
        assert!(row.has_failed());
        assert_eq!(median_of(&row.rounds).map(|median| median.value), Some(3.0));
    }
}
