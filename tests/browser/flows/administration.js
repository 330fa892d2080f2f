/*
 * Users, permissions, virtual hosts, policies, limits, definitions, the log and recordings.
 */
"use strict";

const assert = require("node:assert/strict");
const { readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const amqp = require("amqplib");
const { go, row, settled, signIn } = require("../browser.js");
const { flows } = require("../suite.js");
const { until } = require("../warren.js");

const told = (page, text) => page.getByRole("status").getByText(text).first().waitFor();

async function seed(broker) {
  await broker.put("vhosts/other");
  await broker.put("permissions/other/guest", { configure: ".*", write: ".*", read: ".*" });
  for (const name of ["orders.eu", "orders.us", "letters"]) {
    await broker.put(`queues/%2F/${name}`, { durable: true });
  }
  await broker.put("policies/%2F/first", {
    pattern: "^orders\\.us", definition: { "max-length": 5 }, priority: 9, "apply-to": "queues",
  });
}

const flags = ["--record", "SCRATCH/recordings"];

flows("administration", { seed, flags }, (flow) => {
  flow("a user is added, let in, changed and deleted", { at: "#/users" }, async (page, { broker }) => {
    await page.getByRole("button", { name: "Add a user" }).click();
    let dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("alice");
    await dialog.getByLabel("Password").fill("one");
    await dialog.getByLabel(/^management/).check();
    await dialog.getByRole("button", { name: "Add" }).click();
    await page.getByRole("heading", { name: "User alice" }).waitFor();
    await page.getByText("The user can enter no virtual host.").waitFor();

    await page.getByRole("button", { name: "Set a permission" }).click();
    dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Set" }).click();
    await dialog.getByRole("alert").getByText("Choose a virtual host.").waitFor();
    await dialog.getByLabel("Virtual host").selectOption("/");
    await dialog.getByLabel("Configure").fill("^alice");
    await dialog.getByRole("button", { name: "Set" }).click();
    await row(page, "^alice").waitFor();
    await page.getByRole("button", { name: "Set a topic permission" }).click();
    dialog = page.getByRole("dialog");
    await dialog.getByLabel("Virtual host").selectOption("/");
    await dialog.getByLabel("Write").fill("^eu");
    await dialog.getByRole("button", { name: "Set" }).click();
    await row(page, "^eu").waitFor();
    const [permission] = await broker.get("users/alice/permissions");
    assert.equal(permission.configure, "^alice");

    await page.getByRole("button", { name: "Change tags or password" }).click();
    dialog = page.getByRole("dialog");
    await dialog.getByLabel("Password").first().selectOption("set");
    await dialog.getByLabel("New password").fill("two");
    await dialog.getByLabel(/^monitoring/).check();
    await dialog.getByRole("button", { name: "Change" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.locator("main").getByText("monitoring").first().waitFor();
    const login = Buffer.from("alice:two").toString("base64");
    const who = await fetch(`${broker.url}/api/whoami`, { headers: { authorization: `Basic ${login}` } });
    assert.deepEqual((await who.json()).tags.sort(), ["management", "monitoring"]);

    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByText("Its permissions go with it").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Users", level: 1 }).waitFor();
    await row(page, "alice").waitFor({ state: "detached" });
    await row(page, "guest").getByText("you").waitFor();
  });

  flow("a virtual host is added, protected, and deleted when its name is written once more",
    { at: "#/vhosts" }, async (page, { broker }) => {
      await page.getByRole("button", { name: "Add a virtual host" }).click();
      let dialog = page.getByRole("dialog");
      await dialog.getByLabel("Name", { exact: true }).fill("trial/1");
      await dialog.getByLabel("Description").fill("to try");
      await dialog.getByRole("button", { name: "Add" }).click();
      await page.getByRole("heading", { name: "Virtual host trial/1" }).waitFor();
      await page.getByRole("button", { name: "Protect from deletion" }).click();
      await page.getByRole("button", { name: "Let it be deleted" }).waitFor();
      assert.equal(await page.getByRole("button", { name: "Delete", exact: true }).count(), 0);
      await page.getByRole("button", { name: "Let it be deleted" }).click();
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      dialog = page.getByRole("dialog");
      await dialog.getByLabel("Its name").fill("trial");
      await dialog.getByRole("button", { name: "Delete" }).click();
      await dialog.getByRole("alert").getByText("That is not its name.").waitFor();
      await dialog.getByLabel("Its name").fill("trial/1");
      await dialog.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("heading", { name: "Virtual hosts", level: 1 }).waitFor();
      assert.ok(!(await broker.get("vhosts")).some(({ name }) => name === "trial/1"));
    });

  flow("a policy shows what it would be for before it is set, and what comes first there",
    { at: "#/policies" }, async (page, { broker }) => {
      await row(page, "first").waitFor();
      await page.getByRole("button", { name: "Set a policy" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Name", { exact: true }).first().fill("second");
      await dialog.getByLabel("Pattern").fill("^orders");
      await dialog.getByRole("group").getByLabel("Name").fill("max-length");
      await dialog.getByRole("group").getByLabel("Value").fill("100");
      const preview = dialog.getByRole("region", { name: "What it would be for" });
      await preview.getByText("2 objects have a name that matches").waitFor();
      await preview.getByText("first comes first").waitFor();
      await dialog.getByLabel("Pattern").fill("(");
      await preview.getByText("Not known yet").waitFor();
      await dialog.getByLabel("Pattern").fill("^letters");
      await preview.getByText("1 object has a name that matches").waitFor();
      await dialog.getByRole("button", { name: "Set", exact: true }).click();
      await row(page, "second").waitFor();
      const { effective_policy_definition: effective } = await broker.get("queues/%2F/letters");
      assert.deepEqual(effective, { "max-length": 100 });

      await go(page, "#/queues/%2F/letters");
      await row(page, "max-length").getByText("100").first().waitFor();
      await page.getByText("is found in").waitFor();
      await page.getByRole("link", { name: "second", exact: true }).click();
      await page.getByRole("heading", { name: "Policies", level: 1 }).waitFor();
      await page.getByRole("button", { name: "Delete second" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await row(page, "second").waitFor({ state: "detached" });
    });

  flow("an operator policy is set", { at: "#/operator-policies" }, async (page, { broker }) => {
    await page.getByRole("button", { name: "Set an operator policy" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).first().fill("a-week");
    await dialog.getByLabel("Pattern").fill("^nothing");
    await dialog.getByRole("group").getByLabel("Name").fill("message-ttl");
    await dialog.getByRole("group").getByLabel("Value").fill("604800000");
    await dialog.getByText("Nothing that is there now.").waitFor();
    await dialog.getByRole("button", { name: "Set", exact: true }).click();
    await row(page, "a-week").waitFor();
    assert.equal((await broker.get("operator-policies")).length, 1);
  });

  flow("limits are set and taken away", { at: "#/limits" }, async (page, { broker }) => {
    await page.getByRole("button", { name: "Set limits" }).first().click();
    await page.getByRole("dialog").getByLabel("Virtual host").selectOption("other");
    await page.getByRole("dialog").getByRole("button", { name: "Go on" }).click();
    await page.getByRole("dialog", { name: "Limits of other" }).getByLabel("Queues").fill("2");
    await page.getByRole("dialog").getByRole("button", { name: "Set" }).click();
    await row(page, "other").getByText("2").waitFor();
    await broker.put("queues/other/one");
    await broker.put("queues/other/two");
    await assert.rejects(broker.put("queues/other/three"), /limit/);
    await page.getByRole("button", { name: "Change limits of other" }).click();
    await page.getByRole("dialog").getByLabel("Queues").fill("");
    await page.getByRole("dialog").getByRole("button", { name: "Set" }).click();
    await page.getByText("No virtual host has limits.").waitFor();
    await broker.put("queues/other/three");
  });

  flow("the log is shown as it grows, by severity and by words", { at: "#/log" },
    async (page, { broker }) => {
      await page.getByRole("region", { name: "Records of the log" }).waitFor();
      const wrong = { authorization: `Basic ${Buffer.from("mallory:x").toString("base64")}` };
      await fetch(`${broker.url}/api/whoami`, { headers: wrong });
      const records = page.locator(".log li");
      await records.filter({ hasText: "mallory" }).first().waitFor();
      await page.getByLabel("With these words").fill("mallory");
      await until("only those are there", async () =>
        (await records.allInnerTexts()).every((text) => text.includes("mallory")));
      await page.getByLabel("With these words").fill("");
      await page.getByLabel("As severe as").selectOption("error");
      await page.getByText("Nothing was logged yet.").waitFor();
    });

  flow("a recording of the broker is downloaded while it goes on", { at: "#/recordings" },
    async (page, { broker }) => {
      await page.getByText("of this start").waitFor();
      const saving = page.waitForEvent("download");
      await page.getByRole("button", { name: /^Download/ }).first().click();
      const download = await saving;
      const file = join(broker.scratch, "saved.recording");
      await download.saveAs(file);
      assert.ok(readFileSync(file).length > 1000);
      await settled(page);
    });
});

// With a broker of its own: an import brings back what others delete meanwhile.
flows("definitions", { seed }, (flow) => {
  flow("definitions are saved, and imported with a report of what was done and what skipped",
    { at: "#/definitions" }, async (page, { broker }) => {
      const saving = page.waitForEvent("download");
      await page.getByRole("button", { name: "Save a file" }).click();
      const download = await saving;
      assert.match(download.suggestedFilename(), /^definitions-\d{4}-\d\d-\d\d\.json$/);
      const file = join(broker.scratch, "saved.json");
      await download.saveAs(file);
      const definitions = JSON.parse(readFileSync(file, "utf8"));
      assert.ok(definitions.queues.some(({ name }) => name === "letters"));
      definitions.queues.push({
        name: "imported", vhost: "/", durable: true, auto_delete: false, arguments: {},
      });
      writeFileSync(file, JSON.stringify(definitions));
      await page.getByLabel("File").setInputFiles(file);
      await page.getByText(/It holds .*queues/).waitFor();
      await page.getByRole("button", { name: "Import" }).click();
      await page.getByRole("dialog").getByText("Nothing is deleted.").waitFor();
      await page.getByRole("dialog").getByRole("button", { name: "Import" }).click();
      const report = page.getByRole("region", { name: "What the import did" });
      await report.getByText("All of the file was gone through.").waitFor();
      const cells = await row(report, "queues").getByRole("cell").allInnerTexts();
      assert.deepEqual([cells[1], Number(cells[3]) >= 3], ["1", true]);
      await broker.get("queues/%2F/imported");
      const other = join(broker.scratch, "other.json");
      writeFileSync(other, "no definitions");
      await page.getByLabel("File").setInputFiles(other);
      await page.getByText("holds no definitions").waitFor();
    });
});

flows("recording at once", {}, (flow) => {
  flow("the broker starts anew and is recorded, when its person has read what that means",
    { at: "#/recordings" }, async (page, { broker }) => {
      // In the same places, as whoever uses it in earnest says where they are.
      await broker.restart();
      await page.reload();
      await signIn(page, "guest");
      const pid = broker.pid;
      const connection = await amqp.connect(`amqp://guest:guest@${broker.address}`);
      const left = new Promise((resolve) => connection.once("close", resolve));
      const channel = await connection.createConfirmChannel();
      await channel.assertQueue("kept", { durable: true });
      channel.sendToQueue("kept", Buffer.from("it stays"), { persistent: true });
      await channel.waitForConfirms();

      const start = page.getByRole("button", { name: "Restart now and record" });
      await start.click();
      let dialog = page.getByRole("dialog");
      await dialog.getByText("All clients are disconnected.").waitFor();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await dialog.waitFor({ state: "detached" });
      assert.equal((await broker.get("flight-recordings")).next, false, "nothing was done");
      await start.click();
      dialog = page.getByRole("dialog");
      await dialog.getByRole("button", { name: "Restart now and record" }).click();
      await page.getByLabel("User name").waitFor();
      assert.match(String(await left), /shutdown/);
      await signIn(page, "guest");
      await page.getByText("recording", { exact: true }).waitFor();
      await row(page, "of this start").waitFor();
      await told(page, "The broker has started anew");
      assert.equal(await page.getByRole("dialog").count(), 0);
      assert.equal(await start.count(), 0, "it is recorded already");
      assert.ok(broker.pid === pid && broker.child.exitCode === null, "the same process");
      assert.equal((await broker.get("queues/%2F/kept")).messages, 1);
      const saving = page.waitForEvent("download");
      await page.getByRole("button", { name: /^Download/ }).click();
      const file = join(broker.scratch, "anew.recording");
      await (await saving).saveAs(file);
      assert.equal(readFileSync(file).subarray(0, 8).toString(), "warrenFR");
    });
});

flows("recordings", {}, (flow) => {
  flow("the next start is recorded when that is asked for; a recording is ended, and downloaded",
    { at: "#/recordings" }, async (page, { broker }) => {
      await page.getByText("There are no recordings yet.").waitFor();
      await page.getByRole("button", { name: "Record the next start" }).click();
      await page.getByText("will be recorded", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Do not record the next start" }).click();
      await page.getByText("not recorded", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Record the next start" }).click();
      await page.getByText("will be recorded", { exact: true }).waitFor();
      await broker.restart();
      await page.reload();
      await signIn(page, "guest");
      await page.getByText("recording", { exact: true }).waitFor();
      await row(page, "of this start").waitFor();
      assert.equal((await broker.get("flight-recordings")).next, false);
      await page.getByRole("button", { name: "End the recording" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText("What was recorded so far stays").waitFor();
      await dialog.getByRole("button", { name: "End the recording" }).click();
      await page.getByText("not recording", { exact: true }).waitFor();
      const saving = page.waitForEvent("download");
      await page.getByRole("button", { name: /^Download/ }).click();
      const file = join(broker.scratch, "ended.recording");
      await (await saving).saveAs(file);
      assert.equal(readFileSync(file).subarray(0, 8).toString(), "warrenFR");
      await broker.put("queues/%2F/after");
      const [{ bytes }] = (await broker.get("flight-recordings")).files;
      assert.equal(bytes, readFileSync(file).length, "nothing comes behind its end");
    });
});
