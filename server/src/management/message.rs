//! Publishing a message, and asking for some.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use warren_core::amqp::{BasicGet, BasicPublish, BasicReject, ConfirmSelect, Method};

use super::call::{Answer, Call, Failure, Object, Reply, short};
use super::json as table;
use super::session::Content;
use super::{exchange, queue};

/// The most messages that are given at once.
const COUNT_MAX: i64 = 10_000;

/// No more of them than have so many bytes together.
const BYTES_MAX: usize = 64 << 20;

pub(super) async fn publish(call: Call) -> Answer {
    let exchange = exchange::find(&call).await?;
    let object = call.object()?;
    let routing_key = short(object.text("routing_key")?)?;
    let properties = table::to_properties(object.required("properties")?)?;
    let payload = payload(&object)?;
    let mut session = queue::open(&call, &exchange.vhost).await?;
    session.call(ConfirmSelect::default()).await?;
    let publish = BasicPublish {
        exchange: exchange.name,
        routing_key,
        mandatory: true,
        ..BasicPublish::default()
    };
    session.publish(publish, &properties.encode(), &payload).await?;
    let mut is_routed = true;
    loop {
        match session.receive().await? {
            Method::BasicReturn(_) => is_routed = false,
            Method::BasicAck(_) => break,
            Method::BasicNack(_) => {
                let text = "rejected Unable to publish message. Check queue limits.";
                return Err(Failure::bad_request(text));
            }
            _ => {}
        }
    }
    session.close().await?;
    Ok(Reply::Json(json!({ "routed": is_routed })))
}

fn payload(object: &Object) -> Result<Vec<u8>, Failure> {
    let encoding = object.text("payload_encoding")?;
    let Some(payload) = object.required("payload")?.as_str() else {
        return Err(Failure::bad_request("payload_not_string"));
    };
    match encoding {
        "string" => Ok(payload.as_bytes().to_vec()),
        "base64" => {
            let decoded = STANDARD.decode(payload);
            decoded.map_err(|_| Failure::bad_request("[not_base64]"))
        }
        other => Err(Failure::bad_request(format!("[unsupported_encoding,{other}]"))),
    }
}

/// What becomes of messages that were asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AckMode {
    /// They are gone.
    Ack,
    /// They go back to the queue.
    Requeue,
    /// They are rejected.
    Reject,
}

pub(super) async fn get(call: Call) -> Answer {
    let queue = queue::find(&call).await?;
    let object = call.object()?;
    let mode = match object.text("ackmode")? {
        "ack_requeue_false" => AckMode::Ack,
        "ack_requeue_true" | "reject_requeue_true" => AckMode::Requeue,
        "reject_requeue_false" => AckMode::Reject,
        other => return Err(Failure::bad_request(format!("unknown ackmode {other}"))),
    };
    object.required("count")?;
    let count = object.integer("count", 0)?.clamp(0, COUNT_MAX);
    let is_auto = match object.text("encoding")? {
        "auto" => true,
        "base64" => false,
        _ => {
            let text = "Unsupported encoding. Please use auto or base64.";
            return Err(Failure::bad_request(text));
        }
    };
    let truncate = match object.get("truncate") {
        Some(_) => usize::try_from(object.integer("truncate", 0)?).ok(),
        None => None,
    };
    let mut session = queue::open(&call, &queue.vhost).await?;
    let (mut messages, mut tags, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        let no_ack = mode == AckMode::Ack;
        let get = BasicGet { queue: queue.name.clone(), no_ack, ..BasicGet::default() };
        let Method::BasicGetOk(got) = session.call(get).await? else { break };
        let content = session.content().await?;
        bytes += content.body.len();
        tags.push(got.delivery_tag);
        let mut message = to_json(&content, is_auto, truncate);
        message["redelivered"] = json!(got.redelivered);
        message["exchange"] = json!(got.exchange.to_text());
        message["routing_key"] = json!(got.routing_key.to_text());
        message["message_count"] = json!(got.message_count);
        messages.push(message);
        if bytes > BYTES_MAX {
            break;
        }
    }
    // Not before all were given, or the first would be given again.
    if mode != AckMode::Ack {
        for delivery_tag in tags {
            session.cast(BasicReject { delivery_tag, requeue: mode == AckMode::Requeue });
        }
    }
    session.close().await?;
    Ok(Reply::Json(messages.into()))
}

/// A message, without what the method says that brought it.
pub(super) fn to_json(content: &Content, is_auto: bool, truncate: Option<usize>) -> Value {
    let body = &content.body[..truncate.unwrap_or(usize::MAX).min(content.body.len())];
    let (payload, encoding) = match std::str::from_utf8(body) {
        Ok(text) if is_auto => (text.to_owned(), "string"),
        _ => (STANDARD.encode(body), "base64"),
    };
    let properties = content.properties.decode().unwrap_or_default();
    json!({
        "payload_bytes": content.body.len(),
        "properties": table::from_properties(&properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}
