//! `warren serve`: starts the broker, says where it listens, and stops it when it is told to.
//!
//! What goes wrong before the broker listens is one sentence that says what to do about it.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{fmt, panic, process};

use clap::Args;
use rustix::fs::Access;
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info, warn};
use warren_core::{Broker, Config};
use warren_io::{Listener, Node};

use crate::logging::{self, LogArgs};

/// What clients are told when the broker stops: the words of other brokers, which clients know.
const SHUTDOWN_TEXT: &str = "broker forced connection closure with reason 'shutdown'";

/// How the broker is to run.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where AMQP clients connect: an IP address and a port; port 0 lets the system choose one.
    /// May be given several times
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5672", value_parser = parse_address)]
    amqp: Vec<SocketAddr>,

    /// Where the broker keeps its data; made if it does not exist. Nothing is written there yet
    #[arg(long, value_name = "DIR", default_value = "warren-data")]
    data_dir: PathBuf,

    #[command(flatten)]
    log: LogArgs,
}

/// Runs the broker until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub(crate) fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    logging::init(&args.log);
    stop_on_panic();
    prepare_data_dir(&args.data_dir)
        .map_err(|error| ServeError::DataDir(args.data_dir.clone(), error))?;
    raise_file_limit();
    let boot = warren_io::boot().map_err(ServeError::System)?;
    let runtime = warren_io::runtime().map_err(ServeError::System)?;
    let broker = Broker::new(Config::default(), boot);
    runtime.block_on(run(broker, args))
}

async fn run(broker: Broker, args: &ServeArgs) -> Result<(), ServeError> {
    let mut stop = StopSignals::new().map_err(ServeError::System)?;
    let mut node = Node::start(broker);
    let mut addresses = Vec::new();
    for &address in &args.amqp {
        let listener =
            Listener::bind(address).map_err(|error| ServeError::Listen(address, error))?;
        addresses.push(listener.address());
        node.listen(listener);
    }
    announce(&addresses, &args.data_dir);
    warn!("all messages are kept in memory, durable ones too: they are gone when the broker stops");
    let name = stop.next().await;
    info!(signal = name, "stopping");
    tokio::select! {
        all_gone = node.shut_down(SHUTDOWN_TEXT.into()) => if !all_gone {
            warn!("some clients did not take their leave in time");
        },
        name = stop.next() => warn!(signal = name, "stopping without the clients' leave"),
    }
    Ok(())
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

/// Makes the directory if need be, for its owner only, and checks that it can be used.
fn prepare_data_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    rustix::fs::access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
    std::fs::read_dir(dir)?;
    Ok(())
}

/// Each connection is an open file, and the limit that a process is born with is low.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// A panic is a bug; what a broker does after one cannot be relied on. It stops where it stands.
fn stop_on_panic() {
    panic::set_hook(Box::new(|panic| {
        error!(%panic, "this is a bug in warren; it stops here");
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
    /// The data directory cannot be used.
    DataDir(PathBuf, io::Error),
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
                match error.kind() {
                    io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                        f.write_str("it is not a directory (choose another with --data-dir)")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "permission denied (it must be readable and writable for the user that \
                         runs the broker; choose another with --data-dir)",
                    ),
                    _ => write!(f, "{error} (choose another with --data-dir)"),
                }
            }
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_made_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let parent = TempDir::new("made");
        let dir = parent.0.join("a/b");
        prepare_data_dir(&dir).expect("can be made");
        prepare_data_dir(&dir).expect("can be used again");
        let mode = std::fs::metadata(&dir).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_place_of_the_data_directory_is_one_clear_sentence() {
        let parent = TempDir::new("file");
        let file = parent.0.join("file");
        std::fs::write(&file, "").expect("can be written");
        for dir in [file.clone(), file.join("below")] {
            let error = prepare_data_dir(&dir).expect_err("is no directory");
            let text = ServeError::DataDir(dir.clone(), error).to_string();
            let expected = format!(
                "cannot use the data directory {}: \
                 it is not a directory (choose another with --data-dir)",
                dir.display()
            );
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn an_address_needs_a_port() {
        assert!(parse_address("127.0.0.1:0").is_ok());
        assert!(parse_address("[::1]:5672").is_ok());
        assert!(parse_address("127.0.0.1").is_err());
        assert!(parse_address("localhost:5672").is_err());
    }

    /// A directory that goes with its owner.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("warren-{}-{name}", process::id()));
            std::fs::create_dir_all(&dir).expect("the temporary directory is writable");
            Self(dir)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
