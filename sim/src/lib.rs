//! The simulated world around the core: seeded network, clients, faults, checkers.
