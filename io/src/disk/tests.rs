//! The disk as the core sees it: requests in, results out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use bytes::Bytes;
use tempfile::TempDir;
use warren_core::{DiskError, DiskOp, DiskResult, FileId, OpId};

use super::*;

const SEGMENT: FileId = FileId::Segment(1);
const CHECKPOINT: FileId = FileId::Checkpoint(7);

#[test]
fn what_was_written_is_read() {
    let mut disk = TestDisk::new();
    assert_eq!(disk.background(create(SEGMENT, 8192)), DiskResult::Done);
    let pieces = [&b"one"[..], b"", b"two"].map(Bytes::from_static).to_vec();
    assert_eq!(disk.log(write(SEGMENT, 4096, pieces)), DiskResult::Done);
    assert_eq!(disk.log(DiskOp::Sync { file: SEGMENT }), DiskResult::Done);
    assert_eq!(disk.background(DiskOp::SyncDir), DiskResult::Done);
    assert_eq!(disk.read(SEGMENT, 4094, 10), data(b"\0\0onetwo\0\0"));
    assert_eq!(disk.read(SEGMENT, 0, 0), data(b""));
}

#[test]
fn a_read_is_short_only_where_the_file_ends() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 100));
    assert_eq!(disk.read(SEGMENT, 90, 20), data(&[0; 10]));
    assert_eq!(disk.read(SEGMENT, 100, 20), data(b""));
    assert_eq!(disk.read(SEGMENT, 5000, 1), data(b""));
}

#[test]
fn a_write_of_very_many_pieces_is_whole() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 0));
    let expected: Vec<u8> = (0..5 * 1024 + 7).map(|n: u32| n.to_le_bytes()[0]).collect();
    let pieces = expected.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
    assert_eq!(disk.log(write(SEGMENT, 3, pieces)), DiskResult::Done);
    assert_eq!(disk.read(SEGMENT, 3, 1 << 20), data(&expected));
}

#[test]
fn what_is_written_ahead_of_the_log_is_zeros_and_covers_nothing() {
    const LEN: usize = 1 << 20;
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, LEN as u64));
    let mut expected = vec![0; LEN];
    let mut at = 0;
    // Short and long ones, up to where a log ends.
    for (nth, len) in [1, 5000, 300_000, 7, 16_384, 40_000, 900, 200_000].iter().enumerate() {
        let byte = u8::try_from(nth).expect("few") + 1;
        let piece = Bytes::from(vec![byte; *len]);
        expected[at..at + len].fill(byte);
        assert_eq!(disk.log(write(SEGMENT, at as u64, vec![piece])), DiskResult::Done);
        assert_eq!(disk.read(SEGMENT, 0, LEN as u32), data(&expected), "write {nth}");
        at += len;
    }
    // What stands behind a log that is sealed.
    expected[at..at + 5].fill(99);
    disk.background(write(SEGMENT, at as u64, vec![Bytes::from_static(&[99; 5])]));
    assert_eq!(disk.read(SEGMENT, 0, LEN as u32), data(&expected));
}

#[test]
fn a_new_file_has_its_length_and_its_space() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 1 << 20));
    let metadata = fs::metadata(disk.path(SEGMENT)).expect("was made");
    assert_eq!(metadata.len(), 1 << 20);
    assert!(metadata.blocks() * 512 >= 1 << 20, "{} blocks", metadata.blocks());
    assert_eq!(metadata.mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_there_is_not_made_again() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 10));
    let error = failure(disk.background(create(SEGMENT, 20)));
    assert_eq!(error.text, disk.complaint("create", SEGMENT, "File exists (os error 17)"));
    assert!(!error.is_full);
    assert_eq!(disk.background(DiskOp::List), DiskResult::Files(vec![(SEGMENT, 10)]));
}

#[test]
fn a_file_that_has_no_room_is_not_left_behind() {
    let mut disk = TestDisk::new();
    // More than any filesystem takes for one file.
    let error = failure(disk.background(create(SEGMENT, i64::MAX.cast_unsigned())));
    assert!(error.is_full, "{error:?}");
    assert_eq!(disk.background(DiskOp::List), DiskResult::Files(vec![]));
}

