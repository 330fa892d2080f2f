//! Mutants: small patches that break the core the way real brokers broke. Each is applied to a copy
//! of the sources, built, and played until a checker names it.
//!
//! A mutant is a patch under `sim/mutants/`; what stands before its first `---` says what it does:
//! `promise:`, `what:`, and `seen in:` where a broker has shipped it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use warren_sim::plan;

use super::{Done, pool};
use crate::cli::{Hunt, Mutants};
use crate::player::Player;

/// What is copied of the project: all that its workspace needs to be built.
const SOURCES: [&str; 7] = ["Cargo.toml", "Cargo.lock", "core", "io", "sim", "server", "tests"];
/// Where mutants are, and where they are built.
const MUTANTS: &str = "sim/mutants";
const SCRATCH: &str = "target/mutants";
/// A mutant that has played for so long without an end does not end.
const PATIENCE: Duration = Duration::from_secs(600);

/// A mutant, as its file tells.
struct Mutant {
    name: String,
    promise: String,
    what: String,
    seen_in: String,
    patch: PathBuf,
}

/// How a mutant came to its end.
enum End {
    /// By which seed, and which checker.
    Caught(u64, String),
    Survived,
}

/// Builds and plays mutants, and prints a table of them; all is well if none survived.
pub(crate) fn mutants(args: &Mutants) -> Done {
    let mutants = read(args.only.as_deref())?;
    match args.check {
        true => check(&mutants),
        false => hunt_all(args, &mutants),
    }
}

/// Reads the mutants there are.
fn read(only: Option<&str>) -> Result<Vec<Mutant>, String> {
    let folder = fs::read_dir(MUTANTS);
    let folder = folder.map_err(|error| format!("{MUTANTS}, from the project's root: {error}"))?;
    let mut mutants = Vec::new();
    for entry in folder {
        let patch = entry.map_err(|error| error.to_string())?.path();
        let name = patch.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let is_patch = patch.extension().is_some_and(|extension| extension == "patch");
        if !is_patch || only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let text = fs::read_to_string(&patch).map_err(|e| format!("{}: {e}", patch.display()))?;
        let head = text.split("\n---").next().unwrap_or_default();
        let field = |key: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim().to_owned())
        };
        let missing = |key| format!("{} does not say its {key}", patch.display());
        mutants.push(Mutant {
            promise: field("promise:").ok_or_else(|| missing("promise"))?,
            what: field("what:").ok_or_else(|| missing("what"))?,
            seen_in: field("seen in:").unwrap_or_default(),
            name,
            patch,
        });
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// Whether each mutant still fits to the sources, and stands in the table.
fn check(mutants: &[Mutant]) -> Result<bool, String> {
    let table = Path::new(MUTANTS).join("README.md");
    let table = fs::read_to_string(&table).map_err(|e| format!("{}: {e}", table.display()))?;
    let mut is_well = true;
    for mutant in mutants {
        let fits = git_apply(Path::new("."), &mutant.patch, &["--check"])?;
        if !fits {
            println!("{} cannot be applied any more", mutant.name);
        }
        let is_told = table.contains(&format!("\n| {} |", mutant.name));
        if !is_told {
            println!("{} is not in the table of {MUTANTS}/README.md", mutant.name);
        }
        is_well &= fits && is_told;
    }
    println!("{} mutants", mutants.len());
    Ok(is_well)
}

fn hunt_all(args: &Mutants, mutants: &[Mutant]) -> Result<bool, String> {
    let sources = Path::new(SCRATCH).join("sources");
    let mut table = Table::default();
    for mutant in mutants {
        let started = Instant::now();
        let copied = SOURCES.iter().try_for_each(|name| copy(Path::new(name), &sources.join(name)));
        copied.map_err(|error| format!("copying the sources: {error}"))?;
        let patch = mutant.patch.canonicalize().map_err(|error| error.to_string())?;
        if !git_apply(&sources, &patch, &[])? {
            return Err(format!("{} cannot be applied any more", mutant.name));
        }
        let binary = build(&sources)?;
        let built = started.elapsed();
        let mut end = hunt_one(&binary, 0, args)?;
        while let End::Caught(seed, _) = &end
            && fails_anyway(*seed)
        {
            end = hunt_one(&binary, seed + 1, args)?;
        }
        let (built, hunted) = (built.as_secs(), (started.elapsed() - built).as_secs());
        let told = match &end {
            End::Caught(seed, checker) => format!("seed {seed}: {checker}"),
            End::Survived => format!("SURVIVED {} seeds", args.seeds),
        };
        eprintln!("{:<40} {told} (built in {built} s, played for {hunted} s)", mutant.name);
        table.add(mutant, end);
    }
    print!("{table}");
    Ok(table.survivors == 0)
}

