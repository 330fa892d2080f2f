//! A connection that keeps every frame it is sent and says only what it is told to.
//!
//! It answers nothing by itself: no heartbeat, no close-ok. Whoever holds it decides.

use crate::wire::{self, Frame, Undecodable};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long a broker may take for an answer that a test cannot go on without.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Where a broker listens, and which of its virtual hosts to open.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    /// `host:port`.
    pub socket: String,
    /// `/` unless said otherwise.
    pub vhost: String,
}

impl FromStr for Address {
    type Err = String;

    /// Reads `host:port` or `host:port/vhost`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (socket, vhost) = text.split_once('/').unwrap_or((text, ""));
        let port = socket.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return Err(format!(
                "{text:?} is not an address of the form host:port or host:port/vhost"
            ));
        }
        let vhost = if vhost.is_empty() { "/" } else { vhost };
        Ok(Address { socket: socket.to_owned(), vhost: vhost.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.socket)
    }
}

/// What came from the broker.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A frame.
    Frame(Frame),
    /// Bytes that are none; nothing after them can be read.
    Undecodable(Undecodable),
    /// The broker closed the connection, or it broke.
    End,
}

/// One TCP connection to a broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    ended: bool,
}

impl Connection {
    /// A connection on which nothing has been said yet.
    pub fn plain(address: &Address) -> Result<Self, String> {
        let stream = TcpStream::connect(&address.socket)
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        Ok(Connection { stream, buffer: Vec::new(), ended: false })
    }

    /// A connection as guest, tuned as the broker offers, without heartbeats, its virtual host
    /// opened.
    pub fn open(address: &Address) -> Result<Self, String> {
        let mut connection = Connection::plain(address)?;
        connection.send_bytes(&wire::PROTOCOL_HEADER);
        connection.expect("Connection.Start")?;
        connection.send(0, "Connection.StartOk", &start_ok("\0guest\0guest"));
        let mut tune = connection.expect("Connection.Tune")?;
        tune.insert("heartbeat".to_owned(), 0.into());
        connection.send(0, "Connection.TuneOk", &tune.into());
        connection.send(0, "Connection.Open", &json!({ "virtual_host": address.vhost }));
        connection.expect("Connection.OpenOk")?;
        Ok(connection)
    }

    /// Opens a channel. What arrives before its open-ok is dropped.
    pub fn open_channel(&mut self, channel: u16) -> Result<(), String> {
        self.send(channel, "Channel.Open", &Value::Null);
        self.expect("Channel.OpenOk").map(drop)
    }

    /// Sends a method without content.
    pub fn send(&mut self, channel: u16, method: &str, arguments: &Value) {
        self.send_bytes(&wire::method(channel, method, arguments));
    }

    /// Sends any bytes. A broker that does not take them any more has ended the connection, which
    /// is no error here; what it said before that can still be taken.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            while self.read_more(Duration::ZERO) {}
            self.ended = true;
        }
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn shut_sending(&mut self) {
        // A connection that is already gone needs no shutting.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection without a word, as a client does that dies.
    pub fn shut(&mut self) {
        // A connection that is already gone needs no shutting.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.ended = true;
    }

    /// Whether the connection is over, as far as has been noticed.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What has arrived: at once if there is anything, else after at most `wait`. Heartbeats are
    /// left out.
    pub fn arrivals(&mut self, wait: Duration) -> Vec<Arrival> {
        if !self.read_more(wait) {
            return Vec::new();
        }
        let mut arrivals = self.take_frames();
        if self.ended {
            arrivals.push(Arrival::End);
        }
        arrivals
    }

    /// Reads what has arrived, waiting at most so long for it. False if nothing came, not even the
    /// end.
    pub fn read_more(&mut self, wait: Duration) -> bool {
        if self.ended || !ready([&*self], wait)[0] {
            return false;
        }
        self.read_bytes();
        true
    }

    /// Bytes that were read and are not taken as frames.
    pub fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// Waits for a method, dropping what comes before it, and returns its arguments.
    pub fn expect(&mut self, method: &str) -> Result<Map<String, Value>, String> {
        let start = Instant::now();
        let mut seen = Vec::new();
        while start.elapsed() < ANSWER_WAIT && !self.ended {
            for arrival in self.arrivals(Duration::from_millis(100)) {
                match arrival {
                    Arrival::Frame(Frame::Method { name, arguments, .. }) if name == method => {
                        return Ok(arguments);
                    }
                    other => seen.push(other),
                }
            }
        }
        Err(format!("no {method}, but {seen:?}"))
    }

    /// Waits until the broker ends the connection and returns what came before that.
    pub fn read_to_end(&mut self, wait: Duration) -> Result<Vec<Frame>, String> {
        let start = Instant::now();
        let mut frames = Vec::new();
        while !self.ended {
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(format!("still open after {wait:?} and {frames:?}"));
            }
            frames.extend(self.arrivals(left).into_iter().filter_map(|arrival| match arrival {
                Arrival::Frame(frame) => Some(frame),
                Arrival::Undecodable(_) | Arrival::End => None,
            }));
        }
        Ok(frames)
    }

    /// The whole frames among the bytes that have been read.
    pub fn take_frames(&mut self) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        loop {
            match wire::take(&mut self.buffer) {
                Ok(Some(Frame::Heartbeat)) => {}
                Ok(Some(frame)) => arrivals.push(Arrival::Frame(frame)),
                Ok(None) => break,
                Err(broken) => arrivals.push(Arrival::Undecodable(broken)),
            }
        }
        arrivals
    }

    fn read_bytes(&mut self) {
        let mut chunk = vec![0; 1 << 16];
        match self.stream.read(&mut chunk) {
            Ok(0) | Err(_) => self.ended = true,
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The arguments of `Connection.StartOk` of a client with RabbitMQ's capabilities, by mechanism
/// PLAIN.
pub fn start_ok(response: &str) -> Value {
    json!({
        "client_properties": {"capabilities": {
            "publisher_confirms": true, "basic.nack": true, "consumer_cancel_notify": true,
            "connection.blocked": true, "authentication_failure_close": true,
        }},
        "mechanism": "PLAIN", "response": response, "locale": "en_US",
    })
}

/// Waits until something can be read from one of the connections, and says from which.
pub fn ready<'a>(
    connections: impl IntoIterator<Item = &'a Connection>,
    wait: Duration,
) -> Vec<bool> {
    let mut descriptors: Vec<_> = connections
        .into_iter()
        .map(|connection| PollFd::new(&connection.stream, PollFlags::IN))
        .collect();
    let wait = wait.try_into().expect("a test waits less than centuries");
    if poll(&mut descriptors, Some(&wait)).is_err() {
        // A signal came in between: as if nothing had been ready, the caller asks again.
        return vec![false; descriptors.len()];
    }
    descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect()
}
