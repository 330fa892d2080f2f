//! Those who are compared: brokers that run already, and those that are started for it.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use super::options::{ComparePlan, FLOOR, WARREN};
use crate::bench::connection::Connection;
use crate::bench::error::BenchError;
use crate::bench::process::ProcessTree;
use crate::bench::uri::Uri;

/// One that is measured.
pub(in crate::bench) struct Contender {
    pub(in crate::bench) name: String,
    /// What it calls itself.
    pub(in crate::bench) product: String,
    pub(in crate::bench) uri: Uri,
    pub(in crate::bench) pid: Option<u32>,
    processes: Option<ProcessTree>,
    /// Ends with it, if it was started here.
    _started: Option<Started>,
}

impl Contender {
    /// All of them, in the order in which they are told of.
    pub(super) fn all(plan: &ComparePlan, scratch: &Scratch) -> Result<Vec<Self>, BenchError> {
        let mut all = Vec::new();
        if plan.has_floor {
            all.push(Self::started(FLOOR, floor_command(scratch)?)?);
        }
        if plan.has_warren {
            all.push(Self::warren(scratch)?);
        }
        for broker in &plan.brokers {
            all.push(Self::of(&broker.name, broker.uri.clone(), broker.pid)?);
        }
        Ok(all)
    }

    /// A Warren that is started for it.
    pub(in crate::bench) fn warren(scratch: &Scratch) -> Result<Self, BenchError> {
        Self::started(WARREN, warren_command(scratch)?)
    }

    /// A broker that runs already.
    pub(in crate::bench) fn of(name: &str, uri: Uri, pid: Option<u32>) -> Result<Self, BenchError> {
        Self::new(name, uri, pid, None)
    }

    fn started(name: &str, command: Command) -> Result<Self, BenchError> {
        let (started, uri) = Started::new(name, command)?;
        Self::new(name, uri, Some(started.0.id()), Some(started))
    }

    fn new(
        name: &str,
        uri: Uri,
        pid: Option<u32>,
        started: Option<Started>,
    ) -> Result<Self, BenchError> {
        let processes = pid.map(ProcessTree::of).transpose();
        let processes = processes.map_err(|error| {
            BenchError::system(format!("looking at the process of {name}"), error)
        })?;
        let connection = Connection::open(&uri, "warren bench")?;
        let product = connection.broker().to_owned();
        connection.close();
        Ok(Self { name: name.to_owned(), product, uri, pid, processes, _started: started })
    }

    /// Whether it is the relay that has no broker in it.
    pub(super) fn is_floor(&self) -> bool {
        self.name == FLOOR && self._started.is_some()
    }

    /// Its processes, as far as they are known, found anew.
    pub(in crate::bench) fn processes(&mut self) -> Option<&ProcessTree> {
        let tree = self.processes.as_mut()?;
        // If it cannot be read now, the processes known so far stay.
        let _unreadable = tree.refresh();
        Some(tree)
    }
}

fn this_program() -> Result<Command, BenchError> {
    let program = env::current_exe();
    program.map(Command::new).map_err(|error| BenchError::system("looking for this program", error))
}

fn floor_command(scratch: &Scratch) -> Result<Command, BenchError> {
    let mut command = this_program()?;
    command.args(["bench", "floor", "--child", "--dir"]).arg(&scratch.0);
    Ok(command)
}

fn warren_command(scratch: &Scratch) -> Result<Command, BenchError> {
    let mut command = this_program()?;
    let data = scratch.0.join(WARREN);
    command.args(["serve", "--amqp", "127.0.0.1:0", "--management", "off", "--metrics", "off"]);
    command.args(["--log", "error", "--data-dir"]).arg(data);
    Ok(command)
}

/// A process that was started here, and ends when this is dropped.
struct Started(Child);

impl Started {
    /// Waits until it says where it listens.
    fn new(name: &str, mut command: Command) -> Result<(Self, Uri), BenchError> {
        let doing = || format!("starting {name}");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut started = Self(child.map_err(|error| BenchError::system(doing(), error))?);
        let mut line = String::new();
        let stdout = started.0.stdout.as_mut().expect("is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.map_err(|error| BenchError::system(doing(), error))?;
        let uri = address(&line).ok_or_else(|| {
            let error = io::Error::new(ErrorKind::UnexpectedEof, "it did not say where it listens");
            BenchError::system(doing(), error)
        })?;
        Ok((started, uri))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It has not been waited for, so the number is still its own.
        let _gone = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _gone = self.0.wait();
    }
}

/// `... listening on amqp://127.0.0.1:5672, ...`
fn address(line: &str) -> Option<Uri> {
    let (_, rest) = line.split_once(" listening on ")?;
    rest.split([',', ' ', '\n']).next()?.parse().ok()
}

/// A directory that goes with what is in it.
pub(in crate::bench) struct Scratch(PathBuf);

impl Scratch {
    pub(in crate::bench) fn new(parent: &Path) -> Result<Self, BenchError> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("warren-bench-{:x}-{:x}", std::process::id(), since_epoch.as_micros());
        let path = parent.join(name);
        // The children have it too, wherever they are.
        let path = std::path::absolute(&path).unwrap_or(path);
        let made = fs::create_dir(&path);
        made.map_err(|error| BenchError::system(format!("making {}", path.display()), error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warren bench: {} is left behind: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_where_one_listens() {
        let uri = address("warren 0.1.0 listening on amqp://127.0.0.1:99, data in /x\n").unwrap();
        assert_eq!(uri.to_string(), "amqp://guest@127.0.0.1:99/");
        assert!(address("warren bench floor listening on amqp://127.0.0.1:1\n").is_some());
        assert_eq!(address(""), None);
    }

    #[test]
    fn a_scratch_directory_goes_with_what_is_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path()).unwrap();
        fs::write(scratch.path().join("a"), "b").unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
