//! Clients that put load on a broker until it is gone, and record what they do and see.
//!
//! Why an ack is final once a later persistent publish on the same channel is confirmed: a
//! channel's methods are handled in order, so the fact that the message is settled is at the latest
//! in the batch of the log that holds the published message; and batches are durable in order. The
//! confirm of a transient publish proves nothing: it waits for no disk.

use crate::history::{Fact, History, Id, Queue, content, identify, is_persistent};
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use warren_tests::client::Address;
use warren_tests::session::{ENDED, Event, Message, Session};

/// How many queues there are.
pub(crate) const QUEUES: Queue = 6;

/// Every way a message can go: exchange, routing key, and the queues where it gets.
const ROUTES: [(&str, &str, &[Queue]); 14] = [
    ("", "load.0", &[0]),
    ("", "load.1", &[1]),
    ("", "load.2", &[2]),
    ("", "load.3", &[3]),
    ("", "load.4", &[4]),
    ("", "load.5", &[5]),
    ("load.direct", "one", &[1]),
    ("load.direct", "two", &[2, 3]),
    ("load.fanout", "whatever", &[0, 1, 2]),
    ("load.topic", "a.b", &[3, 5]),
    ("load.topic", "a.z", &[3, 4, 5]),
    ("load.topic", "a.b.c", &[5]),
    ("load.topic", "b.c.z", &[4]),
    ("load.topic", "nowhere", &[]),
];

/// What [`ROUTES`] rests on: exchange, key, queue.
const BINDINGS: [(&str, &str, Queue); 9] = [
    ("load.direct", "one", 1),
    ("load.direct", "two", 2),
    ("load.direct", "two", 3),
    ("load.fanout", "", 0),
    ("load.fanout", "", 1),
    ("load.fanout", "", 2),
    ("load.topic", "a.*", 3),
    ("load.topic", "#.z", 4),
    ("load.topic", "a.#", 5),
];

/// How long a client waits for a sign of the broker before it looks whether it should go on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's work; an error is something no broker should have done.
type Outcome = Result<(), String>;

/// The name of a queue.
pub(crate) fn queue_name(queue: Queue) -> String {
    format!("load.{queue}")
}

/// Declares everything that the load goes through.
pub(crate) fn declare(address: &Address) -> Outcome {
    let mut session = Session::open(address)?;
    for queue in 0..QUEUES {
        session.declare(&queue_name(queue))?;
    }
    for kind in ["direct", "fanout", "topic"] {
        let exchange = json!({
            "exchange": format!("load.{kind}"), "type": kind, "durable": true,
        });
        session.call("Exchange.Declare", &exchange, "Exchange.DeclareOk")?;
    }
    for (exchange, key, queue) in BINDINGS {
        let binding = json!({"queue": queue_name(queue), "exchange": exchange, "routing_key": key});
        session.call("Queue.Bind", &binding, "Queue.BindOk")?;
    }
    session.close()
}

/// A channel of a client that records.
struct Client {
    session: Session,
    history: History,
    random: Rng,
    number: u32,
    /// Publishes that wait for their confirms, by their tags.
    unconfirmed: BTreeMap<u64, Id>,
    published: u64,
}

impl Client {
    /// `None` if the broker is gone already.
    fn new(address: &Address, history: &History, seed: u64) -> Option<Self> {
        Some(Client {
            session: Session::open(address).ok()?,
            history: history.clone(),
            random: Rng::with_seed(seed),
            number: history.small_number(),
            unconfirmed: BTreeMap::new(),
            published: 0,
        })
    }

    fn publish(&mut self, transaction: Option<u32>) -> Id {
        let (exchange, key, queues) = ROUTES[self.random.usize(..ROUTES.len())];
        self.publish_to(exchange, key, queues, transaction)
    }

