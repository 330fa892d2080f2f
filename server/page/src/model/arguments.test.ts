import assert from "node:assert/strict";
import { test } from "node:test";
import { type Entry, toArguments, toEntries } from "./arguments.ts";

test("what is written is what it was read from", () => {
  const table = { "x-a": "text", "x-b": 7, "x-c": true, "x-d": ["a", 1], "x-e": { f: null } };
  assert.deepEqual(toArguments(toEntries(table)), table);
});

test("a row without a name says nothing", () => {
  assert.deepEqual(toArguments([{ name: " ", kind: "number", text: "" }]), {});
});

test("what is no value is told with its name", () => {
  const wrong: Entry[] = [
    { name: "x-max-length", kind: "number", text: "many" },
    { name: "x-max-length", kind: "number", text: " " },
    { name: "x-max-length", kind: "json", text: "[" },
  ];
  for (const entry of wrong) assert.throws(() => toArguments([entry]), /x-max-length/);
  const twice: Entry = { name: "a", kind: "text", text: "" };
  assert.throws(() => toArguments([twice, twice]), /twice/);
});
