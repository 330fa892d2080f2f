//! # What the core costs
//!
//! A [`Rig`] is a broker with one client that publishes and one that consumes, driven from the
//! bytes that the one sends to the bytes that the other is sent, as an adapter does it, but with no
//! socket, no file and no clock. The same messages always take the same steps, so that costs can be
//! counted rather than timed:
//!
//! - `warren-costs` (`main.rs`) has messages go through under callgrind, see `.ci/instructions`,
//! - `tests/allocations.rs` counts what a message allocates,
//! - `benches/parts.rs` times the parts with criterion.

mod disk;
pub mod frames;
mod rig;

pub use disk::{Disk, Files};
pub use rig::{Course, Rig, recover};
