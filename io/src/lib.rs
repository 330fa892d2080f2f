//! The real world around the core: sockets, clock, off-thread jobs.
