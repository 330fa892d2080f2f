/*
 * The page without a mouse.
 */
"use strict";

const assert = require("node:assert/strict");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

async function seed(broker) {
  await broker.put("queues/%2F/only", { durable: true });
}

/** What the keyboard is on: its role and name, as a screen reader would say it. */
const focused = (page) => page.evaluate(() => {
  const { activeElement: own } = document;
  const label = own.labels?.[0]?.textContent ?? own.getAttribute("aria-label") ?? own.innerText;
  return `${own.tagName.toLowerCase()} ${(label || own.textContent).trim().split("\n")[0]}`;
});

async function tabTo(page, wanted, most = 60) {
  const seen = [];
  for (let step = 0; step < most; step++) {
    await page.keyboard.press("Tab");
    seen.push(await focused(page));
    if (seen.at(-1).startsWith(wanted)) return seen;
  }
  assert.fail(`Tab does not come to ${wanted}: ${seen.join(" | ")}`);
}

flows("by keyboard only", { seed }, (flow) => {
  flow("one signs in, goes to a list, declares a queue and signs out", { user: null }, async (page, {
    broker,
  }) => {
    await until("the keyboard is at the first field", async () =>
      (await focused(page)) === "input User name");
    await page.keyboard.type("guest");
    await page.keyboard.press("Tab");
    await page.keyboard.type("guest");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await tabTo(page, "a Queues");
    await page.keyboard.press("Enter");
    await until("the keyboard is where one has come", async () =>
      (await focused(page)) === "h1 Queues");
    // It is there when the broker has said that one may.
    await page.getByRole("button", { name: "Declare a queue" }).waitFor();
    await tabTo(page, "button Declare a queue", 5);
    await page.keyboard.press("Enter");
    await until("the keyboard is in the window", async () => (await focused(page)) === "input Name");
    await page.keyboard.type("by keys");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Queue by keys" }).waitFor();
    await broker.get("queues/%2F/by%20keys");
    await tabTo(page, "button Sign out", 90);
    await page.keyboard.press("Enter");
    await page.getByLabel("User name").waitFor();
  });

  flow("Tab goes through the page from its top, and the first step leads past the menu", {
    at: "#/queues",
  }, async (page) => {
    await page.getByRole("link", { name: "only" }).waitFor();
    await page.getByRole("button", { name: "Declare a queue" }).waitFor();
    await page.evaluate(() => {
      document.body.tabIndex = -1;
      document.body.focus();
    });
    const seen = await tabTo(page, "a only");
    assert.equal(seen[0], "button Skip to the content");
    const places = ["a Warren", "select Virtual host", "a Overview", "a Queues", "button Declare"];
    const found = places.map((name) => seen.findIndex((one) => one.startsWith(name)));
    assert.deepEqual(found, [...found].sort((a, b) => a - b), seen.join(" | "));
    assert.ok(found.every((index) => index >= 0), seen.join(" | "));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Queue only" }).waitFor();
  });

  flow("a window keeps the keyboard, Escape closes it, and one is back where it was opened", {
    at: "#/queues/%2F/only",
  }, async (page, { broker }) => {
    for (const name of ["Delete", "Publish", "Purge"]) {
      const button = page.getByRole("button", { name, exact: true });
      await button.focus();
      await page.keyboard.press("Enter");
      const dialog = page.getByRole("dialog");
      await dialog.waitFor();
      for (let step = 0; step < 25; step++) {
        await page.keyboard.press("Tab");
        const isInside = await page.evaluate(() => {
          const { activeElement: own } = document;
          return own === document.body || own.closest("dialog") !== null;
        });
        assert.ok(isInside, `${name}: Tab has left the window for ${await focused(page)}`);
      }
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
      await until(`the keyboard is back at ${name}`, async () => {
        const now = await focused(page);
        if (now !== `button ${name}`) throw new Error(now);
        return true;
      });
    }
    await broker.get("queues/%2F/only");
  });

  flow("what has the keyboard can be seen", { at: "#/queues" }, async (page) => {
    await page.getByRole("link", { name: "only" }).waitFor();
    for (let step = 0; step < 40; step++) {
      await page.keyboard.press("Tab");
      const [outline, what] = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
        return [isSeen || document.activeElement === document.body, document.activeElement.outerHTML];
      });
      assert.ok(outline, what.slice(0, 200));
    }
  });

  flow("a list is sorted, and a node of the picture chosen, by keys", { at: "#/queues" },
    async (page) => {
      await page.getByRole("button", { name: "Ready" }).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("columnheader", { name: "Ready" }).and(
        page.locator("[aria-sort=descending]")).waitFor();
    });
});
