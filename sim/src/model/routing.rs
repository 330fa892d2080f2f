//! Which queues a message goes to.

use std::collections::BTreeSet;

use super::choices::is_choosing;
use super::names::{qualified, vhost_of};
use super::{Binding, Destination, Message, Model, QueueId};
use crate::wire::{Argument, Properties, Table, Value};

/// What of a message exchanges look at.
#[derive(Clone, Debug)]
pub(super) struct Look<'a> {
    /// The key it was published with, and those of `CC` and `BCC`.
    pub(super) keys: Vec<&'a str>,
    /// The virtual host that it is in.
    pub(super) vhost: &'a str,
    pub(super) properties: &'a Properties,
}

impl<'a> Look<'a> {
    pub(super) fn new(message: &'a Message) -> Self {
        Self { keys: message.keys(), vhost: &message.vhost, properties: &message.properties }
    }

    pub(super) fn headers(&self) -> &'a [(String, Value)] {
        self.properties.headers().map_or(&[], Vec::as_slice)
    }

    fn is_kept_out(&self) -> bool {
        let no_store = self.headers().iter().find(|(name, _)| name == "x-recent-history-no-store");
        no_store.is_some_and(|(_, value)| *value == Value::Bool(true))
    }
}

/// A message as consumers see it.
fn seen(message: &Message) -> Message {
    let mut seen = message.clone();
    let headers = seen.properties.headers().cloned().unwrap_or_default();
    let headers: Table = headers.into_iter().filter(|(name, _)| name != "BCC").collect();
    seen.properties.set("headers", Argument::Table(headers));
    seen
}

/// Where a message goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// Every queue that it reaches, each once.
    pub(super) queues: BTreeSet<QueueId>,
    /// The exchanges on its way that keep it.
    pub(super) histories: Vec<String>,
}

impl Model {
    /// Where a message to this exchange goes. It may have been at one exchange `before`.
    pub(super) fn route(&mut self, exchange: &str, look: &Look<'_>, before: Option<&str>) -> Route {
        let mut route = Route::default();
        let Route { queues, histories } = &mut route;
        if exchange.is_empty() {
            let named = |key: &&str| {
                let queue = self.queue_named(&qualified(look.vhost, key));
                queue.map(|queue| queue.id)
            };
            queues.extend(look.keys.iter().filter_map(named));
            let replies = |key: &&str| {
                let consumer = self.reply_addresses.get(*key)?;
                Some(self.consumers.get(consumer)?.queue)
            };
            queues.extend(look.keys.iter().filter_map(replies));
            return route;
        }
        let mut visited: BTreeSet<String> = before.into_iter().map(Into::into).collect();
        let mut waiting = vec![exchange.to_owned()];
        while let Some(name) = waiting.pop() {
            if !visited.insert(name.clone()) {
                continue;
            }
            let Some(source) = self.exchanges.get(&name).cloned() else { continue };
            let bindings = self.bindings.iter().filter(|binding| binding.source == name);
            let taken: Vec<Destination> = if is_choosing(&source.kind) {
                let bindings: Vec<Binding> = bindings.cloned().collect();
                self.chosen(&name, &source, &bindings, look).into_iter().collect()
            } else {
                let is_taken = |binding: &&Binding| {
                    let mut keys = look.keys.iter();
                    keys.any(|key| is_match(&source.kind, binding, key, look.headers()))
                };
                bindings.filter(is_taken).map(|binding| binding.destination.clone()).collect()
            };
            if taken.is_empty() {
                let alternate = source.alternate.or(source.alternate_by_policy);
                let vhost = vhost_of(&name);
                waiting.extend(alternate.map(|next| qualified(vhost, &next).into_owned()));
            }
            if source.kind == "x-recent-history" && !look.is_kept_out() {
                histories.push(name);
            }
            for destination in taken {
                match destination {
                    Destination::Queue(queue) => {
                        queues.insert(queue);
                    }
                    Destination::Exchange(next) => waiting.push(next),
                }
            }
        }
        route
    }

    /// Who is bound to the exchange gets what it keeps, from the oldest on: each of these messages
    /// comes into being once more, and does not come to the same exchange again.
    pub(super) fn replay(&mut self, source: &str, destination: &Destination) {
        for message in self.replayed(source) {
            let route = match destination {
                Destination::Queue(queue) => {
                    Route { queues: BTreeSet::from([*queue]), histories: Vec::new() }
                }
                Destination::Exchange(name) => {
                    let seen = seen(&self.messages[message]);
                    self.route(name, &Look::new(&seen), Some(source))
                }
            };
            self.remember(message, &route.histories);
            if !route.queues.is_empty() {
                let again = self.add_again(self.messages[message].clone());
                self.enqueue(again, &route.queues);
            }
        }
    }
}

fn is_match(kind: &str, binding: &Binding, key: &str, headers: &[(String, Value)]) -> bool {
    match kind {
        "fanout" | "x-recent-history" => true,
        "direct" => binding.key == key,
        "topic" => is_topic_match(&words(&binding.key), &words(key)),
        _ => is_headers_match(&binding.arguments, headers),
    }
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn is_topic_match(pattern: &[&str], key: &[&str]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&"#", rest)) => (0..=key.len()).any(|at| is_topic_match(rest, &key[at..])),
        Some((word, rest)) => key.split_first().is_some_and(|(first, others)| {
            (*word == "*" || word == first) && is_topic_match(rest, others)
        }),
    }
}

fn is_headers_match(arguments: &Table, headers: &[(String, Value)]) -> bool {
    let rule = arguments.iter().find(|(name, _)| name == "x-match");
    let rule = rule.and_then(|(_, value)| value.as_text()).unwrap_or("all");
    let has_x = rule.ends_with("-with-x");
    let mut wanted = arguments
        .iter()
        .filter(|(name, _)| name != "x-match" && (has_x || !name.starts_with("x-")));
    let is_there = |(name, value): &(String, Value)| {
        let found = headers.iter().find(|(other, _)| other == name);
        found.is_some_and(|(_, other)| *value == Value::Void || value == other)
    };
    if rule.starts_with("any") { wanted.any(is_there) } else { wanted.all(is_there) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_patterns_match_word_by_word() {
        let cases = [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.#", "a", true),
            ("#", "", true),
            ("*", "", false),
            ("", "", true),
            ("#.c", "a.b.c", true),
            ("a.#.c", "a.c", true),
            ("a.#.c", "a.c.d", false),
        ];
        for (pattern, key, is_match) in cases {
            assert_eq!(is_topic_match(&words(pattern), &words(key)), is_match, "{pattern} {key}");
        }
    }

    #[test]
    fn headers_match_by_all_or_any() {
        let table = |pairs: &[(&str, Value)]| -> Table {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let headers = table(&[("a", Value::I32(1)), ("x-b", Value::I32(2))]);
        let any = ("x-match", Value::text("any"));
        let wrong = ("a", Value::I32(9));
        let right = ("a", Value::Void);
        assert!(is_headers_match(&table(&[]), &headers));
        assert!(is_headers_match(&table(std::slice::from_ref(&right)), &headers));
        assert!(!is_headers_match(&table(&[right.clone(), wrong.clone()]), &headers));
        assert!(is_headers_match(&table(&[any.clone(), right, wrong]), &headers));
        assert!(!is_headers_match(&table(&[any, ("x-b", Value::I32(2))]), &headers));
    }
}
