//! The broker and all its connections, as one thread owns them.
//!
//! Work comes in turns: a turn reads once from one connection and hands the broker what it read;
//! what the broker wants done is done before the turn ends, except that sockets are written to by
//! the flusher, which has its turn when all connections that could be read have had theirs. So a
//! socket gets one write, however many turns had something for it.
//!
//! No turn is long: a turn reads, and a flush writes, a bounded number of bytes per connection.
//! What is left waits until others had their turn. Nothing here decides anything: what is done, and
//! in which order, is what the broker said. When it has halted, nothing is done any more.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tracing::warn;
use warren_core::amqp::{Content, EgressRooms};
use warren_core::broker::{Password, PasswordHash, Refusal};
use warren_core::{Broker, Command, CommandId, ConnectionId, Done, Input, Instant, Output, Peer};
use warren_recorder::Recorder;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::disk::Requests;
use crate::event;
use crate::halt::Halt;
use crate::handle::{Octets, Request, Turn};
use crate::pace::{READ_LEN_MAX, READ_LEN_MIN};
use crate::transport::Transport;

/// Reads go to a buffer of this size, in bytes: to its beginning if nothing of it is in use any
/// more, as memory that was just written and read is quicker, else behind what is.
const BUFFER_LEN: usize = READ_LEN_MAX;

/// After this many turns sockets are written to, even though others are still to be read from:
/// those who came first are not to wait for all the others.
const TURNS_PER_FLUSH_MAX: u32 = 16;

/// A password that a client gave, and what it is to be held against.
pub(crate) type Question = (ConnectionId, Password, PasswordHash);

/// See the [module](self).
pub(crate) struct BrokerThread {
    broker: Broker,
    /// A broker that keeps everything in memory has none.
    disk: Option<Requests>,
    /// Is told of all that the broker is told, before it is, and of all that it says.
    recorder: Recorder,
    halt: Rc<Halt>,
    clock: Clock,
    /// When the turn began.
    now: Instant,
    connections: Table,
    /// What came and went on all of them.
    octets: Octets,
    /// Where reads go. Frames are slices of it.
    buffer: BytesMut,
    /// Memory for what is to be sent.
    rooms: EgressRooms,
    /// Connections whose egress has something new.
    touched: Vec<ConnectionId>,
    turns_since_flush: u32,
    flusher: Option<Waker>,
    timer: Option<Waker>,
    /// When the timer is going to give a tick.
    armed: Option<Instant>,
    /// Who waits for the answers to commands.
    commands: BTreeMap<CommandId, oneshot::Sender<Result<Done, Refusal>>>,
    next_command: u64,
    /// Takes the passwords that are to be looked at.
    questions: UnboundedSender<Question>,
    /// Each socket with something left to be sent before it is closed holds a clone.
    closing: Rc<()>,
}

impl BrokerThread {
    /// What comes to `questions` is to be answered by [`Self::take_verified`].
    pub(crate) fn new(
        broker: Broker,
        disk: Option<Requests>,
        recorder: Recorder,
        questions: UnboundedSender<Question>,
    ) -> Self {
        let clock = Clock::start();
        Self {
            broker,
            disk,
            recorder,
            halt: Rc::default(),
            clock,
            now: clock.now(),
            connections: Table::default(),
            octets: Octets::default(),
            buffer: BytesMut::new(),
            rooms: EgressRooms::default(),
            touched: Vec::new(),
            turns_since_flush: 0,
            flusher: None,
            timer: None,
            armed: None,
            commands: BTreeMap::new(),
            next_command: 0,
            questions,
            closing: Rc::new(()),
        }
    }

    /// Takes a client that has connected. Its task is to call
    /// [`poll_connection`](Self::poll_connection) whenever it is woken.
    pub(crate) fn connect(&mut self, stream: Transport, peer: Peer) -> ConnectionId {
        self.now = self.clock.now();
        let id = self.broker.connect(self.now, peer.clone());
        self.recorder.connected(self.now, id, &peer);
        self.connections.insert(Connection::new(id, stream));
        self.end_turn();
        id
    }

