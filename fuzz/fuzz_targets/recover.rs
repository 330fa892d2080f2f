//! A start, `check` and `salvage`, whatever is on the disk.
//!
//! None panics, none goes on for ever, none takes the disk's word for how much memory it needs. A
//! start and `check` agree on whether a directory can be used; a start that is refused changes
//! nothing; a second start comes to the same as the first. What `check` finds clean, and what
//! `salvage` made, can be read to the last message.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use warren_fuzz::directory::look_at;
use warren_fuzz::reseal::mutate_disk;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_disk(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| look_at(data));
