//! Marks: the branches that a test of the whole broker should have reached, and how often it was.
//!
//! A mark stands where something happens that a reviewer would want to see happen. Reaching one is
//! an increment, in production as in the simulator, so that what is simulated is what is shipped.
//! Marks decide nothing.

use core::cell::Cell;
use core::fmt;

use crate::amqp::ReplyCode;

/// How often a mark is expected to be reached by plans that are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkClass {
    /// By 25 of a thousand seeds or more: a thousand without it do not come by chance.
    Common,
    /// By fewer, but by some of ten thousand.
    Nightly,
    /// By the plan that was written for it, and by seeds when chance will have it.
    Rare,
    /// Never: it would be a defect.
    Unreachable,
}

impl MarkClass {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Nightly => "nightly",
            Self::Rare => "rare",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Makes the type of marks from its table: variant, name, class, meaning.
macro_rules! marks {
    ($($mark:ident $name:literal $class:ident $meaning:literal)*) => {
        /// A branch of the broker that is worth reaching.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $(#[doc = $meaning] $mark,)*
        }

        impl Mark {
            /// All there are.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$mark),*];

            /// Its name, on the command line and as the file of its plan.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mark => $name,)*
                }
            }

            /// How often it is expected to be reached.
            #[must_use]
            pub const fn class(self) -> MarkClass {
                match self {
                    $(Self::$mark => MarkClass::$class,)*
                }
            }

            /// What happens where it stands.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$mark => $meaning,)*
                }
            }
        }
    };
}

