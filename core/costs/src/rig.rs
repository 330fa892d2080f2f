//! A broker, its two clients, and its disk.

use std::time::Duration;

use bytes::Bytes;
use warren_core::amqp::{
    BasicConsume, ChannelOpen, ConfirmSelect, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk,
    Decoder, Egress, EgressRooms, FieldTable, Method, OutFrame, QueueDeclare,
};
use warren_core::{
    Boot, Broker, Config, ConnectionId, DiskMachine, Input, Instant, Output, Peer, Recovery,
    RecoveryOutput,
};

use crate::disk::{Disk, Files};
use crate::frames;

/// The queue that all goes through.
const QUEUE: &str = "costs";
/// Messages that are read at once.
const BATCH: u64 = 100;
/// How much time passes from batch to batch.
const BATCH_TIME: Duration = Duration::from_micros(100);
const FRAME_MAX: u32 = 131_072;

/// How messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Transient, acknowledged by the broker as they are sent.
    Automatic,
    /// Transient, each acknowledged by the consumer.
    Manual,
    /// Persistent, confirmed, each acknowledged by the consumer.
    Durable,
}

impl Course {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Automatic, Self::Manual, Self::Durable];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
            Self::Durable => "durable",
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Rig {
    broker: Broker,
    disk: Disk,
    now: Instant,
    publisher: Client,
    consumer: Client,
    rooms: EgressRooms,
    /// A batch of messages, as they are published.
    batch: Bytes,
    is_acked: bool,
    /// Deliveries so far.
    delivered: u64,
    /// Deliveries acknowledged so far.
    acked: u64,
}

/// A connection's codec.
#[derive(Debug)]
struct Client {
    id: ConnectionId,
    decoder: Decoder,
    egress: Egress,
}

impl Rig {
    /// With bodies of `size` bytes; all is set up, and no message has gone through yet.
    #[must_use]
    pub fn new(course: Course, size: usize) -> Self {
        let is_durable = course == Course::Durable;
        let mut rig = Self::without_queue(Disk::sink());
        let declare =
            QueueDeclare { queue: QUEUE.into(), durable: is_durable, ..Default::default() };
        let no_ack = course == Course::Automatic;
        let consume = BasicConsume { queue: QUEUE.into(), no_ack, ..Default::default() };
        rig.consumer_says([Method::from(declare), consume.into()]);
        if is_durable {
            rig.publisher_says([ConfirmSelect::default()]);
        }
        rig.publish_from_now_on(&[("", QUEUE)], size, is_durable);
        rig.is_acked = !no_ack;
        rig
    }

    /// A broker that has what is on the disk, and two clients that have not said anything yet.
    #[must_use]
    pub fn without_queue(mut disk: Disk) -> Self {
        let broker = recover(&mut disk);
        let id = ConnectionId::from_number(0);
        let nobody = || Client { id, decoder: Decoder::new(), egress: Egress::new() };
        let mut rig = Self {
            broker,
            disk,
            now: Instant::from_nanos(1),
            publisher: nobody(),
            consumer: nobody(),
            rooms: EgressRooms::default(),
            batch: Bytes::new(),
            is_acked: false,
            delivered: 0,
            acked: 0,
        };
        rig.broker.handle(rig.now, Input::DiskFree(u64::MAX));
        rig.publisher.id = rig.broker.connect(rig.now, local());
        rig.consumer.id = rig.broker.connect(rig.now, local());
        for end in [End::Publisher, End::Consumer] {
            for bytes in handshake() {
                rig.feed(end, bytes);
                rig.carry_out();
            }
        }
        rig
    }

    /// The client that publishes says this.
    pub fn publisher_says<M: Into<Method>>(&mut self, methods: impl IntoIterator<Item = M>) {
        self.say(End::Publisher, methods);
    }

    /// The client that consumes says this.
    pub fn consumer_says<M: Into<Method>>(&mut self, methods: impl IntoIterator<Item = M>) {
        self.say(End::Consumer, methods);
    }

    fn say<M: Into<Method>>(&mut self, end: End, methods: impl IntoIterator<Item = M>) {
        for method in methods {
            self.feed(end, frames::method(frames::CHANNEL, method));
            self.carry_out();
        }
    }

    /// Makes the batches of messages that [`run`](Self::run) has go through: to these exchanges and
    /// with these keys in turn.
    pub fn publish_from_now_on(
        &mut self,
        names: &[(&str, &str)],
        size: usize,
        is_persistent: bool,
    ) {
        let names = names.iter().cycle().take(BATCH as usize);
        let messages =
            names.map(|(exchange, key)| frames::message(exchange, key, size, is_persistent));
        self.batch = messages.flatten().collect::<Vec<u8>>().into();
    }

    /// Has at least so many messages go through: whole batches of them. Returns how many were
    /// delivered.
    pub fn run(&mut self, messages: u64) -> u64 {
        let before = self.delivered;
        for _ in 0..messages.div_ceil(BATCH) {
            self.turn();
        }
        self.delivered - before
    }

