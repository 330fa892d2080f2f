//! Broken and unusual bytes: how far the handshake goes first, then what is sent.
//!
//! The names are those of the recorded answers in `conformance/wire.json`.

use serde_json::{Value, json};
use std::iter;
use warren_tests::wire::{body, header, long_string, method, publish, raw, short_string};

/// How far the handshake has come; each stage includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Connected, nothing said.
    Nothing,
    /// The protocol header was answered by connection.start.
    Header,
    /// Logged in, connection.tune received.
    Tune,
    /// The virtual host is open.
    Opened,
    /// Channel 1 is open.
    Channel,
}

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) stage: Stage,
    pub(crate) bytes: Vec<u8>,
    /// Whether the client then says that it will send no more.
    pub(crate) then_shut: bool,
    /// Whether RabbitMQ fails inside or drops the connection: any fitting connection error is right
    /// then, and better.
    pub(crate) accident: bool,
}

/// Cases of one stage: what they are called and what is sent.
type Group = Vec<(&'static str, Vec<u8>)>;

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let groups: [(Stage, Group); 9] = [
        (Stage::Nothing, headers()),
        (Stage::Header, logins()),
        (Stage::Tune, tunings()),
        (Stage::Opened, openings()),
        (Stage::Channel, channels()),
        (Stage::Channel, frames()),
        (Stage::Channel, methods()),
        (Stage::Channel, contents()),
        (Stage::Channel, basics()),
    ];
    let cases = groups.into_iter().flat_map(|(stage, group)| iter::repeat(stage).zip(group));
    cases
        .map(|(stage, (name, bytes))| Case {
            name,
            stage,
            bytes,
            then_shut: name == "header partial then eof",
            accident: ACCIDENTS.contains(&name),
        })
        .collect()
}

const ACCIDENTS: [&str; 14] = [
    "method unknown class",
    "method unknown id",
    "method of 0-8 (file)",
    "method bad table",
    "content truncated properties",
    "login big frame before tune",
    "login method before start-ok",
    "login malformed plain",
    "login empty response",
    "tune skipped",
    "tune larger frames",
    "tune larger channels",
    "tune no limits",
    "tune frame 100",
];

pub(crate) fn start_ok(mechanism: &str, response: &str, capable: bool) -> Vec<u8> {
    let properties = if capable {
        json!({"capabilities": {"authentication_failure_close": true}})
    } else {
        json!({})
    };
    let arguments = json!({
        "client_properties": properties, "mechanism": mechanism, "response": response,
        "locale": "en_US",
    });
    method(0, "Connection.StartOk", &arguments)
}

pub(crate) fn tune_ok(channels: u16, frame_size: u32) -> Vec<u8> {
    let arguments = json!({"channel_max": channels, "frame_max": frame_size, "heartbeat": 0});
    method(0, "Connection.TuneOk", &arguments)
}

pub(crate) fn opened(vhost: &str) -> Vec<u8> {
    method(0, "Connection.Open", &json!({ "virtual_host": vhost }))
}

/// A message to nowhere on channel 1, of which header and body are still to come.
fn to_nowhere() -> Vec<u8> {
    method(1, "Basic.Publish", &json!({"routing_key": "nowhere"}))
}

/// A content header on channel 1 without properties.
fn announce(size: u64) -> Vec<u8> {
    header(1, 60, 0, size, &[0, 0])
}

/// Answered by qos-ok if all before it went well.
fn sync() -> Vec<u8> {
    plain(1, "Basic.Qos")
}

fn plain(channel: u16, name: &str) -> Vec<u8> {
    method(channel, name, &Value::Null)
}

fn delivery(name: &str, tag: u64, multiple: bool) -> Vec<u8> {
    method(1, name, &json!({"delivery_tag": tag, "multiple": multiple}))
}

/// A method frame on channel 1 by numbers.
fn numbered(class: u16, id: u16, arguments: &[u8]) -> Vec<u8> {
    let ids = [class.to_be_bytes(), id.to_be_bytes()].concat();
    raw(1, 1, &[&ids, arguments].concat())
}

/// queue.declare by bytes: reserved, name, bits, and whatever stands for the table.
fn declare(name: &str, bits: u8, table: &[u8]) -> Vec<u8> {
    numbered(50, 10, &[&[0, 0], &short_string(name.as_bytes())[..], &[bits], table].concat())
}

