/*
 * Who gets in, and for how long.
 */
"use strict";

const assert = require("node:assert/strict");
const { fillSignIn, signIn } = require("../browser.js");
const { flows } = require("../suite.js");
const { pause, until } = require("../warren.js");

const IDLE_MS = 1500;

async function seed(broker) {
  await broker.makeUser("reader", "monitoring");
  await broker.makeUser("nobody", "");
  await broker.makeUser("briefly", "administrator");
}

flows("sign-in", { seed }, (flow) => {
  flow("a wrong password is told in words, and the next try gets in", { user: null }, async (page) => {
    await fillSignIn(page, "reader", "wrong");
    await page.getByRole("alert").getByText("do not go together").waitFor();
    assert.equal(await page.getByLabel("Password").inputValue(), "");
    await signIn(page, "reader");
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  });

  flow("a user without a tag is told which tags let it in", { user: null }, async (page) => {
    await fillSignIn(page, "nobody");
    await page.getByRole("alert").getByText("it needs one of the tags management").waitFor();
    assert.deepEqual(await page.context().cookies(), []);
  });

  flow(
    "the cookie is out of reach of scripts and other sites, and is worth nothing after sign-out",
    { at: "#/queues" },
    async (page, { broker }) => {
      await page.getByRole("heading", { name: "Queues", level: 1 }).waitFor();
      const [cookie, ...others] = await page.context().cookies();
      assert.deepEqual(others, []);
      assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
      const seen = await page.evaluate(() => document.cookie + JSON.stringify(localStorage));
      assert.ok(!seen.includes(cookie.value), seen);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("User name").waitFor();
      assert.deepEqual(await page.context().cookies(), []);
      const headers = { cookie: `${cookie.name}=${cookie.value}`, "x-warren-request": "1" };
      const again = await fetch(`${broker.url}/api/whoami`, { headers });
      assert.equal(again.status, 401);
      await page.reload();
      await page.getByLabel("User name").waitFor();
    },
  );

  flow(
    "whose password is changed has to sign in anew",
    { user: "briefly", at: "#/queues" },
    async (page, { broker }) => {
      await page.getByRole("heading", { name: "Queues", level: 1 }).waitFor();
      await broker.put("users/briefly", { password: "another", tags: "administrator" });
      await page.getByLabel("User name").waitFor();
      await fillSignIn(page, "briefly", "another");
      await page.getByRole("heading", { name: "Queues", level: 1 }).waitFor();
    },
  );

  flow("two people in two browsers have a session each", {}, async (page, { another }) => {
    const other = await another({ user: "reader" });
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("User name").waitFor();
    await other.reload();
    await other.getByRole("banner").getByText("reader").waitFor();
  });
});

flows("sessions", { env: { WARREN_LOGIN_IDLE_TIMEOUT: String(IDLE_MS) } }, (flow) => {
  flow(
    "a session that was left alone is over, and who signs in again is where they were",
    { intervalMs: 0 },
    async (page) => {
      await until("the session ends", async () => {
        // Each request keeps it for as long again; so none is made for longer than that.
        await pause(IDLE_MS + 500);
        await page.evaluate(() => {
          window.location.hash = window.location.hash === "#/queues" ? "#/exchanges" : "#/queues";
        });
        const isOver = page.getByLabel("User name");
        await isOver.or(page.getByText(/^\d+ (queues|exchanges)/)).first().waitFor();
        return isOver.isVisible();
      });
      const title = page.url().endsWith("#/queues") ? "Queues" : "Exchanges";
      await signIn(page, "guest");
      await page.getByRole("heading", { name: title, level: 1 }).waitFor();
    },
  );
});
