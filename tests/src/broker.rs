//! A broker to test: a `warren` process of the test's own, or one that already runs elsewhere.
//!
//! The binary is built by the same cargo, for the same profile and into the same target directory
//! as the test that asks for it, once per test process. A process started here is killed, by its
//! own id, when its owner is dropped.

use crate::client::Address;
use crate::setup::Setup;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Names brokers that already run, `host:port` or `host:port/vhost`, comma-separated. The tests of
/// clients and the recordings then play to them instead of starting Warren.
pub const BROKER_VARIABLE: &str = "WARREN_TEST_BROKER";

/// Names the management API of the broker that already runs, `host:port`.
pub const MANAGEMENT_VARIABLE: &str = "WARREN_TEST_MANAGEMENT";

/// How long a broker may take to listen, and to end once told.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many lines of a broker's log are shown when a test fails.
const LOG_SHOWN: usize = 20;

/// The brokers named by [`BROKER_VARIABLE`]; none if it is unset. Panics at an address it cannot
/// read.
pub fn elsewhere() -> Vec<Address> {
    let Ok(named) = env::var(BROKER_VARIABLE) else { return Vec::new() };
    named
        .split(',')
        .map(|address| {
            address.trim().parse().unwrap_or_else(|why| panic!("{BROKER_VARIABLE}: {why}"))
        })
        .collect()
}

/// The broker that a test of clients is about: the one named by [`BROKER_VARIABLE`], else a fresh
/// Warren with its management API.
#[derive(Debug)]
pub struct Target {
    address: Address,
    own: Option<Broker>,
}

impl Target {
    /// Finds or starts it.
    pub fn new() -> Self {
        if let Some(address) = elsewhere().into_iter().next() {
            return Target { address, own: None };
        }
        let broker = Setup::new().managed().start();
        Target { address: broker.address(), own: Some(broker) }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where its management API is: its own, or the one named by [`MANAGEMENT_VARIABLE`].
    pub fn management(&self) -> Option<String> {
        match &self.own {
            Some(broker) => broker.management(),
            None => env::var(MANAGEMENT_VARIABLE).ok(),
        }
    }

    /// Whether it is a Warren that was started for this test.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }
}

impl Default for Target {
    fn default() -> Self {
        Target::new()
    }
}

/// A running `warren serve`.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    startup_line: String,
    later_lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    addresses: Vec<Address>,
    data_dir: PathBuf,
    /// Goes with the broker.
    #[expect(dead_code, reason = "is there for its drop")]
    scratch: TempDir,
}

impl Broker {
    /// A broker on a free port of 127.0.0.1 with an empty data directory.
    pub fn start() -> Self {
        Broker::start_on(&["127.0.0.1:0"])
    }

    /// A broker on these addresses; port 0 is any free one. Panics, with its log, if it does not
    /// come up.
    pub fn start_on(listen: &[&str]) -> Self {
        Setup::new().listen(listen).start()
    }

    /// Starts what the setup says. If it does not say that it listens, it is killed, and the error
    /// is what came of it.
    pub(crate) fn launch(setup: &Setup) -> Result<Self, Ended> {
        let scratch = TempDir::new().expect("a temporary directory can be made");
        // Not the temporary directory itself, so that the broker has to make it.
        let data_dir = setup.data_dir().unwrap_or_else(|| scratch.path().join("data"));
        let mut child = spawn(&mut setup.command(&data_dir));
        let log = Arc::new(Mutex::new(String::new()));
        let reader = collect(child.stderr.take().expect("is piped"), Arc::clone(&log));
        let lines = lines_of(child.stdout.take().expect("is piped"));
        let Ok(startup_line) = lines.recv_timeout(setup.patience()) else {
            // Either it has ended by itself, and this changes nothing, or it hangs.
            let _ = child.kill();
            let status = child.wait().expect("a child can be waited for");
            reader.join().expect("reading does not panic");
            return Err(Ended { status, stdout: String::new(), stderr: text_of(&log) });
        };
        let addresses = addresses_in(&startup_line, "amqp://");
        Ok(Broker { child, startup_line, later_lines: lines, log, addresses, data_dir, scratch })
    }

    /// Where it listens first.
    pub fn address(&self) -> Address {
        self.addresses.first().expect("the start-up line names an address").clone()
    }

    /// Everywhere it listens, in the order of the start-up line.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Where its management API is with TLS, if it was set up to be.
    pub fn secure_management(&self) -> Option<Address> {
        addresses_in(&self.startup_line, "https://").into_iter().next()
    }

    /// Where its management API is, `host:port`, if it was set up to have one.
    pub fn management(&self) -> Option<String> {
        let (line, _) = self.split_startup_line();
        http_address_in(line)
    }

    /// Where its metrics are, `host:port`, if it was set up to have them.
    pub fn metrics(&self) -> Option<String> {
        let (_, rest) = self.split_startup_line();
        http_address_in(rest)
    }

    fn split_startup_line(&self) -> (&str, &str) {
        self.startup_line.split_once(", metrics on ").unwrap_or((&self.startup_line, ""))
    }

    /// Where it listens first with TLS.
    pub fn secure_address(&self) -> Address {
        let addresses = addresses_in(&self.startup_line, "amqps://");
        addresses.into_iter().next().expect("the start-up line names an address with TLS")
    }

