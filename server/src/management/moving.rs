//! Moving messages from a queue to another one, in a session of AMQP: they are taken, published and
//! acknowledged in transactions, of each of which all is done or nothing. So a broker that ends in
//! between has each message in one of the two queues, and in one only.
//!
//! A queue that refuses messages when it is full would have a transaction lose what it refuses. To
//! such a queue a message is published first, and acknowledged when that is confirmed: what is
//! refused stays where it was, and a broker that ends in between may have it in both.
//!
//! They keep their routing keys, properties and headers. They go through a fanout exchange of their
//! own, as a header `CC` would send them elsewhere too; that is the exchange they have come from
//! then. A time to live that they bring begins anew, as they come in anew.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::spawn_local;
use warren_core::amqp::{
    BasicAck, BasicGet, BasicProperties, BasicPublish, BasicReject, ConfirmSelect, ExchangeDeclare,
    ExchangeDelete, FieldValue, Method, QueueBind, ShortStr, TxCommit, TxSelect,
};
use warren_core::listing::QueueInfo;

use super::auth::Principal;
use super::call::{Answer, Call, Failure, Reply, short};
use super::session::{Content, Refused, Session};
use super::{State, queue};

/// What a transaction is about at the most: messages, and bytes of them. What is not committed
/// takes memory.
const AT_ONCE: usize = 100;
const BYTES_AT_ONCE: usize = 1 << 20;

/// After so long a request is answered, whatever is left: who asked can ask again.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Moves as many messages as the body says (`count`), or as many as are ready, to the queue that it
/// names (`destination`).
pub(super) async fn to_queue(call: Call) -> Answer {
    let source = queue::find(&call).await?;
    let object = call.object()?;
    let destination = short(object.text("destination")?)?;
    let Some(target) = queue::find_in(&call.state, &source.vhost, &destination).await else {
        return Err(Failure::not_found(format!("there is no queue '{destination}' to move to")));
    };
    if target.name == source.name {
        return Err(Failure::bad_request("the messages are in this queue already"));
    }
    if source.is_paused {
        return Err(Failure::bad_request("the queue is paused: it hands out nothing to be moved"));
    }
    // Those that come meanwhile stay, or it might never end.
    let ready = source.numbers.ready;
    let count = match object.get("count") {
        Some(_) => u64::try_from(object.integer("count", 0)?)
            .map_err(|_| Failure::bad_request("count is negative"))?
            .min(ready),
        None => ready,
    };
    // A task of its own goes on, and clears up, when who asked has gone.
    let state = Rc::clone(&call.state);
    let moving = spawn_local(async move { move_all(&state, source, target, count).await });
    moving.await.map_err(|error| Failure::unavailable(error.to_string()))?
}

async fn move_all(state: &State, source: QueueInfo, target: QueueInfo, count: u64) -> Answer {
    let vhost = source.vhost;
    let session = Session::open(&state.broker, &Principal::operator(), &vhost).await;
    let mut mover = Mover {
        session: session.map_err(Refused::into_plain)?,
        exchange: exchange_for(&target.name),
        source: source.name,
        is_exact: !refuses(&target),
        published: 0,
        unmoved: None,
    };
    mover.set_up(&target.name).await.map_err(Refused::into_plain)?;
    let (began, mut moved) = (Instant::now(), 0);
    while moved < count && began.elapsed() < TIME_MAX && mover.unmoved.is_none() {
        let some = usize::try_from(count - moved).unwrap_or(usize::MAX).min(AT_ONCE);
        match mover.move_some(some).await {
            Ok(0) => break,
            Ok(some) => moved += some,
            Err(refused) => mover.unmoved = Some(refused.into_plain().reason),
        }
    }
    let (is_exact, stopped) = (mover.is_exact, mover.unmoved.take());
    let exchange = mover.exchange.clone();
    // A session in which something was refused has ended.
    if mover.clear_up().await.is_err() {
        let session = Session::open(&state.broker, &Principal::operator(), &vhost).await;
        if let Ok(mut session) = session {
            let _ = session.call(ExchangeDelete { exchange, ..Default::default() }).await;
        }
    }
    Ok(Reply::Json(json!({
        "moved": moved,
        "wanted": count,
        "exactly_once": is_exact,
        "stopped": stopped,
    })))
}

/// Whether a queue refuses messages when it is full.
fn refuses(queue: &QueueInfo) -> bool {
    let asked = [(&queue.arguments, "x-overflow"), (&queue.policy_definition, "overflow")];
    asked.iter().any(|(table, key)| {
        let overflow = table.find(key).and_then(FieldValue::as_longstr);
        overflow.is_some_and(|overflow| overflow.starts_with(b"reject-publish"))
    })
}

