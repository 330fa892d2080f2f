//! Rules of the house that no compiler checks. Each test's name is the rule; what breaks it is
//! listed with its place.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing that people wrote.
const NOT_OURS: [&str; 8] = [
    "target",
    "node_modules",
    "corpus",
    "artifacts",
    "coverage",
    "warren-data",
    "dist",
    "test-dist",
];

/// What `core` may depend on: crates that need no operating system.
const CORE_MAY_USE: [&str; 7] =
    ["bytes", "foldhash", "hashbrown", "regex-automata", "serde", "sha2", "xxhash-rust"];

/// Words in names of files and folders that say nothing of what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "manager", "misc", "helper", "helpers", "common", "stuff"];

/// What gives `core` a way to the world outside.
const OUTSIDE: [&str; 9] = [
    "std::time",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "std::sync",
    "std::io",
    "unsafe ",
];

/// What is not the same on every machine. Lints see to the rest: floating-point arithmetic and the
/// machine's byte order are denied in the core, and its hash maps cannot be iterated.
const OF_THE_MACHINE: [&str; 12] = [
    "f32",
    "f64",
    "size_of",
    "align_of",
    "as_ptr",
    "_ne(",
    "usize::BITS",
    "target_pointer_width",
    "target_endian",
    "target_arch",
    "RandomState",
    "hashbrown::HashMap",
];

/// Where one of them stands all the same: the wrapper that keeps hash maps from being iterated.
const MAY_KNOW_THE_MACHINE: [&str; 1] = ["core/src/hash.rs"];

/// Integers whose width is the machine's, on their way into a format.
const OF_THE_MACHINE_IN_FORMATS: [&str; 4] =
    ["usize).to_le_bytes", "usize::from_le_bytes", "put_uint", "put_int"];

#[test]
fn no_file_is_longer_than_900_lines() {
    check(&["rs", "py", "js", "sh", "ts", "tsx", "css"], |text| {
        let lines = text.lines().count();
        (lines > 900).then(|| (lines, "is beyond 900".to_owned())).into_iter().collect()
    });
}

#[test]
fn every_module_opens_by_saying_what_it_owns() {
    check(&["rs"], |text| {
        if text.starts_with("//!") {
            vec![]
        } else {
            vec![(1, "does not begin with //!".to_owned())]
        }
    });
}

/// rustfmt sees to the rest, but leaves comments and long strings alone.
#[test]
fn no_line_of_rust_is_longer_than_100_columns_unless_a_string_makes_it_so() {
    lines_of_rust(|line| line.chars().count() > 100 && !line.contains('"'));
}

#[test]
fn nothing_is_left_to_do_or_ignored() {
    // Put together here, so that this file does not break its own rule.
    let marks = [["to", "do!("], ["unimple", "mented!("], ["#[ig", "nore"], ["FIX", "ME"]];
    let marks = marks.map(|mark| mark.concat());
    lines_of_rust(|line| marks.iter().any(|mark| line.contains(mark.as_str())));
}

