//! The broker's host: what an adapter does in production, with simulated links for sockets.
//!
//! Takes no decisions. Whatever goes into the broker and comes out of it is shown to the judge,
//! inputs as the simulator's own decoder reads them, outputs as it reads the broker's bytes. How
//! the broker's process starts and ends, and what it has to do with its disk, is in [`life`].

mod damage;
mod ear;
mod hearing;
mod life;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use warren_core::amqp::{Decoder, Egress, OutFrame, ShortStr};
use warren_core::{
    Alarm, Broker, ConnectionId, Event, Input, Instant, MarkCounts, Occurrence, Output, Peer,
    Recovery,
};

use super::Link;
use super::command::{self, answer};
use super::disk::{Crash, Disk, Failing, Image, Lie};
use super::tamper::{Fault, Tamper};
use crate::checkers::liveness::Pace;
use crate::checkers::{Failure, memory};
use crate::judge::{Departure, Judge, News, Remains, Said, Told, Waits, Went};
use crate::meter::{self, in_core};
use crate::model::{Decision, qualified};
use crate::plan::Setup;
use crate::tally::Tally;
use crate::wire;
pub(crate) use ear::Ear;
use hearing::Heard;
pub(crate) use life::position;

/// More rounds than this at one moment, and the broker spins.
const ROUNDS_MAX: usize = 10_000;

/// What those who run the broker are called as its clients.
const OPERATOR: &str = "operator";

/// The host's side of one connection.
#[derive(Debug)]
struct Socket {
    id: ConnectionId,
    decoder: Decoder,
    egress: Egress,
    ear: Ear,
    ours: wire::Decoder,
    is_lost: bool,
    is_paused: bool,
    is_closing: bool,
    /// Until the connection is open the decoder waits for the broker after each frame, because the
    /// frame size may change.
    frames_seen: usize,
}

/// The broker's process, its sockets, and its disk.
#[derive(Debug)]
pub(super) struct Host {
    /// The limits of the next start.
    setup: Setup,
    /// How often the process was started.
    starts: u64,
    recovery: Option<Recovery>,
    broker: Option<Broker>,
    disk: Disk,
    /// How the process is to end, now.
    dying: Option<Crash>,
    /// Whether it has ended since the world last asked.
    has_ended: bool,
    /// What was made to fail since the process was started.
    failed: Vec<Failing>,
    /// Whether a read gave bytes of another place since then.
    has_misread: bool,
    /// Whether what is on the disk is given up when the process has ended.
    gives_up: bool,
    /// What was left of the log at this start, and whether more might be.
    remains: (Remains, bool),
    /// How often it asks its disk for something, and its timers are due.
    requests: Pace,
    ticks: Pace,
    ticked_at: u64,
    /// What the disk held once, for a fault that brings it back.
    old_image: Option<Image>,
    /// What befell it.
    tally: Tally,
    /// When the process ended last.
    ended_at: u64,
    /// Whether it was told to stop.
    is_stopping: bool,
    /// Which branches the processes reached that have ended.
    marks: MarkCounts,
    /// What the meter of the core's memory showed before there was a broker.
    held_before: i64,
    /// The most queues that this process of the broker was seen with.
    most_queues: u64,
    sockets: BTreeMap<usize, Socket>,
    links_by_id: BTreeMap<ConnectionId, usize>,
    /// The process does nothing until then.
    paused_until: u64,
    /// Links of clients that came meanwhile.
    arrivals: Vec<(usize, u8, bool)>,
    /// How many commands it was ever given.
    commands: u64,
    /// What the broker is to be told next, and what the judge is told of it.
    batch: Vec<Heard>,
    /// What it was told, each with what waited in it then, and what it said: room that is kept.
    told: VecDeque<(Told, News)>,
    said: Vec<Said>,
    /// Logins that were looked at, and whether the password was right.
    verified: Vec<(ConnectionId, bool)>,
    tamper: Option<Tamper>,
}

