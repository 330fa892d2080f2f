//! RabbitMQ's tutorials and more with lapin, a Rust client that others wrote.
//!
//! Queues and exchanges have names of each test's own, so the broker may be in use.

use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error,
    ErrorKind, ExchangeKind,
};
use std::collections::HashMap;
use std::future::Future;
use std::process;
use std::time::Duration;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use warren_tests::broker::{Target, elsewhere};
use warren_tests::client::Address;

/// For something that must come.
const PATIENCE: Duration = Duration::from_secs(5);
/// For something that must not come.
const SILENCE: Duration = Duration::from_millis(200);

#[test]
fn a_message_sent_to_a_queue_by_its_name_is_received_once() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let queue = named("hello");
        let declared = declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        assert_eq!((declared.message_count(), declared.consumer_count()), (0, 0));
        send(&channel, "", &queue, "Hello World!", BasicProperties::default()).await?;
        let mut consumer = consume(&channel, &queue, true).await?;
        let delivery = next(&mut consumer).await;
        assert_eq!(text(&delivery), "Hello World!");
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("", &*queue));
        assert!(!delivery.redelivered);
        nothing_more(&mut consumer).await;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn with_prefetch_1_work_goes_to_whoever_is_free() {
    flow(async |broker| {
        let (slow, quick) = (broker.channel().await, broker.channel().await);
        let queue = named("tasks");
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        declare(&slow, &queue, durable).await?;
        slow.basic_qos(1, BasicQosOptions::default()).await?;
        quick.basic_qos(1, BasicQosOptions::default()).await?;
        let mut held = consume(&slow, &queue, false).await?;
        let mut worked = consume(&quick, &queue, false).await?;
        for n in 0..8 {
            let persistent = BasicProperties::default().with_delivery_mode(2);
            send(&slow, "", &queue, &n.to_string(), persistent).await?;
        }
        let first = next(&mut held).await;
        assert_eq!(first.properties.delivery_mode(), &Some(2));
        let mut done = Vec::new();
        for _ in 0..7 {
            let delivery = next(&mut worked).await;
            done.push(text(&delivery));
            delivery.ack(BasicAckOptions::default()).await?;
        }
        assert!(done.is_sorted() && !done.contains(&text(&first)), "{done:?}");
        nothing_more(&mut held).await;
        first.ack(BasicAckOptions::default()).await?;
        slow.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn what_a_consumer_left_without_acking_comes_again_in_order_and_marked_as_redelivered() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let queue = named("left");
        declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        for n in 0..3 {
            send(&channel, "", &queue, &n.to_string(), BasicProperties::default()).await?;
        }
        let other = broker.another().await;
        let mut consumer = consume(&other.channel().await, &queue, false).await?;
        let first = next(&mut consumer).await;
        assert!(!first.redelivered);
        first.ack(BasicAckOptions::default()).await?;
        next(&mut consumer).await;
        next(&mut consumer).await;
        other.connection.close(200, "leaving".into()).await?;
        let mut consumer = consume(&channel, &queue, true).await?;
        for expected in ["1", "2"] {
            let again = next(&mut consumer).await;
            assert_eq!((text(&again).as_str(), again.redelivered), (expected, true));
        }
        nothing_more(&mut consumer).await;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn every_queue_bound_to_a_fanout_gets_every_message_from_then_on() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let logs = exchange(&channel, ExchangeKind::Fanout).await?;
        send(&channel, &logs, "", "too early", BasicProperties::default()).await?;
        let mut subscribers = Vec::new();
        for _ in 0..2 {
            subscribers.push(subscriber(&channel, &logs, &[""]).await?);
        }
        send(&channel, &logs, "any key", "info: hello", BasicProperties::default()).await?;
        for subscriber in &mut subscribers {
            assert_eq!(text(&next(subscriber).await), "info: hello");
            nothing_more(subscriber).await;
        }
        remove(&channel, logs).await
    });
}

