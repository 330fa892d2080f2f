//! What one client says, and what follows from it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use super::relay::{self, Outbox, Relay, Target, short_text};
use super::replies;
use crate::bench::wire::{self, FRAME_END, FRAME_HEAD_LEN, FRAME_OVERHEAD};

/// The most that is read at once, unless a single message is longer.
const READ_BYTES: usize = 256 * 1024;

/// One client and its thread.
pub(super) struct Client {
    relay: Arc<Relay>,
    socket: TcpStream,
    outbox: Arc<Outbox>,
    /// Where messages went that were published last.
    route: Route,
    /// Messages that go there and are not given to anybody yet, as places in what was read.
    run: Vec<Range<usize>>,
    /// Who has been given something.
    touched: Vec<Arc<Outbox>>,
    /// Messages published so far, and confirmed so far, if they are to be.
    confirms: Option<(u64, u64)>,
    /// What was read that has to be durable before it is answered.
    durable: Option<Range<usize>>,
    /// Answers that wait until it is.
    answers: Vec<u8>,
    is_closing: bool,
}

/// What is known of messages that are published with the same names.
#[derive(Default)]
struct Route {
    /// Exchange and routing key, as they were sent.
    names: Vec<u8>,
    /// The version of the topology that it is good for.
    version: u64,
    targets: Vec<Target>,
}

/// A frame's place in what was read.
struct Frame<'a> {
    kind: u8,
    payload: &'a [u8],
    /// Where the next one begins.
    end: usize,
}

/// Header and body.
struct Message {
    range: Range<usize>,
    is_persistent: bool,
}

impl Client {
    pub(super) fn new(socket: TcpStream, relay: Arc<Relay>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self {
            relay,
            outbox: Arc::new(Outbox::new(socket.try_clone()?)),
            socket,
            route: Route::default(),
            run: Vec::new(),
            touched: Vec::new(),
            confirms: None,
            durable: None,
            answers: Vec::new(),
            is_closing: false,
        })
    }

    /// Serves the client until it goes.
    pub(super) fn run(mut self) {
        if let Err(error) = self.serve()
            && !matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            )
        {
            eprintln!("warren bench floor: {error}");
        }
        self.relay.change(|topology| topology.leave(&self.outbox));
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut header = [0; wire::PROTOCOL_HEADER.len()];
        self.socket.read_exact(&mut header)?;
        if header != wire::PROTOCOL_HEADER {
            return self.socket.write_all(wire::PROTOCOL_HEADER);
        }
        replies::start(&mut self.answers);
        self.end_batch(&[])?;
        let mut buffer = vec![0; READ_BYTES];
        let mut filled = 0;
        while !self.is_closing {
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
            filled += match self.socket.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                len => len,
            };
            let used = self.work_off(&buffer[..filled])?;
            buffer.copy_within(used..filled, 0);
            filled -= used;
        }
        Ok(())
    }

    /// Does all that is complete in `input`; returns how much that is.
    fn work_off(&mut self, input: &[u8]) -> io::Result<usize> {
        let version = self.relay.version();
        if self.route.version != version {
            self.route = Route { version, ..Route::default() };
        }
        let mut at = 0;
        while let Some(frame) = frame_at(input, at)? {
            match method_id(&frame) {
                Some(wire::BASIC_PUBLISH) => {
                    let Some(message) = message_at(input, frame.end)? else { break };
                    at = message.range.end;
                    self.publish(input, &frame, message)?;
                }
                Some(id) => {
                    self.method(input, id, &frame.payload[4..], at..frame.end)?;
                    at = frame.end;
                }
                // A heartbeat.
                None => at = frame.end,
            }
        }
        self.give(input);
        for outbox in self.touched.drain(..) {
            // Whoever is gone gets nothing.
            let _gone = outbox.flush();
        }
        self.end_batch(input)?;
        Ok(at)
    }

    fn publish(&mut self, input: &[u8], frame: &Frame<'_>, message: Message) -> io::Result<()> {
        // Class and method, a number that nobody uses, names, a bit field.
        let names = frame.payload.get(6..frame.payload.len() - 1).ok_or_else(malformed)?;
        if names != self.route.names {
            self.give(input);
            let (exchange, key) = relay::names(names).ok_or_else(malformed)?;
            self.route.targets = self.relay.route(exchange, key, names);
            self.route.names.clear();
            self.route.names.extend_from_slice(names);
        }
        if let Some((published, _)) = &mut self.confirms {
            *published += 1;
        }
        if message.is_persistent {
            self.has_to_be_durable(message.range.clone());
        }
        self.run.push(message.range);
        Ok(())
    }

    /// Gives the messages that wait to who is to have them.
    fn give(&mut self, input: &[u8]) {
        if self.run.is_empty() {
            return;
        }
        for target in &self.route.targets {
            target.give(input, &self.run);
            if !self.touched.iter().any(|outbox| Arc::ptr_eq(outbox, &target.outbox)) {
                self.touched.push(Arc::clone(&target.outbox));
            }
        }
        self.run.clear();
    }

    /// What lies between such places is written too, which costs less than to leave it out.
    fn has_to_be_durable(&mut self, range: Range<usize>) {
        let start = self.durable.as_ref().map_or(range.start, |durable| durable.start);
        self.durable = Some(start..range.end);
    }

    /// Answers, once what was read is as durable as it has to be.
    fn end_batch(&mut self, input: &[u8]) -> io::Result<()> {
        if let Some(durable) = self.durable.take() {
            self.relay.keep(&input[durable])?;
        }
        let mut waiting = self.outbox.waiting();
        if let Some((published, confirmed)) = &mut self.confirms
            && published > confirmed
        {
            wire::basic_ack(&mut waiting.bytes, *published, *published - *confirmed > 1);
            *confirmed = *published;
        }
        waiting.bytes.append(&mut self.answers);
        let is_empty = waiting.bytes.is_empty();
        drop(waiting);
        if is_empty { Ok(()) } else { self.outbox.flush() }
    }

    fn method(
        &mut self,
        input: &[u8],
        id: u32,
        args: &[u8],
        place: Range<usize>,
    ) -> io::Result<()> {
        let out = &mut self.answers;
        match id {
            wire::CONNECTION_START_OK => replies::tune(out),
            wire::CONNECTION_TUNE_OK | wire::BASIC_ACK => {}
            wire::CONNECTION_OPEN => replies::open_ok(out),
            wire::CONNECTION_CLOSE => {
                replies::of_connection(out, wire::CONNECTION_CLOSE_OK);
                self.is_closing = true;
            }
            wire::CHANNEL_OPEN => replies::channel_open_ok(out),
            wire::BASIC_QOS => replies::of_channel(out, wire::BASIC_QOS_OK),
            wire::CONFIRM_SELECT => {
                replies::of_channel(out, wire::CONFIRM_SELECT_OK);
                self.confirms = Some((0, 0));
            }
            _ => {
                self.change(id, args, place).ok_or_else(malformed)?;
                // What was published before goes the old way.
                self.give(input);
                self.route = Route { version: self.relay.version(), ..Route::default() };
            }
        }
        Ok(())
    }

    /// A method that changes where messages go; `None` for one that is not whole.
    fn change(&mut self, id: u32, args: &[u8], place: Range<usize>) -> Option<()> {
        // All of them begin with a number that nobody uses, and a name.
        let (name, rest) = short_text(args.get(2..)?)?;
        let out = &mut self.answers;
        match id {
            wire::QUEUE_DECLARE => {
                replies::declare_ok(out, name);
                if rest.first()? & 2 != 0 {
                    self.has_to_be_durable(place);
                }
            }
            wire::QUEUE_DELETE => replies::delete_ok(out),
            wire::QUEUE_BIND => {
                let (exchange, rest) = short_text(rest)?;
                let (key, _) = short_text(rest)?;
                self.relay.change(|topology| topology.bind(exchange, key.into(), name.into()));
                replies::of_channel(out, wire::QUEUE_BIND_OK);
            }
            wire::EXCHANGE_DECLARE => {
                let (kind, _) = short_text(rest)?;
                self.relay.change(|topology| topology.add_exchange(name.into(), kind));
                replies::of_channel(out, wire::EXCHANGE_DECLARE_OK);
            }
            wire::EXCHANGE_DELETE => {
                self.relay.change(|topology| topology.remove_exchange(name));
                replies::of_channel(out, wire::EXCHANGE_DELETE_OK);
            }
            wire::BASIC_CONSUME => {
                let (tag, _) = short_text(rest)?;
                // The answer goes before the first message.
                replies::consume_ok(out, tag);
                self.outbox.waiting().bytes.append(out);
                let outbox = Arc::clone(&self.outbox);
                self.relay.change(|topology| topology.consume(name.into(), outbox, tag.into()));
            }
            _ => {
                replies::not_implemented(out, id);
                self.is_closing = true;
            }
        }
        Some(())
    }
}

