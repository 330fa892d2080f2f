//! Connections: handshake, errors, and the end.

use std::collections::{BTreeMap, VecDeque};

use super::access::Claim;
use super::channel::{Channel, Phase};
use super::names::qualify;
use super::{Expected, Model, Refusal, Told, Waits};
use crate::wire::{Bad, Frame, Method, Value};

const SECOND: u64 = 1_000_000_000;
/// A client has this long to open its connection.
pub(crate) const HANDSHAKE_NS: u64 = 10 * SECOND;
/// What a broker offers must not be answered with less.
const FRAME_MIN: u64 = 4096;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The protocol header is awaited.
    Header,
    /// `start-ok` is awaited.
    Start,
    /// `tune-ok` is awaited.
    Tune,
    /// `open` is awaited.
    Open,
    /// Open.
    Running,
    /// The client closed it.
    Closing,
    /// The broker closes it.
    Refused,
    /// It is over.
    Gone,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// The client's number in the plan.
    pub client: u8,
    /// How far it is.
    pub stage: Stage,
    /// By number.
    pub channels: BTreeMap<u16, Channel>,
    /// Replies due on channel 0.
    pub replies: VecDeque<Expected>,
    /// Agreed; 0 for no limit.
    pub channel_max: u16,
    /// Agreed.
    pub heartbeat_ns: u64,
    /// When the client was last heard.
    pub heard_at: u64,
    /// When it connected.
    pub connected_at: u64,
    /// Whether it wants to be told when the broker ends a consumer.
    pub wants_cancels: bool,
    /// When it last began to publish.
    pub published_at: u64,
    /// Whether it wants to be told when it has to wait with publishing.
    pub wants_blocked: bool,
    /// Whether it was told so.
    pub is_blocked: bool,
    /// Whether the broker was given more for it than its link has taken.
    pub has_backlog: bool,
    /// Whether the broker may close it without a further word.
    pub may_end: bool,
    /// Whether it wants to be told that it may not come in.
    pub(super) wants_refusals: bool,
    /// How it logs in.
    pub(super) mechanism: String,
    /// Who it says it is, until that is found out.
    pub(super) claim: Option<Claim>,
    /// What it is called if those who run the broker are behind it: nothing is refused to it for
    /// want of a right.
    pub operator: Option<String>,
    /// Who it is.
    pub user: String,
    /// Where it works.
    pub vhost: String,
}

impl Connection {
    fn new(client: u8, now: u64) -> Self {
        Self {
            client,
            stage: Stage::Header,
            channels: BTreeMap::new(),
            replies: VecDeque::new(),
            channel_max: 0,
            heartbeat_ns: 0,
            heard_at: now,
            connected_at: now,
            wants_cancels: false,
            published_at: u64::MAX,
            wants_blocked: false,
            is_blocked: false,
            has_backlog: false,
            may_end: false,
            wants_refusals: false,
            mechanism: String::new(),
            claim: None,
            operator: None,
            user: String::new(),
            vhost: String::new(),
        }
    }
}

impl Model {
    /// The broker was told this; then so much waited in it. What waits no longer is to be handled
    /// next, see [`Self::release_one`].
    pub fn tell(&mut self, now: u64, told: Told, waits: &Waits) {
        self.now = now;
        self.touched = None;
        self.is_part = false;
        for id in std::mem::take(&mut self.sleeping) {
            self.renew(id);
        }
        self.take_turns(waits);
        self.choices.note(&waits.decisions);
        // What is asked for may be begun with at once.
        let is_asked = matches!(told, Told::Command(..) | Told::Stopped(_));
        if !is_asked {
            self.administer(&waits.decisions);
        }
        self.expire_first();
        match told {
            Told::Stopped(reason) => self.stop(&reason),
            Told::Command(number, wish) => self.wishes.push_back((number, wish)),
            Told::DiskFree(free) => self.disk_free = Some(free),
            Told::Connected(link, client, operator) => {
                let mut connection = Connection { operator, ..Connection::new(client, now) };
                if self.is_stopped {
                    connection.stage = Stage::Refused;
                }
                self.connections.insert(link, connection);
                self.living.insert(link);
            }
            Told::Drained(link, len) => {
                if let Some(connection) = self.connections.get_mut(&link) {
                    connection.has_backlog = len > 0;
                }
            }
            Told::Frame(link, frame) if self.hears(link) => self.hear_frame(link, frame, waits),
            Told::Bad(link, bad) if self.hears(link) => self.on_bad(link, &bad),
            Told::Closed(link) if self.hears(link) => self.end_connection(link),
            Told::Verified(link, is_right) => self.on_verified(link, is_right),
            Told::Received(link) => {
                self.hears(link);
            }
            Told::Frame(..) | Told::Bad(..) | Told::Closed(_) | Told::Disk | Told::Tick => {}
        }
        if is_asked {
            self.administer(&waits.decisions);
        }
        self.is_part &= waits.is_empty();
    }

