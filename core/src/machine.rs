//! The broker as a whole: connections on one side, the engine on the other, and the outputs
//! between them and the adapter.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::amqp::{ChannelNumber, Connection, Context, Credentials, ShortStr};
use crate::broker::{Delivery, Engine, FrontEnd, Message, SessionHandle};
use crate::entropy::Entropy;
use crate::slab::{Key, Slab};
use crate::{Boot, Config, ConnectionId, Input, Instant, Output, Peer, QueueStatus};

/// Memory for this many outputs is kept when there are none.
const OUTPUTS_KEPT: usize = 1 << 16;

/// The broker. See the [crate's documentation](crate) for how to drive it.
#[derive(Debug)]
pub struct Broker {
    config: Config,
    credentials: Credentials,
    engine: Engine,
    connections: Slab<Slot>,
    out: VecDeque<Output>,
    /// When which connection wants to be looked after; one entry per connection at the most. It
    /// may be early: what is due is found out when its time comes.
    timers: BTreeSet<(Instant, u32)>,
    /// Channels with confirms to send once the batch of inputs is worked off.
    unconfirmed: VecDeque<SessionHandle>,
    now: Instant,
    /// Why the broker stops, once it does.
    shutdown: Option<String>,
}

/// A connection and its entry among the timers.
#[derive(Debug)]
struct Slot {
    connection: Connection,
    timer: Option<Instant>,
}

impl Broker {
    /// A broker that holds nothing but the predeclared exchanges.
    #[must_use]
    pub fn new(config: Config, boot: Boot) -> Self {
        let mut entropy = Entropy::new(boot.seed);
        Self {
            credentials: Credentials::new(&config, &mut entropy),
            engine: Engine::new(entropy),
            config,
            connections: Slab::new(),
            out: VecDeque::new(),
            timers: BTreeSet::new(),
            unconfirmed: VecDeque::new(),
            now: Instant::default(),
            shutdown: None,
        }
    }

    /// A client connected. From here on until [`Input::Closed`] or [`Output::Close`] the id is
    /// its.
    pub fn connect(&mut self, now: Instant, peer: Peer) -> ConnectionId {
        self.now = now;
        let key = self.connections.next_key();
        let id = ConnectionId { index: key.index, generation: key.generation };
        let connection = Connection::new(id, peer, &self.config, now);
        self.connections.insert(Slot { connection, timer: None });
        if let Some(reason) = self.shutdown.clone() {
            self.with(id, |connection, _, ctx| connection.shut_down(&reason, ctx));
        }
        self.arm(id);
        id
    }

