import assert from "node:assert/strict";
import { test } from "node:test";
import type { Course, CourseStep } from "../api/admin.ts";
import { stepReason, toEdge, toNode, withCourse } from "./topology.ts";

const step: CourseStep = {
  source: "x",
  destination: "q",
  destination_type: "queue",
  by: "binding",
  certain: true,
  bindings: [{ routing_key: "a.*", arguments: {} }],
  more_bindings: false,
};

function course(steps: Course["steps"]): Course {
  const exchange = {
    name: "x",
    vhost: "/",
    type: "topic",
    durable: true,
    auto_delete: false,
    internal: false,
    arguments: {},
    policy: null,
  };
  return {
    routing_keys: ["a.b"],
    delay_ms: null,
    exchanges: [exchange],
    steps,
    steps_total: steps.length,
    queues: [],
    queues_total: 0,
    direct_replies: 0,
  };
}

test("an arrow says by which binding, and how many more there are", () => {
  const edge = {
    source: "e:x",
    destination: "q:q",
    kind: "binding" as const,
    bindings: [{ routing_key: "a", arguments: { h: 1 } }],
    bindings_total: 3,
  };
  assert.equal(toEdge(edge).label, "a · h=1 +2");
});

test("the way of a message stands out, and what was not drawn is added", () => {
  const drawn = {
    nodes: [toNode({ id: "e:x", kind: "exchange", name: "x", type: "topic" }, null)],
    edges: [],
  };
  const { nodes, edges } = withCourse(drawn, course([step]));
  assert.deepEqual(
    nodes.map(({ id, tone }) => [id, tone]),
    [
      ["e:x", "certain"],
      ["q:q", "certain"],
    ],
  );
  assert.deepEqual(edges, [
    { from: "e:x", to: "q:q", label: "a.*", kind: "binding", tone: "certain" },
  ]);
});

test("what chance may choose only may be", () => {
  const { nodes } = withCourse(
    { nodes: [], edges: [] },
    course([{ ...step, by: "chance", certain: false }]),
  );
  assert.equal(nodes.find(({ id }) => id === "q:q")?.tone, "maybe");
});

test("a reason names the bindings", () => {
  assert.equal(stepReason(step), "by the binding a.*");
  assert.equal(
    stepReason({ ...step, bindings: [{ routing_key: "", arguments: {} }] }),
    "by the binding without a key",
  );
});