    /// Something came from this connection's client, if it was ever made: then that is noted.
    fn hears(&mut self, link: usize) -> bool {
        let connection = self.connections.get_mut(&link);
        connection.map(|connection| connection.heard_at = self.now).is_some()
    }

    fn hear_frame(&mut self, link: usize, frame: Frame, waits: &Waits) {
        if let Frame::Method(_, method) = &frame
            && method.name() == "basic.publish"
        {
            self.connection_mut(link).published_at = self.now;
        }
        let frame = match frame {
            Frame::Method(number, method) if number > 0 => {
                Frame::Method(number, qualify(&self.connections[&link].vhost, method))
            }
            frame => frame,
        };
        match channel_of(&frame) {
            0 => self.take_own_frame(link, frame),
            number => self.take_frame((link, number), frame, waits),
        }
    }

    /// Who is connected is told; who is not yet is cut off.
    fn stop(&mut self, reason: &str) {
        self.is_stopped = true;
        let links: Vec<usize> = self.connections.keys().copied().collect();
        for link in links {
            let stage = self.connection_mut(link).stage;
            match stage {
                // Who may not come in may be kept waiting for that to be said.
                Stage::Refused if self.connection_mut(link).user.is_empty() => {
                    self.end_handshake(link);
                }
                Stage::Gone | Stage::Closing | Stage::Refused => {}
                Stage::Running => self.refuse(link, Refusal::hard(320, reason), Some((0, 0))),
                _ => self.end_handshake(link),
            }
        }
    }

    fn end_handshake(&mut self, link: usize) {
        let connection = self.connection_mut(link);
        connection.stage = Stage::Refused;
        connection.replies.clear();
    }

    /// The connection's side of the model, which exists.
    pub(crate) fn connection_mut(&mut self, link: usize) -> &mut Connection {
        self.connections.get_mut(&link).expect("a connection that was made")
    }

    pub(super) fn on_frame(&mut self, link: usize, frame: Frame) {
        let connection = self.connection_mut(link);
        match (connection.stage, frame) {
            (Stage::Gone | Stage::Closing, _) => {}
            (Stage::Refused, Frame::Method(0, method)) => match method.name() {
                "connection.close" => {
                    connection.replies.push_back(Expected::Method("connection.close-ok"));
                    connection.may_end = true;
                }
                "connection.close-ok" => connection.may_end = true,
                _ => {}
            },
            (Stage::Refused, _) => {}
            (_, Frame::Heartbeat(0)) => {}
            (_, Frame::Heartbeat(_)) => {
                self.refuse(link, Refusal::hard_any_text(&[505]), None);
            }
            (Stage::Header, Frame::ProtocolHeader(header)) => self.on_header(link, &header),
            (_, Frame::Method(0, method)) => {
                self.operations += 1;
                if let Err(refusal) = self.on_connection_method(link, &method) {
                    self.refuse(link, refusal, Some(method.id()));
                }
            }
            (Stage::Running, Frame::Method(number, method)) => {
                self.operations += 1;
                self.on_channel_method((link, number), method);
            }
            (Stage::Running, Frame::Header { channel, body_len, properties, .. }) => {
                self.on_content_header((link, channel), body_len, properties);
            }
            (Stage::Running, Frame::Body(channel, bytes)) => {
                self.on_content_body((link, channel), bytes);
            }
            _ => self.refuse(link, Refusal::hard_any_text(&[501, 503, 504, 505]), None),
        }
    }

    fn on_header(&mut self, link: usize, header: &[u8; 8]) {
        let connection = self.connection_mut(link);
        match header {
            b"AMQP\x00\x00\x09\x01" | b"AMQP\x01\x01\x00\x09" => {
                connection.stage = Stage::Start;
                connection.replies.push_back(Expected::Method("connection.start"));
            }
            _ => {
                let is_zero_nine = header.starts_with(b"AMQP\x00\x00") && header[6] >= 9;
                let answer =
                    if is_zero_nine { b"AMQP\x00\x00\x09\x01" } else { b"AMQP\x03\x01\x00\x00" };
                connection.replies.push_back(Expected::Refusal(*answer));
                connection.stage = Stage::Refused;
                connection.may_end = true;
            }
        }
    }

