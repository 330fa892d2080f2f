import assert from "node:assert/strict";
import { test } from "node:test";
import {
  byteRate,
  bytes,
  count,
  counted,
  duration,
  milliseconds,
  rate,
  setting,
} from "./format.ts";

test("a number never stands without its unit, and nothing is a dash", () => {
  assert.equal(count(12345), "12,345");
  assert.equal(count(undefined), "–");
  assert.equal(counted(1, "queue"), "1 queue");
  assert.equal(counted(2000, "queue"), "2,000 queues");
  assert.equal(rate(0), "0/s");
  assert.equal(rate(-0.01), "0/s");
  assert.equal(rate(0.44), "0.4/s");
  assert.equal(rate(12345.6), "12,346/s");
});

test("a setting is told with its unit where it has one", () => {
  assert.equal(setting("message-ttl", 86_400_000), "86,400,000 ms (1 d)");
  assert.equal(setting("expires", 250), "250 ms");
  assert.equal(setting("max-length", 50_000), "50,000");
  assert.equal(setting("max-length-bytes", 2048), "2,048 B");
  assert.equal(setting("overflow", "drop-head"), "drop-head");
  assert.equal(byteRate(2048), "2 KiB/s");
  assert.equal(byteRate(undefined), "–");
});

test("bytes are told in the largest unit of which there is one", () => {
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1023), "1,023 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(200 * 1024 * 1024), "200 MiB");
});

test("times are told in two units at the most", () => {
  assert.equal(duration(250), "250 ms");
  assert.equal(duration(12_000), "12 s");
  assert.equal(duration(3_600_000), "1 h");
  assert.equal(duration(90_061_000), "1 d 1 h");
  assert.equal(duration(86_400_000 + 61_000), "1 d");
  assert.equal(milliseconds(0.243), "0.24 ms");
  assert.equal(milliseconds(1.44), "1.4 ms");
  assert.equal(milliseconds(14.4), "14 ms");
  assert.equal(milliseconds(2500), "2.5 s");
});