impl Host {
    /// A host whose broker, once it is started, has these limits.
    #[must_use]
    pub(super) fn new(setup: &Setup, tamper: Option<Tamper>) -> Self {
        let mut disk = Disk::new(setup);
        let lie = tamper.as_ref().and_then(|tamper| match tamper.fault() {
            Fault::LieAboutSync => Some(Lie::Sync),
            Fault::LieAboutSyncDir => Some(Lie::SyncDir),
            Fault::LoseFileDeletion => Some(Lie::Delete),
            Fault::HideSyncError => Some(Lie::SyncError),
            _ => None,
        });
        lie.into_iter().for_each(|lie| disk.lie(lie));
        Self {
            setup: setup.clone(),
            starts: 0,
            recovery: None,
            broker: None,
            disk,
            requests: Pace::default(),
            ticks: Pace::default(),
            ticked_at: 0,
            old_image: None,
            dying: None,
            has_ended: false,
            failed: Vec::new(),
            has_misread: false,
            gives_up: false,
            remains: (Remains::default(), false),
            tally: Tally::default(),
            ended_at: 0,
            is_stopping: false,
            marks: MarkCounts::default(),
            held_before: meter::held(),
            most_queues: 0,
            sockets: BTreeMap::new(),
            links_by_id: BTreeMap::new(),
            paused_until: 0,
            arrivals: Vec::new(),
            commands: 0,
            batch: Vec::new(),
            told: VecDeque::new(),
            said: Vec::new(),
            verified: Vec::new(),
            tamper,
        }
    }

    /// The process does nothing until then; the operating system goes on without it.
    pub(super) fn pause(&mut self, until: u64) {
        if self.broker.is_some() {
            self.paused_until = self.paused_until.max(until);
            self.disk.is_unheard(until);
            self.count("pause");
        }
    }

    /// The process goes on.
    pub(super) fn resume(&mut self) {
        self.paused_until = 0;
    }

    /// A client connected over this link, with those who run the broker behind it or not. The
    /// broker must be up.
    ///
    /// # Errors
    /// What the judge found.
    pub(super) fn connect(
        &mut self,
        now: u64,
        (link, client, is_operator): (usize, u8, bool),
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        if now < self.paused_until {
            self.arrivals.push((link, client, is_operator));
            return Ok(());
        }
        self.flush(now, judge)?;
        let name = format!("127.0.0.1:{} -> 127.0.0.1:5672", 40_000 + link);
        let address = format!("client {client}");
        let operator = is_operator.then(|| OPERATOR.to_owned());
        let peer = Peer {
            name,
            is_loopback: true,
            is_inside: is_operator,
            address,
            external: operator.clone(),
            is_operator,
        };
        let Some(broker) = &mut self.broker else { return Ok(()) };
        let id = in_core(|| broker.connect(Instant::from_nanos(now), peer));
        self.links_by_id.insert(id, link);
        self.batch.push(Heard::new(None, Told::Connected(link, client, operator)));
        let socket = Socket {
            id,
            decoder: Decoder::new(),
            egress: Egress::new(),
            ear: Ear::default(),
            ours: wire::Decoder::of_client(),
            is_lost: false,
            is_paused: false,
            is_closing: false,
            frames_seen: 0,
        };
        self.sockets.insert(link, socket);
        self.flush(now, judge)
    }

    /// Does what can be done now: reads what is `readable`, lets the broker work, writes. Says
    /// whether anything was read or written.
    ///
    /// # Errors
    /// What the judge found.
    pub(super) fn turn(
        &mut self,
        now: u64,
        links: &mut BTreeMap<usize, Link>,
        readable: &[usize],
        judge: &mut Judge,
    ) -> Result<bool, Failure> {
        if now < self.paused_until {
            return Ok(false);
        }
        self.resume();
        for arrival in std::mem::take(&mut self.arrivals) {
            self.connect(now, arrival, judge)?;
        }
        let mut is_busy = self.turn_disk(now, judge)?;
        if self.is_due(now) {
            self.tick(now, judge)?;
        }
        for link in readable {
            is_busy |= self.read(now, *link, links, judge)?;
        }
        self.flush(now, judge)?;
        for _ in 0..ROUNDS_MAX {
            if !self.write(now, links, judge)? {
                if let Some(broker) = &self.broker {
                    judge.settle(now, broker, self.disk_state())?;
                    self.check_memory()?;
                }
                // A timer that is due already is worked off in another turn at this moment.
                return Ok(is_busy || self.is_due(now));
            }
            is_busy = true;
        }
        Err(Failure::new("liveness", "the broker answers drained sockets with ever more output"))
    }

