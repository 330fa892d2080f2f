/*
 * What a person may not do is not offered, and the server refuses it all the same.
 */
"use strict";

const assert = require("node:assert/strict");
const { go, row } = require("../browser.js");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

async function seed(broker) {
  await broker.makeUser("monitor", "monitoring", { configure: "", write: "", read: "" });
  const some = { configure: "^writer", write: "^(writer|amq\\.default$)", read: "^seen" };
  await broker.makeUser("writer", "management", some);
  await broker.makeUser("loser", "management");
  await broker.put("queues/%2F/writer.own", { durable: true });
  await broker.put("exchanges/%2F/writer.x", { type: "fanout", durable: true });
  await broker.put("exchanges/%2F/seen.x", { type: "fanout", durable: true });
  await broker.post("bindings/%2F/e/seen.x/q/writer.own", { routing_key: "own" });
  await broker.post("bindings/%2F/e/writer.x/q/writer.own", { routing_key: "other" });
  await broker.makeUser("ruler", "policymaker");
  await broker.put("vhosts/hidden");
  await broker.put("permissions/hidden/guest", { configure: ".*", write: ".*", read: ".*" });
  await broker.put("queues/hidden/secret", {});
  await broker.put("queues/%2F/seen", { durable: true });
  await broker.publish("seen", "a message");
}

const names = async (page) =>
  page.getByRole("navigation", { name: "Sections" }).getByRole("link").allInnerTexts();

/** Fails unless these buttons are there, and those are not. */
async function offers(page, offered, others) {
  const button = (name) => page.locator("main").getByRole("button", { name, exact: true });
  for (const name of offered) await button(name).first().waitFor();
  for (const name of others) assert.equal(await button(name).count(), 0, name);
}

/** What the server answers when the page itself asks it for something. */
function ask(page, method, path, body) {
  return page.evaluate(async ([method, path, body]) => {
    const headers = { "x-warren-request": "1", "content-type": "application/json" };
    const answer = await fetch(`/api/${path}`, { method, headers, body });
    return answer.status;
  }, [method, path, body]);
}

