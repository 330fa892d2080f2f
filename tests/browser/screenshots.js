/*
 * A picture of each page in light and dark, wide, and of some as on a phone, while messages run
 * through the broker:
 *
 *     tests/browser/run --program screenshots FOLDER [PAGE…]
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

/** How long the broker is at work before, so that charts have lines. */
const AT_WORK_MS = Number(process.env.AT_WORK_MS ?? 60000);

async function main([folder, ...wanted]) {
  if (!folder) throw new Error("where the pictures are to be put is not said");
  mkdirSync(folder, { recursive: true });
  const flags = ["--record", "SCRATCH/recordings"];
  const [broker, browser] = await Promise.all([startBroker({ flags }), launch()]);
  try {
    await furnish(broker);
    const end = await broker.traffic({ isThere: true });
    await pause(AT_WORK_MS);
    const [{ name: connection }] = await broker.get("connections?columns=name");
    for (const kind of ["light", "dark", "phone"]) {
      const viewport = kind === "phone" ? { viewport: PHONE } : {};
      const page = await open(browser, broker, { colours: kind === "dark" ? "dark" : "light", ...viewport });
      await page.goto("/");
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
