import assert from "node:assert/strict";
import { test } from "node:test";
import { extended } from "./series.ts";

const before = { at: [1, 2, 3], series: { a: [10, 20, 30] } };

test("what is new comes behind what there is, once, and the oldest goes", () => {
  const more = { at: [3, 4], series: { a: [30, 40] } };
  assert.deepEqual(extended(before, more, 2), { at: [2, 3, 4], series: { a: [20, 30, 40] } });
  assert.deepEqual(extended(before, { at: [], series: {} }, 0), before);
  assert.deepEqual(extended(before, more, 9), { at: [4], series: { a: [40] } });
});

test("a series that was not there before is unknown there", () => {
  const more = { at: [4], series: { b: [1] } };
  assert.deepEqual(extended(before, more, 3), {
    at: [3, 4],
    series: { a: [30, null], b: [null, 1] },
  });
});
