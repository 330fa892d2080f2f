//! A broker with clients that say anything, a disk that does its work when it is told to, and a
//! clock; and what must hold whatever they do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use warren_core::amqp::{
    BasicConsume, ChannelNumber, ChannelOpen, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk,
    Decoder, Egress, FieldTable, FieldValue, Frame, Method, OutFrame, PROTOCOL_HEADER, ShortStr,
};
use warren_core::broker::{UserPermission, VhostStatus};
use warren_core::{
    Boot, Broker, Config, ConnectionId, DiskOp, DiskRequest, Event, FileId, Input, Instant, Lane,
    Output, Peer, QueueStatus, Recovery,
};

use crate::disk::{Disk, drive, is_at_end, refused};

/// More outputs than this for one input, and they do not end.
const OUTPUTS_MAX: usize = 1_000_000;
/// More ticks than this without time passing, and the broker spins.
const TICKS_MAX: usize = 1000;
/// Bodies that clients of the world send are slices of this.
pub static BODY: [u8; 8192] = [b'b'; 8192];

/// What the world knows of a connection.
#[derive(Debug)]
pub struct Client {
    /// The broker's name for it.
    pub id: ConnectionId,
    /// Whether the broker has closed it or it is gone.
    pub is_gone: bool,
    egress: Egress,
    /// The same once more, for the decoder.
    copy: Egress,
    decoder: Decoder,
    frame_max: u32,
    channels: BTreeMap<ChannelNumber, Channel>,
}

/// What is known of a channel.
#[derive(Debug, Default)]
struct Channel {
    last_tag: u64,
    /// Publishes since confirms were asked for, if they were.
    published: Option<u64>,
    confirmed: BTreeSet<u64>,
}

/// A broker and all around it.
#[derive(Debug)]
pub struct World {
    config: Config,
    broker: Broker,
    now: u64,
    starts: u64,
    /// Connections, those that are gone included.
    pub clients: Vec<Client>,
    disk: Disk,
    pending: VecDeque<DiskRequest>,
    requested: BTreeSet<u64>,
    has_disk: bool,
    /// Whether the broker gave up.
    pub is_halted: bool,
    /// Messages that came to clients.
    pub delivered: u64,
}

impl World {
    /// A broker without a disk.
    pub fn without_disk(config: Config) -> Self {
        let broker = Broker::new(config.clone(), boot(1));
        Self::of(config, broker, Disk::default(), false)
    }

    /// A broker that has what is on the disk; it must start.
    pub fn on(config: Config, mut disk: Disk) -> Self {
        let broker = drive(Recovery::new(config.clone(), boot(1)), &mut disk);
        let broker = broker.unwrap_or_else(|error| panic!("it does not start: {error}"));
        let mut world = Self::of(config, broker, disk, true);
        world.input(Input::DiskFree(u64::MAX));
        world
    }

    fn of(config: Config, broker: Broker, disk: Disk, has_disk: bool) -> Self {
        Self {
            config,
            broker,
            now: 1,
            starts: 1,
            clients: Vec::new(),
            disk,
            pending: VecDeque::new(),
            requested: BTreeSet::new(),
            has_disk,
            is_halted: false,
            delivered: 0,
        }
    }

    /// The broker's queues.
    pub fn queues(&self) -> Vec<QueueStatus> {
        self.broker.queues()
    }

    /// What is on the disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// A connection of which nothing is known yet; its place among the clients.
    pub fn connect(&mut self) -> usize {
        let peer = Peer { is_loopback: true, ..Peer::default() };
        let id = self.broker.connect(Instant::from_nanos(self.now), peer);
        assert!(self.clients.iter().all(|client| client.id != id), "an id is given twice");
        self.clients.push(Client {
            id,
            is_gone: false,
            egress: Egress::new(),
            copy: Egress::new(),
            decoder: Decoder::past_header(),
            frame_max: 0,
            channels: BTreeMap::new(),
        });
        self.drain();
        self.clients.len() - 1
    }

    /// A connection that is open, with channel 1.
    pub fn client(&mut self) -> usize {
        let at = self.connect();
        let wants = ["consumer_cancel_notify", "connection.blocked"];
        let wants = wants.map(|name| (name.into(), FieldValue::Bool(true)));
        let capabilities = FieldValue::Table(FieldTable::new(wants.into()));
        self.frame(at, Frame::ProtocolHeader(PROTOCOL_HEADER));
        self.method(
            at,
            0,
            ConnectionStartOk {
                client_properties: FieldTable::new(vec![("capabilities".into(), capabilities)]),
                mechanism: "PLAIN".into(),
                response: Bytes::from_static(b"\0guest\0guest"),
                locale: "en_US".into(),
            },
        );
        let (channel_max, frame_max) = (self.config.channel_max, self.config.frame_max);
        self.method(at, 0, ConnectionTuneOk { channel_max, frame_max, heartbeat: 0 });
        self.method(at, 0, ConnectionOpen { virtual_host: "/".into(), ..<_>::default() });
        self.method(at, 1, ChannelOpen::default());
        at
    }

