//! Broken behaviour, put between the broker and its clients on purpose: a simulator that does not
//! notice it is broken itself.

use bytes::Bytes;
use warren_core::Input;
use warren_core::amqp::{BasicAck, Frame, Method, OutFrame, TxCommit, TxRollbackOk};
use warren_core::broker::Body;

use crate::meter::in_core;

/// How much memory is not given back.
const KEPT_LEN: usize = 1 << 20;

/// What goes wrong, at the first occasion or at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Two deliveries to one consumer change places.
    SwapDeliveries,
    /// A delivery comes twice, under two tags.
    RepeatDelivery,
    /// A byte of a delivered body is another.
    FlipBodyByte,
    /// A delivery that is a redelivery does not say so.
    HideRedelivery,
    /// A confirm never comes.
    DropConfirm,
    /// A confirm comes for a publish that was not made.
    InventConfirm,
    /// The broker hears of a larger prefetch than the client asked for.
    EnlargePrefetch,
    /// The broker hears of a smaller prefetch than the client asked for.
    ReducePrefetch,
    /// A delivery tag is skipped.
    SkipTag,
    /// The broker hears of a binding with another key.
    BendBinding,
    /// A reply never comes.
    DropReply,
    /// The broker does not hear of an ack.
    LoseAck,
    /// The broker hears a commit where the client rolled back, and what it answers looks right.
    CommitRollback,
    /// The broker does not hear of a queue's deletion.
    LoseDelete,
    /// The broker does not hear of a consumer's priority.
    LosePriority,
    /// A connection is closed without the word that it will be.
    DropCloseOk,
    /// The disk says that files are synced, and does not do it.
    LieAboutSync,
    /// The disk says that the directory is synced, and does not do it.
    LieAboutSyncDir,
    /// The broker does not hear that a sync failed.
    HideSyncError,
    /// Deleted files stay.
    LoseFileDeletion,
    /// At a restart the disk is empty.
    EmptyDisk,
    /// At a restart the disk is as it was before the first publish.
    DiskBeforePublish,
    /// At a restart the disk is as it was before the first ack.
    DiskBeforeAck,
    /// What the first recovery left behind is gone when the second looks at it.
    EmptyDiskAgain,
    /// A client is not told that it has to wait.
    HideBlocked,
    /// Of each publish some memory is never given back.
    KeepMemory,
    /// The broker always has a timer that is due soon.
    Restless,
    /// A read that brings no whole frame is answered with a sign of life.
    AnswerPart,
    /// A start that is refused for damage names another file.
    MisnameDamage,
    /// A broker that gives up for damage does not say where it is.
    HushDamage,
    /// `check` sees a disk without its damage.
    BlindCheck,
    /// A disk that is gone is there again at the next start.
    KeepGoneDisk,
}

/// A fault and what it needs to remember.
#[derive(Debug)]
pub struct Tamper {
    fault: Fault,
    is_done: bool,
    /// A part of a frame came.
    has_part: bool,
    held: Option<OutFrame>,
    kept: Vec<Vec<u8>>,
}

