//! Which queues a message goes to.

use std::collections::BTreeSet;

use super::{Binding, Destination, Model, QueueId};
use crate::wire::{Table, Value};

impl Model {
    /// Every queue that a message to this exchange reaches, each once.
    #[must_use]
    pub fn route(&self, exchange: &str, keys: &[&str], headers: &Table) -> BTreeSet<QueueId> {
        let mut queues = BTreeSet::new();
        if exchange.is_empty() {
            let named = |key: &&str| self.queue_named(key).map(|queue| queue.id);
            queues.extend(keys.iter().filter_map(named));
            let replies = |key: &&str| {
                let consumer = self.reply_addresses.get(*key)?;
                Some(self.consumers.get(consumer)?.queue)
            };
            queues.extend(keys.iter().filter_map(replies));
            return queues;
        }
        let mut visited = BTreeSet::new();
        let mut waiting = vec![exchange.to_owned()];
        while let Some(name) = waiting.pop() {
            if !visited.insert(name.clone()) {
                continue;
            }
            let Some(source) = self.exchanges.get(&name) else { continue };
            let mut is_taken = false;
            for binding in self.bindings.iter().filter(|binding| binding.source == name) {
                if !keys.iter().any(|key| is_match(&source.kind, binding, key, headers)) {
                    continue;
                }
                is_taken = true;
                match &binding.destination {
                    Destination::Queue(queue) => {
                        queues.insert(*queue);
                    }
                    Destination::Exchange(next) => waiting.push(next.clone()),
                }
            }
            if !is_taken && let Some(alternate) = &source.alternate {
                waiting.push(alternate.clone());
            }
        }
        queues
    }
}

fn is_match(kind: &str, binding: &Binding, key: &str, headers: &Table) -> bool {
    match kind {
        "fanout" => true,
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

fn is_headers_match(arguments: &Table, headers: &Table) -> bool {
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