#[test]
fn a_direct_exchange_routes_by_the_whole_key() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let logs = exchange(&channel, ExchangeKind::Direct).await?;
        let mut errors = subscriber(&channel, &logs, &["error"]).await?;
        let mut all = subscriber(&channel, &logs, &["info", "warning", "error"]).await?;
        for severity in ["info", "debug", "warning", "error"] {
            send(&channel, &logs, severity, severity, BasicProperties::default()).await?;
        }
        assert_eq!(texts(&mut errors, 1).await, ["error"]);
        assert_eq!(texts(&mut all, 3).await, ["info", "warning", "error"]);
        remove(&channel, logs).await
    });
}

#[test]
fn a_topic_exchange_routes_by_words_once_to_each_queue() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let animals = exchange(&channel, ExchangeKind::Topic).await?;
        let mut one = subscriber(&channel, &animals, &["*.orange.*"]).await?;
        let mut two = subscriber(&channel, &animals, &["*.*.rabbit", "lazy.#"]).await?;
        let to_both = ["quick.orange.rabbit", "lazy.orange.elephant"];
        let to_one = ["quick.orange.fox"];
        let to_two = ["lazy.brown.fox", "lazy.pink.rabbit", "lazy.orange.male.rabbit", "lazy"];
        let to_none = ["quick.brown.fox", "orange", "quick.orange.male.rabbit", ""];
        for key in to_both.iter().chain(&to_one).chain(&to_two).chain(&to_none) {
            send(&channel, &animals, key, key, BasicProperties::default()).await?;
        }
        assert_eq!(texts(&mut one, 3).await, [&to_both[..], &to_one].concat());
        assert_eq!(texts(&mut two, 6).await, [&to_both[..], &to_two].concat());
        remove(&channel, animals).await
    });
}

#[test]
fn a_request_finds_its_server_and_the_reply_its_client() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let replies = declare(&channel, "", exclusive).await?;
        assert!(replies.name().as_str().starts_with("amq.gen-"), "{}", replies.name());
        call_fibonacci(&broker, &channel, replies.name().as_str()).await
    });
}

#[test]
fn a_reply_comes_without_a_reply_queue_by_direct_reply_to() {
    flow(async |broker| {
        let channel = broker.channel().await;
        call_fibonacci(&broker, &channel, "amq.rabbitmq.reply-to").await
    });
}

#[test]
fn each_publish_is_confirmed_and_an_unroutable_one_as_well() {
    flow(async |broker| {
        let channel = broker.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let queue = named("confirms");
        declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        let mut confirms = Vec::new();
        for n in 0..100 {
            let options = BasicPublishOptions::default();
            let (body, key) = (n.to_string(), queue.as_str().into());
            let properties = BasicProperties::default();
            let published =
                channel.basic_publish("".into(), key, options, body.as_bytes(), properties);
            confirms.push(published.await?);
        }
        for confirm in confirms {
            assert_eq!(confirm.await?, Confirmation::Ack(None));
        }
        let nowhere = named("nowhere");
        let confirm = send(&channel, "", &nowhere, "dropped", BasicProperties::default()).await?;
        assert_eq!(confirm, Confirmation::Ack(None));
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        assert_eq!(deleted, 100);
        Ok(())
    });
}

#[test]
fn what_cannot_be_routed_comes_back_with_312_before_its_ack_if_it_was_mandatory() {
    flow(async |broker| {
        let channel = broker.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
        let mut headers = FieldTable::default();
        headers.insert("n".into(), AMQPValue::LongInt(1));
        headers.insert("s".into(), AMQPValue::LongString("x".into()));
        let properties =
            BasicProperties::default().with_message_id("m".into()).with_headers(headers.clone());
        let key = named("nowhere");
        let confirm = channel
            .basic_publish("".into(), key.as_str().into(), mandatory, b"back to me", properties)
            .await?
            .await?;
        let Confirmation::Ack(Some(returned)) = confirm else { panic!("{confirm:?}") };
        assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
        assert_eq!(returned.routing_key.as_str(), key);
        assert_eq!(returned.data, b"back to me");
        assert_eq!(returned.properties.message_id().as_ref().map(ShortString::as_str), Some("m"));
        assert_eq!(returned.properties.headers(), &Some(headers));
        Ok(())
    });
}

