//! What there is, for those who run the broker: types that [`Broker`](crate::Broker) gives when it
//! is asked for a listing.
//!
//! A listing is read, and changes nothing: it is no input. It comes in pages, so that nobody else
//! waits for long, whatever there is. Each page costs as much as it gives; between two pages things
//! may come and go, and what was there all the time is listed once.

use alloc::string::String;
use core::iter::Sum;
use core::ops::{Add, Sub};
use core::time::Duration;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ConnectionId;
use crate::amqp::{ChannelNumber, FieldTable, ShortStr};
use crate::broker::{BindingPlace, Message};

pub use crate::broker::QueueView;

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

macro_rules! counters {
    ($(#[$doc:meta])* $Counters:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Counters { $($(#[$field_doc])* pub $field: u64,)* }

        impl Add for $Counters {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($field: self.$field + other.$field,)* }
            }
        }

        /// What was added since `other`; nothing where it is more.
        impl Sub for $Counters {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                Self { $($field: self.$field.saturating_sub(other.$field),)* }
            }
        }

        impl Sum for $Counters {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::default(), Self::add)
            }
        }
    };
}

counters! {
    /// What happened to the messages of a queue, or of several, since the broker was started.
    QueueCounters {
        /// Messages that came in; those that a start found are among them.
        enqueued,
        /// Messages that were sent to consumers who acknowledge them.
        delivered,
        /// Messages that were sent to consumers who do not.
        delivered_no_ack,
        /// Messages that were asked for, to be acknowledged.
        got,
        /// Messages that were asked for, and are not.
        got_no_ack,
        /// How many of all these may have been delivered before.
        redelivered,
        /// Messages that are settled: acknowledged, or delivered to who does not acknowledge.
        acked,
        /// Messages that were rejected without requeue.
        rejected,
        /// Messages that waited for longer than they may.
        expired,
        /// Messages for which there was no room.
        dropped,
    }
}

counters! {
    /// What happened in the broker since it was started.
    Traffic {
        /// Messages that clients published.
        published,
        /// Those of them that were to be confirmed.
        published_to_confirm,
        /// Those that were, or were refused.
        confirmed,
        /// Messages that went nowhere and came back to their publishers.
        returned,
        /// Messages that went nowhere.
        unroutable,
        /// How many queues messages of clients went to, all together.
        routed,
        /// How often a message was asked for and there was none.
        get_empty,
        /// Connections.
        connections_opened,
        /// Connections.
        connections_closed,
        /// Channels.
        channels_opened,
        /// Channels.
        channels_closed,
        /// Declarations of queues, also of those that were there.
        queues_declared,
        /// Queues that were made.
        queues_created,
        /// Queues that are gone.
        queues_deleted,
        /// Clients who logged in.
        logins,
        /// Those who tried to, and may not.
        logins_refused,
        /// The same of those who did it within this process, with a password: for somebody else.
        logins_inside,
        /// The same of those.
        logins_inside_refused,
    }
}

impl Traffic {
    /// A client tried to log in.
    pub(crate) fn note_login(&mut self, is_right: bool) {
        self.logins += u64::from(is_right);
        self.logins_refused += u64::from(!is_right);
    }

    /// Somebody tried to, within this process.
    pub(crate) fn note_login_inside(&mut self, is_right: bool) {
        self.logins_inside += u64::from(is_right);
        self.logins_inside_refused += u64::from(!is_right);
    }
}

/// What there is of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Queues that clients see.
    pub queues: u64,
    /// Exchanges, with those that are predeclared.
    pub exchanges: u64,
    /// Connections, with those that are being opened or closed.
    pub connections: u64,
    /// Channels.
    pub channels: u64,
    /// Consumers.
    pub consumers: u64,
}

/// What a queue holds, and has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueNumbers {
    /// What it is known by as long as it is there. No other queue ever has the same.
    pub key: u64,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages with consumers, not settled yet.
    pub unacked: u64,
    /// How many bytes the bodies of the ready messages have, as far as it is known.
    pub ready_bytes: u64,
    /// Ready messages that are in memory.
    pub ready_in_memory: u64,
    /// Consumers.
    pub consumers: u64,
    /// What happened to its messages.
    pub counters: QueueCounters,
}

/// A queue.
#[derive(Clone, Debug)]
pub struct QueueInfo {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The name.
    pub name: ShortStr,
    /// Whether it is to survive a restart.
    pub durable: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Whose it is, if it belongs to one connection.
    pub owner: Option<ConnectionId>,
    /// As it was declared.
    pub arguments: FieldTable,
    /// The policy that is in force for it.
    pub policy: Option<ShortStr>,
    /// The operator's policy that is in force for it.
    pub operator_policy: Option<ShortStr>,
    /// What both ask for.
    pub policy_definition: FieldTable,
    /// Whether it hands out nothing.
    pub is_paused: bool,
    /// After how many returns a message is dead, if that is limited.
    pub delivery_limit: Option<u32>,
    /// The tag of the consumer that has it to itself.
    pub exclusive_consumer: Option<ShortStr>,
    /// The tag of the consumer that is served, where it is one at a time.
    pub active_consumer: Option<ShortStr>,
    /// What it holds.
    pub numbers: QueueNumbers,
}

