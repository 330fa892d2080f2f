/*
 * What the page takes: time until something is seen, bytes, time of a page of 100,000 queues, and
 * the broker's CPU time per message with the overview open and without.
 *
 *     cargo build --release -p warren
 *     WARREN_BINARY=target/release/warren tests/browser/run --program figures [paint] [lists] [polls] [cpu]
 *
 * On a machine that does nothing else: all but the bytes are times.
 */
"use strict";

const assert = require("node:assert/strict");
const { execFile } = require("node:child_process");
const { readFileSync, readdirSync } = require("node:fs");
const { promisify } = require("node:util");
const { launch, open, settled, signIn } = require("./browser.js");
const { startBroker, until } = require("./warren.js");

const run = promisify(execFile);
const TIMES = 9;

const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const median = (numbers) => sorted(numbers)[Math.floor(numbers.length / 2)];

/** Queues that do nothing, by definitions, which is the quickest way to have so many. */
async function makeQueues(broker, count) {
  for (let first = 0; first < count; first += 20000) {
    const queues = Array.from({ length: Math.min(20000, count - first) }, (_, index) => ({
      name: `idle-${String(first + index).padStart(6, "0")}`,
      vhost: "/",
      durable: true,
      auto_delete: false,
      arguments: {},
    }));
    await broker.post("definitions", { queues });
  }
}

/** Bytes that came over the wire, heads of answers included, as the browser counts them. */
async function countBytes(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const counted = { bytes: 0, requests: 0 };
  session.on("Network.loadingFinished", ({ encodedDataLength }) => {
    counted.bytes += encodedDataLength;
    counted.requests += 1;
  });
  return counted;
}

const paintOf = (page) => page.evaluate(() =>
  performance.getEntriesByName("first-contentful-paint")[0]?.startTime);

/** The sign-in, and the overview of who is signed in, each in a browser that knows nothing yet. */
async function paint(broker, browser) {
  const [first, over] = [[], []];
  for (let time = 0; time < TIMES; time++) {
    const page = await open(browser, broker, { intervalMs: 5000 });
    const counted = await countBytes(page);
    await page.goto("/");
    await page.getByLabel("User name").waitFor();
    first.push(await paintOf(page));
    await signIn(page, "guest");
    await page.locator(".chart canvas").nth(5).waitFor();
    await settled(page);
    const { bytes, requests } = counted;
    // Once more with the cookie, and with nothing kept: what one sees who comes back.
    const session = await page.context().newCDPSession(page);
    await session.send("Network.setCacheDisabled", { cacheDisabled: true });
    await page.reload();
    await page.locator(".chart canvas").nth(5).waitFor();
    over.push(await paintOf(page));
    if (time === 0) {
      console.log(`transferred until the overview with its charts is there: ${bytes} bytes in ` +
        `${requests} answers`);
      assert.ok(bytes < 200000, "it is to be less than 200 kB");
    }
    await page.context().close();
  }
  const told = (name, all) => console.log(`first contentful paint, ${name}: median ` +
    `${median(all).toFixed(0)} ms, slowest of ${all.length} ${Math.max(...all).toFixed(0)} ms`);
  told("sign-in", first);
  told("overview", over);
}

/** Pages of a list of many queues: as the API answers them, and until they are on the screen. */
async function lists(broker, browser) {
  const many = 100000;
  await makeQueues(broker, many);
  const page = await open(browser, broker, { intervalMs: 0 });
  await page.goto("/");
  await signIn(page, "guest");
  const [answers, late] = [[], []];
  page.on("requestfinished", async (request) => {
    const url = new URL(request.url());
    if (url.pathname !== "/api/queues") return;
    const { requestStart, responseEnd } = request.timing();
    answers.push(responseEnd - requestStart);
  });
  for (const [name, query] of [
    ["the first page", "?size=50"],
    ["the last page", "?size=50&page=2000"],
    ["sorted by messages", "?size=50&sort=messages&reverse=1"],
    ["filtered by a text", "?size=50&name=999"],
    ["filtered by a pattern", "?size=50&name=9.9%24&regex=1"],
    ["500 on a page", "?size=500"],
  ]) {
    answers.length = 0;
    const shown = [];
    for (let time = 0; time < TIMES; time++) {
      await page.goto("/#/exchanges");
      await page.getByRole("region", { name: "List of exchanges" }).waitFor();
      const answered = page.waitForEvent("requestfinished", (request) =>
        new URL(request.url()).pathname === "/api/queues");
      shown.push(await page.evaluate((to) => new Promise((resolve) => {
        const start = performance.now();
        const seen = new MutationObserver(() => {
          if (!document.querySelector('[aria-label="List of queues"] tbody tr')) return;
          seen.disconnect();
          requestAnimationFrame(() => resolve(performance.now() - start));
        });
        seen.observe(document.body, { subtree: true, childList: true });
        window.location.hash = to;
      }), `#/queues${query}`));
      await answered;
    }
    await page.waitForTimeout(100);
    console.log(`${many} queues, ${name}: answered in ${median(answers).toFixed(1)} ms ` +
      `(slowest ${Math.max(...answers).toFixed(1)}), on the screen in ${median(shown).toFixed(0)} ms`);
    if (median(answers) >= 100) late.push(name);
  }
  await page.context().close();
  assert.deepEqual(late, [], "each is to be answered in less than 100 ms");
}

