//! The engine: everything the broker holds, and every operation on it.
//!
//! An operation that is refused changes nothing. What an operation causes for others (messages to
//! deliver, consumers to cancel) is done by [`Engine::dispatch`], once per input.

mod access;
mod cleaning;
mod commands;
mod deaths;
mod delays;
mod delivery;
mod duplicates;
mod enqueuing;
mod handover;
mod history;
mod intervention;
mod keeping;
mod lanes;
mod listing;
mod metering;
mod paging;
mod policies;
mod preview;
mod recovered;
mod routing;
mod storage;
mod timeouts;
mod topology;
mod trial;
mod vhosts;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use access::Claimant;
pub(crate) use commands::Eviction;
pub(crate) use delays::STORE;
pub(crate) use delivery::{Asked, Delivery, FrontEnd, Lease, Settlement};
pub(crate) use duplicates::Sight;
pub(crate) use enqueuing::Enqueued;
pub(crate) use listing::BindingPlace;
pub use listing::QueueView;
pub(crate) use routing::Route;
pub(crate) use storage::{Hindrance, is_predeclared};
pub(crate) use topology::is_queue_name;

use bytes::Bytes;

use super::access::{Directory, VhostLimits, VhostMetadata};
use super::consumer::{Consumer, Session, SessionHandle, SessionId};
use super::exchange::Exchange;
use super::message::{Gauge, Message};
use super::message_pool::MessagePool;
use super::policies::Policies;
use super::queue::{Counts, Owner, Queue, QueueId};
use super::tally::Tallies;
use crate::amqp::ShortStr;
use crate::entropy::Entropy;
use crate::hash::{self, HashMap};
use crate::listing::Traffic;
use crate::log::{BatchNumber, Log, QueueNumber};
use crate::metrics::MessageSizes;
use crate::slab::Slab;
use crate::time::Clock;
use crate::{
    Config, Decision, Departure, Event, Instant, Mark, MarkCounts, NodeLimits, QueueStatus,
};
use cleaning::Cleaning;
use keeping::Keeping;
use policies::Policing;
use vhosts::Emptying;

/// The virtual host that there is at first.
pub(crate) const VHOST: ShortStr = ShortStr::from_static("/");

/// A virtual host, for as long as it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VhostId(u32);

/// Parameters, by component and name.
type Parameters = BTreeMap<(ShortStr, ShortStr), Bytes>;

/// A world of exchanges and queues of its own.
#[derive(Debug)]
struct Vhost {
    name: ShortStr,
    metadata: VhostMetadata,
    limits: VhostLimits,
    /// How many are open.
    connections: u64,
    parameters: Parameters,
    exchanges: HashMap<ShortStr, Exchange>,
    /// Those of them that outlive a restart, in order.
    durable_exchanges: BTreeSet<ShortStr>,
    /// The names of all, in order.
    exchange_names: BTreeSet<ShortStr>,
    queues: HashMap<ShortStr, QueueId>,
    policies: Policies,
    /// The queue that stores messages which are to go on their way later.
    delays: Option<QueueId>,
}

