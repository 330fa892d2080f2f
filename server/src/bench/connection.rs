//! One blocking TCP connection to the broker, with one open channel.
//!
//! Reads and writes give up after [`NAP`], so that no thread sleeps past the end of a run, and so
//! that a broker which stops reading until its own output is taken cannot lock both sides up:
//! whoever waits to write looks at what has arrived in between. Heartbeats are turned off; a dead
//! broker is noticed by the stall check of the whole run, which is stricter.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::BenchError;
use super::scan::{Confirm, Delivery, Scanner, Sink};
use super::uri::Uri;
use super::wire::{self, Args};

/// How long a read or a write may sleep before its thread looks around.
const NAP: Duration = Duration::from_millis(20);
/// How long the broker may take to answer a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the broker may take to say goodbye before the socket is just closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// The most that is read at once. From 128 KiB on, more measured no better.
const READ_BYTES: usize = 256 * 1024;
/// Reads in one [`Connection::poll`], so that a flood of deliveries cannot keep it there.
const POLL_READS: usize = 16;

/// A connection that is open, with its channel.
pub(super) struct Connection {
    stream: TcpStream,
    scanner: Scanner,
    frame_max: usize,
    /// What the broker calls itself, with its version.
    broker: String,
    /// Whether the last frame was written to its end.
    whole: bool,
}

impl Connection {
    /// Connects, logs in, opens the vhost and the channel. `name` is for the broker's own lists.
    pub(super) fn open(uri: &Uri, name: &str) -> Result<Self, BenchError> {
        let stream = connect(uri)?;
        let set_up = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(NAP)))
            .and_then(|()| stream.set_write_timeout(Some(NAP)));
        set_up.map_err(|error| BenchError::system("setting up a socket", error))?;
        let mut connection = Self {
            stream,
            scanner: Scanner::new(READ_BYTES),
            frame_max: wire::FRAME_MAX,
            broker: String::new(),
            whole: true,
        };
        connection.shake_hands(uri, name)?;
        Ok(connection)
    }

    /// So many of them, one after the other; each has its number behind `name`. Not all of them if
    /// `interrupt` is set meanwhile: that is an error.
    pub(super) fn open_all(
        uri: &Uri,
        name: &str,
        count: u32,
        interrupt: &AtomicBool,
    ) -> Result<Vec<Self>, BenchError> {
        let open = (0..count).map(|index| match interrupt.load(Ordering::Relaxed) {
            true => Err(BenchError::Interrupted),
            false => Self::open(uri, &format!("{name} {index}")),
        });
        open.collect()
    }

    fn shake_hands(&mut self, uri: &Uri, name: &str) -> Result<(), BenchError> {
        self.write_request(wire::PROTOCOL_HEADER)?;
        let start = self.answer(wire::CONNECTION_START, "connection.start")?;
        self.broker = broker_name(&start)?;

        let mut request = Vec::new();
        wire::start_ok(&mut request, &uri.user, &uri.password, name);
        self.write_request(&request)?;
        let tune = self.answer(wire::CONNECTION_TUNE, "connection.tune")?;
        let mut tune = Args(&tune);
        let (channel_max, offered) = (tune.u16()?, tune.u32()? as usize);
        self.frame_max = match offered {
            0 => wire::FRAME_MAX,
            _ => offered.min(wire::FRAME_MAX),
        };
        if self.frame_max <= wire::FRAME_OVERHEAD {
            return Err(BenchError::Protocol(format!("frames of {offered} octets are offered")));
        }

        let frame_max = u32::try_from(self.frame_max).expect("at most FRAME_MAX");
        self.call(wire::CONNECTION_OPEN_OK, "connection.open-ok", |out| {
            wire::tune_ok(out, channel_max, frame_max, 0);
            wire::open(out, &uri.vhost);
        })?;
        self.call(wire::CHANNEL_OPEN_OK, "channel.open-ok", wire::channel_open)
    }

    /// What the broker calls itself, with its version.
    pub(super) fn broker(&self) -> &str {
        &self.broker
    }

    /// The largest frame that may be sent, overhead included.
    pub(super) fn frame_max(&self) -> usize {
        self.frame_max
    }

    /// A second handle on the socket, for a thread that only writes.
    pub(super) fn writer(&self) -> Result<TcpStream, BenchError> {
        self.stream.try_clone().map_err(|error| BenchError::system("duplicating a socket", error))
    }

    /// Sends what `request` encodes and waits for the method `answer`.
    pub(super) fn call(
        &mut self,
        answer: u32,
        what: &'static str,
        request: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BenchError> {
        let mut bytes = Vec::new();
        request(&mut bytes);
        self.write_request(&bytes)?;
        self.answer(answer, what).map(drop)
    }

    /// Sends requests whose answers are read by somebody else.
    pub(super) fn write_request(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        let sent = self.stream.write_all(bytes);
        sent.map_err(|error| BenchError::system("sending a request", error))
    }

    fn answer(&mut self, wanted: u32, what: &'static str) -> Result<Vec<u8>, BenchError> {
        let mut sink = AnswerSink { wanted, args: None };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.wait(&mut sink)?;
            if let Some(args) = sink.args.take() {
                return Ok(args);
            }
        }
        Err(BenchError::Unanswered { what, after: PATIENCE })
    }

    /// Reads once, sleeping for at most [`NAP`], and reports what arrived.
    pub(super) fn wait(&mut self, sink: &mut impl Sink) -> Result<(), BenchError> {
        self.read(sink).map(drop)
    }

    /// Reports what has arrived, without sleeping.
    pub(super) fn poll(&mut self, sink: &mut impl Sink) -> Result<(), BenchError> {
        self.set_nonblocking(true)?;
        for _ in 0..POLL_READS {
            if !self.read(sink)? {
                break;
            }
        }
        self.set_nonblocking(false)
    }

    fn set_nonblocking(&mut self, on: bool) -> Result<(), BenchError> {
        let set = self.stream.set_nonblocking(on);
        set.map_err(|error| BenchError::system("changing a socket's mode", error))
    }

    /// Whether there was anything to read.
    fn read(&mut self, sink: &mut impl Sink) -> Result<bool, BenchError> {
        match self.stream.read(self.scanner.space()) {
            Ok(0) => Err(BenchError::Dropped { doing: "reading" }),
            Ok(len) => self.scanner.advance(len, sink).map(|()| true),
            Err(error) if is_nap(&error) => Ok(false),
            Err(error) if is_gone(&error) => Err(BenchError::Dropped { doing: "reading" }),
            Err(error) => Err(BenchError::system("reading from the broker", error)),
        }
    }

    /// Writes all of `bytes`, reporting what arrives while the broker is not taking any.
    ///
    /// Returns false if `stop` was set while it waited; the connection is then in the middle of a
    /// frame and good for nothing but [`close`](Self::close).
    pub(super) fn send(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl Sink,
        stop: &AtomicBool,
    ) -> Result<bool, BenchError> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if is_nap(&error) => {
                    if stop.load(Ordering::Relaxed) {
                        self.whole = false;
                        return Ok(false);
                    }
                    self.poll(sink)?;
                }
                // The reason, if the broker gave one, is still to be read.
                Err(error) if is_gone(&error) => {
                    self.poll(sink)?;
                    return Err(BenchError::Dropped { doing: "writing" });
                }
                Err(error) => return Err(BenchError::system("writing to the broker", error)),
            }
        }
        Ok(true)
    }

    /// Notes that another handle on the socket stopped in the middle of a frame.
    pub(super) fn cut_short(&mut self) {
        self.whole = false;
    }

    /// Says goodbye and waits a moment for the answer; whatever else arrives is dropped.
    pub(super) fn close(mut self) {
        let mut request = Vec::new();
        wire::close(&mut request);
        if !self.whole || self.stream.write_all(&request).is_err() {
            return;
        }
        let mut sink = FarewellSink { answered: false };
        let deadline = Instant::now() + FAREWELL;
        while !sink.answered && Instant::now() < deadline && self.wait(&mut sink).is_ok() {}
    }
}

