//! Writes the seeds of the corpora: small inputs that each reach another part of the parsers.
//!
//! ```text
//! cargo +nightly run --manifest-path fuzz/Cargo.toml --example seeds
//! ```

use std::path::Path;
use std::{fs, io};

use bytes::BytesMut;
use warren_core::amqp::{
    BasicProperties, BasicPublish, ConnectionStartOk, ConnectionTuneOk, FieldTable, FieldValue,
    Method, PROTOCOL_HEADER, QueueDeclare,
};
use warren_core::{Config, FileId};
use warren_fuzz::disk::Disk;
use warren_fuzz::input::Input;
use warren_fuzz::mutation::{RawFrame, blank};
use warren_fuzz::steps::{config, take};
use warren_fuzz::world::World;

const FRAME_MAX: u32 = 4096;

/// How deep tables may stand in each other; see `FieldTable::read`.
const DEPTH_MAX: usize = 256;

/// The first octets of an `inputs` seed: a disk, limits as usual but for short segments.
const USUAL: [u8; 4] = [0, 0, 0b1000, 0];

/// Steps of `inputs` seeds, see `src/steps.rs`.
const CLIENT: [u8; 4] = [0, 0, 0, 0];
const DECLARE: [u8; 4] = [2, 1, 0, 0];
const DECLARE_OTHER: [u8; 4] = [2, 1, 1, 0];
const BIND: [u8; 4] = [8, 1, 5, 3];
const PUBLISH: [u8; 4] = [14, 1, 0x60, 0];
const PUBLISH_TO_TWO: [u8; 4] = [14, 1, 0x60, 0x40];
const PUBLISH_LARGE: [u8; 4] = [14, 1, 0xA0, 0];
const CONSUME: [u8; 4] = [3, 1, 0, 0];
const GET: [u8; 4] = [4, 1, 0, 0];
const ACK_FIRST: [u8; 4] = [5, 1, 0, 1];
const NACK_ALL: [u8; 4] = [7, 1, 0, 0b1_1000];
const CONFIRM: [u8; 4] = [10, 1, 0, 0];
const TX: [u8; 4] = [10, 1, 0x20, 0];
const COMMIT: [u8; 4] = [11, 1, 0, 0];
const SETTLE: [u8; 4] = [27, 0, 0, 0];
const WAIT: [u8; 4] = [29, 0, 3, 0];
const RESTART: [u8; 4] = [30, 0, 0, 0];
const FAIL: [u8; 4] = [23, 0, 0, 240];
const FULL: [u8; 4] = [28, 0, 0, 0];
const ROOM: [u8; 4] = [28, 0, 3, 0];
const CLOSE: [u8; 4] = [22, 0, 0, 0];
const HALF_A_MESSAGE: [u8; 4] = [17, 1, 0x60, 0];

/// Cut into pieces of up to 8 bytes, without a protocol header in front.
const CUT_SMALL: u32 = 0b010;
/// Cut into pieces of up to 64 bytes, behind a protocol header.
const CUT_WITH_HEADER: u32 = 0b101;
/// Byte by byte.
const CUT_EVERY_BYTE: u32 = 0b000;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, seed) in decode_seeds() {
        save(&corpus.join("decode"), name, &seed.write())?;
    }
    for (name, seed) in table_seeds() {
        save(&corpus.join("table"), name, &seed)?;
    }
    for (name, steps) in stories() {
        let limits = std::iter::once(&USUAL);
        let seed: Vec<u8> = limits.chain(&steps).flatten().copied().collect();
        save(&corpus.join("inputs"), name, &seed)?;
    }
    for (name, seed) in recover_seeds() {
        save(&corpus.join("recover"), name, &seed)?;
    }
    Ok(())
}

fn save(folder: &Path, name: &str, seed: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name).with_extension("bin"), seed)
}

fn input(cuts: u32, stream: Vec<u8>) -> Input {
    Input { frame_max: FRAME_MAX, cuts, stream: stream.into() }
}

fn frames(cuts: u32, frames: &[RawFrame]) -> Input {
    input(cuts, frames.iter().flat_map(RawFrame::to_bytes).collect())
}

fn method(channel: u16, method: impl Into<Method>) -> RawFrame {
    let mut payload = BytesMut::new();
    method.into().write(&mut payload);
    RawFrame::new(1, channel, payload.to_vec())
}

