//! What happened to the messages of all queues of a kind together since the broker was started,
//! those of queues that are gone among them: what the broker counts for its metrics.

use super::{Cause, Model, Queue};

/// Classic queues, quorum queues, and those in which messages wait for their time.
pub const KINDS: usize = 3;

/// What becomes of the dead: nothing, dead letters, or such that wait until they can go.
const STRATEGIES: usize = 3;

/// What happened to messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many wait for a consumer.
    pub ready: u64,
    /// How many are with consumers.
    pub unacked: u64,
    /// How many came in.
    pub enqueued: u64,
    /// How many were settled well.
    pub acked: u64,
    /// How many were settled badly.
    pub rejected: u64,
    /// How many waited for too long.
    pub expired: u64,
    /// For how many there was no room.
    pub dropped: u64,
    /// How many were sent to consumers, to be acknowledged and not.
    pub delivered: [u64; 2],
    /// How many were asked for, to be acknowledged and not.
    pub got: [u64; 2],
    /// How often there was none.
    pub get_empty: u64,
    /// How many dead letters no queue took.
    pub lost_letters: u64,
    /// How many died, by what was to become of them and by their cause.
    pub deaths: [[u64; 4]; STRATEGIES],
}

/// What is counted beside what a queue has anyway.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    pub(super) delivered: [u64; 2],
    pub(super) got: [u64; 2],
    pub(super) get_empty: u64,
    deaths: [[u64; 4]; STRATEGIES],
}

/// What is left of queues that are gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    tallies: [Tally; KINDS],
    /// Whether something happened to messages of queues that were let go bit by bit.
    pub(super) is_vague: bool,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.unacked += other.unacked;
        self.enqueued += other.enqueued;
        self.acked += other.acked;
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.dropped += other.dropped;
        self.get_empty += other.get_empty;
        self.lost_letters += other.lost_letters;
        add(&mut self.delivered, other.delivered);
        add(&mut self.got, other.got);
        for (sums, more) in self.deaths.iter_mut().zip(other.deaths) {
            add(sums, more);
        }
    }
}

fn add<const N: usize>(sums: &mut [u64; N], more: [u64; N]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

impl Queue {
    fn kind(&self) -> usize {
        match (self.is_store, self.is_quorum()) {
            (true, _) => 2,
            (false, is_quorum) => usize::from(is_quorum),
        }
    }

    /// A message of it died.
    pub(super) fn count_death(&mut self, cause: Cause) {
        let strategy = match (self.has_dead_letters(), self.keeps_letters()) {
            (false, _) => 0,
            (true, keeps_letters) => 1 + usize::from(keeps_letters),
        };
        self.counted.deaths[strategy][cause as usize] += 1;
    }

    fn tally(&self) -> Tally {
        let Counted { delivered, got, get_empty, deaths } = self.counted;
        Tally {
            ready: self.ready.len() as u64,
            unacked: self.unacked,
            enqueued: self.enqueued,
            acked: self.acked,
            rejected: self.rejected,
            expired: self.expired,
            dropped: self.dropped,
            delivered,
            got,
            get_empty,
            lost_letters: self.lost_letters,
            deaths,
        }
    }
}

impl Model {
    /// A queue is gone: what happened to its messages happened.
    pub(super) fn tally_gone(&mut self, queue: &Queue) {
        if !queue.is_hidden {
            let tally = Tally { ready: 0, unacked: 0, ..queue.tally() };
            self.gone.tallies[queue.kind()].add(&tally);
        }
    }

    /// All queues by their kind; whether that is exact.
    #[must_use]
    pub fn tallies(&self) -> ([Tally; KINDS], bool) {
        let mut tallies = self.gone.tallies;
        for queue in self.queues.values().filter(|queue| !queue.is_hidden) {
            tallies[queue.kind()].add(&queue.tally());
        }
        (tallies, !self.gone.is_vague)
    }
}
