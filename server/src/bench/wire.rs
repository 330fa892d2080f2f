//! The few methods of AMQP 0-9-1 that a load generator sends, and the reading of the fewer still
//! whose arguments it looks into.
//!
//! It shares nothing with the broker's own codec: a mistake made in both would otherwise go unseen.
//! Encoders append whole frames to a buffer. All work is on [`CHANNEL`], the one channel that each
//! connection opens; what concerns the connection is on channel 0.

use super::error::BenchError;

/// What a client sends first.
pub(super) const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// The channel that every connection of the load generator works on.
pub(super) const CHANNEL: u16 = 1;

/// Frame type of a method.
pub(super) const FRAME_METHOD: u8 = 1;
/// Frame type of a content header.
pub(super) const FRAME_HEADER: u8 = 2;
/// Frame type of a piece of a body.
pub(super) const FRAME_BODY: u8 = 3;
/// Frame type of a heartbeat.
pub(super) const FRAME_HEARTBEAT: u8 = 8;
/// Type, channel and length before a frame's payload.
pub(super) const FRAME_HEAD_LEN: usize = 7;
/// All bytes of a frame that are not payload: its head and its end octet.
pub(super) const FRAME_OVERHEAD: usize = 8;
/// The largest frame that is negotiated, overhead included; what most brokers offer.
pub(super) const FRAME_MAX: usize = 131_072;
/// The octet after every payload.
pub(super) const FRAME_END: u8 = 0xce;

const fn id(class: u16, method: u16) -> u32 {
    (class as u32) << 16 | method as u32
}

pub(super) const CONNECTION_START: u32 = id(10, 10);
pub(super) const CONNECTION_START_OK: u32 = id(10, 11);
pub(super) const CONNECTION_TUNE: u32 = id(10, 30);
pub(super) const CONNECTION_TUNE_OK: u32 = id(10, 31);
pub(super) const CONNECTION_OPEN: u32 = id(10, 40);
pub(super) const CONNECTION_OPEN_OK: u32 = id(10, 41);
pub(super) const CONNECTION_CLOSE: u32 = id(10, 50);
pub(super) const CONNECTION_CLOSE_OK: u32 = id(10, 51);
pub(super) const CONNECTION_BLOCKED: u32 = id(10, 60);
pub(super) const CONNECTION_UNBLOCKED: u32 = id(10, 61);
pub(super) const CHANNEL_OPEN: u32 = id(20, 10);
pub(super) const CHANNEL_OPEN_OK: u32 = id(20, 11);
pub(super) const CHANNEL_CLOSE: u32 = id(20, 40);
pub(super) const CHANNEL_CLOSE_OK: u32 = id(20, 41);
pub(super) const EXCHANGE_DECLARE: u32 = id(40, 10);
pub(super) const EXCHANGE_DECLARE_OK: u32 = id(40, 11);
pub(super) const EXCHANGE_DELETE: u32 = id(40, 20);
pub(super) const EXCHANGE_DELETE_OK: u32 = id(40, 21);
pub(super) const QUEUE_DECLARE: u32 = id(50, 10);
pub(super) const QUEUE_DECLARE_OK: u32 = id(50, 11);
pub(super) const QUEUE_BIND: u32 = id(50, 20);
pub(super) const QUEUE_BIND_OK: u32 = id(50, 21);
pub(super) const QUEUE_DELETE: u32 = id(50, 40);
pub(super) const QUEUE_DELETE_OK: u32 = id(50, 41);
pub(super) const BASIC_QOS: u32 = id(60, 10);
pub(super) const BASIC_QOS_OK: u32 = id(60, 11);
pub(super) const BASIC_CONSUME: u32 = id(60, 20);
pub(super) const BASIC_CONSUME_OK: u32 = id(60, 21);
pub(super) const BASIC_CANCEL: u32 = id(60, 30);
pub(super) const BASIC_PUBLISH: u32 = id(60, 40);
pub(super) const BASIC_DELIVER: u32 = id(60, 60);
pub(super) const BASIC_ACK: u32 = id(60, 80);
pub(super) const BASIC_NACK: u32 = id(60, 120);
pub(super) const CONFIRM_SELECT: u32 = id(85, 10);
pub(super) const CONFIRM_SELECT_OK: u32 = id(85, 11);

/// The class that every content header names.
const CLASS_BASIC: u16 = 60;
/// The bits of a content header's flags that say which properties follow, in this order.
const HAS_HEADERS: u16 = 1 << 13;
pub(super) const HAS_DELIVERY_MODE: u16 = 1 << 12;
const HAS_EXPIRATION: u16 = 1 << 8;
pub(super) const DELIVERY_MODE_PERSISTENT: u8 = 2;

