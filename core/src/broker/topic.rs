//! The topic matcher: a trie of binding keys, walked by routing keys (§3.1.3.3).
//!
//! Keys are words divided by dots; in a binding key `*` stands for one word and `#` for any number
//! of them, none included. The empty key has no words.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use bytes::Bytes;

use super::binding::{Destination, Destinations};
use crate::amqp::ShortStr;

/// A set of binding keys with the destinations bound by each.
#[derive(Debug, Default)]
pub(crate) struct TopicTrie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    words: BTreeMap<Bytes, Node>,
    one_word: Option<Box<Node>>,
    any_words: Option<Box<Node>>,
    destinations: Destinations,
}

impl TopicTrie {
    pub(crate) fn insert(&mut self, key: &ShortStr, destination: Destination) {
        let mut node = &mut self.root;
        for word in words(key.as_bytes()) {
            node = match word {
                b"*" => node.one_word.get_or_insert_default(),
                b"#" => node.any_words.get_or_insert_default(),
                // Looked up before it is copied: most words are there already.
                _ if node.words.contains_key(word) => {
                    node.words.get_mut(word).expect("found just above")
                }
                _ => node.words.entry(Bytes::copy_from_slice(word)).or_default(),
            };
        }
        node.destinations.insert(destination);
    }

    pub(crate) fn remove(&mut self, key: &ShortStr, destination: &Destination) {
        self.root.remove(&mut words(key.as_bytes()), destination);
    }

    /// Calls `found` for each destination of each matching key; a destination may come repeatedly.
    ///
    /// Follows all branches at once, word by word. A node is entered once per word, and one behind
    /// `#` stays once it is reached: the cost is at most words times nodes, whatever the keys are.
    pub(crate) fn matches<'a>(&'a self, key: &[u8], found: &mut impl FnMut(&'a Destination)) {
        let mut walk = Walk::default();
        walk.enter(&self.root);
        for word in words(key) {
            walk.step(word);
        }
        for node in walk.here.iter().chain(&walk.any_words) {
            node.destinations.iter().for_each(&mut *found);
        }
    }
}

/// Where the words read so far lead.
#[derive(Default)]
struct Walk<'a> {
    /// The nodes that the last word led to.
    here: Vec<&'a Node>,
    /// The nodes behind `#` that were reached: any further words lead there too.
    any_words: Vec<&'a Node>,
    /// Those by address: only looked up, never iterated.
    reached: BTreeSet<*const Node>,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, node: &'a Node) {
        self.here.push(node);
        let mut next = node.any_words.as_deref();
        while let Some(node) = next
            && self.reached.insert(node)
        {
            self.any_words.push(node);
            next = node.any_words.as_deref();
        }
    }

    fn step(&mut self, word: &[u8]) {
        let before = core::mem::take(&mut self.here);
        for at in 0..self.any_words.len() {
            self.step_from(self.any_words[at], word);
        }
        for node in before {
            self.step_from(node, word);
        }
    }

    fn step_from(&mut self, node: &'a Node, word: &[u8]) {
        if let Some(node) = node.words.get(word) {
            self.enter(node);
        }
        if let Some(node) = &node.one_word {
            self.enter(node);
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.one_word.is_none()
            && self.any_words.is_none()
            && self.destinations.is_empty()
    }

    /// Removes, and prunes what nothing is bound under any more.
    fn remove<'k>(&mut self, key: &mut impl Iterator<Item = &'k [u8]>, gone: &Destination) {
        let Some(word) = key.next() else {
            self.destinations.remove(gone);
            return;
        };
        match word {
            b"*" => remove_below(&mut self.one_word, key, gone),
            b"#" => remove_below(&mut self.any_words, key, gone),
            _ => {
                if let Some(node) = self.words.get_mut(word) {
                    node.remove(key, gone);
                    if node.is_empty() {
                        self.words.remove(word);
                    }
                }
            }
        }
    }
}

fn remove_below<'k>(
    below: &mut Option<Box<Node>>,
    key: &mut impl Iterator<Item = &'k [u8]>,
    gone: &Destination,
) {
    if let Some(node) = below {
        node.remove(key, gone);
        if node.is_empty() {
            *below = None;
        }
    }
}

fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Rest::of(key);
    core::iter::from_fn(move || {
        let (word, after) = rest.next()?;
        rest = after;
        Some(word)
    })
}

/// How many `#` a binding key has.
pub(crate) fn count_any_words(key: &ShortStr) -> usize {
    words(key.as_bytes()).filter(|word| *word == b"#").count()
}

/// The words of a key that are still to be matched.
#[derive(Clone, Copy)]
struct Rest<'a>(Option<&'a [u8]>);

impl<'a> Rest<'a> {
    fn of(key: &'a [u8]) -> Self {
        Self((!key.is_empty()).then_some(key))
    }

    fn next(self) -> Option<(&'a [u8], Self)> {
        let key = self.0?;
        Some(match key.iter().position(|byte| *byte == b'.') {
            Some(dot) => (&key[..dot], Self(Some(&key[dot + 1..]))),
            None => (key, Self(None)),
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn destination(name: &str) -> Destination {
        Destination::Exchange(name.into())
    }

    fn matched(trie: &TopicTrie, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        trie.matches(key.as_bytes(), &mut |destination| {
            let Destination::Exchange(name) = destination else { unreachable!() };
            found.push(name.to_text().into_owned());
        });
        found.sort();
        found.dedup();
        found
    }

    /// The rule, as plainly as it can be said.
    fn rule(pattern: &[&str], words: &[&str]) -> bool {
        match pattern.split_first() {
            None => words.is_empty(),
            Some((&"#", rest)) => (0..=words.len()).any(|skipped| rule(rest, &words[skipped..])),
            Some((first, rest)) => words
                .split_first()
                .is_some_and(|(word, words)| (*first == "*" || first == word) && rule(rest, words)),
        }
    }

    fn split(key: &str) -> Vec<&str> {
        if key.is_empty() { Vec::new() } else { key.split('.').collect() }
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_rule(
            bound in prop::collection::vec("([ab*#](\\.[ab*#]?){0,3})?", 0..12),
            removed in prop::collection::vec(any::<bool>(), 12),
            key in "([ab](\\.[ab]?){0,4})?",
        ) {
            let mut trie = TopicTrie::default();
            for pattern in &bound {
                trie.insert(&pattern.as_str().into(), destination(pattern));
            }
            let mut kept: Vec<String> = Vec::new();
            for (pattern, removed) in bound.iter().zip(removed) {
                if removed {
                    trie.remove(&pattern.as_str().into(), &destination(pattern));
                } else {
                    kept.push(pattern.clone());
                }
            }
            // A key bound twice and removed once is still bound: destinations are counted.
            let mut expected: Vec<String> =
                kept.into_iter().filter(|pattern| rule(&split(pattern), &split(&key))).collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(matched(&trie, &key), expected);
        }
    }

    #[test]
    fn the_empty_key_has_no_words() {
        let mut trie = TopicTrie::default();
        for pattern in ["", "#", "*", "#.#"] {
            trie.insert(&pattern.into(), destination(pattern));
        }
        assert_eq!(matched(&trie, ""), ["", "#", "#.#"]);
    }

    #[test]
    fn nothing_stays_behind_when_all_is_unbound() {
        let mut trie = TopicTrie::default();
        for pattern in ["a.*.b.#", "a.b", "#"] {
            trie.insert(&pattern.into(), destination("x"));
        }
        for pattern in ["a.b", "#", "a.*.b.#"] {
            trie.remove(&pattern.into(), &destination("x"));
        }
        assert!(trie.root.is_empty());
    }
}
