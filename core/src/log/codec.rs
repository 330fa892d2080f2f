//! Facts as records and back, as `FORMAT.md` has them.
//!
//! Decoding trusts nothing: whatever the bytes, it does not panic and does not take more memory
//! than a constant times what it was given. What it gives out are slices of its input.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use super::extents::Extent;
use super::fact::{
    Bound, Dropped, ExchangeFact, Fact, LaneFact, MessageFact, MessagesFact, Place, PolicyFact,
    QueueFact, QueueNumber, SeenFact, SeenValue, SegmentFact, Settled, Target, Timed, Witness,
};
use super::format::{NUMBER_MAX, put_record};
use crate::amqp::{FieldTable, Properties, Reader, ShortStr};
use crate::broker::{ApplyTo, Body, Charge, Fingerprint, Message, Policy, PolicyLayer};

mod access;

/// The kinds of records.
pub(crate) mod kind {
    pub(crate) const MESSAGE: u8 = 1;
    pub(crate) const SETTLED: u8 = 2;
    pub(crate) const RETURNED: u8 = 3;
    pub(crate) const DELIVERED: u8 = 4;
    pub(crate) const QUEUE_DECLARED: u8 = 5;
    pub(crate) const QUEUE_DELETED: u8 = 6;
    pub(crate) const EXCHANGE_DECLARED: u8 = 7;
    pub(crate) const EXCHANGE_DELETED: u8 = 8;
    pub(crate) const BOUND: u8 = 9;
    pub(crate) const UNBOUND: u8 = 10;
    pub(crate) const DROPPED: u8 = 11;
    pub(crate) const TIMED: u8 = 12;
    pub(crate) const POLICY_SET: u8 = 13;
    pub(crate) const POLICY_DELETED: u8 = 14;
    pub(crate) const WEIGHED: u8 = 15;
    pub(crate) const SEGMENT: u8 = 16;
    pub(crate) const MESSAGES: u8 = 17;
    pub(crate) const SEEN: u8 = 18;
    pub(crate) const VHOST_SET: u8 = 19;
    pub(crate) const VHOST_DELETED: u8 = 20;
    pub(crate) const USER_SET: u8 = 21;
    pub(crate) const USER_DELETED: u8 = 22;
    pub(crate) const PERMISSION_SET: u8 = 23;
    pub(crate) const PERMISSION_CLEARED: u8 = 24;
    pub(crate) const TOPIC_PERMISSION_SET: u8 = 25;
    pub(crate) const TOPIC_PERMISSION_CLEARED: u8 = 26;
    pub(crate) const PARAMETER_SET: u8 = 27;
    pub(crate) const PARAMETER_CLEARED: u8 = 28;
    pub(crate) const ARGUMENTS_SET: u8 = 29;
}

/// The flags of message records.
pub(crate) mod message_flag {
    pub(crate) const MOVED: u8 = 1;
    pub(crate) const VOLATILE: u8 = 2;
    pub(crate) const PERSISTENT: u8 = 4;
    pub(crate) const DEAD_LETTER: u8 = 8;
    pub(crate) const ALL: u8 = MOVED | VOLATILE | PERSISTENT | DEAD_LETTER;
}

const AUTO_DELETE: u8 = 1;
const INTERNAL: u8 = 2;
const LANE: u8 = 2;
const TO_EXCHANGE: u8 = 1;
const BY_EXCHANGE: u8 = 1;
const SOME_KEPT: u8 = 1;
const OF_OPERATOR: u8 = 1;

/// How many bytes a place takes in a message record.
const PLACE_LEN: usize = 16;

impl Fact {
    /// Appends the fact as a record to `out`, which begins at `base` in its file.
    pub(crate) fn encode(&self, out: &mut BytesMut, identity: u64, base: u64) {
        let (kind, flags) = self.kind_and_flags();
        put_record(out, kind, flags, identity, base, |out| self.put_body(out));
    }

