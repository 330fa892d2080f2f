//! `warren check` and `warren salvage`: what is in a data directory, without a broker.
//!
//! Checking writes nothing into the directory. Salvaging gives up for good what is damaged, and is
//! done only when somebody has said so. Neither is done while a broker uses the directory.

use std::fmt::Display;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use warren_core::{Check, Config, DiskMachine, FileId, Progress, Salvage};
use warren_io::{Disk, OpenError, drive};

use crate::findings::Findings;
use crate::{logging, size};

/// Exit statuses: nothing is wrong (any more), something is, it could not be found out.
const HEALTHY: u8 = 0;
const PROBLEMS: u8 = 1;
const IMPOSSIBLE: u8 = 2;

pub(crate) const CHECK_HELP: &str = "Exit status: 0 if nothing is wrong, 1 if something is, \
    2 if the directory could not be checked.";

pub(crate) const SALVAGE_HELP: &str = "A copy of the directory keeps what is dropped.\n\n\
    Exit status: 0 if nothing is wrong any more, 2 if the directory could not be salvaged.";

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// What to salvage.
#[derive(Debug, Args)]
pub(crate) struct SalvageArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Looks at a data directory, and prints what it finds.
pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    logging::init_plain();
    let machine = Check::new(&Config::default());
    ended(&args.dir, examine(&args.dir, Disk::open_read_only, machine))
}

/// Puts a data directory right, if that is wished, and prints what it gave up.
pub(crate) fn salvage(args: &SalvageArgs) -> ExitCode {
    logging::init_plain();
    let machine = Salvage::new(&Config::default());
    let salvaged = confirm(args).and_then(|()| examine(&args.dir, Disk::open, machine));
    ended(&args.dir, salvaged)
}

/// Prints how it ended; gives the exit status that says so too.
fn ended(dir: &Path, findings: Result<Findings, String>) -> ExitCode {
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let (status, printed) = match findings {
        Ok(findings) => {
            let status = if findings.is_healthy { HEALTHY } else { PROBLEMS };
            (status, stdout.write_all(findings.written(dir).as_bytes()))
        }
        Err(error) => (IMPOSSIBLE, writeln!(stderr, "warren: {error}")),
    };
    match printed {
        Ok(()) => ExitCode::from(status),
        // Who reads the status alone must not take this for healthy.
        Err(_) => ExitCode::from(status.max(PROBLEMS)),
    }
}

/// Drives the machine over the directory. Errors are sentences.
fn examine(
    dir: &Path,
    open: fn(&Path) -> Result<Disk, OpenError>,
    mut machine: impl DiskMachine<Outcome: Into<Findings>>,
) -> Result<Findings, String> {
    let failed =
        |why: &dyn Display| format!("cannot use the data directory {}: {why}", dir.display());
    // Nothing is to be made or changed in a directory that somebody has named by mistake.
    if !has_data(dir).map_err(|error| failed(&error))? {
        return Err(failed(&"no broker has left anything there"));
    }
    let mut disk = open(dir).map_err(|error| match error {
        OpenError::InUse { .. } => failed(&format!("{error} (stop that one first)")),
        OpenError::System(error) => failed(&error),
    })?;
    let runtime = warren_io::runtime().map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(drive(&mut machine, &mut disk, tell_progress));
    machine.finish().map(Into::into).map_err(|error| failed(&error))
}

