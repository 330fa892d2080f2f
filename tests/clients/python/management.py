#!/usr/bin/env python3
"""RabbitMQ's management API over HTTP, and what comes of it as pika sees it, against the broker whose
addresses (AMQP's host:port and the API's) are given.

Prints a line for each flow proved; stops with a traceback at the first that fails.
"""
import base64
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pika
from pika.exceptions import ChannelClosedByBroker, NackError

from flows import HOST, PORT, RUN, bodies, connect, deliveries, name, next_message
from extensions import count, until

API = f"http://{sys.argv[2]}/api"


def call(method, path, body=None, user="guest:guest"):
    """The status and what came with it, of a request; path segments are escaped here."""
    path, _, query = path.partition("?")
    url = f"{API}/{path}" + (f"?{query}" if query else "")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def get(path):
    status, body = call("GET", path)
    assert status == 200, (path, status, body)
    return body


def done(answer, *statuses):
    assert answer[0] in statuses, answer
    return answer[1]


def comes(path, **expected):
    """Waits until an object tells this: RabbitMQ looks at its queues every few seconds only."""

    def is_told():
        told = get(path)
        return all(told.get(key) == value for key, value in expected.items())

    until(is_told, (path, expected, get(path)), 15)


def set_policy(of, definition, kind="policies", **more):
    body = {"pattern": f"^{RUN}-{of}", "definition": definition, **more}
    return call("PUT", f"{kind}/%2F/{RUN}-{of}", body)


def delete_policy(of, kind="policies"):
    return call("DELETE", f"{kind}/%2F/{RUN}-{of}")


def policies_come_and_go(connection, channel):
    """a policy is set, read, changed and deleted, and wrong ones are refused with RabbitMQ's texts"""
    path = f"policies/%2F/{RUN}-p"
    done(set_policy("p", {"max-length": 10}, **{"apply-to": "queues", "priority": 3}), 201)
    done(set_policy("p", {"max-length": 20}, **{"apply-to": "queues"}), 204)
    expected = {
        "vhost": "/",
        "name": f"{RUN}-p",
        "pattern": f"^{RUN}-p",
        "apply-to": "queues",
        "definition": {"max-length": 20},
        "priority": 0,
    }
    assert get(path) == expected
    assert expected in get("policies") and expected in get("policies/%2F")
    for definition, reason in (
        ({"max-length": "ten"}, '&lt;&lt;"ten"&gt;&gt; is not a valid maximum length'),
        ({"max-lengths": 1}, '[{&lt;&lt;"max-lengths"&gt;&gt;,1}] are not recognised policy settings'),
        ({}, "no policy provided"),
    ):
        body = done(set_policy("p", definition), 400)
        assert body == {"error": "bad_request", "reason": f"Validation failed\n\n{reason}\n"}, body
    status, body = call("PUT", path, {"pattern": "x"})
    assert (status, body["reason"]) == (400, "[{key_missing,definition}]"), body
    assert get(path) == expected, "what is refused changes nothing"
    done(call("DELETE", path), 204)
    done(call("DELETE", path), 404)
    done(call("GET", path), 404)
    done(call("PUT", f"policies/nowhere/{RUN}-p", {"pattern": "", "definition": {"expires": 1}}), 404)


def message_ttl(connection, channel):
    """messages live for as long as a policy says, from when it says so, and go where it says then"""
    queue, old, dead = name("ttl"), name("ttl-old"), name("dead")
    for of in (queue, old, dead):
        channel.queue_declare(of)
    channel.basic_publish("", old, b"before")
    definition = {
        "message-ttl": 100,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": dead,
    }
    done(set_policy("ttl", definition), 201)
    channel.basic_publish("", queue, b"after")
    _, properties, body = next_message(channel, dead)
    assert body == b"after" and properties.headers["x-death"][0]["reason"] == "expired"
    assert count(channel, old) == 1, "who waited before waits on"
    done(delete_policy("ttl"), 204)
    channel.basic_publish("", queue, b"later")
    time.sleep(0.3)
    assert count(channel, queue) == 1
    for of in (queue, old, dead):
        channel.queue_delete(of)


