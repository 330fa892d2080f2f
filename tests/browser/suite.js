/*
 * What every file of flows begins with: a broker, a browser, and tests whose names are the
 * sentences they prove. Each test has pages of its own, which must have broken no rule in the end.
 */
"use strict";

const { after, before, describe, it } = require("node:test");
const { finish, launch, open, signIn } = require("./browser.js");
const { startBroker } = require("./warren.js");

/** What a flow may take, on a machine that has other things to do. */
const FLOW_MS = 180000;

/** How much of a page is told where a flow fails on it. */
const TOLD_LEN = 3000;

/** What stands on a page, for who has to find out why a flow failed. */
async function tell(page) {
  const at = page.url();
  const text = await page.locator("main").first().ariaSnapshot({ timeout: 2000 }).catch(String);
  return `\n${at} shows:\n${text.slice(0, TOLD_LEN)}`;
}

/**
 * Flows of one subject, on a broker that is started with `flags` and `env`. `seed` is done to it
 * first, and gives what ends what it began. `body` is given `flow(sentence, options, run)`:
 * `run(page, { broker, another })` has a page on which `options.user` is signed in, or nobody if
 * that is null; `another(options)` opens one more.
 */
function flows(subject, { seed, flags, env }, body) {
  // One after the other: what one does to the broker, no other sees half done.
  describe(subject, { concurrency: 1 }, () => {
    let [broker, browser, end] = [];
    before(async () => {
      // Should one of the two not start, the other is ended all the same.
      const started = await Promise.allSettled([startBroker({ flags, env }), launch()]);
      [broker, browser] = started.map(({ value }) => value);
      const failed = started.find(({ status }) => status === "rejected");
      if (failed) throw failed.reason;
      end = await seed?.(broker);
    });
    after(async () => {
      await end?.();
      await browser?.close();
      await broker?.stop();
    });
    const flow = (sentence, options, run) =>
      it(sentence, { timeout: FLOW_MS }, async () => {
        const pages = [];
        const another = async (of) => {
          const page = await open(browser, broker, of);
          pages.push(page);
          await page.goto(`/${of.at ?? "#/"}`);
          if (of.user !== null) await signIn(page, of.user ?? "guest");
          return page;
        };
        try {
          await run(await another(options), { broker, browser, another });
          for (const page of pages) await finish(page);
        } catch (error) {
          for (const page of pages) error.stack += await tell(page);
          throw error;
        } finally {
          for (const page of pages) await page.context().close();
        }
      });
    body(flow);
  });
}

module.exports = { flows };
