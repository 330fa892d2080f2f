/*
 * The lists: sorted, filtered and cut into pages by the server, with the columns that are wanted.
 */
"use strict";

const assert = require("node:assert/strict");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

const QUEUES = 130;

async function seed(broker) {
  const queues = Array.from({ length: QUEUES }, (_, number) => ({
    name: `queue-${String(number).padStart(3, "0")}`,
    vhost: "/",
    durable: true,
    auto_delete: false,
    arguments: {},
  }));
  await broker.put("vhosts/other");
  await broker.put("permissions/other/guest", { configure: ".*", write: ".*", read: ".*" });
  await broker.post("definitions", { queues });
  await broker.put("queues/other/elsewhere", {});
  for (const [number, many] of [["077", 3], ["005", 2], ["111", 1]]) {
    await broker.publish(`queue-${number}`, ...Array(many).fill("a message"));
  }
  return broker.traffic({ exchange: "trade", queue: "queue-042", key: "t.1" });
}

/** What stands in a column, from the first row down. */
async function column(page, title) {
  const titles = await page.getByRole("columnheader").allInnerTexts();
  const index = titles.findIndex((text) => text.replace(/[↑↓\s]+$/, "") === title);
  assert.ok(index >= 0, `${title} is no column: ${titles}`);
  return page.locator(`tbody tr td:nth-child(${index + 1})`).allInnerTexts();
}

const firstIs = (page, name) =>
  until(`${name} is first`, async () => (await column(page, "Name"))[0] === name);