def max_length(connection, channel):
    """a limit counts for what waits already, and an argument's limit only where it is lower"""
    queue, narrow = name("len-1"), name("len-2")
    channel.queue_declare(queue)
    channel.queue_declare(narrow, arguments={"x-max-length": 1})
    for n in range(5):
        channel.basic_publish("", queue, f"{n}".encode())
    done(set_policy("len", {"max-length": 2}), 201)
    until(lambda: count(channel, queue) == 2, "the first are dropped")
    in_force = {"policy": f"{RUN}-len", "effective_policy_definition": {"max-length": 2}}
    comes(f"queues/%2F/{queue}", **in_force)
    for n in range(5):
        channel.basic_publish("", narrow, f"{n}".encode())
    assert count(channel, narrow) == 1
    assert bodies(deliveries(channel, queue, 2)) == ["3", "4"]
    done(delete_policy("len"), 204)
    comes(f"queues/%2F/{queue}", policy=None)
    for of in (queue, narrow):
        channel.queue_delete(of)


def priorities_of_policies(connection, channel):
    """of policies that match, the one with the highest priority is in force, then the next"""
    queue = name("rank-q")
    channel.queue_declare(queue)
    channel.confirm_delivery()
    done(set_policy("rank", {"max-length": 1, "overflow": "reject-publish"}), 201)
    done(set_policy("rank-q", {"max-length": 3}, priority=1), 201)
    for n in range(5):
        channel.basic_publish("", queue, f"{n}".encode())
    until(lambda: count(channel, queue) == 3, "the wider limit is in force")
    done(delete_policy("rank-q"), 204)
    comes(f"queues/%2F/{queue}", policy=f"{RUN}-rank")
    try:
        channel.basic_publish("", queue, b"one too many")
        raise AssertionError("was not refused")
    except NackError:
        pass
    done(delete_policy("rank"), 204)
    channel.queue_delete(queue)


def operators(connection, channel):
    """of an operator's policy and a user's the lower limit counts, and operators may not ask for more"""
    queue = name("oper")
    channel.queue_declare(queue)
    done(set_policy("oper", {"max-length": 2, "expires": 60000}), 201)
    done(set_policy("oper", {"max-length": 4, "message-ttl": 60000}, "operator-policies"), 201)
    effective = {"max-length": 2, "expires": 60000, "message-ttl": 60000}
    in_force = {"operator_policy": f"{RUN}-oper", "effective_policy_definition": effective}
    comes(f"queues/%2F/{queue}", **in_force)
    for n in range(6):
        channel.basic_publish("", queue, f"{n}".encode())
    assert count(channel, queue) == 2
    done(delete_policy("oper"), 204)
    for n in range(6):
        channel.basic_publish("", queue, f"{n}".encode())
    assert count(channel, queue) == 4
    refused = done(set_policy("oper", {"dead-letter-exchange": "x"}, "operator-policies"), 400)
    assert "are not recognised policy settings" in refused["reason"], refused
    done(delete_policy("oper", "operator-policies"), 204)
    channel.queue_delete(queue)


def alternates(connection, channel):
    """what an exchange cannot route goes where a policy says, as long as it says so"""
    source, other, queue = name("alt-from"), name("other"), name("unrouted")
    channel.exchange_declare(source, "direct")
    channel.exchange_declare(other, "fanout")
    channel.queue_declare(queue)
    channel.queue_bind(queue, other)
    done(set_policy("alt", {"alternate-exchange": other}, **{"apply-to": "exchanges"}), 201)
    channel.basic_publish(source, "nowhere", b"caught")
    assert next_message(channel, queue)[2] == b"caught"
    assert get(f"exchanges/%2F/{source}")["policy"] == f"{RUN}-alt"
    done(delete_policy("alt"), 204)
    channel.basic_publish(source, "nowhere", b"lost")
    assert count(channel, queue) == 0
    channel.queue_delete(queue)
    for exchange in (source, other):
        channel.exchange_delete(exchange)


