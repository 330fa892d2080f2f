// The topology as the API tells it, as boxes and arrows; and where a message would go, in words and
// as what stands out among them.

import type { Course, CourseStep } from "../api/admin.ts";
import type { Arguments } from "../api/types.ts";
import type { GraphEdge, GraphNode } from "../ui/graph.tsx";
import { counted, rate, value } from "./format.ts";

export interface TopologyNode {
  id: string;
  kind: "exchange" | "queue";
  name: string;
  type: string;
  internal?: boolean;
  state?: string;
  messages_ready?: number;
  messages_unacknowledged?: number;
  consumers?: number;
  publish_rate?: number;
  deliver_rate?: number;
  message_stats?: {
    publish_in_details?: { rate: number };
    publish_out_details?: { rate: number };
  };
}

interface BindingTold {
  routing_key: string;
  arguments: Arguments;
}

export interface TopologyEdge {
  source: string;
  destination: string;
  kind: GraphEdge["kind"];
  bindings: BindingTold[];
  bindings_total: number;
}

export interface Topology {
  center: string | null;
  nodes: TopologyNode[];
  edges: TopologyEdge[];
  complete: boolean;
}

/** What the exchange without a name is called. */
export function exchangeName(name: string): string {
  return name === "" ? "(default)" : name;
}

/** A binding, by its key or else by its arguments. */
export function bindingText({ routing_key, arguments: table }: BindingTold): string {
  const pairs = Object.entries(table).map(([name, of]) => `${name}=${value(of)}`);
  return [routing_key, pairs.join(" ")].filter(Boolean).join(" · ");
}

function edgeLabel({ kind, bindings, bindings_total }: TopologyEdge): string {
  if (kind === "alternate") return "if unrouted";
  if (kind === "dead-letter") return "dead letters";
  const [first] = bindings;
  const text = first ? bindingText(first) : "";
  return bindings_total > 1 ? `${text} +${bindings_total - 1}`.trim() : text;
}

function detail(node: TopologyNode): string {
  if (node.kind === "queue") {
    const ready = node.messages_ready ?? 0;
    return `${counted(ready, "message")} · in ${rate(node.publish_rate)}`;
  }
  const stats = node.message_stats?.publish_in_details;
  return stats ? `${node.type} · in ${rate(stats.rate)}` : node.type;
}

/** Types of exchanges that hand out what was published to them before. */
const LATER = ["x-delayed-message", "x-recent-history"];

/**
 * How many messages per second go along an edge at the most. What a single binding carries is not
 * counted; but no more can than come into its queue by all ways together, nor than clients publish
 * to its exchange, if nothing else leads there. Nothing is said of what neither bounds.
 */
export function rateAtMost(edge: TopologyEdge, topology: Topology): number | undefined {
  if (edge.kind !== "binding") return undefined;
  const node = (id: string) => topology.nodes.find((one) => one.id === id);
  const bounds: (number | undefined)[] = [node(edge.destination)?.publish_rate];
  // Where some of it is left out, so may be what leads to the exchange.
  const isAll = topology.complete && topology.center === null;
  const isFed = topology.edges.some(({ destination }) => destination === edge.source);
  const source = node(edge.source);
  if (isAll && !isFed && !LATER.includes(source?.type ?? "")) {
    bounds.push(source?.message_stats?.publish_in_details?.rate);
  }
  const known = bounds.filter((bound) => bound !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}

export function toNode(node: TopologyNode, center: string | null): GraphNode {
  return {
    id: node.id,
    kind: node.kind,
    name: node.kind === "exchange" ? exchangeName(node.name) : node.name,
    detail: detail(node),
    tone: node.id === center ? "center" : undefined,
  };
}

export function toEdge(edge: TopologyEdge, topology: Topology): GraphEdge {
  const { source, destination, kind } = edge;
  const most = rateAtMost(edge, topology);
  return {
    from: source,
    to: destination,
    label: edgeLabel(edge),
    kind,
    ...(most !== undefined && { flow: most > 0 ? `≤ ${rate(most)}` : "" }),
    isFlowing: (most ?? 0) > 0,
  };
}

function endId({ destination, destination_type }: CourseStep): string {
  return `${destination_type === "queue" ? "q" : "e"}:${destination}`;
}

/** The drawing with the way of a message standing out; what of it is not drawn yet is added. */
export function withCourse(
  drawn: { nodes: GraphNode[]; edges: GraphEdge[] },
  course: Course,
): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const nodes = new Map(drawn.nodes.map((node) => [node.id, node]));
  const edges = [...drawn.edges];
  const stand = (id: string, name: string, kind: GraphNode["kind"], isCertain: boolean) => {
    const tone = isCertain ? "certain" : "maybe";
    const node = nodes.get(id) ?? { id, kind, name, detail: kind };
    if (node.tone !== "certain") nodes.set(id, { ...node, tone });
  };
  const [first] = course.exchanges;
  if (first) stand(`e:${first.name}`, exchangeName(first.name), "exchange", true);
  for (const step of course.steps) {
    if (step.destination_type === "reply") continue;
    const [from, to] = [`e:${step.source}`, endId(step)];
    stand(from, exchangeName(step.source), "exchange", nodes.get(from)?.tone === "certain");
    const kind = step.destination_type;
    stand(
      to,
      kind === "exchange" ? exchangeName(step.destination) : step.destination,
      kind,
      step.certain,
    );
    const tone = step.certain ? "certain" : "maybe";
    const own = step.by === "alternate" ? "alternate" : "binding";
    const at = edges.findIndex((edge) => edge.from === from && edge.to === to && edge.kind === own);
    const label = own === "alternate" ? "if unrouted" : step.bindings.map(bindingText)[0];
    const known = edges[at];
    if (known) edges[at] = { ...known, tone };
    else edges.push({ from, to, label: label ?? "its name", kind: own, tone });
  }
  return { nodes: [...nodes.values()], edges };
}

/** Why a step is taken, in words. */
export function stepReason(step: CourseStep): string {
  const keys = step.bindings.map(bindingText);
  const shown = keys.map((key) => (key === "" ? "without a key" : key));
  const more = step.more_bindings ? " and others" : "";
  const by = `${shown.join(", ")}${more}`;
  const bound = keys.every((key) => key === "") ? "bound without a key" : `bound by ${by}`;
  switch (step.by) {
    case "binding":
      return keys.length === 1 ? `by the binding ${by}` : `by the bindings ${by}`;
    case "queue_name":
      return "as the queue is called like the routing key";
    case "hash":
      return `chosen by a hash of the message; ${bound}`;
    case "chance":
      return `one of those that chance may choose; ${bound}`;
    case "alternate":
      return "as no binding takes it, and this is the alternate exchange";
  }
}