flows("lists", { seed }, (flow) => {
  flow("one page after the other holds each queue once", { at: "#/queues" }, async (page) => {
    await page.getByRole("status").getByText(`${QUEUES + 1} queues`).waitFor();
    const all = [];
    for (const [first, rows] of [["elsewhere", 50], ["queue-049", 50], ["queue-099", 31]]) {
      await firstIs(page, first);
      const names = await column(page, "Name");
      assert.equal(names.length, rows);
      all.push(...names);
      const next = page.getByRole("button", { name: "Next" });
      if (await next.isEnabled()) await next.click();
    }
    assert.equal(new Set(all).size, QUEUES + 1);
    assert.ok(await page.getByRole("button", { name: "Next" }).isDisabled());
    await page.getByRole("spinbutton", { name: "Page" }).fill("2");
    await page.keyboard.press("Tab");
    await firstIs(page, "queue-049");
    await page.getByLabel("on a page").selectOption("250");
    await firstIs(page, "elsewhere");
    assert.equal((await column(page, "Name")).length, QUEUES + 1);
  });

  flow("a click on a heading sorts by it, and another turns the order round",
    { at: "#/queues" }, async (page) => {
      await page.getByRole("button", { name: "Ready" }).click();
      await firstIs(page, "queue-077");
      assert.deepEqual((await column(page, "Ready")).slice(0, 2), ["3", "2"]);
      const sorted = page.getByRole("columnheader", { name: "Ready" });
      assert.equal(await sorted.getAttribute("aria-sort"), "descending");
      await page.getByRole("button", { name: "Name" }).click();
      await firstIs(page, "elsewhere");
      await page.getByRole("button", { name: "Name" }).click();
      await firstIs(page, "queue-129");
    });

  flow("a filter leaves what has it in its name, as a text or as a pattern",
    { at: "#/queues" }, async (page) => {
      const filter = page.getByRole("searchbox", { name: "Filter queues by name" });
      await filter.fill("queue-07");
      await page.getByRole("status").getByText(`10 of ${QUEUES + 1} queues`).waitFor();
      await firstIs(page, "queue-070");
      await page.getByLabel("Regex").check();
      await filter.fill("-(005|111)$");
      await page.getByRole("status").getByText(`2 of ${QUEUES + 1} queues`).waitFor();
      await until("both are there", async () =>
        (await column(page, "Name")).join() === "queue-005,queue-111");
      await filter.fill("(");
      await page.getByRole("alert").waitFor();
      await page.getByLabel("Regex").uncheck();
      await filter.fill("no such name");
      await page.getByText("has this in its name").waitFor();
      await page.getByRole("button", { name: "Show all" }).click();
      await firstIs(page, "elsewhere");
      assert.equal(await filter.inputValue(), "");
    });

  flow("filter, order and page stand in the address, so that it can be handed on",
    { at: "#/queues?page=2&size=25&name=queue&sort=name&reverse=1" }, async (page) => {
      await firstIs(page, "queue-104");
      assert.equal((await column(page, "Name")).length, 25);
      await page.getByRole("link", { name: "queue-104" }).click();
      await page.getByRole("heading", { name: "Queue queue-104" }).waitFor();
      await page.goBack();
      await firstIs(page, "queue-104");
    });

  flow("columns are chosen, and the choice is kept", { at: "#/queues" }, async (page) => {
    await page.getByRole("button", { name: "Columns" }).click();
    await page.getByRole("checkbox", { name: "Bytes" }).check();
    await page.getByRole("checkbox", { name: "Consumers" }).uncheck();
    await page.getByRole("columnheader", { name: "Bytes" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("checkbox", { name: "Bytes" }).waitFor({ state: "hidden" });
    await page.reload();
    await page.getByRole("columnheader", { name: "Bytes" }).waitFor();
    assert.equal(await page.getByRole("columnheader", { name: "Consumers" }).count(), 0);
    await page.getByRole("button", { name: "Columns" }).click();
    await page.getByRole("button", { name: "Reset" }).click();
    await page.getByRole("columnheader", { name: "Consumers" }).waitFor();
    assert.equal(await page.getByRole("columnheader", { name: "Bytes" }).count(), 0);
  });

  flow("the choice of a virtual host is for all lists", { at: "#/queues" }, async (page) => {
    const choice = page.getByRole("banner").getByRole("combobox", { name: "Virtual host" });
    await choice.selectOption("other");
    await page.getByRole("status").getByText("1 queue").waitFor();
    await page.goto("/#/exchanges");
    await page.getByRole("status").getByText("7 exchanges").waitFor();
    await page.goto("/#/connections");
    await page.getByText("Nobody is connected.").waitFor();
    await choice.selectOption("");
    await page.getByRole("link", { name: /127\.0\.0\.1/ }).waitFor();
  });

  flow("connections, channels and consumers of the traffic lead to one another",
    { at: "#/connections" }, async (page) => {
      await page.getByText("a shop").waitFor();
      await page.getByRole("link", { name: /^127\.0\.0\.1:\d+ ->/ }).click();
      await page.getByText("amqplib").first().waitFor();
      await page.getByRole("heading", { name: "Channels (2)" }).waitFor();
      await until("bytes are counted", async () =>
        /From the client\s+[\d.]+ [KM]iB/.test(await page.locator(".figures").innerText()));
      await page.locator("table").getByRole("link", { name: "2" }).click();
      await page.getByRole("heading", { name: /^Channel .*\(2\)/ }).waitFor();
      await page.getByRole("cell", { name: "warehouse" }).waitFor();
      await page.locator("table").getByRole("link", { name: "queue-042" }).click();
      await page.getByRole("heading", { name: "Queue queue-042" }).waitFor();
      await page.getByRole("heading", { name: "Consumers (1)" }).waitFor();
      await page.getByRole("link", { name: "trade" }).click();
      await page.getByRole("heading", { name: "Exchange trade" }).waitFor();
      await page.getByRole("link", { name: "queue-042" }).click();
      await page.getByRole("heading", { name: "Queue queue-042" }).waitFor();
      await page.goto("/#/consumers");
      await page.getByRole("cell", { name: "warehouse" }).waitFor();
      await page.goto("/#/channels");
      await page.getByRole("cell", { name: "confirms" }).waitFor();
    });

  flow("a queue's page shows its rates as they are", { at: "#/queues/%2F/queue-042" },
    async (page) => {
      await until("messages come in", async () =>
        /\bIn\s+(?!0\/s)[\d.,]+\/s/.test(await page.locator(".figures").innerText()));
      await until("the chart tells of it", async () =>
        /Delivered [1-9][\d.,]*\/s/.test(
          await page.locator(".chart li").filter({ hasText: /^Delivered/ }).innerText()));
    });
});