flows("permissions", { seed }, (flow) => {
  flow("who may only look sees all there is, and is offered nothing that would change it",
    { user: "monitor", at: "#/queues/%2F/seen" }, async (page) => {
      await page.getByRole("heading", { name: "Queue seen" }).waitFor();
      for (const name of ["Delayed messages", "Users", "Definitions", "Log", "Flight recordings"]) {
        assert.ok(!(await names(page)).includes(name), name);
      }
      await page.getByText("You may look at this queue").waitFor();
      const all = [
        "Publish", "Get messages", "Move messages", "Pause", "Purge", "Delete", "Bind to an exchange",
        "Look at them", "Change arguments",
      ];
      await offers(page, [], all);
      await go(page, "#/exchanges/%2F/amq.topic");
      await page.getByText("You may look at this exchange").waitFor();
      await offers(page, [], ["Publish", "Bind a queue or an exchange", "Bind to another exchange"]);
      for (const place of ["queues", "exchanges"]) {
        await go(page, `#/${place}`);
        await page.getByRole("status").getByText(/\d+ (queue|exchange)/).waitFor();
        assert.equal(await page.getByRole("button", { name: /^Declare/ }).count(), 0, place);
      }
      await go(page, "#/vhosts");
      assert.equal(await page.getByRole("button", { name: "Add a virtual host" }).count(), 0);
      await go(page, "#/policies");
      assert.equal(await page.getByRole("button", { name: "Set a policy" }).count(), 0);
      for (const [method, path, body] of [
        ["GET", "users"],
        ["GET", "definitions"],
        ["PUT", "users/monitor", '{"password":"x","tags":"administrator"}'],
        ["PUT", "policies/%2F/mine", '{"pattern":"","definition":{"max-length":1}}'],
        ["DELETE", "queues/%2F/seen"],
        ["DELETE", "queues/%2F/seen/contents"],
        ["POST", "exchanges/%2F/amq.default/publish",
          '{"routing_key":"seen","payload":"x","payload_encoding":"string","properties":{}}'],
        ["GET", "logs"],
      ]) {
        const status = await ask(page, method, path, body);
        assert.ok(status === 401 || status === 403 || status === 400, `${method} ${path}: ${status}`);
      }
      assert.equal(await ask(page, "GET", "overview"), 200);
    });

  flow("what is offered for a queue, an exchange and a binding is what the permissions are for",
    { user: "writer", at: "#/queues/%2F/seen" }, async (page, { broker }) => {
      await page.getByRole("heading", { name: "Queue seen" }).waitFor();
      await offers(page, ["Publish", "Get messages", "Purge"], ["Delete", "Bind to an exchange"]);
      await page.getByRole("button", { name: "Publish" }).click();
      await page.getByRole("dialog").getByLabel("Payload", { exact: true }).fill("another");
      await page.getByRole("dialog").getByRole("button", { name: "Publish" }).click();
      await until("it is there", async () => (await broker.ready("seen")) === 2);

      await go(page, "#/queues/%2F/writer.own");
      await page.getByRole("heading", { name: "Queue writer.own" }).waitFor();
      await offers(page, ["Publish", "Delete", "Bind to an exchange"], ["Get messages", "Purge"]);
      await row(page, "seen.x").getByRole("button", { name: "Unbind" }).waitFor();
      assert.equal(await row(page, "writer.x").getByRole("button").count(), 0);

      await go(page, "#/exchanges/%2F/writer.x");
      await page.getByRole("heading", { name: "Exchange writer.x" }).waitFor();
      const from = "Bind a queue or an exchange";
      await offers(page, ["Publish", "Delete", "Bind to another exchange"], [from]);
      await go(page, "#/exchanges/%2F/seen.x");
      await page.getByRole("heading", { name: "Exchange seen.x" }).waitFor();
      await offers(page, [from], ["Publish", "Delete", "Bind to another exchange"]);
    });

  flow("a name that is not the person's to declare or to bind is told while it is written",
    { user: "writer", at: "#/queues" }, async (page, { broker }) => {
      await page.getByRole("button", { name: "Declare a queue" }).click();
      const dialog = page.getByRole("dialog");
      const declare = dialog.getByRole("button", { name: "Declare" });
      await dialog.getByLabel("Name", { exact: true }).first().fill("other");
      await dialog.getByRole("alert").getByText("^writer").waitFor();
      assert.ok(await declare.isDisabled());
      await dialog.getByLabel("Name", { exact: true }).first().fill("writer.new");
      await dialog.getByRole("alert").waitFor({ state: "detached" });
      await declare.click();
      await page.getByRole("heading", { name: "Queue writer.new" }).waitFor();
      await broker.get("queues/%2F/writer.new");

      await page.getByRole("button", { name: "Bind to an exchange" }).click();
      await dialog.getByLabel("From exchange").fill("amq.topic");
      await dialog.getByRole("alert").getByText("^seen").waitFor();
      await dialog.getByLabel("From exchange").fill("seen.x");
      await dialog.getByRole("alert").waitFor({ state: "detached" });
      await dialog.getByRole("button", { name: "Bind" }).click();
      await row(page, "seen.x").waitFor();
    });

  flow("what the broker refuses all the same is told in the window that asked for it",
    { user: "loser", at: "#/queues/%2F/seen" }, async (page, { broker }) => {
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      const none = { configure: "", write: "", read: "" };
      await broker.put("permissions/%2F/loser", none);
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("button", { name: "Delete" }).click();
      await dialog.getByRole("alert").getByText("You may not do this").waitFor();
      await broker.get("queues/%2F/seen");
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await page.getByText("You may look at this queue").waitFor();
      await offers(page, [], ["Delete", "Purge", "Get messages", "Publish"]);
    });

  flow("a virtual host without a permission is not there for who has none in it",
    { user: "writer", at: "#/queues" }, async (page) => {
      await page.getByRole("status").getByText(/^\d+ queues?$/).waitFor();
      const choice = page.getByRole("banner").getByRole("combobox", { name: "Virtual host" });
      await until("the choice is known", async () =>
        (await choice.getByRole("option").allInnerTexts()).join() === "all,/");
      await page.goto("/#/queues/hidden/secret");
      await page.getByRole("alert").first().waitFor();
      assert.equal(await page.getByRole("button", { name: "Purge" }).count(), 0);
    });

  flow("a policymaker sets policies, and no operator policies", { user: "ruler", at: "#/policies" },
    async (page) => {
      await page.getByRole("button", { name: "Set a policy" }).waitFor();
      await go(page, "#/operator-policies");
      assert.equal(await page.getByRole("button", { name: /Set an operator/ }).count(), 0);
    });
});
