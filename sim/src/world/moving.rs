//! A client that moves messages from a queue to another one, as the management API does: it runs
//! the very [`Mover`] that decides there, in a session of its own.
//!
//! When its connection is lost, and not the broker, what is to be cleared up waits for the client's
//! next connection. When the broker is gone, so is who moved.

use bytes::BytesMut;
use warren_core::MarkCounts;
use warren_core::amqp::{Decoder, Frame, Method as CoreMethod, Properties};
use warren_core::moving::{Action, Mover, Outcome};

use super::client::{Channel, Client, Stage};
use crate::wire::{Incoming, Method, encode_content, encode_frame, encode_method};

/// The channel of such a session.
const CHANNEL: u16 = 1;
/// Methods and contents are handed on in frames of this size.
const FRAME_MAX: u32 = 4096;

/// A move that goes on.
#[derive(Debug)]
struct Moving {
    mover: Mover,
    /// The link on which it began.
    link: usize,
    /// Whether a channel is there for it, and whether one ever ended.
    has_channel: bool,
    was_cut: bool,
}

/// What a client moves, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Moves {
    current: Option<Box<Moving>>,
    marks: MarkCounts,
    /// The links of moves that are over, what came of them, and whether their session ended before.
    outcomes: Vec<(usize, Outcome, bool)>,
}

impl Moves {
    /// Whether the session with this channel is for a move.
    pub(super) fn are_on(&self, channel: u16) -> bool {
        channel == CHANNEL && self.current.is_some()
    }

    /// What came of those that are over.
    pub(super) fn take_outcomes(&mut self) -> Vec<(usize, Outcome, bool)> {
        std::mem::take(&mut self.outcomes)
    }

    /// Which branches were reached.
    pub(super) fn marks(&self) -> MarkCounts {
        let mut marks = self.marks.clone();
        self.current.iter().for_each(|moving| marks.add(&moving.mover.marks()));
        marks
    }

    /// Who moves is gone.
    pub(super) fn forget(&mut self) {
        self.marks = self.marks();
        self.current = None;
    }

    /// The session is gone.
    pub(super) fn lose_session(&mut self) {
        let Some(moving) = &mut self.current else { return };
        if !std::mem::take(&mut moving.has_channel) {
            // What has not begun yet does not begin elsewhere.
            if !moving.was_cut {
                self.forget();
            }
            return;
        }
        moving.was_cut = true;
        moving.mover.ended("the session is lost".into());
        while let Some(action) = moving.mover.poll() {
            if let Action::End(outcome) = action {
                let (link, was_cut) = (moving.link, moving.was_cut);
                self.outcomes.push((link, outcome, was_cut));
                return self.forget();
            }
        }
    }
}

impl Client {
    /// Moves messages, as soon as it has a session; one move at a time.
    pub(super) fn move_messages(&mut self, mover: Mover, link: usize) {
        if self.moves.current.is_some() || self.channels.contains_key(&CHANNEL) {
            return;
        }
        let moving = Moving { mover, link, has_channel: false, was_cut: false };
        self.moves.current = Some(Box::new(moving));
        self.go_on_moving();
    }

    /// Opens the channel of a move, if there is one and the connection is open.
    pub(super) fn go_on_moving(&mut self) {
        if self.moves.current.is_some() && self.stage == Stage::Open {
            self.send(CHANNEL, &Method::new("channel.open"));
            self.channels.insert(CHANNEL, Channel::default());
        }
    }

    /// The broker sent something on the channel of a move.
    pub(super) fn hear_of_move(&mut self, incoming: &Incoming) {
        let Some(moving) = &mut self.moves.current else { return };
        match incoming {
            Incoming::Method(_, method) if method.name() == "channel.open-ok" => {
                moving.has_channel = true;
                moving.mover.opened();
            }
            Incoming::Method(_, method) if method.name() == "channel.close" => {
                moving.has_channel = false;
                moving.was_cut = true;
                let text = method.text("reply-text");
                let text = text.split_once(" - ").map_or(text, |(_, text)| text);
                moving.mover.ended(text.to_owned());
                self.channels.remove(&CHANNEL);
                self.send(CHANNEL, &Method::new("channel.close-ok"));
            }
            incoming => frames(incoming).into_iter().for_each(|frame| moving.mover.handle(frame)),
        }
        self.carry_out();
    }

    /// Does what the mover wants.
    fn carry_out(&mut self) {
        while let Some(moving) = &mut self.moves.current {
            match moving.mover.poll() {
                None => return,
                Some(Action::Send(method)) => put(&mut self.out, &method),
                Some(Action::Publish(publish, properties, body)) => {
                    put(&mut self.out, &publish.into());
                    self.put_content(&properties, &body);
                }
                Some(Action::Open) => self.go_on_moving(),
                Some(Action::End(outcome)) => {
                    self.moves.outcomes.push((moving.link, outcome, moving.was_cut));
                    self.moves.forget();
                    self.channels.remove(&CHANNEL);
                    let close = Method::new("connection.close").with_number("reply-code", 200);
                    self.send(0, &close);
                    self.stage = Stage::Closing;
                }
            }
        }
    }

    fn put_content(&mut self, properties: &Properties, body: &[u8]) {
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&(body.len() as u64).to_be_bytes());
        header.extend_from_slice(properties.wire());
        encode_frame(&mut self.out, 2, CHANNEL, &header);
        for piece in body.chunks(self.frame_max as usize - 8) {
            encode_frame(&mut self.out, 3, CHANNEL, piece);
        }
    }
}

fn put(out: &mut Vec<u8>, method: &CoreMethod) {
    let mut payload = BytesMut::new();
    method.write(&mut payload);
    encode_frame(out, 1, CHANNEL, &payload);
}

/// The same as the core has it.
fn frames(incoming: &Incoming) -> Vec<Frame> {
    let mut bytes = Vec::new();
    match incoming {
        Incoming::Method(channel, method) => encode_method(&mut bytes, *channel, method),
        Incoming::Content(channel, method, properties, body) => {
            encode_method(&mut bytes, *channel, method);
            encode_content(&mut bytes, *channel, properties, body, FRAME_MAX);
        }
        Incoming::Refusal(_) | Incoming::Heartbeat => {}
    }
    let mut decoder = Decoder::past_header();
    decoder.set_frame_max(0);
    decoder.feed(bytes.into());
    std::iter::from_fn(|| decoder.poll().expect("what was read is whole")).collect()
}
