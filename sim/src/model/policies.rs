//! Policies: which are in force for what, and what a queue or an exchange is to do for it.
//!
//! Everything is found out anew with each change: all policies are matched with all names. When a
//! change comes to a queue or an exchange is the broker's choice: it says so, and has come to all
//! of them before the wish is answered and before the next one is begun.

use std::collections::BTreeMap;

use super::names::{local, vhost_of};
use super::{AccessWish, Decision, Exchange, Intervention, Model, Promise, Queue};
use crate::wire::{Table, Value};

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What the name must match.
    pub pattern: String,
    /// `queues`, `exchanges`, `all`, …
    pub apply_to: String,
    /// The highest counts.
    pub priority: i64,
    /// What it asks for.
    pub definition: Table,
}

/// Which policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyKey {
    /// For what is in this virtual host.
    pub vhost: String,
    /// Whether it is an operator's, whose policies have names of their own.
    pub is_operator: bool,
    /// Its name.
    pub name: String,
}

/// What the people who run the broker want of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A policy.
    Set(PolicyKey, Policy),
    /// That one is gone.
    Unset(PolicyKey),
    /// Something about who may do what.
    Access(AccessWish),
    /// Something about one queue or one message.
    Intervene(Intervention),
    /// Something that the model does not know.
    Other,
}

/// What came of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is something new.
    Created,
    /// What was there is as it was wished.
    Updated,
    /// It is gone.
    Deleted,
    /// There was nothing to be done.
    Unchanged,
    /// It was refused.
    Refused,
}

/// All of them.
pub(super) type Policies = BTreeMap<PolicyKey, Policy>;

/// The keys that the model knows, which operators may use, and which take whole numbers.
const KEYS: [(&str, bool, bool); 11] = [
    ("alternate-exchange", false, false),
    ("consumer-timeout", false, true),
    ("dead-letter-exchange", false, false),
    ("dead-letter-routing-key", false, false),
    ("dead-letter-strategy", false, false),
    ("delivery-limit", true, true),
    ("expires", true, true),
    ("max-length", true, true),
    ("max-length-bytes", true, true),
    ("message-ttl", true, true),
    ("overflow", true, false),
];

