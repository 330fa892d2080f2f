//! The broker, whatever its clients say and its disk does.
//!
//! Never panics and never spins; says nothing to clients that are gone, and nothing at all once it
//! has given up; the books of each queue balance after each input; delivery tags are in a row and
//! no publish is confirmed twice; what is sent are whole frames; it stops when it is told to, and
//! what it left on its disk can be started.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use warren_fuzz::mutation::mutate_steps;
use warren_fuzz::steps::play;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_steps(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| play(data));
