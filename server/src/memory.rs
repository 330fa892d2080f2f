//! How much memory this process may use at the most: the machine's, or its container's.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that the machine, or the container if that has less, has in all. `None` where
/// the operating system does not say so in the way of Linux.
pub(crate) fn total() -> Option<u64> {
    total_below(Path::new("/"))
}

/// The same, of a system whose files are below `root`.
fn total_below(root: &Path) -> Option<u64> {
    let machine = machine(&fs::read_to_string(root.join("proc/meminfo")).ok()?)?;
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups);
    let limits = limits.filter_map(|file| limit(&fs::read_to_string(root.join(file)).ok()?));
    Some(limits.fold(machine, u64::min))
}

/// `MemTotal:       16318432 kB`
fn machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Where the limits of a process stand that is in these groups. Each line of `groups` is
/// `ID:CONTROLLERS:PATH`; the second version has no controllers there. A group's limit holds for
/// all below it. In a container the path may be the host's: then only its root is there to be read,
/// which is the container's own group.
fn limit_files(groups: &str) -> impl Iterator<Item = PathBuf> {
    groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let (base, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        groups.map(|group| Path::new(base).join(group).join(file)).collect()
    })
}

/// A limit in bytes; `max` is none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree:          12345 kB\n";
    const MACHINE: u64 = 16_000_000 << 10;

    #[test]
    fn the_memory_of_this_machine_is_known() {
        assert!(total().is_some_and(|bytes| bytes > 1 << 20), "{:?}", total());
    }

    #[test]
    fn without_a_limit_it_is_the_machine_s() {
        let unlimited = ("sys/fs/cgroup/a/memory.max", "max\n");
        assert_eq!(total_of("", &[]), Some(MACHINE));
        assert_eq!(total_of("0::/a\n", &[unlimited]), Some(MACHINE));
        let no_limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(total_of("4:memory:/\n", &[no_limit]), Some(MACHINE));
    }

    #[test]
    fn the_lowest_limit_of_all_groups_above_counts() {
        let groups = "0::/a/b/c\n";
        let limits = [
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1000\n"),
            ("sys/fs/cgroup/a/b/c/memory.max", "2000\n"),
            ("sys/fs/cgroup/other/memory.max", "10\n"),
        ];
        assert_eq!(total_of(groups, &limits), Some(1000));
    }

    #[test]
    fn a_container_s_limit_stands_at_the_root() {
        let groups = "0::/docker/0123\n";
        assert_eq!(total_of(groups, &[("sys/fs/cgroup/memory.max", "500\n")]), Some(500));
    }

    #[test]
    fn limits_of_the_first_version_count_too() {
        let groups = "5:cpu,cpuacct:/a\n4:memory,hugetlb:/docker/0123\n";
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "700\n");
        assert_eq!(total_of(groups, &[limit]), Some(700));
    }

    fn total_of(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = TempDir::new().expect("a temporary directory");
        let fixed = [("proc/meminfo", MEMINFO), ("proc/self/cgroup", groups)];
        for (file, text) in fixed.iter().chain(files) {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("is below")).expect("can be made");
            fs::write(path, text).expect("can be written");
        }
        total_below(root.path())
    }
}
