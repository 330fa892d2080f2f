#!/usr/bin/env python3
"""What people type with RabbitMQ's rabbitmqadmin, unmodified: its path and the address (host:port) of the
management API are given.

Prints a line for each flow proved; stops with a traceback at the first that fails.
"""
import json
import subprocess
import sys
import tempfile
import uuid

PROGRAM = sys.argv[1]
HOST, PORT = sys.argv[2].rsplit(":", 1)
RUN = f"admin-{uuid.uuid4().hex[:12]}"


def admin(*arguments, fails=None, text=None):
    """What it prints; `fails` is what it has to complain of."""
    command = [sys.executable, PROGRAM, "-H", HOST, "-P", PORT, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, input=text)
    if fails is not None:
        assert run.returncode != 0 and fails in run.stderr, (arguments, run)
    else:
        assert run.returncode == 0, (arguments, run)
    return run.stdout


def objects(*arguments):
    return json.loads(admin("-f", "raw_json", *arguments))


def own(*arguments):
    """What is listed of this run's own."""
    return [one for one in objects(*arguments) if RUN in json.dumps(one)]


def declares_and_lists():
    """rabbitmqadmin declares, binds, lists and deletes queues and exchanges"""
    queue, exchange = f"{RUN}-q", f"{RUN}-x"
    admin("declare", "queue", f"name={queue}", "durable=true", 'arguments={"x-max-length": 9}')
    admin("declare", "exchange", f"name={exchange}", "type=topic")
    admin("declare", "binding", f"source={exchange}", f"destination={queue}", "routing_key=a.*")
    [listed] = own("list", "queues")
    assert (listed["name"], listed["durable"], listed["messages"]) == (queue, True, 0), listed
    assert listed["arguments"] == {"x-max-length": 9}
    assert queue in admin("list", "queues", "vhost", "name", "messages", "message_stats.publish")
    assert queue in admin("-f", "long", "-d", "3", "list", "queues")
    assert queue in admin("-V", "/", "-f", "tsv", "-S", "messages", "list", "queues")
    [listed] = own("list", "exchanges")
    assert (listed["name"], listed["type"], listed["durable"]) == (exchange, "topic", True)
    bindings = {(one["source"], one["routing_key"]) for one in own("list", "bindings")}
    assert bindings == {("", queue), (exchange, "a.*")}, bindings
    admin("declare", "queue", f"name={queue}", "durable=false", fails="inequivalent arg 'durable'")
    of = (f"source={exchange}", "destination_type=queue", f"destination={queue}")
    admin("delete", "binding", *of, "properties_key=a.%2A")
    assert len(own("list", "bindings")) == 1
    admin("delete", "queue", f"name={queue}")
    admin("delete", "exchange", f"name={exchange}")
    assert own("list", "queues") == own("list", "exchanges") == []
    admin("delete", "queue", f"name={queue}", fails="Not found")


def publishes_and_gets():
    """rabbitmqadmin publishes messages, shows them, and purges"""
    queue = f"{RUN}-m"
    admin("declare", "queue", f"name={queue}")
    assert "Message published" in admin("publish", f"routing_key={queue}", "payload=one")
    properties = 'properties={"delivery_mode": 2, "headers": {"k": "v"}}'
    admin("publish", f"routing_key={queue}", properties, text="two\n")
    assert "NOT routed" in admin("publish", "routing_key=nowhere", "payload=lost")
    admin("publish", f"exchange={RUN}-none", "routing_key=", "payload=x", fails="Not found")
    first, second = objects("get", f"queue={queue}", "count=2")
    assert (first["payload"], second["payload"]) == ("one", "two\n")
    assert second["properties"] == {"delivery_mode": 2, "headers": {"k": "v"}}, second
    assert "one" in admin("get", f"queue={queue}", "ackmode=ack_requeue_false")
    assert own("list", "queues")[0]["messages"] == 1
    admin("purge", "queue", f"name={queue}")
    assert own("list", "queues")[0]["messages"] == 0
    admin("delete", "queue", f"name={queue}")