    fn on_connection_method(&mut self, link: usize, method: &Method) -> Result<(), Refusal> {
        let connection = self.connection_mut(link);
        match (connection.stage, method.name()) {
            (Stage::Start, "connection.start-ok") => self.on_start_ok(link, method),
            (Stage::Tune, "connection.tune-ok") => self.on_tune_ok(link, method),
            (Stage::Open, "connection.open") => {
                self.open_vhost(link, method.text("virtual-host"))?;
                let connection = self.connection_mut(link);
                connection.stage = Stage::Running;
                connection.replies.push_back(Expected::Method("connection.open-ok"));
                Ok(())
            }
            (_, "connection.close") => {
                connection.stage = Stage::Closing;
                self.end_channels(link);
                let connection = self.connection_mut(link);
                connection.replies.push_back(Expected::Method("connection.close-ok"));
                connection.may_end = true;
                Ok(())
            }
            (Stage::Running, "connection.update-secret") => {
                self.look_anew(link)?;
                let reply = Expected::Method("connection.update-secret-ok");
                self.connection_mut(link).replies.push_back(reply);
                Ok(())
            }
            _ => Err(Refusal::hard_any_text(&[503, 504, 505])),
        }
    }

    fn on_start_ok(&mut self, link: usize, method: &Method) -> Result<(), Refusal> {
        let capabilities = method.table("client-properties").iter().find_map(|(name, value)| {
            let Value::Table(table) = value else { return None };
            (name == "capabilities").then_some(table)
        });
        let is_capable = |name: &str| {
            capabilities.is_some_and(|table| table.contains(&(name.to_owned(), Value::Bool(true))))
        };
        let mechanism = method.text("mechanism");
        let claim = Claim::read(mechanism, method.blob("response"));
        let knows_passwords = self.knows_passwords;
        let connection = self.connection_mut(link);
        connection.wants_cancels = is_capable("consumer_cancel_notify");
        connection.wants_blocked = is_capable("connection.blocked");
        connection.wants_refusals = is_capable("authentication_failure_close");
        connection.mechanism = mechanism.to_owned();
        if let Some(name) = connection.operator.clone().filter(|_| mechanism == "EXTERNAL") {
            // It was proved before, whether there is such a user or not.
            self.log_in(link, &Claim::proved(name), true);
            return Ok(());
        }
        let claim = claim.ok_or_else(|| Refusal::hard_any_text(&[502]))?;
        connection.claim = Some(claim.clone());
        if knows_passwords {
            let is_in = self.enters(&claim);
            self.log_in(link, &claim, is_in);
        }
        Ok(())
    }

    fn on_tune_ok(&mut self, link: usize, method: &Method) -> Result<(), Refusal> {
        let frame_max = method.number("frame-max");
        let channel_max = method.number("channel-max");
        let limit = u64::from(self.setup.frame_max);
        let channel_limit = u64::from(self.setup.channel_max);
        let is_beyond = |value: u64, limit: u64| limit > 0 && (value == 0 || value > limit);
        let is_too_small = frame_max > 0 && frame_max < FRAME_MIN;
        if is_beyond(frame_max, limit) || is_beyond(channel_max, channel_limit) || is_too_small {
            return Err(Refusal::hard_any_text(&[530]));
        }
        let connection = self.connection_mut(link);
        connection.stage = Stage::Open;
        connection.channel_max = channel_max as u16;
        connection.heartbeat_ns = method.number("heartbeat") * SECOND;
        Ok(())
    }

    fn on_bad(&mut self, link: usize, bad: &Bad) {
        let connection = self.connection_mut(link);
        if matches!(connection.stage, Stage::Gone | Stage::Closing | Stage::Refused) {
            return;
        }
        let codes: &[u16] = match bad {
            Bad::TooLarge | Bad::NoEnd | Bad::Payload => &[501],
            Bad::Arguments(..) => &[501, 502],
            Bad::UnknownMethod(..) => &[503, 540],
        };
        self.refuse(link, Refusal::hard_any_text(codes), None);
    }

    /// Closes the connection with an error.
    pub(super) fn refuse(&mut self, link: usize, refusal: Refusal, cause: Option<(u16, u16)>) {
        self.connection_mut(link).stage = Stage::Refused;
        self.end_channels(link);
        self.connection_mut(link).replies.push_back(Expected::Close { refusal, cause });
    }

    /// The connection is no more.
    pub fn end_connection(&mut self, link: usize) {
        self.end_channels(link);
        self.living.remove(&link);
        let connection = self.connection_mut(link);
        connection.stage = Stage::Gone;
        connection.replies.clear();
        connection.channels.clear();
    }

    /// Every channel ends, and then what belonged to the connection.
    fn end_channels(&mut self, link: usize) {
        let numbers: Vec<u16> = self.connection_mut(link).channels.keys().copied().collect();
        for number in numbers {
            self.end_channel((link, number), Phase::Closed);
        }
        let owned = self.queues.values().filter(|queue| queue.owner == Some(link));
        for queue in owned.map(|queue| queue.id).collect::<Vec<_>>() {
            self.delete_queue(queue);
        }
    }
}

/// The channel that a frame is of; 0 for the connection's own.
fn channel_of(frame: &Frame) -> u16 {
    match frame {
        Frame::Method(number, _) | Frame::Body(number, _) => *number,
        Frame::Header { channel, .. } => *channel,
        Frame::Heartbeat(_) | Frame::ProtocolHeader(_) => 0,
    }
}
