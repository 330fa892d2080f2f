//! Every publish on a confirm channel is answered exactly once, none before its return, and
//! `multiple` answers all up to it.

use std::collections::{BTreeMap, BTreeSet};

use super::Failure;

const ID: &str = "confirms";

/// One channel's publishes and their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirms {
    published: u64,
    /// Not answered yet; true while its return is still to come.
    open: BTreeMap<u64, bool>,
}

impl Confirms {
    /// A publish; gives its number, from 1.
    pub fn publish(&mut self, is_returned: bool) -> u64 {
        self.published += 1;
        self.open.insert(self.published, is_returned);
        self.published
    }

    /// How many publishes there were.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published
    }

    /// The publish came back.
    pub fn returned(&mut self, number: u64) {
        if let Some(awaits_return) = self.open.get_mut(&number) {
            *awaits_return = false;
        }
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// When it is for nothing, too early, or negative without need.
    pub fn check(&self, number: u64, is_multiple: bool, is_nack: bool) -> Result<(), Failure> {
        if is_nack {
            return Err(Failure::new(ID, format!("publish {number} is refused without a reason")));
        }
        let answered = self.answered(number, is_multiple);
        if answered.is_empty() || !is_multiple && !self.open.contains_key(&number) {
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
        match answered.iter().find(|number| self.open[number]) {
            Some(early) => {
                Err(Failure::new(ID, format!("publish {early} is confirmed before its return")))
            }
            None => Ok(()),
        }
    }

    /// Takes note of an answer that was checked.
    pub fn apply(&mut self, number: u64, is_multiple: bool) {
        for answered in self.answered(number, is_multiple) {
            self.open.remove(&answered);
        }
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

    fn answered(&self, number: u64, is_multiple: bool) -> BTreeSet<u64> {
        let open = self.open.keys().copied();
        open.filter(|open| *open == number || is_multiple && *open < number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Confirms {
        let mut confirms = Confirms::default();
        (0..3).for_each(|_| {
            confirms.publish(false);
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
        confirms.publish(true);
        assert!(confirms.check(1, false, false).is_err());
        confirms.returned(1);
        assert_eq!(confirms.check(1, false, false), Ok(()));
    }

    #[test]
    fn a_nack_without_a_reason_fails() {
        assert!(three().check(1, false, true).is_err());
    }
}
