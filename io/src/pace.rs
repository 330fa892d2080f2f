//! How much a turn of a connection reads.
//!
//! Every turn has its price, the reading and writing of sockets most of all, so a connection from
//! which large messages come without an end is better read in large pieces. But nobody may have
//! the thread for long, and what takes long is the frames, not the bytes. So the turns of a
//! connection that is always full grow, as long as they have few frames. All others stay short: a
//! client that waits for what comes of its messages sends the next while these are on their way.

/// Reads are never limited to less than this, in bytes.
pub(crate) const READ_LEN_MIN: usize = 64 << 10;

/// The most that one turn reads, in bytes.
pub(crate) const READ_LEN_MAX: usize = 256 << 10;

/// No turn grows beyond what would have had more frames, judging by the turn before: some fraction
/// of a millisecond.
const FRAMES_MAX: usize = 1024;

/// After so many turns in a row that left something behind, the next may read twice as much.
const FULL_TURNS: u8 = 4;

/// How much the next turn of a connection reads, at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// How often the least was doubled.
    doublings: u8,
    /// How many turns in a row have read all that they might.
    full_turns: u8,
}

impl Pace {
    /// The most that the next turn is to read, in bytes.
    pub(crate) fn read_len_max(self) -> usize {
        READ_LEN_MIN << self.doublings
    }

    /// A turn read so many bytes, of those that it might have, and had so many frames.
    pub(crate) fn note(&mut self, read_len: usize, might_have: usize, frames: usize) {
        if read_len < might_have {
            // There was no more.
            *self = Self::default();
            return;
        }
        if frames > FRAMES_MAX {
            self.doublings = self.doublings.saturating_sub(1);
            self.full_turns = 0;
        } else if self.full_turns < FULL_TURNS {
            self.full_turns += 1;
        } else if 2 * frames <= FRAMES_MAX && self.read_len_max() < READ_LEN_MAX {
            self.doublings += 1;
            self.full_turns = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of so many turns, all full, with a frame in so many bytes.
    fn full_turns(pace: &mut Pace, turns: usize, frame_len: usize) -> Vec<usize> {
        let turn = |_| {
            let len = pace.read_len_max();
            pace.note(len, len, len / frame_len);
            len
        };
        (0..turns).map(turn).collect()
    }

    #[test]
    fn turns_of_large_frames_grow_while_they_are_full() {
        let mut pace = Pace::default();
        let lengths = full_turns(&mut pace, 20, 1024);
        assert!(lengths.is_sorted());
        assert_eq!(lengths[..=usize::from(FULL_TURNS)], [READ_LEN_MIN; 5]);
        assert_eq!(lengths.last(), Some(&READ_LEN_MAX));
        pace.note(READ_LEN_MAX - 1, READ_LEN_MAX, 256);
        assert_eq!(pace.read_len_max(), READ_LEN_MIN, "the first that is not full ends it");
    }

    #[test]
    fn turns_of_small_frames_stay_short() {
        let mut pace = Pace::default();
        assert_eq!(full_turns(&mut pace, 20, 32), [READ_LEN_MIN; 20]);
    }

    #[test]
    fn turns_with_many_frames_become_shorter() {
        let mut pace = Pace::default();
        full_turns(&mut pace, 20, 1024);
        let lengths = full_turns(&mut pace, 3, 32);
        assert_eq!(lengths, [READ_LEN_MAX, READ_LEN_MAX / 2, READ_LEN_MIN]);
    }

    #[test]
    fn no_turn_grows_to_more_frames_than_it_may_have() {
        for frame_len in [64, 100, 128, 200, 256, 300, 4096] {
            let mut pace = Pace::default();
            let most = |len| len == READ_LEN_MIN || len / frame_len <= FRAMES_MAX;
            assert!(full_turns(&mut pace, 50, frame_len).into_iter().all(most), "{frame_len}");
        }
    }

    #[test]
    fn turns_that_are_not_full_now_and_then_do_not_grow() {
        let mut pace = Pace::default();
        for turn in 0..100 {
            let len = pace.read_len_max();
            assert_eq!(len, READ_LEN_MIN);
            pace.note(if turn % 4 == 3 { len / 2 } else { len }, len, 60);
        }
    }
}
