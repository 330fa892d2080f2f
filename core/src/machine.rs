//! The broker as a whole: connections on one side, the engine on the other.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Boot, Config, ConnectionId, Input, Instant, Output, Peer, QueueStatus};

/// See the [crate's documentation](crate).
#[derive(Debug)]
pub struct Broker {
    config: Config,
}

impl Broker {
    /// A broker that holds nothing but the predeclared exchanges.
    #[must_use]
    pub fn new(config: Config, _boot: Boot) -> Self {
        Self { config }
    }

    /// A client connected. From here on until [`Input::Closed`] or [`Output::Close`] the id is
    /// its.
    pub fn connect(&mut self, _now: Instant, _peer: Peer) -> ConnectionId {
        ConnectionId { index: 0, generation: 0 }
    }

    /// Takes note of what happened. Never blocks, never fails; what is to be done about it comes
    /// from [`Self::poll_output`].
    ///
    /// `now` must not go back.
    pub fn handle(&mut self, _now: Instant, _input: Input) {}

    /// The next thing to be done; `None` when all is done. To be called after each batch of
    /// inputs: confirms of one batch are sent as one.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When [`Input::Tick`] is wanted at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(Instant::default() + self.config.heartbeat + Duration::ZERO)
    }

    /// Every queue's state, sorted by virtual host and name.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueStatus> {
        Vec::new()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        0
    }
}
