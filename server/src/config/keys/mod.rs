//! Every key there is: the one table from which files are read, `warren config` tells, and the
//! example is made.

mod broker;
#[cfg(test)]
mod example;
mod limits;
mod listeners;
mod meaningless;
mod operation;
mod vhosts;

use super::settings::Settings;
use super::syntax;

pub(super) use meaningless::{known as known_meaningless, meaningless};

/// What a key does with its value. The first text is what stands in place of the `$word`.
type Set = fn(&mut Settings, &str, &str) -> Result<(), String>;

/// A key, and all that is known of it.
#[derive(Debug)]
pub(super) struct Key {
    /// Its words, with dots between them. One with a `$` stands for any.
    pub(super) name: &'static str,
    /// Another name for it.
    pub(super) alias: &'static str,
    /// Settings of a group belong together: who sets one of them, in the environment or by a flag,
    /// takes the place of all that a file says of the group.
    pub(super) group: &'static str,
    /// What counts where nothing is said, as a file would have it; `None` if it cannot be said.
    pub(super) default: Option<&'static str>,
    /// What one might write.
    pub(super) example: &'static str,
    /// What it is, in sentences.
    pub(super) about: &'static str,
    /// Whether its value is not to be shown.
    pub(super) is_secret: bool,
    /// Whether a change counts at once when the broker is told to read its configuration again.
    pub(super) is_reloaded: bool,
    /// Takes the value.
    pub(super) set: Set,
}

/// What most keys are, for the rest of a row.
const KEY: Key = Key {
    name: "",
    alias: "",
    group: "",
    default: None,
    example: "",
    about: "",
    is_secret: false,
    is_reloaded: false,
    set: |_, _, _| Ok(()),
};

/// Keys that belong together.
pub(super) struct Section {
    /// What they are about.
    pub(super) title: &'static str,
    /// The keys.
    pub(super) keys: &'static [Key],
}

/// All of them.
pub(super) const SECTIONS: [Section; 13] = [
    Section { title: "Where clients connect", keys: &listeners::LISTENERS },
    Section { title: "TLS", keys: &listeners::TLS },
    Section { title: "Management", keys: &listeners::MANAGEMENT },
    Section { title: "Metrics", keys: &operation::METRICS },
    Section { title: "Connections", keys: &listeners::CONNECTIONS },
    Section { title: "Users", keys: &broker::USERS },
    Section { title: "New virtual hosts", keys: &vhosts::VHOSTS },
    Section { title: "Definitions", keys: &operation::DEFINITIONS },
    Section { title: "Memory and disk", keys: &broker::MEMORY_AND_DISK },
    Section { title: "Messages and queues", keys: &broker::QUEUES },
    Section { title: "Limits", keys: &limits::LIMITS },
    Section { title: "Logs", keys: &operation::LOGS },
    Section { title: "The node", keys: &operation::NODE },
];

/// All keys.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

impl Key {
    /// Whether these words are this key; then, what stands in place of its `$word`.
    fn matches<'a>(&self, words: &'a [String]) -> Option<&'a str> {
        match_name(self.name, words).or_else(|| match_name(self.alias, words))
    }

    /// The key with this in place of its `$word`, as a file has it.
    pub(super) fn with(&self, word: &str) -> String {
        let words: Vec<_> = self.name.split('.').map(|own| pick(own, word)).collect();
        syntax::written(&words)
    }

    /// How a file would set it: what counts by itself, or else an example.
    pub(super) fn sample(&self) -> (String, &'static str) {
        let word = match self.name.split('.').find(|own| own.starts_with('$')) {
            Some("$user") => "guest",
            Some("$tag") => "administrator",
            Some("$number" | "$version" | "$id") => "1",
            Some("$policy") => "limits",
            Some("$member") => "monitoring",
            _ => "default",
        };
        (self.with(word), self.default.unwrap_or(self.example))
    }
}

