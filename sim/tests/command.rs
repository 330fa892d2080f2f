//! The command line, as people and machines use it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder of its own to run in, without a `target` of which to speak.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("target")).expect("a folder for the test");
        Self(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_warren-sim"));
        let output = command.args(arguments).current_dir(&self.0).output();
        output.expect("the simulator starts")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    fn read(&self, path: &str) -> String {
        let path = self.0.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn corpus(name: &str) -> String {
    format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A seed that fails for its order if deliveries are swapped: which one that is changes with what
/// is drawn.
fn seed_out_of_order(folder: &Folder) -> String {
    let swap = ["--break", "swap-deliveries", "--shrink-time", "0s", "--json"];
    let run = folder.json(&[&["run", "--seeds", "0..20"], &swap[..]].concat());
    let failures = run["failures"].as_array().expect("failures");
    let failure = failures.iter().find(|failure| failure["checker"] == "order");
    let seed = failure.and_then(|failure| failure["seed"].as_u64());
    seed.expect("one of twenty is out of order").to_string()
}

#[test]
fn a_failure_says_all_that_is_needed_and_its_shrunk_plan_fails_again() {
    let folder = Folder::new("failure");
    let seed = seed_out_of_order(&folder);
    let output = folder.run(&["run", "--seed", &seed, "--break", "swap-deliveries"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    for part in [
        "what is left of the plan:",
        "<! basic.deliver",
        "the life of m",
        "failed      seed {seed}\n",
        "checker     order (phase ",
        "commit      ",
        "plan        target/sim/seed-{seed}.plan (",
        "shrunk      target/sim/seed-{seed}-shrunk.plan (",
        "-- replay target/sim/seed-{seed}-shrunk.plan --trace --break swap-deliveries\n",
        "-- replay --seed {seed} --trace --break swap-deliveries\n",
    ] {
        let part = part.replace("{seed}", &seed);
        assert!(said.contains(&part), "{part:?} is missing in:\n{said}");
    }
    assert!(!said.contains('\x1b'), "colours in a pipe");
    let file = format!("target/sim/seed-{seed}-shrunk.plan");
    let shrunk = folder.read(&file);
    assert!(shrunk.starts_with(&format!("# seed {seed}, shrunk from ")), "{shrunk}");
    assert!(shrunk.len() < folder.read(&format!("target/sim/seed-{seed}.plan")).len() / 10);

    let replayed = folder.json(&["replay", &file, "--break", "swap-deliveries", "--json"]);
    assert_eq!(replayed["passed"], false);
    assert_eq!(replayed["failure"]["checker"], "order");
    assert_eq!(replayed["failure"]["plan"]["file"], file);
}

#[test]
fn a_range_has_a_summary_for_people_and_one_for_machines() {
    let folder = Folder::new("range");
    let output = folder.run(&["run", "--seeds", "3..6", "--jobs", "2"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in
        ["seeds       3 in ", "operations  ", "\nsafety ", "faults      ", "failures    none"]
    {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert!(said.lines().count() < 40, "it does not fit a screen:\n{said}");

    let run =
        ["run", "--seeds", "0..4", "--break", "drop-reply", "--shrink-time", "50ms", "--json"];
    let run = folder.json(&run);
    assert_eq!((&run["runs"], &run["passed"]), (&4.into(), &false.into()));
    let failure = &run["failures"][0];
    assert_eq!(failure["checker"], "protocol", "{failure}");
    let file = failure["plan"]["file"].as_str().expect("a kept plan");
    assert!(folder.read(file).contains("connect"));
    assert!(failure["shrunk"]["plays"].as_u64() > Some(0), "{failure}");
    assert_eq!(run["phases"][0]["name"], "safety");
}

#[test]
fn what_is_exhaustive_is_counted_by_kind() {
    let folder = Folder::new("exhaustive");
    let plan = corpus("exhaustive/confirms.plan");
    let played = folder.json(&["exhaustive", &plan, "--sample", "6", "--json"]);
    let plan = &played["plans"][0];
    let count = |key: &str| plan[key].as_u64().expect("a count");
    assert_eq!((&played["passed"], count("crashes") + count("splits")), (&true.into(), 6));
    assert_eq!(count("runs"), 6 + count("crashes_in_recovery"));
    assert!(count("disk_requests") > 20 && count("bytes_sent") > 300);

    let broken = ["exhaustive", &corpus("exhaustive/confirms.plan"), "--break", "empty-disk"];
    let said = text(&folder.run(&broken));
    assert!(said.contains("confirms.plan: without-trouble\n"), "{said}");
    assert!(said.contains("fails as it is"), "{said}");

    let nothing = folder.run(&["exhaustive", "target"]);
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn the_page_of_a_run_holds_all_of_it_and_loads_nothing() {
    let folder = Folder::new("page");
    let seed = seed_out_of_order(&folder);
    folder.run(&["replay", &seed, "--break", "swap-deliveries", "--html", "run.html"]);
    let page = folder.read("run.html");
    for loaded in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(loaded), "the page has {loaded}");
    }
    let (_, data) = page.split_once("id=\"run\">").expect("the data");
    let (data, _) = data.split_once("</script>").expect("the data's end");
    let run: Value = serde_json::from_str(data).expect("the data is JSON");
    assert_eq!(run["failure"]["checker"], "order");
    let last = run["lines"].as_array().and_then(|lines| lines.last()).expect("lines");
    let what = last[2].as_str().expect("what happened");
    assert!(what.starts_with("! order: "), "{what}");
    let begun = run["steps_begun"].as_u64().expect("a count") as usize;
    assert!(run["steps"].as_array().expect("steps").len() >= begun);
}

#[test]
fn what_makes_no_sense_is_said_so() {
    let folder = Folder::new("nonsense");
    let output = folder.run(&["shrink", &corpus("half-open.plan")]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("passes: there is nothing to shrink"), "{said}");

    let output = folder.run(&["replay", "there-is-no-such.plan"]);
    assert_eq!(output.status.code(), Some(2));
    for help in [vec!["--help"], vec!["run", "--help"], vec!["exhaustive", "--help"]] {
        assert!(text(&folder.run(&help)).contains("Examples:"), "{help:?}");
    }
}

#[test]
fn marks_that_few_seeds_do_not_reach_are_named_and_fail_a_check() {
    let folder = Folder::new("marks");
    let coverage = folder.json(&["coverage", "--seeds", "0..3", "--json"]);
    let marks = coverage["coverage"]["marks"].as_array().expect("a list");
    let first = marks.iter().find(|mark| mark["name"] == "first-start").expect("a mark");
    assert_eq!((&first["seeds"], &first["first"]), (&Value::from(3), &Value::from(0)));
    let output = folder.run(&["run", "--seeds", "0..3", "--check-marks"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("marks       "), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is common, and was not reached"), "{said}");
    assert_eq!(folder.run(&["run", "--seeds", "0..3"]).status.code(), Some(0));
}

#[test]
fn a_plan_is_shrunk_to_what_reaches_a_mark() {
    let folder = Folder::new("reaching");
    let plan = corpus("marks/torn-tail-cut.plan");
    let output = folder.run(&["shrink", &plan, "--reaching", "torn-tail-cut"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output).starts_with("# torn-tail-cut: "), "{output:?}");
    let output = folder.run(&["shrink", &plan, "--reaching", "flow"]);
    assert_eq!(output.status.code(), Some(2));
}