fn decode_seeds() -> Vec<(&'static str, Input)> {
    let class = |class: u16| {
        let ids = Method::IDS.iter().filter(|id| id.class == class);
        let frames_of_class: Vec<_> = ids.map(|id| RawFrame::new(1, 1, blank(*id))).collect();
        frames(CUT_SMALL, &frames_of_class)
    };
    let mut bad_end = RawFrame::new(3, 1, *b"body").to_bytes();
    *bad_end.last_mut().expect("an end octet") = 0;
    vec![
        ("handshake", input(CUT_WITH_HEADER, handshake())),
        ("methods-connection", class(10)),
        ("methods-channel", class(20)),
        ("methods-access", class(30)),
        ("methods-exchange", class(40)),
        ("methods-queue", class(50)),
        ("methods-basic", class(60)),
        ("methods-confirm", class(85)),
        ("methods-tx", class(90)),
        ("declare-with-table", frames(CUT_EVERY_BYTE, &[declare()])),
        ("publish", frames(CUT_SMALL, &publish(&[b"a body in ", b"two frames"]))),
        ("heartbeats", frames(CUT_SMALL, &[RawFrame::new(8, 0, []), RawFrame::new(8, 1, *b"x")])),
        ("unknown-method", frames(CUT_SMALL, &[RawFrame::new(1, 1, [0, 60, 0, 99])])),
        ("unknown-type", frames(CUT_SMALL, &[RawFrame::new(7, 1, *b"abc")])),
        ("too-large", frames(CUT_SMALL, &[RawFrame::new(3, 1, [0; FRAME_MAX as usize + 1])])),
        ("bad-end", input(CUT_SMALL, bad_end)),
    ]
}

fn handshake() -> Vec<u8> {
    let client_properties = FieldTable::new(vec![("product".into(), FieldValue::text("a client"))]);
    let start_ok = ConnectionStartOk {
        client_properties,
        mechanism: "PLAIN".into(),
        response: "\0guest\0guest".into(),
        locale: "en_US".into(),
    };
    let tune_ok = ConnectionTuneOk { channel_max: 10, frame_max: 8192, heartbeat: 60 };
    let frames = [method(0, start_ok), method(0, tune_ok)];
    PROTOCOL_HEADER.into_iter().chain(frames.iter().flat_map(RawFrame::to_bytes)).collect()
}

fn declare() -> RawFrame {
    let arguments = every_type();
    method(1, QueueDeclare { queue: "q".into(), durable: true, arguments, ..<_>::default() })
}

fn publish(pieces: &[&[u8]]) -> Vec<RawFrame> {
    let properties = every_property().encode();
    let body_len = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    let fixed = [b"\0\x3c\0\0", &body_len.to_be_bytes()[..]].concat();
    let header = [&fixed[..], properties.wire()].concat();
    let routing_key = "q".into();
    let publish = BasicPublish { routing_key, mandatory: true, ..<_>::default() };
    let content = [method(1, publish), RawFrame::new(2, 1, header)];
    content.into_iter().chain(pieces.iter().map(|piece| RawFrame::new(3, 1, *piece))).collect()
}

fn stories() -> Vec<(&'static str, Vec<[u8; 4]>)> {
    let queue = [CLIENT, DECLARE, SETTLE];
    let story = |more: &[[u8; 4]]| [&queue[..], more].concat();
    let kept = [PUBLISH, PUBLISH, PUBLISH, SETTLE, WAIT, SETTLE];
    vec![
        ("consume", story(&[PUBLISH, CONSUME, SETTLE, ACK_FIRST, WAIT, SETTLE])),
        ("get-and-give-back", story(&[PUBLISH, GET, SETTLE, NACK_ALL, GET, SETTLE, CLOSE])),
        ("confirms", story(&[CONFIRM, PUBLISH, PUBLISH, SETTLE, PUBLISH, CLOSE, SETTLE])),
        ("transaction", story(&[TX, PUBLISH, PUBLISH, COMMIT, SETTLE, PUBLISH, CLOSE])),
        ("two-queues", story(&[DECLARE_OTHER, BIND, SETTLE, PUBLISH_TO_TWO, CONSUME, SETTLE])),
        ("restart", story(&[&kept[..], &[RESTART, CLIENT, CONSUME, SETTLE]].concat())),
        ("no-room", story(&[FULL, PUBLISH, FAIL, SETTLE, ROOM, SETTLE, WAIT, SETTLE])),
        ("half-a-message", story(&[HALF_A_MESSAGE, CLOSE, CLIENT, CONSUME, SETTLE])),
    ]
}

/// Directories as brokers leave them.
fn recover_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let queues = [CLIENT, DECLARE, DECLARE_OTHER, BIND, SETTLE];
    let left = |steps: &[[u8; 4]]| {
        let mut world = World::on(config(USUAL), Disk::default());
        queues.iter().chain(steps).for_each(|step| take(&mut world, *step));
        world
    };
    let messages = [PUBLISH, PUBLISH_TO_TWO, PUBLISH, WAIT, SETTLE];
    let more = [CLIENT, PUBLISH, PUBLISH, WAIT, SETTLE];
    let consumed = [GET, GET, SETTLE, ACK_FIRST, NACK_ALL, WAIT, SETTLE];
    let large = [PUBLISH_LARGE, WAIT, SETTLE, PUBLISH_LARGE, WAIT, SETTLE, SETTLE, SETTLE];
    let stories: [(&str, Vec<[u8; 4]>); 5] = [
        ("killed", messages.to_vec()),
        ("killed-after-acks", [&messages[..], &consumed].concat()),
        ("killed-twice", [&messages[..], &[RESTART], &more, &consumed[..2]].concat()),
        ("killed-with-segments", [&large[..], &[ACK_FIRST, PUBLISH, WAIT, SETTLE]].concat()),
        ("cut-off", [&messages[..], &[PUBLISH, PUBLISH, WAIT]].concat()),
    ];
    let mut seeds = vec![("empty", Vec::new())];
    let begun = World::on(Config { segment_len: 4096, ..Config::default() }, Disk::default());
    seeds.push(("first-start", short(begun.disk())));
    for (name, steps) in stories {
        seeds.push((name, short(left(&steps).disk())));
    }
    let mut stopped = left(&messages);
    stopped.stop();
    seeds.push(("stopped", short(stopped.disk())));
    seeds
}