marks! {
    // A start.
    FirstStart "first-start" Common
        "A broker starts in an empty directory."
    FirstStartAgain "first-start-again" Nightly
        "A first start was cut off, and another begins anew."
    FirstStartRepeated "first-start-repeated" Common
        "Nothing was noted since a broker's first start: its checkpoint is written anew."
    CleanStart "clean-start" Common
        "There is nothing to replay: the broker was stopped."
    CheckpointCutOff "checkpoint-cut-off" Nightly
        "The newest checkpoint is not whole, an older one counts."
    TornTailCut "torn-tail-cut" Common
        "Behind the last whole batch stands part of one, which is dropped."
    TailCopied "tail-copied" Common
        "Messages that nothing shows to be durable are written once more."
    SpareDropped "spare-dropped" Common
        "A segment that was made and never written to is deleted."
    DeadSegmentDropped "dead-segment-dropped" Common
        "A start deletes a segment in which nothing lives."
    StartHindered "start-hindered" Common
        "The disk refuses something that a start needs."

    // The log.
    SegmentSealed "segment-sealed" Common
        "A full segment has its index, durably."
    CheckpointWritten "checkpoint-written" Common
        "A checkpoint is durable, the one before it goes."
    SegmentDeleted "segment-deleted" Common
        "Nothing in a segment lives, and it is deleted."
    BatchOverlong "batch-overlong" Common
        "A batch makes its segment longer than segments are."
    LazyBatch "lazy-batch" Common
        "What nobody waits for has gathered for long enough to be written."
    MessageWithdrawn "message-withdrawn" Common
        "A message is settled before it was written, and is not written."
    CleaningBegun "cleaning-begun" Nightly
        "Of a segment of which little lives, that is going to be copied."
    MessageMoved "message-moved" Nightly
        "A message that lives is noted again, so that its segment can go."
    MoveOvertaken "move-overtaken" Nightly
        "A message is settled while it is being moved."
    BatchRefused "batch-refused" Common
        "The disk does not take a batch."
    BatchWrittenAgain "batch-written-again" Common
        "A batch that the disk did not take goes to another segment."
    IndexMadeAgain "index-made-again" Nightly
        "The segment of a refused batch was being sealed, and is sealed shorter."
    SegmentRefused "segment-refused" Nightly
        "The disk does not make the next segment."
    SealingRefused "sealing-refused" Nightly
        "The disk does not take an index or a checkpoint."
    SealingTriedAgain "sealing-tried-again" Nightly
        "A sealing that failed is begun once more."
    HaltBySync "halt-by-sync" Common
        "A sync fails: the broker halts."
    HaltByRead "halt-by-read" Nightly
        "A read fails: the broker halts."
    LogClosed "log-closed" Common
        "The broker is stopped, with a checkpoint of all there is."
    AnswerGated "answer-gated" Common
        "An answer waits for the disk."

    // Who may do what.
    DefaultsAdded "defaults-added" Rare
        "A start finds no user or no virtual host, and makes those that a first start makes."
    VhostDeleted "vhost-deleted" Common
        "A virtual host is deleted with all that is in it."
    VhostEmptiedInSlices "vhost-emptied-in-slices" Common
        "A virtual host that is deleted has more queues than go at once."
    ConnectionEvicted "connection-evicted" Common
        "A connection has to go, as its user or virtual host does."
    ConfigureRefused "configure-refused" Common
        "A user may not declare or delete something."
    WriteRefused "write-refused" Common
        "A user may not publish to an exchange, or bind something."
    ReadRefused "read-refused" Common
        "A user may not consume from a queue, or bind to an exchange."
    TopicRefused "topic-refused" Nightly
        "A user may not publish or bind with a routing key."
    VhostRefused "vhost-refused" Common
        "A user may do nothing in the virtual host that a client wants to open."
    OperatorEntered "operator-entered" Common
        "Somebody comes into a virtual host who runs the broker: nothing is asked."
    VhostConnectionLimit "vhost-connection-limit" Rare
        "A virtual host has as many connections as it may."
    UserConnectionLimit "user-connection-limit" Nightly
        "A user has as many connections as allowed."
    ChannelLimitReached "channel-limit-reached" Nightly
        "A user has as many channels as allowed."
    QueueLimitReached "queue-limit-reached" Rare
        "A virtual host has as many queues as it may."
    RefusalDelayed "refusal-delayed" Common
        "Logins from an address failed time and again: the answer waits."

    // Messages that die.
    MessageExpired "message-expired" Common
        "A message that waits has waited for longer than it may."
    ExpiredOnReturn "expired-on-return" Common
        "A message comes back and has waited for longer than it may."
    QueueExpired "queue-expired" Common
        "A queue was unused for longer than it may be."
    HeadDropped "head-dropped" Common
        "A queue has more messages than it may, and the first goes."
    LeftFromDisk "left-from-disk" Common
        "A message that is on disk only dies there."
    DyingReadBack "dying-read-back" Common
        "A message that died is read from disk, to be dead-lettered."
    PublishRefused "publish-refused" Common
        "A queue has as many messages as it may, and refuses another."
    DeadLetterRefused "dead-letter-refused" Nightly
        "A queue refuses a dead letter."
    MessageDelayed "message-delayed" Common
        "A message is kept until its time comes."
    DelayOver "delay-over" Common
        "The time of a delayed message has come."
    DelayedSent "delayed-sent" Common
        "A delayed message goes into queues."
    DelayedExchangeGone "delayed-exchange-gone" Nightly
        "The exchange that a delayed message is for is gone."
    DelayedUnroutable "delayed-unroutable" Common
        "No queue is bound for a delayed message."
    DelayedRefused "delayed-refused" Nightly
        "A queue refuses a delayed message."
    DeadLetteredRejected "dead-lettered-rejected" Common
        "A message that was rejected goes on as a dead letter."
    DeadLetteredExpired "dead-lettered-expired" Common
        "A message that expired goes on as a dead letter."
    OverBytes "over-bytes" Common
        "The bodies of a queue's messages have more bytes than they may, or would have."
    SizeOwed "size-owed" Nightly
        "A message leaves from disk whose size must be known, and is still to be read."
    BacklogWeighed "backlog-weighed" Nightly
        "What is on disk only is read for its size."
    DeadLetterKept "dead-letter-kept" Common
        "A dead letter cannot go on its way, and waits."
    KeptLetterGone "kept-letter-gone" Nightly
        "A dead letter that had to wait goes on its way."
    DeadLetteredMaxLength "dead-lettered-max-length" Nightly
        "A message for which there was no room goes on as a dead letter."
    DeadLetteredDeliveryLimit "dead-lettered-delivery-limit" Nightly
        "A message that came back too often goes on as a dead letter."
    DeadLetterExchangeMissing "dead-letter-exchange-missing" Common
        "There is no dead-letter exchange of the name that the queue says."
    DeadLetterUnroutable "dead-letter-unroutable" Common
        "No queue takes a dead letter."
    DeadLetterCycle "dead-letter-cycle" Common
        "A dead letter would come to where it died, and nobody rejected it since."

    // Deduplication.
    DuplicateAtExchange "duplicate-at-exchange" Common
        "A message is published to an exchange that has seen it."
    DuplicateInQueue "duplicate-in-queue" Common
        "A message comes to a queue that has seen it."
    DuplicateAwaitsFirst "duplicate-awaits-first" Common
        "A duplicate is confirmed once the message is durable that it is one of."
    DuplicateOfUnkept "duplicate-of-unkept" Common
        "A message that is to be kept passes, as the one that came before it is not."
    DeadLetterIsNoDuplicate "dead-letter-is-no-duplicate" Nightly
        "A dead letter comes back to a queue that has seen it, in which it died."
    ValueNotRemembered "value-not-remembered" Common
        "An exchange does not remember a message that goes nowhere or is refused."
    ValuePushedOut "value-pushed-out" Common
        "For a message that is not kept, the value of one that is kept is forgotten."
    ValuesRestored "values-restored" Common
        "A start finds what an exchange or a queue remembers."

    // Memory.
    TransientLogged "transient-logged" Common
        "With little memory, a transient message goes to the log too."
    MessagePaged "message-paged" Common
        "A message that comes in is kept on disk only."
    MessageReadBack "message-read-back" Common
        "A message is read back that was kept on disk only."
    ReturnedReadBack "returned-read-back" Common
        "The body of a message that came back is read."
    IndexRead "index-read" Common
        "A queue's part of a segment's index is read."
    IndexFromMemory "index-from-memory" Common
        "A segment is read from whose index is still being written."
    ReadAwaitsWrite "read-awaits-write" Common
        "What is to be read has yet to be written."
    ReadOutdated "read-outdated" Common
        "What was read is not wanted any more."
    BodyLeft "body-left" Common
        "With little memory, a message that is handed out is not kept."
    RelievedToLog "relieved-to-log" Common
        "In the memory alarm, transient messages are moved to the log."
    RelievedIdle "relieved-idle" Nightly
        "In the memory alarm, messages go that were read for who is gone."
    HandOutWaits "hand-out-waits" Common
        "A message waits until a start would know that it was handed out."
    ReservationGrown "reservation-grown" Nightly
        "A queue reserves more hand-outs at once, as the last were too few."

    // Publishers that wait.
    MemoryAlarm "memory-alarm" Common
        "Messages take more memory than they may: publishers wait."
    DiskAlarm "disk-alarm" Common
        "The disk has too little room or refuses something: publishers wait."
    BehindDisk "behind-disk" Common
        "More waits to be written than may: publishers wait for a moment."
    ShortOfReserve "short-of-reserve" Common
        "The next segment is not there yet: publishers wait for it."
    ClientBlocked "client-blocked" Common
        "A client is told that it is blocked."
    ClientUnblocked "client-unblocked" Common
        "A client is told that it is not blocked any more."
    PublisherParked "publisher-parked" Common
        "A channel's publish or declaration waits."
    PublisherResumed "publisher-resumed" Common
        "A channel goes on with what waited on it."
    ParkedAgain "parked-again" Common
        "A channel goes on, and has to wait again before all is done."
    AckOvertook "ack-overtook" Common
        "An ack is handled before the publish in front of it that waits."
    AckHeldBack "ack-held-back" Common
        "An ack stays behind frames that wait."
    CloseParked "close-parked" Common
        "The end of a channel or connection waits behind frames that wait."
    ReadingStopped "reading-stopped" Common
        "Nothing more is read from a client."

    // Publishing.
    ContentWhole "content-whole" Common
        "A message whose frames came together is taken in one step."
    RouteRemembered "route-remembered" Common
        "A message goes where the one before it went."
    RoutedByTopic "routed-by-topic" Common
        "A topic exchange finds where a message goes."
    RoutedByHeaders "routed-by-headers" Common
        "A headers exchange finds where a message goes."
    RoutedByConsistentHash "routed-by-consistent-hash" Common
        "A consistent hash finds where a message goes."
    RoutedByModulusHash "routed-by-modulus-hash" Common
        "A hash of its routing keys finds where a message goes."
    RoutedByChance "routed-by-chance" Common
        "It is by chance where a message goes."
    RoutedByLocalChance "routed-by-local-chance" Common
        "It is by chance to which classic queue a message goes."
    HistoryReplayed "history-replayed" Common
        "What an exchange keeps goes to who is bound to it."
    HistoryCutShort "history-cut-short" Rare
        "Kept messages would take more memory than they may: the oldest go."
    RoutedToMany "routed-to-many" Common
        "A message goes to several queues."
    ExchangeToExchange "exchange-to-exchange" Common
        "A message goes on from one exchange to another."
    ExchangeVisited "exchange-visited" Common
        "A message comes to an exchange a second time, and stops there."
    AlternateTaken "alternate-taken" Common
        "A message that goes nowhere goes to the alternate exchange."
    Unroutable "unroutable" Common
        "A message goes nowhere and is dropped."
    Returned "returned" Common
        "A message goes nowhere and comes back to its publisher."
    ConfirmMultiple "confirm-multiple" Common
        "One confirm is for several publishes."
    ConfirmAtOnce "confirm-at-once" Common
        "A publish is confirmed before an earlier one that waits for the disk."
    ConfirmGated "confirm-gated" Common
        "A confirm waits for the disk."
    ReplyDelivered "reply-delivered" Common
        "A direct reply is delivered."
    ReplyDropped "reply-dropped" Nightly
        "A direct reply is dropped: its client takes nothing, or is gone."
    TxMixed "tx-mixed" Common
        "A transaction that publishes and settles is committed."
    TxRolledBack "tx-rolled-back" Common
        "A transaction with something in it is rolled back."
    TxAbandoned "tx-abandoned" Common
        "A channel ends with an open transaction that has something in it."
    TxRouteGone "tx-route-gone" Common
        "The queues of a transaction's message are deleted before its commit."
    TxTooLarge "tx-too-large" Rare
        "Open transactions would take more memory than they may."

    // Consuming.
    TurnLost "turn-lost" Common
        "A consumer's turn comes while it can take nothing, and it loses it."
    TurnRegained "turn-regained" Common
        "A consumer can take messages again and has a turn again."
    TurnWithdrawn "turn-withdrawn" Common
        "A consumer goes that has a turn."
    ChannelPrefetch "channel-prefetch" Common
        "A channel-wide prefetch was used up, and is not any more."
    PriorityConsumer "priority-consumer" Common
        "A consumer comes with a priority of its own."
    SingleActiveWaits "single-active-waits" Common
        "A consumer waits, as its queue serves one at a time and has one."
    SingleActiveGone "single-active-gone" Common
        "The one consumer that is served goes, and the next takes over."
    SingleActiveDrains "single-active-drains" Common
        "The one consumer that is served gets no more: a higher priority waits."
    SingleActiveStepsBack "single-active-steps-back" Common
        "The one consumer that is served holds nothing, a higher priority is next."
    DeliveryTimedOut "delivery-timed-out" Common
        "A delivery was not acknowledged in time, and goes back to its queue."
    TimeoutRefused "timeout-refused" Common
        "A delivery was not acknowledged in time by who cannot be told."
    AckLate "ack-late" Common
        "An ack is for a delivery that was taken back."
    DeliveryWithheld "delivery-withheld" Common
        "A delivery waits: its socket is full, or an answer before it waits."
    DeliveryResumed "delivery-resumed" Common
        "A channel is delivered to again after a wait."
    GetWaits "get-waits" Common
        "A message that was asked for has to be read, or may not leave yet."
    GetOrphaned "get-orphaned" Nightly
        "A queue goes of which somebody waits for a message."
    RequeuedFirst "requeued-first" Common
        "A message comes back and is the first of its queue again."
    RequeuedBehind "requeued-behind" Common
        "A message comes back to a place behind others."

    // Priorities of messages.
    LaneMade "lane-made" Common
        "A queue gets the first message of a level that is not the usual one."
    LaneRestored "lane-restored" Common
        "A start finds a queue that has messages of several levels, or had."
    LaneDropped "lane-dropped" Common
        "A queue with messages of several levels goes."
    LaneWaits "lane-waits" Common
        "The next message is not at hand, and one of a lower level waits behind it."

    // Topology.
    DurableQueueNamed "durable-queue-named" Common
        "The broker names a queue that outlives the process."
    PassiveDeclare "passive-declare" Common
        "A queue is asked after, and is there."
    ConsumersCancelled "consumers-cancelled" Common
        "A queue goes, and with it its consumers."
    QueueAutoDeleted "queue-auto-deleted" Common
        "A queue goes with its last consumer."
    ExchangeAutoDeleted "exchange-auto-deleted" Common
        "An exchange goes with its last binding."
    ExchangeChainDeleted "exchange-chain-deleted" Rare
        "An exchange goes as the one that was bound to it went."
    ExclusiveGone "exclusive-gone" Common
        "A connection goes, and with it its exclusive queues."
    PurgedOnDisk "purged-on-disk" Common
        "Messages are purged that are on disk only."
    DyingSpared "dying-spared" Nightly
        "A queue is purged around a message that died in it and waits to be read."

    // Connections.
    HeartbeatSent "heartbeat-sent" Common
        "The broker gives a sign of life."
    HeartbeatMissed "heartbeat-missed" Common
        "A client gave no sign of life and is cut off."
    HandshakeTimeout "handshake-timeout" Common
        "A client does not come to the end of the handshake."
    ProtocolRefused "protocol-refused" Common
        "What a client speaks is not AMQP 0-9-1."
    LoginRefused "login-refused" Common
        "A client does not know the password."
    Flow "flow" Rare
        "A client asks for what the channel does anyway: that it is active."
    Stopped "stopped" Common
        "A client is told that the broker stops."
    AccessRefused "error-403" Common
        "A client is told ACCESS_REFUSED."
    NotFound "error-404" Common
        "A client is told NOT_FOUND."
    ResourceLocked "error-405" Common
        "A client is told RESOURCE_LOCKED."
    PreconditionFailed "error-406" Common
        "A client is told PRECONDITION_FAILED."
    FrameError "error-501" Common
        "A client is told FRAME_ERROR."
    SyntaxError "error-502" Rare
        "A client is told SYNTAX_ERROR."
    CommandInvalid "error-503" Common
        "A client is told COMMAND_INVALID."
    ChannelError "error-504" Common
        "A client is told CHANNEL_ERROR."
    UnexpectedFrame "error-505" Common
        "A client is told UNEXPECTED_FRAME."
    NotAllowed "error-530" Common
        "A client is told NOT_ALLOWED."
    NotImplemented "error-540" Common
        "A client is told NOT_IMPLEMENTED."

    // Commands and policies.
    CommandGated "command-gated" Common
        "The answer to a command waits for the disk."
    CommandRefused "command-refused" Common
        "A command makes no sense, and changes nothing."
    ArgumentsChanged "arguments-changed" Common
        "A queue that is there gets other arguments."
    QueuePaused "queue-paused" Common
        "A queue is told to hand out nothing for a while."
    ResourceLimitsChanged "resource-limits-changed" Common
        "Messages may take more or less memory from now on, or the disk must have more room."
    MessageDeleted "message-deleted" Common
        "A ready message is dropped at the wish of those who run the broker."
    DelayedCancelled "delayed-cancelled" Common
        "A message that waits for its time is taken back."

    // Moves to another queue.
    MoveCommitted "move-committed" Common
        "A transaction has moved messages to another queue."
    MoveConfirmed "move-confirmed" Common
        "A message is moved to a queue that may refuse it, and did not."
    MoveRefused "move-refused" Common
        "A message stays where it was, as the queue refuses it to which it was to be moved."
    MoveUndone "move-undone" Common
        "The session ends in which messages are moved: those that it had go back."
    PolicyApplied "policy-applied" Common
        "A queue that is there gets other settings by a policy."
    PolicyInSlices "policy-in-slices" Common
        "There is more than a policy that changed is held against at once."
    PolicyElsewhere "policy-elsewhere" Common
        "A queue is not in the virtual host of a policy that changed."
    PolicyOutranked "policy-outranked" Common
        "A policy takes the place of one that ranks lower, for a queue or an exchange."
    PolicyFellBack "policy-fell-back" Common
        "A policy is in force no more for a queue or an exchange; the next in rank is, or none."
    AlternateByPolicy "alternate-by-policy" Common
        "An exchange that is there gets another alternate exchange by a policy."

    // What must not be.
    ResourceError "error-506" Unreachable
        "A client is told RESOURCE_ERROR."
    InternalError "error-541" Unreachable
        "A client is told INTERNAL_ERROR."
    UnknownRequest "unknown-request" Unreachable
        "The disk is done with what it was not asked for."
    PolicyAstray "policy-astray" Unreachable
        "A policy in the log is none that this broker would take."
    BindingAstray "binding-astray" Unreachable
        "A binding in the log leads to or from what is not there."
}

