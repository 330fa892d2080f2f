//! Does to the core what a recording says was done to it, and holds what it says against the
//! hashes of the recording, and to the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use warren_core::amqp::{Content, Decoder, Egress};
use warren_core::{
    Broker, CommandId, ConnectionId, DiskMachine, DiskOp, DiskRequest, DiskResult, FileId, Input,
    Instant, OpId, Output, Peer, Recovery, RecoveryOutput,
};
use warren_recorder::{Event, Outcome as DiskOutcome, OutputHash, Piece, ReadError, Recording};

use super::bodies::Bodies;
use super::names::{self, Names};
use super::scribe::Scribe;
use super::{Replayed, setup_of};
use crate::checkers::{Failure, memory, panic};
use crate::judge::{DiskState, Found, Judge, News, Said, Told};
use crate::model::Wish;
use crate::plan::Setup;
use crate::run::Outcome;
use crate::wire::{self, Frame};
use crate::world::{Ear, Image, answer, is_bounded, news, noted, position, wish};

/// The failure's id of a core that does not do what was recorded.
const ID: &str = "divergence";

/// A disk that failed may keep the broker from answering for so long.
const AILING_NS: u64 = 60_000_000_000;

/// A recording that is being played.
pub(super) struct Replay {
    recording: Recording,
    unread: Option<ReadError>,
    setup: Setup,
    now: u64,
    machine: Machine,
    /// What was asked of the disk and is not answered.
    requests: BTreeMap<OpId, DiskOp>,
    /// What the broker has written.
    image: Image,
    /// Files that were there before: what they hold is in the recording where it was read.
    old_files: BTreeSet<FileId>,
    /// Until then the disk is, or was, at work, or ails.
    ailing_until: u64,
    hash: OutputHash,
    inputs: u64,
    hashes: u64,
    /// How many inputs there were when the hash was last right.
    right_until: u64,
    connections: BTreeMap<u32, Connection>,
    links: BTreeMap<ConnectionId, usize>,
    links_made: usize,
    messages: u64,
    names: Names,
    told: VecDeque<(Told, News)>,
    judge: Judge,
    is_checked: bool,
    /// What a checker found; whether the core still does what was recorded shows at the next hash.
    found: Option<Failure>,
    has_failed: bool,
    scribe: Scribe,
    end: Option<String>,
}

/// What there is of the broker.
enum Machine {
    Recovery(Box<Recovery>),
    Broker(Box<Broker>),
    Gone,
}

/// A connection as its host had it.
struct Connection {
    id: ConnectionId,
    link: usize,
    decoder: Decoder,
    ours: wire::Decoder,
    bodies: Bodies,
    egress: Egress,
    ear: Ear,
    is_gone: bool,
}

impl Connection {
    /// Renames the message whose header this is, if it is one.
    fn enter_names(&mut self, frame: &mut Frame, names: &mut Names) {
        if let Frame::Header { properties, .. } = frame
            && let Some(number) = self.bodies.next_number()
        {
            names.enter(number, properties);
        }
    }
}

impl Replay {
    pub(super) fn new(recording: Recording, keeps_trace: bool) -> Self {
        let header = recording.header();
        let recovery = Recovery::new(header.config.clone(), header.boot.clone());
        let setup = setup_of(&recording);
        let mut judge = Judge::new(&setup, keeps_trace);
        judge.model.clock_origin_ms = header.boot.clock_origin_ms;
        judge.model.knows_passwords = false;
        Self {
            unread: None,
            now: 0,
            machine: Machine::Recovery(Box::new(recovery)),
            requests: BTreeMap::new(),
            image: Image::default(),
            old_files: BTreeSet::new(),
            ailing_until: 0,
            hash: OutputHash::default(),
            inputs: 0,
            hashes: 0,
            right_until: 0,
            connections: BTreeMap::new(),
            links: BTreeMap::new(),
            links_made: 0,
            messages: 0,
            names: Names::default(),
            told: VecDeque::new(),
            judge,
            is_checked: true,
            found: None,
            has_failed: false,
            scribe: Scribe::new(&setup),
            end: None,
            setup,
            recording,
        }
    }