    fn publish_to(
        &mut self,
        exchange: &str,
        key: &str,
        queues: &'static [Queue],
        transaction: Option<u32>,
    ) -> Id {
        let id = self.history.number();
        let (publisher, is_persistent) = (self.number, is_persistent(id));
        self.history.record(Fact::Sent { id, publisher, queues, is_persistent, transaction });
        let (properties, body) = content(id);
        let arguments = json!({"exchange": exchange, "routing_key": key});
        self.session.publish(&arguments, &properties, &body);
        self.published += 1;
        if transaction.is_none() {
            self.unconfirmed.insert(self.published, id);
        }
        id
    }

    fn take_confirm(&mut self, tag: u64, is_multiple: bool, is_ack: bool) -> Outcome {
        if !is_ack {
            return Err(format!("a publish was refused: nack of {tag}"));
        }
        let confirmed = if is_multiple {
            let later = self.unconfirmed.split_off(&(tag + 1));
            std::mem::replace(&mut self.unconfirmed, later)
        } else {
            self.unconfirmed.remove_entry(&tag).into_iter().collect()
        };
        if confirmed.is_empty() {
            return Err(format!("{tag} was confirmed, which waits for no confirm"));
        }
        confirmed.into_values().for_each(|id| self.history.record(Fact::Confirmed(id)));
        Ok(())
    }

    /// Records a message that came from a queue.
    fn receive(&self, message: &Message, queue: Queue, is_alone: bool) -> Result<Id, String> {
        let (id, fault) = identify(message)?;
        let (consumer, is_redelivered) = (self.number, message.is_redelivered());
        self.history.record(Fact::Received {
            id,
            queue,
            consumer,
            is_redelivered,
            is_alone,
            fault,
        });
        Ok(id)
    }

    /// Whether the event says that the connection is over; an error if it should not be.
    fn is_over(event: &Event) -> Result<bool, String> {
        match event {
            Event::Ended => Ok(true),
            Event::Method { name: "Connection.Close", arguments, .. }
                if arguments["reply_code"] == 320 =>
            {
                Ok(true)
            }
            Event::Method { name, arguments, .. } => {
                Err(format!("unexpected {name}: {arguments:?}"))
            }
            Event::Message(_) | Event::Confirm { .. } => Ok(false),
        }
    }
}

/// Publishes as fast as its confirms come, with a window of its own choice.
pub(crate) fn publisher(address: &Address, history: &History, seed: u64) -> Outcome {
    let Some(mut client) = Client::new(address, history, seed) else { return Ok(()) };
    if is_gone(client.session.confirm())? {
        return Ok(());
    }
    let window = [1, 8, 64][client.random.usize(..3)];
    loop {
        while client.unconfirmed.len() < window {
            client.publish(None);
        }
        match client.session.next(PATIENCE).ok_or("a publisher gets no confirms")? {
            Event::Confirm { tag, is_multiple, is_ack } => {
                client.take_confirm(tag, is_multiple, is_ack)?;
            }
            other => {
                if Client::is_over(&other)? {
                    return Ok(());
                }
                return Err(format!("a publisher got {other:?}"));
            }
        }
    }
}

/// A delivery that is not settled yet.
struct Held {
    id: Id,
    queue: Queue,
    message: Message,
}