    /// The fact that a record says; `None` when it says none.
    pub(crate) fn decode(kind: u8, flags: u8, body: &Bytes) -> Option<Self> {
        let mut cursor = Cursor { bytes: body, at: 0 };
        let flags_known = match kind {
            kind::MESSAGE => message_flag::ALL,
            kind::EXCHANGE_DECLARED => AUTO_DELETE | INTERNAL,
            kind::QUEUE_DECLARED => AUTO_DELETE | LANE,
            kind::BOUND | kind::UNBOUND => TO_EXCHANGE,
            kind::DROPPED => SOME_KEPT,
            kind::SEEN => BY_EXCHANGE,
            kind::POLICY_SET | kind::POLICY_DELETED => OF_OPERATOR,
            kind => access::flags_known(kind),
        };
        if flags & !flags_known != 0 {
            return None;
        }
        let fact = match kind {
            kind::MESSAGE => Self::Message(MessageFact {
                places: cursor.many(PLACE_LEN, Cursor::place)?,
                is_moved: flags & message_flag::MOVED != 0,
                is_volatile: flags & message_flag::VOLATILE != 0,
                message: cursor.message(flags)?,
            }),
            kind::SETTLED => Self::Settled(cursor.settled()?),
            kind::RETURNED => Self::Returned(cursor.place()?, cursor.u32()?),
            kind::DELIVERED => Self::Delivered(cursor.queue()?, cursor.number()?),
            kind::QUEUE_DECLARED => Self::QueueDeclared(QueueFact {
                number: cursor.queue()?,
                vhost: cursor.str8()?,
                name: cursor.str8()?,
                auto_delete: flags & AUTO_DELETE != 0,
                arguments: decode_table(&cursor.str32()?)?,
                lane: match flags & LANE {
                    0 => None,
                    _ => Some(LaneFact { of: cursor.queue()?, level: cursor.u8()? }),
                },
            }),
            kind::QUEUE_DELETED => Self::QueueDeleted(cursor.queue()?),
            kind::ARGUMENTS_SET => {
                Self::ArgumentsSet(cursor.queue()?, decode_table(&cursor.str32()?)?)
            }
            kind::EXCHANGE_DECLARED => Self::ExchangeDeclared(ExchangeFact {
                vhost: cursor.str8()?,
                name: cursor.str8()?,
                kind: cursor.str8()?,
                auto_delete: flags & AUTO_DELETE != 0,
                internal: flags & INTERNAL != 0,
                arguments: decode_table(&cursor.str32()?)?,
            }),
            kind::EXCHANGE_DELETED => Self::ExchangeDeleted(cursor.str8()?, cursor.str8()?),
            kind::POLICY_SET => Self::PolicySet(cursor.policy(flags)?),
            kind::POLICY_DELETED => {
                Self::PolicyDeleted(cursor.str8()?, layer(flags), cursor.str8()?)
            }
            kind::BOUND => Self::Bound(cursor.bound(flags)?),
            kind::UNBOUND => Self::Unbound(cursor.bound(flags)?),
            kind::DROPPED => Self::Dropped(cursor.dropped(flags)?),
            kind::TIMED => Self::Timed(Timed {
                queue: cursor.queue()?,
                ranges: cursor.many(24, |cursor| {
                    let (first, last) = cursor.range()?;
                    Some((first, last, cursor.u64()?))
                })?,
            }),
            kind::WEIGHED => Self::Weighed(cursor.queue()?, cursor.number()?),
            kind::SEEN => Self::Seen(cursor.seen(flags)?),
            kind::SEGMENT => Self::Segment(SegmentFact {
                segment: cursor.number()?,
                data_end: cursor.u64()?,
                len: cursor.u64()?,
                last: cursor.number()?,
            }),
            kind::MESSAGES => Self::Messages(cursor.messages()?),
            kind => cursor.access(kind, flags)?,
        };
        cursor.is_at_end().then_some(fact)
    }