impl Model {
    /// Goes on with wishes as the broker does.
    pub(super) fn administer(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            match decision {
                Decision::Begun(number) => self.begin_wish(*number),
                Decision::Policed { name, is_queue: true } => self.police_queue(name),
                Decision::Policed { name, is_queue: false } => self.police_exchange(name),
                Decision::Through(number) => self.end_wish(*number),
                Decision::Chose { .. }
                | Decision::Replayed { .. }
                | Decision::Duplicate { .. }
                | Decision::Named(_) => {}
            }
        }
    }

    fn begin_wish(&mut self, number: u64) {
        let wish = self.wishes.pop_front().filter(|_| self.under_way.is_none());
        let Some((_, wish)) = wish.filter(|(first, _)| *first == number) else {
            return self.fault("policies", format!("wish {number} is not the next"));
        };
        // The answer, and whether what it tells of is on disk then.
        let (answer, is_durable) = match wish {
            _ if self.is_stopped => (Answer::Refused, false),
            Wish::Set(key, policy)
                if !makes_sense(&policy, key.is_operator)
                    || !self.access.vhosts.contains_key(&key.vhost) =>
            {
                (Answer::Refused, false)
            }
            Wish::Set(key, policy) => {
                let before = self.policies.insert(key, policy.clone());
                // What was so before is no news, and was promised to whoever made it so.
                let is_news = before.as_ref() != Some(&policy);
                (if before.is_some() { Answer::Updated } else { Answer::Created }, is_news)
            }
            Wish::Unset(key) => {
                let before = self.policies.remove(&key);
                (if before.is_some() { Answer::Deleted } else { Answer::Refused }, true)
            }
            Wish::Access(wish) => {
                let before = self.access.clone();
                let answer = self.grant(wish);
                // As above.
                (answer, self.access != before)
            }
            Wish::Intervene(wish) => self.intervene(wish),
            Wish::Other => (Answer::Refused, false),
        };
        let is_refused = answer == Answer::Refused;
        let promise = self.promise_of(is_durable && !is_refused);
        self.answers.insert(number, (answer, promise));
        self.under_way = (!is_refused).then_some(number);
    }

    /// A wish is through when all queues and exchanges are as policies want it.
    fn end_wish(&mut self, number: u64) {
        if self.under_way.take() != Some(number) {
            self.fault("policies", format!("wish {number} is through and was not under way"));
        }
        let left = self.queues.values().find(|queue| queue.policy != self.policy_of(queue));
        let left = left.map(|queue| queue.name.clone()).or_else(|| {
            let mut exchanges = self.exchanges.iter();
            let is_left =
                |(name, x): &(&String, &Exchange)| x.alternate_by_policy != self.alternate_by(name);
            exchanges.find(is_left).map(|(name, _)| name.clone())
        });
        if let Some(name) = left {
            self.fault("policies", format!("wish {number} is through and has not come to {name}"));
        }
    }

    /// The broker answered a wish; what it promised with that.
    ///
    /// # Errors
    /// When it must not say so.
    pub fn answered(&mut self, number: u64, answer: Answer) -> Result<Option<Promise>, String> {
        match self.answers.remove(&number).filter(|_| self.under_way != Some(number)) {
            Some((expected, promise)) if expected == answer => Ok(promise),
            due => {
                let text = format!("wish {number} is {answer:?}, due is {due:?}");
                self.answers.extend(due.map(|due| (number, due)));
                Err(text)
            }
        }
    }

    /// Whether a policy that changed comes to queues and exchanges, a few at each tick.
    #[must_use]
    pub fn is_policing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Wishes that are not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = u64> + '_ {
        self.answers.keys().copied().chain(self.wishes.iter().map(|(number, _)| *number))
    }

    /// The queue of this name is as policies want it now.
    fn police_queue(&mut self, name: &str) {
        match self.queue_named(name).map(|queue| (queue.id, self.policy_of(queue))) {
            Some((id, policy)) => self.refit(id, |queue| queue.policy = policy),
            None => self.fault("policies", format!("{name}, which is not there, has policies")),
        }
    }

    fn police_exchange(&mut self, name: &str) {
        let alternate = self.alternate_by(name);
        match self.exchanges.get_mut(name) {
            Some(exchange) => exchange.alternate_by_policy = alternate,
            None => self.fault("policies", format!("{name}, which is not there, has policies")),
        }
    }

    /// What policies ask of a queue, by the names that arguments have.
    pub(super) fn policy_of(&self, queue: &Queue) -> Table {
        let kinds: &[&str] = match queue.is_quorum() {
            true => &["all", "queues", "quorum_queues"],
            false => &["all", "queues", "classic_queues"],
        };
        let mut asked = Table::new();
        for (key, _, is_number) in KEYS {
            let values =
                [true, false].map(|is_operator| self.asked(is_operator, kinds, queue, key));
            let numbers = values.iter().flatten().filter_map(number);
            let value = match is_number {
                true => numbers.min().map(|least| Value::I64(least as i64)),
                false => values.into_iter().flatten().next(),
            };
            asked.extend(value.map(|value| (format!("x-{key}"), value)));
        }
        asked
    }

    fn asked(&self, is_operator: bool, kinds: &[&str], queue: &Queue, key: &str) -> Option<Value> {
        // Hidden ones are no queues, and neither is the store of what is delayed.
        let is_none = queue.is_hidden || queue.is_store;
        let policy = self.in_force(is_operator, kinds, &queue.name).filter(|_| !is_none)?;
        find(&policy.definition, key).cloned()
    }

    /// Where policies want an exchange to pass messages on that nothing takes.
    pub(super) fn alternate_by(&self, name: &str) -> Option<String> {
        let policy = self.in_force(false, &["all", "exchanges"], name)?;
        find(&policy.definition, "alternate-exchange")?.as_text().map(Into::into)
    }

    /// The policy that counts for what has this name: the highest priority, and then the first
    /// name of a policy.
    fn in_force(&self, is_operator: bool, kinds: &[&str], name: &str) -> Option<&Policy> {
        let (vhost, name) = (vhost_of(name), local(name));
        let is_of_layer = |key: &PolicyKey| key.is_operator == is_operator && key.vhost == vhost;
        let of_layer = self.policies.iter().filter(|(key, _)| is_of_layer(key));
        let matching = of_layer.filter(|(_, policy)| {
            kinds.contains(&policy.apply_to.as_str()) && is_found(&policy.pattern, name)
        });
        let best = matching.min_by_key(|(key, policy)| (-policy.priority, key.name.clone()));
        best.map(|(_, policy)| policy)
    }
}