/// Consumes some of the queues: acks one by one or many at once, rejects some for good and some to
/// come again, and leaves some be. Now and then it publishes, to learn which acks are final.
pub(crate) fn consumer(address: &Address, history: &History, seed: u64) -> Outcome {
    let Some(mut client) = Client::new(address, history, seed) else { return Ok(()) };
    let mut held: Vec<Held> = Vec::new();
    // Settled, by the publish that is to prove it; under 0 what no publish is to prove yet.
    let mut settled: BTreeMap<u64, Vec<(Id, Queue)>> = BTreeMap::new();
    let prefetch = client.random.u16(1..100);
    let batch = client.random.usize(1..20);
    if is_gone(client.session.confirm())? {
        return Ok(());
    }
    for queue in 0..QUEUES {
        let wanted = client.random.bool() || queue == QUEUES - 1;
        if wanted && is_gone(client.session.consume(&queue_name(queue), prefetch))? {
            return Ok(());
        }
    }
    loop {
        match client.session.next(PATIENCE).ok_or("a consumer gets nothing")? {
            Event::Message(message) => {
                let queue = queue_number(message.consumer())?;
                let id = client.receive(&message, queue, false)?;
                held.push(Held { id, queue, message });
            }
            Event::Confirm { tag, is_multiple, is_ack } => {
                client.take_confirm(tag, is_multiple, is_ack)?;
                // A transient message may be confirmed before what was published earlier.
                let is_proven = |tag: &u64| *tag > 0 && !client.unconfirmed.contains_key(tag);
                let proven: Vec<u64> = settled.keys().copied().filter(is_proven).collect();
                for (id, queue) in proven.iter().filter_map(|tag| settled.remove(tag)).flatten() {
                    history.record(Fact::Final { id, queue });
                }
            }
            other => {
                if Client::is_over(&other)? {
                    return Ok(());
                }
            }
        }
        // With a prefetch below the batch there would be nothing more to wait for.
        if held.len() >= batch.min(usize::from(prefetch)) {
            let done = settle(&mut client, &mut held);
            settled.entry(0).or_default().extend(done);
        }
        if settled.get(&0).is_some_and(|waiting| waiting.len() > 30) && client.unconfirmed.len() < 4
        {
            let to_prove = settled.remove(&0).unwrap_or_default();
            // A transient message would be confirmed without the disk.
            publish_persistent(&mut client);
            settled.insert(client.published, to_prove);
        }
    }
}

/// Publishes until a message was persistent.
fn publish_persistent(client: &mut Client) {
    loop {
        let (exchange, key, queues) = ROUTES[client.random.usize(..ROUTES.len() - 1)];
        if is_persistent(client.publish_to(exchange, key, queues, None)) {
            return;
        }
    }
}

/// Settles some or all of what is held, and says what of it is to be gone for good.
fn settle(client: &mut Client, held: &mut Vec<Held>) -> Vec<(Id, Queue)> {
    let mut done = Vec::new();
    match client.random.u8(..10) {
        // All of it at once, by an ack or a nack.
        kind @ 0..4 => {
            let Some(last) = held.last() else { return done };
            let tag = last.message.tag();
            for Held { id, queue, .. } in held.drain(..) {
                client.history.record(Fact::Settling { id, queue, transaction: None });
                done.push((id, queue));
            }
            let arguments = json!({"delivery_tag": tag, "multiple": true});
            let method = if kind == 0 { "Basic.Nack" } else { "Basic.Ack" };
            client.session.send(method, &arguments);
        }
        // Back to their places.
        4 => {
            for back in held.drain(..) {
                let arguments = json!({"delivery_tag": back.message.tag(), "requeue": true});
                client.session.send("Basic.Reject", &arguments);
            }
        }
        // One by one, from any end.
        _ => {
            while let Some(index) = (!held.is_empty()).then(|| client.random.usize(..held.len())) {
                let Held { id, queue, message } = held.swap_remove(index);
                client.history.record(Fact::Settling { id, queue, transaction: None });
                client.session.ack(&message, false);
                done.push((id, queue));
            }
        }
    }
    done
}