    fn kind_and_flags(&self) -> (u8, u8) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        match self {
            Self::Message(message) => (kind::MESSAGE, message.flags()),
            Self::Settled(_) => (kind::SETTLED, 0),
            Self::Returned(..) => (kind::RETURNED, 0),
            Self::Delivered(..) => (kind::DELIVERED, 0),
            Self::QueueDeclared(queue) => {
                let flags = flag(queue.auto_delete, AUTO_DELETE);
                (kind::QUEUE_DECLARED, flags | flag(queue.lane.is_some(), LANE))
            }
            Self::QueueDeleted(_) => (kind::QUEUE_DELETED, 0),
            Self::ArgumentsSet(..) => (kind::ARGUMENTS_SET, 0),
            Self::ExchangeDeclared(exchange) => {
                let flags = flag(exchange.auto_delete, AUTO_DELETE);
                (kind::EXCHANGE_DECLARED, flags | flag(exchange.internal, INTERNAL))
            }
            Self::ExchangeDeleted(..) => (kind::EXCHANGE_DELETED, 0),
            Self::PolicySet(fact) => (kind::POLICY_SET, layer_flags(fact.layer)),
            Self::PolicyDeleted(_, layer, _) => (kind::POLICY_DELETED, layer_flags(*layer)),
            Self::Bound(bound) => (kind::BOUND, bound.flags()),
            Self::Unbound(bound) => (kind::UNBOUND, bound.flags()),
            Self::Dropped(dropped) => (kind::DROPPED, flag(!dropped.kept.is_empty(), SOME_KEPT)),
            Self::Timed(_) => (kind::TIMED, 0),
            Self::Weighed(..) => (kind::WEIGHED, 0),
            Self::Seen(seen) => (kind::SEEN, seen.flags()),
            Self::Segment(_) => (kind::SEGMENT, 0),
            Self::Messages(_) => (kind::MESSAGES, 0),
            access => access.access_kind_and_flags(),
        }
    }

    fn put_body(&self, out: &mut BytesMut) {
        match self {
            Self::Message(fact) => {
                put_message_head(out, &fact.places, &fact.message);
                fact.message.body.pieces().for_each(|piece| out.put_slice(piece));
            }
            Self::Settled(settled) => settled.iter().for_each(|settled| settled.put(out)),
            Self::Returned(place, count) => {
                put_place(out, *place);
                out.put_u32_le(*count);
            }
            Self::Delivered(queue, number) | Self::Weighed(queue, number) => {
                out.put_u64_le(queue.0);
                out.put_u64_le(*number);
            }
            Self::QueueDeclared(queue) => {
                out.put_u64_le(queue.number.0);
                put_str8(out, &queue.vhost);
                put_str8(out, &queue.name);
                put_table(out, &queue.arguments);
                if let Some(lane) = queue.lane {
                    out.put_u64_le(lane.of.0);
                    out.put_u8(lane.level);
                }
            }
            Self::QueueDeleted(queue) => out.put_u64_le(queue.0),
            Self::ArgumentsSet(queue, arguments) => {
                out.put_u64_le(queue.0);
                put_table(out, arguments);
            }
            Self::ExchangeDeclared(exchange) => {
                put_str8(out, &exchange.vhost);
                put_str8(out, &exchange.name);
                put_str8(out, &exchange.kind);
                put_table(out, &exchange.arguments);
            }
            Self::PolicySet(fact) => fact.put(out),
            Self::ExchangeDeleted(vhost, name) | Self::PolicyDeleted(vhost, _, name) => {
                put_str8(out, vhost);
                put_str8(out, name);
            }
            Self::Bound(bound) | Self::Unbound(bound) => bound.put(out),
            Self::Dropped(dropped) => dropped.put(out),
            Self::Timed(timed) => {
                out.put_u64_le(timed.queue.0);
                out.reserve(timed.ranges.len() * 24);
                put_many(out, timed.ranges.iter(), |out, (first, last, deadline)| {
                    for number in [*first, *last, *deadline] {
                        out.put_u64_le(number);
                    }
                });
            }
            Self::Seen(seen) => seen.put(out),
            Self::Segment(segment) => {
                for number in [segment.segment, segment.data_end, segment.len, segment.last] {
                    out.put_u64_le(number);
                }
            }
            Self::Messages(messages) => messages.put(out),
            access => access.put_access(out),
        }
    }
}

