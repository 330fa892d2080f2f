//! What befell the broker in a run, by class: counted where it happens, not where a plan asks for
//! it, so that what is counted truly was.

use std::collections::BTreeMap;

/// All classes, by what they befall; those of [`ANSWERS`] are what the broker made of it.
pub const CLASSES: [(&str, &[&str]); 8] = [
    (
        "links",
        &[
            "fragmented-link",
            "jittery-link",
            "narrow-window",
            "clog",
            "slow-reader",
            "zero-window",
            "half-close",
            "end-in-frame",
            "hangup",
            "reset",
            "half-open",
            "mass-reconnect",
        ],
    ),
    (
        "clients",
        &[
            "garbage",
            "oversize-frame",
            "wrong-channel",
            "spoilt-handshake",
            "silent-handshake",
            "early-handshake",
            "flood",
            "many-declares",
            "half-sent-body",
            "abandoned-body",
            "abandoned-tx",
            "abandoned-unacked",
        ],
    ),
    (
        "process",
        &["crash", "crash-in-recovery", "crash-in-stop", "stop", "pause", "outage", "other-limits"],
    ),
    (
        "power",
        &[
            "power",
            "power-in-recovery",
            "power-in-stop",
            "lost-sector",
            "lost-with-gap",
            "lost-entry",
            "lost-length",
            "torn-write",
            "short-write",
        ],
    ),
    (
        "disk",
        &[
            "eio-write",
            "eio-sync",
            "eio-read",
            "eio-create",
            "eio-truncate",
            "eio-delete",
            "eio-sync-dir",
            "enospc",
            "slow-request",
            "stuck-request",
        ],
    ),
    (
        "decay",
        &[
            "rot",
            "stale-sector",
            "misdirected-write",
            "misdirected-read",
            "lying-sync",
            "lost-after-lie",
            "disk-gone",
        ],
    ),
    ("strain", &["idle", "memory-alarm", "disk-alarm", "flapping", "low-limits"]),
    (ANSWERS, &["halt", "halt-on-damage", "refused", "tail-lost", "given-up"]),
];

/// What the broker made of what befell it.
pub const ANSWERS: &str = "answers";

/// How often each class happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    /// It happened once.
    pub(crate) fn note(&mut self, class: &'static str) {
        self.note_many(class, 1);
    }

    /// It happened so often.
    pub(crate) fn note_many(&mut self, class: &'static str, count: u64) {
        debug_assert!(
            CLASSES.iter().any(|(_, classes)| classes.contains(&class)),
            "{class} is not among the classes"
        );
        if count > 0 {
            *self.0.entry(class).or_default() += count;
        }
    }

    /// What another has counted happened as well.
    pub(crate) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(class, count)| self.note_many(class, *count));
    }

    /// How often each class happened that did.
    pub(crate) fn into_counts(self) -> BTreeMap<&'static str, u64> {
        self.0
    }
}
