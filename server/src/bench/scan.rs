//! Reading what a broker sends, at a few nanoseconds a message.
//!
//! Bytes are read into one buffer and walked in place, frame head by frame head. Deliveries and
//! confirms are reported to a [`Sink`] as plain numbers; nothing is copied, and nothing is
//! allocated after the buffer itself. A body that is not complete yet is skipped as it arrives; any
//! other incomplete frame waits at the front of the buffer for its rest.

use super::error::BenchError;
use super::wire::{self, FRAME_END, FRAME_HEAD_LEN, FRAME_OVERHEAD};

/// One message that was received to its last octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The delivery tag.
    pub(super) tag: u64,
    /// Whether the broker says that it may have been delivered before.
    pub(super) redelivered: bool,
    /// Octets in its body.
    pub(super) size: u64,
    /// The first eight octets of the body; 0 for a shorter one.
    pub(super) stamp: u64,
}

/// One `basic.ack` or `basic.nack` from the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confirm {
    /// The sequence number that it names.
    pub(super) tag: u64,
    /// Whether it answers for all before it too.
    pub(super) multiple: bool,
    /// `basic.nack`: the broker did not take the messages.
    pub(super) refused: bool,
}

/// Who is told what was received. An error ends the scan and is handed on as it is.
pub(super) trait Sink {
    /// Bytes have been read; what they hold is reported next.
    fn arrival(&mut self) {}

    /// A message is complete.
    fn delivery(&mut self, delivery: Delivery) -> Result<(), BenchError> {
        Err(BenchError::Protocol(format!("a message was delivered (tag {})", delivery.tag)))
    }

    /// The broker answered for what was published.
    fn confirm(&mut self, confirm: Confirm) -> Result<(), BenchError> {
        Err(BenchError::Protocol(format!("a confirm came unasked (tag {})", confirm.tag)))
    }

    /// Any other method: its class and method as one number, and its arguments.
    fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError>;
}

/// What the next frame on the channel has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Method,
    Header,
    Body,
}

/// The incremental parser of one connection, with the buffer that it reads into.
pub(super) struct Scanner {
    buffer: Box<[u8]>,
    /// Octets at the front of the buffer that wait for the rest of their frame.
    filled: usize,
    walk: Walk,
}

/// Where in the stream of frames the parser is.
struct Walk {
    expected: Expected,
    /// The message whose content is arriving.
    delivery: Delivery,
    /// Octets of its body in frames not seen yet.
    body_left: u64,
    /// Octets of the current body frame, with its end octet, that are still to come.
    skip: usize,
}

impl Scanner {
    /// A scanner that reads at most `capacity` octets at once, or [`wire::FRAME_MAX`] if that is
    /// more: a whole frame other than a body has to fit.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            buffer: vec![0; capacity.max(wire::FRAME_MAX)].into_boxed_slice(),
            filled: 0,
            walk: Walk {
                expected: Expected::Method,
                delivery: Delivery { tag: 0, redelivered: false, size: 0, stamp: 0 },
                body_left: 0,
                skip: 0,
            },
        }
    }

    /// Where to read into; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// Takes the first `len` octets of [`space`](Self::space) as received and reports what they
    /// complete. After an error the scanner is of no further use.
    pub(super) fn advance(&mut self, len: usize, sink: &mut impl Sink) -> Result<(), BenchError> {
        sink.arrival();
        let end = self.filled + len;
        let used = self.walk.over(&self.buffer[..end], sink)?;
        self.buffer.copy_within(used..end, 0);
        self.filled = end - used;
        Ok(())
    }
}

