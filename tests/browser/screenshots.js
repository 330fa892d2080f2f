/*
 * A picture of each page in light and dark, wide, and of some as on a phone, while messages run
 * through the broker:
 *
 *     tests/browser/run --program screenshots FOLDER [PAGE…]
 *     tests/browser/run --program screenshots --readme      those of the README, where they are kept
 */
"use strict";

const { mkdirSync } = require("node:fs");
const { join } = require("node:path");
const { PHONE, go, launch, open, settled, signIn } = require("./browser.js");
const { PAGES } = require("./pages.js");
const { furnish } = require("./shop.js");
const { pause, startBroker } = require("./warren.js");

/** What is seen on a phone too. */
const ON_PHONE = ["overview", "queues", "queue", "declare", "topology", "route"];

/** The README's: name, place, colours. */
const README = [
  ["overview", "#/", "light"],
  ["queue", "#/queues/%2F/orders.eu", "dark"],
  ["topology", "#/topology", "light"],
];
const README_FOLDER = join(__dirname, "../../server/page/screenshots");

/** How long the broker is at work before, so that charts have lines. */
const AT_WORK_MS = Number(process.env.AT_WORK_MS ?? 60000);

/** The README's pictures: charts of the last minute, at the pace at which the page asks by itself. */
async function readme(browser, broker) {
  mkdirSync(README_FOLDER, { recursive: true });
  for (const [name, place, colours] of README) {
    const page = await open(browser, broker, { colours, intervalMs: 5000 });
    await page.goto(`/${place}`);
    await signIn(page, "guest");
    await settled(page);
    if (name === "topology") {
      await page.locator("svg .node").filter({ hasText: /in [1-9]/ }).first().waitFor();
      await page.locator(".edge.flowing .flow").first().waitFor();
    } else {
      await page.getByRole("button", { name: "1 min" }).click();
      await page.locator(".chart canvas").nth(1).waitFor();
      const figure = page.locator(".figure").filter({ hasText: /(Published|In)\s*[1-9][\d.,]*\/s/ });
      await figure.first().waitFor();
    }
    await page.screenshot({ path: join(README_FOLDER, `${name}-${colours}.png`) });
    await page.context().close();
  }
}

async function all(browser, broker, folder, wanted) {
  mkdirSync(folder, { recursive: true });
  const [{ name: connection }] = await broker.get("connections?columns=name");
  for (const kind of ["light", "dark", "phone"]) {
    const viewport = kind === "phone" ? { viewport: PHONE } : {};
    const colours = kind === "dark" ? "dark" : "light";
    const page = await open(browser, broker, { colours, ...viewport });
    await page.goto("/");
    await page.getByLabel("User name").waitFor();
    if (wanted.length === 0) await page.screenshot({ path: join(folder, `sign-in-${kind}.png`) });
    await signIn(page, "guest");
    for (const [name, place, prepare] of PAGES) {
      if (wanted.length > 0 && !wanted.includes(name)) continue;
      if (kind === "phone" && !ON_PHONE.includes(name)) continue;
      if (await page.getByRole("dialog").count()) await page.reload();
      await go(page, typeof place === "string" ? place : place({ connection }));
      await prepare?.(page);
      await settled(page);
      await page.screenshot({ path: join(folder, `${name}-${kind}.png`) });
    }
    await page.context().close();
  }
}

async function main([folder, ...wanted]) {
  if (!folder) throw new Error("where the pictures are to be put is not said");
  const flags = ["--record", "SCRATCH/recordings"];
  const [broker, browser] = await Promise.all([startBroker({ flags }), launch()]);
  try {
    await furnish(broker);
    const end = await broker.traffic({ isThere: true });
    // What a queue did is kept from when somebody first asks for it.
    await broker.get("queues/%2F/orders.eu/history?seconds=60");
    await pause(AT_WORK_MS);
    if (folder === "--readme") await readme(browser, broker);
    else await all(browser, broker, folder, wanted);
    await end();
  } finally {
    await browser.close();
    await broker.stop();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
