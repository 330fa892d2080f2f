"""pika over TLS, with a certificate of its own, which is its login.

    tls.py HOST:PORT CA CERTIFICATE KEY
"""

import ssl
import sys

import pika

address, authority, certificate, key = sys.argv[1:]
host, port = address.rsplit(":", 1)

context = ssl.create_default_context(cafile=authority)
context.load_cert_chain(certificate, key)
parameters = pika.ConnectionParameters(
    host,
    int(port),
    credentials=pika.credentials.ExternalCredentials(),
    ssl_options=pika.SSLOptions(context, "localhost"),
)
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.confirm_delivery()
queue = channel.queue_declare("", exclusive=True).method.queue
bodies = [bytes([n % 251]) * (n * 500) for n in range(300)]
for body in bodies:
    channel.basic_publish("", queue, body)
for expected in bodies:
    _, _, body = channel.basic_get(queue, auto_ack=True)
    assert body == expected, (len(body), len(expected))
connection.close()