impl MessageFact {
    /// The flags of its record.
    pub(crate) fn flags(&self) -> u8 {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        flag(self.is_moved, message_flag::MOVED)
            | flag(self.is_volatile, message_flag::VOLATILE)
            | flag(self.message.persistent, message_flag::PERSISTENT)
            | flag(self.message.is_dead_letter, message_flag::DEAD_LETTER)
    }
}

impl PolicyFact {
    fn put(&self, out: &mut BytesMut) {
        put_str8(out, &self.vhost);
        put_str8(out, &self.policy.name);
        put_str32(out, self.policy.pattern.as_bytes());
        let apply_to = ApplyTo::ALL.iter().position(|known| *known == self.policy.apply_to);
        out.put_u8(apply_to.expect("one of all") as u8);
        out.put_i64_le(self.policy.priority);
        put_table(out, &self.policy.definition);
    }
}

impl Settled {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64_le(self.queue.0);
        put_many(out, self.ranges.iter(), |out, (first, last)| {
            out.put_u64_le(*first);
            out.put_u64_le(*last);
        });
    }
}

impl Dropped {
    fn put(&self, out: &mut BytesMut) {
        put_place(out, self.from);
        out.put_u64_le(self.count);
        if !self.kept.is_empty() {
            put_many(out, self.kept.iter(), |out, position| out.put_u64_le(*position));
        }
    }
}

impl Bound {
    fn flags(&self) -> u8 {
        if matches!(self.target, Target::Exchange(_)) { TO_EXCHANGE } else { 0 }
    }

    fn put(&self, out: &mut BytesMut) {
        put_str8(out, &self.vhost);
        put_str8(out, &self.source);
        put_str8(out, &self.key);
        put_str32(out, &self.arguments);
        match &self.target {
            Target::Queue(queue) => out.put_u64_le(queue.0),
            Target::Exchange(name) => put_str8(out, name),
        }
    }
}

impl SeenFact {
    fn flags(&self) -> u8 {
        if matches!(self.by, Witness::Exchange(..)) { BY_EXCHANGE } else { 0 }
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_u64_le(self.from);
        put_many(out, self.values.iter(), |out, seen| {
            out.put_u64_le(seen.number);
            out.put_u64_le(seen.until);
            out.put_slice(&seen.value.0);
        });
        match &self.by {
            Witness::Queue(queue) => out.put_u64_le(queue.0),
            Witness::Exchange(vhost, name) => {
                put_str8(out, vhost);
                put_str8(out, name);
            }
        }
    }
}

impl MessagesFact {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64_le(self.queue.0);
        out.put_u64_le(self.next_position);
        out.put_u64_le(self.delivered_below);
        put_many(out, self.returned.iter(), |out, (position, count)| {
            out.put_u64_le(*position);
            out.put_u32_le(*count);
        });
        put_many(out, self.extents.iter(), |out, extent| {
            out.put_u64_le(extent.segment);
            out.put_u64_le(extent.first);
            out.put_u64_le(extent.last);
            out.put_u32_le(extent.live);
            out.put_u64_le(extent.bytes);
            out.put_u32_le(extent.index_offset);
            out.put_u32_le(extent.index_count);
            put_many(out, extent.settled.iter(), |out, (first, last)| {
                out.put_u64_le(*first);
                out.put_u64_le(*last);
            });
        });
    }
}

/// Appends the body of a message record but for the message's own body, which stands behind it.
pub(crate) fn put_message_head(out: &mut BytesMut, places: &[Place], message: &Message) {
    put_many(out, places.iter(), |out, place| put_place(out, *place));
    put_str8(out, &message.exchange);
    put_str8(out, &message.routing_key);
    put_str32(out, message.properties.wire());
}

/// The places of a message record; `None` when it is none. The message itself is only passed over.
pub(crate) fn message_places(
    flags: u8,
    body: &[u8],
) -> Option<impl ExactSizeIterator<Item = Place> + Clone + '_> {
    message_places_and_len(flags, body).map(|(places, _)| places)
}

