#!/usr/bin/env node
/*
 * RabbitMQ's tutorials and more with amqplib, against the broker whose address (host:port) is given.
 *
 * Prints a line for each flow proved; stops with a stack trace at the first that fails.
 * Queues and exchanges have names of this run's own, so the broker may be in use.
 * Transactions are missing: amqplib has none.
 */
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const { once } = require("node:events");
const amqp = require("amqplib");

const ADDRESS = process.argv[2];
const RUN = `amqplib-${randomBytes(6).toString("hex")}`;
const PATIENCE_MS = 5000; // for something that must come
const SILENCE_MS = 300; // for something that must not come

const name = (of) => `${RUN}-${of}`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const connect = ({ password = "guest", query = "" } = {}) =>
  amqp.connect(`amqp://guest:${password}@${ADDRESS}${query}`);

/** Runs a flow's body on a connection with one channel, and closes it afterwards. */
async function withChannel(body, options) {
  const connection = await connect(options);
  try {
    await body(await connection.createChannel(), connection);
  } finally {
    await connection.close();
  }
}

/** Waits until `done()` holds; fails with `what()` if it does not in time. */
async function until(done, what) {
  const end = Date.now() + PATIENCE_MS;
  while (!done()) {
    assert.ok(Date.now() < end, `waited in vain: ${what()}`);
    await pause(5);
  }
}

/** Consumes until `count` messages came, makes sure that no more do, and returns them. */
async function deliveries(channel, queue, count) {
  const got = [];
  const { consumerTag } = await channel.consume(queue, (message) => got.push(message), {
    noAck: true,
  });
  await until(() => got.length >= count, () => `${got.length} of ${count} came to ${queue}`);
  await pause(SILENCE_MS);
  await channel.cancel(consumerTag);
  assert.equal(got.length, count, `${queue} had too many: ${bodies(got)}`);
  return got;
}

const bodies = (messages) => messages.map((message) => message.content.toString());

/** The code and message with which the broker closes the channel on which this is done. */
async function closedByBroker(action) {
  const connection = await connect();
  const channel = await connection.createChannel();
  const [error] = await Promise.all([
    once(channel, "error").then(([error]) => error),
    Promise.resolve(action(channel)).catch(() => {}),
  ]);
  // A channel's error must not close the connection.
  await (await connection.createChannel()).close();
  await connection.close();
  return { code: error.code, message: error.message };
}

async function refusedWith(code, text, action) {
  const error = await closedByBroker(action);
  assert.equal(error.code, code);
  assert.ok(error.message.includes(`"${text}"`), error.message);
}

