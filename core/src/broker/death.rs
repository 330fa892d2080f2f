//! What becomes of a message that dies: the dead letter, with the history that its headers tell
//! (`x-death`, `x-first-death-*`, `x-last-death-*`), in RabbitMQ's form.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::message::{Charge, Message};
use crate::amqp::{BasicProperties, FieldTable, FieldValue, ShortStr};

/// Why a message died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer did not want it.
    Rejected,
    /// It waited for too long.
    Expired,
    /// There was no room for it.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
}

impl Reason {
    /// What the headers call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message that died, as it goes on.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) message: Message,
    /// The routing keys that it goes by: that of the message, and those of its header `CC`.
    pub(crate) keys: Vec<ShortStr>,
    pub(crate) properties: BasicProperties,
}

/// Makes the dead letter of a message that died in `queue` at this time, in seconds since 1970,
/// UTC, on its way to `exchange`, with another key if one is given. `None` when nobody can read its
/// properties.
pub(crate) fn dead_letter(
    message: &Message,
    queue: &ShortStr,
    reason: Reason,
    time: u64,
    exchange: ShortStr,
    key: Option<&ShortStr>,
) -> Option<DeadLetter> {
    let mut properties = message.properties.decode().ok()?;
    let mut headers: Vec<(ShortStr, FieldValue)> = Vec::new();
    for (name, value) in properties.headers.iter().flat_map(FieldTable::iter) {
        let is_ours = name == "x-death"
            || name.starts_with("x-last-death-")
            || !message.is_dead_letter && name.starts_with("x-first-death-");
        // The new key is the only one.
        let is_key = key.is_some() && name == "CC";
        if !is_ours && !is_key {
            headers.push((name.clone(), value.clone()));
        }
    }
    let mut deaths = match properties.headers.as_ref().and_then(|table| table.find("x-death")) {
        Some(FieldValue::Array(deaths)) if message.is_dead_letter => deaths.clone(),
        _ => Vec::new(),
    };
    let known = deaths.iter().position(|death| is_of(death, queue, reason));
    let death = match known.map(|at| deaths.remove(at)) {
        Some(death) => once_more(death),
        None => {
            first_time(message, &properties.headers, &properties.expiration, queue, reason, time)
        }
    };
    deaths.insert(0, death);
    headers.push((ShortStr::from_static("x-death"), FieldValue::Array(deaths)));
    let whens: &[[&'static str; 3]] = match message.is_dead_letter {
        true => &[LAST],
        false => &[FIRST, LAST],
    };
    for [exchange_name, queue_name, reason_name] in whens {
        for (name, value) in [
            (exchange_name, text(&message.exchange)),
            (queue_name, text(queue)),
            (reason_name, FieldValue::text(reason.name())),
        ] {
            headers.push((ShortStr::from_static(name), value));
        }
    }
    // As RabbitMQ does: sorted, each name once.
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    headers.dedup_by(|(next, _), (kept, _)| next == kept);
    let headers = FieldTable::new(headers);
    let routing_key = key.unwrap_or(&message.routing_key).clone();
    let mut keys = alloc::vec![routing_key.clone()];
    keys.extend(further_keys(&headers));
    keys.sort_unstable();
    keys.dedup();
    properties.headers = Some(headers);
    properties.expiration = None;
    let message = Message {
        exchange,
        routing_key,
        properties: properties.encode(),
        body: message.body.clone(),
        persistent: message.persistent,
        is_dead_letter: true,
        charge: Charge::default(),
    };
    Some(DeadLetter { message, keys, properties })
}

/// Whether the letter would come to `queue` again without anybody's having rejected it since it
/// died there.
pub(crate) fn is_cycle(properties: &BasicProperties, queue: &ShortStr) -> bool {
    let deaths = properties.headers.as_ref().and_then(|headers| headers.find("x-death"));
    let Some(FieldValue::Array(deaths)) = deaths else { return false };
    for death in deaths {
        let FieldValue::Table(death) = death else { return false };
        if has_text(death, "reason", Reason::Rejected.name().as_bytes()) {
            return false;
        }
        if has_text(death, "queue", queue.as_bytes()) {
            return true;
        }
    }
    false
}

/// Whether a dead letter with these headers ever died in `queue`.
pub(crate) fn has_died_in(headers: &FieldTable, queue: &ShortStr) -> bool {
    let Some(FieldValue::Array(deaths)) = headers.find("x-death") else { return false };
    let is_there = |death: &FieldValue| {
        matches!(death, FieldValue::Table(death)
        if has_text(death, "queue", queue.as_bytes()))
    };
    deaths.iter().any(is_there)
}

const FIRST: [&str; 3] = ["x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"];
const LAST: [&str; 3] = ["x-last-death-exchange", "x-last-death-queue", "x-last-death-reason"];

fn text(name: &ShortStr) -> FieldValue {
    FieldValue::LongStr(name.to_bytes())
}

fn has_text(table: &FieldTable, name: &str, text: &[u8]) -> bool {
    table.find(name).and_then(FieldValue::as_longstr) == Some(text)
}

fn is_of(death: &FieldValue, queue: &ShortStr, reason: Reason) -> bool {
    matches!(death, FieldValue::Table(death)
        if has_text(death, "queue", queue.as_bytes())
            && has_text(death, "reason", reason.name().as_bytes()))
}

/// The entry of a death that happened before.
fn once_more(death: FieldValue) -> FieldValue {
    let FieldValue::Table(table) = death else { return death };
    let entries = table.iter().cloned().map(|(name, value)| match value {
        FieldValue::I64(count) if name == "count" => {
            (name, FieldValue::I64(count.saturating_add(1)))
        }
        value => (name, value),
    });
    FieldValue::Table(FieldTable::new(entries.collect()))
}

/// The entry of a death that did not happen before.
fn first_time(
    message: &Message,
    headers: &Option<FieldTable>,
    expiration: &Option<ShortStr>,
    queue: &ShortStr,
    reason: Reason,
    time: u64,
) -> FieldValue {
    let mut keys = alloc::vec![text(&message.routing_key)];
    let further = headers.iter().flat_map(further_keys);
    keys.extend(further.map(|key| text(&key)));
    let mut entry = Vec::new();
    if let Some(expiration) = expiration {
        // As a number is written, however it was.
        let millis = expiration.to_text().parse::<u64>().map(|millis| millis.to_string());
        let millis: String = millis.unwrap_or_else(|_| expiration.to_text().into_owned());
        let value = FieldValue::LongStr(Bytes::from(millis.into_bytes()));
        entry.push((ShortStr::from_static("original-expiration"), value));
    }
    for (name, value) in [
        ("count", FieldValue::I64(1)),
        ("reason", FieldValue::text(reason.name())),
        ("queue", text(queue)),
        ("time", FieldValue::Timestamp(time)),
        ("exchange", text(&message.exchange)),
        ("routing-keys", FieldValue::Array(keys)),
    ] {
        entry.push((ShortStr::from_static(name), value));
    }
    FieldValue::Table(FieldTable::new(entry))
}

/// The routing keys of a header `CC`, which were checked when the message came in.
fn further_keys(headers: &FieldTable) -> Vec<ShortStr> {
    let Some(FieldValue::Array(values)) = headers.find("CC") else { return Vec::new() };
    let key = |value: &FieldValue| match value {
        FieldValue::LongStr(key) => ShortStr::new(key.clone()),
        _ => None,
    };
    values.iter().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn message(headers: Vec<(ShortStr, FieldValue)>) -> Message {
        let headers = (!headers.is_empty()).then(|| FieldTable::new(headers));
        let expiration = Some("010".into());
        Message {
            exchange: "x".into(),
            routing_key: "key".into(),
            properties: BasicProperties { headers, expiration, ..BasicProperties::NONE }.encode(),
            body: Default::default(),
            persistent: true,
            is_dead_letter: false,
            charge: Charge::default(),
        }
    }

    fn die(message: &Message, queue: &str, reason: Reason, key: Option<&str>) -> DeadLetter {
        let key = key.map(ShortStr::from);
        let letter = dead_letter(message, &queue.into(), reason, 7, "dlx".into(), key.as_ref());
        letter.expect("properties that can be read")
    }

    fn headers(letter: &DeadLetter) -> &FieldTable {
        letter.properties.headers.as_ref().expect("a dead letter has headers")
    }

    fn deaths(letter: &DeadLetter) -> Vec<(Vec<u8>, Vec<u8>, i64)> {
        let Some(FieldValue::Array(deaths)) = headers(letter).find("x-death") else {
            panic!("a dead letter tells of its deaths")
        };
        let told = |death: &FieldValue| {
            let FieldValue::Table(death) = death else { panic!("a death is a table") };
            let text = |name| death.find(name).and_then(FieldValue::as_longstr).unwrap().to_vec();
            let count = death.find("count").and_then(FieldValue::as_integer);
            (text("queue"), text("reason"), count.expect("a number"))
        };
        deaths.iter().map(told).collect()
    }

    #[test]
    fn the_first_death_is_told_with_all_that_was() {
        let cc = FieldValue::Array(vec![FieldValue::text("other")]);
        let letter = die(&message(vec![("CC".into(), cc.clone())]), "q", Reason::Expired, None);
        let keys = FieldValue::Array(vec![FieldValue::text("key"), FieldValue::text("other")]);
        let death = vec![
            ("original-expiration".into(), FieldValue::text("10")),
            ("count".into(), FieldValue::I64(1)),
            ("reason".into(), FieldValue::text("expired")),
            ("queue".into(), FieldValue::text("q")),
            ("time".into(), FieldValue::Timestamp(7)),
            ("exchange".into(), FieldValue::text("x")),
            ("routing-keys".into(), keys),
        ];
        let deaths = FieldValue::Array(vec![FieldValue::Table(FieldTable::new(death))]);
        let expected = [
            ("CC", cc),
            ("x-death", deaths),
            ("x-first-death-exchange", FieldValue::text("x")),
            ("x-first-death-queue", FieldValue::text("q")),
            ("x-first-death-reason", FieldValue::text("expired")),
            ("x-last-death-exchange", FieldValue::text("x")),
            ("x-last-death-queue", FieldValue::text("q")),
            ("x-last-death-reason", FieldValue::text("expired")),
        ];
        let expected = expected.map(|(name, value)| (ShortStr::from(name), value));
        assert_eq!(*headers(&letter), FieldTable::new(expected.into()));
        assert_eq!(letter.keys, ["key", "other"].map(ShortStr::from));
        let decoded = letter.message.properties.decode().expect("properties");
        assert_eq!((decoded.expiration, decoded.headers), (None, letter.properties.headers));
        assert_eq!(letter.message.exchange, ShortStr::from("dlx"));
        assert!(letter.message.is_dead_letter);
    }

    #[test]
    fn a_key_of_its_own_is_the_only_one() {
        let cc = FieldValue::Array(vec![FieldValue::text("other")]);
        let letter = die(&message(vec![("CC".into(), cc)]), "q", Reason::Rejected, Some("new"));
        assert_eq!(letter.keys, [ShortStr::from("new")]);
        assert_eq!(letter.message.routing_key, ShortStr::from("new"));
        assert!(headers(&letter).find("CC").is_none());
    }

    #[test]
    fn deaths_are_counted_by_queue_and_reason_the_last_first() {
        let mut letter = die(&message(vec![]), "a", Reason::Expired, None);
        for (queue, reason) in
            [("b", Reason::Rejected), ("a", Reason::Expired), ("a", Reason::MaxLength)]
        {
            letter = die(&letter.message, queue, reason, None);
        }
        let told = deaths(&letter);
        let expected = [("a", "maxlen", 1), ("a", "expired", 2), ("b", "rejected", 1)];
        let expected = expected.map(|(queue, reason, n)| (queue.into(), reason.into(), n));
        assert_eq!(told, expected);
        let first = headers(&letter).find("x-first-death-reason");
        assert_eq!(first, Some(&FieldValue::text("expired")));
        let last = headers(&letter).find("x-last-death-reason");
        assert_eq!(last, Some(&FieldValue::text("maxlen")));
    }

    #[test]
    fn what_a_client_says_of_deaths_does_not_count() {
        let death = [("queue".into(), FieldValue::text("a"))];
        let forged = FieldValue::Array(vec![FieldValue::Table(FieldTable::new(death.into()))]);
        let first = ("x-first-death-queue".into(), FieldValue::text("forged"));
        let letter =
            die(&message(vec![("x-death".into(), forged), first]), "q", Reason::Expired, None);
        assert_eq!(deaths(&letter).len(), 1);
        assert_eq!(headers(&letter).find("x-first-death-queue"), Some(&FieldValue::text("q")));
    }

    #[test]
    fn a_cycle_is_one_unless_somebody_rejected_in_it() {
        let expired = die(&message(vec![]), "a", Reason::Expired, None);
        assert!(is_cycle(&expired.properties, &"a".into()));
        assert!(!is_cycle(&expired.properties, &"b".into()));
        let rejected = die(&expired.message, "b", Reason::Rejected, None);
        assert!(!is_cycle(&rejected.properties, &"a".into()));
        assert!(!is_cycle(&rejected.properties, &"b".into()));
        let again = die(&rejected.message, "c", Reason::MaxLength, None);
        assert!(is_cycle(&again.properties, &"c".into()));
        assert!(!is_cycle(&again.properties, &"a".into()));
    }
}
