//! The exchanges that RabbitMQ has as plugins, with lapin: those that choose one of their bindings,
//! and those that keep what came last.
//!
//! Against RabbitMQ (`WARREN_TEST_BROKER`) these need its plugins
//! `rabbitmq_consistent_hash_exchange`, `rabbitmq_random_exchange`,
//! `rabbitmq_recent_history_exchange`, and `rabbitmq_sharding` where `x-modulus-hash` is not in the
//! broker yet.

use std::collections::BTreeMap;
use std::future::Future;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Error, ErrorKind};
use warren_tests::broker::Target;
use warren_tests::client::Address;

/// So many messages go to an exchange that chooses.
const COUNT: u32 = 3000;

#[test]
fn a_consistent_hash_spreads_keys_by_weight_and_each_to_one_queue() {
    flow("x-consistent-hash", FieldTable::default(), async |set_up| {
        let [light, heavy] = [set_up.queue("1").await?, set_up.queue("3").await?];
        for round in 1..=2 {
            for key in 0..COUNT {
                let body = key.to_string();
                set_up.send(&format!("user.{key}"), &body, BasicProperties::default()).await?;
            }
            let (light, heavy) = (set_up.drain(&light).await?, set_up.drain(&heavy).await?);
            assert_eq!(light.len() + heavy.len(), COUNT as usize);
            assert_near(heavy.len(), COUNT as usize * 3 / 4);
            // The second time each key goes where it went the first.
            set_up.remember(&format!("round {round}"), light);
        }
        assert_eq!(set_up.remembered("round 1"), set_up.remembered("round 2"));
        Ok(())
    });
}

#[test]
fn a_consistent_hash_goes_by_a_header() {
    let by_header = table("hash-header", AMQPValue::LongString("customer".into()));
    flow("x-consistent-hash", by_header, async |set_up| {
        let [one, two] = [set_up.queue("1").await?, set_up.queue("1").await?];
        for number in 0..COUNT {
            let customer = LongString::from(format!("c{}", number % 100));
            let headers = table("customer", AMQPValue::LongString(customer));
            let properties = BasicProperties::default().with_headers(headers);
            let body = (number % 100).to_string();
            set_up.send(&number.to_string(), &body, properties).await?;
        }
        let [one, two] = [set_up.drain(&one).await?, set_up.drain(&two).await?];
        assert_eq!(one.len() + two.len(), COUNT as usize);
        assert!(one.iter().all(|customer| !two.contains(customer)));
        assert!(!one.is_empty() && !two.is_empty());
        Ok(())
    });
}

#[test]
fn a_consistent_hash_refuses_keys_and_arguments_that_make_no_sense() {
    for (key, problem) in [
        ("many", "be an integer: <<\"many\">>"),
        ("", "be an integer: <<>>"),
        ("0", "be greater than 0"),
    ] {
        flow("x-consistent-hash", FieldTable::default(), async |set_up| {
            let refused = set_up.queue(key).await.expect_err("it is no weight");
            let text = format!("PRECONDITION_FAILED - The binding key must {problem}");
            assert_refused(&refused, 406, &text);
            Ok(())
        });
    }
    let mut both = table("hash-header", AMQPValue::LongString("h".into()));
    both.insert("hash-property".into(), AMQPValue::LongString("message_id".into()));
    assert_undeclared(
        "x-consistent-hash",
        both,
        "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
    );
    assert_undeclared(
        "x-consistent-hash",
        table("hash-property", AMQPValue::LongString("app_id".into())),
        "PRECONDITION_FAILED - Unsupported property: app_id",
    );
}

#[test]
fn a_modulus_hash_spreads_keys_over_bindings_and_each_to_one_queue() {
    flow("x-modulus-hash", FieldTable::default(), async |set_up| {
        let [one, two] = [set_up.queue("a").await?, set_up.queue("b").await?];
        set_up.bind(&two, "c").await?;
        for round in 1..=2 {
            for key in 0..COUNT {
                let body = key.to_string();
                set_up.send(&format!("user.{key}"), &body, BasicProperties::default()).await?;
            }
            let (one, two) = (set_up.drain(&one).await?, set_up.drain(&two).await?);
            assert_eq!(one.len() + two.len(), COUNT as usize);
            assert_near(two.len(), COUNT as usize * 2 / 3);
            set_up.remember(&format!("round {round}"), one);
        }
        assert_eq!(set_up.remembered("round 1"), set_up.remembered("round 2"));
        Ok(())
    });
}

