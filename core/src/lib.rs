//! # The broker as a state machine
//!
//! `warren-core` is a message broker without a socket, a file, a clock or a thread. It is told what
//! happened and says what is to be done about it:
//!
//! ```text
//!                 connect, handle(now, Input)
//!   adapter  ─────────────────────────────────►  Broker
//!            ◄─────────────────────────────────
//!              poll_output() until None, then poll_timeout()
//! ```
//!
//! An adapter ([`warren-io`] with real sockets, [`warren-sim`] with simulated ones) does this:
//!
//! 1. [`Broker::connect`] when a client connects. It makes a [`Decoder`](amqp::Decoder) and an
//!    [`Egress`](amqp::Egress) for the connection.
//! 2. What the client sends goes through the decoder; each frame becomes an [`Input::Frame`], each
//!    error an [`Input::Malformed`]; while [`Broker::is_paused`], frames stay in the decoder. A
//!    content that lies whole in what was read may be taken as one, which costs less:
//!    [`Broker::handle_content`].
//! 3. After a batch of inputs, [`Broker::poll_output`] until it gives `None`, and each [`Output`]
//!    is carried out in order: frames go into their connection's egress, and from there to its
//!    socket.
//! 4. When the time that [`Broker::poll_timeout`] names has come, [`Input::Tick`].
//! 5. Each [`DiskRequest`] is carried out in its [`Lane`], and what came of it is an
//!    [`Input::Disk`]. A broker that keeps its promises beyond its own end is one that a
//!    [`Recovery`] came to; [`Broker::new`] makes one without a disk.
//! 6. An [`Input::Command`] is what those who run the broker want; [`Output::Answered`] comes when
//!    what it changed is durable.
//! 7. For each [`Output::Verify`] the adapter finds out whether a password is that of a hash, away
//!    from where the broker runs, and says so with [`Input::Verified`].
//!
//! The same inputs give the same outputs, in any two processes. Time is only `now`; randomness is
//! only [`Boot::seed`]. No input is refused and none makes the broker panic: a panic is a bug.
//!
//! Inside, [`amqp`] is the protocol (frames, connections, channels, delivery tags, prefetch,
//! confirms, tx) and [`broker`] the engine (exchanges, bindings, queues, messages, consumers),
//! which knows nothing of frames and channels, so that other protocols can stand on it. Below both,
//! `log` is what the disk has: facts in batches, segments, checkpoints, and recovery. Beside them
//! stands [`moving`], a client of the broker.

#![no_std]
#![forbid(unsafe_code)]
// The same inputs give the same outputs on every machine.
#![deny(clippy::float_arithmetic, clippy::host_endian_bytes)]

extern crate alloc;

pub mod amqp;
pub mod broker;
mod config;
mod disk;
mod entropy;
mod hash;
mod interface;
pub mod listing;
mod log;
mod machine;
mod marks;
pub mod metrics;
pub mod moving;
mod pen;
mod rare;
mod slab;
mod time;

pub use config::{Boot, Config, Defaults, NodeLimits, ResourceLimits};
pub use disk::{DiskError, DiskOp, DiskRequest, DiskResult, FileId, Lane, OpId};
pub use interface::{
    Alarm, Command, CommandId, ConnectionId, Decision, DelayedMessage, Departure, Done, Event,
    Input, Occurrence, Output, Peer, QueueName, QueueStatus, Turn,
};
pub use log::{
    Basis, Check, CheckReport, DiskMachine, Loss, LostMessages, Problem, Progress, Recovery,
    RecoveryOutput, Salvage, SalvageReport, StartError,
};
pub use machine::Broker;
pub use marks::{Mark, MarkClass, MarkCounts};
pub use time::Instant;