/// Makes `to` the same as `from`; files that are so already keep their time, so that nothing is
/// built again for them.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_file() {
        let bytes = fs::read(from)?;
        if fs::read(to).ok().as_ref() != Some(&bytes) {
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(to, bytes)?;
        }
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name != "target" {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// Whether a patch fits, and was applied unless `options` say otherwise.
fn git_apply(folder: &Path, patch: &Path, options: &[&str]) -> Result<bool, String> {
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    let mut git = Command::new("git");
    // The folder may be below a repository, whose business this is not.
    git.arg("apply").args(options).arg(patch.canonicalize().map_err(|error| error.to_string())?);
    git.current_dir(&folder).env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(&folder));
    let status = git.status().map_err(|error| format!("git: {error}"))?;
    Ok(status.success())
}

/// Builds the simulator of a mutant.
fn build(sources: &Path) -> Result<PathBuf, String> {
    let target = Path::new(SCRATCH).join("target");
    fs::create_dir_all(&target).map_err(|error| error.to_string())?;
    let target = target.canonicalize().map_err(|error| error.to_string())?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "mutant", "-p", "warren-sim", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-A warnings")
        .current_dir(sources)
        .status();
    match built {
        Ok(status) if status.success() => Ok(target.join("mutant/warren-sim")),
        Ok(_) => Err("a mutant cannot be built".into()),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// Whether a seed fails with the core as it is, which says nothing about a mutant.
fn fails_anyway(seed: u64) -> bool {
    Player::default().play(&plan::draw(seed)).failure.is_some()
}

fn hunt_one(binary: &Path, from: u64, args: &Mutants) -> Result<End, String> {
    let [first, to, jobs] =
        [from, args.seeds, args.jobs.count() as u64].map(|number| number.to_string());
    let hunt = Command::new(binary)
        .args(["hunt", "--from", &first, "--to", &to, "--jobs", &jobs])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut hunt = hunt.map_err(|error| format!("{}: {error}", binary.display()))?;
    let started = Instant::now();
    while hunt.try_wait().map_err(|error| error.to_string())?.is_none() {
        if started.elapsed() > PATIENCE {
            // It may just have ended.
            let _ = hunt.kill();
            let _ = hunt.wait();
            return Ok(End::Caught(from, "does not end".into()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = hunt.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some("none"), _) => Ok(End::Survived),
        (Some(seed), Some(checker)) => {
            let seed = seed.parse().map_err(|_| format!("a hunt said {text:?}"))?;
            Ok(End::Caught(seed, checker.to_owned()))
        }
        // A stack that overflows, an allocation too large: the process ends by a signal.
        _ if output.status.code().is_none() => Ok(End::Caught(from, "the process ended".into())),
        _ => Err(format!("a hunt ended with {} and said {text:?}", output.status)),
    }
}

/// Plays seeds in turn until one fails, and prints which and by which checker.
pub(crate) fn hunt(args: &Hunt) -> Done {
    let found: Mutex<BTreeMap<u64, &'static str>> = Mutex::default();
    let is_found = AtomicBool::new(false);
    let play = |seed| {
        if is_found.load(Ordering::Relaxed) {
            return;
        }
        if let Some(failure) = Player::default().play(&plan::draw(seed)).failure {
            is_found.store(true, Ordering::Relaxed);
            found.lock().expect("no thread panics with it").insert(seed, failure.checker);
        }
    };
    pool::each((args.from, args.to), args.jobs.count(), play, || {});
    let found = found.into_inner().expect("no thread panics with it");
    match found.first_key_value() {
        Some((seed, checker)) => println!("{seed} {checker}"),
        None => println!("none"),
    }
    Ok(true)
}

/// What became of all mutants, for the documentation.
#[derive(Default)]
struct Table {
    rows: String,
    needed: Vec<u64>,
    survivors: u64,
}

impl Table {
    fn add(&mut self, mutant: &Mutant, end: End) {
        let (seeds, checker) = match end {
            End::Caught(seed, checker) => {
                self.needed.push(seed + 1);
                ((seed + 1).to_string(), format!("`{checker}`"))
            }
            End::Survived => {
                self.survivors += 1;
                ("none".into(), String::new())
            }
        };
        let Mutant { name, promise, what, seen_in, .. } = mutant;
        let _ = writeln!(
            self.rows,
            "| {name} | {promise} | {what} | {seen_in} | {seeds} | {checker} |"
        );
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| Mutant | Promise | What it does | Seen in | Seeds | Checker |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        f.write_str(&self.rows)?;
        let mut needed = self.needed.clone();
        needed.sort_unstable();
        let median = needed.get(needed.len() / 2).copied().unwrap_or_default();
        let slowest = needed.last().copied().unwrap_or_default();
        let (caught, left) = (needed.len(), self.survivors);
        writeln!(
            f,
            "\n{caught} caught: after {median} seeds at the median, {slowest} at the most;"
        )?;
        writeln!(f, "{left} survived")
    }
}
