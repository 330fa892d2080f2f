//! The same bytes are the same words, however the network cuts them: a client whose stream is read
//! in two pieces sees what it sees when the stream is read whole.

use super::Failure;
use crate::wire::Incoming;

/// The failure's id.
pub const ID: &str = "splitting";

/// Both runs connect the same clients.
///
/// # Errors
/// When one more, or one less, came to have a connection.
pub fn check_connections(whole: usize, split: usize) -> Result<(), Failure> {
    if whole == split {
        return Ok(());
    }
    let text = format!("{split} connections are made, and {whole} when all streams are whole");
    Err(Failure::new(ID, text))
}

/// A client sees the same.
///
/// # Errors
/// Names the first thing that differs.
pub fn check_seen(client: &str, whole: &[Incoming], split: &[Incoming]) -> Result<(), Failure> {
    let len = whole.len().max(split.len());
    let Some(at) = (0..len).find(|at| whole.get(*at) != split.get(*at)) else { return Ok(()) };
    let name = |seen: &[Incoming]| match seen.get(at) {
        None => "nothing more".to_owned(),
        Some(Incoming::Method(channel, method)) => format!("{method:?} on channel {channel}"),
        Some(Incoming::Content(channel, method, properties, body)) => {
            let (name, len) = (properties.text("message-id").unwrap_or("no name"), body.len());
            format!("{method:?} {name} {len} bytes on channel {channel}")
        }
        Some(other) => format!("{other:?}"),
    };
    let (split, whole) = (name(split), name(whole));
    Err(Failure::new(ID, format!("{client} sees {split}, and {whole} when its stream is whole")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Method;

    #[test]
    fn the_first_difference_is_named() {
        let ack =
            |tag| Incoming::Method(1, Method::new("basic.ack").with_number("delivery-tag", tag));
        assert_eq!(check_seen("c1", &[ack(1), ack(2)], &[ack(1), ack(2)]), Ok(()));
        let failure = check_seen("c1", &[ack(1), ack(2)], &[ack(1)]).expect_err("one is missing");
        let text = "c1 sees nothing more, and basic.ack delivery-tag=2 on channel 1 when its \
                    stream is whole";
        assert_eq!((failure.checker, failure.text.as_str()), (ID, text));
        assert!(check_seen("c1", &[ack(1)], &[ack(2)]).is_err());
        assert!(check_seen("c1", &[], &[Incoming::Heartbeat]).is_err());
    }
}
