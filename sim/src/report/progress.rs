//! The line of progress: rewritten in place for a person, a line now and then for a file.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often it is written for a person, and for a file.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How wide the bar is, in characters.
const BAR_LEN: usize = 20;

/// Progress of something that takes its time.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// It begins now.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), shown: None, is_terminal: stderr().is_terminal() }
    }

    /// Since when it has gone on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows how much of all is done, and `text`, unless that was done a moment ago.
    pub(crate) fn show(&mut self, done: u64, all: u64, text: impl FnOnce() -> String) {
        let every = if self.is_terminal { EVERY.0 } else { EVERY.1 };
        if self.shown.unwrap_or(self.started).elapsed() < every {
            return;
        }
        self.shown = Some(Instant::now());
        let left = left(self.elapsed(), done, all);
        let line = format!("{} {}{left}", bar(done, all), text());
        let _ = match self.is_terminal {
            true => write!(stderr(), "\r\x1b[2K{line}").and_then(|()| stderr().flush()),
            false => writeln!(stderr(), "{line}"),
        };
    }

    /// Takes the line away, so that something else can be written there.
    pub(crate) fn clear(&mut self) {
        if self.is_terminal && self.shown.take().is_some() {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }

    /// Writes a line that stays, above that of progress.
    pub(crate) fn note(&mut self, line: &str) {
        self.clear();
        anstream::eprintln!("{line}");
    }
}

fn bar(done: u64, all: u64) -> String {
    let full = (done * BAR_LEN as u64).checked_div(all).unwrap_or(0) as usize;
    format!("[{:-<BAR_LEN$}]", "#".repeat(full.min(BAR_LEN)))
}

/// How long the rest will take, if it goes on as it went.
fn left(elapsed: Duration, done: u64, all: u64) -> String {
    if done == 0 || done >= all {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() * (all - done) as f64 / done as f64;
    match seconds as u64 {
        seconds @ 0..120 => format!(", {seconds} s left"),
        seconds => format!(", {} min left", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_the_rest_is_foreseen() {
        assert_eq!(bar(0, 10), format!("[{}]", "-".repeat(20)));
        assert_eq!(bar(5, 10), format!("[{}{}]", "#".repeat(10), "-".repeat(10)));
        assert_eq!(bar(10, 10), format!("[{}]", "#".repeat(20)));
        assert_eq!(bar(0, 0), format!("[{}]", "-".repeat(20)));
        assert_eq!(left(Duration::from_secs(10), 50, 100), ", 10 s left");
        assert_eq!(left(Duration::from_secs(600), 50, 100), ", 10 min left");
        assert_eq!(left(Duration::from_secs(1), 0, 100), "");
    }
}
