/*
 * Every page, in light and dark, wide and narrow: axe-core finds nothing to complain of, and nothing
 * sticks out.
 */
"use strict";

const assert = require("node:assert/strict");
const { PHONE, complaints, go, settled } = require("../browser.js");
const { PAGES } = require("../pages.js");
const { furnish } = require("../shop.js");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

async function seed(broker) {
  await furnish(broker);
  return broker.traffic({ isThere: true });
}

/** Goes through all pages. */
async function eachPage(page, broker, look) {
  const [{ name: connection }] = await broker.get("connections?columns=name");
  for (const [name, place, prepare] of PAGES) {
    // A window of the page before is gone with a page that is loaded anew.
    if (await page.getByRole("dialog").count()) await page.reload();
    await go(page, typeof place === "string" ? place : place({ connection }));
    await prepare?.(page);
    await settled(page);
    await look(name);
  }
}

const flags = ["--record", "SCRATCH/recordings"];

flows("looks", { seed, flags }, (flow) => {
  for (const colours of ["light", "dark"]) {
    flow(`axe-core finds nothing on any page, ${colours}`, { colours }, async (page, { broker }) => {
      const found = [];
      await eachPage(page, broker, async (name) => {
        found.push(...(await complaints(page)).map((one) => `${name}: ${one}`));
      });
      assert.deepEqual(found, []);
    });
  }

  flow("axe-core finds nothing at the sign-in and in what it refuses", { user: null },
    async (page) => {
      assert.deepEqual(await complaints(page), []);
      await page.getByLabel("User name").fill("nobody");
      await page.getByLabel("Password").fill("nobody");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("alert").waitFor();
      assert.deepEqual(await complaints(page), []);
      // It does find what is there to be found.
      await page.evaluate(() => document.querySelector("label").remove());
      assert.match((await complaints(page)).join(), /^label: /);
    });

  flow("on a phone no page is wider than it, and all of it has a name", { viewport: PHONE },
    async (page, { broker }) => {
      const found = [];
      await eachPage(page, broker, async (name) => {
        const [wide, screen] = await page.evaluate(() =>
          [document.documentElement.scrollWidth, window.innerWidth]);
        const cut = await page.evaluate(() => {
          const all = [...document.querySelectorAll("dialog, dialog form")];
          return all.some(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth);
        });
        if (cut) found.push(`${name}: the window is wider than the screen`);
        if (wide > screen) found.push(`${name} is ${wide} wide on a screen of ${screen}`);
        if (["overview", "queues", "queue", "declare", "topology"].includes(name)) {
          found.push(...(await complaints(page)).map((one) => `${name}: ${one}`));
        }
      });
      assert.deepEqual(found, []);
      await go(page, "#/queues");
      await page.getByRole("button", { name: "Menu" }).click();
      await page.getByRole("link", { name: "Exchanges" }).click();
      await page.getByRole("heading", { name: "Exchanges", level: 1 }).waitFor();
      await until("the menu is closed again", async () =>
        (await page.getByRole("button", { name: "Menu" }).getAttribute("aria-expanded")) === "false");
    });

  flow("colours are those of the system until others are chosen, which is kept",
    { colours: "dark" }, async (page) => {
      const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      const dark = await ground();
      await page.emulateMedia({ colorScheme: "light" });
      const light = await ground();
      assert.notEqual(dark, light);
      const choice = page.getByRole("banner").getByRole("combobox", { name: "Colours" });
      await choice.selectOption("dark");
      assert.equal(await ground(), dark);
      await page.reload();
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      assert.equal(await ground(), dark);
    });
});
