//! `coverage`: which of the broker's marks drawn plans reach.

use serde_json::{Value, json};

use super::Done;
use super::run::play_range;
use crate::cli::Coverage;
use crate::player::Player;

/// Plays seeds and says which marks they reached.
pub(crate) fn coverage(wanted: &Coverage) -> Done {
    let (from, to) = wanted.seeds;
    let (totals, elapsed) = play_range((from, to), wanted.jobs.count(), Player::default());
    let has_passed = totals.failures.is_empty();
    if wanted.json {
        let mut object = totals.json(elapsed);
        object.insert("command".into(), "coverage".into());
        object.insert("seeds".into(), json!({ "from": from, "to": to }));
        println!("{}", Value::Object(object));
    } else {
        anstream::print!("{}", totals.coverage.table());
        anstream::print!("{}", totals.coverage.verdict());
        anstream::print!("{}", totals.first_failures());
    }
    Ok(has_passed && (!wanted.check || totals.coverage.gaps().is_empty()))
}
