//! The batch that gathers, and how it becomes bytes.
//!
//! What is noted stays as it is until the batch is written: a message that all its queues are done
//! with by then is not written at all.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use bytes::{BufMut, Bytes, BytesMut};

use super::fact::{Dropped, Fact, Place, QueueNumber, Settled, Timed};
use super::format::{self, BATCH_HEADER_LEN, BatchHeader, RECORD_HEADER_LEN, RecordHeader};
use crate::Instant;
use crate::broker::{Message, QueueId};
use crate::pen::{self, Pen};

/// Bodies up to this many bytes are copied into the batch; larger ones are handed on as they are.
const COPY_LEN_MAX: usize = 16 << 10;

/// A message's place, with the key under which its queue is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) queue: QueueId,
    pub(crate) place: Place,
    /// When the message expires there, in milliseconds since 1970, if the log is to be told.
    pub(crate) deadline: Option<NonZeroU64>,
}

/// A message to be written.
#[derive(Debug)]
pub(crate) struct PendingMessage {
    pub(crate) message: Arc<Message>,
    /// Where it is to be; without those that are done with it already.
    pub(crate) spots: Spots,
    pub(crate) is_moved: bool,
    pub(crate) is_volatile: bool,
}

/// Where a message is to be: mostly in one queue, which then takes no memory of its own.
#[derive(Debug)]
pub(crate) enum Spots {
    One(Option<Spot>),
    Many(Vec<Spot>),
}

impl Spots {
    pub(crate) fn as_slice(&self) -> &[Spot] {
        match self {
            Self::One(spot) => spot.as_slice(),
            Self::Many(spots) => spots,
        }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, spot: Spot) {
        match self {
            Self::One(only @ None) => *only = Some(spot),
            Self::One(Some(first)) => *self = Self::Many(Vec::from([*first, spot])),
            Self::Many(spots) => spots.push(spot),
        }
    }

    /// Keeps those for which `keeps` holds.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&Spot) -> bool) {
        match self {
            Self::One(spot) => {
                spot.take_if(|spot| !keeps(spot));
            }
            Self::Many(spots) => spots.retain(keeps),
        }
    }
}

/// Something to be written, in its order.
#[derive(Debug)]
pub(crate) enum Item {
    Message(PendingMessage),
    Fact(Fact),
}

/// What was noted since the last batch was closed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    /// The number of its first item; all items ever noted are counted.
    pub(crate) first_item: u64,
    /// Messages that were written before and are settled now.
    settled: Vec<(Place, u64)>,
    /// The same of many at once, in the order in which that happened.
    dropped: Vec<Dropped>,
    /// How far queues may have handed out, each the furthest.
    delivered: Vec<(QueueNumber, u64)>,
    /// How many bytes queues are left with, as far as that is said.
    weighed: Vec<(QueueNumber, u64)>,
    /// About how many bytes it will have.
    pub(crate) len: usize,
    /// How often something was noted.
    pub(crate) changes: u64,
    /// Whether someone waits for it.
    pub(crate) is_urgent: bool,
    /// When it was first looked at with something in it.
    pub(crate) since: Option<Instant>,
}