    /// Does what was asked for through a handle; gives the connection if one was made, whose task
    /// is to be started.
    pub(crate) fn serve(&mut self, request: Request) -> Option<ConnectionId> {
        if self.halt.is_set() {
            return None;
        }
        match request {
            Request::Look(look) => look(&self.broker),
            Request::Act(act) => {
                self.now = self.clock.now();
                act(&mut Turn { thread: self });
                if let (Some(disk), Some(min)) =
                    (&self.disk, self.broker.resource_limits().disk_free_min)
                {
                    disk.set_free_min(min);
                }
                self.end_turn();
            }
            Request::Connect(stream, peer) => match UnixStream::from_std(stream) {
                Ok(stream) => return Some(self.connect(Transport::Local(stream), peer)),
                Err(error) => warn!(%error, "cannot serve a client of this process"),
            },
            Request::Octets(ids, answer) => {
                let octets = |id| self.connections.get_mut(id).map(|found| found.octets);
                let all: Vec<Octets> =
                    ids.into_iter().map(octets).map(Option::unwrap_or_default).collect();
                // Whoever asked may have gone.
                let _ = answer.send(all);
            }
            Request::AllOctets(answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(self.octets);
            }
        }
        None
    }

    /// The broker.
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Hands the broker a command, within a turn.
    pub(crate) fn command(
        &mut self,
        command: Command,
        answer: oneshot::Sender<Result<Done, Refusal>>,
    ) {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.commands.insert(id, answer);
        self.handle(Input::Command(id, Box::new(command)));
    }

    /// Hands the broker what came from the disk.
    pub(crate) fn take_results(&mut self, results: impl Iterator<Item = Input>) {
        if self.halt.is_set() {
            return;
        }
        self.now = self.clock.now();
        for result in results {
            self.handle(result);
        }
        self.end_turn();
    }

    /// Tells the broker whether a client gave the right password.
    pub(crate) fn take_verified(&mut self, id: ConnectionId, is_right: bool) {
        if self.halt.is_set() || self.connections.get_mut(id).is_none() {
            return;
        }
        self.now = self.clock.now();
        self.handle(Input::Verified(id, is_right));
        self.end_turn();
    }

    /// Tells the broker to stop, with this text for its clients.
    pub(crate) fn shut_down(&mut self, text: String) {
        if self.halt.is_set() {
            return;
        }
        self.now = self.clock.now();
        self.handle(Input::Shutdown(text));
        self.end_turn();
    }

    /// Drops the connections that are left.
    pub(crate) fn cut_off(&mut self) {
        if self.halt.is_set() {
            return;
        }
        self.now = self.clock.now();
        for id in self.connections.ids() {
            self.lose(id);
        }
        self.end_turn();
    }

    /// Whether the broker has halted, and why.
    pub(crate) fn halt(&self) -> Rc<Halt> {
        Rc::clone(&self.halt)
    }

    /// Whether the broker has stopped, as it was told, and nothing of it waits for the disk.
    pub(crate) fn is_stopped(&self) -> bool {
        self.broker.is_stopped()
    }

    /// Whether clients are left: connected, or with something still to be sent to them.
    pub(crate) fn has_clients(&self) -> bool {
        self.broker.connections() > 0 || Rc::strong_count(&self.closing) > 1
    }