fn headers() -> Group {
    vec![
        ("header http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("header amqp 0-8", b"AMQP\x01\x01\x08\x00".to_vec()),
        ("header amqp 0-9", b"AMQP\x01\x01\x00\x09".to_vec()),
        ("header amqp 0-9-0", b"AMQP\x00\x00\x09\x00".to_vec()),
        ("header amqp 0-10", b"AMQP\x01\x01\x00\x0a".to_vec()),
        ("header tls hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec()),
        ("header zeros", vec![0; 8]),
        ("header partial then eof", b"AMQP\x00\x00".to_vec()),
    ]
}

fn logins() -> Group {
    let good = "\0guest\0guest";
    vec![
        ("login wrong password, capable", start_ok("PLAIN", "\0guest\0wrong", true)),
        ("login wrong password, not capable", start_ok("PLAIN", "\0guest\0wrong", false)),
        ("login unknown user", start_ok("PLAIN", "\0nobody\0x", true)),
        ("login empty response", start_ok("PLAIN", "", true)),
        ("login malformed plain", start_ok("PLAIN", "guest", true)),
        ("login unknown mechanism", start_ok("NOPE", good, true)),
        ("login method before start-ok", opened("/")),
        ("login heartbeat first", [raw(8, 0, b""), start_ok("PLAIN", good, true)].concat()),
        ("login big frame before tune", raw(1, 0, &[b'x'; 9000])),
    ]
}

fn tunings() -> Group {
    let tuned = |frame_size| [tune_ok(2047, frame_size), opened("/")].concat();
    let usual = tune_ok(2047, 131_072);
    vec![
        ("tune larger frames", tune_ok(2047, 131_073)),
        ("tune larger channels", tune_ok(2048, 131_072)),
        ("tune no limits", tune_ok(0, 0)),
        ("tune frame 4096", tuned(4096)),
        ("tune frame 8192", tuned(8192)),
        ("tune frame 100", tuned(100)),
        ("tune skipped", opened("/")),
        ("tune twice", [&usual[..], &usual].concat()),
        ("open unknown vhost", [&usual[..], &opened("nope")].concat()),
        ("open empty vhost", [&usual[..], &opened("")].concat()),
    ]
}

fn openings() -> Group {
    let bye = json!({"reply_code": 200, "reply_text": "bye"});
    let x = json!({"reply_code": 200, "reply_text": "x"});
    let unopened_close_ok = [plain(5, "Channel.CloseOk"), plain(6, "Channel.Open")].concat();
    vec![
        ("open twice", opened("/")),
        ("close", method(0, "Connection.Close", &bye)),
        ("close-ok unasked", plain(0, "Connection.CloseOk")),
        (
            "channel method unopened",
            method(5, "Queue.Declare", &json!({"queue": "w", "passive": true})),
        ),
        ("channel close unopened", method(5, "Channel.Close", &x)),
        ("channel close-ok unopened", unopened_close_ok),
        ("channel open on 0", plain(0, "Channel.Open")),
        ("channel over max", plain(2048, "Channel.Open")),
        ("channel 65535", plain(65535, "Channel.Open")),
        ("channel publish on 0", method(0, "Basic.Publish", &json!({"routing_key": "x"}))),
    ]
}

fn channels() -> Group {
    vec![
        ("channel open twice", plain(1, "Channel.Open")),
        ("channel connection method on 1", plain(1, "Connection.CloseOk")),
        ("channel flow off", method(1, "Channel.Flow", &json!({"active": false}))),
        ("channel flow on", method(1, "Channel.Flow", &json!({"active": true}))),
    ]
}

fn frames() -> Group {
    let mut bad_end = numbered(60, 10, &[0; 7]);
    *bad_end.last_mut().expect("a frame has an end") = 0xcd;
    let mut huge = raw(3, 1, &[b'x'; 64]);
    huge[3..7].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
    // The length says much more, so there is no end.
    huge.pop();
    let limit = 131_064;
    let at_limit = [to_nowhere(), announce(limit), body(1, &vec![b'x'; limit as usize]), sync()];
    let over_limit = [to_nowhere(), announce(200_000), body(1, &vec![b'x'; 140_000])];
    vec![
        ("frame bad end", bad_end),
        ("frame unknown type", raw(7, 1, b"abc")),
        ("frame type 0", raw(0, 0, b"")),
        ("frame heartbeat on channel 1", raw(8, 1, b"")),
        ("frame heartbeat with payload", [raw(8, 0, b"abc"), sync()].concat()),
        ("frame heartbeat", [raw(8, 0, b""), sync()].concat()),
        ("frame at the limit", at_limit.concat()),
        ("frame over the limit", over_limit.concat()),
        ("frame length huge", huge),
        ("frame empty method", raw(1, 1, b"")),
        ("frame method of 2 bytes", raw(1, 1, b"\x00\x3c")),
    ]
}

fn methods() -> Group {
    let bad_table = long_string(&[&short_string(b"k")[..], b"?abc"].concat());
    let too_long = [&9999_u32.to_be_bytes()[..], b"ab"].concat();
    let nested = (0..200).fold(Vec::new(), |table, _| {
        [&short_string(b"k")[..], b"F", &long_string(&table)].concat()
    });
    let (durable, durable_and_auto_delete) = (0b0010, 0b1010);
    let deep = declare("w.deep", durable_and_auto_delete, &long_string(&nested));
    vec![
        ("method unknown class", numbered(77, 10, b"")),
        ("method unknown id", numbered(60, 99, b"")),
        ("method of 0-8 (file)", numbered(70, 10, b"")),
        ("method server-to-client", plain(1, "Basic.QosOk")),
        ("method truncated", numbered(50, 10, b"\x00\x00\x05ab")),
        (
            "method trailing bytes",
            [numbered(60, 10, b"\x00\x00\x00\x00\x00\x00\x00xyz"), sync()].concat(),
        ),
        ("method bad table", declare("w.bad", durable, &bad_table)),
        ("method table too long", declare("w.bad", durable, &too_long)),
        ("method table nested 200", [deep, sync()].concat()),
    ]
}

fn contents() -> Group {
    let then = |parts: &[Vec<u8>]| [to_nowhere(), parts.concat()].concat();
    let truncated = header(1, 60, 0, 0, b"\x80\x00\x20ab");
    let interleaved = [
        plain(2, "Channel.Open"),
        to_nowhere(),
        method(2, "Basic.Publish", &json!({"routing_key": "nowhere"})),
        header(2, 60, 0, 1, &[0, 0]),
        announce(2),
        body(2, b"a"),
        body(1, b"bc"),
        sync(),
    ];
    vec![
        ("content body without publish", body(1, b"abc")),
        ("content header without publish", announce(3)),
        ("content header twice", then(&[announce(3), announce(3)])),
        ("content header of another class", then(&[header(1, 50, 0, 3, &[0, 0])])),
        ("content header with weight", then(&[header(1, 60, 1, 0, &[0, 0]), sync()])),
        ("content method instead of header", then(&[sync()])),
        ("content method instead of body", then(&[announce(3), sync()])),
        ("content body longer than said", then(&[announce(3), body(1, b"abcdef")])),
        ("content body in pieces", then(&[announce(6), body(1, b"abc"), body(1, b"def"), sync()])),
        ("content empty body frame", then(&[announce(3), body(1, b""), body(1, b"abc"), sync()])),
        ("content empty", then(&[announce(0), sync()])),
        ("content empty with body frame", then(&[announce(0), body(1, b"")])),
        ("content size beyond maximum", then(&[announce(1 << 40), sync()])),
        ("content size 20 MB", then(&[announce(20 << 20)])),
        ("content bad property flags", then(&[header(1, 60, 0, 0, &[0, 1]), sync()])),
        ("content truncated properties", then(&[truncated, sync()])),
        ("content interleaved channels", interleaved.concat()),
    ]
}

fn basics() -> Group {
    let reply_to = json!({"reply_to": "amq.rabbitmq.reply-to"});
    let immediate = json!({"routing_key": "x", "immediate": true});
    let acked_replies = json!({"queue": "amq.rabbitmq.reply-to", "consumer_tag": "t"});
    let one = publish(1, &json!({"routing_key": "nowhere"}), &Value::Null, b"a");
    let passive = |queue| method(1, "Queue.Declare", &json!({"queue": queue, "passive": true}));
    let long_tag = [
        method(1, "Queue.Declare", &json!({"queue": "w.tag", "exclusive": true})),
        method(1, "Basic.Consume", &json!({"queue": "w.tag", "consumer_tag": "t".repeat(255)})),
    ];
    let after_error = [
        passive("w.none"),
        passive("w.none2"),
        plain(1, "Channel.CloseOk"),
        plain(1, "Channel.Open"),
    ];
    let unconsumed = publish(1, &json!({"routing_key": "x"}), &reply_to, b"");
    vec![
        ("basic immediate", [method(1, "Basic.Publish", &immediate), announce(0), sync()].concat()),
        ("basic prefetch size", method(1, "Basic.Qos", &json!({"prefetch_size": 1}))),
        ("basic recover no requeue", method(1, "Basic.Recover", &json!({"requeue": false}))),
        (
            "basic recover-async",
            [method(1, "Basic.RecoverAsync", &json!({"requeue": true})), sync()].concat(),
        ),
        ("basic ack unknown", [delivery("Basic.Ack", 1, false), sync()].concat()),
        ("basic ack all of none", [delivery("Basic.Ack", 0, true), sync()].concat()),
        ("basic ack zero", [delivery("Basic.Ack", 0, false), sync()].concat()),
        ("basic reply-to unconsumed", [unconsumed, sync()].concat()),
        ("basic reply-to with acks", method(1, "Basic.Consume", &acked_replies)),
        ("confirm then tx", [plain(1, "Confirm.Select"), plain(1, "Tx.Select")].concat()),
        ("tx then confirm", [plain(1, "Tx.Select"), plain(1, "Confirm.Select")].concat()),
        ("tx commit without select", plain(1, "Tx.Commit")),
        ("access request", numbered(30, 10, &[&short_string(b"/data")[..], &[0x1c]].concat())),
        ("long consumer tag", long_tag.concat()),
        ("error then more on the channel", after_error.concat()),
        ("several at once", [plain(1, "Confirm.Select"), one.repeat(3), sync()].concat()),
    ]
}
