//! Plays one recorded conversation: two connections of two channels each, one step after another.
//!
//! After each step it waits for silence, and until the recorded answer is there; it stops at the
//! first answer that is another. What errors closed is opened again, so that the conversation goes
//! on. In the end all that was made is deleted.

use crate::compare::{Names, name_of, ordered};
use crate::recording::{Conversation, Place, Replies};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::{Duration, Instant};
use warren_tests::client::{Address, Arrival, Connection, ready};
use warren_tests::wire::{self, Frame};

/// How long it must be silent before a broker is taken to have said all.
pub(crate) const QUIET: Duration = Duration::from_millis(10);

/// How long is waited for an answer that does not come.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// For a broker to notice that a client has gone.
const CLOSING: Duration = Duration::from_millis(50);

/// How many times it is tried to delete what a conversation made.
const CLEARINGS: usize = 20;

/// How a conversation went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// As recorded, to the end.
    Alike,
    /// The first step that was answered otherwise.
    Differs { step: usize, expected: Replies, got: Replies },
    /// The broker left the player without a connection or channel at this step.
    Broken { step: usize, why: String },
}

impl Outcome {
    /// The step that was played last; none was, of the whole conversation, if it went as recorded.
    pub(crate) fn last_step(&self) -> usize {
        match self {
            Outcome::Alike => 0,
            Outcome::Differs { step, .. } | Outcome::Broken { step, .. } => *step,
        }
    }
}

/// Plays a conversation to a broker that has no other traffic.
pub(crate) fn play(conversation: &Conversation, address: &Address, quiet: Duration) -> Outcome {
    let mut world = match World::new(address, quiet) {
        Ok(world) => world,
        Err(why) => return Outcome::Broken { step: 0, why },
    };
    let outcome = world.play(conversation);
    world.clear(&conversation.prefix);
    outcome
}

/// One broker's side of a conversation.
struct World<'a> {
    address: &'a Address,
    /// The first is connection 1 of the recording.
    connections: [Connection; 2],
    names: Names,
    quiet: Duration,
}

impl<'a> World<'a> {
    fn new(address: &'a Address, quiet: Duration) -> Result<Self, String> {
        let connections = [connect(address)?, connect(address)?];
        Ok(World { address, connections, names: Names::default(), quiet })
    }

    fn play(&mut self, conversation: &Conversation) -> Outcome {
        self.collect(self.quiet, None);
        for (n, (step, expected)) in
            conversation.steps.iter().zip(&conversation.replies).enumerate()
        {
            if let Err(why) = self.perform(step) {
                return Outcome::Broken { step: n, why };
            }
            let got = self.collect(self.quiet, Some(expected));
            if got != *expected {
                return Outcome::Differs { step: n, expected: expected.clone(), got };
            }
            if let Err(why) = self.mend(&got) {
                return Outcome::Broken { step: n, why };
            }
            self.collect(self.quiet * 2 / 5, None);
        }
        Outcome::Alike
    }

    fn perform(&mut self, step: &Value) -> Result<(), String> {
        let number = step["conn"].as_u64().expect("a step names its connection") as usize;
        let connection = &mut self.connections[number - 1];
        if step["do"] == "disconnect" {
            connection.shut();
            sleep(CLOSING);
            *connection = connect(self.address)?;
            return Ok(());
        }
        let channel = step["channel"].as_u64().expect("a step names its channel") as u16;
        match step["do"].as_str() {
            Some("reopen") if connection.has_ended() => *connection = connect(self.address)?,
            Some("reopen") => connection.send(channel, "Channel.Open", &Value::Null),
            Some("method") if connection.has_ended() => {}
            Some("method") => {
                let method = step["method"].as_str().expect("a step names its method");
                match step["body"].as_str() {
                    None => connection.send(channel, method, &step["args"]),
                    Some(text) => {
                        // Recorded byte by byte as Latin-1.
                        let text: Vec<u8> = text.chars().map(|byte| byte as u8).collect();
                        let message = wire::publish(channel, &step["args"], &step["props"], &text);
                        connection.send_bytes(&message);
                    }
                }
            }
            other => panic!("a step does one of three things, not {other:?}"),
        }
        Ok(())
    }

