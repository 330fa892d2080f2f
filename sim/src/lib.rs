//! The simulated world around the core: seeded network, clients, faults, checkers.
//!
//! A [`plan`] is drawn from a seed, or read from a file. A [`run`] plays it in a [`world`] whose
//! broker is the core that serves production; a [`judge`] holds each thing the broker says against
//! a [`model`] that was written from the semantics alone, with the [`checkers`]. A plan replays
//! exactly: there is no clock, no thread and no source of randomness besides it.

pub mod checkers;
pub mod course;
pub mod exhaustive;
pub mod judge;
pub mod meter;
pub mod model;
pub mod plan;
pub mod recording;
pub mod run;
pub mod shrink;
pub mod tally;
pub mod trace;
pub mod wire;
pub mod world;
