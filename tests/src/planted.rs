//! A Warren with a defect: a copy of the project's sources in which one place is another, built
//! beside the sound one.

use crate::broker::{build_command, profile, target_dir};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is needed to build the broker and the simulator.
const SOURCES: [&str; 7] = ["Cargo.toml", "Cargo.lock", "core", "io", "sim", "server", "tests"];

/// The programs of a Warren with a defect.
#[derive(Debug)]
pub struct Planted {
    target: PathBuf,
}

impl Planted {
    /// Builds it with `new` in place of `old`, which must stand once in this file; what it depends
    /// on is not built again where cargo can share it, and no time is spent on making it fast.
    /// Panics if it does not build.
    pub fn build(name: &str, file: &str, old: &str, new: &str) -> Self {
        let scratch = target_dir().join("planted").join(name);
        let (sources, target) = (scratch.join("sources"), scratch.join("target"));
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let sound = fs::read_to_string(root.join(file)).expect("a source file is text");
        assert_eq!(sound.matches(old).count(), 1, "{file} has another text now than {old}");
        let defect = (root.join(file), old.to_owned(), new.to_owned());
        // Cargo must not take it for the sound one, beside which it is built.
        let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        let other = version.replacen('=', "= \"0.0.0-planted\" #", 1);
        let changes = [defect, (root.join("Cargo.toml"), version, other)];
        for source in SOURCES {
            copy(&root.join(source), &sources.join(source), &changes)
                .unwrap_or_else(|error| panic!("copying {source}: {error}"));
        }
        // Both at once: what they share, the core above all, is built once.
        let mut build = build_command(&sources, &["warren", "warren-sim"], &target);
        build.env("CARGO_BUILD_BUILD_DIR", target_dir());
        build.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        let status = build.status().expect("cargo can be run");
        assert!(status.success(), "it builds; cargo has said above why not");
        Planted { target }
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join(profile()).join(name)
    }
}

/// A file, and what stands there in place of what.
type Change = (PathBuf, String, String);

/// Makes `to` the same as `from`, but for the changes. Files that are so already keep their time,
/// so that nothing is built again for them.
fn copy(from: &Path, to: &Path, changes: &[Change]) -> io::Result<()> {
    if from.is_file() {
        let mut bytes = fs::read(from)?;
        for (_, old, new) in changes.iter().filter(|(file, ..)| file == from) {
            bytes = String::from_utf8_lossy(&bytes).replacen(old, new, 1).into_bytes();
        }
        if fs::read(to).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(to.parent().expect("a file is in a folder"))?;
            fs::write(to, bytes)?;
        }
        return Ok(());
    }
    // What an earlier copy has of files that are gone since.
    for entry in fs::read_dir(to).into_iter().flatten() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if !from.join(name).exists() {
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name != "target" && name != "node_modules" && name != "corpus" {
            copy(&from.join(&name), &to.join(&name), changes)?;
        }
    }
    Ok(())
}
