//! Messages that are to be routed later: what asks for a delay, where they wait, and what they are
//! when their time has come.
//!
//! They wait in a queue that no client can name and that outlives the process with all that is in
//! it. When a message leaves it, and when it is routed, the broker tells as of any that expires.

use super::names::{qualified, vhost_of};
use super::routing::{Look, Route};
use super::{Copy, Fate, Message, Model, Queue, QueueId, Refusal};
use crate::wire::{Argument, Properties, Table, Value};

/// What the broker calls the queue that they wait in.
pub const STORE: &str = "amq.delayed";

/// The longest delay, in milliseconds: ten years.
const MILLIS_MAX: i128 = 315_360_000_000;

impl Properties {
    /// What the header says, as a whole number of milliseconds.
    fn asked_delay(&self) -> Option<i128> {
        let (_, value) = self.headers()?.iter().find(|(name, _)| name == "x-delay")?;
        Some(match value {
            Value::I8(millis) => (*millis).into(),
            Value::U8(millis) => (*millis).into(),
            Value::I16(millis) => (*millis).into(),
            Value::U16(millis) => (*millis).into(),
            Value::I32(millis) => (*millis).into(),
            Value::U32(millis) => (*millis).into(),
            Value::I64(millis) => (*millis).into(),
            Value::F32(bits) => whole(f32::from_bits(*bits).into())?,
            Value::F64(bits) => whole(f64::from_bits(*bits))?,
            Value::Text(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
            _ => return None,
        })
    }
}

fn whole(number: f64) -> Option<i128> {
    number.is_finite().then_some(number as i128)
}

impl Message {
    /// For how many milliseconds it waits before it is routed, if it does.
    pub(super) fn delay(&self) -> Option<u64> {
        let millis = self.properties.asked_delay()?;
        u64::try_from(millis).ok().filter(|millis| *millis > 0)
    }

    /// The same message when it has waited.
    fn after_delay(&self) -> Self {
        let waited = self.delay().and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
        let headers = self.properties.headers().into_iter().flatten();
        let headers: Table = headers
            .map(|(name, value)| match name.as_str() {
                "x-delay" => (name.clone(), Value::I64(-waited)),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        let mut message = self.clone();
        message.properties.set("headers", Argument::Table(headers));
        message
    }
}

/// Whether the broker refuses what asks for this.
pub(super) fn check(properties: &Properties) -> Result<(), Refusal> {
    match properties.asked_delay() {
        Some(millis) if millis > MILLIS_MAX => {
            let text = format!("invalid x-delay '{millis}': {{value_too_large,{millis}}}");
            Err(Refusal::soft(406, text))
        }
        _ => Ok(()),
    }
}

impl Queue {
    /// Whether it survives the process, were that to happen now, with this message in it.
    #[must_use]
    pub fn keeps(&self, message: &Message) -> bool {
        self.is_durable && (message.is_persistent() || self.is_store)
    }
}

impl Model {
    /// The queue that a virtual host's delayed messages wait in, if there ever were any.
    #[must_use]
    pub fn store(&self, vhost: &str) -> Option<&Queue> {
        self.queues.values().find(|queue| queue.is_store && vhost_of(&queue.name) == vhost)
    }

    /// The same, made if need be.
    pub(super) fn make_store(&mut self, vhost: &str) -> QueueId {
        if let Some(store) = self.store(vhost) {
            return store.id;
        }
        let id = QueueId(self.next_number());
        let mut store = Queue::new(id, qualified(vhost, STORE).into_owned());
        (store.is_store, store.is_durable) = (true, true);
        store.batch = self.history.batch;
        self.queues.insert(id, store);
        id
    }

    /// The time of a message has come that waited in the store: it comes into being once more, and
    /// goes where it is for.
    pub(super) fn send_delayed(&mut self, id: QueueId, copy: Copy) {
        self.messages[copy.message].fates.insert(id, Fate::Rejected);
        let message = self.messages[copy.message].after_delay();
        let exchange = message.exchange.clone();
        if !exchange.is_empty() && !self.exchanges.contains_key(exchange.as_str()) {
            return self.lose_letter(id);
        }
        let Route { queues, histories } = self.route(&exchange, &Look::new(&message), None);
        let index = self.add_again(message);
        self.remember(index, &histories);
        if queues.is_empty() || self.enqueue(index, &queues).is_refused {
            self.lose_letter(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: Value) -> Option<i128> {
        let mut properties = Properties::default();
        properties.set("headers", Argument::Table(vec![("x-delay".into(), value)]));
        properties.asked_delay()
    }

    #[test]
    fn a_delay_is_a_number_or_a_text_that_is_one() {
        assert_eq!(asked(Value::I32(-5)), Some(-5));
        assert_eq!(asked(Value::text("700")), Some(700));
        assert_eq!(asked(Value::F64(f64::to_bits(2.9))), Some(2));
        for value in [Value::text("2.9"), Value::Bool(true), Value::F64(f64::to_bits(f64::NAN))] {
            assert_eq!(asked(value), None);
        }
    }
}