#[test]
fn names_of_files_and_folders_say_what_is_inside() {
    let mut broken = Vec::new();
    for path in ours() {
        let inside = path.strip_prefix(root()).expect("was found in there").to_owned();
        for part in inside.iter() {
            let stem = Path::new(part).file_stem().unwrap_or(part).to_string_lossy().into_owned();
            if stem.split(['_', '-']).any(|word| EMPTY_NAMES.contains(&word)) {
                broken.push(inside.display().to_string());
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_core_has_no_way_to_the_world_outside() {
    let core = root().join("core");
    let lib = fs::read_to_string(core.join("src/lib.rs")).expect("the core has a root");
    for attribute in ["no_std", "forbid(unsafe_code)"] {
        assert!(lib.contains(attribute), "core/src/lib.rs does not say {attribute}");
    }
    let mut broken = String::new();
    for path in ours().into_iter().filter(|path| path.starts_with(core.join("src"))) {
        let text = fs::read_to_string(&path).expect("a source file is text");
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if OUTSIDE.iter().any(|word| code.contains(word)) {
                writeln!(broken, "{}:{}: {line}", path.display(), n + 1)
                    .expect("a string takes all");
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn the_core_decides_the_same_on_every_machine() {
    let mut broken = String::new();
    for path in ours().into_iter().filter(|path| path.starts_with(root().join("core/src"))) {
        let inside = path.strip_prefix(root()).expect("was found in there").to_string_lossy();
        if MAY_KNOW_THE_MACHINE.contains(&&*inside) || inside.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file is text");
        let code = text.split("mod tests {").next().unwrap_or("");
        for (n, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let words = OF_THE_MACHINE.iter().chain(&OF_THE_MACHINE_IN_FORMATS);
            if words.into_iter().any(|word| code.contains(word)) {
                writeln!(broken, "{inside}:{}: {line}", n + 1).expect("a string takes all");
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn the_core_depends_on_nothing_that_needs_an_operating_system() {
    let manifest = fs::read_to_string(root().join("core/Cargo.toml")).expect("the core has one");
    let (_, after) = manifest.split_once("[dependencies]").expect("the core has dependencies");
    let section = after.split("\n[").next().unwrap_or("");
    let names = section.lines().filter_map(|line| line.split(['=', '.', ' ']).next());
    let others: Vec<_> = names
        .filter(|name| !name.is_empty() && !name.starts_with('#') && !CORE_MAY_USE.contains(name))
        .collect();
    assert!(others.is_empty(), "the core depends on {others:?}; is it no_std? Then list it here");
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let mut broken = String::new();
    for path in ours().into_iter().filter(|path| has_extension(path, &["md"])) {
        let text = fs::read_to_string(&path).expect("documentation is text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or("");
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            let folder = path.parent().expect("a file is in a folder");
            if !elsewhere && !folder.join(file).exists() {
                writeln!(broken, "{}: {link}", path.display()).expect("a string takes all");
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn lock_files_of_npm_are_kept_where_something_is_built_and_name_no_registry() {
    let locks = ["package-lock.json", "npm-shrinkwrap.json", "yarn.lock"];
    for path in ours() {
        if !locks.iter().any(|lock| path.ends_with(lock)) {
            continue;
        }
        let is_of_page = path == root().join("server/page/package-lock.json");
        assert!(is_of_page, "{}: package.json names exact versions already", path.display());
        let text = fs::read_to_string(&path).expect("a lock file is text");
        assert!(!text.contains("\"resolved\""), "{} names a registry", path.display());
    }
}

/// What is shown may come from anybody: browsers are never given it as HTML.
#[test]
fn nothing_in_the_page_is_made_of_text_that_is_taken_for_html() {
    let ways = ["innerHTML", "outerHTML", "insertAdjacentHTML", "dangerouslySet", "document.write"];
    let ways = ways.iter().chain(&["DOMParser", "createContextualFragment", "srcdoc", "eval("]);
    let ways: Vec<_> = ways.collect();
    let page = root().join("server/page/src");
    let sources = ours().into_iter().filter(|path| path.starts_with(&page));
    let mut count = 0;
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source file is text");
        let found: Vec<_> = ways.iter().filter(|way| text.contains(**way)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
        count += 1;
    }
    assert!(count > 10, "the page is made of more than {count} files");
}

fn lines_of_rust(is_broken: impl Fn(&str) -> bool) {
    check(&["rs"], |text| {
        let lines = text.lines().enumerate();
        lines.filter(|(_, l)| is_broken(l)).map(|(n, line)| (n + 1, line.to_owned())).collect()
    });
}

/// Fails with every complaint, each a line number and what is wrong there.
fn check(extensions: &[&str], complaints: impl Fn(&str) -> Vec<(usize, String)>) {
    let files: Vec<_> = ours().into_iter().filter(|path| has_extension(path, extensions)).collect();
    assert!(files.len() > 10, "the project has more files than {files:?}");
    let mut broken = String::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a source file is text");
        for (line, what) in complaints(&text) {
            writeln!(broken, "{}:{line}: {what}", path.display()).expect("a string takes all");
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted))
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package is in the workspace").to_owned()
}

/// Every file of the project.
fn ours() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be read").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                folders.push(entry.path());
            } else if !is_folder {
                files.push(entry.path());
            }
        }
    }
    files
}