/// Which message of a queue: no other ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// Which of the queue's rows it stands in: messages of a priority have one of their own.
    pub row: u64,
    /// Its place there.
    pub position: u64,
}

/// A ready message that is in memory, or at least known there.
#[derive(Clone, Debug)]
pub struct MessageInfo {
    /// Which.
    pub id: MessageId,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How often it came back.
    pub returns: u32,
    /// When it expires, in milliseconds since 1970, UTC, if it does.
    pub expires_ms: Option<u64>,
    /// The message; `None` if that is on disk only.
    pub message: Option<Arc<Message>>,
}

/// An exchange.
#[derive(Clone, Debug)]
pub struct ExchangeInfo {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The name; empty for the default exchange.
    pub name: ShortStr,
    /// What clients call its type.
    pub kind: &'static str,
    /// Whether it is to survive a restart.
    pub durable: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
    /// Whether clients may not publish to it.
    pub internal: bool,
    /// As it was declared.
    pub arguments: FieldTable,
    /// The exchange that gets what no binding takes, by an argument or a policy.
    pub alternate: Option<ShortStr>,
    /// The policy that is in force for it.
    pub policy: Option<ShortStr>,
    /// The operator's policy that is in force for it.
    pub operator_policy: Option<ShortStr>,
    /// How many messages clients published to it.
    pub published: u64,
    /// How many messages came to queues by that, one for each queue.
    pub routed: u64,
}

/// What happened on a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelCounters {
    /// Messages that were published.
    pub published: u64,
    /// Those of them that were confirmed.
    pub confirmed: u64,
    /// Those that went nowhere and came back.
    pub returned: u64,
    /// Those that went nowhere otherwise.
    pub unroutable: u64,
    /// Messages that consumers were sent that are to be acknowledged.
    pub delivered: u64,
    /// Messages that consumers were sent that are not.
    pub delivered_no_ack: u64,
    /// Messages that were asked for that are to be acknowledged.
    pub got: u64,
    /// Messages that were asked for that are not.
    pub got_no_ack: u64,
    /// Those of all these that may have been handed out before.
    pub redelivered: u64,
    /// Deliveries that were acknowledged.
    pub acked: u64,
}

/// Where a message would go, were it published now, as
/// [`Broker::course`](crate::Broker::course) finds it.
#[derive(Clone, Debug)]
pub struct Course {
    /// The routing keys that it goes by: its own, and those of its headers `CC` and `BCC`.
    pub keys: Vec<ShortStr>,
    /// The exchanges on its way, each once, the first in front.
    pub exchanges: Vec<ExchangeInfo>,
    /// The steps of its way, no more than were asked for.
    pub steps: Vec<CourseStep>,
    /// How many there are.
    pub steps_count: u64,
    /// The queues that would get it, no more than were asked for.
    pub queues: Vec<CourseQueue>,
    /// How many there are.
    pub queues_count: u64,
    /// How many clients wait for direct replies that would get it.
    pub replies_count: u64,
    /// For how many milliseconds it would wait before it goes this way, or the one that there is
    /// then.
    pub delay_ms: Option<u64>,
}

/// A step of a message's way, from an exchange.
#[derive(Clone, Debug)]
pub struct CourseStep {
    /// The exchange.
    pub source: ShortStr,
    /// Where it leads.
    pub end: CourseEnd,
    /// Why it is taken.
    pub by: CourseBy,
    /// Whether it is taken in any case. Else chance decides, here or before.
    pub is_certain: bool,
    /// The bindings that take the message.
    pub bindings: Vec<CourseBinding>,
    /// Whether there may be more of them.
    pub has_more_bindings: bool,
}

/// Where a step leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CourseEnd {
    /// To a queue.
    Queue(ShortStr),
    /// To an exchange.
    Exchange(ShortStr),
    /// To a client that waits for a direct reply.
    Reply,
}

/// Why a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CourseBy {
    /// Bindings take the message.
    Bindings,
    /// The default exchange sends to the queue that is called like the routing key.
    QueueName,
    /// The exchange chooses one of its bindings by what stands in the message.
    Hash,
    /// The exchange chooses one of its bindings by chance: this one may be it.
    Chance,
    /// No binding takes the message, and this is the alternate exchange.
    Alternate,
}

/// A binding, without what it is between.
#[derive(Clone, Debug)]
pub struct CourseBinding {
    /// The binding key.
    pub key: ShortStr,
    /// The arguments.
    pub arguments: FieldTable,
}

