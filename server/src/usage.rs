//! What this process uses of the machine.

use std::fs;
use std::path::Path;

use rustix::process::Resource;

/// How many bytes of memory the process has.
pub(crate) fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// How many files it has open.
pub(crate) fn open_files() -> u64 {
    let dir = "/proc/self/fd";
    // Since Linux 6.2 the directory's size says it; where it does not, they are counted.
    let len = fs::metadata(dir).map_or(0, |found| found.len());
    if len > 0 { len } else { fs::read_dir(dir).map_or(0, |files| files.count() as u64) }
}

/// How many it may have open; `None` if that is not limited.
pub(crate) fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(Resource::Nofile).current
}

/// How many bytes are free on the disk that this directory is on.
pub(crate) fn disk_free(dir: &Path) -> u64 {
    let space = rustix::fs::statvfs(dir);
    space.map_or(0, |space| space.f_bavail * space.f_frsize)
}

/// Seconds of processors' time that it has taken.
pub(crate) fn processor_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_known() {
        // Standard input, output and errors, at least.
        let open = open_files();
        assert!(open >= 3, "{open}");
        assert!(resident() > 1 << 20);
        assert!(open_files_max().is_none_or(|most| most > open));
        assert!(disk_free(Path::new(".")) > 0);
        assert!(processor_seconds() > 0.0);
    }
}