const flows = {
  "a message sent to a queue by its name is received once": () =>
    withChannel(async (channel) => {
      const queue = name("hello");
      await channel.assertQueue(queue, { durable: false });
      channel.sendToQueue(queue, Buffer.from("Hello World!"));
      const [message] = await deliveries(channel, queue, 1);
      assert.equal(message.content.toString(), "Hello World!");
      assert.equal(message.fields.routingKey, queue);
      assert.equal(message.fields.exchange, "");
      assert.equal(message.fields.redelivered, false);
      assert.equal((await channel.checkQueue(queue)).messageCount, 0);
      await channel.deleteQueue(queue);
    }),

  "with prefetch 1 work goes to whoever is free, and what was not acked stays": () =>
    withChannel(async (slow, connection) => {
      const quick = await connection.createChannel();
      const queue = name("tasks");
      await slow.assertQueue(queue, { durable: true });
      const held = [];
      const done = [];
      await slow.prefetch(1);
      await quick.prefetch(1);
      await slow.consume(queue, (message) => held.push(message));
      let cancelled = false;
      await quick.consume(queue, (message) => {
        if (message === null) {
          cancelled = true;
          return;
        }
        done.push(message);
        quick.ack(message);
      });
      for (let n = 0; n < 8; n++) {
        slow.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true });
      }
      await until(() => held.length + done.length === 8, () => `${held.length}, ${done.length}`);
      assert.equal(held.length, 1);
      assert.equal(held[0].properties.deliveryMode, 2);
      assert.deepEqual(bodies(done), bodies(done).sort());
      slow.ack(held[0]);
      await slow.close();
      assert.equal((await quick.checkQueue(queue)).messageCount, 0);
      await quick.deleteQueue(queue);
      await until(() => cancelled, () => "the consumer was not told that its queue has gone");
    }),

  "what a killed consumer had not acked comes again, in order and marked as redelivered": () =>
    withChannel(async (channel) => {
      const queue = name("killed");
      await channel.assertQueue(queue);
      for (const n of [0, 1, 2]) channel.sendToQueue(queue, Buffer.from(`${n}`));
      const child = spawn(process.execPath, [__filename, ADDRESS, "--hold", queue], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = await once(child.stdout, "data");
      assert.equal(line.toString(), "holding 3, acked the first\n");
      assert.equal((await channel.checkQueue(queue)).messageCount, 0);
      child.kill("SIGKILL");
      await once(child, "exit");
      const got = await deliveries(channel, queue, 2);
      assert.deepEqual(bodies(got), ["1", "2"]);
      assert.ok(got.every((message) => message.fields.redelivered));
      await channel.deleteQueue(queue);
    }),

  "every queue bound to a fanout gets every message from then on": () =>
    withChannel(async (channel) => {
      const logs = name("logs");
      await channel.assertExchange(logs, "fanout", { durable: false });
      channel.publish(logs, "", Buffer.from("too early"));
      const queues = [];
      for (const _ of [1, 2]) {
        const { queue } = await channel.assertQueue("", { exclusive: true });
        assert.ok(queue.startsWith("amq.gen-"), queue);
        await channel.bindQueue(queue, logs, "");
        queues.push(queue);
      }
      assert.notEqual(queues[0], queues[1]);
      channel.publish(logs, "any key", Buffer.from("info: hello"));
      for (const queue of queues) {
        assert.deepEqual(bodies(await deliveries(channel, queue, 1)), ["info: hello"]);
      }
      await channel.deleteExchange(logs);
    }),

  "a direct exchange routes by the whole key": () =>
    withChannel(async (channel) => {
      const logs = name("direct");
      await channel.assertExchange(logs, "direct", { durable: false });
      const errors = (await channel.assertQueue("", { exclusive: true })).queue;
      const everything = (await channel.assertQueue("", { exclusive: true })).queue;
      await channel.bindQueue(errors, logs, "error");
      for (const key of ["info", "warning", "error"]) {
        await channel.bindQueue(everything, logs, key);
      }
      for (const key of ["info", "warning", "error", "debug"]) {
        channel.publish(logs, key, Buffer.from(key));
      }
      assert.deepEqual(bodies(await deliveries(channel, errors, 1)), ["error"]);
      const all = bodies(await deliveries(channel, everything, 3));
      assert.deepEqual(all, ["info", "warning", "error"]);
      await channel.deleteExchange(logs);
    }),

  "a topic exchange routes by words, once to each queue": () =>
    withChannel(async (channel) => {
      const animals = name("topic");
      await channel.assertExchange(animals, "topic", { durable: false });
      const one = (await channel.assertQueue("", { exclusive: true })).queue;
      const two = (await channel.assertQueue("", { exclusive: true })).queue;
      await channel.bindQueue(one, animals, "*.orange.*");
      await channel.bindQueue(two, animals, "*.*.rabbit");
      await channel.bindQueue(two, animals, "lazy.#");
      const toBoth = ["quick.orange.rabbit", "lazy.orange.elephant"];
      const toSecond = ["lazy.brown.fox", "lazy.pink.rabbit", "lazy.orange.male.rabbit", "lazy"];
      const toFirst = ["quick.orange.fox"];
      const toNone = ["quick.brown.fox", "orange", "quick.orange.male.rabbit", ""];
      for (const key of [...toBoth, ...toSecond, ...toFirst, ...toNone]) {
        channel.publish(animals, key, Buffer.from(key));
      }
      assert.deepEqual(bodies(await deliveries(channel, one, 3)), [...toBoth, ...toFirst]);
      assert.deepEqual(bodies(await deliveries(channel, two, 6)), [...toBoth, ...toSecond]);
      await channel.deleteExchange(animals);
    }),

  "a request finds its server, and the reply its client by reply queue and correlation id": () =>
    callFibonacci("rpc", async (channel) => {
      return (await channel.assertQueue("", { exclusive: true })).queue;
    }),

  "a reply comes without a reply queue, by amq.rabbitmq.reply-to": () =>
    callFibonacci("direct-rpc", async () => "amq.rabbitmq.reply-to"),

  "each publish is confirmed, and an unroutable one as well": () =>
    withChannel(async (channel, connection) => {
      const confirming = await connection.createConfirmChannel();
      const queue = name("confirms");
      await channel.assertQueue(queue, { durable: true });
      let acked = 0;
      for (let n = 0; n < 200; n++) {
        confirming.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true }, (error) => {
          assert.ifError(error);
          acked += 1;
        });
      }
      await confirming.waitForConfirms();
      assert.equal(acked, 200);
      assert.equal((await channel.checkQueue(queue)).messageCount, 200);
      confirming.sendToQueue(name("nowhere"), Buffer.from("dropped, confirmed all the same"));
      await confirming.waitForConfirms();
      assert.equal((await channel.purgeQueue(queue)).messageCount, 200);
      await channel.deleteQueue(queue);
    }),

  "what cannot be routed comes back with 312 NO_ROUTE before its ack if it was mandatory": () =>
    withChannel(async (_, connection) => {
      const channel = await connection.createConfirmChannel();
      const happened = [];
      channel.on("return", (message) => happened.push(message));
      const key = name("nowhere");
      const options = { mandatory: true, messageId: "m", headers: { n: 1, s: "x" } };
      channel.publish("", key, Buffer.from("back to me"), options, (error) => {
        happened.push(error ?? "ack");
      });
      await until(() => happened.length === 2, () => `${happened.length} of return and ack`);
      const [returned, answer] = happened;
      assert.equal(answer, "ack");
      assert.equal(returned.fields.replyCode, 312);
      assert.equal(returned.fields.replyText, "NO_ROUTE");
      assert.equal(returned.fields.routingKey, key);
      assert.equal(returned.content.toString(), "back to me");
      assert.equal(returned.properties.messageId, "m");
      assert.deepEqual({ ...returned.properties.headers }, { n: 1, s: "x" });
    }),

  "with frames of 4096 bytes a long message arrives whole": () =>
    withChannel(
      async (channel) => {
        const { queue } = await channel.assertQueue("", { exclusive: true });
        const body = randomBytes(100_000);
        channel.sendToQueue(queue, body);
        const [message] = await deliveries(channel, queue, 1);
        assert.ok(message.content.equals(body));
      },
      { query: "?frameMax=4096" },
    ),

  "a wrong password is refused with 403": async () => {
    const text =
      "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. " +
      "For details see the broker logfile.";
    await assert.rejects(connect({ password: "wrong" }), (error) => {
      assert.ok(error.message.includes("403"), error.message);
      assert.ok(error.message.includes(`"${text}"`), error.message);
      return true;
    });
  },

  "a queue that is not there is 404": async () => {
    const queue = name("missing");
    const text = `NOT_FOUND - no queue '${queue}' in vhost '/'`;
    await refusedWith(404, text, (channel) => channel.checkQueue(queue));
    await refusedWith(404, text, (channel) => channel.get(queue));
    await refusedWith(404, text, (channel) => channel.consume(queue, () => {}));
  },

  "a queue declared again otherwise is 406, and which argument differs is told": () =>
    withChannel(async (channel) => {
      const queue = name("durable");
      await channel.assertQueue(queue, { durable: true });
      const text =
        `PRECONDITION_FAILED - inequivalent arg 'durable' for queue '${queue}' in vhost '/': ` +
        "received 'false' but current is 'true'";
      await refusedWith(406, text, (again) => again.assertQueue(queue, { durable: false }));
      await channel.deleteQueue(queue);
    }),

  "an ack of nothing is 406": () =>
    refusedWith(406, "PRECONDITION_FAILED - unknown delivery tag 99", (channel) =>
      channel.ack({ fields: { deliveryTag: 99 } }),
    ),
};