    /// Whether it is plain that there is nothing to do now, as long as nothing is read: the process
    /// serves clients and goes on doing so, nothing waits for a socket, and neither its timer nor
    /// its disk is due.
    #[must_use]
    pub(super) fn rests(&self, now: u64) -> bool {
        let is_quiet = |socket: &Socket| !socket.is_closing && socket.egress.is_empty();
        self.broker.as_ref().is_some_and(|broker| !broker.is_stopped())
            && self.arrivals.is_empty()
            && self.batch.is_empty()
            && self.sockets.values().all(is_quiet)
            && self.timeout().is_none_or(|at| at > now)
    }

    /// The most bytes that are read from a connection at once.
    #[must_use]
    pub(super) fn read_len_max(&self) -> usize {
        self.setup.read_len_max
    }

    /// Checks what the broker's memory really takes.
    fn check_memory(&mut self) -> Result<(), Failure> {
        let Some(broker) = &self.broker else { return Ok(()) };
        let allocated = meter::held() - self.held_before;
        let mut kept = memory::Kept {
            accounted: broker.memory(),
            sockets: self.sockets.values().map(|socket| socket.egress.len() as u64).sum(),
            connections: broker.connections() as u64,
            most_queues: self.most_queues,
            ..memory::Kept::default()
        };
        // Mostly it is too little for a look at each queue.
        if memory::check_allocated(allocated, &kept).is_ok() {
            return Ok(());
        }
        let queues = broker.queues();
        kept.messages = queues.iter().map(|queue| queue.ready + queue.unacked).sum();
        kept.queues = queues.len() as u64;
        self.most_queues = self.most_queues.max(kept.queues);
        kept.most_queues = self.most_queues;
        memory::check_allocated(allocated, &kept)
    }

    /// The broker, if it is there.
    pub(super) fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    /// What the broker was started with.
    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// How many connections the broker has.
    #[must_use]
    pub(super) fn connections(&self) -> usize {
        self.broker.as_ref().map_or(0, Broker::connections)
    }

    /// Whether the host still holds its end of this link.
    #[must_use]
    pub(super) fn has(&self, link: usize) -> bool {
        self.sockets.contains_key(&link) || self.arrivals.iter().any(|(other, ..)| *other == link)
    }

    fn read(
        &mut self,
        now: u64,
        link: usize,
        links: &mut BTreeMap<usize, Link>,
        judge: &mut Judge,
    ) -> Result<bool, Failure> {
        let Some(pipes) = links.get_mut(&link) else { return Ok(false) };
        let Some(socket) = self.sockets.get_mut(&link) else { return Ok(false) };
        if socket.is_closing || socket.is_paused && !pipes.up.is_reset() {
            return Ok(false);
        }
        if pipes.up.is_at_end(now) {
            self.batch.push(Heard::new(Some(Input::Closed(socket.id)), Told::Closed(link)));
            self.flush(now, judge)?;
            if let Some(socket) = self.sockets.remove(&link) {
                self.links_by_id.remove(&socket.id);
            }
            pipes.down.end(now);
            return Ok(true);
        }
        if !pipes.up.has_arrived() {
            return Ok(false);
        }
        let bytes = pipes.up.read(self.setup.read_len_max);
        // A stream that is split here comes in two pieces, though all of it has arrived.
        let room = self.setup.read_len_max - bytes.len();
        let rest = if pipes.up.is_at_split() { pipes.up.read(room) } else { Vec::new() };
        for piece in [bytes, rest].into_iter().filter(|piece| !piece.is_empty()) {
            if self.sockets.get(&link).is_some_and(|socket| !socket.is_lost) {
                self.decode(now, link, &piece, judge)?;
            }
        }
        Ok(true)
    }