/** One round of the load: microseconds of the broker's CPU time per message. */
async function load(broker, seconds) {
  const { stdout } = await run(process.env.WARREN_BINARY, [
    "bench", "throughput", "--uri", `amqp://guest:guest@${broker.address}/`,
    "--rate", "20000", "--duration", `${seconds}s`, "--warmup", "2s", "--queues", "100",
    "--size", "1024", "--persistent", "--durable", "--confirm", "1000", "--ack", "manual",
    "--prefetch", "1000", "--pid", String(broker.pid), "--json",
  ]);
  const report = JSON.parse(stdout);
  return [report.cpu.broker.us_per_message, report.consumed.per_s];
}

/** Rounds with the overview open and without, in turn, as tests/load/polling does it. */
async function cpu(broker, browser) {
  const [pairs, seconds] = [Number(process.env.PAIRS ?? 6), Number(process.env.SECONDS ?? 15)];
  await makeQueues(broker, 10000);
  await load(broker, 3);
  const costs = { open: [], shut: [] };
  for (let pair = 0; pair < pairs; pair++) {
    for (const kind of pair % 2 ? ["open", "shut"] : ["shut", "open"]) {
      let page;
      if (kind === "open") {
        page = await open(browser, broker, { intervalMs: 5000 });
        await page.goto("/");
        await signIn(page, "guest");
        await page.locator(".chart canvas").nth(5).waitFor();
      }
      const [cost, rate] = await load(broker, seconds);
      costs[kind].push(cost);
      console.log(`overview ${kind}: ${cost.toFixed(3)} us of the broker's CPU per message at ` +
        `${rate.toFixed(0)} messages/s`);
      await page?.context().close();
    }
  }
  const [open_, shut] = [median(costs.open), median(costs.shut)];
  const more = 100 * (open_ / shut - 1);
  const pairwise = costs.open.map((cost, at) => 100 * (cost / costs.shut[at] - 1));
  console.log(`median: open ${open_.toFixed(3)} us, shut ${shut.toFixed(3)} us: ` +
    `${more.toFixed(2)} %; of pairs ${median(pairwise).toFixed(2)} %`);
}

/** CPU time that all threads of the broker have taken, in microseconds. */
function cpuTime(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const each = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]));
  return each.reduce((sum, one) => sum + one, 0) / 1000;
}

/**
 * What it takes the broker to answer the open overview once, with 10,000 queues and nothing else to
 * do: a count of CPU time, which other work on the machine disturbs less than it does `cpu`.
 */
async function polls(broker, browser) {
  const rounds = 20;
  await makeQueues(broker, 10000);
  const page = await open(browser, broker, { intervalMs: 1000 });
  let answered = 0;
  page.on("response", (response) => {
    if (new URL(response.url()).pathname === "/api/overview") answered += 1;
  });
  const alone = [cpuTime(broker.pid), Date.now()];
  await new Promise((resolve) => setTimeout(resolve, 10000));
  const idle = (cpuTime(broker.pid) - alone[0]) / (Date.now() - alone[1]);
  await page.goto("/");
  await signIn(page, "guest");
  await page.locator(".chart canvas").nth(5).waitFor();
  const [before, start, from] = [cpuTime(broker.pid), Date.now(), answered];
  await until("it was asked often enough", () => answered >= from + rounds, 60000);
  const taken = cpuTime(broker.pid) - before - idle * (Date.now() - start);
  const round = taken / (answered - from);
  console.log(`the open overview takes ${round.toFixed(0)} us of the broker's CPU each time it asks ` +
    `(mean of ${answered - from}); every 5 s, at 20,000 messages per ` +
    `second, that is ${(round / 100000).toFixed(4)} us per message`);
  await page.context().close();
}

async function main(wanted) {
  const all = { paint, lists, polls, cpu };
  for (const [name, measure] of Object.entries(all)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const [broker, browser] = await Promise.all([startBroker(), launch()]);
    try {
      await measure(broker, browser);
    } finally {
      await browser.close();
      await broker.stop();
    }
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
