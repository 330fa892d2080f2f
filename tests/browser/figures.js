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
const { pause, startBroker, until } = require("./warren.js");

const run = promisify(execFile);
const TIMES = 9;
const RATE = Number(process.env.RATE ?? 20000); // messages per second
const TURN_MS = 2000;

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

/** When something was seen first, and when the largest of what was seen so far. */
const paintOf = (page) => page.evaluate(() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    const [first] = performance.getEntriesByName("first-contentful-paint");
    resolve([first.startTime, list.getEntries().at(-1).startTime]);
  }).observe({ type: "largest-contentful-paint", buffered: true });
}));

/**
 * The sign-in, and the overview of who is signed in: in a new tab, for which the browser begins a
 * process, and once more in the same one. It knows nothing yet, and keeps nothing.
 */
async function paint(broker, browser) {
  const seen = {};
  const note = async (page, name) => {
    const [first, largest] = await paintOf(page);
    (seen[name] ??= []).push({ first, largest });
  };
  const twice = async (page, name, isThere) => {
    const session = await page.context().newCDPSession(page);
    await session.send("Network.setCacheDisabled", { cacheDisabled: true });
    await page.goto("/");
    await isThere();
    await note(page, `${name} in a new tab`);
    await page.reload();
    await isThere();
    await note(page, `${name} again`);
  };
  for (let time = 0; time < TIMES; time++) {
    const page = await open(browser, broker, { intervalMs: 5000 });
    await twice(page, "sign-in", () => page.getByLabel("User name").waitFor());
    await signIn(page, "guest");
    const tab = await page.context().newPage();
    await twice(tab, "overview", () => tab.locator(".chart canvas").nth(5).waitFor());
    await page.context().close();
  }
  await transferred(broker, browser);
  for (const [name, all] of Object.entries(seen)) {
    const told = (kind) => {
      const times = all.map((one) => one[kind]);
      return `median ${median(times).toFixed(0)} ms, slowest of ${times.length} ` +
        `${Math.max(...times).toFixed(0)} ms`;
    };
    console.log(`${name}: first contentful paint ${told("first")}; largest ${told("largest")}`);
    const first = median(all.map((one) => one.first));
    assert.ok(first < 300, `${name}: ${first} ms, and it is to be less than 300`);
  }
}

/** What a browser that knows nothing yet is sent, from the sign-in to the overview's charts. */
async function transferred(broker, browser) {
  const page = await open(browser, broker, { intervalMs: 5000 });
  const counted = await countBytes(page);
  await page.goto("/");
  await page.getByLabel("User name").waitFor();
  await signIn(page, "guest");
  await page.locator(".chart canvas").nth(5).waitFor();
  await settled(page);
  console.log(`transferred until the overview with its charts is there: ${counted.bytes} bytes in ` +
    `${counted.requests} answers`);
  assert.ok(counted.bytes < 200000, "it is to be less than 200 kB");
  await page.context().close();
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

/** Messages that go through all of the queues, until it is ended; gives what was measured of them. */
function load(broker, queues, seconds) {
  return run(process.env.WARREN_BINARY, [
    "bench", "throughput", "--uri", `amqp://guest:guest@${broker.address}/`,
    "--rate", String(RATE), "--duration", `${seconds}s`, "--warmup", "1s", "--queues", String(queues),
    "--size", "1024", "--persistent", "--durable", "--confirm", "1000", "--ack", "manual",
    "--prefetch", "1000", "--json",
  ]).then(({ stdout }) => JSON.parse(stdout));
}

/** Waits until messages come out of the broker at the rate at which they are to. */
function loaded(broker) {
  return until("the load is there", async () => {
    const { message_stats: stats } = await broker.get("overview?columns=message_stats");
    return (stats?.ack_details?.rate ?? 0) > RATE * 0.9;
  }, 120000);
}

/**
 * What the open overview adds to the broker's CPU time per message. One load goes on all the time,
 * through 10,000 queues, and one page is open; in turns of two seconds it asks once a second, or
 * not at all, in pairs of which chance says which comes first. What else a machine does changes
 * more slowly than that. By itself the page asks every 5 seconds: that is a fifth.
 */
async function cpu(broker, browser) {
  const [pairs, queues] = [Number(process.env.PAIRS ?? 30), Number(process.env.QUEUES ?? 10000)];
  const page = await open(browser, broker, { intervalMs: 1000 });
  let answered = 0;
  page.on("requestfinished", (request) => {
    if (new URL(request.url()).pathname === "/api/overview") answered += 1;
  });
  await page.goto("/");
  await signIn(page, "guest");
  await page.locator(".chart canvas").nth(5).waitFor();
  const refresh = page.getByRole("banner").getByLabel("Refresh");
  const turn = async (isOpen) => {
    await refresh.selectOption(isOpen ? "1000" : "0");
    // It asks when it is chosen, and a second later: what is measured begins in between.
    await pause(500);
    const [before, begin, asked] = [cpuTime(broker.pid), performance.now(), answered];
    await pause(TURN_MS);
    const us = (cpuTime(broker.pid) - before) / ((performance.now() - begin) / 1000) / RATE;
    return { us, perSecond: ((answered - asked) * 1000) / TURN_MS };
  };
  let isOver = false;
  const report = load(broker, queues, Math.ceil(pairs * 5.4) + 8).finally(() => {
    isOver = true;
  });
  await Promise.race([loaded(broker), report]);
  await turn(true);
  const [alone, more] = [[], []];
  for (let pair = 0; pair < pairs && !isOver; pair++) {
    const isFirst = Math.random() < 0.5;
    const [one, other] = [await turn(isFirst), await turn(!isFirst)];
    const [opened, shut] = isFirst ? [one, other] : [other, one];
    assert.ok(opened.perSecond > 0 && shut.perSecond === 0, JSON.stringify({ opened, shut }));
    alone.push(shut.us);
    more.push((opened.us - shut.us) / opened.perSecond);
  }
  assert.equal(alone.length, pairs, "the load is to go on as long as it is measured");
  const { consumed } = await report;
  assert.ok(consumed.per_s > RATE * 0.95, `${consumed.per_s} messages per second`);
  const base = median(alone);
  const percent = more.map((us) => (100 * us) / base);
  const mean = percent.reduce((sum, one) => sum + one, 0) / pairs;
  const variance = percent.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (pairs - 1);
  const error = Math.sqrt(variance / pairs);
  const [low, high] = [0.25, 0.75].map((part) => sorted(percent)[Math.floor(pairs * part)]);
  console.log(`${queues} queues, ${consumed.per_s.toFixed(0)} messages/s, ${base.toFixed(2)} us of the ` +
    `broker's CPU per message with nobody looking (median of ${pairs} turns)`);
  console.log(`the overview open, asking every second: ${signed(median(percent))} % more (median of ` +
    `${pairs} pairs; half of them between ${signed(low)} and ${signed(high)} %), mean ` +
    `${signed(mean)} %, standard error ${error.toFixed(2)} %`);
  const usual = median(percent) / 5;
  console.log(`asking every 5 s, as it does by itself: ${signed(usual)} % more, mean ` +
    `${signed(mean / 5)} %, standard error ${(error / 5).toFixed(2)} %`);
  await page.context().close();
  assert.ok(usual <= 1, "it is to be at most 1 %");
}

const signed = (number) => `${number < 0 ? "" : "+"}${number.toFixed(2)}`;

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
