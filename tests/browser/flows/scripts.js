/*
 * Names, headers and bodies that would like to be scripts: they are shown as the text that they are.
 * Whatever the policy of the page has to stop makes the flow fail (see suite.js).
 */
"use strict";

const assert = require("node:assert/strict");
const { go, settled } = require("../browser.js");
const { flows } = require("../suite.js");

const IMAGE = '<img src=x onerror="window.ran=1;alert(1)">';
const SCRIPT = "<script>window.ran=1</script>";
const LINK = "javascript:window.ran=1";
const BROKEN = `"'><svg onload=window.ran=1>`;

const part = encodeURIComponent;

async function seed(broker) {
  const all = { configure: ".*", write: ".*", read: ".*" };
  await broker.put(`vhosts/${part(SCRIPT)}`, { description: IMAGE });
  await broker.put(`permissions/${part(SCRIPT)}/guest`, all);
  await broker.makeUser(BROKEN, "administrator");
  await broker.put(`exchanges/%2F/${part(LINK)}`, { type: "topic", arguments: { [IMAGE]: SCRIPT } });
  await broker.put(`queues/%2F/${part(IMAGE)}`, { durable: true, arguments: { [SCRIPT]: IMAGE } });
  await broker.put(`queues/%2F/${part(LINK)}`, {});
  await broker.post(`bindings/%2F/e/${part(LINK)}/q/${part(IMAGE)}`, {
    routing_key: SCRIPT, arguments: { [BROKEN]: IMAGE },
  });
  await broker.put(`policies/%2F/${part(IMAGE)}`, {
    pattern: "img|<script>", definition: { "dead-letter-exchange": SCRIPT }, "apply-to": "queues",
  });
  await broker.post(`exchanges/%2F/amq.default/publish`, {
    routing_key: IMAGE,
    payload: `${SCRIPT}${IMAGE}`,
    payload_encoding: "string",
    properties: { content_type: SCRIPT, reply_to: LINK, headers: { [IMAGE]: SCRIPT, b: BROKEN } },
  });
  const connection = await broker.connect(IMAGE, { product: SCRIPT, version: BROKEN, link: LINK });
  const channel = await connection.createChannel();
  await channel.consume(LINK, () => {}, { consumerTag: IMAGE });
  return () => connection.close();
}

/** Nothing ran, and nothing of it became an element. */
async function harmless(page) {
  assert.equal(await page.evaluate(() => window.ran), undefined);
  const made = 'img, svg[onload], script:not([src]), [onerror], a[href^="javascript:"]';
  assert.equal(await page.locator(made).count(), 0);
}

flows("scripts in what comes from outside", { seed }, (flow) => {
  flow("names of queues, exchanges, users, hosts, policies and connections are text in every list",
    {}, async (page) => {
      for (const [place, text] of [
        ["queues", IMAGE],
        ["exchanges", LINK],
        ["connections", IMAGE],
        ["channels", "127.0.0.1"],
        ["consumers", IMAGE],
        ["users", BROKEN],
        ["vhosts", SCRIPT],
        ["policies", IMAGE],
        ["limits", "Limits"],
        ["log", "Log"],
      ]) {
        await go(page, `#/${place}`);
        await page.locator("main").getByText(text).first().waitFor();
        await harmless(page);
      }
    });

  flow("on the pages of each they are text as well", {}, async (page, { broker }) => {
    const [connection] = await broker.get("connections");
    for (const [place, text] of [
      [`queues/%2F/${part(IMAGE)}`, SCRIPT],
      [`queues/%2F/${part(LINK)}`, IMAGE],
      [`exchanges/%2F/${part(LINK)}`, BROKEN],
      [`users/${part(BROKEN)}`, BROKEN],
      [`vhosts/${part(SCRIPT)}`, IMAGE],
      [`connections/${part(connection.name)}`, SCRIPT],
      [`channels/${part(`${connection.name} (1)`)}`, IMAGE],
    ]) {
      await go(page, `#/${place}`);
      await page.locator("main").getByText(text).first().waitFor();
      await settled(page);
      await harmless(page);
    }
  });

  flow("a message's body, properties and headers are text, looked at or got",
    { at: `#/queues/%2F/${part(IMAGE)}` }, async (page) => {
      await page.getByRole("button", { name: "Look at them" }).click();
      const message = page.getByRole("article");
      await message.getByText(`${SCRIPT}${IMAGE}`).waitFor();
      await message.getByText(BROKEN).waitFor();
      await harmless(page);
      await page.getByRole("button", { name: "Get messages" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText(IMAGE).first().waitFor();
      await dialog.getByRole("button", { name: "Get", exact: true }).click();
      await dialog.getByText(`${SCRIPT}${IMAGE}`).waitFor();
      await harmless(page);
    });

  flow("questions and answers name them as text", { at: `#/queues/%2F/${part(IMAGE)}` },
    async (page) => {
      await page.getByRole("button", { name: "Delete", exact: true }).first().click();
      await page.getByRole("dialog").getByText(IMAGE).first().waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Purge" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Purge" }).click();
      await page.getByRole("status").getByText(IMAGE).waitFor();
      await harmless(page);
    });

  flow("the drawing of a topology, and where a message would go, are text",
    { at: "#/topology" }, async (page) => {
      await page.locator("svg .node-name").filter({ hasText: LINK.slice(0, 10) }).first().waitFor();
      await harmless(page);
      await go(page, `#/route?exchange=${part(LINK)}`);
      await page.getByLabel("Routing key").fill(SCRIPT);
      await page.locator("main").getByRole("button", { name: "Where would it go?" }).click();
      await page.getByText("To 1 queue.").waitFor();
      await page.getByRole("link", { name: IMAGE }).first().waitFor();
      await harmless(page);
    });

  flow("an address that somebody hands on cannot bring one in", {}, async (page) => {
    for (const place of [IMAGE, `queues?name=${IMAGE}`, `queues/%2F/${IMAGE}`, LINK]) {
      await page.goto(`/#/${place}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await harmless(page);
    }
  });

  flow("the policy of the page forbids what is not its own", {}, async (page, { broker }) => {
    const { headers } = await fetch(broker.url);
    const policy = headers.get("content-security-policy");
    for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(rule), policy);
    }
    const other = await page.context().newPage();
    await other.goto(broker.url);
    const seen = await other.evaluate(() => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:1/x.png";
      document.body.append(image);
    }));
    assert.equal(seen, "img-src");
    await other.close();
  });
});
