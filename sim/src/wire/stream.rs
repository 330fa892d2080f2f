//! What a broker sends on one connection, put together from frames and held to the rules: content
//! follows its method at once, bodies add up, channel 0 has no content, replies to nobody.

use super::frame::{Decoder, Frame};
use super::method::Method;
use super::properties::Properties;
use super::{Bad, Violation};

/// A whole thing that a broker sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The header by which it refuses a version.
    Refusal([u8; 8]),
    /// A method without content.
    Method(u16, Method),
    /// A method with its content.
    Content(u16, Method, Properties, Vec<u8>),
    /// A sign of life.
    Heartbeat,
}

/// A content that has begun.
#[derive(Debug)]
struct Partial {
    method: Method,
    header: Option<(u64, Properties)>,
    body: Vec<u8>,
}

/// Reads one broker's stream.
#[derive(Debug)]
pub struct Stream {
    decoder: Decoder,
    /// By channel; few begin before others have ended.
    partial: Vec<(u16, Partial)>,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// The start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self { decoder: Decoder::of_broker(), partial: Vec::new() }
    }

    /// The largest frame from now on.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.decoder.set_frame_max(frame_max);
    }

    /// Appends what was received.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes);
    }

    /// Whether the stream may end here: between frames, and between contents.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.decoder.is_within_frame() && self.partial.is_empty()
    }

    /// The next whole thing; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What the broker may not have sent.
    pub fn poll(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            let frame = match self.decoder.poll() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(bad) => return Err(Violation(describe(&bad))),
            };
            if let Some(incoming) = self.take(frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Incoming>, Violation> {
        let fail = |text: String| Err(Violation(text));
        match frame {
            Frame::ProtocolHeader(header) => Ok(Some(Incoming::Refusal(header))),
            Frame::Heartbeat(0) => Ok(Some(Incoming::Heartbeat)),
            Frame::Heartbeat(channel) => fail(format!("a heartbeat on channel {channel}")),
            Frame::Method(channel, method) => {
                if self.partial_mut(channel).is_some() {
                    return fail(format!("{method:?} within a content on channel {channel}"));
                }
                if (method.id().0 == 10) != (channel == 0) {
                    return fail(format!("{method:?} on channel {channel}"));
                }
                if !method.has_content() {
                    return Ok(Some(Incoming::Method(channel, method)));
                }
                let partial = Partial { method, header: None, body: Vec::new() };
                self.partial.push((channel, partial));
                Ok(None)
            }
            Frame::Header { channel, class, body_len, properties } => {
                match self.partial_mut(channel) {
                    Some(partial) if partial.header.is_none() && class == 60 => {
                        partial.header = Some((body_len, properties));
                        Ok(self.finish(channel))
                    }
                    _ => fail(format!("a content header out of order on channel {channel}")),
                }
            }
            Frame::Body(channel, bytes) => self.take_body(channel, bytes),
        }
    }

    fn take_body(&mut self, channel: u16, bytes: Vec<u8>) -> Result<Option<Incoming>, Violation> {
        let fail = |text: String| Err(Violation(text));
        let Some(Partial { header: Some((body_len, _)), body, .. }) = self.partial_mut(channel)
        else {
            return fail(format!("a body out of order on channel {channel}"));
        };
        if bytes.is_empty() {
            return fail(format!("an empty body frame on channel {channel}"));
        }
        append(body, bytes);
        if body.len() as u64 > *body_len {
            return fail(format!("a body of {} bytes, {body_len} announced", body.len()));
        }
        Ok(self.finish(channel))
    }

    fn partial_mut(&mut self, channel: u16) -> Option<&mut Partial> {
        let mut partial = self.partial.iter_mut();
        partial.find(|(other, _)| *other == channel).map(|(_, partial)| partial)
    }

    fn finish(&mut self, channel: u16) -> Option<Incoming> {
        let at = self.partial.iter().position(|(other, _)| *other == channel)?;
        let (_, partial) = &self.partial[at];
        if partial.header.as_ref()?.0 != partial.body.len() as u64 {
            return None;
        }
        let (_, Partial { method, header, body }) = self.partial.swap_remove(at);
        let (_, properties) = header?;
        Some(Incoming::Content(channel, method, properties, body))
    }
}

/// Puts bytes behind others.
pub(crate) fn append(all: &mut Vec<u8>, bytes: Vec<u8>) {
    if all.is_empty() {
        *all = bytes;
    } else {
        all.extend_from_slice(&bytes);
    }
}

fn describe(bad: &Bad) -> String {
    match bad {
        Bad::TooLarge => "a frame larger than agreed".into(),
        Bad::NoEnd => "a frame without its end octet".into(),
        Bad::Payload => "a frame of no known type or shape".into(),
        Bad::UnknownMethod(class, method) => format!("an unknown method {class}.{method}"),
        Bad::Arguments(class, method) => {
            format!("method {class}.{method} with arguments that do not decode")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{encode_content, encode_frame, encode_method};
    use super::*;

    fn deliver() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_method(&mut bytes, 1, &Method::new("basic.deliver").with_number("delivery-tag", 1));
        bytes
    }

    fn all(bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let mut stream = Stream::new();
        stream.feed(bytes);
        let mut all = Vec::new();
        while let Some(incoming) = stream.poll()? {
            all.push(incoming);
        }
        Ok(all)
    }

    #[test]
    fn contents_are_put_together_and_may_interleave_between_channels() {
        let mut bytes = deliver();
        encode_method(&mut bytes, 2, &Method::new("tx.select-ok"));
        encode_content(&mut bytes, 1, &Properties::default(), &[1; 20], 16);
        let all = all(&bytes).unwrap();
        assert!(matches!(&all[0], Incoming::Method(2, _)));
        assert!(matches!(&all[1], Incoming::Content(1, _, _, body) if body[..] == [1; 20]));
    }

    #[test]
    fn what_breaks_the_order_of_a_content_is_a_violation() {
        let mut method_within = deliver();
        encode_method(&mut method_within, 1, &Method::new("tx.select-ok"));
        assert!(all(&method_within).is_err());

        let mut body_alone = Vec::new();
        encode_frame(&mut body_alone, 3, 1, b"body");
        assert!(all(&body_alone).is_err());

        let mut too_long = deliver();
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0];
        encode_frame(&mut too_long, 2, 1, &header);
        encode_frame(&mut too_long, 3, 1, b"four");
        assert!(all(&too_long).is_err());
    }

    #[test]
    fn methods_of_a_connection_belong_on_channel_0_and_no_others() {
        let mut bytes = Vec::new();
        encode_method(&mut bytes, 3, &Method::new("connection.tune"));
        assert!(all(&bytes).is_err());
        let mut bytes = Vec::new();
        encode_method(&mut bytes, 0, &Method::new("tx.select-ok"));
        assert!(all(&bytes).is_err());
    }
}
