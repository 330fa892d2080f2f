/*
 * The picture of a virtual host, and where a message would go.
 */
"use strict";

const assert = require("node:assert/strict");
const { go } = require("../browser.js");
const { flows } = require("../suite.js");
const { furnish } = require("../shop.js");

const node = (page, text) => page.locator("svg [role=button]").filter({ hasText: text });

async function seed(broker) {
  await furnish(broker);
  return broker.traffic({ isThere: true });
}

flows("topology", { seed }, (flow) => {
  flow("exchanges, bindings and queues are drawn, and told in words as well", { at: "#/topology" },
    async (page) => {
      for (const name of ["orders", "mail", "orders.eu", "orders.us", "letters", "graveyard"]) {
        await node(page, name).first().waitFor();
      }
      await page.getByText("The same in words").click();
      for (const text of [
        "exchange orders → queue orders.eu", "exchange orders → exchange mail",
        "exchange orders → exchange unrouted", "queue orders.us → exchange failed",
      ]) {
        await page.getByRole("listitem").filter({ hasText: text }).first().waitFor();
      }
    });

  flow("rates of queues, exchanges and arrows stand in the picture and move", { at: "#/topology" },
    async (page) => {
      for (const told of [
        /queue orders\.eu: .* in [1-9][\d.,]*\/s/, /exchange orders: topic · in [1-9][\d.,]*\/s/,
      ]) {
        await page.locator("svg .node title").filter({ hasText: told }).first()
          .waitFor({ state: "attached" });
      }
      const flow = page.locator(".edge.flowing .flow").filter({ hasText: /^≤ [1-9][\d.,]*\/s$/ });
      await flow.first().waitFor();
      await page.getByText("how many messages go that way per second at the most").waitFor();
    });

  flow("what is chosen is told of, by mouse or keys, and leads to its page", { at: "#/topology" },
    async (page) => {
      await node(page, "orders.us").first().click();
      await page.getByRole("heading", { name: "Queue orders.us" }).waitFor();
      await node(page, "mail").first().focus();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Exchange mail" }).waitFor();
      await page.getByRole("link", { name: "Open its page" }).click();
      await page.getByRole("heading", { name: "Exchange mail", level: 1 }).waitFor();
    });

  flow("a search finds what is wanted and shows what is around it", { at: "#/topology" },
    async (page) => {
      await node(page, "reminders").first().waitFor();
      await page.getByLabel("Show what is around").fill("grave");
      await page.getByRole("button", { name: "graveyard queue" }).click();
      await page.getByText("Shown is what is around the queue graveyard.").waitFor();
      await node(page, "graveyard").first().waitFor();
      await node(page, "reminders").first().waitFor({ state: "detached" });
      await page.reload();
      await page.getByText("Shown is what is around the queue graveyard.").waitFor();
      await page.getByRole("button", { name: "Show all" }).click();
      await node(page, "reminders").first().waitFor();
    });

  flow("where a message would go is answered with the bindings that take it, and nothing is sent",
    { at: "#/route?exchange=orders" }, async (page, { broker }) => {
      const before = await broker.ready("orders.us");
      const ask = page.locator("main").getByRole("button", { name: "Where would it go?" });
      await page.getByLabel("Routing key").fill("us.paid");
      await ask.click();
      await page.getByText("To 3 queues.").waitFor();
      for (const queue of ["orders.us", "orders.audit", "invoices"]) {
        await page.locator(".matches").getByRole("link", { name: queue }).waitFor();
      }
      await page.locator(".steps").getByText("us.#").waitFor();
      assert.equal(await broker.ready("orders.us"), before);
    });

  flow("headers decide where a headers exchange leads", { at: "#/route?exchange=mail" },
    async (page) => {
      const ask = page.locator("main").getByRole("button", { name: "Where would it go?" });
      await ask.click();
      await page.getByText("Nowhere. It would be dropped").waitFor();
      await page.getByRole("button", { name: "Add a row" }).click();
      await page.getByRole("group").getByLabel("Name").fill("letter");
      await page.getByRole("group").getByLabel("Value").fill("yes");
      await ask.click();
      await page.getByText("To 1 queue.").waitFor();
      await page.locator(".matches").getByRole("link", { name: "letters" }).waitFor();
    });

  flow("a delayed message is told to wait, and the default exchange to go by the queue's name",
    { at: "#/route?exchange=later" }, async (page) => {
      const ask = page.locator("main").getByRole("button", { name: "Where would it go?" });
      await page.getByLabel("Routing key").fill("remind");
      await page.getByRole("button", { name: "Add a row" }).click();
      await page.getByRole("group").getByLabel("Name").fill("x-delay");
      await page.getByRole("group").getByLabel("Type").selectOption("number");
      await page.getByRole("group").getByLabel("Value").fill("7200000");
      await ask.click();
      await page.getByText("it would wait for 2 h").waitFor();
      await page.locator(".matches").getByRole("link", { name: "reminders" }).waitFor();
      await page.locator("main").getByRole("combobox", { name: "Exchange" }).selectOption("");
      await page.getByLabel("Routing key").fill("invoices");
      await ask.click();
      await page.locator(".matches").getByRole("link", { name: "invoices" }).waitFor();
      await go(page, "#/topology");
    });
});
