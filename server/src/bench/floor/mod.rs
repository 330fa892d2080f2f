//! `warren bench floor`: a relay with no broker in it, which says what this machine can do.
//!
//! It speaks as much AMQP as this load generator does and no more: it shakes hands, reads what is
//! published, writes it to who consumes, and confirms. Nothing is queued, checked, counted or
//! routed beyond a look into a table; acknowledgements are read and dropped. So what a run against
//! it takes is what sockets, the two copies of each message and the load generator itself take, and
//! a broker's figures can be given as a fraction of that. Each client has a thread and blocking
//! calls, which is one system call for whatever one read or one write can carry.
//!
//! What is to be durable (messages published with delivery mode 2, durable queues) is written to a
//! file and synced before it is confirmed, once for all that one read brought; the file was filled
//! with zeros before, and is written round and round, which is the cheapest that a file system has.
//!
//! | Module | Holds |
//! |---|---|
//! | [`client`] | what one client says, and what follows |
//! | [`relay`] | who consumes from where; what waits for a socket |
//! | [`replies`] | the frames of a server |
//! | [`disk`] | the file |

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;

use super::error::BenchError;

mod client;
pub(super) mod disk;
mod relay;
mod replies;

use client::Client;
use disk::Disk;
use relay::Relay;

/// How often it is looked whether it is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Clients need little stack, and there may be thousands.
const STACK_BYTES: usize = 256 * 1024;

/// Where the relay is.
#[derive(Clone, Debug, Args)]
pub(crate) struct FloorArgs {
    /// Where clients connect; port 0 lets the system choose one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A directory on the disk that what is durable goes to, in a file of 64 MiB that nobody else
    /// sees; without one, nothing is kept
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End when the standard input ends: with the process that started it
    #[arg(long, hide = true)]
    child: bool,
}

/// Relays until `interrupt` is set. Its first line on the standard output says where it listens.
pub(super) fn serve(args: &FloorArgs, interrupt: &Arc<AtomicBool>) -> Result<(), BenchError> {
    let disk = args.dir.as_deref().map(Disk::create).transpose()?;
    let listener = TcpListener::bind(args.listen);
    let listener = listener
        .map_err(|source| BenchError::system(format!("binding {}", args.listen), source))?;
    let address = listener.local_addr();
    let address = address.map_err(|source| BenchError::system("looking at a socket", source))?;
    let mut stdout = io::stdout().lock();
    let told = writeln!(stdout, "warren bench floor listening on amqp://{address}")
        .and_then(|()| stdout.flush());
    told.map_err(|source| BenchError::system("printing the address", source))?;
    if args.child {
        let interrupt = Arc::clone(interrupt);
        start(move || {
            let _whatever_comes = io::stdin().read_to_end(&mut Vec::new());
            interrupt.store(true, Ordering::Relaxed);
        })?;
    }
    let relay = Arc::new(Relay::new(disk));
    start(move || accept(&listener, &relay))?;
    while !interrupt.load(Ordering::Relaxed) {
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// Serves whoever connects; those who cannot be served are told on the standard error.
fn accept(listener: &TcpListener, relay: &Arc<Relay>) {
    for stream in listener.incoming() {
        let client = stream.and_then(|stream| Client::new(stream, Arc::clone(relay)));
        let served = client.map_err(|source| BenchError::system("accepting a client", source));
        if let Err(error) = served.and_then(|client| start(move || client.run())) {
            eprintln!("warren bench floor: {error}");
        }
    }
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<(), BenchError> {
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
    thread.map(drop).map_err(|source| BenchError::system("starting a thread", source))
}
