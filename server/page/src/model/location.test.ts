import assert from "node:assert/strict";
import { test } from "node:test";
import { link, linkWith, match, parse } from "./location.ts";

test("a name keeps its slashes and all else on the way there and back", () => {
  for (const name of ["/", "a/b c", "%", "ü?#&=", "..", "<b>"]) {
    const { segments } = parse(link("queues", "/", name));
    assert.deepEqual(segments, ["queues", "/", name]);
  }
});

test("RabbitMQ's addresses lead to the same here", () => {
  assert.deepEqual(parse("#/queues/%2F/name").segments, ["queues", "/", "name"]);
  assert.deepEqual(parse("#/").segments, []);
  assert.deepEqual(parse("").segments, []);
  assert.deepEqual(parse("#/queues/%2F/100%").segments, ["queues", "/", "100%"]);
});

test("a pattern takes places of its form only", () => {
  const place = ["queues", "/", "q"];
  assert.deepEqual(match("queues/:vhost/:name", place), { vhost: "/", name: "q" });
  assert.equal(match("queues/:vhost", place), undefined);
  assert.equal(match("exchanges/:vhost/:name", place), undefined);
  assert.deepEqual(match("", []), {});
});

test("what a list shows stands behind the place", () => {
  const { segments, query } = parse(linkWith({ name: "a b", page: "2" }, "queues"));
  assert.deepEqual(segments, ["queues"]);
  assert.equal(query.get("name"), "a b");
  assert.equal(query.get("page"), "2");
});
