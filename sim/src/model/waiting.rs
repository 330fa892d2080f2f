//! Frames that wait in the broker until publishers may go on.
//!
//! When the broker is short of memory, of room on the disk, or behind with writing, it lets
//! publishes wait, and everything that comes behind them on their channel. Only settling goes on.
//! When to wait is the broker's choice, and so is when to go on; it tells the model how many frames
//! of which channel wait, and which channels went on, each for a turn.

use std::collections::{BTreeMap, VecDeque};

use super::{ChannelKey, Decision, Departure, Mode, Model};
use crate::wire::Frame;

/// How many frames of which channels wait in the broker.
pub type Parked = BTreeMap<ChannelKey, usize>;

/// What goes on while publishes wait.
const SETTLES: &[&str] = &["basic.ack", "basic.nack", "basic.reject"];

/// What waits in the broker after it was told something.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// How many frames are left.
    pub parked: Parked,
    /// What happened in it, in order.
    pub went: Vec<Went>,
    /// What it decided meanwhile where it was free to.
    pub decisions: Vec<Decision>,
}

/// What waits after something, as [`Waits`] says it, if anything does or happened at all.
pub type News = Option<Box<Waits>>;

/// Nothing waits, and nothing happened.
pub static NOTHING: Waits =
    Waits { parked: Parked::new(), went: Vec::new(), decisions: Vec::new() };

impl Waits {
    /// Whether nothing waits, happened or was decided.
    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty() && self.went.is_empty() && self.decisions.is_empty()
    }
}

/// Something that happened in the broker and that it sent nothing about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// A channel went on, with so many of its frames.
    Turn(ChannelKey, usize),
    /// Something left a queue by itself.
    Left(Departure),
    /// It took back what was not acknowledged in time on this channel.
    TimedOut(ChannelKey),
}

/// What the model did next of what happened in the broker.
#[derive(Clone, Debug)]
pub enum Released {
    /// It handled a frame that had waited.
    Frame(ChannelKey, Frame),
    /// It took note of this.
    Departure(Departure),
    /// It took back what was overdue on this channel.
    TimedOut(ChannelKey),
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    frames: BTreeMap<ChannelKey, VecDeque<Frame>>,
    /// Which channel began to wait first.
    order: VecDeque<ChannelKey>,
    /// What happened in the broker and not in the model.
    went: VecDeque<Went>,
    /// Queues that refuse what comes to them next, in order.
    refusals: VecDeque<(String, u64)>,
    /// Whether the first of them has begun.
    is_begun: bool,
    /// How many frames are left when all turns are over.
    left: Parked,
    /// Connections whose end waits for their channels.
    closing: BTreeMap<usize, Frame>,
    /// What came in at once when a channel that had waited went on, and the most of both that ever
    /// did.
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

/// What a channel waits for that is not the only one: to publish, or a queue's message.
fn wish(frame: &Frame) -> Option<(&str, &str)> {
    match frame {
        Frame::Method(_, method) if method.name() == "basic.publish" => Some(("publish", "")),
        Frame::Method(_, method) if method.name() == "basic.get" => {
            Some(("get", method.text("queue"))).filter(|(_, queue)| !queue.is_empty())
        }
        _ => None,
    }
}

impl Waiting {
    /// Whether nothing waits and nobody's turn is left.
    fn is_over(&self) -> bool {
        self.went.is_empty() && self.order.is_empty() && self.closing.is_empty()
    }

    /// The channel whose turn it is, if there is one to be made still.
    fn turn(&mut self) -> Option<ChannelKey> {
        self.next()?;
        let Went::Turn(key, frames) = self.went.front_mut()? else { return None };
        *frames -= 1;
        Some(*key)
    }

    /// A channel that is gone with frames that waited on it.
    fn gone(&self) -> Option<ChannelKey> {
        let left = |key: &ChannelKey| self.left.get(key).copied().unwrap_or(0);
        self.order.iter().find(|key| self.frames[*key].len() > left(key)).copied()
    }

    /// The first turn is over: if its channel waits again, it does so behind the others.
    fn end_turn(&mut self, key: ChannelKey) {
        self.went.pop_front();
        self.is_begun = false;
        if self.frames.contains_key(&key) {
            self.order.retain(|other| *other != key);
            self.order.push_back(key);
        }
    }

    /// Who waited longer with the same wish than a channel whose turn it is.
    fn overtaken_by(&self, key: ChannelKey) -> Option<ChannelKey> {
        let wish_of = |key: &ChannelKey| wish(self.frames.get(key)?.front()?);
        let wish = wish_of(&key)?;
        // One that neither waits still nor goes on later is gone.
        let is_there = |other: &ChannelKey| {
            let is_turn = |went: &Went| matches!(went, Went::Turn(key, _) if key == other);
            self.left.contains_key(other) || self.went.iter().any(is_turn)
        };
        let mut before = self.order.iter().take_while(|other| **other != key);
        before.find(|other| wish_of(other) == Some(wish) && is_there(other)).copied()
    }

    /// Whether the broker says that this queue refuses the message of this number.
    pub(super) fn take_refusal(&mut self, name: &str, number: u64) -> bool {
        let mut refusals = self.refusals.iter();
        let at = refusals.position(|(queue, of)| *of == number && queue == name);
        at.and_then(|at| self.refusals.remove(at)).is_some()
    }

