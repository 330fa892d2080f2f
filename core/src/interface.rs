//! What goes into the broker and what comes out of it.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::amqp::{AmqpError, DecodeError, FieldTable, Frame, MethodId, OutFrame, ShortStr};
use crate::broker::{
    Parameter, Password, PasswordHash, Permission, Policy, PolicyLayer, Refusal, TopicPermission,
    UserChange, UserLimits, VhostLimits, VhostMetadata,
};
use crate::listing::MessageId;
use crate::{DiskRequest, DiskResult, NodeLimits, OpId, ResourceLimits};

/// One connection, for as long as it lives; the number is never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// A small number that no other living connection has: for tables of the adapter.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// All of it in one number: for recordings, and for the names that people are shown.
    #[must_use]
    pub fn to_number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// What [`Self::to_number`] made a number of.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self { index: number as u32, generation: (number >> 32) as u32 }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Who connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Both ends, for logs and names: `127.0.0.1:51234 -> 127.0.0.1:5672`.
    pub name: String,
    /// Whether the client is on this machine: only then may `guest` log in.
    pub is_loopback: bool,
    /// Whether it is within this process: it may log in by any mechanism, is not counted among the
    /// connections that clients open, and its coming and going are no news.
    pub is_inside: bool,
    /// Where the client is: logins that fail time and again from the same address are answered ever
    /// later.
    pub address: String,
    /// The user that the client proved to be before: by its certificate, or within this process.
    /// The mechanism `EXTERNAL` is for these.
    pub external: Option<String>,
    /// Whether those who run the broker are behind this client: it may do everything everywhere,
    /// and no user need have the name in [`Self::external`]. Only ever within this process.
    pub is_operator: bool,
}

