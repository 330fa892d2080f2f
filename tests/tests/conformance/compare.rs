//! What must be alike in two brokers' answers, and what need not be.
//!
//! Names that a broker makes are numbered in order of appearance. On each channel the synchronous
//! replies and returns come first, then the deliveries, then the confirms, as brokers may mix these
//! otherwise; within each kind the order counts, and a method and its content stay together.
//! Confirms count by the highest tag only, as brokers may merge them otherwise.

use crate::recording::Replies;
use regex_lite::{Captures, Regex};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use warren_tests::wire::Frame;

/// The names that a broker made during one conversation.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The frame as recordings have it, the names that the broker made replaced by their numbers.
    pub(crate) fn plain(&mut self, frame: &Frame) -> (u16, Value) {
        match frame {
            Frame::Method { channel, name, arguments } => {
                let mut row = vec![Value::from(*name)];
                row.extend(fields(arguments));
                (*channel, self.cleaned(Value::Array(row)))
            }
            Frame::Header { channel, properties, size } => {
                let mut row = vec![Value::from("BasicProperties")];
                row.extend(fields(properties));
                row.push(Value::from(*size));
                (*channel, self.cleaned(Value::Array(row)))
            }
            Frame::Body { channel, text } => (*channel, json!(["body", text])),
            Frame::Heartbeat => unreachable!("a connection leaves heartbeats out"),
        }
    }

    /// The queues among the names.
    pub(crate) fn queues(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|name| name.starts_with("amq.gen"))
    }

    fn cleaned(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.cleaned(item)).collect(),
            other => other,
        }
    }

    fn clean(&mut self, text: &str) -> String {
        static MADE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"amq\.(gen|ctag)-[\w\-]+|amq_\d+\.\w+"));
        static VHOST: LazyLock<Regex> = LazyLock::new(|| pattern("vhost '[^']*'"));
        let text = VHOST.replace_all(text, "vhost '/'");
        let number = |made: &Captures<'_>| {
            let known = self.0.iter().position(|name| name == &made[0]);
            let number = known.unwrap_or_else(|| {
                self.0.push(made[0].to_owned());
                self.0.len() - 1
            });
            format!("<made {number}>")
        };
        MADE.replace_all(&text, number).into_owned()
    }
}

/// A pattern that is known to be right.
pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is written right")
}

/// An object's fields in the order of their names, without the times, which no two runs share.
fn fields(object: &serde_json::Map<String, Value>) -> Vec<Value> {
    let sorted: BTreeMap<_, _> = object.iter().collect();
    sorted.into_iter().filter(|(key, _)| *key != "time").map(|(k, v)| json!([k, flat(v)])).collect()
}

fn flat(value: &Value) -> Value {
    match value {
        Value::Object(table) => Value::Array(fields(table)),
        Value::Array(items) => items.iter().map(flat).collect(),
        other => other.clone(),
    }
}

/// The replies in the order in which they are compared; channels without any are left out.
pub(crate) fn ordered(replies: Replies) -> Replies {
    replies
        .into_iter()
        .filter(|(_, frames)| !frames.is_empty())
        .map(|(place, frames)| (place, ordered_frames(frames)))
        .collect()
}

fn ordered_frames(frames: Vec<Value>) -> Vec<Value> {
    let mut units: Vec<Vec<Value>> = Vec::new();
    let mut settled: BTreeMap<String, u64> = BTreeMap::new();
    for frame in frames {
        let name = name_of(&frame);
        if let Some((name, tag)) = confirm(&frame) {
            let highest = settled.entry(name).or_default();
            *highest = tag.max(*highest);
        } else if matches!(name, "BasicProperties" | "body") && !units.is_empty() {
            units.last_mut().expect("is not empty").push(frame);
        } else {
            units.push(vec![frame]);
        }
    }
    units.sort_by_key(|unit| name_of(&unit[0]) == "Basic.Deliver");
    let confirms = settled.into_iter().map(|(name, tag)| json!([name, tag]));
    units.into_iter().flatten().chain(confirms).collect()
}

/// The name under which confirms are counted, and the tag, whether the frame is recorded
/// (`["Basic.Ack*", 3]`) or new.
fn confirm(frame: &Value) -> Option<(String, u64)> {
    match name_of(frame) {
        name @ ("Basic.Ack" | "Basic.Nack") => {
            let fields = frame.as_array()?.iter().skip(1);
            let tag = fields.filter(|field| field[0] == "delivery_tag").find_map(|f| f[1].as_u64());
            Some((format!("{name}*"), tag.expect("an ack has a tag")))
        }
        name @ ("Basic.Ack*" | "Basic.Nack*") => Some((name.to_owned(), frame[1].as_u64()?)),
        _ => None,
    }
}

/// A frame's name; every frame begins with it.
pub(crate) fn name_of(frame: &Value) -> &str {
    frame[0].as_str().unwrap_or("")
}
