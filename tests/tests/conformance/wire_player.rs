//! Sends one wire case and notes what comes back within three seconds.

use crate::wire_cases::{Case, Stage, opened, start_ok, tune_ok};
use serde_json::{Value, json};
use std::fmt;
use std::time::{Duration, Instant};
use warren_tests::client::{Address, Arrival, Connection};
use warren_tests::wire::{Frame, PROTOCOL_HEADER};

/// How long answers are waited for.
const WAIT: Duration = Duration::from_secs(3);

/// What a broker said to a case.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Each method as `[name, channel]`, then `code, text, "class.method"` or the delivery tag
    /// where it has them; bytes that are no frame as `["raw", hexadecimal]`. Of several acks only
    /// the last.
    pub(crate) rows: Vec<Value>,
    /// Whether it ended the connection.
    pub(crate) closed: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = if self.closed { "closed" } else { "open" };
        write!(f, "{} {ended:?}", Value::from(self.rows.clone()))
    }
}

/// Plays a case on a connection of its own. What keeps it from being played is the answer then.
pub(crate) fn answer(address: &Address, case: &Case) -> Answer {
    match handshake(address, case.stage) {
        Ok(connection) => exchange(connection, case),
        Err(why) => Answer { rows: vec![json!(["player", why])], closed: false },
    }
}

fn handshake(address: &Address, stage: Stage) -> Result<Connection, String> {
    let mut connection = Connection::plain(address)?;
    if stage >= Stage::Header {
        connection.send_bytes(&PROTOCOL_HEADER);
        connection.expect("Connection.Start")?;
    }
    if stage >= Stage::Tune {
        connection.send_bytes(&start_ok("PLAIN", "\0guest\0guest", true));
        connection.expect("Connection.Tune")?;
    }
    if stage >= Stage::Opened {
        connection.send_bytes(&[tune_ok(2047, 131_072), opened("/")].concat());
        connection.expect("Connection.OpenOk")?;
    }
    if stage >= Stage::Channel {
        connection.open_channel(1)?;
    }
    Ok(connection)
}

fn exchange(mut connection: Connection, case: &Case) -> Answer {
    connection.send_bytes(&case.bytes);
    if case.then_shut {
        connection.shut_sending();
    }
    let start = Instant::now();
    let mut quiet = WAIT / 6;
    let mut rows = Vec::new();
    while start.elapsed() < WAIT && !connection.has_ended() {
        if !connection.read_more(quiet) {
            if !rows.is_empty() {
                break;
            }
            quiet = WAIT / 3;
        }
        // Before the handshake a broker may also answer with a header of its own, which is no
        // frame.
        if case.stage == Stage::Nothing && !connection.unread().starts_with(&[1, 0, 0]) {
            continue;
        }
        for arrival in connection.take_frames() {
            rows.extend(row(&arrival));
            if let Arrival::Frame(Frame::Method { name: "Connection.Close", .. }) = arrival {
                connection.send(0, "Connection.CloseOk", &Value::Null);
            }
        }
    }
    if !connection.unread().is_empty() {
        rows.push(json!(["raw", hexadecimal(connection.unread())]));
    }
    let last_ack = rows.iter().rposition(|row| row[0] == "Basic.Ack");
    let mut n = 0..;
    rows.retain(|row| n.next() == last_ack || row[0] != "Basic.Ack");
    Answer { rows, closed: connection.has_ended() }
}

fn row(arrival: &Arrival) -> Option<Value> {
    Some(match arrival {
        Arrival::End => return None,
        Arrival::Undecodable(broken) => json!(["raw", hexadecimal(&broken.bytes)]),
        Arrival::Frame(Frame::Heartbeat) => return None,
        Arrival::Frame(Frame::Header { channel, .. }) => json!(["Header", channel]),
        Arrival::Frame(Frame::Body { channel, .. }) => json!(["Body", channel]),
        Arrival::Frame(Frame::Method { channel, name, arguments }) => {
            let number = |key: &str| arguments.get(key).map_or(String::new(), Value::to_string);
            if let Some(code) = arguments.get("reply_code") {
                let failing = format!("{}.{}", number("class_id"), number("method_id"));
                json!([name, channel, code, arguments["reply_text"], failing])
            } else if let Some(tag) = arguments.get("delivery_tag") {
                json!([name, channel, tag])
            } else {
                json!([name, channel])
            }
        }
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
