//! The management page in a real browser: Debian's Chromium plays the flows under `browser/`, with
//! brokers and traffic of their own. Their names are the sentences that they prove, and stand in
//! the output (`--nocapture`).
//!
//! On a newcomer's machine without Chromium they are skipped, loudly. In CI, or with
//! `WARREN_REQUIRE_CLIENTS` set, that is a failure.

use std::env;
use std::path::Path;
use std::process::Command;
use warren_tests::broker::{binary, target_dir};

/// How `browser/run` says that something is not installed.
const MISSING: i32 = 3;

#[test]
fn the_management_page_does_in_a_browser_what_it_should() {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/run"));
    command.arg("--no-install").env("WARREN_BINARY", binary());
    let output = command.env("CARGO_TARGET_DIR", target_dir()).output().expect("bash is there");
    let (shown, told) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{shown}");
    if output.status.code() == Some(MISSING) {
        let variables = ["CI", "WARREN_REQUIRE_CLIENTS"];
        let is_required = variables.iter().any(|variable| env::var_os(variable).is_some());
        assert!(!is_required, "{told}");
        eprintln!("SKIPPED: {told}");
        return;
    }
    assert!(output.status.success(), "{}\n{told}", output.status);
}
