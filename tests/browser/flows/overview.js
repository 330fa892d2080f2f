/*
 * The overview, while messages run through the broker and before anything is there.
 */
"use strict";

const assert = require("node:assert/strict");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

/** What a figure of this name says, as a number. */
async function figure(page, name) {
  const own = page.locator(".figure").filter({ has: page.getByText(name, { exact: true }) });
  const text = await own.locator(".figure-value").innerText();
  return Number(text.replace("/s", "").replaceAll(",", ""));
}

flows("the overview of a broker at work", {
  seed: async (broker) => {
    await broker.put("queues/%2F/kept", {});
    await broker.publish("kept", "one", "two", "three");
    return broker.traffic();
  },
}, (flow) => {
  flow("its rates move with the traffic, without being asked for anew", {}, async (page) => {
    for (const name of ["Published", "Confirmed", "Delivered", "Acked", "Unroutable"]) {
      await until(`${name} moves`, async () => (await figure(page, name)) > 0);
    }
    const before = await figure(page, "Published");
    await until("it moves on", async () => (await figure(page, "Published")) !== before);
    assert.equal(await figure(page, "Redelivered"), 0);
  });

  flow("it counts what there is, and leads to the lists of it", {}, async (page) => {
    await until("it counts", async () => (await figure(page, "Queues")) === 2);
    // What published a message a moment ago, over the API, may be about to go.
    await until("only the traffic's connection is left", async () =>
      (await figure(page, "Connections")) === 1);
    await until("its channels are counted", async () => (await figure(page, "Channels")) === 2);
    await until("its consumer is counted", async () => (await figure(page, "Consumers")) === 1);
    await until("messages are counted", async () => (await figure(page, "Total")) >= 3);
    for (const name of ["Connections", "Channels", "Consumers", "Exchanges", "Queues"]) {
      await page.goto("/#/");
      await page.locator(".figure").filter({ hasText: name }).click();
      await page.getByRole("heading", { name, level: 1 }).waitFor();
    }
  });

  flow("charts show the range that is chosen", {}, async (page) => {
    const asked = [];
    page.on("request", (request) => {
      if (request.url().includes("/api/history")) asked.push(new URL(request.url()));
    });
    const ranges = page.getByRole("group", { name: "Time shown" });
    for (const [name, seconds] of [["1 min", 60], ["1 h", 3600], ["10 min", 600]]) {
      await ranges.getByRole("button", { name }).click();
      await ranges.getByRole("button", { name, pressed: true }).waitFor();
      await until(`${name} is asked for`, () =>
        asked.some((url) => Number(url.searchParams.get("seconds")) >= seconds));
    }
    await page.locator(".chart canvas").nth(5).waitFor();
    const legend = page.getByRole("listitem").filter({ hasText: "Published" });
    await until("the last value of a line stands below it", async () =>
      /Published [\d.,]+\/s/.test(await legend.innerText()));
  });

  flow("memory, disk, syncs and the node are told with their units", {}, async (page) => {
    const legend = (text) => page.locator(".chart li").filter({ hasText: text }).first();
    await until("memory", async () =>
      /^Whole process [\d.,]+ [KMG]iB$/.test(await legend("Whole process").innerText()));
    await until("syncs", async () =>
      /up to [\d.,]+ m?s$/.test(await legend("99 of 100").innerText()));
    await page.getByText(/[KMGT]iB are free; publishers wait below [\d.,]+ [KMG]iB/).waitFor();
    await page.getByText(/amqp 127\.0\.0\.1:\d+/).waitFor();
  });
});

flows("the overview of an empty broker", {}, (flow) => {
  flow("it says what to do first, and leads there", {}, async (page, { broker }) => {
    await page.getByText("Nothing is declared yet.").waitFor();
    await page.getByText(broker.address.split(":")[1], { exact: true }).waitFor();
    await page.getByRole("link", { name: "declare a queue" }).click();
    await page.getByText("There are no queues yet.").waitFor();
  });

  flow("each empty list says why it is empty, and what to do", {}, async (page) => {
    for (const [place, text] of [
      ["connections", "Clients connect with AMQP 0-9-1"],
      ["channels", "Clients open channels on their connections"],
      ["consumers", "Messages wait in their queues until a client consumes"],
      ["queues", "Declare one here to try it out"],
      ["delayed", "Declare an exchange of type x-delayed-message"],
      ["topology", "Nothing is bound here yet."],
      ["policies", "A policy asks something of all queues or exchanges"],
      ["operator-policies", "An operator policy sets limits"],
      ["limits", "A limit keeps one of them from taking what others need"],
      ["recordings", "There are no recordings yet."],
    ]) {
      await page.goto(`/#/${place}`);
      await page.locator(".empty").getByText(text).first().waitFor();
    }
  });

  flow("an address of nothing, and a queue that is not there, are told so", {}, async (page) => {
    await page.goto("/#/nonsense");
    await page.getByText("There is no page of this address.").waitFor();
    await page.goto("/#/queues/%2F/nobody");
    await page.getByRole("alert").getByText("There is no such object").waitFor();
  });

  flow("a broker that is gone is told in words, and what comes back is shown",
    { at: "#/queues" }, async (page) => {
      await page.getByText("There are no queues yet.").waitFor();
      await page.route("**/api/**", (route) => route.abort());
      await page.getByRole("alert").getByText("The broker does not answer.").first().waitFor();
      await page.unroute("**/api/**");
      await page.getByText("The broker does not answer.").first().waitFor({ state: "detached" });
      await page.getByText("There are no queues yet.").waitFor();
    });
});
