//! What the fuzz targets share: how an input is read, and how frames are mutated so that they stay
//! frames.

pub mod input;
pub mod mutation;
