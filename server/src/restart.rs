//! A restart of the broker in its place: it takes leave as at SIGTERM, and then its process becomes
//! a new one of the same program with the same arguments and environment. Its number stays, so
//! whatever started it (systemd, a container, a shell) sees a process that goes on. Sockets, files
//! and locks are closed by that, as all of them are opened to be.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::{env, io};

use tokio::sync::Notify;

/// Where Linux has the program of this process, also when its file was replaced or deleted.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Whether somebody has asked for it. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restart(Arc<Notify>);

impl Restart {
    /// Asks for it.
    pub(crate) fn ask(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody has.
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Has this process become a new one. What is returned says why it does not.
pub(crate) fn exec() -> io::Error {
    let mut arguments = env::args_os();
    let mut command = Command::new(program());
    // By its name a program knows which of its tools it is.
    command.arg0(arguments.next().unwrap_or_else(|| OsString::from("warren")));
    command.args(arguments).exec()
}

/// The program of this process: by its own path, as processes are called by that, and if another
/// file is there now, the one that runs all the same.
fn program() -> PathBuf {
    env::current_exe().ok().filter(|own| own.exists()).unwrap_or_else(|| OWN_PROGRAM.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_asked_for_before_anybody_waits_is_not_forgotten() {
        let restart = Restart::default();
        restart.clone().ask();
        restart.asked().await;
    }

    #[test]
    fn the_program_is_the_one_that_runs() {
        assert_eq!(program(), env::current_exe().expect("is known"));
    }
}