#[test]
fn chance_sends_each_message_to_one_queue() {
    flow("x-random", FieldTable::default(), async |set_up| by_chance(&set_up).await);
}

#[test]
fn local_chance_sends_each_message_to_one_queue_and_takes_no_key() {
    flow("x-local-random", FieldTable::default(), async |set_up| {
        by_chance(&set_up).await?;
        let refused = set_up.queue("key").await.expect_err("there must be no key");
        let text = "PRECONDITION_FAILED - Non empty binding 'key' key not permitted";
        assert_refused(&refused, 406, text);
        Ok(())
    });
}

async fn by_chance(set_up: &SetUp) -> Result<(), Error> {
    let [one, two] = [set_up.queue("").await?, set_up.queue("").await?];
    for number in 0..COUNT {
        set_up.send("same", &number.to_string(), BasicProperties::default()).await?;
    }
    let [one, two] = [set_up.drain(&one).await?, set_up.drain(&two).await?];
    assert_eq!(one.len() + two.len(), COUNT as usize);
    assert_near(one.len(), COUNT as usize / 2);
    Ok(())
}

#[test]
fn a_recent_history_gives_its_last_messages_to_who_comes_later() {
    let length = table("x-recent-history-length", AMQPValue::LongInt(3));
    flow("x-recent-history", length, async |set_up| {
        let early = set_up.queue("").await?;
        for number in 1..=5 {
            let properties = BasicProperties::default();
            set_up.send(&format!("key.{number}"), &number.to_string(), properties).await?;
        }
        let no_store = table("x-recent-history-no-store", AMQPValue::Boolean(true));
        let properties = BasicProperties::default().with_headers(no_store);
        set_up.send("key", "not kept", properties).await?;
        let late = set_up.queue("").await?;
        assert_eq!(set_up.drain(&early).await?, ["1", "2", "3", "4", "5", "not kept"]);
        assert_eq!(set_up.drain(&late).await?, ["3", "4", "5"]);
        set_up.bind(&late, "").await?;
        assert_eq!(set_up.drain(&late).await?, Vec::<String>::new(), "it was bound already");
        set_up.bind(&late, "again").await?;
        assert_eq!(set_up.drain(&late).await?, ["3", "4", "5"]);
        Ok(())
    });
}

#[test]
fn a_recent_history_is_given_through_an_exchange() {
    flow("x-recent-history", FieldTable::default(), async |set_up| {
        set_up.send("key", "kept", BasicProperties::default()).await?;
        let queue = set_up.queue("").await?;
        assert_eq!(set_up.drain(&queue).await?, ["kept"]);
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let (to, key) = ("amq.direct", "key");
        let bound = queue.as_str().into();
        set_up.channel.queue_bind(bound, to.into(), key.into(), options, none.clone()).await?;
        let (options, from) = (ExchangeBindOptions::default(), set_up.exchange.as_str());
        set_up.channel.exchange_bind(to.into(), from.into(), key.into(), options, none).await?;
        assert_eq!(set_up.drain(&queue).await?, ["kept"]);
        Ok(())
    });
}

#[test]
fn the_length_of_a_recent_history_is_a_positive_integer() {
    for (value, printed) in [
        (AMQPValue::LongInt(0), "0"),
        (AMQPValue::LongLongInt(-5), "-5"),
        (AMQPValue::LongString("many".into()), "<<\"many\">>"),
    ] {
        assert_undeclared(
            "x-recent-history",
            table("x-recent-history-length", value),
            &format!(
                "PRECONDITION_FAILED - Invalid argument {printed}, 'x-recent-history-length' must \
                 be a positive integer"
            ),
        );
    }
}

/// An exchange, and what is told about it.
struct SetUp {
    channel: Channel,
    exchange: String,
    notes: std::cell::RefCell<BTreeMap<String, Vec<String>>>,
}