/// What the adapter calls a command by; it chooses, and the answer has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// Something that the people who run the broker want of it, whoever asks for them: who may is
/// decided before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sets a policy, in place of the one that has its name if there is one. It is in force at once
    /// for exchanges and queues that are there.
    SetPolicy {
        /// The virtual host.
        vhost: ShortStr,
        /// Whose policy.
        layer: PolicyLayer,
        /// The policy.
        policy: Policy,
    },
    /// Deletes a policy; others take its place at once.
    DeletePolicy {
        /// The virtual host.
        vhost: ShortStr,
        /// Whose policy.
        layer: PolicyLayer,
        /// Its name.
        name: ShortStr,
    },
    /// Makes a virtual host, or changes what is known of one.
    SetVhost {
        /// Its name.
        vhost: ShortStr,
        /// What is known of it.
        metadata: VhostMetadata,
    },
    /// Deletes a virtual host with all that is in it. Its clients are told, and cut off.
    DeleteVhost {
        /// Its name.
        vhost: ShortStr,
    },
    /// Sets how much a virtual host may hold; what it holds already stays.
    SetVhostLimits {
        /// Its name.
        vhost: ShortStr,
        /// All limits that there are then.
        limits: VhostLimits,
    },
    /// Makes a user, or changes one.
    SetUser {
        /// The name.
        user: ShortStr,
        /// What changes.
        change: UserChange,
    },
    /// Deletes a user with all permissions. The user's clients are told, and cut off.
    DeleteUser {
        /// The name.
        user: ShortStr,
    },
    /// Sets how much a user may have; what is there already stays.
    SetUserLimits {
        /// The name.
        user: ShortStr,
        /// All limits that there are then.
        limits: UserLimits,
    },
    /// Sets what a user may do in a virtual host.
    SetPermission {
        /// The virtual host.
        vhost: ShortStr,
        /// The user.
        user: ShortStr,
        /// What that is.
        permission: Permission,
    },
    /// A user may do nothing in a virtual host any more, nor enter it.
    ClearPermission {
        /// The virtual host.
        vhost: ShortStr,
        /// The user.
        user: ShortStr,
    },
    /// Sets what a user may do at a topic exchange.
    SetTopicPermission {
        /// The virtual host.
        vhost: ShortStr,
        /// The user.
        user: ShortStr,
        /// What that is.
        permission: TopicPermission,
    },
    /// A user may do everything at a topic exchange, or at all of them.
    ClearTopicPermission {
        /// The virtual host.
        vhost: ShortStr,
        /// The user.
        user: ShortStr,
        /// The exchange; `None` for all.
        exchange: Option<ShortStr>,
    },
    /// Keeps a parameter, in place of the one that has its name if there is one.
    SetParameter(Parameter),
    /// Forgets a parameter.
    ClearParameter {
        /// The virtual host; `None` for one of the whole broker.
        vhost: Option<ShortStr>,
        /// For whom it is.
        component: ShortStr,
        /// Its name.
        name: ShortStr,
    },
    /// Drops one ready message of a queue.
    DeleteMessage {
        /// The virtual host.
        vhost: ShortStr,
        /// The queue.
        queue: ShortStr,
        /// Which, as listings have it.
        message: MessageId,
    },
    /// Takes back a delayed message.
    CancelDelayed {
        /// The virtual host.
        vhost: ShortStr,
        /// Which, see [`DelayedMessage::id`].
        id: u64,
    },
    /// A queue hands out nothing any more, or does again. Messages come to it all the same. It does
    /// again after a start.
    PauseQueue {
        /// The virtual host.
        vhost: ShortStr,
        /// The queue.
        queue: ShortStr,
        /// Whether it hands out nothing.
        is_paused: bool,
    },
    /// A queue is as these arguments say from now on, which take the place of those it was declared
    /// with; messages that are there keep their deadlines. It has the type that it has, how it
    /// serves consumers, its levels, and what it deduplicates by: who wants another of these is
    /// refused.
    SetQueueArguments {
        /// The virtual host.
        vhost: ShortStr,
        /// The queue.
        queue: ShortStr,
        /// All arguments that it has then; of its type they need not say anything.
        arguments: FieldTable,
    },
    /// Sets how much there may be from now on, for as long as this broker lives.
    SetNodeLimits(NodeLimits),
    /// Sets how much memory messages may take, and how much space must be left on the disk, for as
    /// long as this broker lives. What messages take that is more than they may take from then on,
    /// they keep until they go.
    SetResourceLimits(ResourceLimits),
    /// Closes a connection: the client is told with 320 and this text.
    CloseConnection {
        /// Which.
        connection: ConnectionId,
        /// The text.
        reason: String,
    },
}

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Something is there that was not before.
    Created,
    /// What was there is as it is wanted.
    Updated,
    /// It is gone.
    Deleted,
    /// There was nothing to be done.
    Unchanged,
}

/// What happened. Inputs for connections that are gone are ignored.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client sent a frame.
    Frame(ConnectionId, Frame),
    /// A client sent bytes that are no frame. If the error cannot be recovered from, nothing but
    /// `Closed` comes from this client any more.
    Malformed(ConnectionId, DecodeError),
    /// A client sent bytes that do not complete a frame yet: a sign of life.
    Received(ConnectionId),
    /// This many bytes wait for the client's socket now. Reported after every write; all outputs
    /// must have been polled before.
    EgressLen(ConnectionId, usize),
    /// The connection is gone: end of stream, reset, or a failed write. Not reported after
    /// `Output::Close`.
    Closed(ConnectionId),
    /// What came of a request to the disk.
    Disk(OpId, DiskResult),
    /// How many bytes are free on the data directory's disk. Reported every second, more often
    /// while it is nearly full.
    DiskFree(u64),
    /// Whether the password that this client gave is the right one, as [`Output::Verify`] asked.
    Verified(ConnectionId, bool),
    /// Somebody who may wants this. Answered once, by [`Output::Answered`].
    Command(CommandId, Box<Command>),
    /// The time that `poll_timeout` named has come. More often is harmless.
    Tick,
    /// The broker is to stop: clients are told with 320 and this text, new ones are refused. When
    /// no connection is left, the log is closed; it is done when [`Broker::is_stopped`].
    ///
    /// [`Broker::is_stopped`]: crate::Broker::is_stopped
    Shutdown(String),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this.
    Send(ConnectionId, OutFrame),
    /// From the next frame on, decoder and egress keep to this frame size, in bytes. 0: no limit.
    FrameMax(ConnectionId, u32),
    /// Stop reading from this client, and keep frames that were read already: what it asks for has
    /// no room to be answered.
    PauseReading(ConnectionId),
    /// Read from this client again.
    ResumeReading(ConnectionId),
    /// Send what was given for sending, then close. The connection is forgotten.
    Close(ConnectionId),
    /// Find out whether a password is that of a hash, and say so with [`Input::Verified`]. There is
    /// one question at a time about a client. It takes as long as it takes, away from where the
    /// broker runs, and as long wherever the difference is.
    Verify(ConnectionId, Password, PasswordHash),
    /// What came of a command. What it changed is durable.
    Answered(CommandId, Result<Done, Refusal>),
    /// A request to the disk.
    Disk(DiskRequest),
    /// The broker can no longer keep its promises, for this reason. Nothing that was not sent yet
    /// may be sent, nothing more written: the process must end, with an error. Nothing else comes
    /// from this broker.
    Halt(String),
    /// Something that a person who runs the broker may want to know.
    Event(Event),
}