/// What a message says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Properties<'a> {
    /// Delivery mode 2; else none is given.
    pub(super) persistent: bool,
    /// How long it is to stay in a queue, in milliseconds.
    pub(super) expiration: Option<u64>,
    /// None are sent if there are none.
    pub(super) headers: Table<'a>,
}

/// The values of a field table that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `t`
    Bool(bool),
    /// `l`
    Long(i64),
    /// `S`
    Text(&'a str),
    /// `F`
    Table(Table<'a>),
}

/// A field table to be sent.
pub(super) type Table<'a> = &'a [(&'a str, Value<'a>)];

/// One frame under construction at the end of a buffer.
pub(super) struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    fn new(out: &'a mut Vec<u8>, kind: u8, channel: u16) -> Self {
        let start = out.len();
        let mut frame = Self { out, start };
        frame.u8(kind).u16(channel).u32(0);
        frame
    }

    /// A method's frame, without its arguments.
    pub(super) fn method(out: &'a mut Vec<u8>, channel: u16, id: u32) -> Self {
        let mut frame = Self::new(out, FRAME_METHOD, channel);
        frame.u32(id);
        frame
    }

    /// Fills in the length and appends the end octet.
    pub(super) fn end(&mut self) {
        let len = self.out.len() - self.start - FRAME_HEAD_LEN;
        let at = self.start + 3;
        self.out[at..at + 4].copy_from_slice(&length(len).to_be_bytes());
        self.out.push(FRAME_END);
    }

    /// Appends an octet.
    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    /// Appends two octets.
    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends four octets.
    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends eight octets.
    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends these as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends a short string.
    pub(super) fn short_text(&mut self, text: &str) -> &mut Self {
        let len = u8::try_from(text.len()).expect("names are made or checked to fit 255 bytes");
        self.u8(len).bytes(text.as_bytes())
    }

    /// Appends a long string.
    pub(super) fn long_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(length(bytes.len())).bytes(bytes)
    }

    /// Appends a field table.
    pub(super) fn table(&mut self, table: Table<'_>) -> &mut Self {
        let at = self.out.len();
        self.u32(0);
        for (key, value) in table {
            self.short_text(key);
            match value {
                Value::Bool(value) => self.u8(b't').u8(u8::from(*value)),
                Value::Long(value) => self.u8(b'l').bytes(&value.to_be_bytes()),
                Value::Text(text) => self.u8(b'S').long_bytes(text.as_bytes()),
                Value::Table(inner) => self.u8(b'F').table(inner),
            };
        }
        let len = length(self.out.len() - at - 4);
        self.out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        self
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("sizes are limited far below 4 GiB by the options")
}

/// `connection.start-ok` with the PLAIN mechanism; `name` is shown by brokers that list
/// connections.
pub(super) fn start_ok(out: &mut Vec<u8>, user: &str, password: &str, name: &str) {
    let capabilities = [
        ("authentication_failure_close", Value::Bool(true)),
        ("basic.nack", Value::Bool(true)),
        ("connection.blocked", Value::Bool(true)),
        ("consumer_cancel_notify", Value::Bool(true)),
        ("publisher_confirms", Value::Bool(true)),
    ];
    let properties = [
        ("product", Value::Text("warren bench")),
        ("version", Value::Text(env!("CARGO_PKG_VERSION"))),
        ("connection_name", Value::Text(name)),
        ("capabilities", Value::Table(&capabilities)),
    ];
    let response = format!("\0{user}\0{password}");
    FrameWriter::method(out, 0, CONNECTION_START_OK)
        .table(&properties)
        .short_text("PLAIN")
        .long_bytes(response.as_bytes())
        .short_text("en_US")
        .end();
}

/// `connection.tune-ok`; a `heartbeat_s` of 0 turns heartbeats off.
pub(super) fn tune_ok(out: &mut Vec<u8>, channel_max: u16, frame_max: u32, heartbeat_s: u16) {
    FrameWriter::method(out, 0, CONNECTION_TUNE_OK)
        .u16(channel_max)
        .u32(frame_max)
        .u16(heartbeat_s)
        .end();
}

/// `connection.open`
pub(super) fn open(out: &mut Vec<u8>, vhost: &str) {
    FrameWriter::method(out, 0, CONNECTION_OPEN).short_text(vhost).short_text("").u8(0).end();
}

/// `connection.close` with 200, the goodbye.
pub(super) fn close(out: &mut Vec<u8>) {
    FrameWriter::method(out, 0, CONNECTION_CLOSE).u16(200).short_text("bye").u32(0).end();
}

/// `channel.open`
pub(super) fn channel_open(out: &mut Vec<u8>) {
    FrameWriter::method(out, CHANNEL, CHANNEL_OPEN).short_text("").end();
}