impl Mark {
    /// That a client is told of an error.
    pub(crate) const fn of_error(code: ReplyCode) -> Self {
        match code {
            ReplyCode::AccessRefused => Self::AccessRefused,
            ReplyCode::NotFound => Self::NotFound,
            ReplyCode::ResourceLocked => Self::ResourceLocked,
            ReplyCode::PreconditionFailed => Self::PreconditionFailed,
            ReplyCode::ConnectionForced => Self::Stopped,
            ReplyCode::FrameError => Self::FrameError,
            ReplyCode::SyntaxError => Self::SyntaxError,
            ReplyCode::CommandInvalid => Self::CommandInvalid,
            ReplyCode::ChannelError => Self::ChannelError,
            ReplyCode::UnexpectedFrame => Self::UnexpectedFrame,
            ReplyCode::ResourceError => Self::ResourceError,
            ReplyCode::NotAllowed => Self::NotAllowed,
            ReplyCode::NotImplemented => Self::NotImplemented,
            ReplyCode::InternalError => Self::InternalError,
        }
    }
}

/// The counters of a broker, or of a recovery that comes to be one.
pub(crate) struct Marks([Cell<u64>; Mark::ALL.len()]);

impl Marks {
    /// Counters that go on from these counts.
    pub(crate) fn from_counts(counts: &MarkCounts) -> Self {
        Self(counts.0.map(Cell::new))
    }

