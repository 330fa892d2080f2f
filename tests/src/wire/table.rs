//! Field tables in RabbitMQ's dialect, as JSON.
//!
//! JSON has fewer types than AMQP: a JSON integer is sent as a signed 32-bit field if it fits, else
//! as a signed 64-bit one. Bytes that are not UTF-8 are read as Latin-1.

use super::method::Reader;
use serde_json::{Map, Number, Value};

/// A string with its length in one byte. Panics above 255 bytes: the test is wrong then.
pub fn short_string(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short string has at most 255 bytes");
    [&[length], text].concat()
}

/// Bytes with their length in four bytes.
pub fn long_string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a long string has less than 4 GiB");
    [&length.to_be_bytes(), bytes].concat()
}

/// A table with its length before it; null is the empty table.
pub(super) fn encode_table(table: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in table.as_object().into_iter().flatten() {
        out.extend(short_string(key.as_bytes()));
        encode_value(value, &mut out);
    }
    long_string(&out)
}

fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'V'),
        Value::Bool(yes) => out.extend([b't', u8::from(*yes)]),
        Value::Number(number) => encode_number(number, out),
        Value::String(text) => {
            out.push(b'S');
            out.extend(long_string(text.as_bytes()));
        }
        Value::Array(items) => {
            let mut inner = Vec::new();
            items.iter().for_each(|item| encode_value(item, &mut inner));
            out.push(b'A');
            out.extend(long_string(&inner));
        }
        Value::Object(_) => {
            out.push(b'F');
            out.extend(encode_table(value));
        }
    }
}

fn encode_number(number: &Number, out: &mut Vec<u8>) {
    let Some(integer) = number.as_i64() else {
        out.push(b'd');
        out.extend(number.as_f64().expect("a JSON number is a float or an integer").to_be_bytes());
        return;
    };
    if let Ok(small) = i32::try_from(integer) {
        out.push(b'I');
        out.extend(small.to_be_bytes());
    } else {
        out.push(b'l');
        out.extend(integer.to_be_bytes());
    }
}

/// A table with its length before it.
pub(super) fn decode_table(reader: &mut Reader<'_>) -> Result<Value, String> {
    let mut inner = Reader::new(reader.long_string()?);
    let mut table = Map::new();
    while !inner.is_empty() {
        let key = text(inner.short_string()?);
        table.insert(key, decode_value(&mut inner)?);
    }
    Ok(Value::Object(table))
}

fn decode_value(reader: &mut Reader<'_>) -> Result<Value, String> {
    Ok(match reader.number::<1>()?[0] {
        b't' => (reader.number::<1>()? != [0]).into(),
        b'b' => i8::from_be_bytes(reader.number()?).into(),
        b'B' => u8::from_be_bytes(reader.number()?).into(),
        b's' | b'U' => i16::from_be_bytes(reader.number()?).into(),
        b'u' => u16::from_be_bytes(reader.number()?).into(),
        b'I' => i32::from_be_bytes(reader.number()?).into(),
        b'i' => u32::from_be_bytes(reader.number()?).into(),
        b'l' | b'L' => i64::from_be_bytes(reader.number()?).into(),
        b'T' => u64::from_be_bytes(reader.number()?).into(),
        b'f' => f32::from_be_bytes(reader.number()?).into(),
        b'd' => f64::from_be_bytes(reader.number()?).into(),
        b'D' => {
            let [scale] = reader.number()?;
            Value::String(format!("{}e-{scale}", i32::from_be_bytes(reader.number()?)))
        }
        b'S' | b'x' => Value::String(text(reader.long_string()?)),
        b'F' => decode_table(reader)?,
        b'V' => Value::Null,
        b'A' => {
            let mut inner = Reader::new(reader.long_string()?);
            let mut items = Vec::new();
            while !inner.is_empty() {
                items.push(decode_value(&mut inner)?);
            }
            Value::Array(items)
        }
        kind => return Err(format!("unknown kind of field {:?}", char::from(kind))),
    })
}

/// UTF-8 where it is, else Latin-1.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => latin1(bytes),
    }
}

/// Each byte as the character of that number.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