def policies_and_limits():
    """rabbitmqadmin sets, lists and deletes policies"""
    for kind, listing in (("policy", "policies"), ("operator_policy", "operator_policies")):
        of = (f"name={RUN}-p", f"pattern=^{RUN}", "apply-to=queues", "priority=2")
        admin("declare", kind, *of, 'definition={"max-length": 5}')
        [listed] = own("list", listing)
        assert (listed["definition"], listed["priority"]) == ({"max-length": 5}, 2), listed
        admin("declare", kind, *of, 'definition={"max-len": 5}', fails="Validation failed")
        admin("delete", kind, f"name={RUN}-p")
        assert own("list", listing) == []


def users_and_virtual_hosts():
    """rabbitmqadmin makes users, virtual hosts, permissions, limits and parameters, and closes"""
    user, vhost = f"{RUN}-u", f"{RUN}-v"
    admin("declare", "vhost", f"name={vhost}")
    admin("declare", "user", f"name={user}", "password=secret", "tags=administrator")
    of = (f"vhost={vhost}", f"user={user}")
    admin("declare", "permission", *of, "configure=.*", "write=.*", "read=.*")
    assert {one["user"] for one in own("list", "permissions")} == {"guest", user}
    admin("-u", user, "-p", "secret", "-V", vhost, "declare", "queue", "name=q")
    assert [one["vhost"] for one in own("list", "queues")] == [vhost]
    admin("declare", "vhost_limit", f"vhost={vhost}", "name=max-queues", "value=1")
    assert own("list", "vhost_limits") == [{"vhost": vhost, "value": {"max-queues": 1}}]
    admin("-V", vhost, "declare", "queue", "name=q2", fails="queue limit")
    parameter = ("component=mine", f"name={RUN}")
    admin("-V", vhost, "declare", "parameter", *parameter, 'value={"a": 1}')
    assert own("list", "parameters")[0]["value"] == {"a": 1}
    admin("-V", vhost, "delete", "parameter", *parameter)
    admin("delete", "permission", *of)
    admin("delete", "user", f"name={user}")
    admin("delete", "vhost", f"name={vhost}")
    for kind in ("users", "vhosts", "permissions", "queues", "parameters"):
        assert own("list", kind) == [], kind


def exports_and_imports():
    """rabbitmqadmin exports definitions and imports them"""
    queue = f"{RUN}-d"
    admin("declare", "queue", f"name={queue}", "durable=true")
    admin("declare", "binding", "source=amq.fanout", f"destination={queue}")
    with tempfile.NamedTemporaryFile() as file:
        admin("export", file.name)
        definitions = json.load(file)
        assert any(one["name"] == queue for one in definitions["queues"])
        admin("delete", "queue", f"name={queue}")
        admin("import", file.name)
    assert len(own("list", "bindings")) == 2
    admin("delete", "queue", f"name={queue}")


def shows():
    """rabbitmqadmin shows the overview, nodes, virtual hosts, connections, channels and consumers"""
    overview = objects("show", "overview")[0]
    assert overview["rabbitmq_version"] and overview["object_totals"]["exchanges"] >= 7
    assert "rabbitmq_version" in admin("show", "overview")
    [node] = objects("list", "nodes")
    assert node["running"] is True and node["name"] in admin("list", "nodes")
    assert "/" in [one["name"] for one in objects("list", "vhosts")]
    for kind in ("connections", "channels", "consumers"):
        admin("list", kind)
    admin("-u", "guest", "-p", "wrong", "list", "queues", fails="Access refused")


def main():
    version = subprocess.run([sys.executable, PROGRAM, "--version"], capture_output=True, text=True)
    for flow in (
        declares_and_lists,
        publishes_and_gets,
        policies_and_limits,
        users_and_virtual_hosts,
        exports_and_imports,
        shows,
    ):
        flow()
        print(f"{version.stdout.strip()}: {flow.__doc__}", flush=True)


if __name__ == "__main__":
    main()
