//! Moves of messages to another queue: which message is the copy of which, and what who moves them
//! promises. With transactions each is in one of the two queues, and in one only, whatever ends in
//! between; with confirms it is in one of them at least. Failures are called `moving`.
//!
//! What a queue lets go for a reason of its own (its limits, a purge, its end, duplicates) it lets
//! go whoever brought it.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::channel::Settle;
use super::{ChannelKey, Fate, Model, QueueId, Unacked};
use crate::wire::Method;

const ID: &str = "moving";

/// Moves, by the links on which they began.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<usize, Move>);

#[derive(Debug, Default)]
struct Move {
    /// Whether it works with transactions.
    is_exact: bool,
    /// Whether something else kept it from that.
    is_waived: bool,
    /// Whether it was told, behind all that it has published, that the exchange is there.
    has_looked: bool,
    /// What was taken, in this order, and not published yet.
    unpublished: Vec<Unacked>,
    /// By the message that was taken.
    taken: BTreeMap<usize, Taken>,
}

#[derive(Debug)]
struct Taken {
    from: QueueId,
    /// What was published of it.
    copy: usize,
    /// Whether it was acknowledged.
    is_settled: bool,
}

impl Model {
    /// Who is connected over this link moves messages.
    pub fn begin_move(&mut self, link: usize, is_exact: bool) {
        self.moves.0.entry(link).or_insert(Move { is_exact, ..Move::default() });
    }

    /// A message has this name; there may be others, as when one is moved.
    pub(super) fn note_name(&mut self, name: &SmolStr, index: usize) {
        match self.names.get(name) {
            Some(first) if !name.is_empty() => {
                self.replays.entry(*first).or_default().push(index);
            }
            _ => {
                self.names.insert(name.clone(), index);
            }
        }
    }

    /// A message was taken from its queue, by who moves messages perhaps.
    pub(super) fn note_taken(&mut self, key: ChannelKey, unacked: Unacked) {
        if let Some(moving) = self.moves.0.get_mut(&key.0) {
            moving.unpublished.push(unacked);
        }
    }

    /// Messages may be in both queues: the one that they go to refused some of a transaction.
    pub(super) fn waive_exactness(&mut self, key: ChannelKey) {
        if let Some(moving) = self.moves.0.get_mut(&key.0) {
            moving.is_exact = false;
            moving.is_waived = true;
        }
    }

    /// A message was published that goes to these queues: if it is moved, it is the same as one
    /// that was taken.
    pub(super) fn note_copy(&mut self, key: ChannelKey, index: usize, to: &BTreeSet<QueueId>) {
        let Some(moving) = self.moves.0.get_mut(&key.0) else { return };
        let copy = &self.messages[index];
        let is_same = |unacked: &Unacked| self.messages[unacked.copy.message].name == copy.name;
        let at = moving.unpublished.iter().position(is_same);
        let Some(unacked) = at.map(|at| moving.unpublished.remove(at)) else {
            let text = format!("{} is published, and was not taken", copy.name);
            return self.fault(ID, text);
        };
        let taken = &self.messages[unacked.copy.message];
        let returns = unacked.copy.returns;
        let returns = (unacked.copy.tells_returns && returns > 0).then_some(returns);
        let is_same = taken.key == copy.key
            && taken.body == copy.body
            && taken.is_seen_as(&copy.properties, returns);
        let (name, is_alone) = (copy.name.clone(), to.len() <= 1);
        if !is_same || !is_alone {
            let what = if is_same { "goes to several queues" } else { "is changed" };
            return self.fault(ID, format!("{name} {what} as it is moved"));
        }
        let moving = self.moves.0.get_mut(&key.0).expect("a move that was found");
        moving.has_looked = false;
        let taken = Taken { from: unacked.queue, copy: index, is_settled: false };
        moving.taken.insert(unacked.copy.message, taken);
    }

    /// An exchange was declared.
    pub(super) fn note_look(&mut self, key: ChannelKey, method: &Method) {
        if let Some(moving) = self.moves.0.get_mut(&key.0) {
            moving.has_looked |= method.bit("passive");
        }
    }

