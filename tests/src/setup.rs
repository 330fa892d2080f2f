//! How a broker is to be started: where its data is, which flags it gets, what it runs under.

use crate::broker::{Broker, Ended, binary, spawn};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How long a broker may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker to be: `warren serve` on a free port of 127.0.0.1, unless said otherwise.
#[derive(Debug, Clone)]
pub struct Setup {
    program: Option<PathBuf>,
    under: Vec<String>,
    data_dir: Option<PathBuf>,
    listen: Vec<String>,
    management: String,
    metrics: String,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    patience: Duration,
}

impl Setup {
    /// With an empty data directory of its own, which goes when it goes.
    pub fn new() -> Self {
        Setup {
            program: None,
            under: Vec::new(),
            data_dir: None,
            listen: vec!["127.0.0.1:0".to_owned()],
            management: "off".to_owned(),
            metrics: "off".to_owned(),
            flags: Vec::new(),
            variables: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// With its data in this directory, which stays when it goes.
    pub fn in_dir(mut self, data_dir: &Path) -> Self {
        self.data_dir = Some(data_dir.to_owned());
        self
    }

    /// On these addresses; port 0 is any free one.
    pub fn listen(mut self, addresses: &[&str]) -> Self {
        self.listen = addresses.iter().map(|&address| address.to_owned()).collect();
        self
    }

    /// With the management API on a free port of 127.0.0.1.
    pub fn managed(mut self) -> Self {
        self.management = "127.0.0.1:0".to_owned();
        self
    }

    /// With metrics on a free port of 127.0.0.1.
    pub fn measured(mut self) -> Self {
        self.metrics = "127.0.0.1:0".to_owned();
        self
    }

    /// With another flag of `warren serve`, and its value.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// With a variable in its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Started by another program, which must become the broker or leave it its process id.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|&part| part.to_owned()).collect();
        self
    }

    /// Another broker in place of Warren: a program that takes the same arguments, prints such a
    /// start-up line, and has the process id it was started with. It gets a minute to start.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self.patience = Duration::from_secs(60);
        self
    }

    /// Starts it. Panics, with its log, if it does not come up.
    pub fn start(&self) -> Broker {
        self.try_start().unwrap_or_else(|ended| panic!("{self:?} does not start: {ended:?}"))
    }

    /// Starts it, unless it ends before it listens.
    pub fn try_start(&self) -> Result<Broker, Ended> {
        Broker::launch(self)
    }

    /// Starts it and kills it after so long, whatever it does then. Panics without a data
    /// directory, as nothing would be left of it.
    pub fn start_and_kill(&self, after: Duration) {
        let data_dir = self.data_dir.as_ref().expect("is killed for what it leaves there");
        let mut child = spawn(&mut self.command(data_dir));
        thread::sleep(after);
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("a child can be waited for");
    }

    pub(crate) fn command(&self, data_dir: &Path) -> Command {
        let program = self.program.as_deref().unwrap_or_else(|| binary());
        let mut command = match self.under.split_first() {
            Some((under, arguments)) => {
                let mut command = Command::new(under);
                command.args(arguments).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.arg("serve").arg("--data-dir").arg(data_dir);
        for address in &self.listen {
            command.args(["--amqp", address]);
        }
        command.args(["--management", &self.management]);
        command.args(["--metrics", &self.metrics]).args(&self.flags);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.data_dir.clone()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

impl Default for Setup {
    fn default() -> Self {
        Setup::new()
    }
}
