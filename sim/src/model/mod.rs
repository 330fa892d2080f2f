//! What a broker must do, written from the semantics alone: plain, slow, and apart from the core.
//!
//! The model is told what the broker is told, in the same order, and keeps what must follow:
//! topology, queues, channels, and the replies that are due. Where the broker has a choice (which
//! consumer, when, how many confirms at once) the model makes none: the judge tells it what the
//! broker chose, once the checkers have allowed it.

mod access;
mod basic;
mod channel;
mod choices;
mod connection;
mod deaths;
mod delays;
mod duplicates;
mod durable;
mod expected;
mod interventions;
mod late;
mod message;
mod moves;
mod names;
mod policies;
mod queue;
mod routing;
mod single_active;
mod tallies;
mod timeouts;
mod topology;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use foldhash::fast::FixedState;
use smol_str::SmolStr;

pub use access::{Access, AccessWish, Claim, User};
pub use channel::{Channel, Mode, Phase, Unacked};
pub use choices::Decision;
pub(crate) use connection::HANDSHAKE_NS;
pub use connection::{Connection, Stage};
pub use deaths::{Cause, Death, Departure};
pub use delays::STORE;
pub use durable::{Found, History, Position, Promise, Remains};
pub use expected::{Expected, Refusal};
pub(crate) use interventions::FIXED;
pub use interventions::{Intervention, Spot};
pub use late::LateReply;
pub use message::{Fate, Fates, Message, Messages};
pub use names::{ROOT, local, qualified, vhost_of};
pub use policies::{Answer, Policy, PolicyKey, Wish};
pub use queue::{Consumer, Copy, Queue, QueueId};
pub use tallies::{KINDS as TALLIES, Tally};
pub use topology::{Binding, Destination, Exchange};
pub use waiting::{NOTHING, News, Parked, Released, Together, Waits, Went};

use crate::plan::Setup;
use crate::wire::{Bad, Frame};
use choices::Choices;
use moves::Moves;
use policies::Policies;
use waiting::Waiting;

/// What time it is when the world begins, in milliseconds since 1970.
pub const CLOCK_ORIGIN_MS: u64 = 1_700_000_000_000;

/// What the broker was told.
#[derive(Clone, Debug)]
pub enum Told {
    /// A client connected: its link, its number in the plan, and what it is called if those who run
    /// the broker are behind it.
    Connected(usize, u8, Option<String>),
    /// A frame.
    Frame(usize, Frame),
    /// Bytes that are no frame.
    Bad(usize, Bad),
    /// A part of a frame.
    Received(usize),
    /// The end of the stream.
    Closed(usize),
    /// How many bytes wait for the client now.
    Drained(usize, usize),
    /// It is to stop, for this reason.
    Stopped(String),
    /// The disk did something.
    Disk,
    /// So many bytes are free on the disk.
    DiskFree(u64),
    /// Whether the password of this connection's client is the right one.
    Verified(usize, bool),
    /// Those who run the broker want this, under this number.
    Command(u64, Wish),
    /// Time passed.
    Tick,
}

/// A channel of a connection: the connection's link, and the number.
pub type ChannelKey = (usize, u16);