/// Everything the broker holds.
#[derive(Debug)]
pub(crate) struct Engine {
    vhosts: BTreeMap<VhostId, Vhost>,
    vhost_names: BTreeMap<ShortStr, VhostId>,
    next_vhost: VhostId,
    /// Those that the start made.
    made_vhosts: Vec<ShortStr>,
    directory: Directory,
    /// How many clients are in virtual hosts.
    entered: u64,
    /// Those of the whole broker.
    parameters: Parameters,
    queues: Slab<Queue>,
    consumers: Slab<Consumer>,
    sessions: Slab<Session>,
    /// The exclusive queues of each connection.
    owned: BTreeMap<Owner, BTreeSet<QueueId>>,
    /// Who waits for direct replies, by the address they are sent to.
    repliers: HashMap<ShortStr, SessionId>,
    /// Changes with everything that routing depends on.
    topology_version: u64,
    stirred: VecDeque<QueueId>,
    /// Queues to be stirred when the next batch is durable.
    awaiting_log: Vec<QueueId>,
    /// Queues by their number in the log.
    numbers: HashMap<QueueNumber, QueueId>,
    notices: Vec<Notice>,
    clock: Clock,
    /// When queues are to be looked at for what has expired; each stands here once at the most.
    timers: BTreeSet<(u64, QueueId)>,
    /// Queues that a start found, as long as it does not know the time.
    sleeping: Vec<QueueId>,
    /// Queues in which messages died that are not buried.
    mourning: VecDeque<QueueId>,
    /// Messages for which queues had no room that are to be dead-lettered for that.
    refused: VecDeque<(QueueId, Message)>,
    /// Queues with dead letters that wait.
    keeping: Keeping,
    departures: Vec<Departure>,
    events: Vec<Event>,
    /// Queues that were looked after and that somebody asked for a message.
    asked: VecDeque<QueueId>,
    /// Who asked for a message of a queue that is gone.
    orphans: VecDeque<SessionId>,
    log: Log,
    /// The batch that what was just done to something durable rests on; 0 when it rests on none.
    gate: BatchNumber,
    cleaning: Option<Cleaning>,
    /// Where messages are made.
    pub(crate) pool: MessagePool,
    /// What messages take that are in memory.
    gauge: Gauge,
    /// What those take that are in transactions which are not committed.
    uncommitted: Gauge,
    /// What those take that exchanges keep.
    kept: Gauge,
    /// What was chosen where the broker was free to, since the last input.
    decisions: Vec<Decision>,
    /// The change of a policy that is not held against everything yet.
    policing: Option<Policing>,
    /// The virtual host that is deleted and not empty yet.
    emptying: Option<Emptying>,
    /// Who has to go for the command that was just begun.
    evictions: Vec<Eviction>,
    limits: Limits,
    pub(crate) node_limits: NodeLimits,
    /// When which session is to be looked after for want of acknowledgements; one entry each.
    ack_timers: BTreeSet<(Instant, SessionId)>,
    /// What happened since the start, but for what is counted elsewhere.
    pub(crate) traffic: Traffic,
    /// What all queues hold, and what happened to messages of theirs.
    tallies: Tallies,
    /// What clients published, by size.
    pub(crate) message_sizes: MessageSizes,
    /// Sessions that have published something.
    pub(crate) publishers: u64,
    entropy: Entropy,
    hash_seed: u64,
}

/// What a front end is yet to be told.
#[derive(Debug)]
enum Notice {
    Cancelled(SessionHandle, ShortStr),
    Reply(SessionHandle, Arc<Message>),
}

/// The limits that the engine keeps to; see [`Config`].
#[derive(Clone, Debug)]
struct Limits {
    memory_max: u64,
    queue_window: usize,
    log_pending_max: usize,
    read_len: u32,
    consumer_timeout: Option<Duration>,
    policy_slice: usize,
    default_queue_type: Option<ShortStr>,
    node_name: String,
}

impl Engine {
    /// An engine with nothing in it; it writes to this log.
    fn new(entropy: Entropy, config: &Config, clock: Clock, log: Log) -> Self {
        let hash_seed = entropy.u64();
        Self {
            vhosts: BTreeMap::new(),
            vhost_names: BTreeMap::new(),
            next_vhost: VhostId::default(),
            made_vhosts: Vec::new(),
            directory: Directory::default(),
            entered: 0,
            parameters: BTreeMap::new(),
            queues: Slab::new(),
            consumers: Slab::new(),
            sessions: Slab::new(),
            owned: BTreeMap::new(),
            repliers: hash::map(hash_seed),
            topology_version: 0,
            stirred: VecDeque::new(),
            awaiting_log: Vec::new(),
            numbers: hash::map(hash_seed),
            notices: Vec::new(),
            clock,
            timers: BTreeSet::new(),
            sleeping: Vec::new(),
            mourning: VecDeque::new(),
            refused: VecDeque::new(),
            keeping: Keeping::default(),
            departures: Vec::new(),
            events: Vec::new(),
            asked: VecDeque::new(),
            orphans: VecDeque::new(),
            log,
            gate: 0,
            cleaning: None,
            pool: MessagePool::default(),
            gauge: Gauge::default(),
            uncommitted: Gauge::default(),
            kept: Gauge::default(),
            decisions: Vec::new(),
            policing: None,
            emptying: None,
            evictions: Vec::new(),
            limits: Limits {
                memory_max: config.memory_max.max(1),
                queue_window: config.queue_window,
                log_pending_max: config.log_pending_max,
                read_len: config.read_len.max(1),
                consumer_timeout: config.consumer_timeout,
                policy_slice: config.policy_slice.max(1),
                default_queue_type: config.default_queue_type.clone(),
                node_name: config.node_name.clone(),
            },
            node_limits: config.node_limits,
            ack_timers: BTreeSet::new(),
            traffic: Traffic::default(),
            tallies: Tallies::default(),
            message_sizes: metering::message_sizes(),
            publishers: 0,
            entropy,
            hash_seed,
        }
    }

