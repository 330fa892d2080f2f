#!/usr/bin/env python3
"""RabbitMQ's tutorials and more with pika, against the broker whose address (host:port) is given.

Prints a line for each flow proved; stops with a traceback at the first that fails.
Queues and exchanges have names of this run's own, so the broker may be in use.
"""
import subprocess
import sys
import threading
import time
import uuid

import pika
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    NackError,
    UnroutableError,
)

HOST, PORT = sys.argv[1].rsplit(":", 1)
RUN = f"pika-{uuid.uuid4().hex[:12]}"
PATIENCE = 5.0  # seconds for something that must come
SILENCE = 0.3  # seconds for something that must not come


def connect(password="guest"):
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            HOST, int(PORT), credentials=pika.PlainCredentials("guest", password)
        )
    )


def name(of):
    return f"{RUN}-{of}"


def next_message(channel, queue):
    """The next message of a queue by basic.get, waiting for it: (method, properties, body)."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        method, properties, body = channel.basic_get(queue)
        if method is not None:
            return method, properties, body
        time.sleep(0.01)
    raise AssertionError(f"no message came to {queue}")


def deliveries(channel, queue, count, **options):
    """Consumes until `count` messages came, and makes sure that no more do."""
    got = []
    for method, properties, body in channel.consume(
        queue, inactivity_timeout=PATIENCE, **options
    ):
        assert method is not None, f"{len(got)} of {count} messages came to {queue}: {got}"
        got.append((method, properties, body))
        if len(got) == count:
            break
    method, _, body = next(channel.consume(queue, inactivity_timeout=SILENCE, **options))
    assert method is None, f"{queue} had one more message than {count}: {body}"
    return got


def bodies(got):
    return [body.decode() for _, _, body in got]


def closed_by_broker(action):
    """The code and text with which the broker closes the channel on which this is done."""
    connection = connect()
    channel = connection.channel()
    try:
        action(channel)
        # Methods without an answer: the error comes with the next one that has.
        channel.queue_declare("", exclusive=True)
    except ChannelClosedByBroker as closed:
        assert connection.is_open, "a channel's error must not close the connection"
        connection.channel().close()
        connection.close()
        return closed.reply_code, closed.reply_text
    raise AssertionError("the broker did not close the channel")


def hello_world():
    """a message sent to a queue by its name is received once"""
    connection = connect()
    channel = connection.channel()
    queue = name("hello")
    channel.queue_declare(queue)
    channel.basic_publish("", queue, b"Hello World!")
    [(method, properties, body)] = deliveries(channel, queue, 1, auto_ack=True)
    assert body == b"Hello World!" and method.routing_key == queue and method.exchange == ""
    assert method.redelivered is False and properties.headers is None
    assert channel.queue_declare(queue, passive=True).method.message_count == 0
    channel.queue_delete(queue)
    connection.close()


def work_queues():
    """with prefetch 1 work goes to whoever is free, and what was not acked stays"""
    connection = connect()
    queue = name("tasks")
    slow, quick = connection.channel(), connection.channel()
    slow.queue_declare(queue, durable=True)
    for worker in (slow, quick):
        worker.basic_qos(prefetch_count=1)
    got = {"slow": [], "quick": []}
    tags = []

    def never_acks(channel, method, properties, body):
        got["slow"].append(body)
        tags.append(method.delivery_tag)
        assert properties.delivery_mode == 2

    def acks(channel, method, properties, body):
        got["quick"].append(body)
        channel.basic_ack(method.delivery_tag)

    slow.basic_consume(queue, never_acks)
    quick.basic_consume(queue, acks)
    for n in range(8):
        slow.basic_publish("", queue, str(n).encode(), pika.BasicProperties(delivery_mode=2))
    end = time.monotonic() + PATIENCE
    while len(got["slow"]) + len(got["quick"]) < 8 and time.monotonic() < end:
        connection.process_data_events(0.05)
    assert len(got["slow"]) == 1 and len(got["quick"]) == 7, got
    assert got["quick"] == sorted(got["quick"]), "one consumer sees a queue's order"
    slow.basic_ack(tags[0])
    slow.close()
    assert quick.queue_declare(queue, passive=True, durable=True).method.message_count == 0
    quick.queue_delete(queue)
    connection.close()


def killed_consumer():
    """what a killed consumer had not acked comes again, in order and marked as redelivered"""
    connection = connect()
    channel = connection.channel()
    queue = name("killed")
    channel.queue_declare(queue)
    for n in range(3):
        channel.basic_publish("", queue, str(n).encode())
    child = subprocess.Popen(
        [sys.executable, __file__, sys.argv[1], "--hold", queue], stdout=subprocess.PIPE
    )
    try:
        assert child.stdout.readline() == b"holding 3, acked the first\n"
        assert channel.queue_declare(queue, passive=True).method.message_count == 0
    finally:
        child.kill()
        child.wait()
    got = deliveries(channel, queue, 2, auto_ack=True)
    assert bodies(got) == ["1", "2"], got
    assert all(method.redelivered for method, _, _ in got)
    channel.queue_delete(queue)
    connection.close()


def hold(queue):
    """The consumer that is killed: takes three messages, acks the first, and waits for its end."""
    connection = connect()
    channel = connection.channel()
    got = []
    for method, _, _ in channel.consume(queue, inactivity_timeout=PATIENCE):
        got.append(method.delivery_tag)
        if len(got) == 3:
            break
    channel.basic_ack(got[0])
    channel.basic_qos(prefetch_count=0)  # answered, so the ack before it has been handled
    print("holding 3, acked the first", flush=True)
    time.sleep(60)


def publish_subscribe():
    """every queue bound to a fanout gets every message from then on"""
    connection = connect()
    channel = connection.channel()
    logs = name("logs")
    channel.exchange_declare(logs, "fanout")
    channel.basic_publish(logs, "", b"too early")
    first = channel.queue_declare("", exclusive=True).method.queue
    second = channel.queue_declare("", exclusive=True).method.queue
    assert first.startswith("amq.gen-") and first != second
    for queue in (first, second):
        channel.queue_bind(queue, logs)
    channel.basic_publish(logs, "any key", b"info: hello")
    for queue in (first, second):
        method, _, body = next_message(channel, queue)
        assert body == b"info: hello" and method.exchange == logs
        assert channel.basic_get(queue) == (None, None, None)
    channel.exchange_delete(logs)
    connection.close()


def routing():
    """a direct exchange routes by the whole key"""
    connection = connect()
    channel = connection.channel()
    logs = name("direct")
    channel.exchange_declare(logs, "direct")
    errors = channel.queue_declare("", exclusive=True).method.queue
    everything = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(errors, logs, "error")
    for severity in ("info", "warning", "error"):
        channel.queue_bind(everything, logs, severity)
    for severity in ("info", "warning", "error", "debug"):
        channel.basic_publish(logs, severity, severity.encode())
    assert bodies(deliveries(channel, errors, 1, auto_ack=True)) == ["error"]
    channel.cancel()
    got = bodies(deliveries(channel, everything, 3, auto_ack=True))
    assert got == ["info", "warning", "error"], got
    channel.exchange_delete(logs)
    connection.close()


def topics():
    """a topic exchange routes by words, once to each queue"""
    connection = connect()
    channel = connection.channel()
    animals = name("topic")
    channel.exchange_declare(animals, "topic")
    one = channel.queue_declare("", exclusive=True).method.queue
    two = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(one, animals, "*.orange.*")
    channel.queue_bind(two, animals, "*.*.rabbit")
    channel.queue_bind(two, animals, "lazy.#")
    keys = (
        "quick.orange.rabbit",
        "lazy.orange.elephant",
        "quick.orange.fox",
        "lazy.brown.fox",
        "lazy.pink.rabbit",
        "quick.brown.fox",
        "orange",
        "quick.orange.male.rabbit",
        "lazy.orange.male.rabbit",
        "lazy",
    )
    for key in keys:
        channel.basic_publish(animals, key, key.encode())
    got = bodies(deliveries(channel, one, 3, auto_ack=True))
    assert got == [keys[0], keys[1], keys[2]], got
    channel.cancel()
    got = bodies(deliveries(channel, two, 6, auto_ack=True))
    assert got == [keys[0], keys[1], keys[3], keys[4], keys[8], keys[9]], got
    channel.exchange_delete(animals)
    connection.close()


def serve_fibonacci(queue, ready, count):
    """Answers so many requests."""
    connection = connect()
    channel = connection.channel()
    channel.queue_declare(queue)
    ready.set()
    for method, properties, body in channel.consume(queue, inactivity_timeout=PATIENCE):
        assert method is not None, "no request came"
        a, b = 0, 1
        for _ in range(int(body)):
            a, b = b, a + b
        channel.basic_publish(
            "",
            properties.reply_to,
            str(a).encode(),
            pika.BasicProperties(correlation_id=properties.correlation_id),
        )
        channel.basic_ack(method.delivery_tag)
        count -= 1
        if count == 0:
            break
    channel.cancel()
    channel.queue_delete(queue)
    connection.close()


def call_fibonacci(kind, reply_queue_of):
    """Asks for two Fibonacci numbers, and returns the reply queue that was named."""
    queue = name(kind)
    ready = threading.Event()
    server = threading.Thread(target=serve_fibonacci, args=(queue, ready, 2), daemon=True)
    server.start()
    assert ready.wait(PATIENCE)
    connection = connect()
    channel = connection.channel()
    replies = {}
    reply_to = reply_queue_of(channel)
    channel.basic_consume(
        reply_to,
        lambda c, method, properties, body: replies.update({properties.correlation_id: body}),
        auto_ack=True,
    )
    for n in (10, 30):
        properties = pika.BasicProperties(reply_to=reply_to, correlation_id=f"fib {n}")
        channel.basic_publish("", queue, str(n).encode(), properties)
    end = time.monotonic() + PATIENCE
    while len(replies) < 2 and time.monotonic() < end:
        connection.process_data_events(0.05)
    assert replies == {"fib 10": b"55", "fib 30": b"832040"}, replies
    server.join(PATIENCE)
    assert not server.is_alive()
    connection.close()


def rpc():
    """a request finds its server, and the reply its client by reply queue and correlation id"""
    call_fibonacci("rpc", lambda channel: channel.queue_declare("", exclusive=True).method.queue)


def direct_reply_to():
    """a reply comes without a reply queue, by amq.rabbitmq.reply-to"""
    call_fibonacci("direct-rpc", lambda channel: "amq.rabbitmq.reply-to")


def publisher_confirms():
    """each publish is confirmed, and an unroutable one as well"""
    connection = connect()
    channel = connection.channel()
    queue = name("confirms")
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for n in range(50):
        properties = pika.BasicProperties(delivery_mode=2)
        # Returns once the broker has acked; raises if it has nacked.
        channel.basic_publish("", queue, str(n).encode(), properties)
    assert channel.queue_declare(queue, durable=True, passive=True).method.message_count == 50
    channel.basic_publish("", name("nowhere"), b"dropped, and confirmed all the same")
    assert channel.queue_purge(queue).method.message_count == 50
    channel.queue_delete(queue)
    connection.close()


def mandatory():
    """what cannot be routed comes back with 312 NO_ROUTE if it was mandatory"""
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    key = name("nowhere")
    properties = pika.BasicProperties(message_id="m", headers={"n": 1, "s": "x"})
    try:
        channel.basic_publish("", key, b"back to me", properties, mandatory=True)
        raise AssertionError("an unroutable message was taken")
    except NackError:
        raise AssertionError("an unroutable message is acked, not nacked")
    except UnroutableError as unroutable:
        [returned] = unroutable.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key) == ("", key)
    assert returned.body == b"back to me"
    assert returned.properties.message_id == "m"
    assert returned.properties.headers == {"n": 1, "s": "x"}
    connection.close()


def transactions():
    """what is published or acked in a transaction counts from its commit on"""
    connection = connect()
    channel = connection.channel()
    other = connection.channel()
    queue = name("tx")
    channel.queue_declare(queue)
    channel.tx_select()
    channel.basic_publish("", queue, b"rolled back")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"one")
    channel.basic_publish("", queue, b"two")
    assert other.queue_declare(queue, passive=True).method.message_count == 0
    channel.tx_commit()
    assert other.queue_declare(queue, passive=True).method.message_count == 2
    method, _, body = next_message(channel, queue)
    assert body == b"one"
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    channel.close()  # the ack was rolled back, so the message is still unacked and returns
    method, _, body = next_message(other, queue)
    assert body == b"one" and method.redelivered
    other.queue_delete(queue)
    connection.close()


def delayed_retry():
    """a message that is rejected comes again after a while, and tells of each of its deaths"""
    connection = connect()
    channel = connection.channel()
    work, wait = name("work"), name("wait")
    back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait}
    channel.queue_declare(work, durable=True, arguments=back)
    again = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work}
    channel.queue_declare(wait, durable=True, arguments={**again, "x-message-ttl": 200})
    channel.basic_publish("", work, b"job", pika.BasicProperties(delivery_mode=2))
    for attempt in range(3):
        before = time.monotonic()
        method, properties, body = next_message(channel, work)
        assert body == b"job" and method.redelivered is False
        if attempt > 0:
            assert time.monotonic() - before > 0.15, "it waits before it comes again"
            expired, rejected = properties.headers["x-death"]
            assert (expired["reason"], expired["queue"]) == ("expired", wait), expired
            assert (rejected["reason"], rejected["queue"]) == ("rejected", work), rejected
            assert (expired["count"], rejected["count"]) == (attempt, attempt)
            assert rejected["exchange"] == "" and rejected["routing-keys"] == [work]
            assert properties.headers["x-first-death-reason"] == "rejected"
            assert properties.headers["x-first-death-queue"] == work
        channel.basic_reject(method.delivery_tag, requeue=False)
    channel.queue_delete(work)
    channel.queue_delete(wait)
    connection.close()


def expiration():
    """a message expires at its time, and one that lives longer stays"""
    connection = connect()
    channel = connection.channel()
    queue = name("expiring")
    channel.queue_declare(queue)
    for body, expires in ((b"short", "100"), (b"long", None)):
        channel.basic_publish("", queue, body, pika.BasicProperties(expiration=expires))
    assert channel.queue_declare(queue, passive=True).method.message_count == 2
    time.sleep(0.4)
    assert channel.queue_declare(queue, passive=True).method.message_count == 1
    assert next_message(channel, queue)[2] == b"long"
    channel.queue_delete(queue)
    connection.close()


def full_queue():
    """a full queue drops its first message, or refuses new ones with a nack"""
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    dropping, refusing = name("dropping"), name("refusing")
    channel.queue_declare(dropping, arguments={"x-max-length": 2})
    arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
    channel.queue_declare(refusing, arguments=arguments)
    for n in range(4):
        channel.basic_publish("", dropping, str(n).encode())
    for n in range(2):
        channel.basic_publish("", refusing, str(n).encode())
    try:
        channel.basic_publish("", refusing, b"2")
    except NackError:
        pass
    else:
        raise AssertionError("a full queue confirms what it does not take")
    assert [next_message(channel, dropping)[2] for _ in range(2)] == [b"2", b"3"]
    assert [next_message(channel, refusing)[2] for _ in range(2)] == [b"0", b"1"]
    channel.queue_delete(dropping)
    channel.queue_delete(refusing)
    connection.close()


def heavy_queue():
    """a queue with as many bytes as it may have drops its first messages, or refuses new ones"""
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    dropping, refusing, dead = name("dropping"), name("refusing"), name("dead")
    channel.queue_declare(dead)
    arguments = {
        "x-max-length-bytes": 10,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    channel.queue_declare(dropping, arguments=arguments)
    arguments = {"x-max-length-bytes": 10, "x-overflow": "reject-publish"}
    channel.queue_declare(refusing, durable=True, arguments=arguments)
    for body in (b"12345", b"6789", b"0", b"!"):
        channel.basic_publish("", dropping, body)
    _, properties, body = next_message(channel, dead)
    assert body == b"12345", body
    assert properties.headers["x-first-death-reason"] == "maxlen", properties.headers
    assert [next_message(channel, dropping)[2] for _ in range(3)] == [b"6789", b"0", b"!"]
    # One that is longer than all may be goes at once.
    channel.basic_publish("", dropping, b"12345678901")
    assert next_message(channel, dead)[2] == b"12345678901"
    tries = [(b"12345678901", False), (b"123456789", True), (b"12", False), (b"1", True)]
    for body, is_taken in tries:
        try:
            channel.basic_publish("", refusing, body)
        except NackError:
            assert not is_taken, body
        else:
            assert is_taken, body
    assert channel.queue_declare(refusing, passive=True).method.message_count == 2
    for queue in (dropping, refusing, dead):
        channel.queue_delete(queue)
    connection.close()


def waiting_letter():
    """a dead letter that can go nowhere waits, takes room, and goes when there is a queue for it"""
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    source, dead = name("source"), name("dead")
    arguments = {
        "x-queue-type": "quorum",
        "x-max-length": 1,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
        "x-dead-letter-strategy": "at-least-once",
    }
    properties = pika.BasicProperties(delivery_mode=2)
    channel.queue_declare(source, durable=True, arguments=arguments)
    channel.basic_publish("", source, b"first", properties)
    method, _, _ = next_message(channel, source)
    channel.basic_reject(method.delivery_tag, requeue=False)
    try:
        channel.basic_publish("", source, b"second", properties)
    except NackError:
        pass
    else:
        raise AssertionError("a dead letter that waits takes no room")
    channel.queue_declare(dead, durable=True)
    _, properties, body = next_message(channel, dead)
    assert body == b"first" and properties.headers["x-first-death-reason"] == "rejected", body
    channel.basic_publish("", source, b"third")
    channel.queue_delete(source)
    channel.queue_delete(dead)
    connection.close()


def delivery_limit():
    """a message that came back too often is dead-lettered"""
    connection = connect()
    channel = connection.channel()
    poison, dead = name("poison"), name("dead")
    channel.queue_declare(dead)
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    channel.queue_declare(poison, durable=True, arguments=arguments)
    channel.basic_publish("", poison, b"poison")
    for count in (0, 1):
        method, properties, _ = next_message(channel, poison)
        assert (properties.headers or {}).get("x-delivery-count", 0) == count, properties.headers
        channel.basic_reject(method.delivery_tag, requeue=True)
    _, properties, body = next_message(channel, dead)
    assert body == b"poison"
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit", properties.headers
    channel.queue_delete(poison)
    channel.queue_delete(dead)
    connection.close()


def wrong_password():
    """a wrong password is refused with 403"""
    try:
        connect("wrong")
    except AMQPConnectionError as refused:
        text = repr(refused)
        assert "(403)" in text, text
        assert (
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            "For details see the broker logfile." in text
        ), text
    else:
        raise AssertionError("a wrong password was taken")


def missing_queue():
    """a queue that is not there is 404"""
    queue = name("missing")
    expected = (404, f"NOT_FOUND - no queue '{queue}' in vhost '/'")
    for action in (
        lambda channel: channel.queue_declare(queue, passive=True),
        lambda channel: channel.basic_get(queue),
        lambda channel: channel.basic_consume(queue, lambda *_: None),
    ):
        got = closed_by_broker(action)
        assert got == expected, got


def inequivalent_arguments():
    """a queue declared again otherwise is 406, and which argument differs is told"""
    connection = connect()
    channel = connection.channel()
    queue = name("durable")
    channel.queue_declare(queue, durable=True)
    got = closed_by_broker(lambda channel: channel.queue_declare(queue))
    text = f"inequivalent arg 'durable' for queue '{queue}' in vhost '/'"
    assert got == (
        406,
        f"PRECONDITION_FAILED - {text}: received 'false' but current is 'true'",
    ), got
    channel.queue_delete(queue)
    connection.close()


def unknown_delivery_tag():
    """an ack of nothing is 406"""
    got = closed_by_broker(lambda channel: channel.basic_ack(99))
    assert got == (406, "PRECONDITION_FAILED - unknown delivery tag 99"), got


FLOWS = (
    hello_world,
    work_queues,
    killed_consumer,
    publish_subscribe,
    routing,
    topics,
    rpc,
    direct_reply_to,
    publisher_confirms,
    mandatory,
    transactions,
    delayed_retry,
    expiration,
    full_queue,
    heavy_queue,
    waiting_letter,
    delivery_limit,
    wrong_password,
    missing_queue,
    inequivalent_arguments,
    unknown_delivery_tag,
)


if __name__ == "__main__":
    if sys.argv[2:3] == ["--hold"]:
        hold(sys.argv[3])
    else:
        for flow in FLOWS:
            flow()
            print(f"pika {pika.__version__}: {flow.__doc__}", flush=True)
