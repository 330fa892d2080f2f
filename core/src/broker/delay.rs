//! Messages that are to go on their way later: what their header `x-delay` asks for, and what they
//! are when their time has come.

use alloc::vec::Vec;

use super::message::{Charge, Message};
use crate::amqp::{BasicProperties, FieldTable, FieldValue, ShortStr};

/// The header that says for how many milliseconds a message is to wait.
const HEADER: &str = "x-delay";

/// For how many milliseconds a message with these properties is to wait before it is routed, if it
/// is to wait at all.
///
/// As with RabbitMQ's plugin, numbers of all types count, fractions of a millisecond do not, and a
/// text counts if it is a whole number. What is zero, negative or of another type asks for no
/// delay.
pub(crate) fn of(properties: &BasicProperties) -> Option<u64> {
    let value = properties.headers.as_ref()?.find(HEADER)?;
    let millis = match value {
        FieldValue::LongStr(text) => core::str::from_utf8(text).ok()?.parse().ok()?,
        FieldValue::F32(bits) => truncated(u64::from(*bits), 8, 23)?,
        FieldValue::F64(bits) => truncated(*bits, 11, 52)?,
        value => value.as_integer()?.into(),
    };
    u64::try_from(millis.min(u64::MAX.into())).ok().filter(|millis| *millis > 0)
}

/// The whole part of an IEEE 754 number that has so many bits of exponent and of fraction; at most
/// so much that it is larger than any delay. `None` if it is none.
fn truncated(bits: u64, exponent_len: u32, fraction_len: u32) -> Option<i128> {
    let exponent_max = (1 << exponent_len) - 1;
    let exponent = (bits >> fraction_len) & exponent_max;
    if exponent == exponent_max {
        return None;
    }
    let fraction = bits & ((1 << fraction_len) - 1) | 1 << fraction_len;
    // The number is the fraction, shifted by this to the left.
    let shift = exponent as i64 - (exponent_max / 2) as i64 - i64::from(fraction_len);
    let whole = match u32::try_from(shift) {
        Ok(shift) => i128::from(fraction) << shift.min(64),
        Err(_) => i128::from(fraction.checked_shr(shift.unsigned_abs() as u32).unwrap_or(0)),
    };
    let is_negative = bits >> (exponent_len + fraction_len) != 0;
    Some(if is_negative { -whole } else { whole })
}

/// A message whose time has come, as it goes on.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) message: Message,
    /// The routing keys that it goes by.
    pub(crate) keys: Vec<ShortStr>,
    /// The properties that it goes by; nobody else sees `BCC`.
    pub(crate) properties: BasicProperties,
}

/// What becomes of a message that has waited: its header says the negative of what it asked for, so
/// that who gets it can tell, and it does not wait again. `None` when nobody can read its
/// properties.
pub(crate) fn due(message: &Message) -> Option<Due> {
    let mut properties = message.properties.decode().ok()?;
    let waited = of(&properties).and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
    let mut keys = alloc::vec![message.routing_key.clone()];
    let mut headers: Vec<(ShortStr, FieldValue)> = Vec::new();
    for (name, value) in properties.headers.iter().flat_map(FieldTable::iter) {
        if name == "CC" || name == "BCC" {
            keys.extend(further_keys(value));
        }
        let value = if name == HEADER { FieldValue::I64(-waited) } else { value.clone() };
        headers.push((name.clone(), value));
    }
    keys.sort_unstable();
    keys.dedup();
    let visible = headers.iter().filter(|(name, _)| name != "BCC").cloned().collect();
    properties.headers = Some(FieldTable::new(visible));
    let charge = Charge::default();
    let message = Message { properties: properties.encode(), charge, ..message.clone() };
    properties.headers = Some(FieldTable::new(headers));
    Some(Due { message, keys, properties })
}

