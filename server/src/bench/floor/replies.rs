//! The frames of a server, as far as the load generator wants to see them.

use crate::bench::wire::{self, FrameWriter, Value};

/// Offered in `connection.tune`.
const CHANNEL_MAX: u16 = 2047;

/// `connection.start`
pub(super) fn start(out: &mut Vec<u8>) {
    let properties = [
        ("product", Value::Text("warren bench floor")),
        ("version", Value::Text(env!("CARGO_PKG_VERSION"))),
    ];
    FrameWriter::method(out, 0, wire::CONNECTION_START)
        .u8(0)
        .u8(9)
        .table(&properties)
        .long_bytes(b"PLAIN")
        .long_bytes(b"en_US")
        .end();
}

/// `connection.tune`, without heartbeats.
pub(super) fn tune(out: &mut Vec<u8>) {
    let frame_max = u32::try_from(wire::FRAME_MAX).expect("a few bytes");
    FrameWriter::method(out, 0, wire::CONNECTION_TUNE).u16(CHANNEL_MAX).u32(frame_max).u16(0).end();
}

/// `connection.open-ok`
pub(super) fn open_ok(out: &mut Vec<u8>) {
    FrameWriter::method(out, 0, wire::CONNECTION_OPEN_OK).short_text("").end();
}

/// A method of the connection without arguments.
pub(super) fn of_connection(out: &mut Vec<u8>, id: u32) {
    FrameWriter::method(out, 0, id).end();
}

/// `connection.close`, as the client wants something that a relay has not.
pub(super) fn not_implemented(out: &mut Vec<u8>, id: u32) {
    FrameWriter::method(out, 0, wire::CONNECTION_CLOSE)
        .u16(540)
        .short_text("NOT_IMPLEMENTED - the floor only relays")
        .u32(id)
        .end();
}

/// `channel.open-ok`
pub(super) fn channel_open_ok(out: &mut Vec<u8>) {
    FrameWriter::method(out, wire::CHANNEL, wire::CHANNEL_OPEN_OK).u32(0).end();
}

/// A method of the channel without arguments.
pub(super) fn of_channel(out: &mut Vec<u8>, id: u32) {
    FrameWriter::method(out, wire::CHANNEL, id).end();
}

/// `queue.declare-ok` of a queue that holds nothing.
pub(super) fn declare_ok(out: &mut Vec<u8>, queue: &str) {
    FrameWriter::method(out, wire::CHANNEL, wire::QUEUE_DECLARE_OK)
        .short_text(queue)
        .u32(0)
        .u32(0)
        .end();
}

/// `queue.delete-ok` of a queue that held nothing.
pub(super) fn delete_ok(out: &mut Vec<u8>) {
    FrameWriter::method(out, wire::CHANNEL, wire::QUEUE_DELETE_OK).u32(0).end();
}

/// `basic.consume-ok`
pub(super) fn consume_ok(out: &mut Vec<u8>, tag: &str) {
    FrameWriter::method(out, wire::CHANNEL, wire::BASIC_CONSUME_OK).short_text(tag).end();
}

/// `basic.deliver` with the tag 0, and where in `out` that is. `from` holds the names of the
/// exchange and of the routing key, each with its length.
pub(super) fn deliver(out: &mut Vec<u8>, consumer: &str, from: &[u8]) -> usize {
    let start = out.len();
    FrameWriter::method(out, wire::CHANNEL, wire::BASIC_DELIVER)
        .short_text(consumer)
        .u64(0)
        .u8(0)
        .bytes(from)
        .end();
    start + wire::FRAME_HEAD_LEN + size_of::<u32>() + 1 + consumer.len()
}
