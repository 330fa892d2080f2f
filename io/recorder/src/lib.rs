//! # The flight recorder
//!
//! The same inputs give the same outputs, in any two processes. So who keeps what went into a
//! broker can have it do the same again, elsewhere and later: the simulator replays a recording,
//! with its checkers looking on.
//!
//! A [`Recorder`] sits between an adapter and the core, and is told of each input before the core
//! gets it, and of each output. What it is told is a row of [`Event`]s, which a thread of its own
//! writes to a file, see [`file`](mod@file). A [`Recording`] reads the file again.
//!
//! - What clients send is kept as it was read, but for bodies: the core does not look into them, so
//!   that their length will do. A [`Follower`] finds them in the stream. Passwords are
//!   masked: that they were right is an event of its own.
//! - What comes from the disk is kept as its outcome. What the broker reads back, it has written
//!   itself, and a replay has it write the same again. Only what stood in the data directory before
//!   the start is kept as it was read.
//! - Of the outputs a hash is kept now and then, see [`OutputHash`]: a replay that differs is told
//!   so at the first that does.
//!
//! Nothing here decides anything, and the broker never waits for it: a recorder that cannot keep
//! up, or has written as much as it may, ends its recording and says so.

mod command;
mod elide;
mod event;
pub mod file;
mod follower;
mod hash;
mod header;
mod number;
mod reader;
mod recorder;
mod secrets;
mod writer;

pub use event::{Event, Outcome};
pub use file::{Limits, newest, prepare};
pub use follower::{Follower, FrameStart, Run};
pub use hash::OutputHash;
pub use header::Header;
pub use reader::{Piece, ReadError, Recording};
pub use recorder::{End, Recorder};