    /// Where it keeps its data, which goes when it goes, unless its setup has named the place.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line of its standard output.
    pub fn startup_line(&self) -> &str {
        &self.startup_line
    }

    /// Waits until it has started anew, in the same process: it listens elsewhere then, if it may
    /// choose. Fails the test if it does not soon.
    pub fn wait_for_restart(&mut self) {
        let line = self.later_lines.recv_timeout(PATIENCE);
        self.startup_line = line.unwrap_or_else(|_| panic!("not there again after {PATIENCE:?}"));
        self.addresses = addresses_in(&self.startup_line, "amqp://");
    }

    /// What it wrote to standard output since.
    pub fn later_lines(&self) -> Vec<String> {
        self.later_lines.try_iter().collect()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        text_of(&self.log)
    }

    /// Memory that it holds now, in kB, as the kernel counts it (`VmRSS`).
    pub fn resident_kb(&self) -> u64 {
        self.status_kb("VmRSS:")
    }

    /// The most memory that it ever held, in kB (`VmHWM`).
    pub fn resident_max_kb(&self) -> u64 {
        self.status_kb("VmHWM:")
    }

    fn status_kb(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).expect("a process that runs has a status");
        let line = status.lines().find(|line| line.starts_with(field)).expect("has the field");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("is a number of kB")
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Sends a signal and waits for the process to end.
    pub fn end_by(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait_for_end()
    }

    /// Waits until its log has this, and fails the test if it does not soon.
    pub fn wait_for_log(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < PATIENCE, "its log has no {text:?} after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the process to end, and fails the test if it does not soon.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "still running after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail only if it has already ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let start = log.lines().count().saturating_sub(LOG_SHOWN);
            let last: Vec<_> = log.lines().skip(start).collect();
            eprintln!("end of the log of the broker under test:\n{}", last.join("\n"));
        }
    }
}

/// What came of a program that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// Runs a `warren serve` that must fail by itself, and fails the test if it is still there after a
/// while.
pub fn run_until_it_fails(data_dir: &Path, listen: &[&str]) -> Ended {
    let setup = Setup::new().in_dir(data_dir).listen(listen);
    run_to_its_end(&mut setup.command(data_dir))
}

/// Runs `warren` with these arguments, to its end.
pub fn run(arguments: &[&OsStr]) -> Ended {
    run_to_its_end(Command::new(binary()).args(arguments))
}

fn run_to_its_end(command: &mut Command) -> Ended {
    let mut child = spawn(command);
    let start = Instant::now();
    while child.try_wait().expect("a child can be asked").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} still runs after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("its output can be read");
    Ended {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts a program whose output is ours to read.
pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Allows this process, and brokers it starts from now on, as many open files as the system lets it
/// have.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("a soft limit may be raised to the hard one");
}

/// The target directory of the test that runs: where it was built, and where the client programs
/// are installed.
pub fn target_dir() -> PathBuf {
    build_location().0
}

/// The profile of the test that runs, and of the binary it tests: `debug` or `release`.
pub fn profile() -> String {
    build_location().1
}

/// The path of `warren`, built if it is not. Panics if it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(|| build("warren")).as_deref().expect(BUILDS)
}

/// The path of `warren-sim`, built if it is not. Panics if it does not build.
pub fn simulator() -> &'static Path {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(|| build("warren-sim")).as_deref().expect(BUILDS)
}

const BUILDS: &str = "it builds; cargo has said above why not";

fn build(package: &str) -> Option<PathBuf> {
    let (target, profile) = build_location();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let status = build_command(root, &[package], &target).status().expect("cargo can be run");
    status.success().then(|| target.join(profile).join(package))
}

/// What builds the programs of packages, which have their names, for the profile of the test that
/// runs.
pub(crate) fn build_command(root: &Path, packages: &[&str], target: &Path) -> Command {
    let profile = profile();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo_profile = if profile == "debug" { "dev" } else { profile.as_str() };
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet"])
        .args(packages.iter().flat_map(|package| ["-p", package, "--bin", package]))
        .args(["--profile", cargo_profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root);
    command
}

/// Target directory and profile directory, from where this test's own binary is:
/// `TARGET/PROFILE/deps/TEST-HASH`.
fn build_location() -> (PathBuf, String) {
    let test = env::current_exe().expect("a process knows its own binary");
    let profile = test.ancestors().nth(2).expect("cargo puts tests into PROFILE/deps");
    let name = profile.file_name().expect("a profile has a name").to_string_lossy().into_owned();
    (profile.parent().expect("a profile is in the target directory").to_owned(), name)
}

/// Every `host:port` of the start-up line that stands behind this.
fn addresses_in(line: &str, scheme: &str) -> Vec<Address> {
    line.split(scheme)
        .skip(1)
        .map(|rest| {
            let end = rest.find([',', ' ']).unwrap_or(rest.len());
            rest[..end].parse().unwrap_or_else(|why| panic!("start-up line {line:?}: {why}"))
        })
        .collect()
}

/// The first `host:port` behind `http://`.
fn http_address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find([',', ' ']).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// The lines of a stream as they come.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.try_for_each(|line| sender.send(line))
    });
    receiver
}

/// Reads a stream to its end into a text, so that the writer never waits.
fn collect(mut stream: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            into.lock()
                .expect("no holder panics")
                .push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    })
}

fn text_of(log: &Mutex<String>) -> String {
    log.lock().expect("no holder panics").clone()
}