impl Walk {
    /// Reports all that is complete in `input`; returns how much of it is done with.
    #[inline]
    fn over(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<usize, BenchError> {
        let mut at = 0;
        if self.skip > 0 {
            if input.len() < self.skip {
                self.skip -= input.len();
                return Ok(input.len());
            }
            at = std::mem::take(&mut self.skip);
            self.end_of_body_frame(input[at - 1], sink)?;
        }
        while let Some(head) = input[at..].first_chunk::<FRAME_OVERHEAD>() {
            let rest = &input[at..];
            let kind = head[0];
            let channel = u16::from_be_bytes([head[1], head[2]]);
            let len = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            if kind == wire::FRAME_BODY && channel == wire::CHANNEL {
                let here = rest.len() - FRAME_HEAD_LEN;
                if here < len.min(8) {
                    break;
                }
                self.body_frame(len, &rest[FRAME_HEAD_LEN..])?;
                if here <= len {
                    self.skip = len + 1 - here;
                    return Ok(input.len());
                }
                self.end_of_body_frame(rest[FRAME_HEAD_LEN + len], sink)?;
            } else {
                if len + FRAME_OVERHEAD > wire::FRAME_MAX {
                    return Err(too_long(kind, len));
                }
                let Some(frame) = rest.get(..len + FRAME_OVERHEAD) else { break };
                self.frame(kind, channel, frame, sink)?;
            }
            at += len + FRAME_OVERHEAD;
        }
        Ok(at)
    }

    /// A whole frame other than a body.
    #[inline]
    fn frame(
        &mut self,
        kind: u8,
        channel: u16,
        frame: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), BenchError> {
        let payload = &frame[FRAME_HEAD_LEN..frame.len() - 1];
        check_end(frame[frame.len() - 1])?;
        match (kind, channel) {
            (wire::FRAME_METHOD, 0 | wire::CHANNEL) => self.method(payload, sink),
            (wire::FRAME_HEADER, wire::CHANNEL) => self.header(payload, sink),
            (wire::FRAME_HEARTBEAT, 0) => Ok(()),
            _ => Err(BenchError::Protocol(format!(
                "a frame begins with type {kind:#04x} and channel {channel}"
            ))),
        }
    }

    #[inline]
    fn method(&mut self, payload: &[u8], sink: &mut impl Sink) -> Result<(), BenchError> {
        let Some((id, args)) = payload.split_first_chunk() else {
            return Err(truncated());
        };
        let id = u32::from_be_bytes(*id);
        if id == wire::BASIC_DELIVER {
            return self.deliver(args);
        }
        if id == wire::BASIC_ACK || id == wire::BASIC_NACK {
            let Some((tag, &[bits, ..])) = args.split_first_chunk() else {
                return Err(truncated());
            };
            return sink.confirm(Confirm {
                tag: u64::from_be_bytes(*tag),
                multiple: bits & 1 != 0,
                refused: id == wire::BASIC_NACK,
            });
        }
        sink.method(id, args)
    }

    /// `basic.deliver`: consumer tag, delivery tag, redelivered; the rest is of no interest.
    #[inline]
    fn deliver(&mut self, args: &[u8]) -> Result<(), BenchError> {
        self.expect(Expected::Method)?;
        let tag_len = usize::from(*args.first().ok_or_else(truncated)?);
        let rest = args.get(1 + tag_len..).ok_or_else(truncated)?;
        let Some((tag, &[redelivered, ..])) = rest.split_first_chunk() else {
            return Err(truncated());
        };
        self.delivery.tag = u64::from_be_bytes(*tag);
        self.delivery.redelivered = redelivered & 1 != 0;
        self.delivery.stamp = 0;
        self.expected = Expected::Header;
        Ok(())
    }

    /// A content header: class, weight, body size; properties are of no interest.
    #[inline]
    fn header(&mut self, payload: &[u8], sink: &mut impl Sink) -> Result<(), BenchError> {
        self.expect(Expected::Header)?;
        let size = payload.get(4..).and_then(<[u8]>::first_chunk).ok_or_else(truncated)?;
        self.delivery.size = u64::from_be_bytes(*size);
        self.body_left = self.delivery.size;
        if self.body_left == 0 {
            self.expected = Expected::Method;
            return sink.delivery(self.delivery);
        }
        self.expected = Expected::Body;
        Ok(())
    }

    /// The head of a body frame of `len` octets, with as much of its payload as has arrived.
    #[inline]
    fn body_frame(&mut self, len: usize, payload: &[u8]) -> Result<(), BenchError> {
        self.expect(Expected::Body)?;
        if self.body_left == self.delivery.size && len >= 8 {
            let stamp = payload.first_chunk().ok_or_else(truncated)?;
            self.delivery.stamp = u64::from_be_bytes(*stamp);
        }
        self.body_left = self
            .body_left
            .checked_sub(len as u64)
            .ok_or_else(|| BenchError::Protocol("a body is longer than its header says".into()))?;
        Ok(())
    }

    #[inline]
    fn end_of_body_frame(&mut self, end: u8, sink: &mut impl Sink) -> Result<(), BenchError> {
        check_end(end)?;
        if self.body_left == 0 {
            self.expected = Expected::Method;
            sink.delivery(self.delivery)?;
        }
        Ok(())
    }

    #[inline]
    fn expect(&self, arrived: Expected) -> Result<(), BenchError> {
        if self.expected == arrived {
            return Ok(());
        }
        Err(BenchError::Protocol(format!(
            "expected the next frame of the channel to be a {:?}, got a {arrived:?}",
            self.expected
        )))
    }
}

#[inline]
fn check_end(octet: u8) -> Result<(), BenchError> {
    if octet == FRAME_END {
        return Ok(());
    }
    Err(BenchError::Protocol(format!("a frame ends with {octet:#04x} instead of 0xce")))
}

#[cold]
fn truncated() -> BenchError {
    BenchError::Protocol("a frame is too short for what it holds".into())
}

#[cold]
fn too_long(kind: u8, len: usize) -> BenchError {
    BenchError::Protocol(format!("a frame of type {kind:#04x} claims {len} octets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down everything it is told.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Notes {
        deliveries: Vec<Delivery>,
        confirms: Vec<Confirm>,
        methods: Vec<(u32, Vec<u8>)>,
    }

    impl Sink for Notes {
        fn delivery(&mut self, delivery: Delivery) -> Result<(), BenchError> {
            self.deliveries.push(delivery);
            Ok(())
        }

        fn confirm(&mut self, confirm: Confirm) -> Result<(), BenchError> {
            self.confirms.push(confirm);
            Ok(())
        }

        fn method(&mut self, id: u32, args: &[u8]) -> Result<(), BenchError> {
            self.methods.push((id, args.to_vec()));
            Ok(())
        }
    }

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        out.extend(channel.to_be_bytes());
        out.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        out.extend(payload);
        out.push(FRAME_END);
        out
    }

    fn deliver(tag: u64, redelivered: bool) -> Vec<u8> {
        let mut payload = wire::BASIC_DELIVER.to_be_bytes().to_vec();
        payload.extend(b"\x05ctag1");
        payload.extend(tag.to_be_bytes());
        payload.push(u8::from(redelivered));
        payload.extend(b"\x00\x03key");
        frame(wire::FRAME_METHOD, wire::CHANNEL, &payload)
    }

    fn header(size: u64) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0];
        payload.extend(size.to_be_bytes());
        payload.extend([0x10, 0, 2]);
        frame(wire::FRAME_HEADER, wire::CHANNEL, &payload)
    }

    /// A message whose body is `0 1 2 3 ...`, in frames of at most `piece` octets.
    fn message(tag: u64, size: u8, piece: usize) -> Vec<u8> {
        let body: Vec<u8> = (0..size).collect();
        let mut out = deliver(tag, tag.is_multiple_of(2));
        out.extend(header(size.into()));
        for piece in body.chunks(piece) {
            out.extend(frame(wire::FRAME_BODY, wire::CHANNEL, piece));
        }
        out
    }

    fn stream() -> Vec<u8> {
        let mut out = message(1, 16, 100);
        out.extend(frame(wire::FRAME_HEARTBEAT, 0, b""));
        out.extend(message(2, 0, 100));
        out.extend(message(3, 5, 100));
        wire::basic_ack(&mut out, 77, true);
        out.extend(message(4, 50, 20));
        out.extend(frame(wire::FRAME_METHOD, 0, &[0, 10, 0, 61]));
        let nack = [&wire::BASIC_NACK.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0, 0, 9, 0]].concat();
        out.extend(frame(wire::FRAME_METHOD, wire::CHANNEL, &nack));
        out.extend(message(5, 8, 8));
        out
    }

    fn expected() -> Notes {
        let stamp = 0x0001_0203_0405_0607;
        let delivery = |tag, size, stamp| Delivery { tag, redelivered: tag % 2 == 0, size, stamp };
        Notes {
            deliveries: vec![
                delivery(1, 16, stamp),
                delivery(2, 0, 0),
                delivery(3, 5, 0),
                delivery(4, 50, stamp),
                delivery(5, 8, stamp),
            ],
            confirms: vec![
                Confirm { tag: 77, multiple: true, refused: false },
                Confirm { tag: 9, multiple: false, refused: true },
            ],
            methods: vec![(wire::CONNECTION_UNBLOCKED, vec![])],
        }
    }

    fn feed(scanner: &mut Scanner, notes: &mut Notes, bytes: &[u8]) -> Result<(), BenchError> {
        scanner.space()[..bytes.len()].copy_from_slice(bytes);
        scanner.advance(bytes.len(), notes)
    }

    fn scanned(pieces: &[&[u8]]) -> Result<Notes, BenchError> {
        let (mut scanner, mut notes) = (Scanner::new(0), Notes::default());
        for piece in pieces {
            feed(&mut scanner, &mut notes, piece)?;
        }
        Ok(notes)
    }

    #[test]
    fn deliveries_confirms_and_other_methods_are_reported_in_full() {
        assert_eq!(scanned(&[&stream()]).unwrap(), expected());
    }

    #[test]
    fn a_split_at_any_octet_changes_nothing() {
        let stream = stream();
        for at in 0..=stream.len() {
            let (front, back) = stream.split_at(at);
            assert_eq!(scanned(&[front, back]).unwrap(), expected(), "split at {at}");
        }
    }

    #[test]
    fn pieces_of_any_size_change_nothing() {
        let stream = stream();
        for len in 1..=40 {
            let pieces: Vec<&[u8]> = stream.chunks(len).collect();
            assert_eq!(scanned(&pieces).unwrap(), expected(), "pieces of {len}");
        }
    }

    #[test]
    fn a_message_counts_only_with_its_last_octet() {
        let message = message(1, 30, 10);
        let (last, rest) = message.split_last().unwrap();
        let (mut scanner, mut notes) = (Scanner::new(0), Notes::default());
        feed(&mut scanner, &mut notes, rest).unwrap();
        assert!(notes.deliveries.is_empty());
        feed(&mut scanner, &mut notes, &[*last]).unwrap();
        assert_eq!(notes.deliveries.len(), 1);
    }

    #[test]
    fn a_long_body_passes_through_a_buffer_smaller_than_its_frame() {
        let body = vec![7; 3 * wire::FRAME_MAX];
        let mut stream = deliver(1, false);
        stream.extend(header(body.len() as u64));
        stream.extend(frame(wire::FRAME_BODY, wire::CHANNEL, &body));
        stream.extend(message(2, 16, 100));
        let pieces: Vec<&[u8]> = stream.chunks(wire::FRAME_MAX / 2).collect();
        let notes = scanned(&pieces).unwrap();
        let sizes: Vec<u64> = notes.deliveries.iter().map(|delivery| delivery.size).collect();
        assert_eq!(sizes, [body.len() as u64, 16]);
    }

    #[test]
    fn content_out_of_order_is_an_error() {
        let body = frame(wire::FRAME_BODY, wire::CHANNEL, b"12345678");
        assert!(scanned(&[&body]).is_err(), "a body without a delivery");
        assert!(scanned(&[&header(1)]).is_err(), "a header without a delivery");
        assert!(scanned(&[&deliver(1, false), &deliver(2, false)]).is_err(), "no header");
        assert!(scanned(&[&deliver(1, false), &body]).is_err(), "a body before its header");
        let long = [deliver(1, false), header(7), body].concat();
        assert!(scanned(&[&long]).is_err(), "a body longer than announced");
    }

    #[test]
    fn what_is_not_a_frame_is_an_error() {
        let mut bad_end = frame(wire::FRAME_HEARTBEAT, 0, b"");
        *bad_end.last_mut().unwrap() = 0;
        assert!(scanned(&[&bad_end]).is_err());
        assert!(scanned(&[b"AMQP\x00\x00\x09\x01"]).is_err());
        assert!(scanned(&[&frame(wire::FRAME_METHOD, 2, &[0, 10, 0, 61])]).is_err(), "channel 2");
        assert!(scanned(&[&frame(wire::FRAME_METHOD, 1, &[0, 60])]).is_err(), "half an id");
        let cut = [&wire::BASIC_DELIVER.to_be_bytes()[..], b"\x05ctag1\x00"].concat();
        assert!(scanned(&[&frame(wire::FRAME_METHOD, 1, &cut)]).is_err(), "half a delivery");
        assert!(scanned(&[&[1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0]]).is_err(), "too long");
    }
}
