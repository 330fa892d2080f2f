/*
 * Debian's Chromium, and the management page in it: one browser for each program, one context with
 * cookies of its own for each person. Whatever the page's policy forbids and whatever script fails
 * is kept by each page and makes the test fail that opened it.
 */
"use strict";

const assert = require("node:assert/strict");
const axe = require("axe-core");
const { chromium } = require("playwright-core");
const { PATIENCE_MS } = require("./warren.js");

const CHROMIUM = process.env.WARREN_CHROMIUM ?? "/usr/bin/chromium";
const DESKTOP = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };

function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** What the page does that it must not: runs in it before anything else. */
function watch() {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`);
  });
}

/** Has the page ask so often, in milliseconds; 0 is never. */
function ask(every) {
  if (!window.localStorage.getItem("warren.interval")) {
    window.localStorage.setItem("warren.interval", every);
  }
}

/** A page in a context of its own. */
async function open(browser, broker, options = {}) {
  const { viewport = DESKTOP, colours = "light", intervalMs = 1000 } = options;
  const context = await browser.newContext({
    viewport,
    colorScheme: colours,
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    baseURL: broker.url,
    acceptDownloads: true,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript(watch);
  await context.addInitScript(ask, String(intervalMs));
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    // What the server refuses is a flow's own business; everything else is not.
    const isAnswer = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isAnswer) page.faults.push(message.text());
  });
  page.on("dialog", (dialog) => {
    page.faults.push(`a script asked: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return page;
}

/** Fails if something ran or was tried that must not be. */
async function finish(page) {
  const violations = await page.evaluate(() => window.violations);
  assert.deepEqual([...violations, ...page.faults], []);
}

/** Fills the sign-in and sends it. */
async function fillSignIn(page, name, password = name) {
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Signs in somebody whose password is the name, and waits until that is done. */
async function signIn(page, name) {
  await fillSignIn(page, name);
  await page.getByRole("banner").waitFor();
}

/** Goes to a place of the page, and waits until what it is about is there. */
async function go(page, at) {
  await page.evaluate((to) => {
    window.location.hash = to;
  }, at);
  await settled(page);
}

/** Waits until nothing is being loaded. */
async function settled(page) {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.locator(".waiting").first().waitFor({ state: "detached" });
  await page.locator(".loading").first().waitFor({ state: "detached" });
}

/** The row of a list or table that has this text. */
function row(page, text) {
  return page.getByRole("row").filter({ hasText: text });
}

/** What axe-core has to complain of. */
async function complaints(page) {
  const session = await page.context().newCDPSession(page);
  if (!(await page.evaluate(() => "axe" in window))) {
    await session.send("Runtime.evaluate", { expression: `${axe.source}; undefined` });
  }
  const run = `axe.run(document, { resultTypes: ["violations"] }).then((found) =>
    found.violations.flatMap(({ id, nodes }) => nodes.map((node) =>
      id + ": " + node.target.join(" ") + ": " + node.failureSummary)))`;
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression: run,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
  return result.value;
}

module.exports = {
  DESKTOP,
  PHONE,
  complaints,
  fillSignIn,
  finish,
  go,
  launch,
  open,
  row,
  settled,
  signIn,
};
