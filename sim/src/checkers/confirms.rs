//! Every publish on a confirm channel is answered exactly once, none before its return, and
//! `multiple` answers all up to it. Nothing is confirmed, committed or declared well before the
//! platter of the disk has it, whatever the broker believes.

use std::collections::{BTreeMap, BTreeSet};

use super::Failure;

const ID: &str = "confirms";

/// One channel's publishes and their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirms {
    published: u64,
    /// Not answered yet: which message, and whether its return is still to come.
    open: BTreeMap<u64, (usize, bool)>,
    /// Those of them that a queue refused.
    refused: BTreeSet<u64>,
}

impl Confirms {
    /// A publish of a message; gives its number, from 1.
    pub fn publish(&mut self, message: usize, is_returned: bool) -> u64 {
        self.published += 1;
        self.open.insert(self.published, (message, is_returned));
        self.published
    }

    /// A queue refused the publish: it is to be answered so.
    pub fn refuse(&mut self, number: u64) {
        self.refused.insert(number);
    }

    /// How many publishes there were.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published
    }

    /// The publish came back.
    pub fn returned(&mut self, number: u64) {
        if let Some((_, awaits_return)) = self.open.get_mut(&number) {
            *awaits_return = false;
        }
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// When it is for nothing, too early, or negative without need.
    pub fn check(&self, number: u64, is_multiple: bool, is_nack: bool) -> Result<(), Failure> {
        let wrong = self.answered(number, is_multiple);
        if let Some(wrong) = wrong.into_iter().find(|one| self.refused.contains(one) != is_nack) {
            let text = match is_nack {
                true => format!("publish {wrong} is refused without a reason"),
                false => format!("publish {wrong} is confirmed, and a queue refused it"),
            };
            return Err(Failure::new(ID, text));
        }
        let mut answered = self.answered(number, is_multiple).peekable();
        if answered.peek().is_none() {
            let text = format!(
                "publish {number} is confirmed, but of {} publishes these are open: {:?}",
                self.published,
                self.open.keys().take(10).collect::<Vec<_>>(),
            );
            return Err(Failure::new(ID, text));
        }
        if number > self.published {
            return Err(Failure::new(ID, format!("{number} is confirmed and was not published")));
        }
        match answered.find(|number| self.open[number].1) {
            Some(early) => {
                Err(Failure::new(ID, format!("publish {early} is confirmed before its return")))
            }
            None => Ok(()),
        }
    }

    /// Takes note of an answer that was checked; gives the messages that it is about.
    pub fn apply(&mut self, number: u64, is_multiple: bool) -> Vec<usize> {
        let answered: Vec<u64> = self.answered(number, is_multiple).collect();
        answered.into_iter().filter_map(|number| Some(self.open.remove(&number)?.0)).collect()
    }

    /// Checks that nothing is left to answer.
    ///
    /// # Errors
    /// When something is.
    pub fn check_all_answered(&self) -> Result<(), Failure> {
        match self.open.keys().next() {
            Some(number) => Err(Failure::new(ID, format!("publish {number} is never answered"))),
            None => Ok(()),
        }
    }

    fn answered(&self, number: u64, is_multiple: bool) -> impl Iterator<Item = u64> + '_ {
        let first = if is_multiple { 0 } else { number };
        self.open.range(first..=number).map(|(open, _)| *open)
    }
}

/// Checks that a message is on the platter which somebody was told is safe.
///
/// # Errors
/// When it is not.
pub fn check_on_disk(name: &str, is_on_disk: bool) -> Result<(), Failure> {
    if is_on_disk {
        return Ok(());
    }
    Err(Failure::about(name, ID, format!("{name} is said to be safe, and is not on the disk")))
}

/// Checks that a queue or exchange is on the platter which somebody was told is declared.
///
/// # Errors
/// When it is not.
pub fn check_declared(name: &str, is_on_disk: bool) -> Result<(), Failure> {
    if is_on_disk {
        return Ok(());
    }
    Err(Failure::new(ID, format!("{name} is said to be declared, and is not on the disk")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Confirms {
        let mut confirms = Confirms::default();
        (0..3).for_each(|_| {
            confirms.publish(0, false);
        });
        confirms
    }

    #[test]
    fn multiple_answers_all_up_to_it() {
        let mut confirms = three();
        assert_eq!(confirms.check(2, true, false), Ok(()));
        confirms.apply(2, true);
        assert!(confirms.check_all_answered().is_err());
        assert_eq!(confirms.check(3, false, false), Ok(()));
        confirms.apply(3, false);
        assert_eq!(confirms.check_all_answered(), Ok(()));
    }

    #[test]
    fn a_second_answer_fails() {
        let mut confirms = three();
        confirms.apply(2, false);
        assert!(confirms.check(2, false, false).is_err());
    }

    #[test]
    fn an_answer_to_nothing_fails() {
        assert!(three().check(4, false, false).is_err());
        assert!(three().check(4, true, false).is_err());
    }

    #[test]
    fn an_answer_before_the_return_fails() {
        let mut confirms = Confirms::default();
        confirms.publish(0, true);
        assert!(confirms.check(1, false, false).is_err());
        confirms.returned(1);
        assert_eq!(confirms.check(1, false, false), Ok(()));
    }

    #[test]
    fn what_is_said_to_be_safe_must_be_on_the_disk() {
        assert_eq!(check_on_disk("m1", true), Ok(()));
        assert!(check_on_disk("m1", false).is_err());
        assert_eq!(check_declared("q", true), Ok(()));
        assert!(check_declared("q", false).is_err());
    }

    #[test]
    fn a_nack_without_a_reason_fails() {
        assert!(three().check(1, false, true).is_err());
    }
}