/// `channel.close` with 200.
pub(super) fn channel_close(out: &mut Vec<u8>) {
    FrameWriter::method(out, CHANNEL, CHANNEL_CLOSE).u16(200).short_text("bye").u32(0).end();
}

/// `exchange.declare` of an exchange that goes at a restart unless it is `durable`.
pub(super) fn exchange_declare(
    out: &mut Vec<u8>,
    exchange: &str,
    kind: &str,
    durable: bool,
    arguments: Table<'_>,
) {
    FrameWriter::method(out, CHANNEL, EXCHANGE_DECLARE)
        .u16(0)
        .short_text(exchange)
        .short_text(kind)
        .u8(u8::from(durable) << 1)
        .table(arguments)
        .end();
}

/// `exchange.delete`
pub(super) fn exchange_delete(out: &mut Vec<u8>, exchange: &str) {
    FrameWriter::method(out, CHANNEL, EXCHANGE_DELETE).u16(0).short_text(exchange).u8(0).end();
}

/// `queue.declare` of a queue that other connections may use.
pub(super) fn queue_declare(out: &mut Vec<u8>, queue: &str, durable: bool, arguments: Table<'_>) {
    FrameWriter::method(out, CHANNEL, QUEUE_DECLARE)
        .u16(0)
        .short_text(queue)
        .u8(u8::from(durable) << 1)
        .table(arguments)
        .end();
}

/// `queue.bind`
pub(super) fn queue_bind(out: &mut Vec<u8>, queue: &str, exchange: &str, key: &str) {
    FrameWriter::method(out, CHANNEL, QUEUE_BIND)
        .u16(0)
        .short_text(queue)
        .short_text(exchange)
        .short_text(key)
        .u8(0)
        .table(&[])
        .end();
}

/// `queue.delete`, whatever it holds and whoever consumes from it.
pub(super) fn queue_delete(out: &mut Vec<u8>, queue: &str) {
    FrameWriter::method(out, CHANNEL, QUEUE_DELETE).u16(0).short_text(queue).u8(0).end();
}

/// `basic.qos` for each consumer that the channel starts after it.
pub(super) fn basic_qos(out: &mut Vec<u8>, prefetch: u16) {
    FrameWriter::method(out, CHANNEL, BASIC_QOS).u32(0).u16(prefetch).u8(0).end();
}

/// `basic.consume`
pub(super) fn basic_consume(out: &mut Vec<u8>, queue: &str, tag: &str, no_ack: bool) {
    FrameWriter::method(out, CHANNEL, BASIC_CONSUME)
        .u16(0)
        .short_text(queue)
        .short_text(tag)
        .u8(u8::from(no_ack) << 1)
        .table(&[])
        .end();
}

/// `confirm.select`
pub(super) fn confirm_select(out: &mut Vec<u8>) {
    FrameWriter::method(out, CHANNEL, CONFIRM_SELECT).u8(0).end();
}

/// `basic.ack`
pub(super) fn basic_ack(out: &mut Vec<u8>, tag: u64, multiple: bool) {
    FrameWriter::method(out, CHANNEL, BASIC_ACK).u64(tag).u8(u8::from(multiple)).end();
}

/// All frames of one message: `basic.publish`, the content header and the body, cut to `frame_max`.
///
/// Returns where in `out` the body's first octet is.
pub(super) fn publish(
    out: &mut Vec<u8>,
    exchange: &str,
    key: &str,
    properties: Properties<'_>,
    body: &[u8],
    frame_max: usize,
) -> usize {
    FrameWriter::method(out, CHANNEL, BASIC_PUBLISH)
        .u16(0)
        .short_text(exchange)
        .short_text(key)
        .u8(0)
        .end();
    let mut header = FrameWriter::new(out, FRAME_HEADER, CHANNEL);
    header.u16(CLASS_BASIC).u16(0).u64(body.len() as u64);
    let Properties { persistent, expiration, headers } = properties;
    let flags = [
        (!headers.is_empty(), HAS_HEADERS),
        (persistent, HAS_DELIVERY_MODE),
        (expiration.is_some(), HAS_EXPIRATION),
    ];
    header.u16(flags.iter().filter(|(is_there, _)| *is_there).map(|(_, bit)| bit).sum());
    if !headers.is_empty() {
        header.table(headers);
    }
    if persistent {
        header.u8(DELIVERY_MODE_PERSISTENT);
    }
    if let Some(expiration) = expiration {
        header.short_text(&expiration.to_string());
    }
    header.end();
    let body_at = out.len() + FRAME_HEAD_LEN;
    for piece in body.chunks(frame_max - FRAME_OVERHEAD) {
        FrameWriter::new(out, FRAME_BODY, CHANNEL).bytes(piece).end();
    }
    body_at
}

