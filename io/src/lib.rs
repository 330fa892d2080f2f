//! # The real world around the core
//!
//! `warren-core` decides everything and does nothing; this crate does what it says and decides
//! nothing: TCP sockets, the data directory, the clock and the operating system's entropy.
//!
//! Everything but the disk runs on one thread, in a [`runtime`]: the broker, the sockets, and the
//! codec between them. One wake-up handles everything that can be read, and what follows from it
//! leaves each socket as one write. The [`Disk`] has threads of its own, as it may make one wait,
//! and so have handshakes of [`Tls`], which take their time.
//!
//! ```text
//!            ┌──────────────────────── BrokerThread ────────────────────────┐
//!  socket ──►│ read ─► Decoder ─► broker.handle ─► poll_output ─► Egress(es)│──► sockets
//!            └───────────────────────────────────────────────────────────────┘
//!   one task per connection: a turn for each readiness     one flusher: a write per egress
//!
//!   the broker ──requests──► disk: a thread per lane ──results──► one task: a turn for all of them
//! ```

mod broker_thread;
mod clock;
mod connection;
mod disk;
mod entropy;
mod event;
mod halt;
mod handle;
mod listener;
mod node;
mod pace;
pub mod password;
mod proxy;
mod recovery;
mod tls;
mod transport;

pub use disk::{
    Disk, DiskMeter, DiskMetrics, DiskTimes, DiskUse, OpenError, RECORD_NEXT, RECORDINGS, SOCKET,
    Space,
};
pub use entropy::boot;
pub use handle::{BrokerHandle, Octets};
pub use listener::Listener;
pub use node::{Node, Shutdown, runtime};
pub use recovery::{drive, recover};
pub use tls::{Naming, Tls};
