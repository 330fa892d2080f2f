//! The routing keys of a message: the one it was published with, and those of its headers `CC` and
//! `BCC`.

use alloc::format;
use alloc::vec::Vec;

use super::refusal::Refusal;
use crate::amqp::{BasicProperties, FieldTable, FieldValue, ShortStr};

/// All of them, each once, in order.
///
/// # Errors
/// When one of the headers is no list of routing keys.
pub(crate) fn of(key: &ShortStr, properties: &BasicProperties) -> Result<Vec<ShortStr>, Refusal> {
    let mut keys = alloc::vec![key.clone()];
    if let Some(headers) = &properties.headers {
        keys.extend(further_keys(headers, "CC")?);
        keys.extend(further_keys(headers, "BCC")?);
        keys.sort_unstable();
        keys.dedup();
    }
    Ok(keys)
}

/// The routing keys of a `CC` or `BCC` header.
fn further_keys(headers: &FieldTable, name: &str) -> Result<Vec<ShortStr>, Refusal> {
    let Some(value) = headers.find(name) else { return Ok(Vec::new()) };
    let key = |value: &FieldValue| match value {
        FieldValue::LongStr(key) => ShortStr::new(key.clone()),
        _ => None,
    };
    let keys = match value {
        FieldValue::Array(values) => values.iter().map(key).collect(),
        _ => None,
    };
    keys.ok_or_else(|| {
        Refusal::precondition(format!("invalid '{name}' header: expected an array of routing keys"))
    })
}