/// The same, and the length of the message's own body.
pub(crate) fn message_places_and_len(
    flags: u8,
    body: &[u8],
) -> Option<(impl ExactSizeIterator<Item = Place> + Clone + '_, usize)> {
    if flags & !message_flag::ALL != 0 {
        return None;
    }
    let count = u32_at(body, 0)? as usize;
    let places = body.get(4..)?.get(..count.checked_mul(PLACE_LEN)?)?;
    let mut at = 4 + places.len();
    for _ in 0..2 {
        at += 1 + usize::from(*body.get(at)?);
    }
    let properties = u32_at(body, at)? as usize;
    let len = (body.len() - at - 4).checked_sub(properties)?;
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let places = places.chunks_exact(PLACE_LEN).map(move |place| Place {
        queue: QueueNumber(word(&place[..8])),
        position: word(&place[8..]),
    });
    let is_within = |place: Place| place.queue.0.max(place.position) <= NUMBER_MAX;
    places.clone().all(is_within).then_some((places, len))
}

/// The message of a message record with these flags and this body; `None` when it is none. Its
/// parts are slices of `body`.
pub(crate) fn message(flags: u8, body: &Bytes) -> Option<Message> {
    let places = message_places(flags, body)?.len();
    Cursor { bytes: body, at: 4 + places * PLACE_LEN }.message(flags)
}

/// A table as it stands in records: without a length. Nothing for an empty one.
pub(crate) fn encode_table(table: &FieldTable) -> Bytes {
    let mut out = BytesMut::new();
    if !table.is_empty() {
        table.write(&mut out);
    }
    let mut bytes = out.freeze();
    bytes.split_off(bytes.len().min(4))
}

/// The table that these bytes are, see [`encode_table`], in memory of its own.
pub(crate) fn decode_table(bytes: &[u8]) -> Option<FieldTable> {
    if bytes.is_empty() {
        return Some(FieldTable::default());
    }
    let mut copy = BytesMut::with_capacity(4 + bytes.len());
    copy.put_u32(u32::try_from(bytes.len()).ok()?);
    copy.put_slice(bytes);
    FieldTable::read(&mut Reader::new(&copy.freeze())).ok()
}

