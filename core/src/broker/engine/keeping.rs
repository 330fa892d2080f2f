//! Dead letters that cannot go on their way and whose queues keep them: the exchange is missing,
//! no queue is bound, or one that is has no room.
//!
//! Such a letter is set aside where it died, on disk only, and counts to the length of its queue.
//! It is tried again when anything changes that routes depend on, and every second: then it is
//! among the dead once more, and either goes or is set aside behind the others. Nothing of this is
//! in the log: a start finds the message in its old place.

use alloc::collections::BTreeSet;
use alloc::string::ToString;

use super::super::death::Reason;
use super::super::queue::{Entry, Queue, QueueId};
use super::Engine;
use crate::{Departure, Event, Mark};

/// So many letters of a queue are tried again at once, and after so many milliseconds. If one of
/// them goes, more are tried.
const TRIED_AT_ONCE: usize = 64;
const RETRY_MS: u64 = 1000;

/// Which queues keep letters, and when these are tried again.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    queues: BTreeSet<QueueId>,
    /// What the topology was when they were tried last.
    version: u64,
    /// When they are to be tried, in milliseconds since 1970.
    pub(super) due: Option<u64>,
}

impl Keeping {
    /// Whether no letter waits.
    pub(super) fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }
}

impl Engine {
    /// Whether a message is kept where it died as long as its dead letter cannot go. One that a
    /// start would not find is not.
    pub(super) fn is_kept(&self, id: QueueId, entry: &Entry) -> bool {
        let keeps = |queue: &Queue| queue.settings.keeps_letters;
        entry.is_durable() && self.queues.get(id).is_some_and(keeps)
    }

    /// The dead letter of a message of a lane cannot go, for this reason: it waits. Told the first
    /// time that there is one more, and each time that there are twice as many.
    pub(super) fn keep_letter(
        &mut self,
        id: QueueId,
        lane: QueueId,
        entry: Entry,
        reason: Reason,
        why: &'static str,
    ) {
        let (position, bytes) = (entry.position, entry.size.bytes());
        let Some(queue) = self.queues.get_mut(lane) else { return };
        let is_again = queue.dying.forget_again(position);
        queue.dying.set_aside(entry, reason);
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.kept.push(lane, position, bytes);
        queue.tally(&mut self.tallies, |counts| counts.kept_letters += u64::from(!is_again));
        let count = queue.counts.kept_letters;
        if !is_again && count.is_power_of_two() {
            let (vhost, queue) = (queue.vhost, queue.name.to_string());
            let vhost = self.host(vhost).name.to_string();
            self.events.push(Event::DeadLettersKept { vhost, queue, count, reason: why });
        }
        if self.keeping.queues.is_empty() {
            self.keeping.version = self.topology_version;
        }
        self.keeping.queues.insert(id);
        self.keeping.due.get_or_insert(self.clock.unix_ms() + RETRY_MS);
        self.note_departure(id, Departure::Kept);
        self.mark(Mark::DeadLetterKept);
    }

    /// The dead letter of a message of a lane went. If it had waited, others may go too.
    pub(super) fn note_letter_gone(&mut self, lane: QueueId, position: u64) {
        let dying = self.queues.get_mut(lane).map(|queue| &mut queue.dying);
        if dying.is_some_and(|dying| dying.forget_again(position)) {
            self.mark(Mark::KeptLetterGone);
            self.retry_letters_soon();
        }
    }

    /// What letters wait for may have changed.
    pub(super) fn retry_letters_soon(&mut self) {
        if !self.keeping.queues.is_empty() {
            self.keeping.due = Some(0);
        }
    }

    /// Puts letters that wait among the dead again, if it is time to, or routes may have changed.
    pub(super) fn retry_letters(&mut self) {
        if self.keeping.is_idle() {
            return;
        }
        let now = self.clock.unix_ms();
        let is_due = self.keeping.due.is_some_and(|due| due <= now);
        if !is_due && self.keeping.version == self.topology_version {
            return;
        }
        self.keeping.version = self.topology_version;
        self.keeping.due = None;
        for id in core::mem::take(&mut self.keeping.queues) {
            for _ in 0..TRIED_AT_ONCE {
                let letter = self.queues.get_mut(id).and_then(|queue| queue.kept.pop());
                let Some((lane, position)) = letter else { break };
                self.note_departure(id, Departure::Retried);
                self.note_dead(id, lane);
                if let Some(queue) = self.queues.get_mut(lane) {
                    queue.dying.take_up(position);
                }
            }
            if self.queues.get(id).is_some_and(|queue| !queue.kept.is_empty()) {
                self.keeping.queues.insert(id);
                self.keeping.due = Some(now + RETRY_MS);
            }
        }
    }
}
