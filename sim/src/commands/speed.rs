//! `speed`: how fast the simulator is, on one core and with all checkers on.

use std::time::{Duration, Instant};

use serde_json::json;
use warren_sim::plan;

use super::{Done, run::play_range};
use crate::cli::Speed;
use crate::player::Player;
use crate::report::grouped;

/// Plays the dense plan a few times, and drawn seeds once.
pub(crate) fn speed(speed: &Speed) -> Done {
    let plan = plan::dense(speed.length);
    let mut rounds = Vec::new();
    for _ in 0..speed.rounds.max(1) {
        let started = Instant::now();
        let outcome = Player::default().play(&plan);
        let rate = per_second(outcome.operations, started.elapsed());
        if let Some(failure) = outcome.failure {
            eprintln!("the dense plan fails: {failure}");
            return Ok(false);
        }
        rounds.push(rate);
    }
    rounds.sort_unstable();
    let (slowest, median, fastest) =
        (rounds[0], rounds[rounds.len() / 2], rounds[rounds.len() - 1]);
    let (totals, elapsed) = play_range(speed.seeds, 1, Player::default());
    let drawn = per_second(totals.operations, elapsed);
    let (from, to) = speed.seeds;
    if speed.json {
        let dense = json!({ "slowest": slowest, "median": median, "fastest": fastest });
        let object = json!({
            "command": "speed",
            "dense": dense,
            "drawn": drawn,
            "seeds": { "from": from, "to": to },
        });
        println!("{object}");
    } else {
        println!("operations per second, on one core, all checkers on");
        println!(
            "dense plan   {} (median of {} rounds, {} to {})",
            grouped(median),
            rounds.len(),
            grouped(slowest),
            grouped(fastest),
        );
        println!("drawn seeds  {} ({from}..{to})", grouped(drawn));
    }
    Ok(totals.failures.is_empty())
}

fn per_second(operations: u64, time: Duration) -> u64 {
    (operations as f64 / time.as_secs_f64()) as u64
}