#[test]
fn operations_on_a_file_that_is_not_there_name_it() {
    let mut disk = TestDisk::new();
    let operations = [
        ("write", write(SEGMENT, 0, vec![Bytes::from_static(b"x")])),
        ("sync", DiskOp::Sync { file: SEGMENT }),
        ("truncate", DiskOp::Truncate { file: SEGMENT, len: 0 }),
        ("drop the cache of", DiskOp::DropCache { file: SEGMENT }),
        ("read", DiskOp::Read { file: SEGMENT, offset: 0, len: 1 }),
    ];
    for (doing, operation) in operations {
        let error = failure(disk.background(operation));
        let expected = disk.complaint(doing, SEGMENT, "No such file or directory (os error 2)");
        assert_eq!(error, DiskError { is_full: false, text: expected });
    }
}

#[test]
fn truncation_takes_away_what_is_behind() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 0));
    disk.log(write(SEGMENT, 0, vec![Bytes::from_static(b"kept and gone")]));
    assert_eq!(disk.log(DiskOp::Truncate { file: SEGMENT, len: 4 }), DiskResult::Done);
    assert_eq!(disk.read(SEGMENT, 0, 100), data(b"kept"));
}

#[test]
fn what_is_not_kept_in_memory_is_on_disk() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 0));
    disk.log(write(SEGMENT, 0, vec![Bytes::from_static(b"kept")]));
    assert_eq!(disk.log(DiskOp::Sync { file: SEGMENT }), DiskResult::Done);
    assert_eq!(disk.background(DiskOp::DropCache { file: SEGMENT }), DiskResult::Done);
    assert_eq!(disk.read(SEGMENT, 0, 100), data(b"kept"));
}

#[test]
fn a_deleted_file_is_gone_also_for_those_who_had_it_open() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 10));
    assert_eq!(disk.read(SEGMENT, 0, 1), data(b"\0"));
    for _ in 0..2 {
        assert_eq!(disk.background(DiskOp::Delete { file: SEGMENT }), DiskResult::Done);
    }
    failure(disk.read(SEGMENT, 0, 1));
    failure(disk.log(write(SEGMENT, 0, vec![Bytes::from_static(b"x")])));
    assert!(!disk.path(SEGMENT).exists());
}

#[test]
fn what_somebody_else_has_deleted_cannot_be_made_durable() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 4096));
    assert_eq!(disk.log(DiskOp::Sync { file: SEGMENT }), DiskResult::Done);
    fs::remove_file(disk.path(SEGMENT)).expect("is there");
    let pieces = vec![Bytes::from_static(b"one")];
    assert_eq!(disk.log(write(SEGMENT, 0, pieces)), DiskResult::Done, "as it is open");
    let error = failure(disk.log(DiskOp::Sync { file: SEGMENT }));
    assert_eq!(error.text, disk.complaint("sync", SEGMENT, "somebody has deleted it"));
    assert_eq!(disk.background(DiskOp::SyncDir), DiskResult::Done);
    let dir = disk.path(SEGMENT).parent().expect("has one").to_owned();
    fs::remove_dir_all(&dir).expect("is there");
    let error = failure(disk.background(DiskOp::SyncDir));
    let expected = format!("cannot sync {}: somebody has deleted it", dir.display());
    assert_eq!(error.text, expected);
}

#[test]
fn the_list_has_the_core_s_files_and_no_others() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 10));
    disk.background(create(CHECKPOINT, 20));
    fs::write(disk.dir.path().join("notes.txt"), "a person's").expect("can be written");
    let DiskResult::Files(mut files) = disk.background(DiskOp::List) else { panic!("no list") };
    files.sort_unstable();
    assert_eq!(files, [(SEGMENT, 10), (CHECKPOINT, 20)]);
}

#[test]
fn requests_of_one_lane_are_carried_out_in_order_also_when_one_fails() {
    let mut disk = TestDisk::new();
    disk.background(create(SEGMENT, 8));
    let mut expected = Vec::new();
    for n in 0..500_u64 {
        let (op, result) = match n % 5 {
            0 => (DiskOp::Truncate { file: SEGMENT, len: n }, DiskResult::Done),
            1 => (write(SEGMENT, n, vec![n.to_le_bytes().to_vec().into()]), DiskResult::Done),
            2 => {
                let read = DiskOp::Read { file: SEGMENT, offset: n - 1, len: 99 };
                (read, data(&(n - 1).to_le_bytes()))
            }
            3 => {
                let text = disk.complaint("create", SEGMENT, "File exists (os error 17)");
                (create(SEGMENT, n), DiskResult::Failed(DiskError { is_full: false, text }))
            }
            _ => (DiskOp::List, DiskResult::Files(vec![(SEGMENT, n - 3 + 8)])),
        };
        expected.push((OpId(n), result));
        disk.disk.submit(DiskRequest { id: OpId(n), lane: Lane::Log, op });
    }
    assert_eq!(disk.results(expected.len()), expected);
}