    /// Counts a mark.
    pub(crate) fn mark(&self, mark: Mark) {
        self.log.marks.reach(mark);
    }

    /// Which marks were reached, and how often.
    pub(crate) fn marks(&self) -> MarkCounts {
        self.log.marks.counts()
    }

    /// A name of its own for a consumer, queue or reply address.
    pub(crate) fn make_name(&mut self, prefix: &str) -> ShortStr {
        ShortStr::from(self.entropy.name(prefix).as_str())
    }

    /// Every queue's state, by virtual host and name.
    pub(crate) fn queue_statuses(&self) -> Vec<QueueStatus> {
        let visible = self.heads().filter(|(_, queue)| !queue.is_delay_store);
        let mut statuses: Vec<_> = visible.map(|(id, queue)| self.status(id, queue)).collect();
        statuses.sort_by(|a, b| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        statuses
    }

    /// The state of the queue of this name, and `None` if there is none that clients see.
    pub(crate) fn queue_status(&self, vhost: VhostId, name: &[u8]) -> Option<QueueStatus> {
        let id = *self.host(vhost).queues.get(name)?;
        Some(self.status(id, self.queues.get(id)?))
    }

    /// How many queues there are that clients see.
    pub(crate) fn queues_len(&self) -> usize {
        self.vhosts.values().map(|vhost| vhost.queues.len()).sum()
    }

    /// The queues that clients see.
    fn heads(&self) -> impl Iterator<Item = (QueueId, &Queue)> {
        self.queues.iter().filter(|(_, queue)| queue.as_lane().is_none())
    }

    fn status(&self, id: QueueId, queue: &Queue) -> QueueStatus {
        let sum = |count: fn(&Counts) -> u64| self.sum(id, |lane| count(&lane.counts));
        let is_ready = |id: &&_| {
            let Some(consumer) = self.consumers.get(**id) else { return false };
            if queue.single_active.as_ref().is_some_and(|single| !single.serves(**id)) {
                return false;
            }
            let session = self.sessions.get(consumer.session);
            session.is_some_and(|session| session.can_serve(consumer))
        };
        QueueStatus {
            vhost: self.host(queue.vhost).name.clone(),
            name: queue.name.clone(),
            durable: queue.durable,
            exclusive: queue.owner.is_some(),
            auto_delete: queue.auto_delete,
            ready: self.ready_len(id),
            unacked: self.sum(id, |lane| lane.unacked),
            consumers: queue.consumers.len() as u64,
            consumers_ready: queue.consumers.iter().filter(is_ready).count() as u64,
            enqueued: sum(|counts| counts.enqueued),
            acked: sum(|counts| counts.acked),
            rejected: sum(|counts| counts.rejected),
            purged: sum(|counts| counts.purged),
            expired: sum(|counts| counts.expired),
            dropped: sum(|counts| counts.dropped),
            worn_out: sum(|counts| counts.worn_out),
            lost_letters: sum(|counts| counts.lost_letters),
            kept_letters: queue.kept.len() as u64,
        }
    }

    fn host(&self, vhost: VhostId) -> &Vhost {
        self.vhosts.get(&vhost).expect("a virtual host that is there")
    }

    fn host_mut(&mut self, vhost: VhostId) -> &mut Vhost {
        self.vhosts.get_mut(&vhost).expect("a virtual host that is there")
    }
}