def declared_over_http(connection, channel):
    """what is declared, bound and published over HTTP is there for clients, and the other way round"""
    queue, exchange = name("q"), name("x/y z")
    escaped = urllib.parse.quote(exchange, "")
    done(call("PUT", f"exchanges/%2F/{escaped}", {"type": "topic", "durable": True}), 201)
    done(call("PUT", f"queues/%2F/{queue}", {"durable": True}), 201)
    done(call("PUT", f"queues/%2F/{queue}", {"durable": True}), 204)
    refused = done(call("PUT", f"queues/%2F/{queue}", {"durable": False}), 400)
    assert refused["reason"] == (
        f"inequivalent arg 'durable' for queue '{queue}' in vhost '/': "
        "received 'false' but current is 'true'"
    ), refused
    bindings = f"bindings/%2F/e/{escaped}/q/{queue}"
    done(call("POST", bindings, {"routing_key": "a.#", "arguments": {"x": 1}}), 201)
    channel.queue_bind(queue, exchange, "b")
    keys = {found["routing_key"]: found["properties_key"] for found in get(bindings)}
    assert set(keys) == {"a.#", "b"} and keys["b"] == "b", keys
    one = f"{bindings}/{urllib.parse.quote(keys['a.#'], '')}"
    assert get(one)["arguments"] == {"x": 1}
    message = {
        "routing_key": "a.b",
        "properties": {"delivery_mode": 2, "headers": {"k": "v"}},
        "payload": base64.b64encode(b"\xff\x00").decode(),
        "payload_encoding": "base64",
    }
    publish = f"exchanges/%2F/{escaped}/publish"
    assert done(call("POST", publish, message), 200) == {"routed": True}
    assert done(call("POST", publish, {**message, "routing_key": "c"}), 200) == {"routed": False}
    _, properties, body = next_message(channel, queue)
    assert (body, properties.headers, properties.delivery_mode) == (b"\xff\x00", {"k": "v"}, 2)
    done(call("DELETE", one), 204)
    assert len(get(bindings)) == 1
    channel.basic_publish("", queue, b"text", pika.BasicProperties(message_id="m"))
    want = {"count": 2, "ackmode": "ack_requeue_true", "encoding": "auto"}
    [got] = done(call("POST", f"queues/%2F/{queue}/get", want), 200)
    assert (got["payload"], got["payload_encoding"]) == ("text", "string")
    assert got["properties"]["message_id"] == "m" and got["redelivered"] is False
    assert next_message(channel, queue)[0].redelivered is True, "it has gone back"
    channel.basic_publish("", queue, b"more")
    done(call("DELETE", f"queues/%2F/{queue}?if-empty=true"), 400)
    done(call("DELETE", f"queues/%2F/{queue}/contents"), 204)
    assert count(channel, queue) == 0
    done(call("DELETE", f"queues/%2F/{queue}"), 204)
    done(call("DELETE", f"queues/%2F/{queue}"), 404)
    done(call("DELETE", f"exchanges/%2F/{escaped}"), 204)