    /// A client sends a method.
    pub fn method(&mut self, at: usize, channel: ChannelNumber, method: impl Into<Method>) {
        self.frame(at, Frame::Method(channel, method.into()));
    }

    /// A client sends a frame.
    pub fn frame(&mut self, at: usize, frame: Frame) {
        let Some(client) = self.clients.get_mut(at) else { return };
        if let Frame::Method(number, Method::BasicPublish(_)) = &frame
            && let Some(published) =
                client.channels.get_mut(number).and_then(|channel| channel.published.as_mut())
        {
            *published += 1;
        }
        if let Frame::Method(number, Method::ConfirmSelect(_)) = &frame {
            let channel = client.channels.entry(*number).or_default();
            channel.published.get_or_insert(0);
        }
        let id = client.id;
        self.input(Input::Frame(id, frame));
    }

    /// The socket of a client takes so many bytes.
    pub fn take_bytes(&mut self, at: usize, len: usize) {
        let Some(client) = self.clients.get_mut(at).filter(|client| !client.is_gone) else {
            return;
        };
        client.egress.advance(len.min(client.egress.len()));
        let (id, len) = (client.id, client.egress.len());
        self.input(Input::EgressLen(id, len));
    }

    /// A client is gone.
    pub fn close(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at).filter(|client| !client.is_gone) else {
            return;
        };
        client.is_gone = true;
        let id = client.id;
        self.input(Input::Closed(id));
    }

    /// Something happens, and what comes of it is looked at.
    pub fn input(&mut self, input: Input) {
        self.broker.handle(Instant::from_nanos(self.now), input);
        self.drain();
    }

    /// Several things happen before the broker is asked what is to be done.
    pub fn batch(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            self.broker.handle(Instant::from_nanos(self.now), input);
        }
        self.drain();
    }

    /// Time passes, with the ticks that are asked for on the way.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now.saturating_add(time.as_nanos() as u64);
        let mut ticks = (self.now, 0);
        while let Some(at) = self.timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            ticks = if ticks.0 == self.now { (self.now, ticks.1 + 1) } else { (self.now, 0) };
            assert!(ticks.1 < TICKS_MAX, "the broker wants to be told the time over and over");
            self.input(Input::Tick);
        }
        self.now = end;
        self.input(Input::Tick);
    }

    fn timeout(&self) -> Option<u64> {
        if self.is_halted { None } else { self.broker.poll_timeout().map(Instant::as_nanos) }
    }

    /// The disk does what it was asked for first in a lane, or refuses it, done or not. Whether
    /// there was something.
    pub fn step_disk(&mut self, lane: Lane, fate: Fate) -> bool {
        let first = self.pending.iter().position(|request| request.lane == lane);
        let Some(request) = first.and_then(|at| self.pending.remove(at)) else { return false };
        let result = match fate {
            Fate::Done => self.disk.carry_out(&request.op),
            Fate::Refused { is_full } => refused(is_full),
            // One that fails leaves no file behind.
            Fate::DoneAndRefused if matches!(request.op, DiskOp::Create { .. }) => refused(false),
            Fate::DoneAndRefused => {
                self.disk.carry_out(&request.op);
                refused(false)
            }
        };
        self.input(Input::Disk(request.id, result));
        true
    }

    /// The disk does all that it is asked for.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while let Some(lane) = self.pending.front().map(|request| request.lane) {
            self.step_disk(lane, Fate::Done);
            steps += 1;
            assert!(steps < OUTPUTS_MAX, "the broker asks its disk for ever more");
        }
    }

    /// The process is killed and started again, with what is on the disk; but not if it has used up
    /// the last numbers there are.
    pub fn restart(&mut self) {
        if !self.has_disk {
            return;
        }
        self.starts += 1;
        let disk = &mut self.disk;
        self.broker = match drive(Recovery::new(self.config.clone(), boot(self.starts)), disk) {
            Ok(broker) => broker,
            Err(error) if is_at_end(&error) => return,
            Err(error) => panic!("it does not start again: {error}"),
        };
        self.clients.clear();
        self.pending.clear();
        self.requested.clear();
        self.is_halted = false;
        self.input(Input::DiskFree(u64::MAX));
    }

    /// All queues are consumed, as far as they can be. The messages of those that cannot: the
    /// client is of one virtual host, and there may be others; and the directory may say that its
    /// user may not enter that one, or not read from everything in it.
    pub fn consume_all(&mut self) -> u64 {
        let may_read = self.may_read();
        let at = self.client();
        let is_within_reach = |queue: &QueueStatus| may_read && queue.vhost == "/";
        let (queues, others): (Vec<_>, Vec<_>) =
            self.queues().into_iter().partition(is_within_reach);
        for (number, queue) in queues.into_iter().enumerate() {
            let consumer_tag = format!("t{number}").as_str().into();
            let queue = queue.name;
            let consume = BasicConsume { queue, consumer_tag, no_ack: true, ..<_>::default() };
            self.method(at, 1, consume);
        }
        self.run_dry();
        others.iter().map(|queue| queue.ready).sum()
    }

    /// Whether a client may enter, and read from everything where it does.
    fn may_read(&self) -> bool {
        let guest = ShortStr::from_static("guest");
        let no_limits = <_>::default();
        let is_user = self.broker.user(&guest).is_some_and(|user| user.limits == no_limits);
        let is_open = |host: VhostStatus| {
            host.vhost.name == "/" && host.vhost.limits.max_connections.is_none()
        };
        let reads_all = |set: UserPermission| {
            set.vhost == "/" && set.user == guest && set.permission.read == ".*"
        };
        is_user
            && self.broker.vhosts(None).any(is_open)
            && self.broker.permissions(None).any(reads_all)
    }

    /// Goes on until nothing is under way.
    fn run_dry(&mut self) {
        for _ in 0..1000 {
            self.settle();
            (0..self.clients.len()).for_each(|at| self.take_bytes(at, usize::MAX));
            if self.pending.is_empty() {
                // As an adapter reports it now and then: what the disk refused is tried again.
                self.input(Input::DiskFree(u64::MAX));
                self.pass(Duration::from_millis(20));
                if self.pending.is_empty() {
                    return;
                }
            }
        }
    }

    /// All faults end, all clients go, and the broker is told to stop: it does, unless it gave up.
    pub fn stop(&mut self) {
        self.input(Input::DiskFree(u64::MAX));
        self.run_dry();
        (0..self.clients.len()).for_each(|at| self.close(at));
        self.run_dry();
        let before = self.durable_queues();
        self.input(Input::Shutdown("the end".into()));
        self.run_dry();
        self.pass(Duration::from_secs(60));
        self.run_dry();
        if self.is_halted {
            return self.restart();
        }
        assert!(self.broker.is_stopped(), "it does not stop");
        assert_eq!(self.broker.connections(), 0);
        if self.has_disk {
            self.restart();
            let after = self.durable_queues();
            assert!(after.keys().eq(before.keys()), "{before:?} becomes {after:?}");
            let is_less = |(name, ready): (&ShortStr, &u64)| *ready <= before[name];
            assert!(after.iter().all(is_less), "{before:?} becomes {after:?}");
        }
    }

    fn durable_queues(&self) -> BTreeMap<ShortStr, u64> {
        let queues = self.queues().into_iter().filter(|queue| queue.durable && !queue.exclusive);
        queues.map(|queue| (queue.name, queue.ready)).collect()
    }

    /// Carries out what the broker wants done.
    fn drain(&mut self) {
        let mut outputs = 0;
        let mut verified = Vec::new();
        while let Some(output) = self.broker.poll_output() {
            assert!(!self.is_halted, "it gave up, and then wants {output:?}");
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "its outputs do not end");
            match output {
                Output::Disk(request) => self.request(request),
                Output::Halt(reason) => {
                    assert!(self.has_disk, "it gives up: {reason}");
                    self.is_halted = true;
                }
                Output::Answered(..) => {}
                // Whoever gives a password of five letters knows the right one.
                Output::Verify(id, password, _) => verified.push((id, password.0.len() == 5)),
                Output::Event(event) => check_event(&event),
                Output::Send(id, frame) => self.client_of(id).receive(&frame),
                Output::FrameMax(id, frame_max) => self.client_of(id).set_frame_max(frame_max),
                Output::PauseReading(id) | Output::ResumeReading(id) => {
                    self.client_of(id);
                }
                Output::Close(id) => self.client_of(id).is_gone = true,
            }
            self.delivered = self.clients.iter().map(Client::delivered).sum();
        }
        if !verified.is_empty() && !self.is_halted {
            for (id, is_right) in verified {
                let now = Instant::from_nanos(self.now);
                self.broker.handle(now, Input::Verified(id, is_right));
            }
            return self.drain();
        }
        if !self.is_halted {
            self.check();
        }
    }

    fn request(&mut self, request: DiskRequest) {
        assert!(self.has_disk, "{request:?} without a disk");
        assert!(self.requested.insert(request.id.0), "{request:?} twice");
        let is_write = |request: &DiskRequest| matches!(request.op, DiskOp::Write { .. });
        let mut others = self.pending.iter().filter(|other| other.lane == Lane::Log);
        if request.lane == Lane::Log && is_write(&request) {
            assert!(!others.any(is_write), "{request:?} while another batch is written");
        }
        if let DiskOp::Read { file: FileId::Segment(_), len, .. } = &request.op {
            assert!(*len > 0, "{request:?} reads nothing");
        }
        self.pending.push_back(request);
    }

    /// The client of this id, which is there.
    fn client_of(&mut self, id: ConnectionId) -> &mut Client {
        let client = self.clients.iter_mut().find(|client| client.id == id);
        let client = client.expect("a connection that was made");
        assert!(!client.is_gone, "something is said to a client that is gone");
        client
    }

    fn check(&self) {
        for queue in self.broker.queues() {
            let settled = queue.acked + queue.rejected + queue.purged;
            assert_eq!(queue.enqueued, queue.ready + queue.unacked + settled, "{queue:?}");
            assert!(queue.consumers_ready <= queue.consumers, "{queue:?}");
        }
        let here = self.clients.iter().filter(|client| !client.is_gone).count();
        assert_eq!(self.broker.connections(), here);
    }
}