#[test]
fn a_lane_does_not_wait_for_another() {
    let mut disk = TestDisk::new();
    // Nobody writes into this one: who opens it to read it waits.
    rustix::fs::mkfifoat(rustix::fs::CWD, disk.path(SEGMENT), rustix::fs::Mode::RWXU)
        .expect("can be made");
    let read = DiskOp::Read { file: SEGMENT, offset: 0, len: 1 };
    disk.disk.submit(DiskRequest { id: OpId(99), lane: Lane::Read, op: read });
    assert_eq!(disk.background(create(CHECKPOINT, 20)), DiskResult::Done);
    assert_eq!(disk.log(DiskOp::Sync { file: CHECKPOINT }), DiskResult::Done);
    let writer = fs::OpenOptions::new().write(true).open(disk.path(SEGMENT)).expect("is there");
    let [(OpId(99), DiskResult::Failed(_))] = disk.results(1)[..] else { panic!("no answer") };
    drop(writer);
}

#[test]
fn a_directory_is_made_for_its_owner_only_with_its_parents() {
    let parent = TempDir::new().expect("a temporary directory");
    let dir = parent.path().join("a/b");
    drop(Disk::open(&dir).expect("can be made"));
    for dir in [parent.path().join("a"), dir.clone()] {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
    }
    assert_eq!(mode(&dir.join("lock")), 0o600);
}

#[test]
fn a_directory_of_ours_that_others_can_look_into_is_closed_to_them() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::write(dir.path().join("lock"), "").expect("can be written");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("is ours");
    let _disk = Disk::open(dir.path()).expect("can be opened");
    assert_eq!(mode(dir.path()), 0o700);
}

#[test]
fn a_directory_that_holds_other_things_too_is_left_as_it_is() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::write(dir.path().join("letter.txt"), "").expect("can be written");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("is ours");
    let _disk = Disk::open(dir.path()).expect("can be opened");
    assert_eq!(mode(dir.path()), 0o755);
}