fn pick(own: &str, word: &str) -> String {
    if own.starts_with('$') { word.to_owned() } else { own.to_owned() }
}

fn match_name<'a>(name: &str, words: &'a [String]) -> Option<&'a str> {
    let own: Vec<_> = name.split('.').collect();
    if own.len() != words.len() {
        return None;
    }
    let mut any = "";
    for (own, word) in own.iter().zip(words) {
        match own.starts_with('$') {
            true => any = word,
            false if own == word => (),
            false => return None,
        }
    }
    Some(any)
}

/// The key that these words are, and what stands in place of its `$word`.
pub(super) fn find(words: &[String]) -> Option<(&'static Key, &str)> {
    all().find_map(|key| Some((key, key.matches(words)?)))
}

/// The key that was perhaps meant.
pub(super) fn nearest(words: &[String]) -> Option<String> {
    let given = syntax::written(words);
    let names = all().flat_map(|key| [key.name, key.alias]);
    let candidates = names.chain(meaningless::names()).filter(|name| !name.is_empty());
    let filled = candidates.map(|name| {
        let filled = name.split('.').enumerate().map(|(place, own)| match words.get(place) {
            Some(word) if own.starts_with('$') => word.clone(),
            _ => own.to_owned(),
        });
        filled.collect::<Vec<_>>().join(".")
    });
    let (distance, name) = filled
        .map(|name| (strsim::damerau_levenshtein(&given, &name), name))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= given.chars().count().div_ceil(3)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_name_by_another_name_and_by_any_word() {
        let find = |text: &str| {
            let words = syntax::words(text).expect("is a key");
            find(&words).map(|(key, any)| (key.name, any.to_owned()))
        };
        assert_eq!(find("heartbeat"), Some(("heartbeat", String::new())));
        assert_eq!(find("max_channels_per_connection"), Some(("channel_max", String::new())));
        assert_eq!(find("listeners.tcp"), Some(("listeners.tcp", String::new())));
        assert_eq!(find("listeners.tcp.local"), Some(("listeners.tcp.$name", "local".into())));
        assert_eq!(find("loopback_users.a\\.b"), Some(("loopback_users.$user", "a.b".into())));
        assert_eq!(find("listeners.tcp.a.b"), None);
        assert_eq!(find("heart"), None);
    }

    #[test]
    fn what_was_perhaps_meant_is_found() {
        let nearest = |text: &str| nearest(&syntax::words(text).expect("is a key"));
        assert_eq!(nearest("hartbeat").as_deref(), Some("heartbeat"));
        assert_eq!(nearest("listner.tcp.local").as_deref(), Some("listeners.tcp.local"));
        assert_eq!(nearest("ssl_option.keyfile").as_deref(), Some("ssl_options.keyfile"));
        assert_eq!(nearest("warren.dir").as_deref(), None);
        assert_eq!(nearest("something.quite.different"), None);
    }

    #[test]
    fn no_two_keys_have_a_name_and_each_is_explained() {
        let mut names: Vec<_> = all().flat_map(|key| [key.name, key.alias]).collect();
        names.extend(meaningless::names());
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for key in all() {
            assert!(key.about.ends_with('.'), "{}", key.name);
            assert!(key.default.is_some() || !key.example.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn what_the_table_calls_the_default_is_the_default() {
        for key in all() {
            let Some(default) = key.default else { continue };
            let mut settings = Settings::default();
            let (name, _) = key.sample();
            let read = (key.set)(&mut settings, "default", default);
            assert_eq!(read, Ok(()), "{name} = {default}");
            assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{name}");
        }
    }

    #[test]
    fn every_example_is_read() {
        for key in all().filter(|key| key.default.is_none()) {
            let (name, value) = key.sample();
            let mut settings = Settings::default();
            let read = (key.set)(&mut settings, "1", value);
            assert_eq!(read, Ok(()), "{name} = {value}");
        }
    }
}