/// A queue that would get a message.
#[derive(Clone, Debug)]
pub struct CourseQueue {
    /// The name.
    pub name: ShortStr,
    /// Whether it would in any case. Else chance decides.
    pub is_certain: bool,
    /// Whether it has as many messages as it may and refuses more.
    pub is_full: bool,
}

/// Something that a policy would be for, were it set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyMatch {
    /// The name.
    pub name: ShortStr,
    /// What it is: `exchange`, or the type of a queue.
    pub kind: &'static str,
    /// Whether it would be in force. Else another one of its layer comes before it.
    pub wins: bool,
    /// The policy of that layer that is in force now.
    pub now: Option<ShortStr>,
    /// The one that would be, were there no policy of this name.
    pub other: Option<ShortStr>,
}

/// Which bindings are listed.
#[derive(Clone, Copy, Debug)]
pub enum BindingsOf<'a> {
    /// Those from this exchange.
    Source(&'a ShortStr),
    /// Those to this queue.
    Queue(&'a ShortStr),
    /// Those to this exchange.
    Exchange(&'a ShortStr),
}

/// A binding. Those by which queues are bound to the default exchange are not listed.
#[derive(Clone, Debug)]
pub struct BindingInfo {
    /// The exchange that messages come from.
    pub source: ShortStr,
    /// The queue, or exchange, that they go to.
    pub destination: ShortStr,
    /// Whether it is a queue.
    pub is_queue: bool,
    /// The routing key.
    pub key: ShortStr,
    /// Further arguments.
    pub arguments: FieldTable,
    /// A hash of them: the same for the same arguments.
    pub arguments_hash: u64,
    pub(crate) place: BindingPlace,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// What the broker calls it.
    pub id: ConnectionId,
    /// Both ends.
    pub name: String,
    /// Who logged in; empty before.
    pub user: ShortStr,
    /// The virtual host, once it is open.
    pub vhost: Option<ShortStr>,
    /// What the client calls it.
    pub client_name: Option<String>,
    /// What the client says of itself.
    pub client_properties: FieldTable,
    /// How the user logged in.
    pub mechanism: ShortStr,
    /// How far it has come: `running`, `blocked`, ...
    pub state: &'static str,
    /// How many channels are open.
    pub channels: u64,
    /// The most channels.
    pub channel_max: u16,
    /// The largest frame, in bytes; 0: any.
    pub frame_max: u32,
    /// The interval of heartbeats; zero: none.
    pub heartbeat: Duration,
    /// When the client connected, in milliseconds since 1970, UTC.
    pub connected_ms: u64,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct ChannelInfo {
    /// Its connection.
    pub connection: ConnectionId,
    /// Both ends of the connection.
    pub connection_name: String,
    /// Who logged in.
    pub user: ShortStr,
    /// The virtual host.
    pub vhost: ShortStr,
    /// Its number.
    pub number: ChannelNumber,
    /// How many unacked messages a consumer to come may hold; 0: any number.
    pub prefetch: u32,
    /// How many all its consumers may hold together; 0: any number.
    pub prefetch_together: u32,
    /// Consumers.
    pub consumers: u64,
    /// Deliveries that are not acknowledged.
    pub unacked: u64,
    /// Publishes that are not confirmed.
    pub unconfirmed: u64,
    /// Publishes of a transaction that is not committed.
    pub uncommitted: u64,
    /// Acknowledgements of a transaction that is not committed.
    pub acks_uncommitted: u64,
    /// Whether publishes are confirmed.
    pub confirms: bool,
    /// Whether it has transactions.
    pub is_transactional: bool,
    /// Whether what it publishes has to wait.
    pub is_held_up: bool,
    /// How many messages its consumers were sent.
    pub deliveries: u64,
    /// What happened on it.
    pub counters: ChannelCounters,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct ConsumerInfo {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The queue.
    pub queue: ShortStr,
    /// Its tag.
    pub tag: ShortStr,
    /// The connection.
    pub connection: ConnectionId,
    /// Both ends of the connection.
    pub connection_name: String,
    /// Who logged in.
    pub user: ShortStr,
    /// The channel.
    pub channel: ChannelNumber,
    /// Whether it acknowledges what it gets.
    pub acks: bool,
    /// Whether it has the queue to itself.
    pub is_exclusive: bool,
    /// Whether it is served: others may wait for their turn where it is one at a time.
    pub is_active: bool,
    /// How many unacked messages it may hold; 0: any number.
    pub prefetch: u32,
    /// How many it holds.
    pub unacked: u32,
    /// Who has a higher one is served first.
    pub priority: i64,
    /// How long it may wait with an acknowledgement, if it says so.
    pub timeout: Option<Duration>,
}