    /// Counts a mark.
    pub(crate) fn reach(&self, mark: Mark) {
        let count = &self.0[mark as usize];
        count.set(count.get().wrapping_add(1));
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> MarkCounts {
        let mut counts = MarkCounts::default();
        for (count, cell) in counts.0.iter_mut().zip(&self.0) {
            *count = cell.get();
        }
        counts
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self([const { Cell::new(0) }; Mark::ALL.len()])
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

/// How often each mark was reached.
#[derive(Clone, PartialEq, Eq)]
pub struct MarkCounts([u64; Mark::ALL.len()]);

impl MarkCounts {
    /// Adds what others counted.
    pub fn add(&mut self, others: &Self) {
        for (count, other) in self.0.iter_mut().zip(&others.0) {
            *count = count.wrapping_add(*other);
        }
    }

    /// How often a mark was reached.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Those that were reached, and how often.
    pub fn reached(&self) -> impl Iterator<Item = (Mark, u64)> + '_ {
        let counts = Mark::ALL.into_iter().map(|mark| (mark, self.count(mark)));
        counts.filter(|(_, count)| *count > 0)
    }
}

impl Default for MarkCounts {
    fn default() -> Self {
        Self([0; Mark::ALL.len()])
    }
}

impl fmt::Debug for MarkCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.reached().map(|(mark, count)| (mark.name(), count))).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn names_are_different_and_meanings_are_sentences() {
        let names: BTreeSet<&str> = Mark::ALL.iter().map(|mark| mark.name()).collect();
        assert_eq!(names.len(), Mark::ALL.len());
        for mark in Mark::ALL {
            assert!(mark.meaning().ends_with('.'), "{mark:?}");
        }
    }

    #[test]
    fn what_is_reached_is_counted_and_added_up() {
        let (one, other) = (Marks::default(), Marks::default());
        one.reach(Mark::FirstStart);
        other.reach(Mark::FirstStart);
        other.reach(Mark::Flow);
        let mut counts = one.counts();
        counts.add(&other.counts());
        let on = Marks::from_counts(&counts);
        on.reach(Mark::Flow);
        let counts = on.counts();
        assert_eq!(counts.reached().collect::<Vec<_>>(), [(Mark::FirstStart, 2), (Mark::Flow, 2)]);
        assert_eq!(counts.count(Mark::Returned), 0);
    }
}
