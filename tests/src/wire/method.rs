//! The methods of AMQP 0-9-1 with RabbitMQ's additions, as one table, and their coding by it.
//!
//! A method's arguments are a JSON object by field name. A field that is left out is sent as zero,
//! false or empty.

use super::table::{decode_table, encode_table, long_string, short_string, text};
use serde_json::{Map, Value};

/// Name, class, id, and the fields in the order of the wire, each with its kind. The names are
/// those of the recordings.
#[rustfmt::skip]
const METHODS: &[(&str, u16, u16, &str)] = &[
    ("Connection.Start", 10, 10, "version_major:u8 version_minor:u8 server_properties:table \
        mechanisms:long locales:long"),
    ("Connection.StartOk", 10, 11, "client_properties:table mechanism:short response:long \
        locale:short"),
    ("Connection.Secure", 10, 20, "challenge:long"),
    ("Connection.SecureOk", 10, 21, "response:long"),
    ("Connection.Tune", 10, 30, "channel_max:u16 frame_max:u32 heartbeat:u16"),
    ("Connection.TuneOk", 10, 31, "channel_max:u16 frame_max:u32 heartbeat:u16"),
    ("Connection.Open", 10, 40, "virtual_host:short capabilities:short insist:bit"),
    ("Connection.OpenOk", 10, 41, "known_hosts:short"),
    ("Connection.Close", 10, 50, "reply_code:u16 reply_text:short class_id:u16 method_id:u16"),
    ("Connection.CloseOk", 10, 51, ""),
    ("Connection.Blocked", 10, 60, "reason:short"),
    ("Connection.Unblocked", 10, 61, ""),
    ("Connection.UpdateSecret", 10, 70, "new_secret:long reason:short"),
    ("Connection.UpdateSecretOk", 10, 71, ""),
    ("Channel.Open", 20, 10, "out_of_band:short"),
    ("Channel.OpenOk", 20, 11, "channel_id:long"),
    ("Channel.Flow", 20, 20, "active:bit"),
    ("Channel.FlowOk", 20, 21, "active:bit"),
    ("Channel.Close", 20, 40, "reply_code:u16 reply_text:short class_id:u16 method_id:u16"),
    ("Channel.CloseOk", 20, 41, ""),
    ("Access.Request", 30, 10, "realm:short exclusive:bit passive:bit active:bit write:bit \
        read:bit"),
    ("Access.RequestOk", 30, 11, "ticket:u16"),
    ("Exchange.Declare", 40, 10, "ticket:u16 exchange:short type:short passive:bit durable:bit \
        auto_delete:bit internal:bit nowait:bit arguments:table"),
    ("Exchange.DeclareOk", 40, 11, ""),
    ("Exchange.Delete", 40, 20, "ticket:u16 exchange:short if_unused:bit nowait:bit"),
    ("Exchange.DeleteOk", 40, 21, ""),
    ("Exchange.Bind", 40, 30, "ticket:u16 destination:short source:short routing_key:short \
        nowait:bit arguments:table"),
    ("Exchange.BindOk", 40, 31, ""),
    ("Exchange.Unbind", 40, 40, "ticket:u16 destination:short source:short routing_key:short \
        nowait:bit arguments:table"),
    ("Exchange.UnbindOk", 40, 51, ""),
    ("Queue.Declare", 50, 10, "ticket:u16 queue:short passive:bit durable:bit exclusive:bit \
        auto_delete:bit nowait:bit arguments:table"),
    ("Queue.DeclareOk", 50, 11, "queue:short message_count:u32 consumer_count:u32"),
    ("Queue.Bind", 50, 20, "ticket:u16 queue:short exchange:short routing_key:short nowait:bit \
        arguments:table"),
    ("Queue.BindOk", 50, 21, ""),
    ("Queue.Purge", 50, 30, "ticket:u16 queue:short nowait:bit"),
    ("Queue.PurgeOk", 50, 31, "message_count:u32"),
    ("Queue.Delete", 50, 40, "ticket:u16 queue:short if_unused:bit if_empty:bit nowait:bit"),
    ("Queue.DeleteOk", 50, 41, "message_count:u32"),
    ("Queue.Unbind", 50, 50, "ticket:u16 queue:short exchange:short routing_key:short \
        arguments:table"),
    ("Queue.UnbindOk", 50, 51, ""),
    ("Basic.Qos", 60, 10, "prefetch_size:u32 prefetch_count:u16 global_qos:bit"),
    ("Basic.QosOk", 60, 11, ""),
    ("Basic.Consume", 60, 20, "ticket:u16 queue:short consumer_tag:short no_local:bit no_ack:bit \
        exclusive:bit nowait:bit arguments:table"),
    ("Basic.ConsumeOk", 60, 21, "consumer_tag:short"),
    ("Basic.Cancel", 60, 30, "consumer_tag:short nowait:bit"),
    ("Basic.CancelOk", 60, 31, "consumer_tag:short"),
    ("Basic.Publish", 60, 40, "ticket:u16 exchange:short routing_key:short mandatory:bit \
        immediate:bit"),
    ("Basic.Return", 60, 50, "reply_code:u16 reply_text:short exchange:short routing_key:short"),
    ("Basic.Deliver", 60, 60, "consumer_tag:short delivery_tag:u64 redelivered:bit \
        exchange:short routing_key:short"),
    ("Basic.Get", 60, 70, "ticket:u16 queue:short no_ack:bit"),
    ("Basic.GetOk", 60, 71, "delivery_tag:u64 redelivered:bit exchange:short routing_key:short \
        message_count:u32"),
    ("Basic.GetEmpty", 60, 72, "cluster_id:short"),
    ("Basic.Ack", 60, 80, "delivery_tag:u64 multiple:bit"),
    ("Basic.Reject", 60, 90, "delivery_tag:u64 requeue:bit"),
    ("Basic.RecoverAsync", 60, 100, "requeue:bit"),
    ("Basic.Recover", 60, 110, "requeue:bit"),
    ("Basic.RecoverOk", 60, 111, ""),
    ("Basic.Nack", 60, 120, "delivery_tag:u64 multiple:bit requeue:bit"),
    ("Confirm.Select", 85, 10, "nowait:bit"),
    ("Confirm.SelectOk", 85, 11, ""),
    ("Tx.Select", 90, 10, ""),
    ("Tx.SelectOk", 90, 11, ""),
    ("Tx.Commit", 90, 20, ""),
    ("Tx.CommitOk", 90, 21, ""),
    ("Tx.Rollback", 90, 30, ""),
    ("Tx.RollbackOk", 90, 31, ""),
];