/// What the broker reports for logs; carries no secret.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client finished its handshake.
    ConnectionOpened {
        /// Both ends.
        peer: String,
        /// Who logged in.
        user: String,
        /// The virtual host.
        vhost: String,
        /// What the client calls itself.
        client: Option<String>,
    },
    /// A connection ended; `error` says why when it was not the client's wish.
    ConnectionClosed {
        /// Both ends.
        peer: String,
        /// What the client called itself.
        client: Option<String>,
        /// Why.
        error: Option<String>,
    },
    /// A client connected and went away without a byte, as health checks do.
    ConnectionUnused {
        /// Both ends.
        peer: String,
    },
    /// A login failed.
    LoginRefused {
        /// Both ends.
        peer: String,
        /// The name that was given.
        user: String,
        /// Why.
        reason: &'static str,
    },
    /// There is too little of something: publishers wait until there is more.
    AlarmRaised(Alarm),
    /// There is enough of it again.
    AlarmCleared(Alarm),
    /// The disk refused something that is going to be tried again: a file and the reason.
    DiskError(String),
    /// Dead letters of a queue went nowhere, the last of them for this reason. Told each time that
    /// there are twice as many.
    DeadLettersLost {
        /// The virtual host.
        vhost: String,
        /// The queue in which the messages died.
        queue: String,
        /// How many there are so far.
        count: u64,
        /// Why.
        reason: &'static str,
    },
    /// Dead letters of a queue cannot go where they are to go, the last of them for this reason,
    /// and wait until they can. Told each time that there are twice as many.
    DeadLettersKept {
        /// The virtual host.
        vhost: String,
        /// The queue in which the messages died.
        queue: String,
        /// How many had to wait so far.
        count: u64,
        /// Why.
        reason: &'static str,
    },
    /// Messages that were delayed went nowhere when their time had come, the last of them for this
    /// reason. Told each time that there are twice as many.
    DelayedMessagesLost {
        /// The virtual host.
        vhost: String,
        /// The exchange that the last one was published to.
        exchange: String,
        /// How many there are so far.
        count: u64,
        /// Why.
        reason: &'static str,
    },
    /// The broker told a client of an error, on a channel or, with channel 0, on the connection.
    ErrorSent {
        /// Both ends.
        peer: String,
        /// The channel.
        channel: u16,
        /// The method that failed.
        method: MethodId,
        /// What it was told.
        error: AmqpError,
    },
}

/// Something that no output tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// A channel that had waited went on.
    Turn(Turn),
    /// Something left a queue without a client's doing.
    Departure(Departure),
    /// What was not acknowledged in time on this channel of this connection is taken back next.
    TimedOut(ConnectionId, u16),
}

