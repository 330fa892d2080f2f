//! AMQP's tables and properties as JSON, and back.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use warren_core::amqp::{BasicProperties, FieldTable, FieldValue, ShortStr};

use super::call::{Failure, Object, short};

/// A table as an object.
pub(super) fn from_table(table: &FieldTable) -> Value {
    let entries = table.iter().map(|(name, value)| (name.to_text().into_owned(), from(value)));
    Value::Object(entries.collect())
}

fn from(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => json!(value),
        FieldValue::F32(bits) => json!(f32::from_bits(*bits)),
        FieldValue::F64(bits) => json!(f64::from_bits(*bits)),
        FieldValue::Decimal(scale, value) => {
            json!(f64::from(*value) / 10f64.powi(i32::from(*scale)))
        }
        FieldValue::LongStr(text) | FieldValue::ByteArray(text) => {
            json!(String::from_utf8_lossy(text))
        }
        FieldValue::Array(values) => values.iter().map(from).collect(),
        FieldValue::Timestamp(seconds) => json!(seconds),
        FieldValue::Table(table) => from_table(table),
        FieldValue::Void => Value::Null,
        integer => json!(integer.as_integer()),
    }
}

/// An object as a table.
///
/// # Errors
/// When something in it cannot be in one.
pub(super) fn to_table(object: &Value) -> Result<FieldTable, Failure> {
    let mut table = FieldTable::default();
    let entries = match object {
        Value::Object(entries) => entries,
        // What clients without a notion of empty objects send.
        Value::Array(values) if values.is_empty() => return Ok(table),
        other => return Err(Failure::bad_request(format!("not an object: {other}"))),
    };
    for (name, value) in entries {
        table.push(short(name)?, to(value)?);
    }
    Ok(table)
}

fn to(value: &Value) -> Result<FieldValue, Failure> {
    Ok(match value {
        Value::Null => return Err(Failure::bad_request("null_not_allowed")),
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => FieldValue::I64(integer),
            None => FieldValue::F64(number.as_f64().unwrap_or_default().to_bits()),
        },
        Value::String(text) => FieldValue::LongStr(Bytes::copy_from_slice(text.as_bytes())),
        Value::Array(values) => FieldValue::Array(values.iter().map(to).collect::<Result<_, _>>()?),
        Value::Object(_) => FieldValue::Table(to_table(value)?),
    })
}

/// A name, or nothing for one that is not there.
pub(super) fn text(name: Option<&ShortStr>) -> Value {
    name.map_or(Value::Null, |name| json!(name.to_text()))
}

/// The properties that a message has.
pub(super) fn from_properties(properties: &BasicProperties) -> Value {
    let mut object = Map::new();
    let texts = [
        ("content_type", &properties.content_type),
        ("content_encoding", &properties.content_encoding),
        ("correlation_id", &properties.correlation_id),
        ("reply_to", &properties.reply_to),
        ("expiration", &properties.expiration),
        ("message_id", &properties.message_id),
        ("type", &properties.kind),
        ("user_id", &properties.user_id),
        ("app_id", &properties.app_id),
        ("cluster_id", &properties.cluster_id),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            object.insert(name.into(), json!(value.to_text()));
        }
    }
    if let Some(headers) = &properties.headers {
        object.insert("headers".into(), from_table(headers));
    }
    let numbers = [
        ("delivery_mode", properties.delivery_mode.map(u64::from)),
        ("priority", properties.priority.map(u64::from)),
        ("timestamp", properties.timestamp),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            object.insert(name.into(), json!(value));
        }
    }
    Value::Object(object)
}

/// The properties of a message to be.
///
/// # Errors
/// When one of them is not what it has to be.
pub(super) fn to_properties(value: &Value) -> Result<BasicProperties, Failure> {
    let empty = Map::new();
    let object = match value {
        Value::Object(object) => object,
        Value::Array(values) if values.is_empty() => &empty,
        other => return Err(Failure::bad_request(format!("not an object: {other}"))),
    };
    let object = Object(object.clone());
    let text = |key: &str| match object.get(key) {
        None => Ok(None),
        Some(Value::Number(number)) => short(&number.to_string()).map(Some),
        Some(_) => short(object.text(key)?).map(Some),
    };
    let octet = |key: &str| match object.get(key) {
        None => Ok(None),
        Some(_) => {
            let value = u8::try_from(object.integer(key, 0)?).ok();
            value.map(Some).ok_or_else(|| Failure::bad_request(format!("{key} is out of range")))
        }
    };
    let timestamp = match object.get("timestamp") {
        None => None,
        Some(_) => u64::try_from(object.integer("timestamp", 0)?).ok(),
    };
    Ok(BasicProperties {
        content_type: text("content_type")?,
        content_encoding: text("content_encoding")?,
        headers: object.get("headers").map(to_table).transpose()?,
        delivery_mode: octet("delivery_mode")?,
        priority: octet("priority")?,
        correlation_id: text("correlation_id")?,
        reply_to: text("reply_to")?,
        expiration: text("expiration")?,
        message_id: text("message_id")?,
        timestamp,
        kind: text("type")?,
        user_id: text("user_id")?,
        app_id: text("app_id")?,
        cluster_id: text("cluster_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_a_table_is_the_same_afterwards() {
        let object = json!({
            "text": "é", "number": -7, "float": 1.5, "flag": true,
            "list": [1, "a", { "deep": false }], "table": { "x": 1 },
        });
        assert_eq!(from_table(&to_table(&object).expect("a table")), object);
    }

    #[test]
    fn null_is_no_value_of_a_table() {
        let refused = to_table(&json!({ "x": null })).expect_err("has none");
        assert_eq!(refused.reason, "null_not_allowed");
        assert!(to_table(&json!([1])).is_err());
        assert!(to_table(&json!([])).expect("an empty one").is_empty());
    }

    #[test]
    fn properties_are_the_same_afterwards() {
        let object = json!({
            "delivery_mode": 2, "content_type": "text/plain", "headers": { "h": 1 },
            "type": "t", "timestamp": 1_700_000_000, "priority": 3,
        });
        let properties = to_properties(&object).expect("properties");
        assert_eq!(properties.delivery_mode, Some(2));
        assert_eq!(from_properties(&properties), object);
        assert!(to_properties(&json!({ "priority": 300 })).is_err());
    }
}
