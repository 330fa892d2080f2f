/*
 * What a person may not do is not offered, and the server refuses it all the same.
 */
"use strict";

const assert = require("node:assert/strict");
const { go } = require("../browser.js");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

async function seed(broker) {
  await broker.makeUser("monitor", "monitoring", { configure: "", write: "", read: "" });
  await broker.makeUser("writer", "management", { configure: "^writer" });
  await broker.makeUser("ruler", "policymaker");
  await broker.put("vhosts/hidden");
  await broker.put("permissions/hidden/guest", { configure: ".*", write: ".*", read: ".*" });
  await broker.put("queues/hidden/secret", {});
  await broker.put("queues/%2F/seen", { durable: true });
  await broker.publish("seen", "a message");
}

const names = async (page) =>
  page.getByRole("navigation", { name: "Sections" }).getByRole("link").allInnerTexts();

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
      for (const name of ["Pause", "Look at them", "Move messages"]) {
        assert.equal(await page.getByRole("button", { name }).count(), 0, name);
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

  flow("what the permissions of a user refuse is told in the window that asked for it",
    { user: "writer", at: "#/queues/%2F/seen" }, async (page, { broker }) => {
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("button", { name: "Delete" }).click();
      await dialog.getByRole("alert").getByText("You may not do this").waitFor();
      assert.equal(await broker.ready("seen"), 1);
      await dialog.getByRole("button", { name: "Cancel" }).click();
    });

  flow("a virtual host without a permission is not there for who has none in it",
    { user: "writer", at: "#/queues" }, async (page) => {
      await page.getByRole("status").getByText("1 queue").waitFor();
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