/// The exchange by which messages come to a queue: always the same, so that one that was left by
/// who was interrupted is used again.
fn exchange_for(queue: &ShortStr) -> ShortStr {
    let mut hasher = DefaultHasher::new();
    queue.as_bytes().hash(&mut hasher);
    ShortStr::truncated(format!("warren.move.{:016x}", hasher.finish()).as_bytes())
}

/// A session that moves messages.
struct Mover {
    session: Session,
    exchange: ShortStr,
    source: ShortStr,
    /// Whether transactions are used.
    is_exact: bool,
    /// How many messages were published that are confirmed one by one.
    published: u64,
    /// Why it cannot go on, if it cannot.
    unmoved: Option<String>,
}

impl Mover {
    async fn set_up(&mut self, destination: &ShortStr) -> Result<(), Refused> {
        let exchange = self.exchange.clone();
        let declare = ExchangeDeclare {
            exchange: exchange.clone(),
            kind: ShortStr::from_static("fanout"),
            auto_delete: true,
            ..ExchangeDeclare::default()
        };
        self.session.call(declare).await?;
        let queue = destination.clone();
        self.session.call(QueueBind { queue, exchange, ..QueueBind::default() }).await?;
        match self.is_exact {
            true => self.session.call(TxSelect {}).await.map(drop),
            false => self.session.call(ConfirmSelect::default()).await.map(drop),
        }
    }

    /// Moves up to so many messages; how many it were.
    async fn move_some(&mut self, most: usize) -> Result<u64, Refused> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most && bytes < BYTES_AT_ONCE {
            let get = BasicGet { queue: self.source.clone(), ..BasicGet::default() };
            let Method::BasicGetOk(got) = self.session.call(get).await? else { break };
            let content = self.session.content().await?;
            bytes += content.body.len();
            taken.push((got.delivery_tag, got.routing_key, content));
        }
        for (_, routing_key, content) in &taken {
            self.publish(routing_key, content).await?;
        }
        let Some(last) = taken.last().map(|(tag, ..)| *tag) else { return Ok(0) };
        if !self.is_exact {
            let tags = taken.iter().map(|(tag, ..)| *tag).collect();
            return self.settle_confirmed(tags).await;
        }
        // The channel ends, and the transaction with it, if what it goes by is gone: it answers
        // behind all that was published.
        let exchange = self.exchange.clone();
        let passive = ExchangeDeclare {
            exchange,
            kind: ShortStr::from_static("fanout"),
            passive: true,
            ..ExchangeDeclare::default()
        };
        self.session.call(passive).await?;
        self.session.cast(BasicAck { delivery_tag: last, multiple: true });
        let mut answer = self.session.call(TxCommit {}).await?;
        while !matches!(answer, Method::TxCommitOk(_)) {
            // The queue was deleted while messages came to it, and they went with it.
            self.unmoved = Some("the queue that they are for was deleted meanwhile".into());
            answer = self.session.receive().await?;
        }
        Ok(taken.len() as u64)
    }

    async fn publish(&mut self, key: &ShortStr, content: &Content) -> Result<(), Refused> {
        let publish = BasicPublish {
            exchange: self.exchange.clone(),
            routing_key: key.clone(),
            mandatory: true,
            ..BasicPublish::default()
        };
        let properties = content.properties.decode().unwrap_or(BasicProperties::NONE);
        self.session.publish(publish, &properties, &content.body).await
    }

    /// Acknowledges those whose copies are confirmed, and gives back the others.
    async fn settle_confirmed(&mut self, tags: Vec<u64>) -> Result<u64, Refused> {
        let before = self.published;
        self.published += tags.len() as u64;
        let mut is_taken: Vec<Option<bool>> = vec![None; tags.len()];
        while is_taken.contains(&None) {
            let (number, multiple, answer) = match self.session.receive().await? {
                Method::BasicAck(ack) => (ack.delivery_tag, ack.multiple, true),
                Method::BasicNack(nack) => (nack.delivery_tag, nack.multiple, false),
                // The queue has gone, and it went nowhere.
                Method::BasicReturn(_) => (self.published, true, false),
                _ => continue,
            };
            let answered = |at: usize| {
                let own = before + at as u64 + 1;
                own == number || multiple && own < number
            };
            for (at, slot) in is_taken.iter_mut().enumerate() {
                if slot.is_none() && answered(at) {
                    *slot = Some(answer);
                }
            }
        }
        let mut moved = 0;
        for (delivery_tag, is_taken) in tags.into_iter().zip(is_taken) {
            if is_taken == Some(true) {
                moved += 1;
                self.session.cast(BasicAck { delivery_tag, multiple: false });
            } else {
                self.unmoved = Some("the queue that they are for takes no more".into());
                self.session.cast(BasicReject { delivery_tag, requeue: true });
            }
        }
        Ok(moved)
    }

    async fn clear_up(mut self) -> Result<(), Refused> {
        let delete = ExchangeDelete { exchange: self.exchange.clone(), ..Default::default() };
        self.session.call(delete).await?;
        self.session.close().await
    }
}
