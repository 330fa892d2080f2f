//! What the fuzz targets share: how an input is read, and how it is mutated so that most of it goes
//! on to mean what it meant; a world for a broker, and a disk.

pub mod directory;
pub mod disk;
pub mod input;
pub mod mutation;
pub mod reseal;
pub mod steps;
pub mod world;