/// A directory without the zero bytes at the ends of its segments.
fn short(disk: &Disk) -> Vec<u8> {
    let mut disk = disk.clone();
    for (file, bytes) in &mut disk.files {
        if matches!(file, FileId::Segment(_)) {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used.next_multiple_of(8));
        }
    }
    disk.write()
}

fn table_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let one = |value: FieldValue| FieldTable::new(vec![("k".into(), value)]);
    let nested = |depth: usize| {
        (0..depth).fold(FieldTable::default(), |table, _| one(FieldValue::Table(table)))
    };
    let arrays = (0..5).fold(FieldValue::Void, |value, _| FieldValue::Array(vec![value]));
    let death = FieldTable::new(vec![
        ("count".into(), FieldValue::I64(1)),
        ("reason".into(), FieldValue::text("expired")),
        ("time".into(), FieldValue::Timestamp(1_700_000_000)),
    ]);
    let x_death = FieldValue::Array(vec![FieldValue::Table(death)]);
    let twice = vec![("k".into(), FieldValue::U8(1)), ("k".into(), FieldValue::U8(2))];
    let short = BasicProperties {
        content_type: Some("text/plain".into()),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    vec![
        ("table-empty", written(&FieldTable::default())),
        ("table-every-type", written(&every_type())),
        ("table-nested-tables", written(&nested(5))),
        ("table-deepest", written(&nested(DEPTH_MAX))),
        ("table-too-deep", written(&nested(DEPTH_MAX + 1))),
        ("table-nested-arrays", written(&one(arrays))),
        ("table-x-death", written(&FieldTable::new(vec![("x-death".into(), x_death)]))),
        ("table-name-twice", written(&FieldTable::new(twice))),
        ("table-unsigned-long-long", b"\0\0\0\x0b\x01kL\xff\0\0\0\0\0\0\0".to_vec()),
        ("table-unknown-type", b"\0\0\0\x03\x01kU".to_vec()),
        ("table-length-too-long", b"\0\0\xff\xff\x01kV".to_vec()),
        ("table-inner-length-too-long", b"\0\0\0\x09\x01kS\0\0\0\x09ab".to_vec()),
        ("properties-none", BasicProperties::default().encode().wire().to_vec()),
        ("properties-all", every_property().encode().wire().to_vec()),
        ("properties-some", short.encode().wire().to_vec()),
        ("properties-flag-without-value", b"\x80\0".to_vec()),
    ]
}

fn written(table: &FieldTable) -> Vec<u8> {
    let mut out = BytesMut::new();
    table.write(&mut out);
    out.to_vec()
}

fn every_type() -> FieldTable {
    let values = [
        FieldValue::Bool(true),
        FieldValue::I8(-1),
        FieldValue::U8(255),
        FieldValue::I16(-1),
        FieldValue::U16(65_535),
        FieldValue::I32(-1),
        FieldValue::U32(u32::MAX),
        FieldValue::I64(-1),
        FieldValue::F32(1.5_f32.to_bits()),
        FieldValue::F64(1.5_f64.to_bits()),
        FieldValue::Decimal(2, 150),
        FieldValue::text("text"),
        FieldValue::ByteArray("bytes".into()),
        FieldValue::Array(vec![FieldValue::I32(1), FieldValue::Void]),
        FieldValue::Timestamp(1_700_000_000),
        FieldValue::Table(FieldTable::new(vec![("k".into(), FieldValue::text("v"))])),
        FieldValue::Void,
    ];
    let names = ('a'..='z').map(|name| name.to_string().as_str().into());
    FieldTable::new(names.zip(values).collect())
}

fn every_property() -> BasicProperties {
    BasicProperties {
        content_type: Some("text/plain".into()),
        content_encoding: Some("utf-8".into()),
        headers: Some(FieldTable::new(vec![("h".into(), FieldValue::I32(1))])),
        delivery_mode: Some(2),
        priority: Some(5),
        correlation_id: Some("1".into()),
        reply_to: Some("amq.rabbitmq.reply-to".into()),
        expiration: Some("60000".into()),
        message_id: Some("2".into()),
        timestamp: Some(1_700_000_000),
        kind: Some("k".into()),
        user_id: Some("guest".into()),
        app_id: Some("app".into()),
        cluster_id: Some("".into()),
    }
}