impl Batch {
    /// An empty batch whose first item is to have this number.
    pub(crate) fn new(first_item: u64, changes: u64) -> Self {
        Self { first_item, changes, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.settled.is_empty()
            && self.dropped.is_empty()
            && self.delivered.is_empty()
    }

    /// The number that the next item gets.
    pub(crate) fn next_item(&self) -> u64 {
        self.first_item + self.items.len() as u64
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.len += match &item {
            Item::Message(message) => {
                record_len(&message.message) + 16 * message.spots.as_slice().len()
            }
            Item::Fact(_) => 64,
        };
        self.changes += 1;
        self.items.push(item);
    }

    /// A message that was noted as item number `item`, and is not written yet, is done with at a
    /// place. Whether it was still to be there.
    pub(crate) fn withdraw(&mut self, item: u64, place: Place) {
        let Some(at) = item.checked_sub(self.first_item) else { return };
        if let Some(Item::Message(message)) = self.items.get_mut(at as usize) {
            message.spots.retain(|spot| spot.place != place);
            if message.spots.as_slice().is_empty() {
                self.len = self.len.saturating_sub(record_len(&message.message));
            }
        }
    }

    /// A message that was written before is settled.
    pub(crate) fn settle(&mut self, place: Place) {
        self.len += 4;
        self.changes += 1;
        match self.settled.last_mut() {
            Some((first, last)) if first.queue == place.queue && *last + 1 == place.position => {
                *last += 1;
            }
            _ => self.settled.push((place, place.position)),
        }
    }

    /// Messages that were written before are dropped.
    pub(crate) fn drop_from(&mut self, dropped: Dropped) {
        self.len += 64 + 8 * dropped.kept.len();
        self.changes += 1;
        self.dropped.push(dropped);
    }

    /// A queue may hand out every message before this position.
    pub(crate) fn deliver(&mut self, queue: QueueNumber, below: u64) {
        match self.delivered.last_mut() {
            Some((last, mark)) if *last == queue => *mark = below,
            _ => self.delivered.push((queue, below)),
        }
    }

    /// The queues of which messages of earlier batches are done with.
    pub(crate) fn lessened(&self) -> impl Iterator<Item = QueueNumber> + '_ {
        let settled = self.settled.iter().map(|(place, _)| place.queue);
        settled.chain(self.dropped.iter().map(|dropped| dropped.from.queue))
    }

    /// What queues are left with at its end, by how many bytes the bodies of their messages have.
    pub(crate) fn weigh(&mut self, queues: Vec<(QueueNumber, u64)>) {
        self.weighed = queues;
    }

    /// What goes before all items: which messages of earlier batches are settled. What was dropped
    /// comes last, as it says how many were left then.
    pub(crate) fn opening_facts(&self) -> impl Iterator<Item = Fact> + '_ {
        self.settled().into_iter().chain(self.dropped.iter().cloned().map(Fact::Dropped))
    }

    fn settled(&self) -> Option<Fact> {
        let mut settled = self.settled.clone();
        settled.sort_unstable();
        let mut queues: Vec<Settled> = Vec::new();
        for (Place { queue, position }, last) in settled {
            match queues.last_mut() {
                Some(known) if known.queue == queue => match known.ranges.last_mut() {
                    Some((_, end)) if *end + 1 == position => *end = last,
                    _ => known.ranges.push((position, last)),
                },
                _ => queues.push(Settled { queue, ranges: alloc::vec![(position, last)] }),
            }
        }
        (!queues.is_empty()).then_some(Fact::Settled(queues))
    }

    /// What goes behind all items: how far queues, also such that are declared in this batch, may
    /// have handed out, and what is left in them.
    pub(crate) fn closing_facts(&self) -> impl Iterator<Item = Fact> + '_ {
        let weighed = self.weighed.iter().map(|(queue, bytes)| Fact::Weighed(*queue, *bytes));
        let delivered = self.delivered.iter();
        delivered.map(|(queue, below)| Fact::Delivered(*queue, *below)).chain(weighed)
    }
}

/// About how many bytes a message's record has, without its places.
fn record_len(message: &Message) -> usize {
    RECORD_HEADER_LEN + 4 + content_len(message)
}

/// How many bytes all of a message has in its record.
fn content_len(message: &Message) -> usize {
    let names = message.exchange.len() + message.routing_key.len();
    6 + names + message.properties.as_compact().len() + message.body.len()
}

/// When the messages of a batch expire, as they are written.
#[derive(Debug, Default)]
pub(crate) struct TimedRuns(Vec<Timed>);

impl TimedRuns {
    /// The message at this place expires at `deadline`.
    pub(crate) fn push(&mut self, place: Place, deadline: u64) {
        let Place { queue, position } = place;
        if self.0.last().is_none_or(|timed| timed.queue != queue) {
            self.0.push(Timed { queue, ranges: Vec::new() });
        }
        let Some(timed) = self.0.last_mut() else { return };
        match timed.ranges.last_mut() {
            Some((_, last, known)) if *last + 1 == position && *known == deadline => {
                *last = position;
            }
            _ => timed.ranges.push((position, position, deadline)),
        }
    }

    pub(crate) fn into_facts(self) -> impl Iterator<Item = Fact> {
        self.0.into_iter().map(Fact::Timed)
    }
}