    /// One batch, to its end.
    fn turn(&mut self) {
        self.now = self.now + BATCH_TIME;
        self.feed(End::Publisher, self.batch.clone());
        self.carry_out();
        if self.is_acked {
            let mut acks = Vec::with_capacity((self.delivered - self.acked) as usize * 21);
            for tag in self.acked + 1..=self.delivered {
                frames::ack(&mut acks, tag);
            }
            self.acked = self.delivered;
            self.feed(End::Consumer, acks.into());
            self.carry_out();
        }
        if self.broker.poll_timeout().is_some_and(|timeout| timeout <= self.now) {
            self.broker.handle(self.now, Input::Tick);
            self.carry_out();
        }
    }

    /// Hands the broker the frames in what a client sent.
    fn feed(&mut self, end: End, bytes: Bytes) {
        let client = match end {
            End::Publisher => &mut self.publisher,
            End::Consumer => &mut self.consumer,
        };
        client.decoder.feed(bytes);
        loop {
            if let Some(content) = client.decoder.content()
                && self.broker.handle_content(self.now, client.id, &content)
            {
                let len = content.len();
                client.decoder.pass(len);
                continue;
            }
            match &mut client.decoder.poll().expect("clients send frames") {
                Some(frame) => self.broker.handle_frame(self.now, client.id, frame),
                None => return,
            }
        }
    }

    /// Does what the broker wants done, until it wants nothing more.
    fn carry_out(&mut self) {
        loop {
            while let Some(output) = self.broker.poll_output() {
                self.obey(output);
            }
            let mut is_written = false;
            for client in [&mut self.publisher, &mut self.consumer] {
                if !client.egress.is_empty() {
                    client.egress.advance_in(client.egress.len(), &mut self.rooms);
                    self.broker.handle(self.now, Input::EgressLen(client.id, 0));
                    is_written = true;
                }
            }
            if !is_written {
                return;
            }
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Send(id, frame) => {
                self.delivered += u64::from(matches!(frame, OutFrame::Deliver(..)));
                let client = match self.publisher.id == id {
                    true => &mut self.publisher,
                    false => &mut self.consumer,
                };
                client.egress.push_in(&frame, &mut self.rooms);
                self.broker.take_back(frame);
            }
            Output::Disk(request) => {
                let result = self.disk.carry_out(&request.op);
                self.broker.handle(self.now, Input::Disk(request.id, result));
            }
            Output::FrameMax(id, frame_max) => {
                let client = self.client(id);
                client.decoder.set_frame_max(frame_max);
                client.egress.set_frame_max(frame_max);
            }
            Output::Verify(id, ..) => self.broker.handle(self.now, Input::Verified(id, true)),
            Output::Close(_) | Output::Halt(_) => panic!("all goes well here: {output:?}"),
            Output::PauseReading(_)
            | Output::ResumeReading(_)
            | Output::Answered(..)
            | Output::Event(_) => {}
        }
    }

    fn client(&mut self, id: ConnectionId) -> &mut Client {
        if self.publisher.id == id { &mut self.publisher } else { &mut self.consumer }
    }

    /// Kills the broker; what is on its disk.
    #[must_use]
    pub fn kill(self) -> Files {
        self.disk.into_files()
    }
}

/// One of the two clients.
#[derive(Clone, Copy)]
enum End {
    Publisher,
    Consumer,
}

/// The broker that a disk comes to.
///
/// # Panics
///
/// If the disk is damaged.
#[must_use]
pub fn recover(disk: &mut Disk) -> Broker {
    let boot = Boot { seed: [1, 2], clock_origin_ms: 0 };
    let mut recovery = Recovery::new(Config::default(), boot);
    while !recovery.is_done() {
        if let Some(RecoveryOutput::Disk(request)) = recovery.poll_output() {
            let result = disk.carry_out(&request.op);
            recovery.handle(request.id, result);
        }
    }
    recovery.finish().unwrap_or_else(|error| panic!("{error}"))
}

fn local() -> Peer {
    Peer { is_loopback: true, ..Peer::default() }
}

/// What a client sends until its channel is open.
fn handshake() -> [Bytes; 5] {
    let start = ConnectionStartOk {
        client_properties: FieldTable::default(),
        mechanism: "PLAIN".into(),
        response: Bytes::from_static(b"\0guest\0guest"),
        locale: "en_US".into(),
    };
    let tune = ConnectionTuneOk { channel_max: 2047, frame_max: FRAME_MAX, heartbeat: 0 };
    let open = ConnectionOpen { virtual_host: "/".into(), ..Default::default() };
    [
        frames::protocol_header(),
        frames::method(0, start),
        frames::method(0, tune),
        frames::method(0, open),
        frames::method(frames::CHANNEL, ChannelOpen::default()),
    ]
}
