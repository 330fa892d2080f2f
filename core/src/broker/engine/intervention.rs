//! What those who run the broker do to single messages, and to queues that must stop for a while or
//! be other than they were declared.

use alloc::vec::Vec;

use super::super::arguments;
use super::super::queue::{Entry, QueueId};
use super::super::refusal::{Refusal, RefusalKind, Resource};
use super::{Engine, VhostId};
use crate::amqp::{FieldTable, ShortStr};
use crate::listing::{MessageId, MessageInfo};
use crate::log::{Fact, QueueNumber};
use crate::{Done, Mark};

impl Engine {
    /// Drops one ready message. It is gone for good once the answer may be given.
    pub(super) fn delete_message(
        &mut self,
        vhost: &ShortStr,
        name: &ShortStr,
        message: MessageId,
    ) -> Result<Done, Refusal> {
        let id = self.queue_named(vhost, name)?;
        let row = self.numbers.get(&QueueNumber(message.row)).copied();
        let row = row.filter(|row| self.head(*row) == id);
        let taken = row.and_then(|row| Some((row, self.remove_ready(row, message.position)?)));
        let Some((row, entry)) = taken else {
            return Err(Refusal::new(RefusalKind::NotFound, "no such message is ready"));
        };
        if let Some(queue) = self.queues.get_mut(row) {
            queue.tally(&mut self.tallies, |counts| counts.purged += 1);
        }
        self.mark(Mark::MessageDeleted);
        self.forget_entry(row, &entry);
        self.gate = self.log.noted();
        self.stir(id);
        Ok(Done::Deleted)
    }

    /// Takes back a delayed message.
    pub(super) fn take_back(&mut self, vhost: &ShortStr, message: u64) -> Result<Done, Refusal> {
        let vhost = self.vhost_named(vhost)?;
        if !self.cancel_delayed(vhost, message) {
            let text = "no such message waits for its time";
            return Err(Refusal::new(RefusalKind::NotFound, text));
        }
        self.mark(Mark::DelayedCancelled);
        self.gate = self.log.noted();
        Ok(Done::Deleted)
    }

    /// A queue hands out nothing any more, or does again.
    pub(super) fn pause_queue(
        &mut self,
        vhost: &ShortStr,
        name: &ShortStr,
        is_paused: bool,
    ) -> Result<Done, Refusal> {
        let id = self.queue_named(vhost, name)?;
        let Some(queue) = self.queues.get_mut(id) else { return Ok(Done::Unchanged) };
        if core::mem::replace(&mut queue.is_paused, is_paused) == is_paused {
            return Ok(Done::Unchanged);
        }
        if is_paused {
            self.mark(Mark::QueuePaused);
        }
        self.stir(id);
        Ok(Done::Updated)
    }

    /// A queue has these arguments from now on.
    pub(super) fn set_queue_arguments(
        &mut self,
        vhost: &ShortStr,
        name: &ShortStr,
        arguments: FieldTable,
    ) -> Result<Done, Refusal> {
        let id = self.queue_named(vhost, name)?;
        let Some(queue) = self.queues.get_mut(id) else { return Ok(Done::Unchanged) };
        let arguments = arguments::changed(queue, arguments, vhost)?;
        let is_durable = queue.durable;
        let is_new = arguments != queue.arguments;
        if is_new {
            queue.arguments = arguments.clone();
            let number = queue.number;
            if is_durable {
                self.log.note_topology(Fact::ArgumentsSet(number, arguments));
            }
            self.mark(Mark::ArgumentsChanged);
            self.set_settings(id);
        }
        self.rest_on_topology(is_durable);
        Ok(if is_new { Done::Updated } else { Done::Unchanged })
    }

    /// The first ready messages of a queue behind this one, as far as they are known in memory, in
    /// the order in which they are handed out.
    pub(crate) fn list_messages(
        &self,
        vhost: VhostId,
        name: &ShortStr,
        after: Option<MessageId>,
        limit: usize,
    ) -> Option<Vec<MessageInfo>> {
        let head = *self.host(vhost).queues.get(name)?;
        let mut messages = Vec::new();
        let mut is_behind = after.is_none();
        for id in self.lanes(head) {
            let Some(queue) = self.queues.get(id) else { continue };
            let row = queue.number.0;
            let from = match after {
                Some(after) if after.row == row => after.position + 1,
                _ if is_behind => 0,
                _ => continue,
            };
            is_behind = true;
            let info = |entry: &Entry| MessageInfo {
                id: MessageId { row, position: entry.position },
                redelivered: entry.is_redelivered(),
                returns: entry.returns,
                expires_ms: queue.deadlines.get(entry.position),
                message: entry.message.clone(),
            };
            let left = limit - messages.len();
            messages.extend(queue.ready.first_from(from, left).into_iter().map(info));
        }
        Some(messages)
    }

    fn queue_named(&self, vhost: &ShortStr, name: &ShortStr) -> Result<QueueId, Refusal> {
        let host = self.host(self.vhost_named(vhost)?);
        let resource = Resource { kind: "queue", name, vhost: &host.name };
        host.queues.get(name).copied().ok_or_else(|| Refusal::not_found(&resource))
    }
}
