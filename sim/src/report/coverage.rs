//! Which of the broker's marks runs reached, how often, and where first.

use std::fmt::Write;

use serde_json::{Value, json};
use warren_core::{Mark, MarkClass, MarkCounts};

use super::{BAD, GOOD, STRONG, grouped};

const CLASSES: [MarkClass; 4] =
    [MarkClass::Common, MarkClass::Nightly, MarkClass::Rare, MarkClass::Unreachable];

/// Which marks many seeds reached.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// How many seeds were played.
    seeds: u64,
    /// In the order of [`Mark::ALL`].
    tallies: [Tally; Mark::ALL.len()],
}

/// How one mark was reached.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: u64,
    /// By so many seeds.
    seeds: u64,
    first: Option<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { seeds: 0, tallies: [Tally::default(); Mark::ALL.len()] }
    }
}

impl Coverage {
    /// Adds what a seed reached.
    pub(crate) fn add(&mut self, seed: u64, counts: &MarkCounts) {
        self.seeds += 1;
        for (mark, count) in counts.reached() {
            let tally = &mut self.tallies[mark as usize];
            tally.count += count;
            tally.seeds += 1;
            tally.first = Some(tally.first.map_or(seed, |first| first.min(seed)));
        }
    }

    /// Whether there is anything to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.seeds == 0
    }

    fn of(&self, class: MarkClass) -> impl Iterator<Item = (Mark, &Tally)> {
        let all = Mark::ALL.into_iter().zip(&self.tallies);
        all.filter(move |(mark, _)| mark.class() == class)
    }

    /// How many marks of a class were reached, and how many there are.
    fn reached(&self, class: MarkClass) -> (usize, usize) {
        let reached = self.of(class).filter(|(_, tally)| tally.count > 0).count();
        (reached, self.of(class).count())
    }

    /// Common marks that were not reached, and those that were and never should be.
    pub(crate) fn gaps(&self) -> Vec<Mark> {
        let missing = self.of(MarkClass::Common).filter(|(_, tally)| tally.count == 0);
        let wrong = self.of(MarkClass::Unreachable).filter(|(_, tally)| tally.count > 0);
        missing.chain(wrong).map(|(mark, _)| mark).collect()
    }

    /// What is wrong with it, a mark a line; nothing if nothing is.
    pub(crate) fn complaints(&self) -> String {
        let mut text = String::new();
        for mark in self.gaps() {
            let what = match mark.class() {
                MarkClass::Unreachable => "was reached, and never should be",
                _ => "is common, and was not reached",
            };
            let (name, meaning) = (mark.name(), mark.meaning());
            let _ = writeln!(text, "{BAD}mark {name} {what}{BAD:#}: {meaning}");
        }
        text
    }

    /// One line about all classes.
    pub(crate) fn line(&self) -> String {
        let classes = CLASSES.map(|class| {
            let (reached, all) = self.reached(class);
            let is_bad = match class {
                MarkClass::Common => reached < all,
                MarkClass::Unreachable => reached > 0,
                MarkClass::Nightly | MarkClass::Rare => false,
            };
            let text = format!("{reached} of {all} {}", class.name());
            if is_bad { format!("{BAD}{text}{BAD:#}") } else { text }
        });
        classes.join(", ")
    }

    /// All marks, by class; in each the rarest first.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for class in CLASSES {
            let (reached, all) = self.reached(class);
            let title = format!("{} ({reached} of {all})", class.name());
            let (times, seeds, first) = ("times", "seeds", "first");
            let _ =
                writeln!(text, "{STRONG}{title:<26} {times:>11} {seeds:>7} {first:>10}{STRONG:#}");
            let mut marks: Vec<_> = self.of(class).collect();
            marks.sort_by_key(|(mark, tally)| (tally.seeds, *mark));
            for (mark, tally) in marks {
                let _ = writeln!(text, "{}", row(mark, tally));
            }
            text.push('\n');
        }
        text
    }

    /// The verdict, for a person.
    pub(crate) fn verdict(&self) -> String {
        match self.gaps().len() {
            0 => format!("{GOOD}every common mark was reached{GOOD:#}\n"),
            _ => self.complaints(),
        }
    }

    /// The same for a machine.
    pub(crate) fn json(&self) -> Value {
        let marks = Mark::ALL.iter().zip(&self.tallies).map(|(mark, tally)| {
            json!({
                "name": mark.name(),
                "class": mark.class().name(),
                "meaning": mark.meaning(),
                "times": tally.count,
                "seeds": tally.seeds,
                "first": tally.first,
            })
        });
        json!({
            "seeds": self.seeds,
            "gaps": self.gaps().iter().map(|mark| mark.name()).collect::<Vec<_>>(),
            "marks": marks.collect::<Vec<_>>(),
        })
    }
}

fn row(mark: Mark, tally: &Tally) -> String {
    let (name, meaning) = (mark.name(), mark.meaning());
    let (times, seeds) = (grouped(tally.count), grouped(tally.seeds));
    let first = tally.first.map_or("-".to_owned(), |seed| seed.to_string());
    format!("  {name:<24} {times:>11} {seeds:>7} {first:>10}  {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_reached_is_named() {
        let mut coverage = Coverage::default();
        assert!(coverage.is_empty());
        coverage.add(7, &MarkCounts::default());
        let common = Mark::ALL.iter().filter(|mark| mark.class() == MarkClass::Common).count();
        assert_eq!(coverage.gaps().len(), common);
        assert!(coverage.complaints().contains("mark first-start is common"));
        assert!(coverage.line().contains(&format!("0 of {common} common")));
        assert_eq!(coverage.table().lines().count(), Mark::ALL.len() + 2 * CLASSES.len());
    }
}