impl SetUp {
    /// A queue of its own, bound with this key.
    async fn queue(&self, key: &str) -> Result<String, Error> {
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let declared = self.channel.queue_declare("".into(), options, FieldTable::default());
        let queue = declared.await?.name().to_string();
        self.bind(&queue, key).await?;
        Ok(queue)
    }

    async fn bind(&self, queue: &str, key: &str) -> Result<(), Error> {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let exchange = self.exchange.as_str().into();
        self.channel.queue_bind(queue.into(), exchange, key.into(), options, none).await
    }

    async fn send(&self, key: &str, body: &str, properties: BasicProperties) -> Result<(), Error> {
        let options = BasicPublishOptions::default();
        let (exchange, key) = (self.exchange.as_str().into(), key.into());
        let sent = self.channel.basic_publish(exchange, key, options, body.as_bytes(), properties);
        sent.await.map(drop)
    }

    /// All that is in a queue, once what was published has arrived.
    async fn drain(&self, queue: &str) -> Result<Vec<String>, Error> {
        self.channel.wait_for_confirms().await?;
        let mut all = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = self.channel.basic_get(queue.into(), options).await? {
            all.push(String::from_utf8(message.data.clone()).expect("these tests send text"));
        }
        Ok(all)
    }

    fn remember(&self, name: &str, what: Vec<String>) {
        self.notes.borrow_mut().insert(name.to_owned(), what);
    }

    fn remembered(&self, name: &str) -> Vec<String> {
        self.notes.borrow()[name].clone()
    }
}

/// Has an exchange of this type made, and a channel with confirms. A type that another broker does
/// not have is passed over.
fn flow(kind: &str, arguments: FieldTable, body: impl AsyncFnOnce(SetUp) -> Result<(), Error>) {
    let target = Target::new();
    on_a_runtime(async {
        let connection = connect(target.address()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let exchange = named(kind);
        match declare(&channel, &exchange, kind, arguments).await {
            Err(error)
                if is_unknown(&error) && std::env::var_os("WARREN_TEST_BROKER").is_some() =>
            {
                eprintln!("SKIPPED: this broker has no {kind}");
                return Ok(());
            }
            declared => declared?,
        }
        body(SetUp { channel, exchange: exchange.clone(), notes: Default::default() }).await?;
        let channel = connection.create_channel().await?;
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(exchange.as_str().into(), options).await
    })
    .expect("the flow ends");
}

/// The declaration of such an exchange must be refused with this text.
fn assert_undeclared(kind: &str, arguments: FieldTable, text: &str) {
    let target = Target::new();
    on_a_runtime(async {
        let channel = connect(target.address()).await?.create_channel().await?;
        let refused = declare(&channel, &named(kind), kind, arguments).await;
        assert_refused(&refused.expect_err("it must be refused"), 406, text);
        Ok::<_, Error>(())
    })
    .expect("the flow ends");
}

async fn connect(address: &Address) -> Result<Connection, Error> {
    let uri = format!("amqp://guest:guest@{address}/%2f");
    Connection::connect(&uri, ConnectionProperties::default()).await
}

async fn declare(
    channel: &Channel,
    name: &str,
    kind: &str,
    arguments: FieldTable,
) -> Result<(), Error> {
    let kind = lapin::ExchangeKind::Custom(kind.to_owned());
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare(name.into(), kind, options, arguments).await
}

fn on_a_runtime<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(body)
}

fn named(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("exchanges-{}-{count}-{what}", process::id())
}

fn table(name: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(name.into(), value);
    table
}

/// Within five standard deviations of chance.
fn assert_near(count: usize, due: usize) {
    assert!(count.abs_diff(due) <= 5 * due.isqrt(), "{count} where about {due} should be");
}

fn is_unknown(error: &Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    error.get_message().as_str().contains("unknown exchange type")
}

fn assert_refused(error: &Error, code: u16, text: &str) {
    let ErrorKind::ProtocolError(error) = error.kind() else { panic!("{error:?}") };
    assert_eq!((error.get_id(), error.get_message().as_str()), (code, text));
}