/// Class and method of a frame; `None` for a frame of another kind.
fn method_id(frame: &Frame<'_>) -> Option<u32> {
    let id = *frame.payload.first_chunk()?;
    (frame.kind == wire::FRAME_METHOD).then(|| u32::from_be_bytes(id))
}

/// The frame that begins at `at`; `None` while it is not whole.
fn frame_at(input: &[u8], at: usize) -> io::Result<Option<Frame<'_>>> {
    let Some(head) = input[at..].first_chunk::<FRAME_HEAD_LEN>() else { return Ok(None) };
    let len = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let (start, end) = (at + FRAME_HEAD_LEN, at + FRAME_OVERHEAD + len);
    let Some(payload) = input.get(start..end) else { return Ok(None) };
    match payload.split_last() {
        Some((&FRAME_END, payload)) => Ok(Some(Frame { kind: head[0], payload, end })),
        _ => Err(malformed()),
    }
}

/// The header and the body that begin at `at`; `None` while they are not whole.
fn message_at(input: &[u8], at: usize) -> io::Result<Option<Message>> {
    let Some(header) = frame_at(input, at)? else { return Ok(None) };
    let size = header.payload.get(4..).and_then(<[u8]>::first_chunk).ok_or_else(malformed)?;
    let (mut left, mut end) = (u64::from_be_bytes(*size), header.end);
    while left > 0 {
        let Some(piece) = frame_at(input, end)? else { return Ok(None) };
        left = left.checked_sub(piece.payload.len() as u64).ok_or_else(malformed)?;
        end = piece.end;
    }
    let is_persistent = relay::is_persistent(header.payload);
    Ok(Some(Message { range: at..end, is_persistent }))
}

fn malformed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a client sent what a relay cannot read")
}
