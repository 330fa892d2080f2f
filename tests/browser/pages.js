/*
 * Every page of the management page, on a broker that shop.js furnished: what looks at all of them
 * goes by this list.
 */
"use strict";

/** Names, places, and what is done there until what is to be seen is there. */
const PAGES = [
  ["overview", "#/", (page) => page.locator(".chart canvas").nth(5).waitFor()],
  ["connections", "#/connections", (page) => page.getByText("a shop").waitFor()],
  ["connection", (known) => `#/connections/${encodeURIComponent(known.connection)}`],
  ["channels", "#/channels"],
  ["channel", (known) => `#/channels/${encodeURIComponent(`${known.connection} (2)`)}`],
  ["consumers", "#/consumers"],
  ["exchanges", "#/exchanges"],
  ["exchange", "#/exchanges/%2F/orders"],
  ["queues", "#/queues"],
  ["queue", "#/queues/%2F/orders.us", async (page) => {
    await page.locator(".chart canvas").nth(1).waitFor();
    await page.getByRole("button", { name: "Look at them" }).click();
    await page.getByRole("article").first().waitFor();
  }],
  ["publish", "#/queues/%2F/orders.eu", async (page) => {
    await page.getByRole("button", { name: "Publish" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Add a row" }).click();
  }],
  ["declare", "#/queues", (page) => page.getByRole("button", { name: "Declare a queue" }).click()],
  ["delete", "#/queues/%2F/orders.us", (page) =>
    page.getByRole("button", { name: "Delete", exact: true }).first().click()],
  ["delayed", "#/delayed"],
  ["topology", "#/topology", (page) => page.locator("svg .node").nth(5).waitFor()],
  ["route", "#/route?exchange=orders", async (page) => {
    await page.getByLabel("Routing key").fill("us.paid");
    await page.locator("main").getByRole("button", { name: "Where would it go?" }).click();
    await page.locator("svg .node").nth(5).waitFor();
  }],
  ["users", "#/users"],
  ["user", "#/users/alice"],
  ["vhosts", "#/vhosts"],
  ["vhost", "#/vhosts/staging"],
  ["policies", "#/policies"],
  ["policy", "#/policies", async (page) => {
    await page.getByRole("button", { name: "Set a policy" }).click();
    await page.getByRole("dialog").getByLabel("Pattern").fill("^orders");
    await page.getByRole("dialog").getByText("have a name that matches").waitFor();
  }],
  ["operator-policies", "#/operator-policies"],
  ["limits", "#/limits"],
  ["definitions", "#/definitions"],
  ["log", "#/log"],
  ["recordings", "#/recordings"],
  ["missing", "#/queues/%2F/nobody"],
];

module.exports = { PAGES };
