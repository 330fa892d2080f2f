//! The engine: exchanges, bindings, queues, messages, consumers. It knows nothing of frames and
//! channels.

mod message;

pub use message::{Body, Message};
