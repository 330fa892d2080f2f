//! What the broker promised is there after it was killed, stopped, or stopped by a full disk, and
//! damage is told instead of passed over.
//!
//! With `WARREN_DURABILITY_BROKER` naming a program that takes the place of `warren` (see
//! [`warren_tests::setup::Setup::program`]), the tests whose promises other brokers make too run
//! against that; the others say that they are skipped.

mod accounting;
mod brokers;
mod checked_dir;
mod clean_restart;
mod damage;
mod directory;
mod fill;
mod full_disk;
mod golden;
mod history;
mod kill;
mod load;
mod memory;
mod pika;
mod side;
mod sync_order;
mod trace;
mod transactions;