/// The properties of class 60 in the order of their flags, the highest bit first.
const PROPERTIES: &str = "content_type:short content_encoding:short headers:table delivery_mode:u8 \
    priority:u8 correlation_id:short reply_to:short expiration:short \
    message_id:short timestamp:u64 type:short user_id:short \
    app_id:short cluster_id:short";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Neighbouring bits share a byte, the first in its lowest bit.
    Bit,
    Octet,
    Short,
    Long,
    LongLong,
    ShortString,
    LongString,
    Table,
}

/// The fields of a row of the tables above.
fn fields(row: &'static str) -> impl Iterator<Item = (&'static str, Kind)> {
    row.split_whitespace().map(|field| {
        let (name, kind) = field.split_once(':').expect("a field is written name:kind");
        let kind = match kind {
            "bit" => Kind::Bit,
            "u8" => Kind::Octet,
            "u16" => Kind::Short,
            "u32" => Kind::Long,
            "u64" => Kind::LongLong,
            "short" => Kind::ShortString,
            "long" => Kind::LongString,
            "table" => Kind::Table,
            _ => panic!("no kind of field is called {kind}"),
        };
        (name, kind)
    })
}

/// An argument that the protocol does not have is a mistake of the test.
fn check_names(what: &str, row: &'static str, arguments: &Value) {
    for key in arguments.as_object().into_iter().flat_map(Map::keys) {
        assert!(fields(row).any(|(name, _)| name == key), "{what} has no field {key}");
    }
}

/// Class, method and arguments. Panics at a name or a field that the protocol does not have: the
/// test is wrong then.
pub(super) fn encode_method(name: &str, arguments: &Value) -> Vec<u8> {
    let (_, class, id, row) = METHODS
        .iter()
        .find(|method| method.0 == name)
        .unwrap_or_else(|| panic!("no method is called {name}"));
    check_names(name, row, arguments);
    let mut out = [class.to_be_bytes(), id.to_be_bytes()].concat();
    let mut bits = 0;
    for (field, kind) in fields(row) {
        let value = arguments.get(field).unwrap_or(&Value::Null);
        if kind == Kind::Bit {
            if bits % 8 == 0 {
                out.push(0);
            }
            let byte = out.last_mut().expect("class and method come first");
            *byte |= u8::from(value == &Value::Bool(true)) << (bits % 8);
            bits += 1;
        } else {
            bits = 0;
            encode_field(kind, value, &mut out);
        }
    }
    out
}

