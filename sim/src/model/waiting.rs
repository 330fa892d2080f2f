//! Frames that wait in the broker until publishers may go on.
//!
//! When the broker is short of memory, of room on the disk, or behind with writing, it lets
//! publishes wait, and everything that comes behind them on their channel. Only settling goes on.
//! When to wait is the broker's choice; it tells the model how many frames of which channel wait.

use std::collections::{BTreeMap, VecDeque};

use super::{ChannelKey, Mode, Model};
use crate::wire::Frame;

/// How many frames of which channels wait in the broker.
pub type Parked = BTreeMap<ChannelKey, usize>;

/// What goes on while publishes wait.
const SETTLES: &[&str] = &["basic.ack", "basic.nack", "basic.reject"];

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    frames: BTreeMap<ChannelKey, VecDeque<Frame>>,
    /// Which channel began to wait first.
    order: VecDeque<ChannelKey>,
    /// The channel whose frames are being handled.
    running: Option<Running>,
    /// Whether publishers go on: one that waited has, since the broker was last told something.
    is_flowing: bool,
    /// Connections whose end waits for their channels.
    closing: BTreeMap<usize, Frame>,
    /// What came in at once when a channel that had waited went on, and the most of both that ever did.
    turn: Together,
    largest_turn: Together,
}

/// Messages that come in at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// Bytes of their bodies.
    pub bytes: u64,
    /// How many.
    pub messages: u64,
}

#[derive(Clone, Debug)]
struct Running {
    key: ChannelKey,
    /// The name of the queue, if it waited for a message to get.
    queue: Option<String>,
}

/// What waits when publishers have to.
const PUBLISHES: &[&str] =
    &["basic.publish", "exchange.declare", "exchange.bind", "queue.declare", "queue.bind"];

impl Waiting {
    /// Whether a channel that waited for a message has to wait with publishing now, as others do.
    fn is_held_up(&self, running: &Running) -> bool {
        let is_publishing = |key: &ChannelKey| is_method(&self.frames[key][0], PUBLISHES);
        let mut others = self.order.iter().filter(|key| **key != running.key);
        let is_getter = running.queue.is_some() && !self.is_flowing;
        is_getter && is_publishing(&running.key) && others.any(is_publishing)
    }

    /// A frame waits no more.
    fn note_released(&mut self, frame: &Frame) {
        if let Frame::Header { body_len, .. } = frame {
            self.turn.bytes += body_len;
            self.turn.messages += 1;
            let most = &mut self.largest_turn;
            most.bytes = most.bytes.max(self.turn.bytes);
            most.messages = most.messages.max(self.turn.messages);
        }
    }

    /// The channel's turn is over.
    fn leave(&mut self, key: ChannelKey) {
        self.running = None;
        self.order.retain(|other| *other != key);
        match self.frames.get(&key).is_none_or(VecDeque::is_empty) {
            true => drop(self.frames.remove(&key)),
            false => self.order.push_back(key),
        }
    }
}

/// From which queue a message is wanted, if that is what this frame is about.
fn queue_of_get(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Method(_, method) if method.name() == "basic.get" => {
            Some(method.text("queue").to_owned())
        }
        _ => None,
    }
}

fn is_method(frame: &Frame, names: &[&str]) -> bool {
    match frame {
        Frame::Method(_, method) => names.contains(&method.name()),
        _ => false,
    }
}

impl Model {
    /// Takes a frame of a channel, to be handled now or to wait.
    pub(super) fn take_frame(&mut self, key: ChannelKey, frame: &Frame, parked: &Parked) {
        debug_assert!(self.waiting.running.is_none());
        let is_waiting = self.is_waiting(key);
        let waits = match is_waiting {
            true => !self.may_overtake(key, frame),
            false => parked.contains_key(&key),
        };
        if !waits {
            return self.on_frame(key.0, frame);
        }
        if !is_waiting {
            self.waiting.order.push_back(key);
        }
        self.waiting.frames.entry(key).or_default().push_back(frame.clone());
    }

    /// Handles one frame that waits no longer, now that so many are left; gives it if there was
    /// one. What the broker said next is that it `answered` a channel.
    ///
    /// Publishers go on in the order in which they began to wait, each as far as it may, and so do
    /// those who want messages of one queue. When a message is at hand is the broker's choice: who
    /// was answered has got one. Of who has older answers due that is not heard at once, so they go
    /// before the publishers, and have to wait with publishing as long as these do. Who waits again
    /// stands behind the others.
    pub fn release_one(
        &mut self,
        parked: &Parked,
        answered: Option<ChannelKey>,
    ) -> Option<(ChannelKey, Frame)> {
        // The end of a connection comes right behind the last that waited on its channels.
        if let Some(closed) = self.release_close() {
            return Some(closed);
        }
        let left = |key: &ChannelKey| parked.get(key).copied().unwrap_or(0);
        let may_go = |waiting: &Waiting, key: &ChannelKey| waiting.frames[key].len() > left(key);
        if let Some(running) = self.waiting.running.clone()
            && (!may_go(&self.waiting, &running.key) || self.waiting.is_held_up(&running))
        {
            self.waiting.leave(running.key);
        }
        if self.waiting.running.is_none() {
            let waiting = &self.waiting;
            let ready = waiting.order.iter().filter(|key| may_go(waiting, key));
            let wants = |key: &ChannelKey| queue_of_get(&waiting.frames[key][0]);
            let mut getters = ready.clone().filter(|key| wants(key).is_some());
            let mut publishers = ready.clone().filter(|key| wants(key).is_none());
            let rival = answered.and_then(|answered| {
                let queue = wants(getters.clone().find(|key| **key == answered)?);
                getters.clone().find(|key| wants(key) == queue)
            });
            let has_older_answers =
                |key: &&ChannelKey| self.channel(**key).is_some_and(|c| !c.replies.is_empty());
            let is_publisher = publishers.clone().any(|key| Some(*key) == answered);
            let key = match rival.filter(|key| Some(**key) == answered) {
                Some(getter) => getter,
                None if is_publisher => publishers.next()?,
                None => (getters.clone().find(has_older_answers))
                    .or_else(|| publishers.next())
                    .or_else(|| getters.next())?,
            };
            let running = Running { key: *key, queue: wants(key) };
            self.waiting.is_flowing |= running.queue.is_none();
            self.waiting.running = Some(running);
            self.waiting.turn = Together::default();
        }
        let key = self.waiting.running.as_ref().expect("chosen just now").key;
        let frames = self.waiting.frames.get_mut(&key).expect("a channel that waits");
        let frame = frames.pop_front().expect("more than are left");
        if frames.is_empty() {
            self.waiting.leave(key);
        }
        self.waiting.note_released(&frame);
        self.on_frame(key.0, &frame);
        Some((key, frame))
    }

