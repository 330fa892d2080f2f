#!/usr/bin/env python3
"""One side of a broker's restart, with pika: leaves messages, or looks whether they are there.

    restart.py HOST:PORT leave|look QUEUE
"""
import sys

import pika

HOST, PORT = sys.argv[1].rsplit(":", 1)
QUEUE = sys.argv[3]
COUNT = 20


def connect():
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            HOST, int(PORT), credentials=pika.PlainCredentials("guest", "guest")
        )
    )


def leave():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(QUEUE, durable=True)
    for n in range(COUNT):
        properties = pika.BasicProperties(
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=str(n),
            headers={"n": n},
        )
        # Returns once the broker has acked; raises if it has nacked.
        channel.basic_publish("", QUEUE, f"message {n}".encode(), properties)
    connection.close()


def look():
    connection = connect()
    channel = connection.channel()
    declared = channel.queue_declare(QUEUE, durable=True)
    assert declared.method.message_count == COUNT, declared.method
    for n in range(COUNT):
        method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
        assert body == f"message {n}".encode(), (n, body)
        assert properties.message_id == str(n) and properties.headers == {"n": n}, properties
        assert properties.delivery_mode == 2 and method.routing_key == QUEUE, (method, properties)
    assert channel.basic_get(QUEUE) == (None, None, None)
    channel.queue_delete(QUEUE)
    connection.close()


if __name__ == "__main__":
    {"leave": leave, "look": look}[sys.argv[2]]()