    /// Plays it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn play(mut self) -> Result<Replayed, ReadError> {
        let failure = panic::catch(|| self.play_all()).err().or(self.found.take());
        if let Some(error) = self.unread {
            return Err(error);
        }
        if let Some(failure) = failure.as_ref().filter(|_| !self.has_failed) {
            self.judge.trace_world(self.now, "", &format!("! {failure}"));
        }
        let end = self.end.unwrap_or_else(|| match self.recording.is_cut() {
            true => "the recording ends within a block".to_owned(),
            false => "the recording ends without a word".to_owned(),
        });
        let outcome = Outcome {
            failure,
            phase: "replay",
            hash: self.hash.get(),
            simulated_ns: self.now,
            operations: self.judge.model.operations,
            trace: self.judge.trace.lines().to_vec(),
            ..Outcome::default()
        };
        Ok(Replayed {
            outcome,
            inputs: self.inputs,
            hashes: self.hashes,
            version: self.recording.header().version.clone(),
            end,
            is_checked: self.is_checked,
            plan: self.scribe.plan(),
        })
    }

    fn play_all(&mut self) -> Result<(), Failure> {
        while let Some((event, pieces)) = self.next_event() {
            self.inputs += u64::from(event.is_input());
            let Err(failure) = self.take(event, &pieces) else { continue };
            if failure.checker == ID || self.found.is_some() {
                return Err(self.found.take().unwrap_or(failure));
            }
            self.judge.trace_world(self.now, "", &format!("! {failure}"));
            self.has_failed = true;
            self.found = Some(failure);
        }
        Ok(())
    }

    fn next_event(&mut self) -> Option<(Event, Vec<Piece>)> {
        let read = self.recording.next_event().and_then(|event| {
            Ok(match event {
                Some(Event::Read { index, len }) => {
                    Some((Event::Read { index, len }, self.recording.pieces(index, len)?))
                }
                event => event.map(|event| (event, Vec::new())),
            })
        });
        read.unwrap_or_else(|error| {
            self.unread = Some(error);
            None
        })
    }

    fn take(&mut self, event: Event, pieces: &[Piece]) -> Result<(), Failure> {
        match event {
            Event::Passed(nanos) => self.now += nanos,
            Event::Started => return self.start(),
            Event::Connected { index, peer } => return self.connect(index, peer),
            Event::Read { index, .. } => {
                let Some(connection) = self.connections.get_mut(&index) else {
                    return Err(self.differs("something is read from a connection that is closed"));
                };
                let bytes = connection.bodies.restore(pieces, &mut self.messages);
                connection.ours.feed(&bytes);
                connection.decoder.feed(Bytes::from(bytes));
            }
            Event::Frame(index) => {
                self.take_frame(index, false)?;
            }
            Event::Frames(index) => {
                let mut has_input = false;
                while !self.is_paused(index)
                    && (self.take_content(index)? || self.take_frame(index, has_input)?)
                {
                    has_input = true;
                }
            }
            Event::EgressLen(index, len) => return self.drain(index, len),
            Event::Closed(index) => {
                if let Some(connection) = self.connections.get_mut(&index) {
                    connection.is_gone = true;
                    let (id, link) = (connection.id, connection.link);
                    self.tell(Input::Closed(id), Told::Closed(link));
                }
            }
            Event::Verified(index, is_right) => {
                if let Some(connection) = self.connections.get(&index) {
                    let (id, link) = (connection.id, connection.link);
                    self.tell(Input::Verified(id, is_right), Told::Verified(link, is_right));
                }
            }
            Event::Disk(id, outcome) => return self.take_result(OpId(id), outcome),
            Event::DiskFree(free) => self.tell(Input::DiskFree(free), Told::DiskFree(free)),
            Event::Command(id, command) => {
                let wish = match &self.machine {
                    Machine::Broker(broker) => {
                        wish(&command, broker, &self.judge.model, names::known)
                    }
                    _ => Wish::Other,
                };
                let told = Told::Command(id, wish);
                self.tell(Input::Command(CommandId(id), Box::new(command)), told);
            }
            Event::Tick => self.tell(Input::Tick, Told::Tick),
            Event::Shutdown(text) => {
                self.tell(Input::Shutdown(text.clone()), Told::Stopped(text));
            }
            Event::Drained => return self.poll(),
            Event::Hash(hash) => return self.compare(hash),
            Event::Ended(reason) => self.end = Some(reason),
        }
        Ok(())
    }

    /// The core, or what it is used for, is another than what was recorded.
    fn differs(&self, text: &str) -> Failure {
        let (from, to) = (self.right_until, self.inputs);
        let seconds = self.now as f64 / 1e9;
        Failure::new(ID, format!("{text}, between inputs {from} and {to}, at {seconds:.6} s"))
    }

    fn compare(&mut self, recorded: u64) -> Result<(), Failure> {
        self.hashes += 1;
        let hash = self.hash.get();
        if hash == recorded {
            self.right_until = self.inputs;
            return self.found.take().map_or(Ok(()), Err);
        }
        let text = format!("the outputs differ, {hash:016x} and recorded {recorded:016x}");
        let failure = self.differs(&text);
        Err(match self.found.take() {
            Some(found) => {
                let text = format!("{} (and {})", found.text, failure.text);
                Failure { text, ..found }
            }
            None => failure,
        })
    }

    fn start(&mut self) -> Result<(), Failure> {
        let Machine::Recovery(recovery) = std::mem::replace(&mut self.machine, Machine::Gone)
        else {
            return Err(self.differs("the broker starts twice"));
        };
        if !recovery.is_done() {
            return Err(self.differs("recovery is not done"));
        }
        let broker = match recovery.finish() {
            Ok(broker) => broker,
            Err(error) => {
                self.judge.trace_world(self.now, "", &format!("^ does not start: {error}"));
                return Ok(());
            }
        };
        self.judge.trace_world(self.now, "", "^ serves");
        if self.is_checked {
            let found = Found { position: position(&broker), ..Found::default() };
            self.judge.started(&broker, found, &self.setup, &self.image)?;
        }
        self.machine = Machine::Broker(Box::new(broker));
        Ok(())
    }

    fn connect(&mut self, index: u32, peer: Peer) -> Result<(), Failure> {
        let Machine::Broker(broker) = &mut self.machine else {
            return Err(self.differs("a client connects to a broker that is gone"));
        };
        let name = peer.name.clone();
        let operator = peer.external.clone().filter(|_| peer.is_operator);
        let id = broker.connect(Instant::from_nanos(self.now), peer);
        if id.index() != index as usize {
            return Err(self.differs("a connection has another number"));
        }
        self.links_made += 1;
        let link = self.links_made;
        self.links.insert(id, link);
        let connection = Connection {
            id,
            link,
            decoder: Decoder::new(),
            ours: wire::Decoder::of_client(),
            bodies: Bodies::default(),
            egress: Egress::new(),
            ear: Ear::default(),
            is_gone: false,
        };
        self.connections.insert(index, connection);
        let client = self.scribe.client_of(link);
        if !self.has_failed {
            self.judge.trace_world(self.now, &format!("c{client}"), &format!("! connect {name}"));
        }
        self.told.push_back((Told::Connected(link, client, operator), news(broker, &self.links)));
        Ok(())
    }

    fn is_paused(&self, index: u32) -> bool {
        match (&self.machine, self.connections.get(&index)) {
            (Machine::Broker(broker), Some(connection)) => broker.is_paused(connection.id),
            _ => true,
        }
    }

    /// Hands the broker a content whole, as its host does; `false` if none comes next, or its
    /// frames have to be taken one by one.
    fn take_content(&mut self, index: u32) -> Result<bool, Failure> {
        let Machine::Broker(broker) = &mut self.machine else { return Ok(false) };
        let Some(connection) = self.connections.get_mut(&index) else { return Ok(false) };
        let Some(content) = connection.decoder.content() else { return Ok(false) };
        let mut all_news = Vec::from([(); Content::FRAMES - 1].map(|()| news(broker, &self.links)));
        let now = Instant::from_nanos(self.now);
        if !broker.handle_content(now, connection.id, &content) {
            return Ok(false);
        }
        all_news.push(news(broker, &self.links));
        let len = content.len();
        connection.decoder.pass(len);
        for news in all_news {
            let Ok(Some(mut ours)) = connection.ours.poll() else {
                let text = "decoders disagree: core has a content, ours has not";
                return Err(Failure::new("protocol", text.to_owned()));
            };
            connection.enter_names(&mut ours, &mut self.names);
            self.told.push_back((Told::Frame(connection.link, ours), news));
        }
        Ok(true)
    }

    /// Hands the broker what the decoder gives; `false` if that is nothing, or the last there is.
    fn take_frame(&mut self, index: u32, has_input: bool) -> Result<bool, Failure> {
        let Some(connection) = self.connections.get_mut(&index) else { return Ok(false) };
        let (id, link) = (connection.id, connection.link);
        let (input, told) = match (connection.decoder.poll(), connection.ours.poll()) {
            (Ok(None), Ok(None)) if has_input => return Ok(false),
            (Ok(None), Ok(None)) => {
                self.tell(Input::Received(id), Told::Received(link));
                return Ok(false);
            }
            (Ok(Some(frame)), Ok(Some(mut ours))) => {
                connection.enter_names(&mut ours, &mut self.names);
                (Input::Frame(id, frame), Told::Frame(link, ours))
            }
            (Ok(Some(frame)), Err(bad)) => (Input::Frame(id, frame), Told::Bad(link, bad)),
            (Err(error), Err(bad)) => (Input::Malformed(id, error), Told::Bad(link, bad)),
            (core, ours) => {
                let text = format!("decoders disagree: core {core:?}, ours {ours:?}");
                return Err(Failure::new("protocol", text));
            }
        };
        self.tell(input, told);
        Ok(true)
    }

    fn tell(&mut self, input: Input, told: Told) {
        let Machine::Broker(broker) = &mut self.machine else { return };
        broker.handle(Instant::from_nanos(self.now), input);
        self.told.push_back((told, news(broker, &self.links)));
    }

    /// So many bytes wait for a socket now.
    fn drain(&mut self, index: u32, len: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(&index) else {
            return Err(self.differs("something is written to a connection that is closed"));
        };
        let left = usize::try_from(len).unwrap_or(usize::MAX);
        let Some(written) = connection.egress.len().checked_sub(left) else {
            return Err(self.differs("more waits for a client than it was sent"));
        };
        connection.egress.advance(written);
        let (id, link) = (connection.id, connection.link);
        self.tell(Input::EgressLen(id, left), Told::Drained(link, left));
        Ok(())
    }

    fn take_result(&mut self, id: OpId, outcome: DiskOutcome) -> Result<(), Failure> {
        self.ailing_until = self.ailing_until.max(self.now);
        let Some(op) = self.requests.remove(&id) else {
            return Err(self.differs("the disk answers what was not asked for"));
        };
        let result = match outcome {
            DiskOutcome::Data(data) => DiskResult::Data(data),
            DiskOutcome::Failed(error) => {
                self.ailing_until = self.now + AILING_NS;
                DiskResult::Failed(error)
            }
            DiskOutcome::Files(files) => {
                self.is_checked &= files.is_empty();
                self.old_files.extend(files.iter().map(|(file, _)| *file));
                DiskResult::Files(files)
            }
            DiskOutcome::Fine if self.is_old(&op) => DiskResult::Done,
            DiskOutcome::Fine => match self.image.apply(&op) {
                DiskResult::Failed(error) => {
                    return Err(self.differs(&format!("the disk has not what it had: {error}")));
                }
                result => result,
            },
        };
        match &mut self.machine {
            Machine::Recovery(recovery) => recovery.handle(id, result),
            _ => self.tell(Input::Disk(id, result), Told::Disk),
        }
        Ok(())
    }

    /// Whether this is about a file that was there before the start.
    fn is_old(&self, op: &DiskOp) -> bool {
        match op {
            DiskOp::Create { .. } | DiskOp::SyncDir | DiskOp::List => false,
            DiskOp::Write { file, .. }
            | DiskOp::Sync { file }
            | DiskOp::Truncate { file, .. }
            | DiskOp::Delete { file }
            | DiskOp::DropCache { file }
            | DiskOp::Read { file, .. } => self.old_files.contains(file),
        }
    }

    fn request(&mut self, request: DiskRequest) {
        self.ailing_until = self.ailing_until.max(self.now);
        self.requests.insert(request.id, request.op);
    }

    /// Asks for outputs until there are none, and shows all to the judge.
    fn poll(&mut self) -> Result<(), Failure> {
        let (position, mut said) = match &mut self.machine {
            Machine::Gone => return Ok(()),
            Machine::Recovery(recovery) => {
                let mut requests = Vec::new();
                while let Some(output) = recovery.poll_output() {
                    self.hash.add_recovery(&output);
                    match output {
                        RecoveryOutput::Disk(request) => requests.push(request),
                        RecoveryOutput::Note(text) => {
                            self.judge.trace_world(self.now, "", &format!("^ {text}"));
                        }
                    }
                }
                requests.into_iter().for_each(|request| self.request(request));
                return Ok(());
            }
            Machine::Broker(broker) => (position(broker), Vec::new()),
        };
        let mut carried_out = Ok(());
        while let Some(output) = self.next_output() {
            self.hash.add(&output);
            // What is wrong with one changes nothing for the hash of all.
            carried_out = carried_out.and(self.carry_out(output, &mut said));
        }
        carried_out?;
        let mut told = std::mem::take(&mut self.told);
        if let Machine::Broker(broker) = &mut self.machine {
            told.push_back((Told::Tick, news(broker, &self.links)));
        }
        self.scribe.note(self.now, told.iter().map(|(told, _)| told), &said);
        let judged = match self.is_checked && !self.has_failed {
            true => {
                self.judge.batch(self.now, position, &mut told, &said).and_then(|()| self.settle())
            }
            false => Ok(()),
        };
        self.forget();
        judged
    }

    fn next_output(&mut self) -> Option<Output> {
        match &mut self.machine {
            Machine::Broker(broker) => broker.poll_output(),
            _ => None,
        }
    }

    fn settle(&mut self) -> Result<(), Failure> {
        let Machine::Broker(broker) = &self.machine else { return Ok(()) };
        let disk =
            DiskState { is_busy: !self.requests.is_empty(), ailing_until: self.ailing_until };
        self.judge.settle(self.now, broker, disk)
    }

    /// Drops connections that have ended.
    fn forget(&mut self) {
        let links = &mut self.links;
        self.connections.retain(|_, connection| {
            if connection.is_gone {
                links.remove(&connection.id);
            }
            !connection.is_gone
        });
    }

    fn carry_out(&mut self, output: Output, said: &mut Vec<Said>) -> Result<(), Failure> {
        let id = match &output {
            Output::Event(event) => {
                said.extend(noted(event));
                return Ok(());
            }
            Output::Answered(id, result) => {
                said.push(Said::Answered(id.0, answer(result)));
                return Ok(());
            }
            // The answer is recorded.
            Output::Verify(..) => return Ok(()),
            Output::Disk(request) => {
                self.request(request.clone());
                return Ok(());
            }
            Output::Halt(reason) => {
                said.push(Said::Halted(reason.clone()));
                self.machine = Machine::Gone;
                return Ok(());
            }
            Output::Send(id, _)
            | Output::FrameMax(id, _)
            | Output::PauseReading(id)
            | Output::ResumeReading(id)
            | Output::Close(id) => *id,
        };
        let found = self.connections.get_mut(&(id.index() as u32)).filter(|found| found.id == id);
        let Some(connection) = found else {
            return Err(Failure::new("protocol", format!("output for connection {id}, long gone")));
        };
        let link = connection.link;
        match output {
            Output::Send(_, frame) => {
                if is_bounded(&frame) {
                    memory::check_egress(connection.egress.len(), self.setup.egress_len_max)?;
                }
                let before = connection.egress.len();
                connection.egress.push(&frame);
                let mut incoming = connection.ear.hear(&connection.egress, before)?;
                self.names.leave(&mut incoming)?;
                said.push(Said::Sent(link, incoming));
            }
            Output::FrameMax(_, frame_max) => {
                connection.decoder.set_frame_max(frame_max);
                connection.ours.set_frame_max(frame_max);
                connection.egress.set_frame_max(frame_max);
                connection.ear.set_frame_max(frame_max);
            }
            Output::PauseReading(_) => said.push(Said::Paused(link)),
            Output::ResumeReading(_) => said.push(Said::Resumed(link)),
            Output::Close(_) => {
                connection.is_gone = true;
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
}
