//! The simulated clients' own AMQP 0-9-1: written apart from the core's codec, so that an error
//! in one is not hidden by the same error in the other.
//!
//! Owns the method table, values, frames and the channel automaton of what a broker sends. Strict:
//! whatever the specification does not allow is a [`Violation`]. Never uses `warren_core::amqp`.

mod frame;
mod method;
mod properties;
mod spec;
mod stream;
mod value;

pub use frame::{Bad, Decoder, Frame, encode_content, encode_frame, encode_method};
pub use method::{Argument, Method};
pub use properties::Properties;
pub(crate) use stream::append;
pub use stream::{Incoming, Stream};
pub use value::{Table, Value};

/// What a broker sent that it must not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);