    /// What happened in the broker next; turns without a frame are passed over.
    fn next(&mut self) -> Option<&Went> {
        while let Some(Went::Turn(key, 0)) = self.went.front() {
            self.end_turn(*key);
        }
        self.went.front()
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
}

/// Whether a frame is one of these methods.
fn is_method(frame: &Frame, names: &[&str]) -> bool {
    match frame {
        Frame::Method(_, method) => names.contains(&method.name()),
        _ => false,
    }
}

impl Model {
    /// Takes a frame of a channel, to be handled now or to wait.
    pub(super) fn take_frame(&mut self, key: ChannelKey, frame: Frame, waits: &Waits) {
        let is_waiting = self.is_waiting(key);
        let is_turn = |went: &Went| matches!(went, Went::Turn(other, _) if *other == key);
        let has_turn = || waits.went.iter().any(is_turn);
        let must_wait = match is_waiting {
            true => !self.may_overtake(key, &frame),
            false => waits.parked.contains_key(&key) || has_turn(),
        };
        if !must_wait {
            return self.on_frame(key.0, frame);
        }
        if !is_waiting {
            self.waiting.order.push_back(key);
        }
        self.waiting.frames.entry(key).or_default().push_back(frame);
    }

    /// What was told before is worked off; this is to happen because of what is told now.
    pub(super) fn take_turns(&mut self, waits: &Waits) {
        if let Some((name, number)) = self.waiting.refusals.pop_front() {
            self.fault(
                "limits",
                format!("{name} refuses its message {number}, which did not come"),
            );
        }
        self.waiting.went.clear();
        for went in &waits.went {
            match went {
                Went::Left(Departure::Refused(name, number)) => {
                    self.waiting.refusals.push_back((name.clone(), *number));
                }
                went => self.waiting.went.push_back(went.clone()),
            }
        }
        self.waiting.left.clone_from(&waits.parked);
        self.waiting.is_begun = false;
    }

    /// Handles one frame that waits no longer; gives it if there was one.
    ///
    /// # Errors
    /// Names a channel that goes on and one with the same wish that has waited longer.
    pub fn release_one(&mut self) -> Result<Option<Released>, (ChannelKey, ChannelKey)> {
        if self.waiting.is_over() {
            return Ok(None);
        }
        // The end of a connection comes right behind the last that waited on its channels.
        if let Some((key, frame)) = self.release_close() {
            return Ok(Some(Released::Frame(key, frame)));
        }
        if let Some(released) = self.release_own() {
            return Ok(Some(released));
        }
        let turn = self.waiting.turn();
        if let Some(key) = turn.filter(|_| !self.waiting.is_begun) {
            (self.waiting.is_begun, self.waiting.turn) = (true, Together::default());
            if let Some(other) = self.waiting.overtaken_by(key) {
                return Err((key, other));
            }
        }
        let Some(key) = turn.or_else(|| self.waiting.gone()) else { return Ok(None) };
        let Some(frames) = self.waiting.frames.get_mut(&key) else { return Ok(None) };
        let frame = frames.pop_front().expect("no channel waits with nothing");
        if frames.is_empty() {
            self.waiting.frames.remove(&key);
            self.waiting.order.retain(|other| *other != key);
        }
        self.waiting.note_released(&frame);
        self.on_frame(key.0, frame.clone());
        Ok(Some(Released::Frame(key, frame)))
    }

    /// Takes note of what the broker did by itself next, unless a channel's turn comes first.
    fn release_own(&mut self) -> Option<Released> {
        match self.waiting.next()?.clone() {
            Went::Turn(..) => None,
            Went::Left(departure) => {
                self.waiting.went.pop_front();
                self.depart(&departure);
                Some(Released::Departure(departure))
            }
            Went::TimedOut(key) => {
                self.waiting.went.pop_front();
                self.time_out(key);
                Some(Released::TimedOut(key))
            }
        }
    }

    /// Before what is told happens, what has expired does.
    pub(super) fn expire_first(&mut self) {
        while let Some(Went::Left(departure)) = self.waiting.went.front()
            && self.is_due(departure)
        {
            let departure = departure.clone();
            self.waiting.went.pop_front();
            self.depart(&departure);
        }
    }

    /// Handles the end of a connection that waited for its channels.
    fn release_close(&mut self) -> Option<(ChannelKey, Frame)> {
        let mut closing = self.waiting.closing.keys().copied();
        let link = closing.find(|link| !self.has_waiting(*link))?;
        let frame = self.waiting.closing.remove(&link).expect("a connection that was found");
        // The broker may have closed it meanwhile: then this is forgotten.
        if self.is_running(link) {
            self.on_frame(link, frame.clone());
        }
        Some(((link, 0), frame))
    }

    /// Takes a frame of the connection itself: its end waits for what waits on its channels.
    pub(super) fn take_own_frame(&mut self, link: usize, frame: Frame) {
        let is_close = |frame: &Frame| matches!(frame, Frame::Method(_, method) if method.name() == "connection.close");
        if self.is_running(link) && self.has_waiting(link) && is_close(&frame) {
            self.waiting.closing.insert(link, frame);
        } else {
            self.on_frame(link, frame);
        }
    }

    /// Whether all that came of what was told last is that a content has begun, or gone on, and is
    /// not whole.
    #[must_use]
    pub fn was_told_a_part(&self) -> bool {
        self.is_part && self.waiting.is_over()
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
        first.any(|frame| wish(frame) == Some(("publish", "")))
    }

    /// Whether a channel's turn goes on. The broker delivers when it is over, not in between.
    #[must_use]
    pub fn has_turn(&self) -> bool {
        let front = self.waiting.went.front();
        let is_left = matches!(front, Some(Went::Turn(_, frames)) if *frames > 0);
        let mut closing = self.waiting.closing.keys();
        is_left && self.waiting.is_begun || closing.any(|link| !self.has_waiting(*link))
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
