//! The configuration that is in force: each key with its value, and where that is from. What is
//! secret is hidden here already: nothing that is told of a configuration is told from elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::keys::{self, Key};
use super::{Loaded, Said, Source, syntax};

/// What is shown of what is secret.
const HIDDEN: &str = "********";

/// A key that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    /// What keys like it are about.
    pub(crate) section: &'static str,
    pub(crate) key: String,
    /// As it was said; what is secret is hidden.
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody has said anything: it is so by itself.
    Default,
    /// A line of a file.
    File(String),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
    /// Somebody who runs the broker has said so since the configuration was read.
    Request,
}

impl Origin {
    fn of(source: &Source) -> Self {
        let at = source.to_string();
        match source {
            Source::File(..) => Self::File(at),
            Source::Variable(_) => Self::Environment(at),
            Source::Flag(_) => Self::Flag(at),
        }
    }

    /// The kind of place.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Environment(_) => "environment",
            Self::Flag(_) => "flag",
            Self::Request => "request",
        }
    }

    /// The place.
    pub(crate) fn at(&self) -> Option<&str> {
        match self {
            Self::File(at) | Self::Environment(at) | Self::Flag(at) => Some(at),
            Self::Default | Self::Request => None,
        }
    }
}

/// What a key comes to: nothing, what it is by itself, or all that was said of it.
pub(super) fn of_key(loaded: &Loaded, section: &'static str, key: &Key) -> Vec<Effective> {
    let is_grouped = |said: &Said| said.key.group == key.group && !key.group.is_empty();
    let shown = |value: &str| if key.is_secret { HIDDEN } else { value }.to_owned();
    let said = loaded.said.iter().filter(|said| said.key.name == key.name);
    let said = said.map(|said| Effective {
        section,
        key: said.name.clone(),
        value: shown(&said.value),
        origin: Origin::of(&said.source),
    });
    let said: Vec<_> = said.collect();
    match key.default {
        Some(default) if said.is_empty() && !loaded.said.iter().any(is_grouped) => {
            let (key, value) = (key.name.to_owned(), shown(default));
            vec![Effective { section, key, value, origin: Origin::Default }]
        }
        _ => said,
    }
}

/// All keys, with the place of each in the table and the section that it is in.
fn placed() -> impl Iterator<Item = (usize, &'static str, &'static Key)> {
    let sections = keys::SECTIONS.iter();
    let all = sections.flat_map(|section| section.keys.iter().map(|key| (section.title, key)));
    all.enumerate().map(|(place, (section, key))| (place, section, key))
}

/// What is in force while the broker runs; all clones are one. Each key has its place in the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct InForce(Arc<Mutex<BTreeMap<usize, Vec<Effective>>>>);

impl InForce {
    /// What counts from a start on.
    pub(crate) fn new(loaded: &Loaded) -> Self {
        let rows = placed().map(|(place, section, key)| (place, of_key(loaded, section, key)));
        Self(Arc::new(Mutex::new(rows.collect())))
    }

    /// Of what was read again, takes those keys that count at once and that were taken.
    pub(crate) fn read_again(&self, loaded: &Loaded, is_taken: impl Fn(&str) -> bool) {
        let taken = placed().filter(|(_, _, key)| key.is_reloaded && is_taken(key.name));
        let rows = taken.map(|(place, section, key)| (place, of_key(loaded, section, key)));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
    }

    /// Takes a value that was asked for, in place of all that was said of the key or of keys that
    /// say the same in another way.
    pub(crate) fn ask(&self, name: &str, value: &str) {
        let Ok(words) = syntax::words(name) else { return };
        let Some((found, word)) = keys::find(&words) else { return };
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, section, key) in placed() {
            if key.name == found.name {
                let (key, value) = (found.with(word), value.to_owned());
                let row = Effective { section, key, value, origin: Origin::Request };
                rows.insert(place, vec![row]);
            } else if key.group == found.group && !key.group.is_empty() {
                rows.remove(&place);
            }
        }
    }

    /// All keys that count, in the order of the table.
    pub(crate) fn all(&self) -> Vec<Effective> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn load(flags: &[(&str, &str)]) -> Loaded {
        let flag = |(key, value): &(&str, &str)| ("--set", (*key).into(), (*value).into());
        let flags = flags.iter().map(flag).collect();
        let sources = Sources { flags, ..Sources::default() };
        sources.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn of<'a>(rows: &'a [Effective], key: &str) -> Option<(&'a str, &'static str)> {
        let found = rows.iter().find(|row| row.key == key)?;
        Some((&found.value, found.origin.kind()))
    }

    #[test]
    fn what_was_read_again_counts_where_it_can_and_was_taken() {
        let before = [("heartbeat", "5"), ("vhost_max", "3"), ("max_connections", "7")];
        let in_force = InForce::new(&load(&before));
        let after = [("heartbeat", "6"), ("vhost_max", "4")];
        in_force.read_again(&load(&after), |name| name != "max_connections");
        let rows = in_force.all();
        assert_eq!(of(&rows, "heartbeat"), Some(("5", "flag")), "a start would take it");
        assert_eq!(of(&rows, "vhost_max"), Some(("4", "flag")));
        assert_eq!(of(&rows, "max_connections"), Some(("7", "flag")), "was not taken");
    }

    #[test]
    fn what_is_asked_for_takes_the_place_of_what_says_the_same() {
        let in_force = InForce::new(&load(&[("vm_memory_high_watermark.relative", "0.5")]));
        in_force.ask("vm_memory_high_watermark.absolute", "1GiB");
        in_force.ask("no.such.key", "1");
        let rows = in_force.all();
        assert_eq!(of(&rows, "vm_memory_high_watermark.absolute"), Some(("1GiB", "request")));
        assert_eq!(of(&rows, "vm_memory_high_watermark.relative"), None);
        in_force.read_again(&load(&[]), |_| true);
        let rows = in_force.all();
        assert_eq!(of(&rows, "vm_memory_high_watermark.absolute"), None, "it is as it was");
        assert!(of(&rows, "vm_memory_high_watermark.relative").is_some());
    }

    #[test]
    fn no_secret_is_in_it() {
        let said = [("default_pass", "hunter2"), ("default_users.qa.password", "hunter2")];
        let rows = InForce::new(&load(&said)).all();
        assert_eq!(of(&rows, "default_pass"), Some((HIDDEN, "flag")));
        assert_eq!(of(&rows, "default_users.qa.password"), Some((HIDDEN, "flag")));
        assert!(!format!("{rows:?}").contains("hunter2"));
    }
}
