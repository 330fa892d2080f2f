//! What the broker sends on a connection, as the simulator's own decoder reads it.

use warren_core::amqp::Egress;

use crate::checkers::Failure;
use crate::wire::{Incoming, Stream, Violation};

/// Reads each output alone, as soon as it waits for the socket.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    stream: Stream,
}

impl Ear {
    /// The largest frame from now on.
    pub(crate) fn set_frame_max(&mut self, frame_max: u32) {
        self.stream.set_frame_max(frame_max);
    }

    /// Reads the output that was put behind the first `before` bytes of what waits.
    ///
    /// # Errors
    /// When it is not one whole thing that a broker may send.
    pub(crate) fn hear(&mut self, egress: &Egress, before: usize) -> Result<Incoming, Failure> {
        let mut before = before;
        for chunk in egress.chunks() {
            let passed = before.min(chunk.len());
            before -= passed;
            self.stream.feed(&chunk[passed..]);
        }
        let violation = |violation: Violation| Failure::new("protocol", violation.0);
        match self.stream.poll().map_err(violation)? {
            Some(incoming) if self.stream.is_whole() => Ok(incoming),
            other => {
                let text = format!("an output is no whole frame or content: {other:?}");
                Err(Failure::new("protocol", text))
            }
        }
    }
}
