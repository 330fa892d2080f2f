/*
 * What is done to objects: each with its question before it, and what it did to the broker after.
 */
"use strict";

const assert = require("node:assert/strict");
const { row } = require("../browser.js");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

const named = (kind, name) => `${kind}/%2F/${encodeURIComponent(name)}`;

/** What was asked before, in the window that is open; and the answer that was given. */
async function answer(page, question, button) {
  const dialog = page.getByRole("dialog");
  await dialog.getByText(question).first().waitFor();
  await dialog.getByRole("button", { name: button, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
}

const told = (page, text) => page.getByRole("status").getByText(text).first().waitFor();

async function has(broker, path) {
  try {
    await broker.get(path);
    return true;
  } catch (error) {
    if (error.message.includes(": 404")) return false;
    throw error;
  }
}

flows("actions", { seed: (broker) => broker.traffic() }, (flow) => {
  flow("a queue is declared with arguments, and its page opens", { at: "#/queues" },
    async (page, { broker }) => {
      await page.getByRole("button", { name: "Declare a queue" }).click();
      const dialog = page.getByRole("dialog", { name: "Declare a queue" });
      await dialog.getByLabel("Name", { exact: true }).first().fill("declared");
      await dialog.getByRole("button", { name: "Add a row" }).click();
      await dialog.getByRole("group").getByLabel("Name").fill("x-max-length");
      await dialog.getByRole("group").getByLabel("Value").fill("many");
      await dialog.getByRole("button", { name: "Declare" }).click();
      await dialog.getByRole("alert").getByText('"many" is none').waitFor();
      await dialog.getByRole("group").getByLabel("Value").fill("7");
      await dialog.getByRole("button", { name: "Declare" }).click();
      await page.getByRole("heading", { name: "Queue declared" }).waitFor();
      const queue = await broker.get(named("queues", "declared"));
      assert.deepEqual([queue.durable, queue.arguments], [true, { "x-max-length": 7 }]);
      await row(page, "max-length").getByText("7").first().waitFor();
    });

  flow("what the broker refuses is told in the window, which stays open", { at: "#/queues" },
    async (page, { broker }) => {
      await broker.put(named("queues", "taken"), { durable: true });
      await page.getByRole("button", { name: "Declare a queue" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Name", { exact: true }).first().fill("taken");
      await dialog.getByLabel("Durable").uncheck();
      await dialog.getByRole("button", { name: "Declare" }).click();
      await dialog.getByRole("alert").getByText("durable").waitFor();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await dialog.waitFor({ state: "detached" });
    });

  flow("an exchange is declared, bound, published to, unbound and deleted", { at: "#/exchanges" },
    async (page, { broker }) => {
      await broker.put(named("queues", "bound"), { durable: true });
      await page.getByRole("button", { name: "Declare an exchange" }).click();
      let dialog = page.getByRole("dialog");
      await dialog.getByLabel("Name", { exact: true }).first().fill("news");
      await dialog.getByLabel("Type").first().selectOption("topic");
      await dialog.getByRole("button", { name: "Declare" }).click();
      await page.getByRole("heading", { name: "Exchange news" }).waitFor();
      await page.getByText("Nothing is bound to this exchange.").waitFor();

      await page.getByRole("button", { name: "Bind a queue or an exchange" }).click();
      dialog = page.getByRole("dialog");
      await dialog.getByLabel("Its name").fill("nobody");
      await dialog.getByRole("button", { name: "Bind" }).click();
      await dialog.getByRole("alert").waitFor();
      await dialog.getByLabel("Its name").fill("bound");
      await dialog.getByLabel("Routing key").fill("news.#");
      await dialog.getByRole("button", { name: "Bind" }).click();
      await row(page, "news.#").getByRole("link", { name: "bound" }).waitFor();

      await page.getByRole("button", { name: "Publish" }).click();
      dialog = page.getByRole("dialog");
      await dialog.getByLabel("Routing key").fill("weather");
      await dialog.getByLabel("Payload", { exact: true }).fill("rain");
      await dialog.getByRole("button", { name: "Publish" }).click();
      await dialog.getByRole("alert").getByText("No queue took it").waitFor();
      await dialog.getByLabel("Routing key").fill("news.weather");
      await dialog.getByRole("button", { name: "Publish" }).click();
      await told(page, "a queue has it");
      await until("it is there", async () => (await broker.ready("bound")) === 1);

      await page.getByRole("button", { name: "Unbind" }).click();
      await answer(page, "do not go from news to bound", "Unbind");
      await page.getByText("Nothing is bound to this exchange.").waitFor();
      await page.getByRole("button", { name: "Delete" }).click();
      await answer(page, "The exchange goes with", "Delete");
      await page.getByRole("heading", { name: "Exchanges", level: 1 }).waitFor();
      assert.equal(await has(broker, named("exchanges", "news")), false);
    });

  flow("a queue is bound from its own page, with arguments for a headers exchange",
    { at: "#/queues/%2F/orders.eu" }, async (page, { broker }) => {
      await page.getByRole("button", { name: "Bind to an exchange" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("From exchange").fill("amq.headers");
      for (const [name, value] of [["x-match", "any"], ["colour", "red"]]) {
        await dialog.getByRole("button", { name: "Add a row" }).click();
        await dialog.getByRole("group").getByLabel("Name").last().fill(name);
        const field = dialog.getByRole("group").getByLabel("Value").last();
        await (name === "x-match" ? field.selectOption(value) : field.fill(value));
      }
      await dialog.getByRole("button", { name: "Bind" }).click();
      await row(page, "amq.headers").getByText("red").waitFor();
      const bindings = await broker.get("bindings/%2F/e/amq.headers/q/orders.eu");
      assert.deepEqual(bindings[0].arguments, { "x-match": "any", colour: "red" });
    });

  flow("a message is published with its properties and headers, and got as it was",
    { at: "#/queues" }, async (page, { broker }) => {
      await broker.put(named("queues", "box"), { durable: true });
      await page.getByRole("link", { name: "box" }).click();
      await page.getByRole("button", { name: "Publish" }).click();
      let dialog = page.getByRole("dialog");
      await dialog.getByLabel("Payload", { exact: true }).fill('{"a": 1}');
      await dialog.getByRole("button", { name: "Add a row" }).click();
      await dialog.getByRole("group").getByLabel("Name").fill("tenant");
      await dialog.getByRole("group").getByLabel("Value").fill("north");
      await dialog.getByText("Properties").click();
      await dialog.getByLabel("Content type").fill("application/json");
      await dialog.getByRole("button", { name: "Publish" }).click();
      await told(page, "a queue has it");

      for (const [mode, left] of [["ack_requeue_true", 1], ["ack_requeue_false", 0]]) {
        await page.getByRole("button", { name: "Get messages" }).click();
        dialog = page.getByRole("dialog");
        await dialog.getByLabel("What becomes of them").selectOption(mode);
        await dialog.getByRole("button", { name: "Get", exact: true }).click();
        for (const text of ['{"a": 1}', "north", "application/json", "8 B"]) {
          await dialog.getByText(text).first().waitFor();
        }
        await dialog.getByRole("button", { name: "Close" }).click();
        await until("the queue has it or not", async () => (await broker.ready("box")) === left);
      }
      await page.getByRole("button", { name: "Get messages" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Get", exact: true }).click();
      await page.getByRole("dialog").getByText("The queue has no message that is ready.").waitFor();
    });

  flow("messages are looked at without being touched, and one of them is deleted",
    { at: "#/queues" }, async (page, { broker }) => {
      await broker.put(named("queues", "browsed"), { durable: true });
      const texts = Array.from({ length: 25 }, (_, n) => `message ${String(n).padStart(2, "0")}`);
      await broker.publish("browsed", ...texts);
      await page.goto("/#/queues/%2F/browsed");
      await page.getByRole("button", { name: "Look at them" }).click();
      const messages = page.getByRole("article");
      await messages.nth(19).waitFor();
      await page.getByRole("button", { name: "Show more" }).click();
      await messages.nth(24).waitFor();
      assert.deepEqual(await messages.locator("pre").allInnerTexts(), texts);
      const third = messages.filter({ hasText: "message 03" });
      await third.getByRole("button", { name: "Delete" }).click();
      await answer(page, "without being dead-lettered", "Delete");
      await third.waitFor({ state: "detached" });
      await until("one is gone", async () => (await broker.ready("browsed")) === 24);
      const left = await broker.post(`${named("queues", "browsed")}/get`, {
        count: 30, ackmode: "ack_requeue_true", encoding: "auto",
      });
      assert.deepEqual(left.map(({ payload }) => payload), texts.filter((t) => t !== "message 03"));
      assert.ok(left.every(({ redelivered }) => !redelivered), "looking has touched them");
    });

  flow("a queue is purged when that is confirmed, and not when it is not", { at: "#/queues" },
    async (page, { broker }) => {
      await broker.put(named("queues", "purged"), { durable: true });
      await broker.publish("purged", "a", "b");
      await page.goto("/#/queues/%2F/purged");
      await page.getByRole("button", { name: "Purge" }).click();
      await answer(page, "2 ready messages will be gone", "Cancel");
      assert.equal(await broker.ready("purged"), 2);
      await page.getByRole("button", { name: "Purge" }).click();
      await answer(page, "2 ready messages will be gone", "Purge");
      await told(page, "is purged");
      await until("it is empty", async () => (await broker.ready("purged")) === 0);
    });

  flow("a queue is deleted with what is in it, which is told before", { at: "#/queues" },
    async (page, { broker }) => {
      await broker.put(named("queues", "deleted"), { durable: true });
      await broker.publish("deleted", "a");
      await page.goto("/#/queues/%2F/deleted");
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await answer(page, "its bindings and 1 message.", "Delete");
      await page.getByRole("heading", { name: "Queues", level: 1 }).waitFor();
      assert.equal(await has(broker, named("queues", "deleted")), false);
    });

  flow("a paused queue hands nothing out until it is resumed", { at: "#/queues" },
    async (page, { broker }) => {
      const connection = await broker.connect("a listener");
      const channel = await connection.createChannel();
      await channel.assertQueue("paused");
      let got = 0;
      await channel.consume("paused", () => got++, { noAck: true });
      await page.goto("/#/queues/%2F/paused");
      await page.getByRole("button", { name: "Pause" }).click();
      await answer(page, "hands none out to consumers", "Pause");
      await page.getByText("This queue is paused").waitFor();
      await broker.publish("paused", "a", "b");
      await until("they wait", async () => (await broker.ready("paused")) === 2);
      assert.equal(got, 0);
      await page.getByRole("button", { name: "Resume" }).click();
      await until("they come", () => got === 2);
      await page.getByText("This queue is paused").waitFor({ state: "detached" });
      await connection.close();
    });

  flow("a connection is closed with a reason that the client is told", { at: "#/connections" },
    async (page, { broker }) => {
      const connection = await broker.connect("a victim");
      const closed = new Promise((resolve) => connection.once("close", resolve));
      await row(page, "a victim").getByRole("link").click();
      await page.getByRole("button", { name: "Close it" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Reason").fill("maintenance at noon");
      await dialog.getByRole("button", { name: "Close it" }).click();
      assert.match((await closed).message, /320.*maintenance at noon/);
      await page.getByRole("heading", { name: "Connections", level: 1 }).waitFor();
      await row(page, "a victim").waitFor({ state: "detached" });
    });

  flow("delayed messages are listed by their times, and one is taken back", { at: "#/delayed" },
    async (page, { broker }) => {
      await page.getByText("No message is delayed").waitFor();
      await broker.put(named("exchanges", "later"), {
        type: "x-delayed-message", durable: true, arguments: { "x-delayed-type": "fanout" },
      });
      await broker.put(named("queues", "later"), {});
      await broker.post("bindings/%2F/e/later/q/later", {});
      for (const hours of [48, 1]) {
        await broker.post(`${named("exchanges", "later")}/publish`, {
          routing_key: "", payload: `in ${hours} h`, payload_encoding: "string",
          properties: { headers: { "x-delay": hours * 3600000 } },
        });
      }
      await row(page, /59 min/).waitFor();
      const rows = page.locator("tbody tr");
      assert.equal(await rows.count(), 2);
      assert.match(await rows.nth(1).innerText(), /1 d 23 h/);
      await rows.nth(1).getByRole("button", { name: "Take back" }).click();
      await answer(page, "no queue will get it", "Take it back");
      await told(page, "taken back");
      await row(page, /1 d 23 h/).waitFor({ state: "detached" });
      assert.equal((await broker.get("delayed/%2F")).length, 1);
    });

  flow("messages are moved to another queue", { at: "#/queues" }, async (page, { broker }) => {
    for (const name of ["from", "into"]) await broker.put(named("queues", name), { durable: true });
    await broker.publish("from", "a", "b", "c");
    await page.goto("/#/queues/%2F/from");
    await page.getByRole("button", { name: "Move messages" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("To queue").fill("into");
    await dialog.getByRole("button", { name: "Move", exact: true }).click();
    await until("they are there", async () => (await broker.ready("into")) === 3);
    assert.equal(await broker.ready("from"), 0);
  });
});
