//! Tells people where a broker parted from a recording: differences of one kind together, with one
//! example of each and the steps before it.

use crate::compare::pattern;
use crate::conversation::Outcome;
use crate::differences::Differences;
use crate::recording::{Conversation, Place, Replies};
use regex_lite::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::iter;
use std::sync::LazyLock;

/// How many kinds are shown, the most frequent first.
const KINDS_SHOWN: usize = 10;
/// How many steps are shown before the one that was answered otherwise.
const STEPS_BEFORE: usize = 6;
/// How much of an answer is shown, in characters.
const ANSWER_SHOWN: usize = 400;

/// What came of playing a recording.
pub(crate) struct Report<'a> {
    name: &'a str,
    conversations: &'a [Conversation],
    outcomes: Vec<Outcome>,
    /// Numbers of conversations that are listed to differ and do.
    meant: BTreeSet<usize>,
    /// Numbers of conversations that are listed to differ and do not.
    outdated: BTreeSet<usize>,
}

impl<'a> Report<'a> {
    /// The outcomes are the conversations', in their order.
    pub(crate) fn new(
        name: &'a str,
        conversations: &'a [Conversation],
        outcomes: Vec<Outcome>,
    ) -> Self {
        let (meant, outdated) = Default::default();
        Report { name, conversations, outcomes, meant, outdated }
    }

    /// Forgives the conversations that are listed, and finds those that are so no longer with
    /// reason.
    pub(crate) fn apply(&mut self, differences: &Differences) {
        for (conversation, outcome) in self.conversations.iter().zip(&self.outcomes) {
            if differences.lists_conversation(self.name, conversation.number) {
                match outcome {
                    Outcome::Alike => self.outdated.insert(conversation.number),
                    _ => self.meant.insert(conversation.number),
                };
            }
        }
    }

    /// Whether there is nothing to complain of.
    pub(crate) fn is_clean(&self) -> bool {
        self.differing().next().is_none() && self.outdated.is_empty()
    }

    fn differing(&self) -> impl Iterator<Item = (&Conversation, &Outcome)> {
        self.conversations.iter().zip(&self.outcomes).filter(|(conversation, outcome)| {
            !matches!(outcome, Outcome::Alike) && !self.meant.contains(&conversation.number)
        })
    }

    /// The differing conversations by kind, the most frequent first.
    fn kinds(&self) -> Vec<Vec<(&Conversation, &Outcome)>> {
        let mut kinds: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (conversation, outcome) in self.differing() {
            kinds.entry(kind(conversation, outcome)).or_default().push((conversation, outcome));
        }
        let mut kinds: Vec<_> = kinds.into_values().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.len()));
        kinds
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds();
        for kind in kinds.iter().take(KINDS_SHOWN) {
            let (conversation, outcome) = kind[0];
            let (step, number) = (outcome.last_step(), conversation.number);
            writeln!(f, "{} × for instance {}:{number}, step {step}:", kind.len(), self.name)?;
            for step in &conversation.steps[step.saturating_sub(STEPS_BEFORE)..=step] {
                writeln!(f, "     {}", words(step))?;
            }
            f.write_str(&what_differs(outcome))?;
        }
        for number in &self.outdated {
            writeln!(f, "{}:{number} is listed as a difference and is none", self.name)?;
        }
        let numbers: Vec<_> = self.differing().map(|(c, _)| c.number.to_string()).collect();
        let (played, differ) = (self.conversations.len(), numbers.len());
        write!(f, "{played} conversations, {differ} differ in {} kinds", kinds.len())?;
        if differ > 0 {
            write!(f, ": {}", numbers.join(" "))?;
        }
        write!(f, "; {} differ as listed", self.meant.len())
    }
}

/// Prints one conversation in words, up to where it went otherwise.
pub(crate) fn tell(conversation: &Conversation, outcome: &Outcome) {
    for (n, (step, replies)) in conversation.steps.iter().zip(&conversation.replies).enumerate() {
        println!("{n:3} {}", words(step));
        if !matches!(outcome, Outcome::Alike) && n == outcome.last_step() {
            return print!("{}", what_differs(outcome));
        }
        print!("{}", lines("", replies));
    }
}

/// Expected and got, without the channels on which they are the same.
fn what_differs(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Alike => String::new(),
        Outcome::Broken { why, .. } => format!("   the player was left without a channel: {why}\n"),
        Outcome::Differs { expected, got, .. } => {
            let mut sides = [expected.clone(), got.clone()];
            sides[0].retain(|place, frames| got.get(place) != Some(frames));
            sides[1].retain(|place, frames| expected.get(place) != Some(frames));
            lines("expected", &sides[0]) + &lines("got", &sides[1])
        }
    }
}

fn lines(label: &str, replies: &Replies) -> String {
    let mut out = String::new();
    for (place, frame) in replies.iter().flat_map(|(p, frames)| iter::repeat(p).zip(frames)) {
        let frame = frame.to_string();
        writeln!(out, "      {label:8} {place} {frame:.ANSWER_SHOWN$}")
            .expect("a string takes all");
    }
    if out.is_empty() && !label.is_empty() {
        out = format!("      {label:8} nothing\n");
    }
    out
}

/// A step as a person would say it.
fn words(step: &Value) -> String {
    let mut out = format!("{}/{} ", step["conn"], or_nothing(&step["channel"]));
    let Some(method) = step["method"].as_str() else {
        return out + step["do"].as_str().expect("a step does something");
    };
    out += method;
    for (name, value) in step["args"].as_object().into_iter().flatten() {
        if !matches!(value, Value::Null | Value::Bool(false)) && *value != 0 && *value != "" {
            out += &format!(" {name}={value}");
        }
    }
    if !step["body"].is_null() {
        out += &format!(" body={} {}", step["body"], or_nothing(&step["props"]));
    }
    out
}

fn or_nothing(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(empty) if empty.is_empty() => String::new(),
        other => other.to_string(),
    }
}

/// What differences of one kind share: the method, and the first frames that are not alike, without
/// their numbers.
fn kind(conversation: &Conversation, outcome: &Outcome) -> String {
    static NUMBERS: LazyLock<Regex> = LazyLock::new(|| pattern(r"d\d+\.|\d+"));
    let step = &conversation.steps[outcome.last_step()];
    let what = step["method"].as_str().or(step["do"].as_str()).unwrap_or("");
    let pair = match outcome {
        Outcome::Differs { expected, got, .. } => first_pair(expected, got),
        Outcome::Alike | Outcome::Broken { .. } => String::new(),
    };
    NUMBERS.replace_all(&format!("{what} {pair}"), "N").into_owned()
}

fn first_pair(expected: &Replies, got: &Replies) -> String {
    let places: Vec<&Place> = expected.keys().chain(got.keys()).collect();
    let place = places.into_iter().find(|place| expected.get(place) != got.get(place));
    let frames = |side: &Replies| place.and_then(|p| side.get(p)).cloned().unwrap_or_default();
    let (expected, got) = (frames(expected), frames(got));
    let same = expected.iter().zip(&got).take_while(|(e, g)| e == g).count();
    format!("{:?} {:?}", expected.get(same), got.get(same))
}
