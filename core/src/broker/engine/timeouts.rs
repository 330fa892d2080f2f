//! Deliveries that are not acknowledged in time.
//!
//! What is due is known by the front end, which has the deliveries. The engine knows when to ask it
//! about a session: one moment for each at the most, and maybe too early.

use core::time::Duration;

use super::super::consumer::{ConsumerId, SessionHandle, SessionId};
use super::super::queue::Queue;
use super::{Engine, Limits};
use crate::Instant;
use crate::amqp::ShortStr;

impl Limits {
    /// How long a delivery of this queue may wait for its acknowledgement, if not for ever, where
    /// its consumer has `asked` for so much. Zero is for ever.
    pub(super) fn timeout_of(&self, queue: &Queue, asked: Option<Duration>) -> Option<Duration> {
        let timeout = asked.or(queue.settings.consumer_timeout).or(self.consumer_timeout);
        timeout.filter(|timeout| !timeout.is_zero())
    }
}

impl Engine {
    /// A session has a delivery that is to be acknowledged by then.
    pub(crate) fn expect_ack(&mut self, id: SessionId, deadline: Instant) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.ack_timer.is_some_and(|timer| timer <= deadline) {
            return;
        }
        if let Some(later) = session.ack_timer.replace(deadline) {
            self.ack_timers.remove(&(later, id));
        }
        self.ack_timers.insert((deadline, id));
    }

    /// When [`Self::next_overdue`] is to be asked.
    pub(crate) fn ack_deadline(&self) -> Option<Instant> {
        self.ack_timers.first().map(|(deadline, _)| *deadline)
    }

    /// A session that may have deliveries which were to be acknowledged by now; it is to say again
    /// by when it expects the next.
    pub(crate) fn next_overdue(&mut self, now: Instant) -> Option<SessionHandle> {
        self.ack_deadline().filter(|deadline| *deadline <= now)?;
        let (_, id) = self.ack_timers.pop_first()?;
        let session = self.sessions.get_mut(id)?;
        session.ack_timer = None;
        Some(session.handle)
    }

    /// Nothing is expected of a session any more.
    pub(super) fn forget_deadline(&mut self, id: SessionId) {
        let timer = self.sessions.get(id).and_then(|session| session.ack_timer);
        if let Some(deadline) = timer {
            self.ack_timers.remove(&(deadline, id));
        }
    }

    /// What a consumer is called, if it is there.
    pub(crate) fn consumer_tag(&self, id: ConsumerId) -> Option<&ShortStr> {
        self.consumers.get(id).map(|consumer| &consumer.tag)
    }
}
