//! Links of bytes: what one end sends arrives at the other later, in other pieces, or not at all.
//!
//! Bytes of one direction never change and never overtake each other. Whatever is random about a
//! link follows from the salt in the step that made it.

use std::collections::VecDeque;

use crate::plan::Step;
use crate::wire::append;

/// How a link behaves; drawn with the plan and written in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkSetup {
    latency_us: u64,
    jitter_us: u64,
    fragment_max: usize,
    window: usize,
    salt: u64,
    split_at: u64,
}

impl LinkSetup {
    /// What a `connect` step says.
    #[must_use]
    pub(super) fn of(step: &Step) -> Self {
        Self {
            latency_us: step.number("latency_us", 100).max(1),
            jitter_us: step.number("jitter_us", 0),
            fragment_max: step.number("fragment_max", 0) as usize,
            window: (step.number("window", 65_536) as usize).max(1),
            salt: step.number("salt", 0),
            split_at: step.number("split_at", 0),
        }
    }
}

/// One direction of a link.
#[derive(Debug)]
pub(super) struct Pipe {
    setup: LinkSetup,
    rng: fastrand::Rng,
    flying: VecDeque<(u64, Vec<u8>)>,
    /// What has arrived, and how much of it was read.
    arrived: Vec<u8>,
    start: usize,
    held: usize,
    /// How many bytes were ever read.
    read: u64,
    clogged_until: u64,
    is_cut: bool,
    is_reset: bool,
    end_at: Option<u64>,
}

impl Pipe {
    /// An empty pipe; `direction` makes the two of a link differ.
    #[must_use]
    pub(super) fn new(setup: LinkSetup, direction: u64) -> Self {
        Self {
            setup,
            rng: fastrand::Rng::with_seed(setup.salt << 1 | direction),
            flying: VecDeque::new(),
            arrived: Vec::new(),
            start: 0,
            held: 0,
            read: 0,
            clogged_until: 0,
            is_cut: false,
            is_reset: false,
            end_at: None,
        }
    }

    /// How many bytes it takes now: sender and receiver together buffer `window` bytes.
    #[must_use]
    pub(super) fn room(&self) -> usize {
        self.setup.window.saturating_sub(self.held)
    }

    /// Sends bytes; at most [`Self::room`].
    pub(super) fn send(&mut self, now: u64, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        self.held += bytes.len();
        if self.is_cut {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = match self.setup.fragment_max {
                0 => rest.len(),
                max => self.rng.usize(1..=max).min(rest.len()),
            };
            let (piece, left) = rest.split_at(len);
            rest = left;
            let jitter = self.rng.u64(0..=self.setup.jitter_us);
            let at = now + (self.setup.latency_us + jitter) * 1000;
            // A piece may come an instant behind the one before it, and so be read by itself.
            let gap = self.rng.u64(0..=1);
            let at = at.max(self.flying.back().map_or(0, |(at, _)| *at + gap));
            self.flying.push_back((at, piece.to_vec()));
        }
    }

    /// Nothing more will be sent: the other end sees the end of the stream behind what it got.
    pub(super) fn end(&mut self, now: u64) {
        let last = self.flying.back().map_or(0, |(at, _)| *at);
        self.end_at.get_or_insert(last.max(now + self.setup.latency_us * 1000));
    }

    /// Loses what is under way or unread, and ends.
    pub(super) fn reset(&mut self, now: u64) {
        self.flying.clear();
        self.arrived.clear();
        self.start = 0;
        self.held = 0;
        self.is_reset = true;
        self.end_at = Some(now + self.setup.latency_us * 1000);
    }

    /// Whether it was reset: that is noticed without reading, too.
    #[must_use]
    pub(super) fn is_reset(&self) -> bool {
        self.is_reset
    }

