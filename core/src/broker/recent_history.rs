//! Exchanges that keep the last messages they were given, for who is bound later
//! (`x-recent-history`).

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;

use super::message::{Gauge, Message};
use super::refusal::{Refusal, print_value};
use crate::amqp::{BasicProperties, FieldTable, FieldValue};

/// How many messages are kept where the exchange's arguments do not say.
const LEN_MAX_DEFAULT: u64 = 20;

/// How many messages an exchange of these arguments keeps.
///
/// # Errors
/// When that is no positive integer.
pub(crate) fn len_max(arguments: &FieldTable) -> Result<u64, Refusal> {
    let Some(value) = arguments.find("x-recent-history-length") else {
        return Ok(LEN_MAX_DEFAULT);
    };
    let len = match *value {
        FieldValue::I8(len) => i64::from(len),
        FieldValue::I16(len) => i64::from(len),
        FieldValue::I32(len) => i64::from(len),
        FieldValue::I64(len) => len,
        _ => 0,
    };
    u64::try_from(len).ok().filter(|len| *len > 0).ok_or_else(|| {
        let value = print_value(value);
        Refusal::precondition(format!(
            "Invalid argument {value}, 'x-recent-history-length' must be a positive integer"
        ))
    })
}

/// Whether a message asks not to be kept.
pub(crate) fn is_kept_out(properties: &BasicProperties) -> bool {
    let headers = properties.headers.as_ref();
    let asks = headers.and_then(|headers| headers.find("x-recent-history-no-store"));
    asks == Some(&FieldValue::Bool(true))
}

/// The last messages that an exchange was given, from the oldest on.
#[derive(Debug)]
pub(crate) struct RecentHistory {
    len_max: u64,
    messages: VecDeque<Arc<Message>>,
}

impl RecentHistory {
    /// Nothing yet, for an exchange of these arguments.
    pub(crate) fn new(arguments: &FieldTable) -> Self {
        let len_max = len_max(arguments).unwrap_or(LEN_MAX_DEFAULT);
        Self { len_max, messages: VecDeque::new() }
    }

    /// Keeps a message, and no older ones than fit. Of all that is kept anywhere, which the gauge
    /// counts, there may be `size_max` bytes: above that the oldest of these go, and the message
    /// itself if need be. Whether any went for that.
    pub(crate) fn keep(&mut self, message: Arc<Message>, gauge: &Gauge, size_max: u64) -> bool {
        self.messages.push_back(message);
        if self.messages.len() as u64 > self.len_max {
            self.messages.pop_front();
        }
        let mut is_short = false;
        while gauge.get() > size_max && self.messages.pop_front().is_some() {
            is_short = true;
        }
        is_short
    }

    /// What is kept.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.iter()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use bytes::Bytes;

    use super::*;
    use crate::broker::{Body, Charge};

    fn history(len: FieldValue) -> RecentHistory {
        let name = "x-recent-history-length".into();
        RecentHistory::new(&FieldTable::new(alloc::vec![(name, len)]))
    }

    fn keep(history: &mut RecentHistory, gauge: &Gauge, size_max: u64, body: usize) -> bool {
        let mut message = Message {
            exchange: "x".into(),
            routing_key: "key".into(),
            properties: Default::default(),
            body: Body::from(Bytes::from(alloc::vec![0; body])),
            persistent: false,
            is_dead_letter: false,
            charge: Charge::default(),
        };
        message.charge_to(gauge);
        history.keep(Arc::new(message), gauge, size_max)
    }

    fn kept(history: &RecentHistory) -> Vec<usize> {
        history.messages().map(|message| message.body.len()).collect()
    }

    #[test]
    fn the_last_are_kept_in_order() {
        let mut history = history(FieldValue::I32(3));
        let gauge = Gauge::default();
        assert!((1..=5).all(|len| !keep(&mut history, &gauge, u64::MAX, len)));
        assert_eq!(kept(&history), [3, 4, 5]);
    }

    #[test]
    fn twenty_are_kept_where_nothing_is_said() {
        let mut history = RecentHistory::new(&FieldTable::default());
        assert!((0..30).all(|len| !keep(&mut history, &Gauge::default(), u64::MAX, len)));
        assert_eq!(kept(&history).len(), 20);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut history = history(FieldValue::I64(1 << 40));
        let gauge = Gauge::default();
        for len in [1000, 2000, 3000] {
            assert!(!keep(&mut history, &gauge, 10_000, len));
        }
        assert!(keep(&mut history, &gauge, 10_000, 5000));
        assert_eq!(kept(&history), [3000, 5000]);
        assert!(keep(&mut history, &gauge, 10_000, 10_001));
        assert_eq!((kept(&history), gauge.get()), (alloc::vec![], 0));
    }

    #[test]
    fn a_length_is_a_positive_number_with_a_sign() {
        for (value, printed) in [
            (FieldValue::I32(0), "0"),
            (FieldValue::I64(-5), "-5"),
            (FieldValue::U8(5), "5"),
            (FieldValue::text("5"), "<<\"5\">>"),
            (FieldValue::Bool(true), "true"),
        ] {
            let name = "x-recent-history-length".into();
            let refusal = len_max(&FieldTable::new(alloc::vec![(name, value)])).unwrap_err();
            let text = format!(
                "Invalid argument {printed}, 'x-recent-history-length' must be a positive integer"
            );
            assert_eq!(refusal.explanation, text);
        }
    }
}