fn connect(uri: &Uri) -> Result<TcpStream, BenchError> {
    let unreachable = |source| BenchError::Unreachable {
        address: if uri.host.contains(':') {
            format!("[{}]:{}", uri.host, uri.port)
        } else {
            format!("{}:{}", uri.host, uri.port)
        },
        source,
    };
    let addresses = (uri.host.as_str(), uri.port).to_socket_addrs().map_err(unreachable)?;
    let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(unreachable(failure))
}

/// `connection.start`: version, server properties, mechanisms, locales.
fn broker_name(start: &[u8]) -> Result<String, BenchError> {
    let mut args = Args(start);
    args.u16()?;
    let properties = args.long_bytes()?;
    let product = Args(properties).find_text("product")?.unwrap_or_else(|| "a broker".into());
    Ok(match Args(properties).find_text("version")? {
        Some(version) => format!("{product} {version}"),
        None => product,
    })
}

/// Nothing could be read or written in the time: `EAGAIN`, or a signal that was handled.
pub(super) fn is_nap(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The other side closed the connection.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

/// What a broker may say at any time without ending anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// `connection.blocked`: it will not take messages, for this reason.
    Blocked(String),
    /// `connection.unblocked`
    Unblocked,
}

/// Reads a method that was not asked for; nearly all of them end the run.
pub(super) fn unasked(id: u32, args: &[u8]) -> Result<Notice, BenchError> {
    let mut args = Args(args);
    match id {
        wire::CONNECTION_BLOCKED => Ok(Notice::Blocked(args.short_text()?)),
        wire::CONNECTION_UNBLOCKED => Ok(Notice::Unblocked),
        wire::CONNECTION_CLOSE | wire::CHANNEL_CLOSE => {
            let scope = if id == wire::CONNECTION_CLOSE { "connection" } else { "channel" };
            Err(BenchError::Closed { scope, code: args.u16()?, text: args.short_text()? })
        }
        wire::BASIC_CANCEL => Err(BenchError::Cancelled { tag: args.short_text()? }),
        _ => Err(BenchError::Protocol(format!(
            "it sent the method {}.{} unasked",
            id >> 16,
            id & 0xffff
        ))),
    }
}

/// Waits for one method.
struct AnswerSink {
    wanted: u32,
    args: Option<Vec<u8>>,
}

impl Sink for AnswerSink {
    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
        if id == self.wanted {
            self.args = Some(args.to_vec());
            return Ok(());
        }
        unasked(id, args).map(drop)
    }
}

/// Waits for `connection.close-ok` and lets everything else pass.
struct FarewellSink {
    answered: bool,
}

impl Sink for FarewellSink {
    fn delivery(&mut self, _: Delivery) -> Result<(), BenchError> {
        Ok(())
    }

    fn confirm(&mut self, _: Confirm) -> Result<(), BenchError> {
        Ok(())
    }

    fn method(&mut self, id: u32, _: &[u8]) -> Result<(), BenchError> {
        self.answered |= id == wire::CONNECTION_CLOSE_OK;
        Ok(())
    }
}