def listed(connection, channel):
    """lists have connections, channels, consumers and queues, in pages, sorted, with some columns"""
    queues = [name(f"list-{n}") for n in range(5)]
    for n, queue in enumerate(queues):
        channel.queue_declare(queue)
        for _ in range(n):
            channel.basic_publish("", queue, b"x")
    channel.basic_qos(prefetch_count=3)
    tag = channel.basic_consume(queues[0], lambda *_: None)
    comes(f"queues/%2F/{queues[4]}", messages=4)
    page = get(
        f"queues/%2F?page=2&page_size=2&name={RUN}-list&sort=messages&sort_reverse=true"
        "&columns=name,messages"
    )
    counts = [page[key] for key in ("page", "page_count", "page_size", "filtered_count", "item_count")]
    assert counts == [2, 3, 2, 5, 2], page
    assert page["items"] == [{"name": queues[n], "messages": n} for n in (2, 1)], page
    by_pattern = get(f"queues?page=1&use_regex=true&name={RUN}-list-%5B13%5D%24")
    assert [found["name"] for found in by_pattern["items"]] == [queues[1], queues[3]]
    [consumer] = get(f"queues/%2F/{queues[0]}")["consumer_details"]
    assert (consumer["consumer_tag"], consumer["prefetch_count"]) == (tag, 3)
    peer = consumer["channel_details"]["connection_name"]
    [own] = [found for found in get("connections") if found["name"] == peer]
    assert (own["user"], own["vhost"], own["state"]) == ("guest", "/", "running"), own
    assert own["client_properties"]["product"].startswith("Pika"), own
    assert own["recv_oct"] > 0 and own["send_oct"] > 0 and own["channels"] == 1
    [of_it] = get(f"connections/{urllib.parse.quote(peer, '')}/channels")
    assert of_it["number"] == 1 and of_it["consumer_count"] == 1 and of_it["prefetch_count"] == 3
    assert consumer["consumer_tag"] in [found["consumer_tag"] for found in get("consumers/%2F")]
    overview = get("overview")
    assert overview["object_totals"]["connections"] >= 1
    assert overview["queue_totals"]["messages"] >= 10
    for queue in queues:
        channel.queue_delete(queue)


def log_in(user, password, vhost):
    """A connection of this user, or the text with which it is refused."""
    credentials = pika.PlainCredentials(user, password)
    parameters = pika.ConnectionParameters(HOST, int(PORT), vhost, credentials)
    try:
        return pika.BlockingConnection(parameters)
    except pika.exceptions.AMQPConnectionError as error:
        return repr(error)


def users(connection, channel):
    """users, virtual hosts and permissions are set over HTTP, and count for clients at once"""
    user, vhost = name("user"), name("vhost")
    done(call("PUT", f"vhosts/{vhost}", {"description": "mine", "tags": "a,b"}), 201)
    done(call("PUT", f"users/{user}", {"password": "secret", "tags": "management"}), 201)
    assert "refused" in log_in(user, "secret", vhost), "has no permission yet"
    everything = {"configure": ".*", "write": ".*", "read": f"^{RUN}"}
    done(call("PUT", f"permissions/{vhost}/{user}", everything), 201)
    done(call("PUT", f"permissions/{vhost}/{user}", everything), 204)
    assert get(f"permissions/{vhost}/{user}") == {"user": user, "vhost": vhost, **everything}
    assert [one["user"] for one in get(f"users/{user}/permissions")] == [user]
    own = log_in(user, "secret", vhost)
    own_channel = own.channel()
    own_channel.queue_declare("q")
    try:
        own_channel.basic_get("q")
        raise AssertionError("may not read it")
    except ChannelClosedByBroker as closed:
        assert closed.reply_code == 403 and "read access to queue 'q'" in closed.reply_text
    credentials = f"{user}:secret"
    assert call("GET", "whoami", user=credentials)[1]["tags"] == ["management"]
    done(call("GET", "users", user=credentials), 401)
    done(call("GET", "queues/%2F", user=credentials), 401)
    assert [one["name"] for one in call("GET", "queues", user=credentials)[1]] == ["q"]
    refused = call("POST", f"queues/{vhost}/q/get", GET_ONE, user=credentials)
    assert refused[0] == 401 and "read access to queue 'q'" in refused[1]["reason"], refused
    listed = [one for one in get("connections") if one["user"] == user]
    listed = [one for one in listed if one["state"] == "running"]
    done(call("DELETE", f"connections/{urllib.parse.quote(listed[0]['name'], '')}"), 204)
    try:
        for _ in range(50):
            own.process_data_events(0.1)
        raise AssertionError("is still open")
    except pika.exceptions.ConnectionClosedByBroker as closed:
        expected = (320, "CONNECTION_FORCED - Closed via management plugin")
        assert (closed.reply_code, closed.reply_text) == expected
    done(call("PUT", f"vhost-limits/{vhost}/max-connections", {"value": 0}), 204)
    assert get(f"vhost-limits/{vhost}") == [{"vhost": vhost, "value": {"max-connections": 0}}]
    assert "limit (0) is reached" in log_in(user, "secret", vhost)
    done(call("DELETE", f"vhost-limits/{vhost}/max-connections"), 204)
    done(call("PUT", f"users/{user}", {"password": "other", "tags": []}), 204)
    assert "refused" in log_in(user, "secret", vhost)
    log_in(user, "other", vhost).close()
    done(call("GET", "whoami", user=f"{user}:other"), 401)
    done(call("DELETE", f"users/{user}"), 204)
    assert "refused" in log_in(user, "other", vhost)
    done(call("DELETE", f"vhosts/{vhost}"), 204)
    done(call("GET", f"vhosts/{vhost}"), 404)


