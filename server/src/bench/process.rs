//! CPU time and memory of processes and threads, as Linux tells them in `/proc`.
//!
//! On other systems there is no `/proc`: every reading fails, and the report leaves the figures
//! out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The unit of times in `/proc`: `USER_HZ`, 100 per second on all but two historic architectures.
const TICK: Duration = Duration::from_millis(10);

/// Open files of this process that are not connections, at the most.
const OTHER_FILES: u32 = 100;

/// One process and all its descendants.
pub(super) struct ProcessTree {
    root: u32,
    members: Vec<u32>,
}

impl ProcessTree {
    /// The tree under the process `root`.
    pub(super) fn of(root: u32) -> io::Result<Self> {
        read_stat(&format!("/proc/{root}/stat"))?;
        let mut tree = Self { root, members: vec![root] };
        tree.refresh()?;
        Ok(tree)
    }

    /// Looks for descendants that have come or gone.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // It may have ended since the directory was read.
            if let Ok(stat) = read_stat(&format!("/proc/{pid}/stat")) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        self.members = vec![self.root];
        let mut at = 0;
        while at < self.members.len() {
            self.members.extend(children.remove(&self.members[at]).unwrap_or_default());
            at += 1;
        }
        Ok(())
    }

    /// CPU time that the whole tree has used since it began, its ended children included.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        let root = read_stat(&format!("/proc/{}/stat", self.root))?;
        let others = self.members[1..].iter();
        let others = others.filter_map(|pid| read_stat(&format!("/proc/{pid}/stat")).ok());
        // What an ended child used is added to its parent's account once it is waited for.
        Ok(others.fold(root.own + root.children, |sum, stat| sum + stat.own + stat.children))
    }

    /// Bytes of memory that the tree holds now; what its processes share counts for each.
    pub(super) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that its processes held, each at its own time, since they began or since
    /// [`forget_peak`](Self::forget_peak).
    pub(super) fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Has the peak begin anew with what the processes hold now, where that is allowed.
    pub(super) fn forget_peak(&self) {
        for pid in &self.members {
            let _not_allowed = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn memory(&self, field: &str) -> u64 {
        let statuses = self.members.iter();
        let statuses = statuses.filter_map(|pid| fs::read(format!("/proc/{pid}/status")).ok());
        statuses.map(|status| bytes_of(field, &String::from_utf8_lossy(&status))).sum()
    }

    /// Files, sockets and the like that the tree's processes have open; `None` where one may not be
    /// asked.
    pub(super) fn open_files(&self) -> Option<u64> {
        let of = |pid| Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64);
        self.members.iter().map(of).sum()
    }

    /// Bytes that the tree's processes have had written to disks since they began; `None` where one
    /// may not be asked, as it is another user's.
    pub(super) fn written_bytes(&self) -> Option<u64> {
        let of = |pid| written_bytes(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?);
        self.members.iter().map(of).sum()
    }
}

/// `write_bytes` of proc_pid_io(5): bytes of pages that were made to be written.
fn written_bytes(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// CPU time that this process has used.
pub(super) fn own_cpu() -> io::Result<Duration> {
    read_stat("/proc/self/stat").map(|stat| stat.own)
}

/// CPU time that a thread of this process has used: to the nanosecond where the kernel keeps
/// `schedstat`, as many threads together would else lose much to rounding.
pub(super) fn thread_cpu(thread: u32) -> io::Result<Duration> {
    let folder = format!("/proc/self/task/{thread}");
    match fs::read_to_string(format!("{folder}/schedstat")).as_deref().map(running_time) {
        Ok(Some(time)) => Ok(time),
        _ => read_stat(&format!("{folder}/stat")).map(|stat| stat.own),
    }
}

/// Nanoseconds on a processor, nanoseconds waiting for one, times on one.
fn running_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The operating system's id of the calling thread.
pub(super) fn own_thread() -> Option<u32> {
    // The link reads `PID/task/TID`.
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// Lets the calling thread, and those it starts from now on, wake up as exactly as the system can,
/// instead of up to 50 µs late. Where that is not possible, they wake up late.
pub(super) fn wake_exactly() {
    if let Some(thread) = own_thread() {
        let _unsupported = fs::write(format!("/proc/{thread}/timerslack_ns"), "1");
    }
}

/// How many connections of `wanted` this process may have, once the limit of open files is as high
/// as it may be; a word to the user if these are fewer.
pub(super) fn connections_max(wanted: u32) -> u32 {
    let files = raise_file_limit().saturating_sub(OTHER_FILES.into()).max(1);
    let possible = u32::try_from(files).unwrap_or(u32::MAX);
    if possible < wanted {
        eprintln!(
            "warren bench: a process may have {possible} connections here, not {wanted}: \
             raise the limit of open files (ulimit -n)"
        );
    }
    wanted.min(possible)
}

/// Raises the limit of open files as far as this process may, and says how far that is.
fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// What is read from a `stat` file.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: Duration,
    children: Duration,
}

fn read_stat(path: &str) -> io::Result<Stat> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    stat(&text).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("{path}: {text}")))
}

/// `PID (NAME) STATE PARENT ...`; the name may hold anything, parentheses too. See proc(5).
fn stat(text: &str) -> Option<Stat> {
    let (_, after_name) = text.rsplit_once(')')?;
    // Field numbers as in proc(5), which counts from 1 and has the state as the third.
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u32>().ok();
    let time = |user, system| Some(TICK * (number(user)? + number(system)?));
    Some(Stat { parent: number(4)?, own: time(14, 15)?, children: time(16, 17)? })
}

fn bytes_of(field: &str, status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_process_is_called() {
        let line = "42 (a ) b) S 7 42 42 0 -1 4194304 98 0 0 0 150 50 30 20 20 0 1 0 168635";
        assert_eq!(
            stat(line),
            Some(Stat {
                parent: 7,
                own: Duration::from_secs(2),
                children: Duration::from_millis(500),
            })
        );
        assert_eq!(stat("42 (a) S 7 42"), None);
    }

    #[test]
    fn the_time_of_a_thread_is_read_in_nanoseconds() {
        assert_eq!(running_time("1500000000 136705 2\n"), Some(Duration::from_millis(1500)));
        assert_eq!(running_time(""), None);
    }

    #[test]
    fn what_was_written_is_read_in_bytes() {
        assert_eq!(
            written_bytes("wchar: 5\nwrite_bytes: 8192\ncancelled_write_bytes: 1"),
            Some(8192)
        );
        assert_eq!(written_bytes(""), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!(bytes_of("VmRSS:", status), 1234 * 1024);
        assert_eq!(bytes_of("VmHWM:", status), 9 * 1024);
        assert_eq!(bytes_of("VmRSS:", "Name:\ta thread of the kernel\n"), 0);
    }
}