/// A position in the body of a record.
struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.bytes[self.at..].first_chunk()?;
        self.at += N;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        let bytes = self.bytes.slice(self.at..end);
        self.at = end;
        Some(bytes)
    }

    fn str8(&mut self) -> Option<ShortStr> {
        let [len] = self.array()?;
        ShortStr::new(self.take(len.into())?)
    }

    fn str32(&mut self) -> Option<Bytes> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    /// A count, and so many items of at least `len` bytes each.
    fn many<T>(&mut self, len: usize, item: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()? as usize;
        if count > (self.bytes.len() - self.at) / len {
            return None;
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    /// The number of a segment, a batch or a queue, or a position in a queue.
    fn number(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number <= NUMBER_MAX)
    }

    fn queue(&mut self) -> Option<QueueNumber> {
        self.number().map(QueueNumber)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place { queue: self.queue()?, position: self.number()? })
    }

    /// What is dropped; those that are kept are sorted.
    fn dropped(&mut self, flags: u8) -> Option<Dropped> {
        let (from, count) = (self.place()?, self.u64()?);
        let has_kept = flags & SOME_KEPT != 0;
        let kept = if has_kept { self.many(8, Cursor::number)? } else { Vec::new() };
        let is_empty = kept.is_empty();
        let is_sorted = kept.is_sorted_by(|a, b| a < b);
        let is_behind = kept.first().is_none_or(|first| *first >= from.position);
        (has_kept != is_empty && is_sorted && is_behind).then_some(Dropped { from, count, kept })
    }

    /// Positions from the first to the last.
    fn range(&mut self) -> Option<(u64, u64)> {
        let range = (self.u64()?, self.u64()?);
        (range.0 <= range.1).then_some(range)
    }

    fn message(&mut self, flags: u8) -> Option<Message> {
        let (exchange, routing_key) = (self.str8()?, self.str8()?);
        let properties = Properties::from_wire(self.str32()?);
        let body = Body::from(self.take(self.bytes.len() - self.at)?);
        let persistent = flags & message_flag::PERSISTENT != 0;
        let charge = Charge::default();
        let is_dead_letter = flags & message_flag::DEAD_LETTER != 0;
        Some(Message {
            exchange,
            routing_key,
            properties,
            body,
            persistent,
            is_dead_letter,
            charge,
        })
    }

    fn settled(&mut self) -> Option<Vec<Settled>> {
        let mut settled = Vec::new();
        while !self.is_at_end() {
            settled.push(Settled { queue: self.queue()?, ranges: self.many(16, Self::range)? });
        }
        Some(settled)
    }

    fn bound(&mut self, flags: u8) -> Option<Bound> {
        let (vhost, source, key) = (self.str8()?, self.str8()?, self.str8()?);
        let arguments = self.str32()?;
        decode_table(&arguments)?;
        let target = match flags & TO_EXCHANGE {
            0 => Target::Queue(self.queue()?),
            _ => Target::Exchange(self.str8()?),
        };
        Some(Bound { vhost, source, key, target, arguments })
    }

    fn policy(&mut self, flags: u8) -> Option<PolicyFact> {
        let vhost = self.str8()?;
        let name = self.str8()?;
        let pattern = String::from_utf8(self.str32()?.to_vec()).ok()?;
        let [apply_to] = self.array()?;
        let apply_to = *ApplyTo::ALL.get(usize::from(apply_to))?;
        let priority = self.array().map(i64::from_le_bytes)?;
        let definition = decode_table(&self.str32()?)?;
        let policy = Policy { name, pattern, apply_to, priority, definition };
        Some(PolicyFact { vhost, layer: layer(flags), policy })
    }

    /// What was seen; numbers grow.
    fn seen(&mut self, flags: u8) -> Option<SeenFact> {
        let from = self.number()?;
        let values = self.many(32, |cursor| {
            let (number, until) = (cursor.number()?, cursor.u64()?);
            Some(SeenValue { number, until, value: Fingerprint(cursor.array()?) })
        })?;
        let is_sorted = values.is_sorted_by(|a, b| a.number < b.number);
        let is_behind = values.first().is_none_or(|first| first.number >= from);
        let by = match flags & BY_EXCHANGE {
            0 => Witness::Queue(self.queue()?),
            _ => Witness::Exchange(self.str8()?, self.str8()?),
        };
        (is_sorted && is_behind).then_some(SeenFact { by, from, values })
    }

    fn messages(&mut self) -> Option<MessagesFact> {
        Some(MessagesFact {
            queue: self.queue()?,
            next_position: self.number()?,
            delivered_below: self.number()?,
            returned: self.many(12, |cursor| Some((cursor.number()?, cursor.u32()?)))?,
            extents: self.many(48, |cursor| {
                let (segment, (first, last)) = (cursor.number()?, cursor.range()?);
                Some(Extent {
                    segment,
                    first,
                    last,
                    live: cursor.u32()?,
                    bytes: cursor.u64()?,
                    index_offset: cursor.u32()?,
                    index_count: cursor.u32()?,
                    settled: cursor.many(16, Self::range)?.into_iter().collect(),
                })
            })?,
        })
    }
}

fn layer(flags: u8) -> PolicyLayer {
    if flags & OF_OPERATOR != 0 { PolicyLayer::Operator } else { PolicyLayer::User }
}

fn layer_flags(layer: PolicyLayer) -> u8 {
    if layer == PolicyLayer::Operator { OF_OPERATOR } else { 0 }
}

fn put_place(out: &mut BytesMut, place: Place) {
    out.put_u64_le(place.queue.0);
    out.put_u64_le(place.position);
}

fn put_str8(out: &mut BytesMut, text: &ShortStr) {
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

fn put_str32(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32_le(bytes.len() as u32);
    out.put_slice(bytes);
}

fn put_table(out: &mut BytesMut, table: &FieldTable) {
    put_str32(out, &encode_table(table));
}

fn put_many<T>(
    out: &mut BytesMut,
    items: impl ExactSizeIterator<Item = T>,
    put: impl Fn(&mut BytesMut, T),
) {
    out.put_u32_le(items.len() as u32);
    items.for_each(|item| put(out, item));
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
pub(crate) mod tests;