/// The flags and the values of a content header. Panics at a property that the protocol does not
/// have.
pub fn encode_properties(properties: &Value) -> Vec<u8> {
    check_names("Basic", PROPERTIES, properties);
    let mut flags = 0u16;
    let mut values = Vec::new();
    for (n, (name, kind)) in fields(PROPERTIES).enumerate() {
        if let Some(value) = properties.get(name) {
            flags |= 0x8000 >> n;
            encode_field(kind, value, &mut values);
        }
    }
    [&flags.to_be_bytes(), values.as_slice()].concat()
}

fn encode_field(kind: Kind, value: &Value, out: &mut Vec<u8>) {
    let number = || value.as_u64().unwrap_or(0);
    let string = || value.as_str().unwrap_or("").as_bytes();
    match kind {
        Kind::Bit => unreachable!("bits are packed by the caller"),
        Kind::Octet => out.extend(&number().to_be_bytes()[7..]),
        Kind::Short => out.extend(&number().to_be_bytes()[6..]),
        Kind::Long => out.extend(&number().to_be_bytes()[4..]),
        Kind::LongLong => out.extend(number().to_be_bytes()),
        Kind::ShortString => out.extend(short_string(string())),
        Kind::LongString => out.extend(long_string(string())),
        Kind::Table => out.extend(encode_table(value)),
    }
}

/// The name and the arguments, the latter in the order of the wire.
pub(super) fn decode_method(payload: &[u8]) -> Result<(&'static str, Map<String, Value>), String> {
    let mut reader = Reader::new(payload);
    let class = u16::from_be_bytes(reader.number()?);
    let id = u16::from_be_bytes(reader.number()?);
    let (name, _, _, row) = METHODS
        .iter()
        .find(|method| (method.1, method.2) == (class, id))
        .ok_or_else(|| format!("unknown method {class}.{id}"))?;
    let mut arguments = Map::new();
    let (mut byte, mut bits) = (0, 0);
    for (field, kind) in fields(row) {
        let value = if kind == Kind::Bit {
            if bits % 8 == 0 {
                [byte] = reader.number()?;
            }
            bits += 1;
            Value::Bool(byte >> ((bits - 1) % 8) & 1 == 1)
        } else {
            bits = 0;
            decode_field(kind, &mut reader)?
        };
        arguments.insert(field.to_owned(), value);
    }
    if !reader.is_empty() {
        return Err(format!("bytes after the arguments of {name}"));
    }
    Ok((name, arguments))
}

/// The properties that are set, in the order of the wire.
pub(super) fn decode_properties(reader: &mut Reader<'_>) -> Result<Map<String, Value>, String> {
    let flags = u16::from_be_bytes(reader.number()?);
    let mut properties = Map::new();
    for (n, (name, kind)) in fields(PROPERTIES).enumerate() {
        if flags & (0x8000 >> n) != 0 {
            properties.insert(name.to_owned(), decode_field(kind, reader)?);
        }
    }
    Ok(properties)
}

fn decode_field(kind: Kind, reader: &mut Reader<'_>) -> Result<Value, String> {
    Ok(match kind {
        Kind::Bit => unreachable!("bits are unpacked by the caller"),
        Kind::Octet => u8::from_be_bytes(reader.number()?).into(),
        Kind::Short => u16::from_be_bytes(reader.number()?).into(),
        Kind::Long => u32::from_be_bytes(reader.number()?).into(),
        Kind::LongLong => u64::from_be_bytes(reader.number()?).into(),
        Kind::ShortString => text(reader.short_string()?).into(),
        Kind::LongString => text(reader.long_string()?).into(),
        Kind::Table => decode_table(reader)?,
    })
}

/// Takes fields off the front of a payload; every read past its end is an error.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Reader(payload)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("a field runs past its end")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn number<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.bytes(N)?.try_into().expect("N bytes were taken"))
    }

    pub(super) fn short_string(&mut self) -> Result<&'a [u8], String> {
        let [length] = self.number()?;
        self.bytes(usize::from(length))
    }

    pub(super) fn long_string(&mut self) -> Result<&'a [u8], String> {
        let length = u32::from_be_bytes(self.number()?);
        self.bytes(length as usize)
    }
}