    fn decode(
        &mut self,
        now: u64,
        link: usize,
        bytes: &[u8],
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        let Some(socket) = self.sockets.get_mut(&link) else { return Ok(()) };
        socket.ours.feed(bytes);
        in_core(|| socket.decoder.feed(Bytes::copy_from_slice(bytes)));
        let mut frames = 0;
        loop {
            let Some(socket) = self.sockets.get_mut(&link) else { return Ok(()) };
            let id = socket.id;
            let content = match self.tamper {
                // Some go frame by frame: an adapter may choose.
                None if !socket.frames_seen.is_multiple_of(4) => {
                    in_core(|| socket.decoder.content().map(|content| content.to_bytes()))
                }
                _ => None,
            };
            let (input, told) = match (in_core(|| socket.decoder.poll()), socket.ours.poll()) {
                (Ok(None), Ok(None)) if frames > 0 => return Ok(()),
                (Ok(None), Ok(None)) => (Input::Received(id), Told::Received(link)),
                (Ok(Some(frame)), Ok(Some(ours))) => {
                    (Input::Frame(id, frame), Told::Frame(link, ours))
                }
                (Ok(Some(frame)), Err(bad)) => (Input::Frame(id, frame), Told::Bad(link, bad)),
                (Err(error), Err(bad)) => {
                    socket.is_lost = !error.is_recoverable();
                    (Input::Malformed(id, error), Told::Bad(link, bad))
                }
                (core, ours) => {
                    let text = format!("decoders disagree: core {core:?}, ours {ours:?}");
                    return Err(Failure::new("protocol", text));
                }
            };
            socket.frames_seen += 1;
            let is_young = socket.frames_seen < 6;
            let is_done = matches!(input, Input::Received(_)) || socket.is_lost;
            frames += 1;
            self.keep_image(&input);
            let input = match &mut self.tamper {
                Some(tamper) => tamper.input(input),
                None => input,
            };
            self.batch.push(Heard::with(input, told, content));
            if is_young || self.batch.len() >= self.setup.batch_max {
                self.flush(now, judge)?;
            }
            if is_done {
                return Ok(());
            }
        }
    }

