//! Deliveries that are not acknowledged in time.
//!
//! When its time is over, a delivery goes back to its place. Its consumer ends, and the client is
//! told; the channel of a client that cannot be told is closed. What was taken back may still be
//! acknowledged, once, which means nothing.

use std::collections::BTreeSet;

use super::channel::{Channel, Mode, Phase};
use super::{ChannelKey, Consumer, Model, Queue, Refusal, Unacked};
use crate::wire::{Table, Value};

const MILLISECOND: u64 = 1_000_000;
/// When a delivery is due whose acknowledgement in an open transaction was in time.
const IN_TIME: u64 = u64::MAX;

/// The whole number that an argument says.
pub(super) fn integer(arguments: &Table, name: &str) -> Option<i64> {
    let found = arguments.iter().find(|(found, _)| found == name);
    match found.map(|(_, value)| value) {
        Some(Value::I32(number)) => Some(i64::from(*number)),
        Some(Value::I64(number)) => Some(*number),
        _ => None,
    }
}

impl Channel {
    /// The oldest delivery that was to be acknowledged by now and was not.
    #[must_use]
    pub fn overdue(&self, now: u64) -> Option<u64> {
        self.unacked.iter().find(|(_, unacked)| unacked.is_overdue(now)).map(|(tag, _)| *tag)
    }
}

impl Channel {
    /// When the first of its deliveries is due, of those that a transaction acknowledges too.
    fn earliest_due(&self) -> Option<u64> {
        let settles = match &self.mode {
            Mode::Tx { settles, .. } => settles.as_slice(),
            _ => &[],
        };
        let settled = settles.iter().map(|(_, unacked, _)| unacked);
        self.unacked.values().chain(settled).filter_map(|one| Some(one.due?.0)).min()
    }
}

impl Unacked {
    /// Its acknowledgement in a transaction is rolled back now: if its time was over, it has it
    /// once more.
    pub(super) fn rolled_back(self, now: u64) -> Self {
        match self.due {
            Some((IN_TIME, timeout)) => Self { due: Some((now + timeout, timeout)), ..self },
            _ => self,
        }
    }

    fn is_overdue(&self, now: u64) -> bool {
        self.due.is_some_and(|(due, _)| due <= now)
    }
}

impl Model {
    /// When a delivery of now is due, and after how long: as its consumer says, else as its queue
    /// does, else as is usual.
    pub(super) fn due(&self, queue: &Queue, consumer: Option<&Consumer>) -> Option<(u64, u64)> {
        let asked = consumer.and_then(|consumer| consumer.timeout_ms);
        let of_queue = || queue.number("x-consumer-timeout");
        let timeout = asked.map(|millis| millis.unsigned_abs()).or_else(of_queue);
        let timeout = timeout.unwrap_or(self.setup.consumer_timeout_ms) * MILLISECOND;
        (timeout > 0).then_some((self.now + timeout, timeout))
    }

    /// A delivery is to be acknowledged by then.
    pub(super) fn note_due(&mut self, due: Option<(u64, u64)>) {
        if let Some((due, _)) = due {
            self.earliest_due = self.earliest_due.min(due);
        }
    }

    /// Whether a delivery may be overdue.
    #[must_use]
    pub fn may_be_overdue(&self) -> bool {
        self.earliest_due <= self.now
    }

    /// It was looked at all deliveries: finds out when the next may be overdue.
    pub fn update_due(&mut self) {
        let channels = self.living().flat_map(|(_, connection)| connection.channels.values());
        self.earliest_due = channels.filter_map(Channel::earliest_due).min().unwrap_or(u64::MAX);
    }

    /// The broker looks for what is overdue on this channel: that goes back. In which order it
    /// looks at channels for which it is time is its choice.
    pub(super) fn time_out(&mut self, key: ChannelKey) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&key.0) else { return };
        let wants_cancels = connection.wants_cancels;
        let Some(channel) = connection.channels.get_mut(&key.1) else { return };
        if channel.phase != Phase::Open {
            return;
        }
        // An acknowledgement in a transaction is in time; rolled back, the delivery has its time
        // once more.
        if let Mode::Tx { settles, .. } = &mut channel.mode {
            for (_, unacked, _) in settles.iter_mut().filter(|(_, one, _)| one.is_overdue(now)) {
                unacked.due = unacked.due.map(|(_, timeout)| (IN_TIME, timeout));
            }
        }
        let overdue: Vec<_> =
            channel.unacked.iter().filter(|(_, one)| one.is_overdue(now)).collect();
        let overdue: Vec<(u64, Unacked)> =
            overdue.into_iter().map(|(tag, one)| (*tag, *one)).collect();
        let Some((_, first)) = overdue.first() else { return };
        if !wants_cancels {
            let (_, timeout) = first.due.expect("it is overdue");
            let text = format!(
                "delivery acknowledgement on channel {} timed out. Timeout value used: {} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more",
                key.1,
                timeout / MILLISECOND
            );
            return self.refuse_on(key, Refusal::soft(406, text), Some((0, 0)));
        }
        for (tag, _) in &overdue {
            channel.unacked.remove(tag);
            channel.taken_back.insert(*tag);
        }
        let consumers: BTreeSet<_> = overdue.iter().filter_map(|(_, one)| one.consumer).collect();
        for id in consumers {
            let Some(tag) = self.consumers.get(&id).map(|consumer| consumer.tag.clone()) else {
                continue;
            };
            let channel = self.channel_mut(key);
            channel.consumers.remove(&tag);
            channel.cancels.push(tag);
            self.remove_consumer(id);
        }
        overdue.iter().for_each(|(_, unacked)| self.give_back(unacked));
    }
}