GET_ONE = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}


def rabbitmqs_definitions(connection, channel):
    """what RabbitMQ 3.10 has exported is imported, and its users log in with their old passwords"""
    definitions = json.loads((Path(__file__).parent / "definitions-3.10.json").read_text())
    done(call("POST", "definitions", definitions), 204)
    own = log_in("shopper", "s3cret", "shop")
    own_channel = own.channel()
    own_channel.confirm_delivery()
    own_channel.basic_publish("orders", "order.new", b"1")
    assert next_message(own_channel, "orders.new")[2] == b"1"
    own.close()
    exported = get("definitions")
    for key, names in (
        ("users", ("name", "password_hash", "hashing_algorithm", "tags")),
        ("permissions", ("user", "vhost", "configure", "write", "read")),
        ("topic_permissions", ("user", "vhost", "exchange", "write", "read")),
        ("policies", ("vhost", "name", "pattern", "apply-to", "definition", "priority")),
        ("parameters", ("vhost", "component", "name", "value")),
        ("queues", ("vhost", "name", "durable", "auto_delete", "arguments")),
        ("exchanges", ("vhost", "name", "type", "durable", "auto_delete", "internal")),
        ("bindings", ("vhost", "source", "destination", "routing_key", "arguments")),
    ):
        kept = [[one.get(of) for of in names] for one in exported[key]]
        for one in definitions[key]:
            wanted = [one.get(of) for of in names]
            assert wanted in kept or "guest" in wanted, (key, one, exported[key])
    done(call("POST", "definitions", exported), 204)
    assert get("definitions") == exported, "again comes to the same"
    done(call("DELETE", "vhosts/shop"), 204)
    done(call("POST", "users/bulk-delete", {"users": ["shopper", "watcher", "nobody-at-all"]}), 204)


def taken_over(connection, channel):
    """definitions that were exported make what was there, when it is gone"""
    queue, exchange = name("def-q"), name("def-x")
    channel.exchange_declare(exchange, "headers", durable=True)
    channel.queue_declare(queue, durable=True, arguments={"x-max-length": 7})
    channel.queue_bind(queue, exchange, "", {"x-match": "any", "a": 1})
    done(set_policy("def", {"max-length": 5}), 201)
    done(set_policy("def", {"expires": 60000}, "operator-policies"), 201)

    def own(definitions):
        kept = {
            key: [one for one in definitions[key] if RUN in json.dumps(one)]
            for key in ("queues", "exchanges", "bindings", "policies", "parameters")
        }
        assert all(kept.values()), kept
        return kept

    exported = get("definitions")
    of_vhost = own(get("definitions/%2F"))
    assert "vhost" not in json.dumps(of_vhost), of_vhost
    before = own(exported)
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)
    delete_policy("def"), delete_policy("def", "operator-policies")
    done(call("POST", "definitions", before), 204)
    assert own(get("definitions")) == before
    channel.queue_delete(queue)
    done(call("POST", "definitions/%2F", of_vhost), 204)
    assert own(get("definitions")) == before
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)
    delete_policy("def"), delete_policy("def", "operator-policies")