    /// Whether it was cut.
    #[must_use]
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// From now on everything is lost without a word: the other end is gone.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
        self.flying.clear();
        self.end_at = None;
    }

    /// Word gets through again, though what was lost stays lost.
    pub(super) fn revive(&mut self) {
        self.is_cut = false;
    }

    /// Holds everything up until then.
    pub(super) fn clog(&mut self, until: u64) {
        self.clogged_until = self.clogged_until.max(until);
    }

    /// Faults off: nothing is held up any longer. What is lost stays lost.
    pub(super) fn heal(&mut self) {
        self.clogged_until = 0;
    }

    /// When the next thing arrives.
    #[must_use]
    pub(super) fn next_at(&self) -> Option<u64> {
        let at = self.flying.front().map(|(at, _)| *at).or(self.end_at.filter(|_| !self.is_cut))?;
        Some(at.max(self.clogged_until))
    }

    /// Whether nothing is there to be read, nothing arrives now, and its end has not come.
    #[must_use]
    pub(super) fn rests(&self, now: u64) -> bool {
        self.arrived.is_empty()
            && self.flying.front().is_none_or(|(at, _)| *at > now)
            && self.end_at.is_none_or(|at| at > now)
    }

    /// Takes in what has arrived by now.
    pub(super) fn advance(&mut self, now: u64) {
        if now < self.clogged_until {
            return;
        }
        while self.flying.front().is_some_and(|(at, _)| *at <= now) {
            let (_, piece) = self.flying.pop_front().expect("it was just seen");
            append(&mut self.arrived, piece);
        }
    }

    /// Whether there is something to read.
    #[must_use]
    pub(super) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Reads at most `len_max` bytes, and none behind the place where the stream is to be split
    /// together with those before it.
    pub(super) fn read(&mut self, len_max: usize) -> Vec<u8> {
        let to_split = self.setup.split_at.checked_sub(self.read).filter(|len| *len > 0);
        let len_max = to_split.map_or(len_max, |len| len_max.min(len as usize));
        let len = len_max.min(self.arrived.len() - self.start);
        self.held -= len;
        self.read += len as u64;
        if len == self.arrived.len() {
            return std::mem::take(&mut self.arrived);
        }
        let bytes = self.arrived[self.start..self.start + len].to_vec();
        self.start += len;
        if self.start == self.arrived.len() {
            self.arrived.clear();
            self.start = 0;
        }
        bytes
    }

    /// How many bytes were ever read.
    #[must_use]
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Whether the last read ended where the stream is to be split.
    #[must_use]
    pub(super) fn is_at_split(&self) -> bool {
        self.read > 0 && self.read == self.setup.split_at
    }

    /// Whether all was read and the end has come.
    #[must_use]
    pub(super) fn is_at_end(&self, now: u64) -> bool {
        let is_due = self.end_at.is_some_and(|at| at <= now) && now >= self.clogged_until;
        is_due && self.flying.is_empty() && self.arrived.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Who;

    fn pipe(fragment_max: u64, window: u64) -> Pipe {
        let step = Step::new(Who::Client(1), "connect")
            .with("latency_us", 10)
            .with("jitter_us", 50)
            .with("fragment_max", fragment_max)
            .with("window", window)
            .with("salt", 3);
        Pipe::new(LinkSetup::of(&step), 0)
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_however_they_are_cut() {
        let mut pipe = pipe(7, 1000);
        let sent: Vec<u8> = (0..200).collect();
        pipe.send(0, &sent);
        let mut read = Vec::new();
        let mut pieces = 0;
        while let Some(at) = pipe.next_at() {
            pipe.advance(at);
            read.extend(pipe.read(usize::MAX));
            pieces += 1;
        }
        assert_eq!(read, sent);
        assert!(pieces > 5);
    }

    #[test]
    fn a_stream_that_is_split_is_read_in_two_pieces() {
        let step = Step::new(Who::Client(1), "connect").with("split_at", 4);
        let mut pipe = Pipe::new(LinkSetup::of(&step), 0);
        pipe.send(0, &[1; 10]);
        pipe.advance(u64::MAX);
        assert_eq!((pipe.read(3).len(), pipe.is_at_split()), (3, false));
        assert_eq!((pipe.read(9).len(), pipe.is_at_split()), (1, true));
        assert_eq!((pipe.read(9).len(), pipe.is_at_split()), (6, false));
        assert_eq!(pipe.bytes_read(), 10);
    }

    #[test]
    fn a_reader_that_does_not_read_leaves_no_room() {
        let mut pipe = pipe(0, 10);
        pipe.send(0, &[1; 10]);
        pipe.advance(u64::MAX);
        assert_eq!(pipe.room(), 0);
        pipe.read(4);
        assert_eq!(pipe.room(), 4);
    }

    #[test]
    fn the_end_comes_behind_the_bytes_and_not_at_all_on_a_cut_link() {
        let mut ended = pipe(0, 10);
        ended.send(0, &[1]);
        ended.end(0);
        ended.advance(1_000_000);
        assert!(!ended.is_at_end(1_000_000));
        ended.read(1);
        assert!(ended.is_at_end(1_000_000));

        let mut cut = pipe(0, 10);
        cut.send(0, &[1]);
        cut.cut();
        assert_eq!(cut.next_at(), None);
        assert!(!cut.is_at_end(u64::MAX));
    }

    #[test]
    fn a_clogged_link_holds_everything_up() {
        let mut pipe = pipe(0, 10);
        pipe.send(0, &[1]);
        pipe.clog(5_000_000);
        assert_eq!(pipe.next_at(), Some(5_000_000));
        pipe.advance(4_999_999);
        assert!(!pipe.has_arrived());
    }
}
