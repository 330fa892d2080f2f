//! Which of a channel's published messages the broker has answered for.
//!
//! Confirms come for one message or for all up to one, in any order. Each message is counted once;
//! an answer to what was not published, or was answered before, is an error of the broker's.

use super::error::BenchError;
use super::scan::Confirm;

/// How many times the window the numbers of unanswered messages may span, when a broker confirms
/// out of order: one message that stays unanswered must not hold up the rest at once.
const SPAN: u64 = 8;

/// The unanswered messages of one channel, of which there are never more than the window allows.
pub(super) struct ConfirmWindow {
    window: u64,
    /// Messages answered so far.
    count: u64,
    /// The lowest sequence number that is unanswered; the first message has 1.
    lowest: u64,
    /// One bit for each number from `lowest` on, at the number modulo the capacity: answered.
    answered: Box<[u64]>,
    mask: u64,
}

impl ConfirmWindow {
    /// For at most `window` messages unanswered at a time.
    pub(super) fn new(window: u32) -> Self {
        let window = u64::from(window);
        let capacity = (window * SPAN).next_power_of_two().max(64);
        let words = usize::try_from(capacity / 64).expect("a window is at most 32 bits");
        let answered = vec![0; words].into_boxed_slice();
        Self { window, count: 0, lowest: 1, answered, mask: capacity - 1 }
    }

    /// No two unanswered messages' numbers are further apart than this.
    pub(super) fn span(&self) -> usize {
        usize::try_from(self.mask + 1).expect("a bit for each is in memory")
    }

    /// The highest sequence number that may be given out by now.
    #[inline]
    pub(super) fn limit(&self) -> u64 {
        (self.count + self.window).min(self.lowest + self.mask)
    }

    /// Takes an answer, `published` being the highest sequence number given out so far, which
    /// [`limit`](Self::limit) allowed; calls `newly` with each number that it answers.
    ///
    /// # Errors
    ///
    /// If the broker answers for what was not published or twice for the same message.
    #[inline]
    pub(super) fn settle(
        &mut self,
        confirm: Confirm,
        published: u64,
        mut newly: impl FnMut(u64),
    ) -> Result<(), BenchError> {
        // Tag 0 with `multiple` means all so far.
        let tag = match confirm {
            Confirm { tag: 0, multiple: true, .. } => published,
            Confirm { tag, .. } => tag,
        };
        if tag > published {
            return Err(BenchError::Protocol(format!(
                "it confirmed message {tag} of {published} that were published"
            )));
        }
        if confirm.multiple {
            // A broker may repeat a tag below all that is open: then there is nothing to answer.
            while self.lowest <= tag {
                if !self.take_bit(self.lowest) {
                    self.count += 1;
                    newly(self.lowest);
                }
                self.lowest += 1;
            }
        } else {
            if tag < self.lowest || self.bit(tag) {
                return Err(BenchError::Protocol(format!("it confirmed message {tag} twice")));
            }
            self.count += 1;
            newly(tag);
            if tag != self.lowest {
                self.set_bit(tag);
                return Ok(());
            }
            self.lowest += 1;
        }
        while self.take_bit(self.lowest) {
            self.lowest += 1;
        }
        Ok(())
    }

    fn place(&self, tag: u64) -> (usize, u64) {
        let place = tag & self.mask;
        (usize::try_from(place / 64).expect("below the number of words"), 1 << (place % 64))
    }

    fn bit(&self, tag: u64) -> bool {
        let (word, bit) = self.place(tag);
        self.answered[word] & bit != 0
    }

    fn set_bit(&mut self, tag: u64) {
        let (word, bit) = self.place(tag);
        self.answered[word] |= bit;
    }

    /// Clears the bit and returns what it was.
    fn take_bit(&mut self, tag: u64) -> bool {
        let (word, bit) = self.place(tag);
        let was = self.answered[word] & bit != 0;
        self.answered[word] &= !bit;
        was
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn single(tag: u64) -> Confirm {
        Confirm { tag, multiple: false, refused: false }
    }

    fn multiple(tag: u64) -> Confirm {
        Confirm { tag, multiple: true, refused: false }
    }

    fn settled(window: &mut ConfirmWindow, confirm: Confirm, published: u64) -> Vec<u64> {
        let mut newly = Vec::new();
        window.settle(confirm, published, |tag| newly.push(tag)).unwrap();
        newly
    }

    #[test]
    fn multiple_answers_for_what_single_confirms_left_open() {
        let mut window = ConfirmWindow::new(10);
        assert_eq!(settled(&mut window, single(2), 6), [2]);
        assert_eq!(settled(&mut window, single(5), 6), [5]);
        assert_eq!(settled(&mut window, multiple(4), 6), [1, 3, 4]);
        assert!(settled(&mut window, multiple(4), 6).is_empty());
        assert_eq!(settled(&mut window, multiple(0), 6), [6], "tag 0 is all so far");
    }

    #[test]
    fn answers_that_cannot_be_are_errors() {
        let mut window = ConfirmWindow::new(10);
        assert!(window.settle(single(4), 3, |_| ()).is_err(), "never published");
        assert!(window.settle(multiple(4), 3, |_| ()).is_err(), "never published");
        assert!(window.settle(single(0), 3, |_| ()).is_err(), "no message has the number 0");
        settled(&mut window, single(1), 3);
        assert!(window.settle(single(1), 3, |_| ()).is_err(), "twice, all before answered");
        settled(&mut window, single(3), 3);
        assert!(window.settle(single(3), 3, |_| ()).is_err(), "twice, out of order");
    }

    #[test]
    fn the_limit_keeps_the_window_and_the_span() {
        let mut window = ConfirmWindow::new(10);
        assert_eq!(window.limit(), 10);
        settled(&mut window, multiple(4), 10);
        assert_eq!(window.limit(), 14);
        // Message 5 stays open while all others are answered at once.
        let mut published = 5;
        while published < window.limit() {
            published += 1;
            settled(&mut window, single(published), published);
        }
        assert_eq!(published, 5 + 127, "80 rounded up to a power of two, from 5 on");
        settled(&mut window, single(5), published);
        assert_eq!(window.limit(), published + 10);
    }

    #[test]
    fn any_order_of_confirms_counts_each_message_once() {
        let (mut window, mut open) = (ConfirmWindow::new(100), BTreeSet::new());
        let (mut published, mut random) = (0_u64, 1_u64);
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let choice = random >> 33;
            for _ in 0..choice % 40 {
                if published < window.limit() {
                    published += 1;
                    open.insert(published);
                }
            }
            assert!(open.len() <= 100);
            if open.is_empty() {
                continue;
            }
            let nth = usize::try_from(choice).unwrap() % open.len();
            let tag = *open.iter().nth(nth).unwrap();
            if choice.is_multiple_of(11) {
                let rest = open.split_off(&(tag + 1));
                let expected: Vec<u64> = std::mem::replace(&mut open, rest).into_iter().collect();
                assert_eq!(settled(&mut window, multiple(tag), published), expected);
            } else {
                open.remove(&tag);
                assert_eq!(settled(&mut window, single(tag), published), [tag]);
            }
        }
        assert!(published > 10_000);
    }
}
