//! What is shipped beside the binary fits it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use warren_tests::broker::{Ended, binary, run};

#[test]
fn configuration_files_that_are_shipped_are_sound() {
    for name in ["warren.conf", "warren.conf.example", "docker/rabbitmq.conf"] {
        let Ended { status, stderr, .. } = check(&shipped(name));
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""), "{name}");
    }
}

#[test]
fn the_unit_starts_what_there_is_and_keeps_it_from_what_it_does_not_need() {
    let unit = fs::read_to_string(shipped("warren.service")).expect("is there");
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let keys: BTreeMap<&str, &str> = lines.collect();
    assert_eq!(keys["Type"], "notify");
    assert_eq!(keys["User"], "warren");
    assert!(keys["ExecReload"].contains("-HUP"));
    let command = keys["ExecStart"].strip_prefix("/usr/bin/warren serve ").expect("serves");
    let help = run(&["serve".as_ref(), "--help".as_ref()]).stdout;
    for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "there is no {flag}");
    }
    for (key, value) in [
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ] {
        assert_eq!(keys.get(key), Some(&value), "{key}");
    }
    // Where the configuration has the data, the unit lets the broker write.
    let configuration = fs::read_to_string(shipped("warren.conf")).expect("is there");
    let state = format!("/var/lib/{}/", keys["StateDirectory"]);
    assert!(configuration.contains(&format!("\nwarren.data_dir = {state}")), "{configuration}");
}

#[test]
fn the_variables_of_the_image_lead_to_its_files_and_data() {
    let text = fs::read_to_string(shipped("docker/Dockerfile")).expect("is there");
    let text = text.replace("\\\n", " ");
    let variables = text.lines().find_map(|line| line.strip_prefix("ENV ")).expect("sets some");
    let variables = variables.split_whitespace().filter_map(|word| word.split_once('='));
    let of_this_tree = variables.map(|(name, value)| {
        let value = value.replace("/etc/rabbitmq", path(&shipped("docker")));
        (name, value)
    });
    let output = Command::new(binary())
        .args(["config", "check"])
        .envs(of_this_tree)
        .output()
        .expect("warren runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(told.contains("warren.data_dir = /var/lib/rabbitmq/mnesia/warren"), "{told}");
    assert!(told.contains("listeners.tcp.default = 5672"), "{told}");
}

fn check(file: &Path) -> Ended {
    run(&["config".as_ref(), "check".as_ref(), file.as_ref()])
}

fn shipped(name: &str) -> PathBuf {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("is in the workspace");
    packaging.join("packaging").join(name)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("is UTF-8")
}

#[test]
fn package_and_image_have_the_binary_under_the_names_of_rabbitmqs_tools() {
    for file in ["debian/postinst", "debian/prerm", "docker/Dockerfile"] {
        let text = fs::read_to_string(shipped(file)).expect("is there");
        let names = ["ctl", "-diagnostics", "-plugins", "-queues", "-upgrade"];
        for name in names.map(|end| format!("rabbitmq{end}")) {
            assert!(text.contains(&name), "{file} has no {name}");
        }
    }
}

#[test]
fn all_that_the_package_is_made_of_is_there() {
    let manifest = shipped("../server/Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("is there");
    let files = manifest.lines().filter_map(|line| line.trim().strip_prefix("[\"../"));
    let files: Vec<_> = files.filter_map(|rest| rest.split('"').next()).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        assert!(shipped("..").join(file).exists(), "there is no {file}");
    }
}
