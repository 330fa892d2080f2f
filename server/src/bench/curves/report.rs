//! The figures of the curves, as a table and as JSON.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;

use super::curve::Curve;
use crate::bench::compare::contender::Contender;
use crate::bench::compare::median;
use crate::bench::error::BenchError;
use crate::bench::report::grouped;

/// All curves.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Curves {
    measurement: &'static str,
    /// What the broker calls itself.
    pub(super) broker: String,
    uri: String,
    pub(super) curves: Vec<CurveFigures>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct CurveFigures {
    name: String,
    pub(super) title: &'static str,
    pub(super) points: Vec<Point>,
}

/// What a message costs with so many of what the curve is about.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    pub(super) number: u32,
    /// The broker's CPU time for each message, at the median.
    pub(super) cpu_us_per_message: f64,
    per_s: f64,
    rounds: Vec<Cost>,
}

/// What one measurement came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Cost {
    cpu_us_per_message: f64,
    per_s: f64,
}

impl Cost {
    /// An error if no message went through.
    pub(super) fn new(used: Duration, messages: u64, time: Duration) -> Result<Self, BenchError> {
        if messages == 0 {
            return Err(BenchError::Interrupted);
        }
        let messages = messages as f64;
        let cpu_us_per_message = used.as_secs_f64() * 1e6 / messages;
        Ok(Self { cpu_us_per_message, per_s: messages / time.as_secs_f64() })
    }
}

impl Point {
    pub(super) fn new(number: u32) -> Self {
        Self { number, cpu_us_per_message: 0.0, per_s: 0.0, rounds: Vec::new() }
    }

    pub(super) fn add(&mut self, cost: Cost) {
        self.rounds.push(cost);
    }

    /// Finds the medians; whether there are any.
    pub(super) fn settle(&mut self) -> bool {
        let of = |figure: fn(&Cost) -> f64| median(self.rounds.iter().map(figure));
        let found = of(|cost| cost.cpu_us_per_message).zip(of(|cost| cost.per_s));
        if let Some((cpu, per_s)) = found {
            (self.cpu_us_per_message, self.per_s) = (cpu, per_s);
        }
        found.is_some()
    }

    /// In a line.
    pub(super) fn told(&self) -> String {
        let (number, per_s) = (grouped(self.number.into()), grouped(self.per_s.round() as u64));
        format!("{number:>12}{:>10.3} µs{per_s:>14}/s", self.cpu_us_per_message)
    }
}

impl CurveFigures {
    pub(super) fn new(curve: Curve) -> Self {
        Self { name: curve.name(), title: curve.title(), points: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn add(&mut self, point: Point) {
        self.points.push(point);
    }
}

impl Curves {
    pub(super) fn new(broker: &Contender) -> Self {
        let (broker, uri) = (broker.product.clone(), broker.uri.to_string());
        Self { measurement: "curves", broker, uri, curves: Vec::new() }
    }

    pub(super) fn add(&mut self, figures: CurveFigures) {
        self.curves.push(figures);
    }
}

impl Display for Curves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "CPU time for each message of {} at {}", self.broker, self.uri)?;
        for CurveFigures { name, title, points } in &self.curves {
            writeln!(f, "\n{name}: {title}")?;
            for point in points {
                let times = point.cpu_us_per_message / points[0].cpu_us_per_message;
                writeln!(f, "{}{times:>8.2} x", point.told())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A curve of these points.
    pub(in super::super) fn curves(points: &[(u32, f64)]) -> Curves {
        let mut figures = CurveFigures::new(Curve::Queues);
        for (number, cpu_us_per_message) in points {
            let mut point = Point::new(*number);
            point.add(Cost { cpu_us_per_message: *cpu_us_per_message, per_s: 1000.0 });
            assert!(point.settle());
            figures.add(point);
        }
        let (broker, uri) = ("Some Broker 1.0".into(), "amqp://h/".into());
        Curves { measurement: "curves", broker, uri, curves: vec![figures] }
    }

    #[test]
    fn each_point_is_held_against_the_first() {
        let table = curves(&[(1, 0.5), (1000, 0.75)]).to_string();
        assert!(table.contains("1,000     0.750 µs         1,000/s    1.50 x"), "{table}");
    }

    #[test]
    fn a_cost_is_of_the_messages_of_its_time() {
        let cost = Cost::new(Duration::from_secs(1), 4_000_000, Duration::from_secs(2)).unwrap();
        assert_eq!(cost, Cost { cpu_us_per_message: 0.25, per_s: 2_000_000.0 });
        assert!(Cost::new(Duration::from_secs(1), 0, Duration::from_secs(2)).is_err());
    }
}
