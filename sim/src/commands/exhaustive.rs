//! `exhaustive`: a small plan with all there is of crashes and of split streams.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use warren_sim::exhaustive::{Breadth, Case, Kind, Survey};
use warren_sim::plan::Plan;
use warren_sim::run::Outcome;

use super::shrink::shrink_first;
use super::{Done, pool, read};
use crate::cli::{Exhaustive, Only};
use crate::player::Player;
use crate::report::{BAD, Failed, Name, Progress, Totals, fields, grouped};

/// What was played of one plan.
struct Played {
    path: PathBuf,
    /// What there was to try.
    requests: u64,
    bytes: (u64, usize),
    /// How many cases there are, but for those in a recovery.
    cases: usize,
    runs: BTreeMap<Kind, u64>,
    totals: Totals,
    elapsed: Duration,
}

/// Plays each plan exhaustively.
pub(crate) fn exhaustive(exhaustive: &Exhaustive) -> Done {
    let mut all = Vec::new();
    for path in files(&exhaustive.plans)? {
        let plan = read(&path)?;
        let mut played = play_all(exhaustive, path, &plan);
        shrink_first(&mut played.totals.failures, exhaustive.shrink_time);
        if !exhaustive.json {
            anstream::print!("{}", played.totals.first_failures());
            anstream::println!("{}\n", played.summary());
        }
        all.push(played);
    }
    let has_passed = all.iter().all(|played| played.totals.failures.is_empty());
    if exhaustive.json {
        let plans: Vec<Value> = all.iter().map(Played::json).collect();
        let object = json!({ "command": "exhaustive", "passed": has_passed, "plans": plans });
        println!("{object}");
    }
    Ok(has_passed)
}

/// The plans that are meant; of a folder, all that are in it.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            found.push(entry.map_err(fail)?.path());
        }
        found.retain(|path| path.extension().is_some_and(|kind| kind == "plan"));
        found.sort();
        if found.is_empty() {
            return Err(format!("{}: there is no plan in it", path.display()));
        }
        files.extend(found);
    }
    Ok(files)
}

fn breadth(exhaustive: &Exhaustive) -> Breadth {
    let only = exhaustive.only;
    Breadth {
        seeds: exhaustive.seeds_per_point,
        has_crashes: only != Some(Only::Splits),
        has_recoveries: !matches!(only, Some(Only::Splits | Only::Crashes)),
        has_splits: !matches!(only, Some(Only::Crashes | Only::Recoveries)),
    }
}

fn play_all(exhaustive: &Exhaustive, path: PathBuf, plan: &Plan) -> Played {
    let mut progress = Progress::new();
    let player = exhaustive.broken.player();
    let survey = match Survey::new(plan, breadth(exhaustive), player.broken) {
        Ok(survey) => survey,
        Err(failed) => return Played::without_survey(path, &failed.0, failed.1, player),
    };
    let places = survey.places(exhaustive.sample.unwrap_or(usize::MAX));
    let all = places.len() as u64;
    let shared = Mutex::new((0, Totals::default(), BTreeMap::new()));
    pool::each(
        (0, all),
        exhaustive.jobs.count(),
        |at| {
            let mut started = Instant::now();
            survey.play(places[at as usize], &mut |kind, case, outcome| {
                let time = started.elapsed();
                let failed = failed(&path, &case, &outcome, player);
                let mut shared = shared.lock().expect("no thread panics with the totals");
                shared.1.add(&case.name, &outcome, time);
                shared.1.failures.extend(failed);
                *shared.2.entry(kind).or_insert(0) += 1;
                started = Instant::now();
            });
            shared.lock().expect("no thread panics with the totals").0 += 1;
        },
        || {
            let shared = shared.lock().expect("no thread panics with the totals");
            let elapsed = progress.elapsed();
            progress.show(shared.0, all, || {
                format!("{}/{all} {}, {}", shared.0, path.display(), shared.1.progress(elapsed))
            });
        },
    );
    progress.clear();
    let (_, totals, runs) = shared.into_inner().expect("no thread panics with the totals");
    Played {
        path,
        requests: survey.requests(),
        bytes: survey.bytes(),
        cases: survey.len(),
        runs,
        totals,
        elapsed: progress.elapsed(),
    }
}

fn failed(path: &Path, case: &Case, outcome: &Outcome, player: Player) -> Option<Failed> {
    let failure = outcome.failure.clone()?;
    let name = Name::Case(path.to_owned(), case.name.clone());
    Some(Failed::new(name, &case.plan, failure, player))
}

impl Played {
    /// The plan fails without any of the troubles that were to be tried.
    fn without_survey(path: PathBuf, plan: &Plan, outcome: Outcome, player: Player) -> Self {
        let case = Case { name: "without-trouble".to_owned(), plan: plan.clone() };
        let mut totals = Totals::default();
        totals.failures.extend(failed(&path, &case, &outcome, player));
        totals.add(&case.name, &outcome, Duration::ZERO);
        Self {
            path,
            requests: 0,
            bytes: (0, 0),
            cases: 0,
            runs: BTreeMap::new(),
            totals,
            elapsed: Duration::ZERO,
        }
    }

    fn runs(&self, kind: Kind) -> u64 {
        self.runs.get(&kind).copied().unwrap_or(0)
    }

    fn summary(&self) -> String {
        let path = self.path.display();
        if self.cases == 0 {
            let text = "fails as it is: nothing was added to it";
            return format!("plan        {path}\n            {BAD}{text}{BAD:#}");
        }
        let [crashes, again, splits] =
            [Kind::Crash, Kind::CrashInRecovery, Kind::Split].map(|kind| grouped(self.runs(kind)));
        let (bytes, connections) = self.bytes;
        format!(
            "plan        {path}\n\
             crashes     {crashes} at {} requests to the disk, {again} more in the recoveries that \
             followed\n\
             splits      {splits} of {} bytes on {connections} connections\n{}",
            grouped(self.requests),
            grouped(bytes),
            self.totals.summary("runs", self.elapsed)
        )
    }

    fn json(&self) -> Value {
        let mut object = self.totals.json(self.elapsed);
        object.extend(fields(json!({
            "plan": self.path.display().to_string(),
            "disk_requests": self.requests,
            "bytes_sent": self.bytes.0,
            "connections": self.bytes.1,
            "cases": self.cases,
            "crashes": self.runs(Kind::Crash),
            "crashes_in_recovery": self.runs(Kind::CrashInRecovery),
            "splits": self.runs(Kind::Split),
        })));
        Value::Object(object)
    }
}
