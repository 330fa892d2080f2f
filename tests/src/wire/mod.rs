//! A codec of AMQP 0-9-1 for tests: small, slow, and independent of the broker's.
//!
//! Methods and tables are JSON values here, as they stand in the recordings under `conformance/`.
//! Encoding trusts its caller and can make frames that no broker should accept; decoding takes what
//! a broker sent and reports what it cannot read instead of guessing.

mod frame;
mod method;
mod table;

pub use frame::{Frame, Undecodable, body, header, method, publish, raw, take};
pub use method::encode_properties;
pub use table::{long_string, short_string};

/// The first eight bytes of a client.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_frame_comes_back_as_it_was_sent_and_only_when_it_is_whole() {
        let arguments = json!({
            "ticket": 0, "queue": "q", "passive": true, "durable": false, "exclusive": true,
            "auto_delete": false, "nowait": true,
            "arguments": {"a": 1, "b": null, "c": [true, "x", 1i64 << 40, -5], "d": {"e": 1.5}},
        });
        let whole = method(7, "Queue.Declare", &arguments);
        for cut in 0..whole.len() {
            let mut part = whole[..cut].to_vec();
            assert!(take(&mut part).expect("a part is no error").is_none());
        }
        let mut buffer = whole;
        match take(&mut buffer).expect("decodes").expect("is whole") {
            Frame::Method { channel, name, arguments: got } => {
                assert_eq!((channel, name), (7, "Queue.Declare"));
                assert_eq!(serde_json::Value::Object(got), arguments);
            }
            other => panic!("{other:?}"),
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn properties_come_back_as_they_were_sent() {
        let properties =
            json!({"headers": {"h": "s"}, "priority": 3, "timestamp": 7, "cluster_id": "c"});
        let mut buffer = header(1, 60, 0, 9, &encode_properties(&properties));
        match take(&mut buffer).expect("decodes").expect("is whole") {
            Frame::Header { properties: got, size, .. } => {
                assert_eq!((serde_json::Value::Object(got), size), (properties, 9));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_without_its_end_is_reported() {
        let mut buffer = raw(8, 0, b"");
        *buffer.last_mut().expect("has an end") = 0;
        assert!(take(&mut buffer).is_err());
    }
}
