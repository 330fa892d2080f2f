/*
 * A broker under test: started and ended, asked by its API, and the traffic that runs through it.
 */
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const amqp = require("amqplib");

const BINARY = process.env.WARREN_BINARY;
const PATIENCE_MS = 15000; // for what must come, on a machine that has other things to do
const START_MS = 30000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `probe()` gives something true, and gives it; fails with `what` if it never does. */
async function until(what, probe, patienceMs = PATIENCE_MS) {
  const end = Date.now() + patienceMs;
  let last;
  for (;;) {
    try {
      const found = await probe();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`, { cause: last });
    await pause(50);
  }
}

/** Starts a broker with a data directory of its own. */
async function startBroker({ flags = [], env = {} } = {}) {
  if (!BINARY) throw new Error("WARREN_BINARY does not say which broker to test");
  const scratch = mkdtempSync(join(tmpdir(), "warren-browser-"));
  const given = flags.map((flag) => flag.replace("SCRATCH", scratch));
  const own = ["serve", "--amqp", "127.0.0.1:0", "--management", "127.0.0.1:0", "--metrics", "off"];
  const all = [...own, "--data-dir", join(scratch, "data"), ...given];
  const broker = new Broker(scratch, all, env);
  await broker.start();
  return broker;
}

class Broker {
  constructor(scratch, flags, env) {
    this.scratch = scratch;
    this.flags = flags;
    this.env = { ...process.env, ...env };
  }

  /** Starts it, and waits until clients can connect. */
  async start() {
    const stdio = ["ignore", "pipe", "pipe"];
    const child = spawn(BINARY, this.flags, { env: this.env, stdio });
    let [told, log] = ["", ""];
    child.stdout.on("data", (chunk) => (told += chunk));
    child.stderr.on("data", (chunk) => (log += chunk));
    const end = Date.now() + START_MS;
    let found;
    while (!found) {
      found = told.match(/amqp:\/\/([\d.:]+).* http:\/\/([\d.:]+)/);
      if (child.exitCode !== null || Date.now() > end) {
        child.kill();
        throw new Error(`the broker did not start: ${told}${log}`);
      }
      await pause(20);
    }
    this.child = child;
    this.address = found[1];
    this.management = found[2];
    this.url = `http://${this.management}`;
    this.log = () => log;
  }

  async end() {
    if (this.child.exitCode !== null) return;
    this.child.kill("SIGTERM");
    await once(this.child, "exit");
  }

  /** Stops it, and starts it again in the same places. */
  async restart() {
    await this.end();
    const same = { "--amqp": this.address, "--management": this.management };
    this.flags = this.flags.map((flag, at) => same[this.flags[at - 1]] ?? flag);
    await this.start();
  }

  get pid() {
    return this.child.pid;
  }

  async stop() {
    await this.end();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  /** Asks the API; gives what was answered, or throws what it refused with. */
  async api(method, path, body, user = "guest") {
    const login = Buffer.from(`${user}:${user}`).toString("base64");
    const response = await fetch(`${this.url}/api/${path}`, {
      method,
      headers: { authorization: `Basic ${login}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  get = (path, user) => this.api("GET", path, undefined, user);
  put = (path, body = {}) => this.api("PUT", path, body);
  post = (path, body = {}) => this.api("POST", path, body);

  /** How many messages of a queue are ready. */
  async ready(queue, vhost = "/") {
    const at = `queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}`;
    return (await this.get(`${at}?columns=messages_ready`)).messages_ready;
  }

  /** A user whose password is its name, with these tags and all permissions but those given. */
  async makeUser(name, tags, permission = {}) {
    await this.put(`users/${encodeURIComponent(name)}`, { password: name, tags });
    const all = { configure: ".*", write: ".*", read: ".*", ...permission };
    await this.put(`permissions/%2F/${encodeURIComponent(name)}`, all);
  }

  /** Publishes texts to the default exchange. */
  async publish(queue, ...texts) {
    for (const payload of texts) {
      await this.post("exchanges/%2F/amq.default/publish", {
        routing_key: queue,
        payload,
        payload_encoding: "string",
        properties: { delivery_mode: 2 },
      });
    }
  }

  connect(name, properties = {}) {
    return amqp.connect(`amqp://guest:guest@${this.address}`, {
      clientProperties: { connection_name: name, ...properties },
    });
  }

  /**
   * Traffic that does not end by itself: messages go to a queue by an exchange, with confirms, and
   * are consumed and acknowledged. Exchange, queue and binding are declared unless they are there.
   * Gives what ends it.
   */
  async traffic(options = {}) {
    const { exchange = "orders", queue = "orders.eu", key = "eu.new", everyMs = 20 } = options;
    const connection = await this.connect("a shop");
    connection.on("error", () => {});
    const publisher = await connection.createConfirmChannel();
    const consumer = await connection.createChannel();
    if (!options.isThere) {
      await publisher.assertExchange(exchange, "topic");
      await publisher.assertQueue(queue);
      await publisher.bindQueue(queue, exchange, key.replace(/\..*/, ".#"));
    }
    await consumer.prefetch(50);
    await consumer.consume(queue, (message) => message && consumer.ack(message), {
      consumerTag: "warehouse",
    });
    const body = Buffer.from(JSON.stringify({ order: 1, text: "a book" }));
    const timer = setInterval(() => {
      for (let i = 0; i < 3; i++) publisher.publish(exchange, key, body, { persistent: true });
      // One in ten goes where nothing is bound.
      if (Math.random() < 0.1) publisher.publish(exchange, "nobody", body, { mandatory: true });
    }, everyMs);
    return async () => {
      clearInterval(timer);
      await connection.close().catch(() => {});
    };
  }
}

module.exports = { startBroker, until, pause, PATIENCE_MS };