/** Asks a server for two Fibonacci numbers; `replyQueue` names the queue for the replies. */
async function callFibonacci(kind, replyQueue) {
  const queue = name(kind);
  await withChannel(async (server) => {
    await server.assertQueue(queue);
    const { consumerTag } = await server.consume(queue, (request) => {
      let [a, b] = [0, 1];
      for (let n = Number(request.content.toString()); n > 0; n--) [a, b] = [b, a + b];
      const { replyTo, correlationId } = request.properties;
      server.sendToQueue(replyTo, Buffer.from(`${a}`), { correlationId });
      server.ack(request);
    });
    await withChannel(async (client) => {
      const replyTo = await replyQueue(client);
      const replies = new Map();
      await client.consume(
        replyTo,
        (reply) => replies.set(reply.properties.correlationId, reply.content.toString()),
        { noAck: true },
      );
      for (const n of [10, 30]) {
        client.sendToQueue(queue, Buffer.from(`${n}`), { replyTo, correlationId: `fib ${n}` });
      }
      await until(() => replies.size === 2, () => `${replies.size} of 2 replies`);
      assert.equal(replies.get("fib 10"), "55");
      assert.equal(replies.get("fib 30"), "832040");
    });
    await server.cancel(consumerTag);
    await server.deleteQueue(queue);
  });
}

/** The consumer that is killed: takes three messages, acks the first, and waits for its end. */
async function hold(queue) {
  const connection = await connect();
  const channel = await connection.createChannel();
  const got = [];
  await channel.consume(queue, (message) => got.push(message));
  await until(() => got.length === 3, () => `${got.length} of 3 messages`);
  channel.ack(got[0]);
  await channel.prefetch(0); // answered, so the ack before it has been handled
  process.stdout.write("holding 3, acked the first\n");
  await pause(60_000);
}

async function main() {
  const version = require("./package.json").dependencies.amqplib;
  for (const [what, flow] of Object.entries(flows)) {
    await flow();
    console.log(`amqplib ${version}: ${what}`);
  }
}

(process.argv[3] === "--hold" ? hold(process.argv[4]) : main()).catch((error) => {
  console.error(error);
  process.exit(1);
});