    /// Takes note of what happened. Never blocks, never fails; what is to be done about it comes
    /// from [`Self::poll_output`].
    ///
    /// `now` must not go back.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        match input {
            Input::Frame(id, frame) => {
                self.with(id, |connection, credentials, ctx| {
                    connection.handle_frame(frame, credentials, ctx);
                });
            }
            Input::Malformed(id, error) => {
                self.with(id, |connection, _, ctx| connection.handle_malformed(&error, ctx));
            }
            Input::Received(id) => {
                self.with(id, |connection, _, ctx| connection.note_received(ctx.now));
            }
            Input::EgressLen(id, len) => {
                self.with(id, |connection, _, ctx| connection.set_egress_len(len, ctx));
            }
            Input::Closed(id) => {
                self.with(id, |connection, _, ctx| connection.handle_closed(ctx));
            }
            Input::Tick => self.handle_time(),
            Input::Shutdown(reason) => self.shut_down(reason),
        }
        let connections = &mut self.connections;
        self.engine.dispatch(&mut Clients { connections, out: &mut self.out, now });
    }

    /// The next thing to be done; `None` when all is done. To be called after each batch of
    /// inputs: confirms of one batch are sent as one.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.out.is_empty() {
            self.flush_confirms();
        }
        if self.out.capacity() > OUTPUTS_KEPT && self.out.is_empty() {
            self.out = VecDeque::new();
        }
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is wanted at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(when, _)| *when)
    }

    /// Every queue's state, sorted by virtual host and name.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueStatus> {
        self.engine.queue_statuses()
    }

    /// Whether nothing is to be read from this client, see [`Output::PauseReading`]. To be asked
    /// before each further frame of a batch, so that one read asks for no more than has room.
    #[must_use]
    pub fn is_paused(&self, id: ConnectionId) -> bool {
        let slot = self.connections.get(Key::new(id.index, id.generation));
        slot.is_some_and(|slot| slot.connection.is_paused())
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Lets a connection do something, if it is still there.
    fn with(
        &mut self,
        id: ConnectionId,
        work: impl FnOnce(&mut Connection, &Credentials, &mut Context<'_>),
    ) {
        let key = Key::new(id.index, id.generation);
        let Some(slot) = self.connections.get_mut(key) else { return };
        let mut ctx = Context {
            engine: &mut self.engine,
            out: &mut self.out,
            config: &self.config,
            unconfirmed: &mut self.unconfirmed,
            now: self.now,
        };
        work(&mut slot.connection, &self.credentials, &mut ctx);
        // Its timer is looked at when it comes; but a connection that was given less time, or more
        // time for the first time, is entered anew.
        let deadline = slot.connection.deadline();
        let is_early_enough = match (slot.timer, deadline) {
            (Some(timer), Some(deadline)) => timer <= deadline,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if slot.connection.is_gone() {
            self.forget(key);
        } else if !is_early_enough {
            self.arm(id);
        }
    }

    /// Enters a connection's deadline among the timers.
    fn arm(&mut self, id: ConnectionId) {
        let Some(slot) = self.connections.get_mut(Key::new(id.index, id.generation)) else {
            return;
        };
        if let Some(timer) = slot.timer.take() {
            self.timers.remove(&(timer, id.index));
        }
        slot.timer = slot.connection.deadline();
        self.timers.extend(slot.timer.map(|timer| (timer, id.index)));
    }

    fn forget(&mut self, key: Key<Slot>) {
        if let Some(Slot { timer: Some(timer), .. }) = self.connections.remove(key) {
            self.timers.remove(&(timer, key.index));
        }
    }

    fn handle_time(&mut self) {
        // Each once, even if it were to be entered at this same moment again.
        for _ in 0..self.timers.len() {
            let Some((when, index)) = self.timers.first().copied() else { return };
            if when > self.now {
                return;
            }
            self.timers.pop_first();
            let Some(key) = self.connections.key_at(index) else { continue };
            let id = ConnectionId { index, generation: key.generation };
            if let Some(slot) = self.connections.get_mut(key) {
                slot.timer = None;
            }
            self.with(id, |connection, _, ctx| connection.handle_time(ctx));
        }
    }

    fn shut_down(&mut self, reason: String) {
        let ids: Vec<_> = self
            .connections
            .iter()
            .map(|(key, _)| ConnectionId { index: key.index, generation: key.generation })
            .collect();
        for id in ids {
            self.with(id, |connection, _, ctx| connection.shut_down(&reason, ctx));
        }
        self.shutdown = Some(reason);
    }

    fn flush_confirms(&mut self) {
        while let Some(handle) = self.unconfirmed.pop_front() {
            let mut ctx = Context {
                engine: &mut self.engine,
                out: &mut self.out,
                config: &self.config,
                unconfirmed: &mut VecDeque::new(),
                now: self.now,
            };
            let (index, number) = split(handle);
            if let Some(slot) = self.connections.at_mut(index)
                && let Some((channel, link)) = slot.connection.channel(number)
            {
                channel.flush_confirms(link, &mut ctx);
            }
        }
    }
}

/// The clients, as the engine sees them.
struct Clients<'a> {
    connections: &'a mut Slab<Slot>,
    out: &'a mut VecDeque<Output>,
    now: Instant,
}

impl FrontEnd for Clients<'_> {
    fn has_room(&mut self, session: SessionHandle) -> bool {
        let (index, _) = split(session);
        let slot = self.connections.at_mut(index).expect("a session's connection is there");
        slot.connection.link().has_room()
    }

    fn deliver(&mut self, session: SessionHandle, delivery: Delivery) {
        let (index, number) = split(session);
        let slot = self.connections.at_mut(index).expect("a session's connection is there");
        let (channel, link) =
            slot.connection.channel_served(number).expect("a session's channel is open");
        channel.deliver(delivery, link, self.out, self.now);
    }

    fn reply(&mut self, session: SessionHandle, message: Arc<Message>) {
        let (index, number) = split(session);
        if let Some(slot) = self.connections.at_mut(index)
            && let Some((channel, link)) = slot.connection.channel(number)
        {
            channel.deliver_reply(message, link, self.out, self.now);
        }
    }

    fn cancelled(&mut self, session: SessionHandle, tag: &ShortStr) {
        let (index, number) = split(session);
        if let Some(slot) = self.connections.at_mut(index)
            && let Some((channel, link)) = slot.connection.channel(number)
        {
            channel.consumer_cancelled(tag, link, self.out, self.now);
        }
    }
}

/// The connection's index and the channel's number that a handle stands for.
fn split(handle: SessionHandle) -> (u32, ChannelNumber) {
    ((handle.0 >> 16) as u32, handle.0 as u16)
}