    /// Gives the batch to the broker, drains it, and shows both to the judge.
    fn flush(&mut self, now: u64, judge: &mut Judge) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let Some(broker) = &mut self.broker else { return Ok(()) };
        self.told.clear();
        let mut batch = self.batch.drain(..);
        while let Some(heard) = batch.next() {
            heard.tell(now, &mut batch, broker, &self.links_by_id, &mut self.told);
        }
        drop(batch);
        let position = position(broker);
        let mut said = std::mem::take(&mut self.said);
        said.clear();
        loop {
            while let Some(output) = in_core(|| self.broker.as_mut().and_then(Broker::poll_output))
            {
                self.carry_out(now, output, &mut said, judge)?;
                if said.len() > 1_000_000 {
                    return Err(Failure::new("liveness", "the broker's outputs do not end"));
                }
                if self.dying.is_some() {
                    break;
                }
            }
            let Some(broker) = &mut self.broker else { break };
            let Some((id, is_right)) = self.verified.pop() else { break };
            let input = Input::Verified(id, is_right);
            in_core(|| broker.handle(Instant::from_nanos(now), input));
            let told = self.links_by_id.get(&id).map(|link| Told::Verified(*link, is_right));
            let told = told.unwrap_or(Told::Tick);
            self.told.push_back((told, news(broker, &self.links_by_id)));
        }
        if let Some(broker) = &mut self.broker {
            self.told.push_back((Told::Tick, news(broker, &self.links_by_id)));
        }
        let judged = judge.batch(now, position, &mut self.told, &said);
        self.said = said;
        self.trace_disk(now, judge);
        judged?;
        judge.check_promises((!self.disk.has_lied()).then(|| self.disk.image()))?;
        match self.dying.take() {
            Some(crash) => self.die(now, crash, judge),
            None => Ok(()),
        }
    }

    fn carry_out(
        &mut self,
        now: u64,
        output: Output,
        said: &mut Vec<Said>,
        judge: &Judge,
    ) -> Result<(), Failure> {
        let id = match &output {
            Output::Event(event) => {
                match event {
                    Event::AlarmRaised(Alarm::Memory) => self.count("memory-alarm"),
                    Event::AlarmRaised(Alarm::Disk) => self.count("disk-alarm"),
                    _ => {}
                }
                said.extend(noted(event));
                return Ok(());
            }
            Output::Answered(id, result) => {
                said.push(Said::Answered(id.0, answer(result)));
                return Ok(());
            }
            Output::Verify(id, password, hash) => {
                self.verified.push((*id, command::is_right(password, hash)));
                return Ok(());
            }
            Output::Disk(request) => return self.submit(now, request.clone(), false),
            Output::Halt(reason) => return self.halt(reason, said, judge),
            Output::Send(id, _)
            | Output::FrameMax(id, _)
            | Output::PauseReading(id)
            | Output::ResumeReading(id)
            | Output::Close(id) => *id,
        };
        let Some(link) = self.links_by_id.get(&id).copied() else {
            return Err(Failure::new("protocol", format!("output for connection {id}, long gone")));
        };
        let Some(socket) = self.sockets.get_mut(&link) else { return Ok(()) };
        match output {
            Output::Send(_, frame) => {
                if is_bounded(&frame) {
                    memory::check_egress(socket.egress.len(), self.setup.egress_len_max)?;
                }
                let frames = match &mut self.tamper {
                    Some(tamper) => tamper.output(frame),
                    None => vec![frame],
                };
                for frame in frames {
                    socket.send(link, &frame, said)?;
                    if let Some(broker) = &mut self.broker {
                        in_core(|| broker.take_back(frame));
                    }
                }
            }
            Output::FrameMax(_, frame_max) => {
                socket.decoder.set_frame_max(frame_max);
                socket.egress.set_frame_max(frame_max);
                socket.ear.set_frame_max(frame_max);
                socket.ours.set_frame_max(frame_max);
            }
            Output::PauseReading(_) => {
                socket.is_paused = true;
                said.push(Said::Paused(link));
            }
            Output::ResumeReading(_) => {
                socket.is_paused = false;
                said.push(Said::Resumed(link));
            }
            Output::Close(_) => {
                socket.is_closing = true;
                self.links_by_id.remove(&id);
                said.push(Said::Closed(link));
            }
            Output::Answered(..)
            | Output::Verify(..)
            | Output::Event(_)
            | Output::Disk(_)
            | Output::Halt(_) => {}
        }
        Ok(())
    }

    /// Moves what the sockets take to the links, one after the other, and reports what is left: the
    /// broker counts on having been asked for everything before the next report.
    fn write(
        &mut self,
        now: u64,
        links: &mut BTreeMap<usize, Link>,
        judge: &mut Judge,
    ) -> Result<bool, Failure> {
        let mut has_written = false;
        let has_work =
            |(_, socket): &(&usize, &Socket)| socket.is_closing || !socket.egress.is_empty();
        let links_at_work = self.sockets.iter().filter(has_work).map(|(link, _)| *link);
        for link in links_at_work.collect::<Vec<_>>() {
            let Some(socket) = self.sockets.get_mut(&link) else { continue };
            let Some(pipes) = links.get_mut(&link) else { continue };
            let written = socket.write(now, pipes);
            let is_done = socket.is_closing && (socket.egress.is_empty() || pipes.down.is_cut());
            if written > 0 {
                has_written = true;
                if !socket.is_closing {
                    let (id, len) = (socket.id, socket.egress.len());
                    self.batch.push(Heard::new(
                        Some(Input::EgressLen(id, len)),
                        Told::Drained(link, len),
                    ));
                    self.flush(now, judge)?;
                }
            }
            if is_done {
                pipes.down.end(now);
                self.sockets.remove(&link);
            }
        }
        Ok(has_written)
    }
}

impl Socket {
    fn send(&mut self, link: usize, frame: &OutFrame, said: &mut Vec<Said>) -> Result<(), Failure> {
        let before = self.egress.len();
        self.egress.push(frame);
        said.push(Said::Sent(link, self.ear.hear(&self.egress, before)?));
        Ok(())
    }

    fn write(&mut self, now: u64, pipes: &mut Link) -> usize {
        let mut left = pipes.down.room().min(self.egress.len());
        let total = left;
        for chunk in self.egress.chunks() {
            let piece = &chunk[..chunk.len().min(left)];
            pipes.down.send(now, piece);
            left -= piece.len();
            if left == 0 {
                break;
            }
        }
        self.egress.advance(total);
        total
    }
}