/// A whole number that is not negative.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::I32(number) => u64::try_from(*number).ok(),
        Value::I64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    table.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn makes_sense(policy: &Policy, is_operator: bool) -> bool {
    let is_taken = |(key, value): &(String, Value)| {
        let known = KEYS.iter().find(|(known, ..)| known == key);
        let is_allowed = known.is_some_and(|(_, for_operators, _)| *for_operators || !is_operator);
        is_allowed && is_fine(key, value)
    };
    let is_pattern = !policy.pattern.contains(['(', ')']);
    is_pattern && !policy.definition.is_empty() && policy.definition.iter().all(is_taken)
}

/// Whether this may be asked for under a key, if the model knows it.
pub(super) fn is_fine(key: &str, value: &Value) -> bool {
    let Some((.., is_number)) = KEYS.iter().find(|(known, ..)| *known == key) else { return true };
    match (is_number, value) {
        (true, Value::I32(_) | Value::I64(_)) if key == "delivery-limit" => true,
        (true, value) => number(value).is_some_and(|number| number > 0 || key != "expires"),
        (false, Value::Text(text)) if key == "overflow" => {
            ["drop-head", "reject-publish", "reject-publish-dlx"]
                .iter()
                .any(|known| known.as_bytes() == text.as_slice())
        }
        (false, value) => value.as_text().is_some(),
    }
}

/// Whether a pattern is found in a text: plain characters, `.`, `[abc]`, `*` behind one of these,
/// `^` at its beginning and `$` at its end.
pub(super) fn is_found(pattern: &str, text: &str) -> bool {
    match pattern.strip_prefix('^') {
        Some(rest) => is_here(rest, text),
        None => {
            let mut ends = text.char_indices().map(|(at, _)| &text[at..]).chain([""]);
            ends.any(|end| is_here(pattern, end))
        }
    }
}

/// Whether a text begins with what a pattern stands for.
fn is_here(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return true };
    let len = match first {
        '$' if pattern == "$" => return text.is_empty(),
        '[' => pattern.find(']').map_or(1, |end| end + 1),
        first => first.len_utf8(),
    };
    let (one, rest) = pattern.split_at(len);
    let set = one.strip_prefix('[').and_then(|set| set.strip_suffix(']'));
    // What is behind the next character of a text, if that is the one.
    let behind = |text: &'_ str| {
        let next = text.chars().next()?;
        let is_one = match set {
            Some(set) => set.contains(next),
            None => first == '.' || first == next,
        };
        is_one.then_some(next.len_utf8())
    };
    let Some(rest) = rest.strip_prefix('*') else {
        return behind(text).is_some_and(|at| is_here(rest, &text[at..]));
    };
    let mut end = text;
    loop {
        if is_here(rest, end) {
            return true;
        }
        let Some(at) = behind(end) else { return false };
        end = &end[at..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_where_they_are() {
        for (pattern, text, expected) in [
            ("", "q1", true),
            ("1", "q1", true),
            ("^1", "q1", false),
            ("^q[12]$", "q2", true),
            ("^q[12]$", "q3", false),
            ("^q.*1$", "q-1", true),
            ("q[12]*$", "q1212", true),
            ("^.$", "q1", false),
            ("^.$", "\u{e9}", true),
            ("[ab]*$", "", true),
            ("^a*b", "aaab", true),
            ("^a*b", "aaac", false),
            ("^.*", "", true),
        ] {
            assert_eq!(is_found(pattern, text), expected, "{pattern} in {text}");
        }
    }
}