/// Takes messages off queues and publishes others, in transactions.
pub(crate) fn mover(address: &Address, history: &History, seed: u64) -> Outcome {
    let Some(mut client) = Client::new(address, history, seed) else { return Ok(()) };
    loop {
        if is_gone(client.session.call("Tx.Select", &Value::Null, "Tx.SelectOk"))? {
            return Ok(());
        }
        while client.random.u8(..8) > 0 {
            let number = history.small_number();
            if !work(&mut client, number)? {
                return Ok(());
            }
            history.record(Fact::Committing(number));
            if is_gone(client.session.call("Tx.Commit", &Value::Null, "Tx.CommitOk"))? {
                return Ok(());
            }
            history.record(Fact::Committed(number));
        }
        // One that counts for nothing: rolled back, or left when the channel is closed.
        if !work(&mut client, history.small_number())? {
            return Ok(());
        }
        if client.random.bool()
            && is_gone(client.session.call("Tx.Rollback", &Value::Null, "Tx.RollbackOk"))?
        {
            return Ok(());
        }
        let goodbye = json!({"reply_code": 200, "reply_text": "next"});
        if is_gone(client.session.call("Channel.Close", &goodbye, "Channel.CloseOk"))?
            || is_gone(client.session.open_channel(1))?
        {
            return Ok(());
        }
    }
}

/// Whether a call failed because the broker is gone; any other failure is one.
pub(crate) fn is_gone<T>(called: Result<T, String>) -> Result<bool, String> {
    match called {
        Ok(_) => Ok(false),
        Err(why) if why.ends_with(ENDED) => Ok(true),
        Err(why) => Err(why),
    }
}

/// Does what is to be in one transaction; false if the broker is gone.
fn work(client: &mut Client, transaction: u32) -> Result<bool, String> {
    for _ in 0..client.random.usize(..4) {
        let queue = client.random.u8(..QUEUES);
        let found = match client.session.get(&queue_name(queue)) {
            Ok(found) => found,
            Err(why) => return is_gone::<()>(Err(why)).map(|_| false),
        };
        let Some(message) = found else { continue };
        let id = client.receive(&message, queue, false)?;
        let transaction = Some(transaction);
        client.history.record(Fact::Settling { id, queue, transaction });
        client.session.ack(&message, false);
    }
    for _ in 0..client.random.usize(1..5) {
        client.publish(Some(transaction));
    }
    Ok(true)
}

/// Takes everything off all queues, alone with the broker, and says how much it was. What was taken
/// is known to be final then, unless this is the last time: to prove that takes another message.
pub(crate) fn drain(
    address: &Address,
    history: &History,
    seed: u64,
    is_last: bool,
) -> Result<usize, String> {
    let mut client = Client::new(address, history, seed).ok_or("the broker cannot be reached")?;
    client.session.confirm()?;
    let mut drained = Vec::new();
    for queue in 0..QUEUES {
        let name = queue_name(queue);
        let count = client.session.message_count(&name)?;
        client.session.consume(&name, 500)?;
        for n in 0..count {
            let message = client
                .session
                .next_message(PATIENCE)
                .map_err(|why| format!("{why} where {name} has {} more", count - n))?;
            let id = client.receive(&message, queue, true)?;
            history.record(Fact::Settling { id, queue, transaction: None });
            drained.push((id, queue));
            if n % 100 == 99 || n + 1 == count {
                client.session.ack(&message, true);
            }
        }
        if let Some(more) = client.session.next(Duration::from_millis(20)) {
            return Err(format!("{name} said that it has {count} messages: {more:?}"));
        }
        let cancel = json!({ "consumer_tag": name });
        client.session.call("Basic.Cancel", &cancel, "Basic.CancelOk")?;
    }
    let count = drained.len();
    if is_last {
        return client.session.close().map(|()| count);
    }
    publish_persistent(&mut client);
    while !client.unconfirmed.is_empty() {
        match client.session.next(PATIENCE).ok_or("the last publish is not confirmed")? {
            Event::Confirm { tag, is_multiple, is_ack } => {
                client.take_confirm(tag, is_multiple, is_ack)?;
            }
            other => return Err(format!("{other:?} comes from nowhere")),
        }
    }
    drained.into_iter().for_each(|(id, queue)| history.record(Fact::Final { id, queue }));
    client.session.close().map(|()| count)
}

fn queue_number(name: &str) -> Result<Queue, String> {
    let number = name.strip_prefix("load.").and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("a delivery for the consumer {name:?}, whom nobody knows"))
}
