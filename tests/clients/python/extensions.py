#!/usr/bin/env python3
"""What RabbitMQ adds to AMQP 0-9-1, with pika, against the broker whose address (host:port) is given.

Prints a line for each flow proved; stops with a traceback at the first that fails. Where Warren
differs from RabbitMQ on purpose, a flow says so and is for Warren alone.
"""
import datetime
import time

import pika
from pika.exceptions import ChannelClosedByBroker, NackError

from flows import (
    PATIENCE,
    SILENCE,
    bodies,
    closed_by_broker,
    connect,
    deliveries,
    name,
    next_message,
)


def count(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def until(holds, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def to(queue, **more):
    """The arguments of a queue whose dead letters go to another."""
    more = {key.replace("_", "-"): value for key, value in more.items()}
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue, **more}


def is_nacked(channel, queue, body):
    try:
        channel.basic_publish("", queue, body)
    except NackError:
        return True
    return False


def deaths(properties):
    """What x-death says, without the times, which are now."""
    entries = [dict(entry) for entry in properties.headers["x-death"]]
    for entry in entries:
        age = datetime.datetime.now(datetime.timezone.utc) - entry.pop("time")
        assert abs(age.total_seconds()) < 5, age
    return entries


def queue_expires(connection, channel):
    """a queue that nobody uses goes after its time, one with a consumer does not"""
    idle, used = name("idle"), name("used")
    for queue in (idle, used):
        channel.queue_declare(queue, arguments={"x-expires": 300})
    channel.basic_consume(used, lambda *_: None)
    time.sleep(0.6)
    got = closed_by_broker(lambda channel: channel.queue_declare(idle, passive=True))
    assert got == (404, f"NOT_FOUND - no queue '{idle}' in vhost '/'"), got
    assert count(channel, used) == 0
    channel.queue_delete(used)


def death_by_expiration(connection, channel):
    """a dead letter says when it would have expired, and does not expire again"""
    queue, dead = name("expiring"), name("dead")
    channel.queue_declare(dead)
    channel.queue_declare(queue, arguments=to(dead))
    properties = pika.BasicProperties(expiration="50", headers={"k": "v"}, message_id="m")
    channel.basic_publish("", queue, b"body", properties)
    _, properties, body = next_message(channel, dead)
    assert (body, properties.expiration, properties.message_id) == (b"body", None, "m")
    expected = {
        "count": 1,
        "reason": "expired",
        "queue": queue,
        "exchange": "",
        "routing-keys": [queue],
        "original-expiration": "50",
    }
    assert deaths(properties) == [expected], properties.headers
    headers = {key: properties.headers[key] for key in properties.headers if key != "x-death"}
    first = {f"x-first-death-{of}": expected[of] for of in ("reason", "queue", "exchange")}
    last = {f"x-last-death-{of}": expected[of] for of in ("reason", "queue", "exchange")}
    # RabbitMQ tells of the last death from 3.13 on.
    assert headers in ({"k": "v", **first}, {"k": "v", **first, **last}), headers
    for queue in (queue, dead):
        channel.queue_delete(queue)


def death_by_rejection(connection, channel):
    """a rejected message goes through its dead-letter exchange, by its own key or by the queue's"""
    exchange, dead = name("dlx"), name("dead")
    channel.exchange_declare(exchange, "topic")
    channel.queue_declare(dead)
    channel.queue_bind(dead, exchange, "#")
    own, given = name("own"), name("given")
    channel.queue_declare(own, arguments={"x-dead-letter-exchange": exchange})
    arguments = {"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": "given.key"}
    channel.queue_declare(given, arguments=arguments)
    for queue, key in ((own, own), (given, "given.key")):
        channel.basic_publish("", queue, b"bad")
        method, _, _ = next_message(channel, queue)
        channel.basic_nack(method.delivery_tag, requeue=False)
        method, properties, body = next_message(channel, dead)
        assert (method.exchange, method.routing_key, body) == (exchange, key, b"bad"), method
        expected = {"reason": "rejected", "queue": queue, "exchange": "", "count": 1}
        assert deaths(properties) == [{**expected, "routing-keys": [queue]}], properties.headers
        channel.basic_ack(method.delivery_tag)
    for queue in (own, given, dead):
        channel.queue_delete(queue)
    channel.exchange_delete(exchange)


def circles(connection, channel):
    """dead letters that would go round in a circle by themselves end, rejected ones go round"""
    queue = name("circle")
    channel.queue_declare(queue, arguments=to(queue, x_message_ttl=50))
    channel.basic_publish("", queue, b"round")
    until(lambda: count(channel, queue) == 0, "it goes round for ever")
    time.sleep(SILENCE)
    assert count(channel, queue) == 0
    channel.queue_delete(queue)
    channel.queue_declare(queue, arguments=to(queue))
    channel.basic_publish("", queue, b"round")
    for times in range(4):
        method, properties, _ = next_message(channel, queue)
        assert times == 0 or deaths(properties)[0]["count"] == times, properties.headers
        channel.basic_reject(method.delivery_tag, requeue=False)
    channel.queue_delete(queue)


def target_deleted(connection, channel):
    """dead letters end when the queue that they are for is gone, and their source goes on"""
    queue, dead = name("source"), name("target")
    channel.queue_declare(dead)
    channel.queue_declare(queue, arguments=to(dead))
    for body in (b"first", b"second", b"third"):
        channel.basic_publish("", queue, body)
    method, _, _ = next_message(channel, queue)
    channel.basic_reject(method.delivery_tag, requeue=False)
    assert next_message(channel, dead)[2] == b"first"
    channel.queue_delete(dead)
    method, _, _ = next_message(channel, queue)
    channel.basic_reject(method.delivery_tag, requeue=False)
    assert next_message(channel, queue)[2] == b"third"
    channel.queue_delete(queue)


def nothing_fits(connection, channel):
    """a limit of zero lets nothing stay, a time of zero only what is taken at once"""
    dead, empty, brief = name("dead"), name("empty"), name("brief")
    channel.confirm_delivery()
    channel.queue_declare(dead)
    channel.queue_declare(empty, arguments=to(dead, x_max_length=0))
    assert not is_nacked(channel, empty, b"no room")
    method, properties, body = next_message(channel, dead)
    assert (body, deaths(properties)[0]["reason"]) == (b"no room", "maxlen"), properties.headers
    channel.queue_declare(brief, arguments=to(dead, x_message_ttl=0))
    assert not is_nacked(channel, brief, b"no time")
    method, properties, body = next_message(channel, dead)
    assert (body, deaths(properties)[0]["reason"]) == (b"no time", "expired"), properties.headers
    got = []
    channel.basic_consume(brief, lambda *message: got.append(message[3]), auto_ack=True)
    assert not is_nacked(channel, brief, b"at once")
    connection.process_data_events(SILENCE)
    until(lambda: connection.process_data_events(0.05) or got == [b"at once"], got)
    assert count(channel, dead) == 0
    for queue in (empty, brief, dead):
        channel.queue_delete(queue)


def refused_and_dead_lettered(connection, channel):
    """a full queue that refuses may have its dead letters all the same"""
    queue, dead = name("full"), name("dead")
    channel.confirm_delivery()
    channel.queue_declare(dead)
    arguments = to(dead, x_max_length=1, x_overflow="reject-publish-dlx")
    channel.queue_declare(queue, arguments=arguments)
    assert [is_nacked(channel, queue, body) for body in (b"taken", b"refused")] == [False, True]
    _, properties, body = next_message(channel, dead)
    assert (body, deaths(properties)[0]["reason"]) == (b"refused", "maxlen"), properties.headers
    # Of two queues, one has no room: the other keeps it, and the publisher is told.
    fanout, other = name("fanout"), name("other")
    channel.exchange_declare(fanout, "fanout")
    channel.queue_declare(other)
    for each in (queue, other):
        channel.queue_bind(each, fanout)
    try:
        channel.basic_publish(fanout, "", b"half")
    except NackError:
        pass
    else:
        raise AssertionError("what one queue refused was confirmed")
    assert next_message(channel, other)[2] == b"half"
    for each in (queue, dead, other):
        channel.queue_delete(each)
    channel.exchange_delete(fanout)


def priorities(connection, channel):
    """higher priorities first, in order within one, and back to its place what comes back"""
    queue = name("priorities")
    channel.queue_declare(queue, arguments={"x-max-priority": 5})
    sent = (("a", None), ("b", 1), ("c", 5), ("d", 9), ("e", 1))
    for body, priority in sent:
        properties = pika.BasicProperties(priority=priority)
        channel.basic_publish("", queue, body.encode(), properties)
    method, _, body = next_message(channel, queue)
    assert body == b"c", body
    channel.basic_nack(method.delivery_tag, requeue=True)
    # More than the queue knows counts as the most that it knows.
    got = deliveries(channel, queue, 5)
    assert bodies(got) == ["c", "d", "b", "e", "a"], bodies(got)
    assert [properties.priority for _, properties, _ in got] == [5, 9, 1, 1, None]
    channel.cancel()
    channel.queue_delete(queue)


def single_active(connection, channel):
    """one consumer at a time; the next goes on in order where it left off"""
    queue = name("single")
    channel.queue_declare(queue, arguments={"x-single-active-consumer": True})
    got = {"first": [], "second": []}
    other = connect()
    takers = {"first": channel, "second": other.channel()}
    for who, taker in takers.items():

        def take(taker, method, _, body, who=who):
            got[who].append((body.decode(), method.delivery_tag, method.redelivered))

        taker.basic_consume(queue, take, consumer_tag=who)
    publisher = connect()
    for body in "abc":
        publisher.channel().basic_publish("", queue, body.encode())

    def wait(who, bodies):
        def came():
            connection.process_data_events(0.02)
            other.process_data_events(0.02)
            return [body for body, _, _ in got[who]] == bodies

        until(came, got)

    wait("first", ["a", "b", "c"])
    assert got["second"] == []
    channel.basic_ack(got["first"][0][1])
    channel.close()
    wait("second", ["b", "c"])
    assert [redelivered for _, _, redelivered in got["second"]] == [True, True]
    exclusive = lambda channel: channel.basic_consume(queue, lambda *_: None, exclusive=True)
    code, text = closed_by_broker(exclusive)
    assert code == 403 and text.startswith("ACCESS_REFUSED - "), (code, text)
    publisher.channel().queue_delete(queue)
    arguments = {"x-single-active-consumer": True, "x-queue-type": "quorum"}
    publisher.channel().queue_declare(queue, durable=True, arguments=arguments)
    got = closed_by_broker(lambda channel: channel.basic_get(queue))
    expected = (
        f"RESOURCE_LOCKED - cannot obtain access to locked queue '{queue}' in vhost '/'. basic.get "
        "operations are not supported by quorum queues with single active consumer"
    )
    assert got == (405, expected), got
    publisher.channel().queue_delete(queue)
    publisher.close()
    other.close()


def consumer_priorities(connection, channel):
    """a consumer of higher priority is served first, as long as it takes what it is given"""
    queue = name("served")
    channel.queue_declare(queue)
    got = []
    channel.basic_qos(prefetch_count=1)
    for who, priority in (("low", -1), ("high", 10)):
        take = lambda channel, method, properties, body, who=who: got.append((who, body))
        channel.basic_consume(queue, take, arguments={"x-priority": priority})
    for body in (b"1", b"2"):
        channel.basic_publish("", queue, body)
    until(lambda: connection.process_data_events(0.05) or len(got) == 2, got)
    assert got == [("high", b"1"), ("low", b"2")], got
    channel.queue_delete(queue)


def alternate_exchange(connection, channel):
    """what an exchange has no queue for goes to its alternate exchange, and is not returned"""
    main, spare, queue = name("main"), name("spare"), name("spare")
    channel.exchange_declare(spare, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
    channel.queue_declare(queue)
    channel.queue_bind(queue, spare)
    channel.confirm_delivery()
    channel.basic_publish(main, "nowhere", b"spared", mandatory=True)
    method, _, body = next_message(channel, queue)
    assert (method.exchange, method.routing_key, body) == (main, "nowhere", b"spared"), method
    channel.queue_delete(queue)
    for exchange in (main, spare):
        channel.exchange_delete(exchange)


def wrong_arguments(connection, channel):
    """an argument of a wrong value is 406, and which is told in RabbitMQ's words"""
    queue = name("wrong")

    def refused(arguments, **more):
        got = closed_by_broker(
            lambda channel: channel.queue_declare(queue, arguments=arguments, **more)
        )
        assert got[0] == 406, got
        return got[1]

    cases = (
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-expires", 0, "{value_zero,0}"),
        ("x-max-length", -5, "{value_negative,-5}"),
        ("x-max-length-bytes", -1, "{value_negative,-1}"),
        ("x-max-priority", 256, "{max_value_exceeded,256}"),
        ("x-max-priority", -1, "{value_negative,-1}"),
    )
    for argument, value, reason in cases:
        text = refused({argument: value})
        start = f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': "
        assert text == start + reason, text
    for argument in ("x-message-ttl", "x-expires", "x-max-length", "x-max-priority"):
        text = refused({argument: "10"})
        start = f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': "
        assert text.startswith(start), text
    text = refused({"x-dead-letter-routing-key": "key"})
    assert "x-dead-letter-routing-key" in text or "x-dead-letter-exchange" in text, text
    text = refused({"x-overflow": "overflow"})
    assert text.startswith("PRECONDITION_FAILED - invalid arg 'x-overflow' for queue "), text
    channel.queue_declare(queue, arguments={"x-message-ttl": 1000})
    text = refused({"x-message-ttl": 2000})
    assert text == (
        f"PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '{queue}' in vhost '/': "
        "received '2000' but current is '1000'"
    ), text
    text = refused({})
    assert text == (
        f"PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '{queue}' in vhost '/': "
        "received none but current is the value '1000' of type 'signedint'"
    ), text
    for expiration in ("-1", "1.5", "soon", ""):
        properties = pika.BasicProperties(expiration=expiration)
        code, text = closed_by_broker(
            lambda channel: channel.basic_publish("", queue, b"", properties)
        )
        assert code == 406 and text.startswith("PRECONDITION_FAILED - invalid expiration "), text
    channel.queue_delete(queue)


def expires_behind_others(connection, channel):
    """a message expires at its time behind one that lives longer"""
    # RabbitMQ looks at the first message only.
    queue, dead = name("behind"), name("dead")
    channel.queue_declare(dead)
    channel.queue_declare(queue, arguments=to(dead))
    for body, expiration in ((b"long", "60000"), (b"short", "50")):
        channel.basic_publish("", queue, body, pika.BasicProperties(expiration=expiration))
    assert next_message(channel, dead)[2] == b"short"
    assert count(channel, queue) == 1
    for each in (queue, dead):
        channel.queue_delete(each)


def late_consumer(connection, channel):
    """a consumer that acknowledges too late is cancelled, and its message comes again"""
    # RabbitMQ looks once a minute, for quorum queues from 4.3 on.
    queue = name("late")
    channel.queue_declare(queue, arguments={"x-consumer-timeout": 200})
    channel.basic_publish("", queue, b"slow")
    cancelled, got = [], []
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    take = lambda channel, method, properties, body: got.append(body)
    tag = channel.basic_consume(queue, take)
    until(lambda: connection.process_data_events(0.05) or cancelled == [tag], cancelled)
    assert got == [b"slow"] and channel.is_open
    method, _, body = next_message(channel, queue)
    assert (body, method.redelivered) == (b"slow", True)
    channel.queue_delete(queue)


def delayed(connection, channel):
    """a message comes after its delay, whatever exchange it goes through"""
    # RabbitMQ has a plugin for it, with an exchange of its own.
    queue, exchange = name("later"), name("delaying")
    channel.queue_declare(queue)
    arguments = {"x-delayed-type": "direct"}
    channel.exchange_declare(exchange, "x-delayed-message", arguments=arguments)
    channel.queue_bind(queue, exchange, "key")
    started = time.monotonic()
    for to, key, delay in ((exchange, "key", 400), ("", queue, 200), ("", queue, None)):
        headers = {"x-delay": delay} if delay else None
        properties = pika.BasicProperties(headers=headers)
        channel.basic_publish(to, key, str(delay).encode(), properties)
    came = []
    for _ in range(3):
        _, properties, body = next_message(channel, queue)
        came.append((body.decode(), (properties.headers or {}).get("x-delay")))
    assert came == [("None", None), ("200", -200), ("400", -400)], came
    assert time.monotonic() - started > 0.39
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)


FLOWS = (
    queue_expires,
    death_by_expiration,
    death_by_rejection,
    circles,
    target_deleted,
    nothing_fits,
    refused_and_dead_lettered,
    priorities,
    single_active,
    consumer_priorities,
    alternate_exchange,
    wrong_arguments,
)
WARRENS_OWN = (expires_behind_others, late_consumer, delayed)


def main():
    connection = connect()
    product = connection._impl.server_properties["product"]  # pika has no public way to it
    connection.close()
    for flow in FLOWS + (WARRENS_OWN if product == "Warren" else ()):
        connection = connect()
        flow(connection, connection.channel())
        connection.close()
        print(f"pika {pika.__version__}: {flow.__doc__}", flush=True)


if __name__ == "__main__":
    main()
