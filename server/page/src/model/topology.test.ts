import assert from "node:assert/strict";
import { test } from "node:test";
import type { Course, CourseStep } from "../api/admin.ts";
import {
  rateAtMost,
  stepReason,
  type Topology,
  type TopologyEdge,
  type TopologyNode,
  toEdge,
  toNode,
  withCourse,
} from "./topology.ts";

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
  const topology = { center: null, nodes: [], edges: [edge], complete: true };
  assert.equal(toEdge(edge, topology).label, "a · h=1 +2");
  assert.equal(toEdge(edge, topology).flow, undefined);
});

test("no more goes along an arrow than comes into its queue and was published to its exchange", () => {
  const exchange = (name: string, type: string, published: number): TopologyNode => ({
    id: `e:${name}`,
    kind: "exchange",
    name,
    type,
    message_stats: { publish_in_details: { rate: published } },
  });
  const edge = (source: string, destination: string): TopologyEdge => {
    return { source, destination, kind: "binding", bindings: [], bindings_total: 1 };
  };
  const topology: Topology = {
    center: null,
    nodes: [
      exchange("x", "topic", 30),
      exchange("y", "fanout", 0),
      exchange("late", "x-delayed-message", 1),
      { id: "q:q", kind: "queue", name: "q", type: "classic", publish_rate: 50 },
    ],
    edges: [edge("e:x", "q:q"), edge("e:x", "e:y"), edge("e:y", "q:q"), edge("e:late", "q:q")],
    complete: true,
  };
  const bounds = topology.edges.map((one) => rateAtMost(one, topology));
  assert.deepEqual(bounds, [30, 30, 50, 50]);
  const part = { ...topology, complete: false };
  assert.deepEqual(
    topology.edges.map((one) => rateAtMost(one, part)),
    [50, undefined, 50, 50],
  );
  const dead = { ...edge("q:q", "e:x"), kind: "dead-letter" as const };
  assert.equal(rateAtMost(dead, topology), undefined);
  const fed = { ...topology, edges: [...topology.edges, dead] };
  assert.equal(rateAtMost(topology.edges[0] as TopologyEdge, fed), 50);
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
