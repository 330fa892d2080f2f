//! The broker's host: what an adapter does in production, with simulated links for sockets.
//!
//! Takes no decisions. Whatever goes into the broker and comes out of it is shown to the judge,
//! inputs as the simulator's own decoder reads them, outputs as it reads the broker's bytes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use warren_core::amqp::{Decoder, Egress, OutFrame};
use warren_core::{Boot, Broker, Config, ConnectionId, Input, Instant, Output, Peer};

use super::Link;
use super::tamper::Tamper;
use crate::checkers::{Failure, memory};
use crate::judge::{Judge, Said, Told};
use crate::plan::Setup;
use crate::wire::{self, Stream};

/// More rounds than this at one moment, and the broker spins.
const ROUNDS_MAX: usize = 10_000;

/// The host's side of one connection.
#[derive(Debug)]
struct Socket {
    id: ConnectionId,
    decoder: Decoder,
    egress: Egress,
    /// Makes each output's bytes once more, alone, for the judge.
    copy: Egress,
    ours: wire::Decoder,
    judged: Stream,
    is_lost: bool,
    is_paused: bool,
    is_closing: bool,
    /// Until the connection is open the decoder waits for the broker after each frame, because the
    /// frame size may change.
    frames_seen: usize,
}

/// The broker and its sockets.
#[derive(Debug)]
pub(super) struct Host {
    broker: Broker,
    sockets: BTreeMap<usize, Socket>,
    links_by_id: BTreeMap<ConnectionId, usize>,
    batch: Vec<Input>,
    told: VecDeque<Told>,
    batch_max: usize,
    read_len_max: usize,
    egress_len_max: usize,
    tamper: Option<Tamper>,
}

impl Host {
    /// A host whose broker has these limits.
    #[must_use]
    pub(super) fn new(setup: &Setup, tamper: Option<Tamper>) -> Self {
        let config = Config {
            channel_max: setup.channel_max,
            frame_max: setup.frame_max,
            heartbeat: std::time::Duration::from_secs(setup.heartbeat_s),
            message_size_max: setup.message_size_max,
            egress_len_max: setup.egress_len_max,
            ..Config::default()
        };
        let boot = Boot { seed: [setup.boot_seed, !setup.boot_seed] };
        Self {
            broker: Broker::new(config, boot),
            sockets: BTreeMap::new(),
            links_by_id: BTreeMap::new(),
            batch: Vec::new(),
            told: VecDeque::new(),
            batch_max: setup.batch_max,
            read_len_max: setup.read_len_max,
            egress_len_max: setup.egress_len_max,
            tamper,
        }
    }

    /// A client connected over this link.
    ///
    /// # Errors
    /// What the judge found.
    pub(super) fn connect(
        &mut self,
        now: u64,
        link: usize,
        client: u8,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        self.flush(now, judge)?;
        let name = format!("127.0.0.1:{} -> 127.0.0.1:5672", 40_000 + link);
        let peer = Peer { name, is_loopback: true };
        let id = self.broker.connect(Instant::from_nanos(now), peer);
        self.links_by_id.insert(id, link);
        self.told.push_back(Told::Connected(link, client));
        let socket = Socket {
            id,
            decoder: Decoder::new(),
            egress: Egress::new(),
            copy: Egress::new(),
            ours: wire::Decoder::of_client(),
            judged: Stream::new(),
            is_lost: false,
            is_paused: false,
            is_closing: false,
            frames_seen: 0,
        };
        self.sockets.insert(link, socket);
        self.flush(now, judge)
    }

    /// The broker is to stop.
    ///
    /// # Errors
    /// What the judge found.
    pub(super) fn stop(
        &mut self,
        now: u64,
        reason: &str,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        self.batch.push(Input::Shutdown(reason.to_owned()));
        self.told.push_back(Told::Stopped(reason.to_owned()));
        self.flush(now, judge)
    }

    /// Does what can be done now: reads, lets the broker work, writes. Says whether anything was
    /// read or written.
    ///
    /// # Errors
    /// What the judge found.
    pub(super) fn turn(
        &mut self,
        now: u64,
        links: &mut BTreeMap<usize, Link>,
        judge: &mut Judge,
    ) -> Result<bool, Failure> {
        let mut is_busy = false;
        if self.broker.poll_timeout().is_some_and(|at| at.as_nanos() <= now) {
            self.batch.push(Input::Tick);
            self.told.push_back(Told::Tick);
            self.flush(now, judge)?;
        }
        let open: Vec<usize> = self.sockets.keys().copied().collect();
        for link in open {
            is_busy |= self.read(now, link, links, judge)?;
        }
        self.flush(now, judge)?;
        for _ in 0..ROUNDS_MAX {
            if !self.write(now, links) {
                judge.settle(now, &self.broker)?;
                // A timer that is due already is worked off in another turn at this moment.
                let is_due = self.broker.poll_timeout().is_some_and(|at| at.as_nanos() <= now);
                return Ok(is_busy || is_due);
            }
            is_busy = true;
            self.flush(now, judge)?;
        }
        Err(Failure::new("liveness", "the broker answers drained sockets with ever more output"))
    }