/// What the judge is told of an event.
pub(crate) fn noted(event: &Event) -> Option<Said> {
    let name = |alarm: &Alarm| match alarm {
        Alarm::Memory => "memory",
        Alarm::Disk => "disk",
    };
    Some(match event {
        Event::AlarmRaised(alarm) => Said::Alarm(name(alarm), true),
        Event::AlarmCleared(alarm) => Said::Alarm(name(alarm), false),
        Event::DiskError(text) => Said::Noted(format!("the disk refused: {text}")),
        _ => return None,
    })
}

/// What waits in the broker, and who went on since this was asked last.
pub(crate) fn news(broker: &mut Broker, links: &BTreeMap<ConnectionId, usize>) -> News {
    broker.has_news().then(|| Box::new(waits(broker, links)))
}

fn waits(broker: &mut Broker, links: &BTreeMap<ConnectionId, usize>) -> Waits {
    let key = |id, channel| Some((*links.get(&id)?, channel));
    let went = |occurrence| match occurrence {
        Occurrence::Turn(turn) => {
            Some(Went::Turn(key(turn.connection, turn.channel)?, turn.frames))
        }
        Occurrence::Departure(departure) => Some(Went::Left(departed(departure))),
        Occurrence::TimedOut(id, channel) => Some(Went::TimedOut(key(id, channel)?)),
    };
    let parked = broker.parked().into_iter();
    let parked = parked.filter_map(|(id, channel, frames)| Some((key(id, channel)?, frames)));
    Waits {
        parked: parked.collect(),
        went: broker.take_occurrences().into_iter().filter_map(went).collect(),
        decisions: broker.take_decisions().into_iter().map(decided).collect(),
    }
}

/// A name as the model has it.
fn named(vhost: &ShortStr, name: &str) -> String {
    qualified(&vhost.to_text(), name).into_owned()
}

fn decided(decision: warren_core::Decision) -> Decision {
    match decision {
        warren_core::Decision::Chose { vhost, exchange, destination, is_queue } => {
            let [exchange, destination] = [exchange, destination].map(|name| named(&vhost, &name));
            Decision::Chose { exchange, destination, is_queue }
        }
        warren_core::Decision::Named { vhost, name } => {
            Decision::Named(named(&vhost, &name.to_text()))
        }
        warren_core::Decision::Replayed { vhost, exchange, messages } => {
            Decision::Replayed { exchange: named(&vhost, &exchange), messages }
        }
        warren_core::Decision::CommandBegun(id) => Decision::Begun(id.0),
        warren_core::Decision::Policed { vhost, name, is_queue } => {
            Decision::Policed { name: named(&vhost, &name.to_text()), is_queue }
        }
        warren_core::Decision::Duplicate { vhost, name, is_queue } => {
            Decision::Duplicate { name: named(&vhost, &name.to_text()), is_queue }
        }
        warren_core::Decision::CommandThrough(id) => Decision::Through(id.0),
    }
}

fn departed(departure: warren_core::Departure) -> Departure {
    use warren_core::Departure as Core;
    let name = |queue: warren_core::QueueName| named(&queue.vhost, &queue.name.to_text());
    match departure {
        Core::Expired(queue) => Departure::Expired(name(queue)),
        Core::Dropped(queue) => Departure::Dropped(name(queue)),
        Core::Buried(queue) => Departure::Buried(name(queue)),
        Core::Kept(queue) => Departure::Kept(name(queue)),
        Core::Retried(queue) => Departure::Retried(name(queue)),
        Core::Refused(queue, number) => Departure::Refused(name(queue), number),
        Core::RefusedBuried(queue) => Departure::RefusedBuried(name(queue)),
        Core::QueueExpired(queue) => Departure::QueueExpired(name(queue)),
    }
}

/// Whether a frame is a delivery that waits for room. Direct replies do not: they go at once, or
/// not at all.
pub(crate) fn is_bounded(frame: &OutFrame) -> bool {
    let OutFrame::Deliver(_, deliver) = frame else { return false };
    !deliver.message.routing_key.starts_with("amq.rabbitmq.reply-to.")
}