    /// One turn of a connection: reads once, at most. Ready when the connection is gone.
    pub(crate) fn poll_connection(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = self.connections.get_mut(id) else { return Poll::Ready(()) };
        connection.set_task(cx);
        if self.halt.is_set() {
            return Poll::Pending;
        }
        if connection.is_blocked && connection.poll_writable(cx) {
            connection.is_blocked = false;
            touch(connection, &mut self.touched);
        }
        let mut has_read = false;
        if !connection.is_paused && connection.decoder.has_input() {
            // Read before the connection was paused.
            has_read = true;
            self.now = self.clock.now();
            self.decode(id);
        } else if !connection.is_paused {
            if !self.buffer.try_reclaim(BUFFER_LEN) && self.buffer.capacity() < READ_LEN_MIN {
                self.buffer.reserve(BUFFER_LEN);
            }
            let len_max = connection.pace.read_len_max().min(self.buffer.capacity());
            match connection.poll_read(cx, &mut self.buffer, len_max) {
                Poll::Pending => (),
                Poll::Ready(Ok(1..)) => {
                    has_read = true;
                    let bytes = self.buffer.split().freeze();
                    self.octets.received += bytes.len() as u64;
                    self.now = self.clock.now();
                    self.recorder.read(self.now, id, &bytes);
                    let len = bytes.len();
                    connection.decoder.feed(bytes);
                    let frames = self.decode(id);
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.pace.note(len, len_max, frames);
                    }
                }
                Poll::Ready(Ok(0) | Err(_)) => self.lose(id),
            }
        }
        self.end_turn();
        match self.connections.get_mut(id) {
            None => Poll::Ready(()),
            Some(connection) => {
                if has_read && !connection.is_paused && connection.poll_readable(cx) {
                    wake_after_others(cx);
                }
                Poll::Pending
            }
        }
    }

    /// One turn of the flusher: every socket that has something new to send gets one write.
    /// Never ready.
    pub(crate) fn poll_flusher(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        set_waker(&mut self.flusher, cx);
        if self.halt.is_set() {
            return Poll::Pending;
        }
        self.now = self.clock.now();
        self.flush();
        self.arm();
        if !self.touched.is_empty() {
            wake_after_others(cx);
        }
        Poll::Pending
    }

    /// One turn of the timer: a tick, if the time has come. Never ready.
    pub(crate) fn poll_timer(&mut self, sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        set_waker(&mut self.timer, cx);
        if self.halt.is_set() {
            return Poll::Pending;
        }
        if self.armed.is_none() {
            self.arm();
        }
        let Some(deadline) = self.armed.and_then(|armed| self.clock.to_std(armed)) else {
            return Poll::Pending;
        };
        let mut sleep = sleep;
        if sleep.deadline() != deadline.into() {
            sleep.as_mut().reset(deadline.into());
        }
        ready!(sleep.poll(cx));
        self.armed = None;
        self.now = self.clock.now();
        self.handle(Input::Tick);
        self.end_turn();
        Poll::Pending
    }

    /// Hands the broker the frames in what was read; gives how many inputs that made.
    fn decode(&mut self, id: ConnectionId) -> usize {
        let mut inputs = 0;
        let mut is_recorded = false;
        // An output may take the connection away.
        while !self.broker.is_paused(id)
            && let Some(connection) = self.connections.get_mut(id)
        {
            let is_tuned = connection.is_tuned;
            // Until then there are none.
            if is_tuned && let Some(content) = connection.decoder.content() {
                if !is_recorded {
                    self.recorder.frames(self.now, id, is_tuned);
                    is_recorded = true;
                }
                if self.broker.handle_content(self.now, id, &content) {
                    let len = content.len();
                    connection.decoder.pass(len);
                    inputs += Content::FRAMES;
                    continue;
                }
            }
            let mut polled = connection.decoder.poll();
            if inputs > 0 && matches!(polled, Ok(None)) {
                break;
            }
            if !is_recorded {
                self.recorder.frames(self.now, id, is_tuned);
                is_recorded = is_tuned;
            }
            inputs += 1;
            match &mut polled {
                Ok(Some(frame)) => self.broker.handle_frame(self.now, id, frame),
                Err(error) => self.broker.handle(self.now, Input::Malformed(id, error.clone())),
                Ok(None) => self.broker.handle(self.now, Input::Received(id)),
            }
            if !is_tuned {
                // Until then, what this frame leads to may change how the next is read.
                self.carry_out();
            }
        }
        inputs
    }

    /// Hands the broker what is not about a frame.
    fn handle(&mut self, input: Input) {
        self.recorder.input(self.now, &input);
        self.broker.handle(self.now, input);
    }

    /// Does what the broker wants done, and sees to it that sockets are written to and the timer
    /// is set.
    fn end_turn(&mut self) {
        self.carry_out();
        self.turns_since_flush += 1;
        if self.turns_since_flush >= TURNS_PER_FLUSH_MAX {
            self.flush();
        }
        if !self.touched.is_empty() {
            wake(self.flusher.as_ref());
        }
        self.arm();
    }

    /// Does what the broker wants done.
    fn carry_out(&mut self) {
        while !self.halt.is_set()
            && let Some(output) = self.broker.poll_output()
        {
            self.recorder.output(&output);
            match output {
                Output::Send(id, frame) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.egress.push_in(&frame, &mut self.rooms);
                        touch(connection, &mut self.touched);
                    }
                    self.broker.take_back(frame);
                }
                Output::FrameMax(id, frame_max) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.decoder.set_frame_max(frame_max);
                        connection.egress.set_frame_max(frame_max);
                        connection.is_tuned = true;
                    }
                }
                Output::PauseReading(id) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.is_paused = true;
                    }
                }
                Output::ResumeReading(id) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.is_paused = false;
                        connection.wake();
                    }
                }
                Output::Close(id) => self.close(id),
                Output::Disk(request) => {
                    self.disk
                        .as_ref()
                        .expect("a broker without a disk asks it nothing")
                        .submit(request);
                }
                Output::Answered(id, result) => {
                    if let Some(answer) = self.commands.remove(&id) {
                        // Whoever asked may have gone.
                        let _ = answer.send(result);
                    }
                }
                Output::Verify(id, password, hash) => {
                    // When nobody is there to look at it any more, the node is gone.
                    let _ = self.questions.send((id, password, hash));
                }
                Output::Halt(reason) => self.halt.set(reason),
                Output::Event(event) => event::log(&event),
            }
        }
        self.recorder.drained();
    }

    /// Writes once to each socket that has something new. What the broker sends because of that
    /// is left for the next flush.
    fn flush(&mut self) {
        self.turns_since_flush = 0;
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            self.write(id);
            // The broker counts on having been asked for everything before the next report.
            self.carry_out();
        }
        if self.touched.is_empty() {
            self.touched = touched; // for its capacity
        }
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.is_touched = false;
        if connection.is_blocked || self.halt.is_set() {
            return;
        }
        match connection.write(&mut self.rooms) {
            Ok(written) => {
                if connection.is_blocked {
                    connection.wake();
                }
                if written > 0 {
                    self.octets.sent += written as u64;
                    let len = connection.egress.len();
                    self.handle(Input::EgressLen(id, len));
                }
            }
            Err(_) => self.lose(id),
        }
    }

    /// The client is gone.
    fn lose(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(id) {
            connection.wake();
            self.handle(Input::Closed(id));
        }
    }

    /// The broker is done with the client: from here on, a task of its own sees the socket off.
    fn close(&mut self, id: ConnectionId) {
        if let Some(mut connection) = self.connections.remove(id) {
            connection.wake();
            let token = Rc::clone(&self.closing);
            let halt = Rc::clone(&self.halt);
            tokio::task::spawn_local(async move {
                let is_finished = {
                    let mut finished = pin!(connection.finish());
                    let unless_halted = |cx: &mut Context<'_>| match halt.is_set() {
                        true => Poll::Pending,
                        false => finished.as_mut().poll(cx),
                    };
                    poll_fn(unless_halted).await
                };
                drop(token);
                if is_finished {
                    connection.linger().await;
                }
            });
        }
    }

    /// Sets the timer if the broker wants it earlier than it is set.
    fn arm(&mut self) {
        let Some(wanted) = self.broker.poll_timeout() else { return };
        if self.armed.is_none_or(|armed| wanted < armed) {
            self.armed = Some(wanted);
            wake(self.timer.as_ref());
        }
    }
}

