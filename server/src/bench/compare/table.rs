//! A comparison as tables that fit a terminal of 80 columns.

use std::fmt::{self, Display};

use super::report::{Comparison, Row, WorkloadFigures};
use super::workload::Unit;
use crate::bench::report::grouped;

/// The column of names, which are cut to it.
const NAME: usize = 17;

/// A column: its head, its width, and what stands in a row of it.
struct Column {
    head: String,
    width: usize,
    cell: fn(&Row) -> Option<String>,
}

impl Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for about in &self.brokers {
            let pid = about.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
            let (name, product, uri) = (&about.name, &about.product, &about.uri);
            writeln!(f, "{name:<NAME$} {product} at {uri}, process {pid}")?;
        }
        let Self { rounds, seconds, warmup_s, processors, .. } = self;
        writeln!(
            f,
            "\nmedians of {rounds} rounds in turn, each of {seconds} s after {warmup_s} s; \
             {processors} processors"
        )?;
        if self.interrupted {
            writeln!(f, "ended early")?;
        }
        self.workloads.iter().try_for_each(|workload| workload.write(f, &self.base))
    }
}

impl WorkloadFigures {
    fn write(&self, f: &mut fmt::Formatter<'_>, base: &str) -> fmt::Result {
        writeln!(f, "\n{}: {}", self.name, self.title)?;
        let columns = columns(self.unit, base);
        write!(f, "{:NAME$}", "")?;
        for Column { head, width, .. } in &columns {
            write!(f, "{head:>width$}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<NAME$}", cut(row.name(), NAME - 1))?;
            for Column { width, cell, .. } in &columns {
                let text = row.median.and_then(|_| cell(row)).unwrap_or_else(|| "-".into());
                write!(f, "{text:>width$}")?;
            }
            writeln!(f)?;
            if let Some(failure) = &row.failure {
                writeln!(f, "  {failure}")?;
            }
        }
        Ok(())
    }
}

/// What is told of a workload with this unit.
fn columns(unit: Unit, base: &str) -> Vec<Column> {
    let column = |head: &str, width, cell| Column { head: head.into(), width, cell };
    let to_base = format!("/ {}", cut(base, 8));
    let value = |row: &Row| Some(figure(row.median?.value));
    let cpu = column("CPU µs", 9, |row| Some(format!("{:.3}", row.median?.cpu_us?)));
    let peak = column("peak MiB", 10, |row| {
        Some(format!("{:.1}", row.median?.memory_peak_bytes? as f64 / f64::from(1 << 20)))
    });
    let base = |cell| column(&to_base, 11, cell);
    match unit {
        Unit::PerSecond => vec![
            column("per second", 12, value),
            column("/ floor", 10, |row| ratio(row.of_floor?.value)),
            base(|row| ratio(row.of_base?.value)),
            cpu,
            base(|row| ratio(row.of_base?.cpu_us)),
            peak,
        ],
        Unit::Microseconds => vec![
            column("p50 µs", 12, value),
            column("/ floor", 10, |row| ratio(row.of_floor?.value)),
            column("p99 µs", 11, |row| Some(figure(row.median?.p99?))),
            column("/ floor", 9, |row| ratio(row.of_floor?.p99)),
            column("CPU µs", 11, |row| Some(format!("{:.1}", row.median?.cpu_us?))),
            peak,
        ],
        Unit::Bytes => {
            vec![column("bytes each", 12, value), base(|row| ratio(row.of_base?.value)), peak]
        }
        Unit::Milliseconds => vec![
            column("ms", 12, value),
            column("/ floor", 10, |row| ratio(row.of_floor?.value)),
            base(|row| ratio(row.of_base?.value)),
            cpu,
            base(|row| ratio(row.of_base?.cpu_us)),
            peak,
        ],
    }
}

/// What a figure is in.
pub(super) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "per second",
        Unit::Microseconds => "µs at the median",
        Unit::Bytes => "bytes each",
        Unit::Milliseconds => "ms",
    }
}

/// With as many digits as mean anything.
pub(super) fn figure(value: f64) -> String {
    if value < 1000.0 { format!("{value:.1}") } else { grouped(value.round() as u64) }
}

fn ratio(ratio: Option<f64>) -> Option<String> {
    let ratio = ratio?;
    Some(match ratio {
        ..0.1 => format!("{ratio:.3}"),
        ..10.0 => format!("{ratio:.2}"),
        _ => format!("{ratio:.1}"),
    })
}

/// The first characters of a text.
fn cut(text: &str, len: usize) -> String {
    text.chars().take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::figures;
    use super::*;

    struct Table(WorkloadFigures);

    impl Display for Table {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write(f, "other")
        }
    }

    #[test]
    fn a_table_fits_a_terminal_whatever_is_measured() {
        let long = "a-broker-with-a-very-long-name.example:5672";
        for unit in [Unit::PerSecond, Unit::Microseconds, Unit::Bytes, Unit::Milliseconds] {
            let rows: [(&str, &[(f64, f64)]); 3] = [
                ("floor", &[(4_000_000.0, 0.1)]),
                (long, &[(100.0, 12345.678)]),
                ("other", &[(1_600_000.0, 0.62)]),
            ];
            let table = Table(figures(unit, &rows)).to_string();
            for line in table.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn a_row_has_its_figures_in_their_columns() {
        let rows: [(&str, &[(f64, f64)]); 3] = [
            ("floor", &[(2_000_000.0, 0.25)]),
            ("one", &[(1_000_000.0, 0.5)]),
            ("other", &[(50_000.0, 10.0)]),
        ];
        let table = Table(figures(Unit::PerSecond, &rows)).to_string();
        let one = table.lines().find(|line| line.starts_with("one")).unwrap();
        let cells: Vec<&str> = one.split_whitespace().collect();
        assert_eq!(cells, ["one", "1,000,000", "0.50", "20.0", "0.500", "0.050", "100.0"]);
    }
}