impl Tamper {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, is_done: false, has_part: false, held: None, kept: Vec::new() }
    }

    /// What is to be done.
    #[must_use]
    pub(super) fn fault(&self) -> Fault {
        self.fault
    }

    /// What the broker hears instead of `input`.
    pub(super) fn input(&mut self, input: Input) -> Input {
        if self.is_done {
            return input;
        }
        self.has_part |= matches!(input, Input::Received(_));
        let Input::Frame(id, Frame::Method(channel, mut method)) = input else { return input };
        match (&mut method, self.fault) {
            (Method::BasicQos(qos), Fault::EnlargePrefetch) if qos.prefetch_count > 0 => {
                qos.prefetch_count += 1;
                self.is_done = true;
            }
            (Method::BasicQos(qos), Fault::ReducePrefetch) if qos.prefetch_count > 1 => {
                qos.prefetch_count -= 1;
                self.is_done = true;
            }
            (Method::BasicPublish(_), Fault::KeepMemory) => {
                self.kept.push(in_core(|| vec![0; KEPT_LEN]));
            }
            (Method::QueueBind(bind), Fault::BendBinding) => {
                bind.routing_key = "bent".into();
                self.is_done = true;
            }
            (Method::BasicAck(_), Fault::LoseAck) => {
                self.is_done = true;
                return Input::Received(id);
            }
            (Method::TxRollback(_), Fault::CommitRollback) => method = TxCommit {}.into(),
            (Method::QueueDelete(_), Fault::LoseDelete) => {
                self.is_done = true;
                return Input::Received(id);
            }
            (Method::BasicConsume(consume), Fault::LosePriority) => {
                consume.arguments = Default::default();
            }
            _ => {}
        }
        Input::Frame(id, Frame::Method(channel, method))
    }

    /// What the client gets instead of `frame`.
    pub(super) fn output(&mut self, mut frame: OutFrame) -> Vec<OutFrame> {
        if self.is_done {
            return vec![frame];
        }
        match (&mut frame, self.fault) {
            (OutFrame::Deliver(_, deliver), Fault::HideRedelivery) if deliver.redelivered => {
                deliver.redelivered = false;
                self.is_done = true;
            }
            (OutFrame::Deliver(_, deliver), Fault::FlipBodyByte)
                if !deliver.message.body.is_empty() =>
            {
                let mut message = (*deliver.message).clone();
                let mut body: Vec<u8> = message.body.pieces().flatten().copied().collect();
                body[0] ^= 1;
                message.body = Body::from(Bytes::from(body));
                deliver.message = message.into();
                self.is_done = true;
            }
            (OutFrame::Deliver(_, deliver), Fault::SkipTag) => {
                deliver.delivery_tag += 1;
                self.is_done = true;
            }
            (OutFrame::Deliver(channel, deliver), Fault::RepeatDelivery) => {
                self.is_done = true;
                let mut again = deliver.clone();
                again.delivery_tag += 1;
                let channel = *channel;
                return vec![frame, OutFrame::Deliver(channel, again)];
            }
            (_, Fault::AnswerPart) if self.has_part => {
                self.is_done = true;
                return vec![frame, OutFrame::Heartbeat];
            }
            (OutFrame::Deliver(..), Fault::SwapDeliveries) => return self.swap(frame),
            (OutFrame::Method(_, Method::BasicAck(_)), Fault::DropConfirm)
            | (OutFrame::Method(_, Method::QueueBindOk(_)), Fault::DropReply) => {
                self.is_done = true;
                return Vec::new();
            }
            (OutFrame::Method(0, Method::ConnectionCloseOk(_)), Fault::DropCloseOk)
            | (OutFrame::Method(0, Method::ConnectionBlocked(_)), Fault::HideBlocked) => {
                self.is_done = true;
                return Vec::new();
            }
            (OutFrame::Method(channel, Method::TxCommitOk(_)), Fault::CommitRollback) => {
                return vec![OutFrame::Method(*channel, TxRollbackOk {}.into())];
            }
            (OutFrame::Method(channel, Method::BasicAck(ack)), Fault::InventConfirm) => {
                self.is_done = true;
                let tag = ack.delivery_tag + 1000;
                let invented = BasicAck { delivery_tag: tag, multiple: false };
                let channel = *channel;
                return vec![frame, OutFrame::Method(channel, invented.into())];
            }
            _ => {}
        }
        vec![frame]
    }

    /// Holds a delivery back until the next for the same consumer, then lets them change places,
    /// not tags. Whatever else comes first lets the held one go.
    fn swap(&mut self, frame: OutFrame) -> Vec<OutFrame> {
        let Some(held) = self.held.take() else {
            self.held = Some(frame);
            return Vec::new();
        };
        let (OutFrame::Deliver(channel, mut first), OutFrame::Deliver(other, mut second)) =
            (held, frame)
        else {
            unreachable!("only deliveries are held");
        };
        if channel == other && first.consumer_tag == second.consumer_tag {
            std::mem::swap(&mut first.message, &mut second.message);
            self.is_done = true;
        }
        vec![OutFrame::Deliver(channel, first), OutFrame::Deliver(other, second)]
    }
}
