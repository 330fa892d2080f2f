//! Which broker the tests of this binary start, and how a test says that it cannot be run.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use warren_tests::setup::Setup;

/// Names a program that takes the place of `warren`.
const BROKER_VARIABLE: &str = "WARREN_DURABILITY_BROKER";

/// The broker of this run, on this data directory.
pub(crate) fn on(data_dir: &Path) -> Setup {
    let setup = Setup::new().in_dir(data_dir);
    match other() {
        Some(program) => setup.program(&program),
        None => setup,
    }
}

/// Whether the broker is not Warren.
pub(crate) fn is_other() -> bool {
    other().is_some()
}

/// Whether a test of what only Warren has is to be skipped, which it says.
pub(crate) fn is_for_warren_only(test: &str) -> bool {
    if is_other() {
        skipped(test, "it is about Warren only");
    }
    is_other()
}

/// Says that a test is skipped, past the capture of output: nobody must take it for passed.
pub(crate) fn skipped(test: &str, why: &str) {
    // Nobody reads standard error then.
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: {why}");
}

fn other() -> Option<PathBuf> {
    env::var_os(BROKER_VARIABLE).map(PathBuf::from)
}
