//! Every delivery is one publish attempt's message, body and properties identical, and is with
//! one consumer at a time: what is held or settled does not come again.

use super::Failure;
use crate::model::{Fate, Message, local};
use crate::wire::Properties;

const ID: &str = "no-phantom";

/// Checks what was delivered against what was published under its name. With `returns`, its header
/// is to tell how often it came back.
///
/// # Errors
/// When nothing was, or something else.
pub fn check<'a>(
    published: Option<&'a Message>,
    exchange: &str,
    key: &str,
    properties: &Properties,
    body: &[u8],
    returns: Option<u64>,
) -> Result<&'a Message, Failure> {
    let Some(message) = published else {
        // Mostly it is not published yet, and this is looked at again.
        let name = properties.text("message-id").unwrap_or("without a name");
        let text = ["a message ", name, " is delivered, none published"].concat();
        return Err(Failure::new(ID, text));
    };
    let about = |text: String| Err(Failure::about(&message.name, ID, text));
    if message.body != body {
        let at = message.body.iter().zip(body).position(|(published, seen)| published != seen);
        let text = format!(
            "{} has another body: {} bytes published, {} delivered, first difference at {at:?}",
            message.name,
            message.body.len(),
            body.len(),
        );
        return about(text);
    }
    if local(&message.exchange) != exchange || message.key != key {
        let text = format!(
            "{} was published to '{}' with key '{}', and comes as from '{exchange}', '{key}'",
            message.name, message.exchange, message.key
        );
        return about(text);
    }
    if !message.is_seen_as(properties, returns) {
        let text = format!(
            "{} has other properties: published {:?}, delivered {properties:?}",
            message.name, message.properties
        );
        return about(text);
    }
    Ok(message)
}

/// Checks that the copy in the queue is free to be delivered.
///
/// # Errors
/// When it is held or gone.
pub fn check_fate(name: &str, queue: &str, fate: Option<Fate>) -> Result<(), Failure> {
    let state = match fate {
        Some(Fate::Held) => "is with a consumer already",
        Some(Fate::Acked) => "was acknowledged",
        Some(Fate::Rejected | Fate::Dying) => "was rejected for good, or died otherwise",
        Some(Fate::Refused) => "was refused",
        Some(Fate::Duplicate) => "was taken for one that came before",
        Some(Fate::Purged) => "was purged",
        Some(Fate::Dropped) => "went with its queue",
        Some(Fate::Forgotten) => "was not there after the restart",
        Some(Fate::Ready | Fate::Uncommitted | Fate::RolledBack) | None => return Ok(()),
    };
    let text = format!("{name} is delivered from {queue} although it {state}");
    Err(Failure::about(name, ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fates;
    use crate::wire::Argument;

    fn message() -> Message {
        let mut properties = Properties::default();
        properties.set("message-id", Argument::Text("m1".into()));
        Message {
            index: 0,
            name: "m1".into(),
            exchange: "x".into(),
            key: "k".into(),
            properties,
            body: vec![1, 2, 3],
            is_mandatory: false,
            channel: (1, 1),
            sequence: None,
            reply_consumer: None,
            batch: 0,
            histories: Vec::new(),
            deaths: Vec::new(),
            vhost: "/".into(),
            firsts: Vec::new(),
            fates: Fates::default(),
        }
    }

    #[test]
    fn an_identical_message_passes() {
        let message = message();
        let seen = check(Some(&message), "x", "k", &message.properties, &[1, 2, 3], None);
        assert_eq!(seen.map(|seen| seen.index), Ok(0));
    }

    #[test]
    fn a_message_that_nobody_published_fails() {
        assert!(check(None, "x", "k", &Properties::default(), &[], None).is_err());
    }

    #[test]
    fn another_body_key_exchange_or_property_fails() {
        let message = message();
        let same = &message.properties;
        assert!(check(Some(&message), "x", "k", same, &[1, 2, 4], None).is_err());
        assert!(check(Some(&message), "x", "other", same, &[1, 2, 3], None).is_err());
        assert!(check(Some(&message), "other", "k", same, &[1, 2, 3], None).is_err());
        let mut other = same.clone();
        other.set("priority", Argument::Number(1));
        assert!(check(Some(&message), "x", "k", &other, &[1, 2, 3], None).is_err());
    }

    #[test]
    fn what_is_held_or_settled_does_not_come_again() {
        assert_eq!(check_fate("m1", "q", Some(Fate::Ready)), Ok(()));
        for fate in [Fate::Held, Fate::Acked, Fate::Rejected, Fate::Purged, Fate::Dropped] {
            assert!(check_fate("m1", "q", Some(fate)).is_err());
        }
    }
}
