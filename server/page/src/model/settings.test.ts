import assert from "node:assert/strict";
import { test } from "node:test";
import { settings } from "./settings.ts";

const from = (of: ReturnType<typeof settings>) => of.map((one) => [one.name, one.value, one.from]);

test("of limits the lowest counts, whoever says it", () => {
  assert.deepEqual(
    from(settings({ "x-max-length": 10 }, { "max-length": 5 }, { "max-length": 7 })),
    [["max-length", 5, "policy"]],
  );
  assert.deepEqual(from(settings({ "x-expires": 1 }, { expires: 5 }, {})), [
    ["expires", 1, "argument"],
  ]);
});

test("of all else the argument counts, then the operator's policy, then the user's", () => {
  const overflow = (value: string) => ({ overflow: value });
  assert.deepEqual(from(settings({ "x-overflow": "a" }, overflow("b"), overflow("c"))), [
    ["overflow", "a", "argument"],
  ]);
  assert.deepEqual(from(settings({}, overflow("b"), overflow("c"))), [
    ["overflow", "c", "operator policy"],
  ]);
  assert.deepEqual(from(settings({}, overflow("b"), {})), [["overflow", "b", "policy"]]);
});