/// A batch as bytes in the making.
#[derive(Debug)]
pub(crate) struct Encoder {
    identity: u64,
    /// Where the batch begins in its segment.
    offset: u64,
    chunks: Vec<Bytes>,
    buffer: BytesMut,
    /// Where `buffer` begins in its segment.
    base: u64,
    count: u32,
}

impl Encoder {
    /// A batch that begins at `offset` in the segment with this identity and takes about `len`
    /// bytes.
    pub(crate) fn new(identity: u64, offset: u64, len: usize) -> Self {
        Self {
            identity,
            offset,
            chunks: Vec::new(),
            buffer: BytesMut::with_capacity(len),
            base: offset + BATCH_HEADER_LEN as u64,
            count: 0,
        }
    }

    pub(crate) fn fact(&mut self, fact: &Fact) {
        self.count += 1;
        fact.encode(&mut self.buffer, self.identity, self.base);
    }

    /// Adds a message's record: where it begins in the segment, and its length.
    pub(crate) fn message(&mut self, pending: &PendingMessage) -> (u32, u32) {
        self.count += 1;
        let message = &*pending.message;
        let start = self.buffer.len();
        let offset = self.base + start as u64;
        let is_copied = message.body.len() <= COPY_LEN_MAX;
        let apart = if is_copied { 0 } else { message.body.len() };
        let spots = pending.spots.as_slice();
        let len = RECORD_HEADER_LEN + 4 + 16 * spots.len() + content_len(message) - apart;
        self.buffer.resize(start + len + Pen::SLACK, 0);
        let written = pen::write(&mut self.buffer[start + RECORD_HEADER_LEN..], |pen| {
            pen.put((spots.len() as u32).to_le_bytes());
            for spot in spots {
                pen.put(spot.place.queue.0.to_le_bytes());
                pen.put(spot.place.position.to_le_bytes());
            }
            pen.put_text(&message.exchange);
            pen.put_text(&message.routing_key);
            let properties = message.properties.as_compact();
            pen.put((properties.len() as u32).to_le_bytes());
            pen.put_compact(properties);
            match message.body.only_piece() {
                _ if !is_copied => {}
                Some(piece) => pen.put_compact(piece),
                None => message.body.pieces().for_each(|piece| pen.put_slice(piece)),
            }
        });
        assert_eq!(RECORD_HEADER_LEN + written, len, "what is counted is written");
        self.buffer.truncate(start + len);
        let flags = u8::from(pending.is_moved)
            | u8::from(pending.is_volatile) << 1
            | u8::from(message.persistent) << 2
            | u8::from(message.is_dead_letter) << 3;
        let (kind, record_len) = (super::codec::kind::MESSAGE, (len + apart) as u32);
        if is_copied {
            let record = &mut self.buffer[start..];
            RecordHeader::complete(record, kind, flags, self.identity, offset);
            return (offset as u32, record_len);
        }
        let header = RecordHeader::encode(
            kind,
            flags,
            self.identity,
            offset,
            written + apart,
            core::iter::once(&self.buffer[start + RECORD_HEADER_LEN..])
                .chain(message.body.pieces()),
        );
        self.buffer[start..start + RECORD_HEADER_LEN].copy_from_slice(&header);
        self.base += (self.buffer.len() + apart) as u64;
        self.chunks.push(self.buffer.split().freeze());
        self.chunks.extend(message.body.shared_pieces().filter(|piece| !piece.is_empty()));
        (offset as u32, record_len)
    }

    /// How many records it has so far.
    pub(crate) fn records(&self) -> u64 {
        self.count.into()
    }

    /// The batch with its header and padding, in pieces, and its length.
    pub(crate) fn finish(mut self, number: u64, durable: u64, epoch: u32) -> (Vec<Bytes>, u64) {
        let end = self.base + self.buffer.len() as u64;
        let len = end - self.offset - BATCH_HEADER_LEN as u64;
        let header = BatchHeader { len: len as u32, number, durable, epoch, count: self.count };
        self.buffer.put_bytes(0, (format::aligned(end) - end) as usize);
        let mut data = Vec::with_capacity(self.chunks.len() + 2);
        data.push(Bytes::copy_from_slice(&header.encode(self.identity, self.offset)));
        data.extend(self.chunks);
        data.push(self.buffer.freeze());
        (data, format::aligned(end) - self.offset)
    }
}