#[test]
fn what_is_published_or_acked_in_a_transaction_counts_from_its_commit_on() {
    flow(async |broker| {
        let (channel, other) = (broker.channel().await, broker.channel().await);
        let queue = named("tx");
        declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        channel.tx_select().await?;
        send(&channel, "", &queue, "rolled back", BasicProperties::default()).await?;
        channel.tx_rollback().await?;
        send(&channel, "", &queue, "one", BasicProperties::default()).await?;
        send(&channel, "", &queue, "two", BasicProperties::default()).await?;
        assert!(get(&other, &queue).await?.is_none());
        channel.tx_commit().await?;
        let first = get(&channel, &queue).await?.expect("was committed");
        assert_eq!((first.data.as_slice(), first.message_count), (&b"one"[..], 1));
        first.ack(BasicAckOptions::default()).await?;
        channel.tx_rollback().await?;
        channel.close(200, "leaving".into()).await?;
        let again = get(&other, &queue).await?.expect("the ack was rolled back");
        assert_eq!((again.data.as_slice(), again.redelivered), (&b"one"[..], true));
        other.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn a_wrong_password_is_refused_with_403() {
    let target = Target::new();
    let refused = on_a_runtime(async { connect(target.address(), "wrong").await.err() });
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                For details see the broker logfile.";
    assert_protocol_error(&refused.expect("a wrong password is not taken"), 403, text);
}

#[test]
fn a_queue_that_is_not_there_is_404() {
    flow(async |broker| {
        let queue = named("missing");
        let text = format!("NOT_FOUND - no queue '{queue}' in vhost '/'");
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = declare(&broker.channel().await, &queue, passive).await;
        assert_protocol_error(&declared.expect_err("is not there"), 404, &text);
        let got = get(&broker.channel().await, &queue).await;
        assert_protocol_error(&got.expect_err("is not there"), 404, &text);
        let consumed = consume(&broker.channel().await, &queue, true).await;
        assert_protocol_error(&consumed.expect_err("is not there"), 404, &text);
        Ok(())
    });
}

#[test]
fn a_queue_declared_again_otherwise_is_406_and_which_argument_differs_is_told() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let queue = named("durable");
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        declare(&channel, &queue, durable).await?;
        let again = declare(&broker.channel().await, &queue, QueueDeclareOptions::default()).await;
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in vhost '/': \
             received 'false' but current is 'true'"
        );
        assert_protocol_error(&again.expect_err("differs"), 406, &text);
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn of_the_consumers_of_a_queue_one_is_served_and_then_the_next_if_it_was_declared_so() {
    flow(async |broker| {
        let (channel, leaving) = (broker.channel().await, broker.channel().await);
        let queue = named("single");
        let single = [("x-single-active-consumer", AMQPValue::Boolean(true))];
        declare_with(&channel, &queue, &single).await?;
        leaving.basic_qos(2, BasicQosOptions::default()).await?;
        let mut first = consume(&leaving, &queue, false).await?;
        let (low, high) = (broker.channel().await, broker.channel().await);
        let mut low = consume_with(&low, &queue, "x-priority", AMQPValue::LongInt(0)).await?;
        let mut high = consume_with(&high, &queue, "x-priority", AMQPValue::LongInt(5)).await?;
        for n in 1..=3 {
            send(&channel, "", &queue, &n.to_string(), BasicProperties::default()).await?;
        }
        assert_eq!(texts(&mut first, 2).await, ["1", "2"]);
        nothing_more(&mut high).await;
        leaving.close(200, "bye".into()).await?;
        let again = next(&mut high).await;
        assert_eq!((text(&again), again.redelivered), ("1".into(), true));
        assert_eq!(texts(&mut high, 2).await, ["2", "3"]);
        nothing_more(&mut low).await;
        // A classic queue gives out by name too.
        assert!(get(&channel, &queue).await?.is_none());
        let exclusive = BasicConsumeOptions { exclusive: true, ..Default::default() };
        let alone = broker.channel().await;
        let alone =
            alone.basic_consume(queue.as_str().into(), "".into(), exclusive, FieldTable::default());
        let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
        assert_protocol_error(&alone.await.expect_err("others may come"), 403, &text);
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn a_consumers_priority_that_is_no_integer_is_406() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let queue = named("priority");
        declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        let high = AMQPValue::LongString("high".into());
        let refused = consume_with(&broker.channel().await, &queue, "x-priority", high).await;
        let text = format!(
            "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': \
             \"expected integer, got longstr\""
        );
        assert_protocol_error(&refused.expect_err("not an integer"), 406, &text);
        // Mirrored queues are no more; the argument is taken all the same.
        let failover = ("x-cancel-on-ha-failover", AMQPValue::Boolean(true));
        consume_with(&channel, &queue, failover.0, failover.1).await?;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn who_does_not_acknowledge_in_time_is_cancelled_and_may_acknowledge_late() {
    if !elsewhere().is_empty() {
        // RabbitMQ looks once a minute, and before 4.3 it closes the channel.
        return;
    }
    flow(async |broker| {
        let channel = broker.channel().await;
        let queue = named("slow");
        declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        let millis = AMQPValue::LongInt(300);
        let mut slow = consume_with(&channel, &queue, "x-consumer-timeout", millis).await?;
        send(&channel, "", &queue, "work", BasicProperties::default()).await?;
        let held = next(&mut slow).await;
        let end = timeout(PATIENCE, slow.next()).await.expect("the consumer is cancelled");
        assert!(end.is_none(), "{end:?}");
        held.ack(BasicAckOptions::default()).await?;
        let mut other = consume(&channel, &queue, false).await?;
        let again = next(&mut other).await;
        assert_eq!((text(&again), again.redelivered), ("work".into(), true));
        again.ack(BasicAckOptions::default()).await?;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn a_delayed_message_comes_in_its_time_and_its_header_says_so() {
    if !elsewhere().is_empty() {
        // RabbitMQ needs a plugin for that.
        return;
    }
    flow(async |broker| {
        let channel = broker.channel().await;
        let (late, queue) = (named("late"), named("waiting"));
        declare(&channel, &queue, QueueDeclareOptions::default()).await?;
        let by_key = arguments("x-delayed-type", AMQPValue::LongString("direct".into()));
        let kind = ExchangeKind::Custom("x-delayed-message".into());
        let options = ExchangeDeclareOptions::default();
        channel.exchange_declare(late.as_str().into(), kind, options, by_key).await?;
        let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
        let (to, from) = (queue.as_str().into(), late.as_str().into());
        channel.queue_bind(to, from, "key".into(), bind, none).await?;
        let delayed = |millis: i32| {
            let headers = arguments("x-delay", AMQPValue::LongInt(millis));
            BasicProperties::default().with_headers(headers)
        };
        let begun = std::time::Instant::now();
        send(&channel, &late, "key", "second", delayed(600)).await?;
        send(&channel, &late, "key", "first", delayed(300)).await?;
        send(&channel, &late, "key", "at once", BasicProperties::default()).await?;
        let mut consumer = consume(&channel, &queue, true).await?;
        for (expected, millis) in [("at once", None), ("first", Some(300)), ("second", Some(600))] {
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), expected);
            assert_eq!(delivery.exchange.as_str(), late);
            let headers = delivery.properties.headers().clone().unwrap_or_default();
            let waited = headers.inner().get("x-delay").cloned();
            let told = millis.map(|millis: u16| AMQPValue::LongLongInt(-i64::from(millis)));
            assert_eq!(waited, told);
            let least = Duration::from_millis(millis.unwrap_or(0).into());
            assert!(begun.elapsed() >= least, "{expected} after {:?}", begun.elapsed());
        }
        remove(&channel, late).await?;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

#[test]
fn an_exchange_for_delayed_messages_without_a_type_to_go_by_is_406() {
    if !elsewhere().is_empty() {
        return;
    }
    flow(async |broker| {
        let channel = broker.channel().await;
        let kind = ExchangeKind::Custom("x-delayed-message".into());
        let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
        let declared = channel.exchange_declare(named("late").into(), kind, options, none).await;
        let text = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing \
                    exchange type";
        assert_protocol_error(&declared.expect_err("no type"), 406, text);
        Ok(())
    });
}

#[test]
fn an_ack_of_nothing_is_406() {
    flow(async |broker| {
        let channel = broker.channel().await;
        channel.basic_ack(99, BasicAckOptions::default()).await?;
        // An ack is not answered: the error is what the next method gets.
        let after = channel.basic_qos(1, BasicQosOptions::default()).await;
        let text = "PRECONDITION_FAILED - unknown delivery tag 99";
        assert_protocol_error(&after.expect_err("the channel is closed"), 406, text);
        Ok(())
    });
}

#[test]
fn messages_of_higher_priority_come_first_and_go_back_to_their_places() {
    flow(async |broker| {
        let channel = broker.channel().await;
        let queue = named("levels");
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-priority".into(), AMQPValue::LongInt(5));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), durable, arguments).await?;
        for (priority, body) in [(0, "a0"), (5, "b5"), (1, "c1"), (9, "d9"), (1, "e1")] {
            let properties =
                BasicProperties::default().with_delivery_mode(2).with_priority(priority);
            send(&channel, "", &queue, body, properties).await?;
        }
        send(&channel, "", &queue, "none", BasicProperties::default()).await?;
        let first = get(&channel, &queue).await?.expect("there are six").delivery;
        assert_eq!((text(&first), first.properties.priority()), ("b5".into(), &Some(5)));
        first.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
        let mut consumer = consume(&channel, &queue, true).await?;
        let order = texts(&mut consumer, 6).await;
        assert_eq!(order, ["b5", "d9", "c1", "e1", "a0", "none"]);
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    });
}

/// A server that answers two requests for Fibonacci numbers, and a client that makes them.
async fn call_fibonacci(broker: &Client, client: &Channel, reply_to: &str) -> Result<(), Error> {
    let server = broker.another().await;
    let channel = server.channel().await;
    let queue = named("rpc");
    declare(&channel, &queue, QueueDeclareOptions::default()).await?;
    let mut requests = consume(&channel, &queue, false).await?;
    let mut replies = consume(client, reply_to, true).await?;
    for n in [10, 30] {
        let properties = BasicProperties::default()
            .with_reply_to(reply_to.into())
            .with_correlation_id(format!("fib {n}").into());
        send(client, "", &queue, &n.to_string(), properties).await?;
    }
    for _ in 0..2 {
        let request = next(&mut requests).await;
        let n = text(&request).parse().expect("asks for a number");
        let (answer, _) = (0..n).fold((0u64, 1), |(a, b), _| (b, a + b));
        let properties = &request.properties;
        let to = properties.reply_to().clone().expect("asks for a reply");
        let id = properties.correlation_id().clone().expect("has an id");
        let properties = BasicProperties::default().with_correlation_id(id);
        send(&channel, "", to.as_str(), &answer.to_string(), properties).await?;
        request.ack(BasicAckOptions::default()).await?;
    }
    let mut got = HashMap::new();
    for _ in 0..2 {
        let reply = next(&mut replies).await;
        let id = reply.properties.correlation_id().clone().expect("has the id of its request");
        got.insert(id.to_string(), text(&reply));
    }
    assert_eq!((got["fib 10"].as_str(), got["fib 30"].as_str()), ("55", "832040"));
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

/// One connection, and where to make more.
struct Client {
    connection: Connection,
    address: Address,
}

impl Client {
    async fn new(address: &Address) -> Self {
        let connection = connect(address, "guest").await.expect("guest may connect");
        Client { connection, address: address.clone() }
    }

    async fn another(&self) -> Self {
        Client::new(&self.address).await
    }

    async fn channel(&self) -> Channel {
        self.connection.create_channel().await.expect("a channel opens")
    }
}

/// Runs one flow on a connection of its own, and fails if anything in it does.
fn flow(body: impl AsyncFnOnce(Client) -> Result<(), Error>) {
    let target = Target::new();
    on_a_runtime(async { body(Client::new(target.address()).await).await }).expect("the flow ends");
}

fn on_a_runtime<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(body)
}

async fn connect(address: &Address, password: &str) -> Result<Connection, Error> {
    let uri = format!("amqp://guest:{password}@{address}/%2f");
    Connection::connect(&uri, ConnectionProperties::default()).await
}

fn named(what: &str) -> String {
    format!("lapin-{}-{what}", process::id())
}

async fn declare(
    channel: &Channel,
    queue: &str,
    options: QueueDeclareOptions,
) -> Result<lapin::Queue, Error> {
    channel.queue_declare(queue.into(), options, FieldTable::default()).await
}

async fn declare_with(
    channel: &Channel,
    queue: &str,
    arguments: &[(&str, AMQPValue)],
) -> Result<lapin::Queue, Error> {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    channel.queue_declare(queue.into(), QueueDeclareOptions::default(), table).await
}

/// An exchange named after its kind.
async fn exchange(channel: &Channel, kind: ExchangeKind) -> Result<String, Error> {
    let name = named(&format!("{kind:?}"));
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await?;
    Ok(name)
}

fn arguments(name: &str, value: AMQPValue) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(ShortString::from(name), value);
    arguments
}

async fn remove(channel: &Channel, exchange: String) -> Result<(), Error> {
    channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await
}

/// A consumer of a queue of its own, bound with these keys.
async fn subscriber(channel: &Channel, exchange: &str, keys: &[&str]) -> Result<Consumer, Error> {
    let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = declare(channel, "", exclusive).await?;
    for key in keys {
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let queue = queue.name().clone();
        channel.queue_bind(queue, exchange.into(), (*key).into(), options, arguments).await?;
    }
    consume(channel, queue.name().as_str(), true).await
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> Result<Consumer, Error> {
    let options = BasicConsumeOptions { no_ack, ..Default::default() };
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
}

/// A consumer with an argument.
async fn consume_with(
    channel: &Channel,
    queue: &str,
    name: &str,
    value: AMQPValue,
) -> Result<Consumer, Error> {
    let mut arguments = FieldTable::default();
    arguments.insert(name.into(), value);
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "".into(), options, arguments).await
}

async fn get(channel: &Channel, queue: &str) -> Result<Option<BasicGetMessage>, Error> {
    channel.basic_get(queue.into(), BasicGetOptions::default()).await
}

async fn send(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &str,
    properties: BasicProperties,
) -> Result<Confirmation, Error> {
    let options = BasicPublishOptions::default();
    let (exchange, key) = (exchange.into(), key.into());
    channel.basic_publish(exchange, key, options, body.as_bytes(), properties).await?.await
}

async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = timeout(PATIENCE, consumer.next()).await.expect("a delivery comes in time");
    delivery.expect("the consumer goes on").expect("the channel is open")
}

async fn nothing_more(consumer: &mut Consumer) {
    if let Ok(delivery) = timeout(SILENCE, consumer.next()).await {
        panic!("one more came: {delivery:?}");
    }
}

/// The texts of so many deliveries, after which no more must come.
async fn texts(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&next(consumer).await));
    }
    nothing_more(consumer).await;
    texts
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).expect("these tests send text")
}

fn assert_protocol_error(error: &Error, code: u16, text: &str) {
    let ErrorKind::ProtocolError(error) = error.kind() else { panic!("{error:?}") };
    assert_eq!((error.get_id(), error.get_message().as_str()), (code, text));
}
