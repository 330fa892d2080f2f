//! `warren serve`: starts the broker, says where it listens, and stops it when it is told to.
//!
//! What goes wrong before the broker listens is one sentence that says what to do about it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, panic, process};

use clap::Args;
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info, warn};
use warren_core::{Boot, Config, Progress, StartError};
use warren_io::{Disk, Listener, Node, OpenError, Shutdown};
use warren_recorder::{End, Header, Recorder};

use crate::logging::{self, LogArgs};
use crate::memory;
use crate::size::{self, Size};

/// What clients are told when the broker stops: the words of other brokers, which clients know.
const SHUTDOWN_TEXT: &str = "broker forced connection closure with reason 'shutdown'";

/// The exit status of a broker that could no longer keep its promises: `EX_IOERR`.
const HALTED_STATUS: i32 = 74;

/// What a machine is taken to have that does not say how much memory it has.
const MEMORY_UNKNOWN: u64 = 1 << 30;

/// With less memory than this there would be no room for messages.
const MEMORY_MIN: u64 = 16 << 20;

/// The shortest segment, in bytes.
const SEGMENT_LEN_MIN: u64 = 4096;

/// How the broker is to run.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where AMQP clients connect: an IP address and a port; port 0 lets the system choose one.
    /// May be given several times
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5672", value_parser = parse_address)]
    amqp: Vec<SocketAddr>,

    /// Where the broker keeps its data; made if it does not exist
    #[arg(long, value_name = "DIR", default_value = "warren-data")]
    data_dir: PathBuf,

    /// How much memory the broker may use, such as 512MiB, 2GB or 40% of what the machine (or the
    /// container) has; when it has taken that much, publishers wait
    #[arg(long, value_name = "SIZE", default_value = "40%")]
    memory: Size,

    /// How much space must be left on the disk, such as 1GiB or 5% of it; with less, publishers
    /// wait
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    disk_free_min: Size,

    /// How many seconds a delivery may wait for its acknowledgement, where neither its consumer nor
    /// its queue says so (x-consumer-timeout); then it goes back to its queue, and its consumer is
    /// cancelled
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    consumer_timeout: Option<u64>,

    /// The length of a segment of the log
    #[arg(long, value_name = "SIZE", hide = true)]
    segment_size: Option<Size>,

    /// How much of each queue that is on disk is kept in memory too
    #[arg(long, value_name = "SIZE", hide = true)]
    queue_window: Option<Size>,

    /// Record what goes into the broker, for `warren-sim replay DIR`: everything that clients send
    /// but for passwords and the bodies of messages. Each start makes a file of its own
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// How much all recordings in the directory may take. A start deletes the oldest, and a
    /// recording that comes to the limit ends
    #[arg(long, value_name = "SIZE", default_value = "1GiB", requires = "record")]
    record_max: Size,

    #[command(flatten)]
    log: LogArgs,
}

/// Runs the broker until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub(crate) fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    logging::init(&args.log);
    stop_on_panic(End::default());
    raise_file_limit();
    let unusable = |error| ServeError::DataDir(args.data_dir.clone(), error);
    let disk = Disk::open(&args.data_dir).map_err(unusable)?;
    let space = disk.space().map_err(|error| unusable(error.into()))?;
    let config = config(args, memory::total().unwrap_or(MEMORY_UNKNOWN), space.capacity)?;
    let boot = warren_io::boot().map_err(ServeError::System)?;
    let recorder = recorder(args, &config, &boot, space.capacity)?;
    let end = recorder.end();
    stop_on_panic(end.clone());
    let runtime = warren_io::runtime().map_err(ServeError::System)?;
    let served = runtime.block_on(run(disk, config, boot, recorder, args));
    match &served {
        Ok(()) => end.now("the broker was told to stop"),
        Err(error) => end.now(&format!("the broker did not start: {error}")),
    }
    served
}

/// What records this broker, if that is asked for.
fn recorder(
    args: &ServeArgs,
    config: &Config,
    boot: &Boot,
    disk: u64,
) -> Result<Recorder, ServeError> {
    let Some(dir) = &args.record else { return Ok(Recorder::default()) };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { version, config: config.clone(), boot: boot.clone() };
    let recorder = Recorder::start(dir, args.record_max.of(disk), &header);
    recorder.map_err(|error| ServeError::Record(dir.clone(), error))
}

