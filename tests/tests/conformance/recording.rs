//! The recordings as they lie in `conformance/`: conversations, one a line, and the wire cases'
//! answers.

use crate::compare::ordered;
use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Whose a frame is: connection, and channel (−1 for what concerns the connection's end).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) connection: usize,
    pub(crate) channel: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.channel)
    }
}

/// What came after one step: the frames on each channel, each as `[name, [field, value]…]`.
pub(crate) type Replies = BTreeMap<Place, Vec<Value>>;

/// One random conversation: what was done, and what came back after each step.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Its line in the file, from 0.
    pub(crate) number: usize,
    /// What the names of its queues and exchanges begin with.
    pub(crate) prefix: String,
    pub(crate) steps: Vec<Value>,
    pub(crate) replies: Vec<Replies>,
}

/// The path of a file in this package's `conformance/`.
pub(crate) fn path_of(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance").join(file)
}

/// The recordings that there are of conversations.
pub(crate) const NAMES: [&str; 3] = ["basic", "extensions", "dead-letters"];

/// All conversations of `NAME.jsonl.gz`. Panics if there is no such recording.
pub(crate) fn read(name: &str) -> Vec<Conversation> {
    let path = path_of(&format!("{name}.jsonl.gz"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    BufReader::new(GzDecoder::new(file))
        .lines()
        .enumerate()
        .map(|(number, line)| {
            let line = line.expect("a recording decompresses");
            parse(number, serde_json::from_str(&line).expect("a recording is JSON"))
        })
        .collect()
}

fn parse(number: usize, line: Map<String, Value>) -> Conversation {
    let list = |key: &str| line[key].as_array().expect("steps and replies are lists").clone();
    Conversation {
        number,
        prefix: line["prefix"].as_str().expect("a prefix is a string").to_owned(),
        steps: list("steps"),
        replies: list("replies").iter().map(parse_replies).collect(),
    }
}

fn parse_replies(replies: &Value) -> Replies {
    let replies = replies.as_object().expect("replies are by place");
    let parsed = replies.iter().map(|(place, frames)| {
        let (connection, channel) = place.split_once('/').expect("a place is connection/channel");
        let place = Place {
            connection: connection.parse().expect("a connection is a number"),
            channel: channel.parse().expect("a channel is a number"),
        };
        (place, frames.as_array().expect("frames are a list").clone())
    });
    ordered(parsed.collect())
}

/// The recorded answers to the wire cases, by name.
pub(crate) fn read_wire() -> BTreeMap<String, Value> {
    let file = File::open(path_of("wire.json")).expect("the recording is there");
    serde_json::from_reader(BufReader::new(file)).expect("the recording is JSON")
}