/// Puts the connection on the list of those to flush.
fn touch(connection: &mut Connection, touched: &mut Vec<ConnectionId>) {
    if !connection.is_touched {
        connection.is_touched = true;
        touched.push(connection.id);
    }
}

fn set_waker(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<&Waker>) {
    if let Some(waker) = waker {
        waker.wake_by_ref();
    }
}

/// Wakes the task when all others that are ready have had their turn, and when it was looked for
/// more of them: a task that woke itself at once would keep the runtime from looking.
fn wake_after_others(cx: &mut Context<'_>) {
    // Its first poll is never ready; it has the runtime wake the task, whether it still lives then
    // or not.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// The living connections, by the index of their ids.
#[derive(Default)]
struct Table {
    slots: Vec<Option<Box<Connection>>>,
}

impl Table {
    fn insert(&mut self, connection: Connection) {
        let index = connection.id.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        assert!(self.slots[index].is_none(), "two connections with one index");
        self.slots[index] = Some(Box::new(connection));
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots.get_mut(id.index())?.as_deref_mut().filter(|connection| connection.id == id)
    }

    fn ids(&self) -> Vec<ConnectionId> {
        self.slots.iter().flatten().map(|connection| connection.id).collect()
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.slots.get_mut(id.index())?.take_if(|connection| connection.id == id)
    }
}
