//! What the broker sends on a connection, as the simulator's own decoder reads it.

use warren_core::amqp::{Egress, OutFrame};

use crate::checkers::Failure;
use crate::wire::{Incoming, Stream, Violation};

/// Makes each output's bytes once more, alone, and reads them.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    copy: Egress,
    stream: Stream,
}

impl Ear {
    /// The largest frame from now on.
    pub(crate) fn set_frame_max(&mut self, frame_max: u32) {
        self.copy.set_frame_max(frame_max);
        self.stream.set_frame_max(frame_max);
    }

    /// Reads an output.
    ///
    /// # Errors
    /// When it is not one whole thing that a broker may send.
    pub(crate) fn hear(&mut self, frame: &OutFrame) -> Result<Incoming, Failure> {
        self.copy.push(frame);
        for chunk in self.copy.chunks() {
            self.stream.feed(chunk);
        }
        self.copy.advance(self.copy.len());
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