def healthy(connection, channel):
    """checks of health say that all is well, and one for a port that is not listened on does not"""
    for check in (
        "alarms",
        "local-alarms",
        "virtual-hosts",
        "node-is-quorum-critical",
        "protocol-listener/amqp",
    ):
        assert get(f"health/checks/{check}")["status"] == "ok", check
    done(call("GET", "health/checks/port-listener/1"), 503)
    assert get("aliveness-test/%2F") == {"status": "ok"}
    assert get("whoami")["name"] == "guest"
    [node] = get("nodes")
    assert node["running"] and get(f"nodes/{node['name']}")["mem_used"] > 0


def looked_at(connection, channel):
    """messages are looked at without being taken, one is deleted, a queue is paused (Warren only)"""
    queue = name("look")
    path = f"queues/%2F/{queue}"
    channel.queue_declare(queue)
    for n in range(3):
        channel.basic_publish("", queue, f"{n}", pika.BasicProperties(message_id=f"{n}"))
    until(lambda: get(path)["messages"] == 3, "all were published")
    seen = get(f"{path}/messages")
    assert [one["payload"] for one in seen] == ["0", "1", "2"], seen
    assert [one["properties"]["message_id"] for one in seen] == ["0", "1", "2"]
    assert len(get(f"{path}/messages?count=1&after={seen[0]['id']}")) == 1
    done(call("DELETE", f"{path}/messages/{seen[1]['id']}"), 204)
    done(call("DELETE", f"{path}/messages/{seen[1]['id']}"), 404)
    done(call("PUT", f"{path}/pause"), 204)
    assert get(path)["state"] == "paused"
    assert channel.basic_get(queue)[0] is None
    done(call("DELETE", f"{path}/pause"), 204)
    got = [next_message(channel, queue) for _ in range(2)]
    assert bodies(got) == ["0", "2"] and not any(method.redelivered for method, _, _ in got)
    channel.queue_delete(queue)


def changed(connection, channel):
    """a queue's arguments are changed without deleting it (Warren only)"""
    queue = name("change")
    path = f"queues/%2F/{queue}"
    before = {"x-max-length": 10, "x-single-active-consumer": False}
    channel.queue_declare(queue, durable=True, arguments=before)
    for n in range(5):
        channel.basic_publish("", queue, f"{n}")
    until(lambda: get(path)["messages"] == 5, "all were published")
    after = {**before, "x-max-length": 2, "x-expires": 600000}
    done(call("PUT", f"{path}/arguments", {"arguments": after}), 204)
    until(lambda: get(path)["messages"] == 2, "there is room for two")
    after["x-overflow"] = "reject-publish"
    done(call("PUT", f"{path}/arguments", {"arguments": after}), 204)
    assert get(path)["arguments"] == after
    channel.queue_declare(queue, durable=True, arguments=after)
    channel.confirm_delivery()
    try:
        channel.basic_publish("", queue, b"too many")
        raise AssertionError("there was room for it")
    except NackError:
        pass
    assert bodies(next_message(channel, queue) for _ in range(2)) == ["3", "4"]
    try:
        connection.channel().queue_declare(queue, durable=True, arguments=before)
        raise AssertionError("it has its first arguments")
    except ChannelClosedByBroker as closed:
        assert closed.reply_code == 406 and "x-expires" in closed.reply_text, closed
    for wrong, reason in (
        ({**after, "x-max-length": -1}, "value_negative,-1"),
        ({**after, "x-max-priority": 5}, "arg 'x-max-priority' for queue"),
        ({**after, "x-queue-type": "quorum"}, "arg 'x-queue-type' for queue"),
        ({"x-single-active-consumer": True}, "arg 'x-single-active-consumer' for queue"),
    ):
        answer = done(call("PUT", f"{path}/arguments", {"arguments": wrong}), 400)
        assert reason in answer["reason"], answer
    assert get(path)["arguments"] == after
    done(call("PUT", f"queues/%2F/{name('none')}/arguments", {"arguments": {}}), 404)
    channel.queue_delete(queue)