/// The arguments of a method that was received, read from front to back.
pub(super) struct Args<'a>(pub(super) &'a [u8]);

impl<'a> Args<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BenchError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| {
            BenchError::Protocol("a method ends in the middle of its arguments".into())
        })?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BenchError> {
        Ok(self.take(N)?.try_into().expect("take returns as many bytes as were asked for"))
    }

    /// The next octet.
    pub(super) fn u8(&mut self) -> Result<u8, BenchError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// The next two octets.
    pub(super) fn u16(&mut self) -> Result<u16, BenchError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// The next four octets.
    pub(super) fn u32(&mut self) -> Result<u32, BenchError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A short string; what is not UTF-8 is replaced, as it is only ever shown to people.
    pub(super) fn short_text(&mut self) -> Result<String, BenchError> {
        let len = self.u8()?;
        Ok(String::from_utf8_lossy(self.take(len.into())?).into_owned())
    }

    /// A long string, or the inside of a table.
    pub(super) fn long_bytes(&mut self) -> Result<&'a [u8], BenchError> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    /// Looks for a long string named `wanted` at the top level of a table's inside.
    pub(super) fn find_text(mut self, wanted: &str) -> Result<Option<String>, BenchError> {
        while !self.0.is_empty() {
            let key = self.short_text()?;
            let kind = self.u8()?;
            if kind == b'S' && key == wanted {
                return Ok(Some(String::from_utf8_lossy(self.long_bytes()?).into_owned()));
            }
            self.skip_value(kind)?;
        }
        Ok(None)
    }

    fn skip_value(&mut self, kind: u8) -> Result<(), BenchError> {
        let len = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'A' | b'F' | b'x' => self.u32()? as usize,
            other => {
                return Err(BenchError::Protocol(format!("field type {other:#04x} is unknown")));
            }
        };
        self.take(len).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSISTENT: Properties<'_> =
        Properties { persistent: true, expiration: None, headers: &[] };

    #[test]
    fn properties_stand_in_their_order_behind_their_flags() {
        let mut out = Vec::new();
        let headers = [("x", Value::Bool(true))];
        let all = Properties { persistent: true, expiration: Some(60), headers: &headers };
        publish(&mut out, "", "q", all, b"", 4096);
        let mut expected = vec![0b0011_0001, 0];
        expected.extend([0, 0, 0, 4, 1, b'x', b't', 1]);
        expected.extend([2, 2, b'6', b'0', FRAME_END]);
        assert!(out.ends_with(&expected), "{out:?}");
    }

    #[test]
    fn a_method_frame_has_its_length_and_its_end_octet() {
        let mut out = Vec::new();
        basic_ack(&mut out, 7, true);
        assert_eq!(
            out,
            [1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0xce],
            "type, channel, length, class and method, tag, multiple, end"
        );
    }

    #[test]
    fn a_body_is_cut_to_the_frame_size_and_its_place_is_known() {
        let mut out = b"before".to_vec();
        let body: Vec<u8> = (0..=255).collect();
        let at = publish(&mut out, "", "q", PERSISTENT, &body, 108);
        assert_eq!(out[at..at + 100], body[..100]);
        assert_eq!(out[at - FRAME_HEAD_LEN..at], [3, 0, 1, 0, 0, 0, 100]);
        assert_eq!(out[at + 100], FRAME_END);
        let last = at + 2 * (100 + FRAME_OVERHEAD);
        assert_eq!(out[last..last + 56], body[200..]);
        assert_eq!(out.len(), last + 56 + 1);
    }

    #[test]
    fn an_empty_body_has_no_frame() {
        let mut out = Vec::new();
        let at = publish(&mut out, "", "q", Properties::default(), b"", 4096);
        assert_eq!(at, out.len() + FRAME_HEAD_LEN);
        assert_eq!(out.last(), Some(&FRAME_END));
    }

    #[test]
    fn a_text_is_found_in_a_table_past_every_other_type() {
        let mut out = Vec::new();
        let inner = [("product", Value::Text("not this one"))];
        FrameWriter { start: 0, out: &mut out }.table(&[
            ("a", Value::Bool(true)),
            ("b", Value::Long(-1)),
            ("c", Value::Table(&inner)),
            ("product", Value::Text("Some Broker")),
        ]);
        let table = Args(&out).long_bytes().unwrap();
        assert_eq!(Args(table).find_text("product").unwrap().as_deref(), Some("Some Broker"));
        assert_eq!(Args(table).find_text("b").unwrap(), None);
        assert!(Args(&table[..table.len() - 1]).find_text("product").is_err());
        assert!(Args(b"\x01aZ").find_text("product").is_err());
    }
}