/// A queue, by its virtual host and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueName {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The name.
    pub name: ShortStr,
}

/// Something left a queue without a client's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The message of this queue that waited had the earliest deadline, and that is over.
    Expired(QueueName),
    /// This queue had more messages than it may, and the first of them went.
    Dropped(QueueName),
    /// Of those that died in this queue the first was dead-lettered, as far as that could be done.
    Buried(QueueName),
    /// The one of these could not be dead-lettered, and waits behind those that do already.
    Kept(QueueName),
    /// Of those that wait, the first is among those that died again, as the last of them.
    Retried(QueueName),
    /// This queue had no room for a message, which was the one of this number of those that came
    /// to it.
    Refused(QueueName, u64),
    /// The first message that this queue refused was dead-lettered, as far as that could be done.
    RefusedBuried(QueueName),
    /// The queue was unused for too long.
    QueueExpired(QueueName),
}

/// A channel that had waited went on, with so many of the frames that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose channel.
    pub connection: ConnectionId,
    /// Its number.
    pub channel: u16,
    /// How many frames.
    pub frames: usize,
}

/// What the broker decided where it was free to, for checkers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An exchange sent a message on to one of its destinations.
    Chose {
        /// The virtual host.
        vhost: ShortStr,
        /// The exchange.
        exchange: String,
        /// The queue's or other exchange's name.
        destination: String,
        /// Whether it is a queue.
        is_queue: bool,
    },
    /// A queue was given this name: its declaration left that open.
    Named {
        /// The virtual host.
        vhost: ShortStr,
        /// The name.
        name: ShortStr,
    },
    /// An exchange that keeps messages gave those that it has, if any, to who was bound to it.
    Replayed {
        /// The virtual host.
        vhost: ShortStr,
        /// The exchange.
        exchange: String,
        /// How many messages that was: its last ones.
        messages: u64,
    },
    /// A command's turn came; the next one's comes when it is through.
    CommandBegun(CommandId),
    /// What policies ask for counts from now on for this queue or exchange.
    Policed {
        /// The virtual host.
        vhost: ShortStr,
        /// Its name.
        name: ShortStr,
        /// Whether it is a queue.
        is_queue: bool,
    },
    /// A queue or an exchange took a message for one that came before.
    Duplicate {
        /// The virtual host.
        vhost: ShortStr,
        /// Its name.
        name: ShortStr,
        /// Whether it is a queue.
        is_queue: bool,
    },
    /// What a command changed has come to all that it is for.
    CommandThrough(CommandId),
}

/// A message that is to be routed when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DelayedMessage {
    /// When that is, in milliseconds since 1970, UTC.
    pub due_ms: u64,
    /// A number that no other delayed message of its virtual host ever has. Of those with the same
    /// time the lowest goes first.
    pub id: u64,
}

/// What there may be too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Memory.
    Memory,
    /// Space on the disk.
    Disk,
}

/// What a queue holds and has seen, for people and checkers. Always:
/// `enqueued = ready + unacked + acked + rejected + purged + expired + dropped + worn_out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The name.
    pub name: ShortStr,
    /// Whether it is to survive a restart.
    pub durable: bool,
    /// Whether it belongs to one connection.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages with consumers, not settled yet.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u64,
    /// Consumers that could take another message now.
    pub consumers_ready: u64,
    /// Messages that ever came in.
    pub enqueued: u64,
    /// Messages settled by `ack`, or delivered to who need not acknowledge.
    pub acked: u64,
    /// Messages settled by `reject` or `nack` without requeue.
    pub rejected: u64,
    /// Messages purged.
    pub purged: u64,
    /// Messages that waited for longer than they may.
    pub expired: u64,
    /// Messages for which there was no room.
    pub dropped: u64,
    /// Messages that came back too often.
    pub worn_out: u64,
    /// Dead letters that no queue took.
    pub lost_letters: u64,
    /// Dead letters that cannot go on their way now, and wait until they can.
    pub kept_letters: u64,
}