/// The state that a broker must be in.
#[derive(Debug)]
pub struct Model {
    /// Limits of the broker.
    pub setup: Setup,
    /// Now, in nanoseconds.
    pub now: u64,
    /// What time it is when that is 0, in milliseconds since 1970.
    pub clock_origin_ms: u64,
    /// By link.
    pub connections: BTreeMap<usize, Connection>,
    /// Those that are not over.
    living: BTreeSet<usize>,
    /// By name; the default exchange is not among them.
    pub exchanges: BTreeMap<String, Exchange>,
    /// In no order that means anything.
    pub bindings: Vec<Binding>,
    /// The living queues.
    pub queues: BTreeMap<QueueId, Queue>,
    gone: tallies::Gone,
    /// The names of all durable queues that ever were.
    pub ever_declared: BTreeSet<String>,
    /// The living consumers, by a number of their own.
    pub consumers: BTreeMap<usize, Consumer>,
    /// Every message that was ever published, in the order of publishing.
    pub messages: Messages,
    /// The length of the largest of their bodies.
    pub(crate) largest_body: usize,
    /// Whether anybody ever asked for direct replies.
    has_direct_replies: bool,
    /// Whether any may have come late and not been given to its client.
    has_late_replies: bool,
    /// The queues that deliveries were made from in the batch of inputs that is being looked at.
    taken_from: Vec<QueueId>,
    /// Reply addresses that the broker made up, and whose they are.
    pub reply_addresses: BTreeMap<String, usize>,
    /// Messages by the name in their `message-id`; for looking up only, as it has no order.
    pub(crate) names: HashMap<SmolStr, usize, FixedState>,
    /// By the first of them, messages that were replayed to other queues, or are dead letters: each
    /// is one more of the same name.
    pub(crate) replays: HashMap<usize, Vec<usize>, FixedState>,
    /// The messages that each exchange keeps for who is bound to it, from the oldest on.
    recent: BTreeMap<String, Vec<usize>>,
    /// Whether these may be more than the broker had room for at some time.
    is_history_short: bool,
    choices: Choices,
    /// What exchanges and queues remember of what they let through.
    seen: duplicates::Memory,
    /// What the broker did that it must not have done: the checker, and what.
    fault: Option<(&'static str, String)>,
    /// No delivery is to be acknowledged before.
    earliest_due: u64,
    /// Queues that a start found, as long as nothing was told since.
    sleeping: Vec<QueueId>,
    /// Whether what was told last began a content, or went on with one, and did not end it.
    is_part: bool,
    /// What was touched last, for the trace.
    pub touched: Option<QueueId>,
    /// Client operations so far.
    pub operations: u64,
    /// What the broker says it is short of: `memory`, `disk`.
    pub alarms: BTreeSet<&'static str>,
    /// How many bytes are free on the disk, if the broker was told.
    pub disk_free: Option<u64>,
    /// What of the past may come back at a start.
    pub history: History,
    /// Messages that a start found and that the platter has lost, as a sync lied about them.
    lost: BTreeSet<usize>,
    /// Who may do what.
    pub access: Access,
    /// Whether the passwords that clients give are those that were set: a recording has neither.
    pub knows_passwords: bool,
    policies: Policies,
    /// What is due to wishes, by their numbers.
    answers: BTreeMap<u64, (Answer, Option<Promise>)>,
    /// Wishes whose turn is to come.
    wishes: VecDeque<(u64, Wish)>,
    /// The one that has not come to everything yet.
    under_way: Option<u64>,
    waiting: Waiting,
    /// What is moved from a queue to another.
    moves: Moves,
    is_stopped: bool,
    made: usize,
}

impl Model {
    /// A broker that holds the predeclared exchanges only.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let mut model = Self {
            setup: setup.clone(),
            now: 0,
            clock_origin_ms: CLOCK_ORIGIN_MS,
            connections: BTreeMap::new(),
            living: BTreeSet::new(),
            exchanges: topology::predeclared(ROOT).collect(),
            bindings: Vec::new(),
            queues: BTreeMap::new(),
            gone: tallies::Gone::default(),
            ever_declared: BTreeSet::new(),
            consumers: BTreeMap::new(),
            messages: Messages::default(),
            largest_body: 0,
            has_direct_replies: false,
            has_late_replies: false,
            taken_from: Vec::new(),
            reply_addresses: BTreeMap::new(),
            names: HashMap::default(),
            replays: HashMap::default(),
            recent: BTreeMap::new(),
            is_history_short: false,
            choices: Choices::default(),
            seen: duplicates::Memory::new(),
            fault: None,
            earliest_due: u64::MAX,
            sleeping: Vec::new(),
            is_part: false,
            touched: None,
            operations: 0,
            alarms: BTreeSet::new(),
            disk_free: None,
            history: History::default(),
            lost: BTreeSet::new(),
            access: Access::default(),
            knows_passwords: true,
            policies: Policies::new(),
            answers: BTreeMap::new(),
            wishes: VecDeque::new(),
            under_way: None,
            waiting: Waiting::default(),
            moves: Moves::default(),
            is_stopped: false,
            made: 0,
        };
        model.access.add_defaults();
        // As if one before it had ended in order.
        model.end(true);
        model
    }

    /// The connections that are not over; all that ever were are among [`Self::connections`].
    pub fn living(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.living.iter().map(|link| (*link, &self.connections[link]))
    }

    /// Another batch of inputs is to be looked at.
    pub fn begin_batch(&mut self) {
        for queue in self.taken_from.drain(..) {
            if let Some(queue) = self.queues.get_mut(&queue) {
                (queue.taken_now, queue.taken_bytes) = (0, 0);
            }
        }
    }

    /// The broker did something that it must not have done; the first counts.
    fn fault(&mut self, checker: &'static str, text: String) {
        self.fault.get_or_insert((checker, text));
    }

    /// What the broker did that it must not have done: the checker, and what.
    pub fn take_fault(&mut self) -> Option<(&'static str, String)> {
        self.fault.take()
    }

    /// The channel, if its connection was ever made and it was ever opened.
    #[must_use]
    pub fn channel(&self, key: ChannelKey) -> Option<&Channel> {
        self.connections.get(&key.0)?.channels.get(&key.1)
    }

    /// A channel that exists.
    pub(crate) fn channel_mut(&mut self, key: ChannelKey) -> &mut Channel {
        let connection = self.connections.get_mut(&key.0).expect("the channel's connection");
        connection.channels.entry(key.1).or_default()
    }

    /// The queue of this name.
    #[must_use]
    pub fn queue_named(&self, name: &str) -> Option<&Queue> {
        let is_visible = |queue: &&Queue| !queue.is_hidden && !queue.is_store;
        self.queues.values().filter(is_visible).find(|queue| queue.name == name)
    }

    /// Whether nothing keeps this consumer from being given another message: it holds fewer than
    /// its prefetch, and its channel too. A channel at its limit may hold up its consumers without
    /// acks as well, as RabbitMQ's does, though they take nothing from it.
    #[must_use]
    pub fn has_credit(&self, consumer: &Consumer) -> bool {
        let Some(channel) = self.channel(consumer.channel) else { return false };
        // Counting is only worth while where all together are as many.
        let is_full = |limit: u64, held: &dyn Fn() -> usize| {
            limit > 0 && channel.held_by_anybody() as u64 >= limit && held() as u64 >= limit
        };
        (consumer.no_ack || !is_full(consumer.prefetch, &|| channel.held_by(consumer.id)))
            && !is_full(channel.prefetch_of_channel, &|| channel.held_by_consumers())
    }

    /// Whether nothing waits for the consumer's client to read: nothing keeps the broker from
    /// sending.
    #[must_use]
    pub fn is_link_free(&self, consumer: &Consumer) -> bool {
        let connection = self.connections.get(&consumer.channel.0);
        connection.is_some_and(|connection| !connection.has_backlog)
    }

    /// Whether nothing at all keeps the broker from giving this consumer another message.
    #[must_use]
    pub fn can_be_served(&self, consumer: &Consumer) -> bool {
        let is_paused = |queue: &Queue| queue.is_paused;
        self.is_served(consumer)
            && !self.queues.get(&consumer.queue).is_some_and(is_paused)
            && self.has_credit(consumer)
            && self.is_link_free(consumer)
            && !self.has_answers_due(consumer)
    }

    /// Whether answers are due on the consumer's channel: deliveries stay behind them.
    fn has_answers_due(&self, consumer: &Consumer) -> bool {
        self.channel(consumer.channel).is_some_and(|channel| !channel.replies.is_empty())
    }

    /// Whether the broker was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    fn next_number(&mut self) -> usize {
        self.made += 1;
        self.made
    }
}