/// The keys of a header `CC` or `BCC`, which were checked when the message came in.
fn further_keys(value: &FieldValue) -> impl Iterator<Item = ShortStr> + '_ {
    let values = match value {
        FieldValue::Array(values) => values.as_slice(),
        _ => &[],
    };
    values.iter().filter_map(|value| match value {
        FieldValue::LongStr(key) => ShortStr::new(key.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn properties(headers: Vec<(&'static str, FieldValue)>) -> BasicProperties {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        BasicProperties { headers: Some(FieldTable::new(headers)), ..BasicProperties::NONE }
    }

    fn delay(value: FieldValue) -> Option<u64> {
        of(&properties(vec![(HEADER, value)]))
    }

    #[test]
    fn a_delay_is_a_positive_number_of_any_type() {
        for value in [
            FieldValue::I8(5),
            FieldValue::U8(5),
            FieldValue::I16(5),
            FieldValue::U16(5),
            FieldValue::I32(5),
            FieldValue::U32(5),
            FieldValue::I64(5),
            FieldValue::F32(5.9_f32.to_bits()),
            FieldValue::F64(5.9_f64.to_bits()),
            FieldValue::text("5"),
        ] {
            assert_eq!(delay(value.clone()), Some(5), "{value:?}");
        }
        assert_eq!(delay(FieldValue::U32(u32::MAX)), Some(u32::MAX.into()));
        assert_eq!(delay(FieldValue::I64(i64::MAX)), Some(i64::MAX as u64));
        assert_eq!(delay(FieldValue::text("99999999999999999999")), Some(u64::MAX));
    }

    #[test]
    fn fractions_are_cut_off() {
        for number in [0.0, 0.5, 0.999, 1.0, 1.5, 1e3, 123_456.789, 4_294_967_296.5, 1e17] {
            let expected = Some(number as u64).filter(|millis| *millis > 0);
            assert_eq!(delay(FieldValue::F64(f64::to_bits(number))), expected, "{number}");
            assert_eq!(delay(FieldValue::F64(f64::to_bits(-number))), None, "{number}");
            let single = number as f32;
            let expected = Some(single as u64).filter(|millis| *millis > 0);
            assert_eq!(delay(FieldValue::F32(single.to_bits())), expected, "{number}");
        }
        assert_eq!(delay(FieldValue::F64(f64::MAX.to_bits())), Some(u64::MAX));
        assert_eq!(delay(FieldValue::F64(f64::NAN.to_bits())), None);
        assert_eq!(delay(FieldValue::F64(f64::INFINITY.to_bits())), None);
    }

    #[test]
    fn what_is_no_positive_number_asks_for_no_delay() {
        for value in [
            FieldValue::I32(0),
            FieldValue::I64(-5),
            FieldValue::I64(i64::MIN),
            FieldValue::text("-5"),
            FieldValue::text("1.5"),
            FieldValue::text("soon"),
            FieldValue::text(""),
            FieldValue::Bool(true),
            FieldValue::Timestamp(5),
            FieldValue::Decimal(0, 5),
            FieldValue::Void,
        ] {
            assert_eq!(delay(value.clone()), None, "{value:?}");
        }
        assert_eq!(of(&BasicProperties::NONE), None);
        assert_eq!(of(&properties(vec![("other", FieldValue::I32(5))])), None);
    }

    #[test]
    fn what_was_delayed_says_so_and_goes_by_all_its_keys() {
        let keys = |keys: &[&'static str]| {
            FieldValue::Array(keys.iter().copied().map(FieldValue::text).collect())
        };
        let headers = vec![
            ("BCC", keys(&["c"])),
            (HEADER, FieldValue::text("700")),
            ("CC", keys(&["b", "a"])),
        ];
        let message = Message {
            exchange: "x".into(),
            routing_key: "a".into(),
            properties: properties(headers).encode(),
            body: Default::default(),
            persistent: false,
            is_dead_letter: false,
            charge: Charge::default(),
        };
        let due = due(&message).expect("properties that can be read");
        assert_eq!(due.keys, ["a", "b", "c"].map(ShortStr::from));
        let seen = properties(vec![(HEADER, FieldValue::I64(-700)), ("CC", keys(&["b", "a"]))]);
        assert_eq!(due.message.properties.decode().expect("properties"), seen);
        let headers = due.properties.headers.expect("headers");
        assert_eq!(headers.find("BCC"), Some(&keys(&["c"])));
        assert_eq!(headers.find(HEADER), Some(&FieldValue::I64(-700)));
        assert_eq!(of(&seen), None);
    }
}
