//! How much of the disk a directory takes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What `st_blocks` counts in, whatever the file system's own blocks are. See stat(3type).
const BLOCK: u64 = 512;

/// Bytes of the disk that the files of a directory take, without those of directories in it; files
/// that go meanwhile count or not.
pub(super) fn disk_bytes(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        // One that is gone has no metadata.
        if let Ok(metadata) = entry?.metadata()
            && metadata.is_file()
        {
            sum += metadata.blocks() * BLOCK;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_by_the_blocks_they_take() {
        let directory = tempfile::tempdir().unwrap();
        let before = disk_bytes(directory.path()).unwrap();
        fs::write(directory.path().join("a"), vec![1; 10_000]).unwrap();
        fs::create_dir(directory.path().join("b")).unwrap();
        let taken = disk_bytes(directory.path()).unwrap() - before;
        assert!((10_000..100_000).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_no_directory_is_an_error() {
        assert!(disk_bytes(Path::new("/proc/self/stat")).is_err());
    }
}
