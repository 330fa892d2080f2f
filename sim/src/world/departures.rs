//! How clients come and go, and what they leave undone: which class of faults it is counted as.

use super::{Client, Link};
use crate::judge::Judge;
use crate::model::Mode;
use crate::plan::Step;
use crate::tally::Tally;

/// So many clients that come at one moment are a crowd.
const CROWD: u32 = 5;
/// A window below this is narrow, in bytes.
const NARROW: u64 = 1024;
/// A window that is full for so long has nobody behind it who reads.
const DEAF_NS: u64 = 60_000_000_000;

/// What a step does to a client that is there, if it is a fault.
pub(super) fn class(step: &Step) -> Option<&'static str> {
    Some(match step.verb() {
        "stall" => "slow-reader",
        "clog" => "clog",
        "eof" if step.is("half") => "end-in-frame",
        "eof" => "half-close",
        "hangup" => "hangup",
        "reset" => "reset",
        "vanish" => "half-open",
        _ => return None,
    })
}

/// Whether a client leaves with this step, without a word.
pub(super) fn is_departure(step: &Step) -> bool {
    matches!(step.verb(), "eof" | "hangup" | "reset" | "vanish")
}

/// Counts what a client that leaves has begun and not ended, as far as the broker knows of it.
pub(super) fn note_abandoned(tally: &mut Tally, client: &Client, judge: &Judge) {
    if client.channels.values().any(|channel| channel.has_cut_body) {
        tally.note("abandoned-body");
    }
    let connection = client.link.and_then(|link| judge.model.connections.get(&link));
    let Some(connection) = connection else { return };
    let in_tx = |mode: &Mode| match mode {
        Mode::Tx { publishes, settles } => !publishes.is_empty() || !settles.is_empty(),
        _ => false,
    };
    if connection.channels.values().any(|channel| in_tx(&channel.mode)) {
        tally.note("abandoned-tx");
    }
    if connection.channels.values().any(|channel| !channel.unacked.is_empty()) {
        tally.note("abandoned-unacked");
    }
}

/// Counts what is unusual about a client that connects, the `nth` at this moment.
pub(super) fn note_arrival(tally: &mut Tally, connect: &Step, nth: u32) {
    let unusual = [
        ("fragmented-link", connect.number("fragment_max", 0) > 0),
        ("jittery-link", connect.number("jitter_us", 0) > 0),
        ("narrow-window", connect.number("window", u64::MAX) < NARROW),
        ("mass-reconnect", nth == CROWD),
    ];
    unusual.iter().filter(|(_, is_so)| *is_so).for_each(|(class, _)| tally.note(class));
}

impl Link {
    /// Counts that there was no room for long for what the broker sends.
    pub(super) fn note_room(&mut self, now: u64, tally: &mut Tally) {
        if self.down.room() == 0 && !self.down.is_cut() {
            self.full_since.get_or_insert(now);
        } else if self.full_since.take().is_some_and(|since| now >= since + DEAF_NS) {
            tally.note("zero-window");
        }
    }
}
