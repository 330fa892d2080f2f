//! Who consumes from where, and what waits for a client's socket.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::Disk;
use super::replies;
use crate::bench::wire;

/// So much is written at once, that it stays in the processor's cache until then.
const WRITE_BYTES: usize = 256 * 1024;

/// What all clients share.
pub(super) struct Relay {
    topology: Mutex<Topology>,
    /// Grows with each change of the topology.
    version: AtomicU64,
    disk: Option<Mutex<Disk>>,
}

/// Names, as clients give them.
#[derive(Default)]
pub(super) struct Topology {
    consumers: HashMap<String, Arc<Consumer>>,
    exchanges: HashMap<String, Exchange>,
}

struct Exchange {
    is_fanout: bool,
    /// Keys and queues.
    bindings: Vec<(String, String)>,
}

/// Who gets a queue's messages: the last that asked for them.
pub(super) struct Consumer {
    outbox: Arc<Outbox>,
    tag: String,
}

impl Relay {
    pub(super) fn new(disk: Option<Disk>) -> Self {
        Self { topology: Mutex::default(), version: AtomicU64::new(1), disk: disk.map(Mutex::new) }
    }

    /// Changes with each change of the topology.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Topology)) {
        change(&mut lock(&self.topology));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Where messages go that are published with these names.
    pub(super) fn route(&self, exchange: &str, key: &str, from: &[u8]) -> Vec<Target> {
        let topology = lock(&self.topology);
        let target = |queue: &str| Some(Target::new(topology.consumers.get(queue)?, from));
        if exchange.is_empty() {
            return target(key).into_iter().collect();
        }
        let Some(Exchange { is_fanout, bindings }) = topology.exchanges.get(exchange) else {
            return vec![];
        };
        let bound = bindings.iter().filter(|(bound, _)| *is_fanout || bound == key);
        bound.filter_map(|(_, queue)| target(queue)).collect()
    }

    /// Has `bytes` durable, if there is a disk.
    pub(super) fn keep(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| lock(disk).keep(bytes))
    }
}

impl Topology {
    pub(super) fn add_exchange(&mut self, exchange: String, kind: &str) {
        let is_fanout = kind == "fanout";
        self.exchanges.entry(exchange).or_insert(Exchange { is_fanout, bindings: vec![] });
    }

    pub(super) fn remove_exchange(&mut self, exchange: &str) {
        self.exchanges.remove(exchange);
    }

    pub(super) fn bind(&mut self, exchange: &str, key: String, queue: String) {
        if let Some(exchange) = self.exchanges.get_mut(exchange) {
            exchange.bindings.push((key, queue));
        }
    }

    pub(super) fn consume(&mut self, queue: String, outbox: Arc<Outbox>, tag: String) {
        self.consumers.insert(queue, Arc::new(Consumer { outbox, tag }));
    }

    /// Forgets the consumers of a client that is gone.
    pub(super) fn leave(&mut self, outbox: &Arc<Outbox>) {
        self.consumers.retain(|_, consumer| !Arc::ptr_eq(&consumer.outbox, outbox));
    }
}

/// A consumer, and what a message for it begins with.
pub(super) struct Target {
    pub(super) outbox: Arc<Outbox>,
    deliver: Vec<u8>,
    /// Where in it the delivery tag is.
    tag_at: usize,
}

impl Target {
    fn new(consumer: &Consumer, from: &[u8]) -> Self {
        let mut deliver = Vec::new();
        let tag_at = replies::deliver(&mut deliver, &consumer.tag, from);
        Self { outbox: Arc::clone(&consumer.outbox), deliver, tag_at }
    }

    /// Appends the messages to what waits for the consumer; each is its header and its body, as
    /// they were published.
    pub(super) fn give(&self, input: &[u8], messages: &[Range<usize>]) {
        let mut waiting = self.outbox.waiting();
        for message in messages {
            waiting.tags += 1;
            let tag = waiting.tags.to_be_bytes();
            let at = waiting.bytes.len() + self.tag_at;
            waiting.bytes.extend_from_slice(&self.deliver);
            waiting.bytes[at..at + tag.len()].copy_from_slice(&tag);
            waiting.bytes.extend_from_slice(&input[message.clone()]);
            if waiting.bytes.len() >= WRITE_BYTES {
                // Whoever is gone gets nothing.
                let _gone = self.outbox.write(&mut waiting);
            }
        }
    }
}

/// What waits for a client's socket.
pub(super) struct Outbox {
    socket: TcpStream,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) bytes: Vec<u8>,
    /// The delivery tags given out so far.
    tags: u64,
}

impl Outbox {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, waiting: Mutex::default() }
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    /// Writes all that waits. Who publishes waits for who consumes: that is all the flow control
    /// there is.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.write(&mut self.waiting())
    }

    fn write(&self, waiting: &mut Waiting) -> io::Result<()> {
        let written = (&self.socket).write_all(&waiting.bytes);
        waiting.bytes.clear();
        written
    }
}

/// Every guarded value is whole at all times, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two short strings of names that a message is published with, each with its length.
pub(super) fn names(from: &[u8]) -> Option<(&str, &str)> {
    let (exchange, rest) = short_text(from)?;
    let (key, _) = short_text(rest)?;
    Some((exchange, key))
}

/// A short string at the front, and what is behind it; `None` for one that is none, or not UTF-8.
pub(super) fn short_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked((*len).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Whether a content header's payload says that the message is to survive; as the load generator
/// writes it, which has no other property before.
pub(super) fn is_persistent(header: &[u8]) -> bool {
    matches!(header, [_, _, _, _, _, _, _, _, _, _, _, _, high, low, mode, ..]
        if u16::from_be_bytes([*high, *low]) & wire::HAS_DELIVERY_MODE != 0
            && *high >> 5 == 0
            && *mode == wire::DELIVERY_MODE_PERSISTENT)
}
