//! Plans that are kept as files, and the commands that play them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use warren_sim::plan::Plan;

use super::Name;

/// How a plan is played again, from the root of the project.
const REPLAY: &str = "cargo run --release -p warren-sim -- replay";
/// What the name of a plan that was made smaller ends with.
const SHRUNK: &str = "-shrunk";

/// A plan's file.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Where it is, or why it is not there.
    pub(crate) path: Result<PathBuf, String>,
    /// How many steps it has.
    pub(crate) steps: usize,
}

impl Kept {
    /// Keeps a plan that failed. One that was read from a file is kept there already.
    pub(crate) fn original(name: &Name, plan: &Plan, about: &str) -> Self {
        let path = match name {
            Name::File(path) => Ok(path.clone()),
            name => write(&stem(name), plan, about),
        };
        Self { path, steps: plan.steps.len() }
    }

    /// Keeps what is left of a plan beside the original.
    pub(crate) fn shrunk(name: &Name, plan: &Plan, about: &str) -> Self {
        let stem = stem(name);
        let stem = format!("{}{SHRUNK}", stem.trim_end_matches(SHRUNK));
        Self { path: write(&stem, plan, about), steps: plan.steps.len() }
    }

    /// The file, or why there is none.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Ok(path) => path.display().to_string(),
            Err(error) => format!("not kept: {error}"),
        }
    }

    /// The command that plays it.
    pub(crate) fn replay(&self) -> Option<String> {
        let path = self.path.as_ref().ok()?;
        Some(format!("{REPLAY} {} --trace", path.display()))
    }
}

/// The command that plays a plan from where it came.
pub(super) fn replay(name: &Name) -> Option<String> {
    match name {
        Name::Seed(seed) => Some(format!("{REPLAY} --seed {seed} --trace")),
        Name::File(_) | Name::Case(..) => None,
    }
}

/// What is checked out, as far as git knows; else the version.
pub(crate) fn commit() -> &'static str {
    static COMMIT: OnceLock<String> = OnceLock::new();
    COMMIT.get_or_init(|| {
        let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let said = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        let name = said.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        name.unwrap_or_else(|| concat!("version ", env!("CARGO_PKG_VERSION")).to_owned())
    })
}

/// The name of a plan's file, without what it ends with.
fn stem(name: &Name) -> String {
    let of = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match name {
        Name::Seed(seed) => format!("seed-{seed}"),
        Name::File(path) => of(path),
        Name::Case(path, case) => format!("{}-{case}", of(path)),
    }
}

/// Writes a plan below the build's own folder if there is one; `about` stands at its head.
fn write(stem: &str, plan: &Plan, about: &str) -> Result<PathBuf, String> {
    let target = PathBuf::from("target");
    let folder = if target.is_dir() { target } else { std::env::temp_dir() }.join("sim");
    let path = folder.join(format!("{stem}.plan"));
    let head: String = about.lines().map(|line| format!("# {line}\n")).collect();
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, format!("{head}{plan}")))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