    /// Handles the end of a connection that waited for its channels.
    fn release_close(&mut self) -> Option<(ChannelKey, Frame)> {
        let mut closing = self.waiting.closing.keys().copied();
        let link = closing.find(|link| !self.has_waiting(*link))?;
        let frame = self.waiting.closing.remove(&link).expect("a connection that was found");
        // The broker may have closed it meanwhile: then this is forgotten.
        if self.is_running(link) {
            self.on_frame(link, &frame);
        }
        Some(((link, 0), frame))
    }

    /// Takes a frame of the connection itself: its end waits for what waits on its channels.
    pub(super) fn take_own_frame(&mut self, link: usize, frame: &Frame) {
        let is_close = |frame: &Frame| matches!(frame, Frame::Method(_, method) if method.name() == "connection.close");
        if self.is_running(link) && self.has_waiting(link) && is_close(frame) {
            self.waiting.closing.insert(link, frame.clone());
        } else {
            self.on_frame(link, frame);
        }
    }

    /// The most that ever came in at once when a channel that had waited went on.
    #[must_use]
    pub fn largest_turn(&self) -> Together {
        self.waiting.largest_turn
    }

    fn has_waiting(&self, link: usize) -> bool {
        self.waiting.frames.range((link, 0)..=(link, u16::MAX)).next().is_some()
    }

    /// Whether frames of this channel wait.
    #[must_use]
    pub fn is_waiting(&self, key: ChannelKey) -> bool {
        self.waiting.frames.contains_key(&key)
    }

    /// The channels that wait.
    pub fn waiting(&self) -> impl Iterator<Item = ChannelKey> + '_ {
        self.waiting.frames.keys().copied()
    }

    /// Whether a publish is what a channel of this connection waits with.
    #[must_use]
    pub fn is_publish_waiting(&self, link: usize) -> bool {
        let of_link = self.waiting.frames.range((link, 0)..=(link, u16::MAX));
        let mut first = of_link.filter_map(|(_, frames)| frames.front());
        first.any(|frame| is_method(frame, &["basic.publish"]))
    }

    /// Whether a channel's turn goes on. The broker delivers when it is over, not in between.
    #[must_use]
    pub fn has_turn(&self, parked: &Parked) -> bool {
        self.waiting.running.as_ref().is_some_and(|running| {
            let left = parked.get(&running.key).copied().unwrap_or(0);
            self.waiting.frames[&running.key].len() > left && !self.waiting.is_held_up(running)
        })
    }

    /// What is handled from here on has another cause.
    pub(super) fn end_turn(&mut self) {
        self.waiting.is_flowing = false;
        if let Some(Running { key, .. }) = self.waiting.running {
            self.waiting.leave(key);
        }
    }

    /// Nothing waits any more: it is gone with the broker.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting = Waiting::default();
    }

    /// Whether a frame is handled before those that wait.
    fn may_overtake(&self, key: ChannelKey, frame: &Frame) -> bool {
        let Frame::Method(_, method) = frame else { return false };
        if method.name() == "channel.open" {
            return true;
        }
        let channel = self.channel(key);
        let is_tx = channel.is_some_and(|channel| matches!(channel.mode, Mode::Tx { .. }));
        let is_for_all = is_method(frame, SETTLES) && method.number("delivery-tag") == 0;
        let keeps_order = |before: &Frame| match is_for_all {
            true => is_method(before, &["tx.select", "basic.get"]) || is_method(before, SETTLES),
            false => is_method(before, &["tx.select"]) || is_method(before, SETTLES),
        };
        is_method(frame, SETTLES)
            && !is_tx
            && !self.waiting.frames[&key].iter().any(keeps_order)
            && !self.is_in_content(key)
    }

    /// Whether what waits ends within a content.
    fn is_in_content(&self, key: ChannelKey) -> bool {
        let mut seen = 0;
        for frame in self.waiting.frames[&key].iter().rev() {
            match frame {
                Frame::Body(_, bytes) => seen += bytes.len() as u64,
                Frame::Header { body_len, .. } => return *body_len > seen,
                Frame::Method(_, method) => return method.name() == "basic.publish",
                _ => return false,
            }
        }
        false
    }
}