/// What becomes of a request to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is not done.
    Refused {
        /// For want of space.
        is_full: bool,
    },
    /// It is done, and said not to be.
    DoneAndRefused,
}

impl Client {
    fn delivered(&self) -> u64 {
        self.channels.values().map(|channel| channel.last_tag).sum()
    }

    fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
        self.egress.set_frame_max(frame_max);
        self.copy.set_frame_max(frame_max);
        self.decoder.set_frame_max(frame_max);
    }

    fn receive(&mut self, frame: &OutFrame) {
        match frame {
            OutFrame::Deliver(number, deliver) => self.check_tag(*number, deliver.delivery_tag),
            OutFrame::GetOk(number, get_ok) => self.check_tag(*number, get_ok.delivery_tag),
            OutFrame::Method(number, method) => self.check_method(*number, method),
            _ => {}
        }
        self.egress.push(frame);
        self.copy.push(frame);
        if !matches!(frame, OutFrame::ProtocolHeader(_)) {
            self.check_bytes();
        }
        self.copy.advance(self.copy.len());
    }

    fn check_tag(&mut self, number: ChannelNumber, tag: u64) {
        let channel = self.channels.entry(number).or_default();
        assert!(tag == channel.last_tag + 1, "{tag} comes behind {}", channel.last_tag);
        channel.last_tag = tag;
    }

    fn check_method(&mut self, number: ChannelNumber, method: &Method) {
        match method {
            // From now on numbers begin anew. What the client has sent meanwhile counts.
            Method::ChannelCloseOk(_) | Method::ChannelOpenOk(_) | Method::ChannelClose(_) => {
                let channel = self.channels.entry(number).or_default();
                *channel = Channel { published: channel.published, ..Channel::default() };
            }
            Method::BasicAck(ack) => self.check_confirm(number, ack.delivery_tag, ack.multiple),
            Method::BasicNack(nack) => self.check_confirm(number, nack.delivery_tag, nack.multiple),
            _ => {}
        }
    }

    /// A confirm is of publishes that were made and not confirmed yet.
    fn check_confirm(&mut self, number: ChannelNumber, tag: u64, is_multiple: bool) {
        let channel = self.channels.entry(number).or_default();
        let published = channel.published.expect("confirms were asked for");
        assert!((1..=published).contains(&tag), "{tag} is confirmed of {published}");
        let first = if is_multiple { 1 } else { tag };
        let before = channel.confirmed.len();
        channel.confirmed.extend(first..=tag);
        assert!(channel.confirmed.len() > before, "{tag} is confirmed twice");
    }

    /// What is sent are whole frames, none too long.
    fn check_bytes(&mut self) {
        let mut frames = 0;
        for chunk in self.copy.chunks() {
            self.decoder.feed(Bytes::copy_from_slice(chunk));
            while let Some(frame) = self.decoder.poll().expect("frames that can be read") {
                let is_long = match &frame {
                    Frame::Body(_, body) if self.frame_max > 0 => {
                        body.len() + 8 > self.frame_max as usize
                    }
                    _ => false,
                };
                assert!(!is_long, "a frame is longer than was agreed");
                frames += 1;
            }
        }
        assert!(frames > 0 && !self.decoder.has_input(), "what is sent is no whole frame");
    }
}

/// An event tells no secret.
fn check_event(event: &Event) {
    assert!(!format!("{event:?}").contains("\\0guest\\0guest"), "{event:?}");
}

fn boot(start: u64) -> Boot {
    Boot { seed: [start, 7], clock_origin_ms: 0 }
}