def delayed_messages(connection, channel):
    """messages that are delayed are listed and taken back (Warren only)"""
    queue = name("later")
    channel.queue_declare(queue)
    later = pika.BasicProperties(headers={"x-delay": 600000})
    before = get("delayed/%2F?count=500")
    channel.basic_publish("", queue, b"later", later)
    until(lambda: len(get("delayed/%2F?count=500")) == len(before) + 1, "is delayed")
    [own] = [one for one in get("delayed/%2F?count=500") if one not in before]
    assert abs(own["due_at"] / 1000 - time.time() - 600) < 30, own
    done(call("DELETE", f"delayed/%2F/{own['id']}"), 204)
    done(call("DELETE", f"delayed/%2F/{own['id']}"), 404)
    assert get("delayed/%2F?count=500") == before
    channel.queue_delete(queue)


def foretold(connection, channel):
    """where a message would go is where it goes, by key and by headers (Warren only)"""
    exchange, queues = name("tell"), [name(f"tell-{n}") for n in range(3)]
    channel.exchange_declare(exchange, "headers")
    for n, queue in enumerate(queues):
        channel.queue_declare(queue)
        # Texts: a number of JSON is of another type than pika's, and does not equal it.
        arguments = {"x-match": "any", "n": f"{n}", "all": True}
        channel.queue_bind(queue, exchange, arguments=arguments)
    for headers in ({"n": "1"}, {"all": True}, {"n": "7"}, {}):
        wanted = {"routing_key": "k", "properties": {"headers": headers}}
        told = done(call("POST", f"exchanges/%2F/{exchange}/route", wanted), 200)
        expected = sorted(one["name"] for one in told["queues"])
        channel.basic_publish(exchange, "k", b"x", pika.BasicProperties(headers=headers))
        went = []
        for queue in queues:
            if channel.basic_get(queue, auto_ack=True)[0]:
                went.append(queue)
        assert went == expected, (headers, went, told)
    channel.exchange_delete(exchange)
    for queue in queues:
        channel.queue_delete(queue)


def moved(connection, channel):
    """messages are moved to another queue, and keep their order and what they say (Warren only)"""
    queue, other = name("move"), name("moved")
    channel.queue_declare(queue, durable=True)
    channel.queue_declare(other, durable=True)
    for n in range(120):
        properties = pika.BasicProperties(message_id=f"{n}", user_id="guest", delivery_mode=2)
        channel.basic_publish("", queue, f"{n}", properties)
    until(lambda: get(f"queues/%2F/{queue}")["messages"] == 120, "all were published")
    path = f"queues/%2F/{queue}/move"
    told = done(call("POST", path, {"destination": other}), 200)
    assert told["moved"] == 120 and told["exactly_once"], told
    assert channel.queue_declare(queue, passive=True).method.message_count == 0
    for n in range(120):
        method, properties, body = channel.basic_get(other, auto_ack=True)
        assert (body, properties.message_id) == (f"{n}".encode(), f"{n}")
        assert method.routing_key == queue and not method.redelivered
    channel.queue_delete(queue)
    channel.queue_delete(other)


FLOWS = (
    policies_come_and_go,
    message_ttl,
    max_length,
    priorities_of_policies,
    operators,
    alternates,
    declared_over_http,
    listed,
    taken_over,
    users,
    rabbitmqs_definitions,
    healthy,
)
WARRENS_OWN = (looked_at, changed, delayed_messages, foretold, moved)


def main():
    is_warren = get("overview")["product_name"] == "Warren"
    for flow in FLOWS + (WARRENS_OWN if is_warren else ()):
        connection = connect()
        flow(connection, connection.channel())
        connection.close()
        print(f"management, pika {pika.__version__}: {flow.__doc__}", flush=True)


if __name__ == "__main__":
    main()