    /// What both connections are sent until it is quiet; with `enough`, not before that is there,
    /// or a second is over.
    fn collect(&mut self, quiet: Duration, enough: Option<&Replies>) -> Replies {
        let start = Instant::now();
        let mut replies = Replies::new();
        loop {
            let open: Vec<_> = (0..2).filter(|i| !self.connections[*i].has_ended()).collect();
            if open.is_empty() {
                sleep(quiet);
            }
            let readable = ready(open.iter().map(|i| &self.connections[*i]), quiet);
            if readable.contains(&true) {
                for (i, _) in open.iter().zip(readable).filter(|(_, readable)| *readable) {
                    self.note(*i, &mut replies);
                }
                continue;
            }
            let so_far = ordered(replies.clone());
            if enough.is_none_or(|enough| so_far == *enough) || start.elapsed() > ANSWER_WAIT {
                return so_far;
            }
        }
    }

    /// Reads one connection, and answers what must be answered.
    fn note(&mut self, index: usize, replies: &mut Replies) {
        let connection = &mut self.connections[index];
        for arrival in connection.arrivals(Duration::ZERO) {
            let (channel, row) = match &arrival {
                Arrival::End => (-1, json!(["eof"])),
                Arrival::Undecodable(broken) => (-1, json!(["undecodable", broken.why])),
                Arrival::Frame(frame) => {
                    let (channel, row) = self.names.plain(frame);
                    (i32::from(channel), row)
                }
            };
            replies.entry(Place { connection: index + 1, channel }).or_default().push(row);
            match arrival {
                Arrival::Frame(Frame::Method { channel, name: "Channel.Close", .. }) => {
                    connection.send(channel, "Channel.CloseOk", &Value::Null);
                }
                Arrival::Frame(Frame::Method { name: "Connection.Close", .. }) => {
                    connection.send(0, "Connection.CloseOk", &Value::Null);
                }
                _ => {}
            }
        }
    }

    /// Opens again what was closed.
    fn mend(&mut self, replies: &Replies) -> Result<(), String> {
        for number in [1, 2] {
            let has = |channel: i32, names: &[&str]| {
                let frames = replies.get(&Place { connection: number, channel });
                frames.into_iter().flatten().any(|frame| names.contains(&name_of(frame)))
            };
            let connection = &mut self.connections[number - 1];
            if has(0, &["Connection.Close"]) || has(-1, &["eof"]) {
                connection.shut();
                *connection = connect(self.address)?;
                continue;
            }
            for channel in [1, 2] {
                if has(channel, &["Channel.Close", "Channel.CloseOk"]) {
                    connection.open_channel(channel as u16)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes what the conversation made, each thing on a channel of its own, so that no refusal
    /// hides another.
    fn clear(mut self, prefix: &str) {
        self.connections.iter_mut().for_each(Connection::shut);
        let queues = self.names.queues().map(str::to_owned);
        let queues = queues.chain((1..=4).map(|n| format!("{prefix}q{n}")));
        let exchanges = (1..=3).map(|n| format!("{prefix}x{n}"));
        let deletes: Vec<_> = queues
            .map(|name| ("Queue.Delete", json!({ "queue": name })))
            .chain(exchanges.map(|name| ("Exchange.Delete", json!({ "exchange": name }))))
            .collect();
        // An exclusive queue may still be its closed connection's: then once more.
        for _ in 0..CLEARINGS {
            if delete(self.address, &deletes) {
                return;
            }
            sleep(CLOSING);
        }
        println!("what {prefix} made is still there, and may disturb what is played next");
    }
}

fn connect(address: &Address) -> Result<Connection, String> {
    let mut connection = Connection::open(address)?;
    connection.open_channel(1)?;
    connection.open_channel(2)?;
    Ok(connection)
}

/// Whether all was answered and nothing refused.
fn delete(address: &Address, deletes: &[(&str, Value)]) -> bool {
    let Ok(mut connection) = Connection::open(address) else { return false };
    for (channel, (method, arguments)) in (1..).zip(deletes) {
        connection.send(channel, "Channel.Open", &Value::Null);
        connection.send(channel, method, arguments);
    }
    let (mut left, mut refused, start) = (deletes.len(), false, Instant::now());
    while left > 0 && start.elapsed() < ANSWER_WAIT * 2 && !connection.has_ended() {
        for arrival in connection.arrivals(Duration::from_millis(100)) {
            let Arrival::Frame(Frame::Method { name, .. }) = arrival else { continue };
            left -= usize::from(name != "Channel.OpenOk");
            refused |= name == "Channel.Close";
        }
    }
    connection.shut();
    left == 0 && !refused
}