#[test]
fn a_directory_that_is_in_use_names_the_process() {
    let dir = TempDir::new().expect("a temporary directory");
    let disk = Disk::open(dir.path()).expect("is free");
    for open in [Disk::open, Disk::open_read_only] {
        let error = open(dir.path()).expect_err("is in use");
        assert_eq!(error.to_string(), format!("it is in use by process {}", std::process::id()));
    }
    drop(disk);
    // The threads let go of it in their own time.
    let start = std::time::Instant::now();
    while let Err(error) = Disk::open(dir.path()) {
        assert!(start.elapsed() < Duration::from_secs(10), "{error}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_process_that_is_named_is_not_one_that_is_gone() {
    let dir = TempDir::new().expect("a temporary directory");
    // No process has a number as high as this.
    fs::write(dir.path().join("lock"), "2147483646\n").expect("can be written");
    let _reader = Disk::open_read_only(dir.path()).expect("is free");
    let error = Disk::open(dir.path()).expect_err("is in use");
    assert!(matches!(error, OpenError::InUse { pid: None }), "{error:?}");
}

#[test]
fn who_only_reads_changes_nothing() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::write(dir.path().join(SEGMENT.to_string()), "whole").expect("can be written");
    let mut disk = TestDisk::on(dir, Disk::open_read_only);
    assert_eq!(disk.read(SEGMENT, 0, 10), data(b"whole"));
    let operations = [
        create(CHECKPOINT, 1),
        write(SEGMENT, 0, vec![Bytes::from_static(b"x")]),
        DiskOp::Sync { file: SEGMENT },
        DiskOp::Truncate { file: SEGMENT, len: 0 },
        DiskOp::Delete { file: SEGMENT },
        DiskOp::SyncDir,
    ];
    for operation in operations {
        let error = failure(disk.log(operation.clone()));
        assert!(error.text.ends_with("was opened to be read only"), "{operation:?}: {error}");
    }
    let names: Vec<_> =
        fs::read_dir(disk.dir.path()).expect("is there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, [SEGMENT.to_string().as_str()]);
    assert_eq!(fs::read(disk.path(SEGMENT)).expect("is there"), b"whole");
}

#[test]
fn a_directory_that_is_none_is_not_made_to_be_looked_at() {
    let dir = TempDir::new().expect("a temporary directory");
    let error = Disk::open_read_only(&dir.path().join("none")).expect_err("is not there");
    assert!(matches!(error, OpenError::System(e) if e.kind() == io::ErrorKind::NotFound));
    assert!(!dir.path().join("none").exists());
    fs::write(dir.path().join("file"), "").expect("can be written");
    for open in [Disk::open, Disk::open_read_only] {
        let error = open(&dir.path().join("file")).expect_err("is no directory");
        assert!(matches!(error, OpenError::System(e) if e.kind() == io::ErrorKind::NotADirectory));
    }
}

#[test]
fn the_free_space_is_reported_at_once_and_often_while_it_is_nearly_too_little() {
    let mut disk = TestDisk::new();
    let space = disk.disk.space().expect("is known");
    assert!(0 < space.free && space.free <= space.capacity, "{space:?}");
    let start = std::time::Instant::now();
    disk.disk.requests.set_free_min(u64::MAX);
    let watch = disk.disk.requests.watch_space().expect("a thread");
    for _ in 0..3 {
        assert!(matches!(disk.next()[..], [Input::DiskFree(1..)]));
    }
    assert!(start.elapsed() < SPACE_INTERVAL, "took {:?}", start.elapsed());
    drop(watch);
}

#[test]
fn zeros_are_as_many_as_are_wanted() {
    let mut disk = TestDisk::new();
    let file = fs::File::create(disk.path(SEGMENT)).expect("can be made");
    files::write_zeros(&file.into(), (1 << 20) + 5).expect("there is room");
    assert_eq!(disk.background(DiskOp::List), DiskResult::Files(vec![(SEGMENT, (1 << 20) + 5)]));
}

/// A disk in a directory that goes with it, asked one thing at a time.
struct TestDisk {
    disk: Disk,
    dir: TempDir,
}

impl TestDisk {
    fn new() -> Self {
        Self::on(TempDir::new().expect("a temporary directory"), Disk::open)
    }

    fn on(dir: TempDir, open: fn(&Path) -> Result<Disk, OpenError>) -> Self {
        Self { disk: open(dir.path()).expect("can be opened"), dir }
    }

    fn path(&self, file: FileId) -> std::path::PathBuf {
        self.dir.path().join(file.to_string())
    }

    fn complaint(&self, doing: &str, file: FileId, system: &str) -> String {
        format!("cannot {doing} {}: {system}", self.path(file).display())
    }

    fn log(&mut self, op: DiskOp) -> DiskResult {
        self.ask(Lane::Log, op)
    }

    fn background(&mut self, op: DiskOp) -> DiskResult {
        self.ask(Lane::Background, op)
    }

    fn read(&mut self, file: FileId, offset: u64, len: u32) -> DiskResult {
        self.ask(Lane::Read, DiskOp::Read { file, offset, len })
    }

    fn ask(&mut self, lane: Lane, op: DiskOp) -> DiskResult {
        self.disk.submit(DiskRequest { id: OpId(0), lane, op });
        self.results(1).pop().expect("one").1
    }

    fn results(&mut self, count: usize) -> Vec<(OpId, DiskResult)> {
        let mut results = Vec::new();
        while results.len() < count {
            results.extend(self.next().into_iter().map(|input| match input {
                Input::Disk(id, result) => (id, result),
                other => panic!("{other:?}"),
            }));
        }
        results
    }

    fn next(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        let runtime = crate::runtime().expect("a runtime");
        runtime.block_on(async {
            let results = self.disk.results(&mut inputs);
            tokio::time::timeout(Duration::from_secs(20), results).await.expect("in time");
        });
        inputs
    }
}

fn create(file: FileId, len: u64) -> DiskOp {
    DiskOp::Create { file, len }
}

fn write(file: FileId, offset: u64, data: Vec<Bytes>) -> DiskOp {
    DiskOp::Write { file, offset, data }
}

fn data(bytes: &[u8]) -> DiskResult {
    DiskResult::Data(Bytes::copy_from_slice(bytes))
}

fn failure(result: DiskResult) -> DiskError {
    match result {
        DiskResult::Failed(error) => error,
        other => panic!("{other:?} where it should have failed"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o777
}