    /// Deliveries were settled: what is acknowledged as it is moved has come to the other queue.
    pub(super) fn note_moved(&mut self, key: ChannelKey, settled: &[(u64, Unacked, Settle)]) {
        if !self.moves.0.contains_key(&key.0) {
            return;
        }
        for (_, unacked, _) in settled.iter().filter(|(.., how)| *how == Settle::Ack) {
            let message = unacked.copy.message;
            let moving = self.moves.0.get_mut(&key.0).expect("a move that was found");
            let (is_exact, has_looked) = (moving.is_exact, moving.has_looked);
            let copy = moving.taken.get_mut(&message).map(|taken| {
                taken.is_settled = true;
                taken.copy
            });
            let mut fates = copy.into_iter().flat_map(|copy| self.messages[copy].fates.iter());
            let fate = fates.next().map(|(_, fate)| fate);
            drop(fates);
            let is_there = match fate {
                None | Some(Fate::Uncommitted | Fate::RolledBack | Fate::Forgotten) => false,
                Some(Fate::Refused) => false,
                // It went with the queue: nobody who had looked could know.
                Some(Fate::Dropped) => !is_exact || has_looked,
                Some(_) => true,
            };
            if !is_there {
                let name = &self.messages[message].name;
                let text = format!("{name} is acknowledged, and its copy is {fate:?}");
                self.fault(ID, text);
            }
        }
    }

    fn is_alive(&self, message: usize) -> bool {
        let mut fates = self.messages[message].fates.iter();
        fates.any(|(_, fate)| matches!(fate, Fate::Ready | Fate::Held | Fate::Dying))
    }

    /// Checks that nothing is in both queues that is moved by transactions.
    pub fn check_moves(&mut self) {
        let living = self.moves.0.iter().filter(|(link, _)| self.living.contains(link));
        let twice = living.filter_map(|(_, moving)| self.first_twice(moving)).next();
        if let Some(message) = twice {
            let text = format!("{} is in both queues", self.messages[message].name);
            self.fault(ID, text);
        }
    }

    fn first_twice(&self, moving: &Move) -> Option<usize> {
        let is_held = |message: usize, from: QueueId| {
            let fate = self.messages[message].fates.get(from);
            matches!(fate, Some(Fate::Ready | Fate::Held | Fate::Dying))
        };
        let mut taken = moving.taken.iter().filter(|_| moving.is_exact);
        let twice = taken
            .find(|(message, taken)| is_held(**message, taken.from) && self.is_alive(taken.copy));
        twice.map(|(message, _)| *message)
    }

    /// Checks what a start found that has all up to this batch: nothing is in both queues that is
    /// moved by transactions, and nothing in none that was to be kept.
    pub fn check_moves_found(&mut self, batch: u64) {
        let twice = self.moves.0.values().find_map(|moving| self.first_twice(moving));
        let taken = self.moves.0.values().flat_map(|moving| &moving.taken);
        let mut settled = taken.filter(|(_, taken)| taken.is_settled);
        let lost = settled.find(|(message, taken)| {
            let (origin, copy) = (&self.messages[**message], &self.messages[taken.copy]);
            let is_gone = |(queue, fate): (QueueId, Fate)| {
                let keeps = self.queues.get(&queue).is_some_and(|queue| queue.keeps(copy));
                keeps && matches!(fate, Fate::Forgotten | Fate::Uncommitted | Fate::RolledBack)
            };
            let kept = self.queues.get(&taken.from).is_some_and(|queue| queue.keeps(origin));
            kept && origin.batch <= batch
                && !self.is_alive(**message)
                && copy.fates.iter().count() > 0
                && copy.fates.iter().all(is_gone)
        });
        let lost = lost.map(|(message, _)| *message);
        for (message, where_to) in [(twice, "both queues"), (lost, "none of the queues")] {
            if let Some(message) = message {
                let name = &self.messages[message].name;
                self.fault(ID, format!("{name} is in {where_to} after a start"));
            }
        }
        // Who moved is gone. What comes of these messages from now on is for others to see: one
        // that is back where it was may be consumed there.
        self.moves = Moves::default();
    }

    /// Checks that so many were moved on this link, or at least as many if its session was cut.
    pub fn check_report(&mut self, link: usize, moved: u64, was_cut: bool) {
        let Some(moving) = self.moves.0.get(&link) else { return };
        let settled = moving.taken.values().filter(|taken| taken.is_settled).count() as u64;
        let published = moving.taken.len() as u64;
        let is_true = match moving.is_exact {
            true => moved == settled || was_cut && moved < settled,
            false => moved <= published && (was_cut || moving.is_waived || moved == settled),
        };
        if !is_true {
            self.fault(
                ID,
                format!("{settled} were moved on link {link}, and {moved} are reported"),
            );
        }
    }
}