async fn run(
    disk: Disk,
    config: Config,
    boot: Boot,
    mut recorder: Recorder,
    args: &ServeArgs,
) -> Result<(), ServeError> {
    let end = recorder.end();
    let mut stop = StopSignals::new().map_err(ServeError::System)?;
    let (memory_max, disk_free_min) = (config.memory_max, config.disk_free_min);
    let recovered = tokio::select! {
        recovered =
            warren_io::recover(disk, config, boot, &mut recorder, tell_progress) => recovered,
        name = stop.next() => {
            info!(signal = name, "stopping before the start was over");
            return Ok(());
        }
    };
    let (broker, disk) =
        recovered.map_err(|error| ServeError::Start(args.data_dir.clone(), error))?;
    let node = Node::start_on(disk, broker, disk_free_min, recorder);
    let mut node = node.map_err(ServeError::System)?;
    let mut addresses = Vec::new();
    for &address in &args.amqp {
        let listener =
            Listener::bind(address).map_err(|error| ServeError::Listen(address, error))?;
        addresses.push(listener.address());
        node.listen(listener);
    }
    announce(&addresses, &args.data_dir);
    info!(
        "publishers wait when messages take more than {} of memory, or when less than {} is free \
         on the disk",
        size::written(memory_max),
        size::written(disk_free_min)
    );
    tokio::select! {
        () = until_stopped(&node, &mut stop) => Ok(()),
        reason = node.halted() => end_halted(&reason, &end),
    }
}

/// Waits for a signal, and stops the node; with the next signal, at once.
async fn until_stopped(node: &Node, stop: &mut StopSignals) {
    let name = stop.next().await;
    info!(signal = name, "stopping");
    tokio::select! {
        Shutdown { is_closed, .. } = node.shut_down(SHUTDOWN_TEXT.into()) => if is_closed {
            info!("stopped");
        },
        name = stop.next() => warn!(signal = name, "stopping without the clients' leave"),
    }
}

/// The broker has nothing more to say to anybody, and its disk may take for ever: the process ends
/// here, and waits for nothing.
fn end_halted(reason: &str, recording: &End) -> ! {
    error!("{reason}");
    recording.now(&format!("the broker has given up: {reason}"));
    eprintln!("warren: {reason}");
    process::exit(HALTED_STATUS)
}

fn tell_progress(Progress { read, total }: Progress) {
    info!("recovering: {} of {}", size::written(read), size::written(total));
}

/// The limits that follow from the options, on a machine with so many bytes of memory and with a
/// disk of so many.
fn config(args: &ServeArgs, memory: u64, disk: u64) -> Result<Config, ServeError> {
    let memory = args.memory.of(memory);
    if memory < MEMORY_MIN {
        let (given, min) = (size::written(memory), size::written(MEMORY_MIN));
        return Err(ServeError::Option(format!("--memory is {given}; it takes at least {min}")));
    }
    let mut config = Config {
        // It counts the messages alone: what the allocator and all else take comes on top.
        memory_max: memory / 2,
        log_pending_max: in_memory((memory / 8).min(16 << 20)),
        queue_window: in_memory((memory / 16).min(8 << 20)),
        disk_free_min: args.disk_free_min.of(disk),
        consumer_timeout: args.consumer_timeout.map(Duration::from_secs),
        ..Config::default()
    };
    if let Some(window) = args.queue_window {
        config.queue_window = in_memory(window.of(memory));
    }
    if let Some(size) = args.segment_size {
        let segment_len = u32::try_from(size.of(disk)).ok();
        config.segment_len = segment_len
            .filter(|len| u64::from(*len) >= SEGMENT_LEN_MIN)
            .ok_or_else(|| ServeError::Option("--segment-size is from 4KiB to 4GiB".into()))?;
    }
    Ok(config)
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The one line on standard output: whoever started the broker can wait for it.
fn announce(addresses: &[SocketAddr], data_dir: &Path) {
    let urls: Vec<_> = addresses.iter().map(|address| format!("amqp://{address}")).collect();
    let line = format!(
        "warren {} listening on {}, data in {}\n",
        env!("CARGO_PKG_VERSION"),
        urls.join(" and "),
        data_dir.display()
    );
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        debug!(%error, "nobody reads standard output");
    }
}

/// The signals that ask the broker to stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Each connection is an open file, and the limit that a process is born with is low.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// A panic is a bug; what a broker does after one cannot be relied on. It stops where it stands;
/// only what led there is written.
fn stop_on_panic(recording: End) {
    panic::set_hook(Box::new(move |panic| {
        error!(%panic, "this is a bug in warren; it stops here");
        recording.now(&format!("the broker has panicked: {panic}"));
        process::abort();
    }));
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "not an IP address and a port, such as 127.0.0.1:5672 or [::1]:5672".to_string()
    })
}