    /// When the broker wants to be woken.
    #[must_use]
    pub(super) fn timeout(&self) -> Option<u64> {
        self.broker.poll_timeout().map(Instant::as_nanos)
    }

    /// How many connections the broker has.
    #[must_use]
    pub(super) fn connections(&self) -> usize {
        self.broker.connections()
    }

    /// Whether the host still holds its end of this link.
    #[must_use]
    pub(super) fn has(&self, link: usize) -> bool {
        self.sockets.contains_key(&link)
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
            self.batch.push(Input::Closed(socket.id));
            self.told.push_back(Told::Closed(link));
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
        let bytes = pipes.up.read(self.read_len_max);
        if !socket.is_lost {
            self.decode(now, link, bytes, judge)?;
        }
        Ok(true)
    }

    fn decode(
        &mut self,
        now: u64,
        link: usize,
        bytes: Vec<u8>,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        let Some(socket) = self.sockets.get_mut(&link) else { return Ok(()) };
        socket.ours.feed(&bytes);
        socket.decoder.feed(Bytes::from(bytes));
        let mut frames = 0;
        loop {
            let Some(socket) = self.sockets.get_mut(&link) else { return Ok(()) };
            let id = socket.id;
            let (input, told) = match (socket.decoder.poll(), socket.ours.poll()) {
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
            self.batch.push(match &mut self.tamper {
                Some(tamper) => tamper.input(input),
                None => input,
            });
            self.told.push_back(told);
            if is_young || self.batch.len() >= self.batch_max {
                self.flush(now, judge)?;
            }
            if is_done {
                return Ok(());
            }
        }
    }

    /// Gives the batch to the broker, drains it, and shows both to the judge.
    fn flush(&mut self, now: u64, judge: &mut Judge) -> Result<(), Failure> {
        if self.told.is_empty() {
            return Ok(());
        }
        for input in self.batch.drain(..) {
            self.broker.handle(Instant::from_nanos(now), input);
        }
        let mut said = Vec::new();
        while let Some(output) = self.broker.poll_output() {
            self.carry_out(output, &mut said)?;
            if said.len() > 1_000_000 {
                return Err(Failure::new("liveness", "the broker's outputs do not end"));
            }
        }
        judge.batch(now, std::mem::take(&mut self.told), &said)
    }

    fn carry_out(&mut self, output: Output, said: &mut Vec<Said>) -> Result<(), Failure> {
        let id = match &output {
            Output::Event(_) => return Ok(()),
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
                    memory::check_egress(socket.egress.len(), self.egress_len_max)?;
                }
                let frames = match &mut self.tamper {
                    Some(tamper) => tamper.output(frame),
                    None => vec![frame],
                };
                for frame in frames {
                    socket.send(link, &frame, said)?;
                }
            }
            Output::FrameMax(_, frame_max) => {
                socket.decoder.set_frame_max(frame_max);
                socket.egress.set_frame_max(frame_max);
                socket.copy.set_frame_max(frame_max);
                socket.ours.set_frame_max(frame_max);
                socket.judged.set_frame_max(frame_max);
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
            Output::Event(_) => {}
        }
        Ok(())
    }

    /// Moves what the sockets take to the links, and reports what is left.
    fn write(&mut self, now: u64, links: &mut BTreeMap<usize, Link>) -> bool {
        let mut has_written = false;
        let mut done = Vec::new();
        for (link, socket) in &mut self.sockets {
            let Some(pipes) = links.get_mut(link) else { continue };
            let written = socket.write(now, pipes);
            if written > 0 {
                has_written = true;
                if !socket.is_closing {
                    self.batch.push(Input::EgressLen(socket.id, socket.egress.len()));
                    self.told.push_back(Told::Drained(*link, socket.egress.len()));
                }
            }
            if socket.is_closing && (socket.egress.is_empty() || pipes.down.is_cut()) {
                pipes.down.end(now);
                done.push(*link);
            }
        }
        for link in done {
            self.sockets.remove(&link);
        }
        has_written
    }
}

impl Socket {
    fn send(&mut self, link: usize, frame: &OutFrame, said: &mut Vec<Said>) -> Result<(), Failure> {
        self.egress.push(frame);
        self.copy.push(frame);
        for chunk in self.copy.chunks() {
            self.judged.feed(chunk);
        }
        self.copy.advance(self.copy.len());
        let violation = |violation: wire::Violation| Failure::new("protocol", violation.0);
        match self.judged.poll().map_err(violation)? {
            Some(incoming) if self.judged.is_whole() => {
                said.push(Said::Sent(link, incoming));
                Ok(())
            }
            other => {
                let text = format!("an output is no whole frame or content: {other:?}");
                Err(Failure::new("protocol", text))
            }
        }
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

/// Whether a frame is a delivery that waits for room. Direct replies do not: they go at once, or
/// not at all.
fn is_bounded(frame: &OutFrame) -> bool {
    let OutFrame::Deliver(_, deliver) = frame else { return false };
    !deliver.message.routing_key.starts_with("amq.rabbitmq.reply-to.")
}
