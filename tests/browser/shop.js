/*
 * A shop's worth of things in a broker: exchanges, queues, bindings, messages, policies, users. What
 * screenshots show, and what the checks of every page look at.
 */
"use strict";

const at = (kind, name, ...more) => [kind, "%2F", encodeURIComponent(name), ...more].join("/");

async function furnish(broker) {
  const { put, post } = broker;
  await put("vhosts/staging", { description: "what is tried out", default_queue_type: "quorum" });
  await put("permissions/staging/guest", { configure: ".*", write: ".*", read: ".*" });
  await broker.makeUser("alice", "management", { configure: "^alice" });
  await broker.makeUser("monitor", "monitoring");
  await put("vhost-limits/staging/max-queues", { value: 50 });
  await put("user-limits/alice/max-connections", { value: 10 });
  await put(at("policies", "orders"), {
    pattern: "^orders\\.",
    definition: { "max-length": 50000, "dead-letter-exchange": "failed" },
    priority: 5,
    "apply-to": "queues",
  });
  await put(at("operator-policies", "a-day"), {
    pattern: "",
    definition: { "message-ttl": 86400000 },
    priority: 1,
    "apply-to": "queues",
  });
  const unrouted = { "alternate-exchange": "unrouted" };
  await put(at("exchanges", "orders"), { type: "topic", durable: true, arguments: unrouted });
  await put("topic-permissions/%2F/alice", { exchange: "orders", write: "^eu", read: ".*" });
  await put(at("exchanges", "failed"), { type: "fanout", durable: true });
  await put(at("exchanges", "unrouted"), { type: "fanout", durable: true });
  await put(at("exchanges", "mail"), { type: "headers", durable: true });
  const later = { "x-delayed-type": "direct" };
  await put(at("exchanges", "later"), {
    type: "x-delayed-message",
    durable: true,
    arguments: later,
  });
  const queues = {
    "orders.eu": {},
    "orders.us": { "x-queue-type": "quorum" },
    "orders.audit": { "x-single-active-consumer": true },
    invoices: { "x-max-priority": 5 },
    letters: { "x-message-ttl": 3600000 },
    reminders: {},
    graveyard: {},
    lost: {},
  };
  for (const [name, given] of Object.entries(queues)) {
    await put(at("queues", name), { durable: true, arguments: given });
  }
  const bindings = [
    ["orders", "q/orders.eu", "eu.#"],
    ["orders", "q/orders.us", "us.#"],
    ["orders", "q/orders.audit", "#"],
    ["orders", "e/mail", "*.paid"],
    ["orders", "q/invoices", "*.paid"],
    ["mail", "q/letters", "", { "x-match": "any", letter: "yes" }],
    ["failed", "q/graveyard", ""],
    ["unrouted", "q/lost", ""],
    ["later", "q/reminders", "remind"],
  ];
  for (const [from, to, key, given = {}] of bindings) {
    await post(`bindings/%2F/e/${from}/${to}`, { routing_key: key, arguments: given });
  }
  await put("queues/staging/experiments", {});
  const send = (exchange, key, payload, properties = {}) =>
    post(at("exchanges", exchange, "publish"), {
      routing_key: key,
      payload,
      payload_encoding: "string",
      properties: { delivery_mode: 2, ...properties },
    });
  for (let order = 1; order <= 12; order++) {
    const body = JSON.stringify({ order, items: ["a book", "a lamp"], total: 12.5 * order });
    await send("orders", "us.paid", body, {
      content_type: "application/json",
      message_id: `order-${order}`,
      headers: { tenant: "north", attempt: 1 },
    });
  }
  for (let number = 1; number <= 3; number++) {
    await send("later", "remind", `reminder ${number}`, {
      headers: { "x-delay": 3600000 * number },
    });
  }
  await put(`${at("queues", "invoices")}/pause`);
}

module.exports = { furnish };