/// Why the broker did not start.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The data directory cannot be opened.
    DataDir(PathBuf, OpenError),
    /// What is in the data directory cannot be used as it is.
    Start(PathBuf, StartError),
    /// A recording cannot be made in this directory.
    Record(PathBuf, io::Error),
    /// An option has a value that cannot be.
    Option(String),
    /// The operating system refused something that every process needs.
    System(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "address already in use \
                         (is another broker running? choose another with --amqp)",
                    ),
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("this machine has no such address (choose another with --amqp)")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "permission denied \
                         (a port below 1024 needs privileges; choose another with --amqp)",
                    ),
                    _ => write!(f, "{error}"),
                }
            }
            Self::DataDir(dir, error) => {
                write!(f, "cannot use the data directory {}: ", dir.display())?;
                match error {
                    OpenError::InUse { .. } => write!(
                        f,
                        "{error} (stop that one first, or choose another with --data-dir)"
                    ),
                    OpenError::System(error) => match error.kind() {
                        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                            f.write_str("it is not a directory (choose another with --data-dir)")
                        }
                        io::ErrorKind::PermissionDenied => f.write_str(
                            "permission denied (it must be readable and writable for the user \
                             that runs the broker; choose another with --data-dir)",
                        ),
                        _ => write!(f, "{error} (choose another with --data-dir)"),
                    },
                }
            }
            Self::Start(dir, error) => {
                let dir = dir.display();
                write!(f, "cannot use the data directory {dir}: {error}")?;
                match error {
                    StartError::Damaged { .. } => write!(
                        f,
                        " (nothing was changed; `warren check {dir}` lists all damage, \
                         `warren salvage {dir}` keeps what is whole)"
                    ),
                    StartError::Newer { .. } => {
                        f.write_str(" (use that version, or choose another with --data-dir)")
                    }
                    StartError::Disk { .. } => Ok(()),
                }
            }
            Self::Record(dir, error) => {
                write!(
                    f,
                    "cannot record to {}: {error} (choose another with --record)",
                    dir.display()
                )
            }
            Self::Option(text) => f.write_str(text),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tempfile::TempDir;
    use warren_core::FileId;

    use super::*;

    #[test]
    fn a_file_in_place_of_the_data_directory_is_one_clear_sentence() {
        let parent = TempDir::new().expect("a temporary directory");
        let file = parent.path().join("file");
        std::fs::write(&file, "").expect("can be written");
        for dir in [file.clone(), file.join("below")] {
            let error = Disk::open(&dir).expect_err("is no directory");
            let expected = format!(
                "cannot use the data directory {}: \
                 it is not a directory (choose another with --data-dir)",
                dir.display()
            );
            assert_eq!(ServeError::DataDir(dir, error).to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_the_data_is_one_clear_sentence() {
        let text = |error| ServeError::Start("data".into(), error).to_string();
        let file = FileId::Segment(10);
        let damaged = StartError::Damaged { file, offset: 4096, text: "no batch".into() };
        assert_eq!(
            text(damaged),
            "cannot use the data directory data: 000000000000000a.log is damaged at offset 4096: \
             no batch (nothing was changed; `warren check data` lists all damage, `warren salvage \
             data` keeps what is whole)"
        );
        assert_eq!(
            text(StartError::Newer { file, version: 2 }),
            "cannot use the data directory data: 000000000000000a.log was written by a newer \
             version of warren (format 2) (use that version, or choose another with --data-dir)"
        );
        let in_use = ServeError::DataDir("data".into(), OpenError::InUse { pid: Some(7) });
        assert_eq!(
            in_use.to_string(),
            "cannot use the data directory data: it is in use by process 7 (stop that one first, \
             or choose another with --data-dir)"
        );
    }

    #[test]
    fn limits_follow_from_the_memory_and_the_disk() {
        let config = |line| config(&args(line), 10 << 30, 100 << 30);
        let limits = |line| {
            let config = config(line).expect("can be");
            (config.memory_max, config.log_pending_max, config.queue_window, config.disk_free_min)
        };
        assert_eq!(limits(""), (2 << 30, 16 << 20, 8 << 20, 256 << 20));
        assert_eq!(
            limits("--memory 64MiB --disk-free-min 5%"),
            (32 << 20, 8 << 20, 4 << 20, 5 << 30)
        );
        assert_eq!(limits("--queue-window 1000").2, 1000);
        let segment_len = |line| config(line).map(|config| config.segment_len).ok();
        assert_eq!(segment_len(""), Some(Config::default().segment_len));
        assert_eq!(segment_len("--segment-size 64KiB"), Some(64 << 10));
        assert_eq!(segment_len("--segment-size 4095"), None);
        assert_eq!(segment_len("--segment-size 4GiB"), None);
    }

    #[test]
    fn too_little_memory_is_one_clear_sentence() {
        let error = config(&args("--memory 1MiB"), 10 << 30, 0).expect_err("is too little");
        assert_eq!(error.to_string(), "--memory is 1.0 MiB; it takes at least 16.0 MiB");
    }

    #[test]
    fn an_address_needs_a_port() {
        assert!(parse_address("127.0.0.1:0").is_ok());
        assert!(parse_address("[::1]:5672").is_ok());
        assert!(parse_address("127.0.0.1").is_err());
        assert!(parse_address("localhost:5672").is_err());
    }

    /// The options that a command line gives.
    fn args(line: &str) -> ServeArgs {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            serve: ServeArgs,
        }
        let words = std::iter::once("serve").chain(line.split_whitespace());
        Cli::try_parse_from(words).expect("is a command line").serve
    }
}
