//! # The real world around the core
//!
//! `warren-core` decides everything and does nothing; this crate does what it says and decides
//! nothing: TCP sockets, the clock and the operating system's entropy.
//!
//! Everything runs on one thread, in a [`runtime`]: the broker, the sockets, and the codec between
//! them. One wake-up handles everything that can be read, and what follows from it leaves each
//! socket as one write.
//!
//! ```text
//!            ┌──────────────────────── BrokerThread ────────────────────────┐
//!  socket ──►│ read ─► Decoder ─► broker.handle ─► poll_output ─► Egress(es)│──► sockets
//!            └───────────────────────────────────────────────────────────────┘
//!   one task per connection: a turn for each readiness     one flusher: a write per egress
//! ```

mod broker_thread;
mod clock;
mod connection;
mod entropy;
mod event;
mod listener;
mod node;

pub use entropy::boot;
pub use listener::Listener;
pub use node::{Node, runtime};
