#!/usr/bin/env python3
"""One side of a broker's restart, with pika: sends messages that are seen, or sends them again.

    deduplicate.py HOST:PORT first|again NAME
"""
import sys

import pika
from pika.exceptions import ChannelClosedByBroker

HOST, PORT = sys.argv[1].rsplit(":", 1)
NAME = sys.argv[3]
COUNT = 20
ASKED = {"x-message-deduplication": True}


def connect():
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            HOST, int(PORT), credentials=pika.PlainCredentials("guest", "guest")
        )
    )


def declare(channel):
    """An exchange that sees what is sent to the queue `all`, and a queue that sees all by itself."""
    sized = {**ASKED, "x-cache-size": 1000, "x-cache-ttl": 600_000}
    channel.exchange_declare(NAME, "fanout", durable=True, arguments=sized)
    channel.queue_declare(f"{NAME}-all", durable=True)
    channel.queue_bind(f"{NAME}-all", NAME)
    named = {**ASKED, "x-deduplication-header": "id"}
    channel.queue_declare(f"{NAME}-once", durable=True, arguments=named)


def publish(channel, exchange, key, header, value):
    properties = pika.BasicProperties(
        delivery_mode=pika.DeliveryMode.Persistent.value, headers={header: value}
    )
    # Returns once the broker has acked; raises if it has nacked, or returned it.
    channel.basic_publish(exchange, key, str(value).encode(), properties, mandatory=True)


def publish_all(channel):
    for value in [*range(COUNT), *(f"text {n}" for n in range(COUNT))]:
        publish(channel, NAME, "", "x-deduplication-header", value)
        publish(channel, "", f"{NAME}-once", "id", value)


def count(channel, queue):
    return channel.queue_declare(f"{NAME}-{queue}", passive=True).method.message_count


def first():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    declare(channel)
    publish_all(channel)
    publish_all(channel)
    assert count(channel, "all") == count(channel, "once") == 2 * COUNT
    # Consumed or not, it was seen.
    for n in range(COUNT):
        for queue in ["all", "once"]:
            _, _, body = channel.basic_get(f"{NAME}-{queue}", auto_ack=True)
            assert body == str(n).encode(), (n, body)
    # Without the header, nothing is a duplicate.
    for _ in range(2):
        publish(channel, "", f"{NAME}-once", "other", 7)
    assert count(channel, "once") == COUNT + 2
    connection.close()
    refuse()


def refuse():
    connection = connect()
    for arguments, problem in [
        ({**ASKED, "x-cache-size": 0}, "x-cache-size' for queue 'new' in vhost '/': {value_zero,0}"),
        (
            {"x-message-deduplication": "yes"},
            "x-message-deduplication' for queue 'new' in vhost '/': {unacceptable_type,longstr}",
        ),
    ]:
        channel = connection.channel()
        try:
            channel.queue_declare("new", arguments=arguments)
        except ChannelClosedByBroker as closed:
            expected = (406, f"PRECONDITION_FAILED - invalid arg '{problem}")
            assert (closed.reply_code, closed.reply_text) == expected, closed
        else:
            raise AssertionError(f"{arguments} are accepted")
    connection.close()


def again():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    # The same declarations: what was seen stays.
    declare(channel)
    publish_all(channel)
    assert (count(channel, "all"), count(channel, "once")) == (COUNT, COUNT + 2)
    publish(channel, NAME, "", "x-deduplication-header", "new")
    assert count(channel, "all") == COUNT + 1
    for queue in ["all", "once"]:
        channel.queue_delete(f"{NAME}-{queue}")
    channel.exchange_delete(NAME)
    connection.close()


if __name__ == "__main__":
    {"first": first, "again": again}[sys.argv[2]]()