fn has_data(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.file_name().to_str().and_then(FileId::from_name).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn tell_progress(Progress { read, total }: Progress) {
    eprintln!("{} of {}", size::written(read), size::written(total));
}

/// Makes sure that somebody wants it.
fn confirm(SalvageArgs { dir, yes }: &SalvageArgs) -> Result<(), String> {
    if *yes {
        return Ok(());
    }
    let what = format!(
        "salvaging gives up for good what is damaged in {}; a copy of the directory keeps it",
        dir.display()
    );
    if !io::stdin().is_terminal() {
        return Err(format!("{what} (say --yes if that is what you want)"));
    }
    eprint!("{what}.\nGo on? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| format!("no answer: {error}"))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err("nothing was changed".into()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;
    use warren_core::{DiskOp, DiskRequest, DiskResult, Lane, OpId, RecoveryOutput, StartError};

    use super::*;

    const FILE: FileId = FileId::Segment(3);

    #[test]
    fn what_a_machine_finds_is_what_comes_out() {
        let dir = data_dir(b"abc");
        let findings = examine(dir.path(), Disk::open_read_only, Reader::default());
        assert_eq!(findings, Ok(found("abc", true)));
        let dir = data_dir(b"?");
        let findings = examine(dir.path(), Disk::open_read_only, Reader::default());
        assert_eq!(findings, Ok(found("?", false)));
        let dir = data_dir(b"");
        let error = examine(dir.path(), Disk::open_read_only, Reader::default());
        let file = FILE.to_string();
        let expected =
            format!("cannot use the data directory {}: {file}: is empty", dir.path().display());
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn looking_leaves_no_trace() {
        let dir = data_dir(b"abc");
        examine(dir.path(), Disk::open_read_only, Reader::default()).expect("is readable");
        let names: Vec<_> =
            fs::read_dir(dir.path()).expect("is there").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, [FILE.to_string().as_str()]);
    }

    #[test]
    fn a_directory_in_use_is_not_touched() {
        let dir = data_dir(b"abc");
        let _broker = Disk::open(dir.path()).expect("is free");
        for open in [Disk::open_read_only, Disk::open] {
            let error = examine(dir.path(), open, Reader::default()).expect_err("is in use");
            assert!(error.contains("in use by process"), "{error}");
        }
    }

    #[test]
    fn a_directory_without_data_is_left_as_it_is() {
        let dir = TempDir::new().expect("a temporary directory");
        let nowhere = dir.path().join("nowhere");
        for dir in [dir.path(), &nowhere] {
            examine(dir, Disk::open, Reader::default()).expect_err("there is nothing");
        }
        assert!(!nowhere.exists());
        assert_eq!(fs::read_dir(dir.path()).expect("is there").count(), 0);
    }

    #[test]
    fn nothing_is_salvaged_without_a_word() {
        let dir = data_dir(b"abc");
        let args = |yes| SalvageArgs { dir: dir.path().into(), yes };
        assert_eq!(confirm(&args(true)), Ok(()));
        // The tests' standard input may be a terminal, where somebody would be asked.
        if !io::stdin().is_terminal() {
            let error = confirm(&args(false)).expect_err("nobody can be asked");
            assert!(error.contains("--yes"), "{error}");
        }
    }

    fn data_dir(contents: &[u8]) -> TempDir {
        let dir = TempDir::new().expect("a temporary directory");
        fs::write(dir.path().join(FILE.to_string()), contents).expect("can be written");
        dir
    }

    fn found(text: &str, is_healthy: bool) -> Findings {
        Findings { lines: vec![], verdict: text.into(), is_healthy }
    }

    /// Reads a file: a text, a question mark, which is bad, or nothing.
    #[derive(Default)]
    struct Reader {
        has_asked: bool,
        data: Option<Bytes>,
    }

    impl DiskMachine for Reader {
        type Outcome = Findings;

        fn poll_output(&mut self) -> Option<RecoveryOutput> {
            let op = DiskOp::Read { file: FILE, offset: 0, len: 100 };
            let request = DiskRequest { id: OpId(1), lane: Lane::Read, op };
            let is_first = !std::mem::replace(&mut self.has_asked, true);
            is_first.then_some(RecoveryOutput::Disk(request))
        }

        fn handle(&mut self, _: OpId, result: DiskResult) {
            let DiskResult::Data(data) = result else { panic!("{result:?}") };
            self.data = Some(data);
        }

        fn is_done(&self) -> bool {
            self.data.is_some()
        }

        fn progress(&self) -> Progress {
            Progress::default()
        }

        fn finish(self) -> Result<Findings, StartError> {
            let data = self.data.expect("is done");
            match &data[..] {
                b"" => Err(StartError::Disk { file: Some(FILE), text: "is empty".into() }),
                text => Ok(found(&String::from_utf8_lossy(text), text != b"?")),
            }
        }
    }
}
