// A graph from left to right, as a drawing: boxes with names, and arrows with words on them. It is
// laid out by dagre, which is loaded when the first graph is drawn.
//
// Boxes are buttons: the keyboard goes from one to the next in the order in which they are laid out.
// What is drawn stands beside it as text too, which is the page's to do.

import type { GraphLabel } from "@dagrejs/dagre";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Waiting } from "./pieces.tsx";

export interface GraphNode {
  id: string;
  kind: "exchange" | "queue";
  name: string;
  /** A line below the name. */
  detail: string;
  tone?: "certain" | "maybe" | "center" | undefined;
}

export interface GraphEdge {
  from: string;
  to: string;
  label: string;
  kind: "binding" | "alternate" | "dead-letter";
  tone?: "certain" | "maybe" | undefined;
  /** A line below the label, for which there is room if it is empty too: how much goes along it. */
  flow?: string;
  isFlowing?: boolean;
}

interface GraphProps {
  label: string;
  nodes: GraphNode[];
  edges: GraphEdge[];
  selected: string | undefined;
  onSelect: (id: string | undefined) => void;
}

interface Placed {
  nodes: { node: GraphNode; x: number; y: number; width: number }[];
  edges: { edge: GraphEdge; path: string; x: number; y: number }[];
  width: number;
  height: number;
}

const NAME_LEN = 30;
const LABEL_LEN = 26;
/** About how long what goes along an edge is. */
const FLOW_LEN = 9;
const LINE = 14;
const HEIGHT = 44;
const GAP = 18;
/** About how wide a letter is. */
const LETTER = 7.1;

function cut(text: string, len: number): string {
  return text.length > len ? `${text.slice(0, len - 1)}…` : text;
}

/** A curve through points, whose last is the arrow's. */
function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${first.x},${first.y}`;
  for (const [index, point] of rest.entries()) {
    const next = rest[index + 1];
    if (!next) path += ` L${point.x},${point.y}`;
    else path += ` Q${point.x},${point.y} ${(point.x + next.x) / 2},${(point.y + next.y) / 2}`;
  }
  return path;
}

async function place(nodes: GraphNode[], edges: GraphEdge[]): Promise<Placed> {
  const { Graph, layout } = await import("@dagrejs/dagre").then(({ default: dagre }) => ({
    Graph: dagre.graphlib.Graph,
    layout: dagre.layout,
  }));
  const graph = new Graph({ multigraph: true });
  const label: GraphLabel = { rankdir: "LR", nodesep: 18, ranksep: 46, edgesep: 12 };
  graph.setGraph({ ...label, marginx: 12, marginy: 12 });
  const widths = new Map<string, number>();
  const bound = new Set(edges.flatMap(({ from, to }) => [from, to]));
  for (const node of nodes) {
    const letters = Math.max(
      cut(node.name, NAME_LEN).length,
      cut(node.detail, NAME_LEN + 4).length,
    );
    const width = Math.max(90, Math.round(letters * LETTER + 26));
    widths.set(node.id, width);
    if (bound.has(node.id)) graph.setNode(node.id, { width, height: HEIGHT });
  }
  for (const [index, edge] of edges.entries()) {
    const isTold = edge.flow !== undefined;
    const letters = Math.max(cut(edge.label, LABEL_LEN).length, isTold ? FLOW_LEN : 0);
    const width = letters > 0 ? Math.round(letters * 6.4 + 10) : 0;
    const lines = (edge.label === "" ? 0 : 1) + (isTold ? 1 : 0);
    const size = { width, height: lines * LINE + (lines > 0 ? 2 : 0), labelpos: "c" };
    graph.setEdge(edge.from, edge.to, size, String(index));
  }
  layout(graph);
  const placedEdges = edges.map((edge, index) => {
    const found = graph.edge({ v: edge.from, w: edge.to, name: String(index) });
    return { edge, path: curve(found.points), x: found.x ?? 0, y: found.y ?? 0 };
  });
  let { width = 0, height = 0 } = graph.graph();
  const placedNodes = nodes.flatMap((node) => {
    if (!bound.has(node.id)) return [];
    const { x, y } = graph.node(node.id);
    return [{ node, x, y, width: widths.get(node.id) ?? 90 }];
  });
  placedNodes.sort((a, b) => a.x - b.x || a.y - b.y);
  // What nothing leads to or from stands in rows below all else.
  const most = Math.max(width, 760);
  let [left, top] = [GAP, bound.size > 0 ? height + GAP : GAP];
  for (const node of nodes.filter(({ id }) => !bound.has(id))) {
    const own = widths.get(node.id) ?? 90;
    if (left > GAP && left + own + GAP > most) [left, top] = [GAP, top + HEIGHT + GAP];
    placedNodes.push({ node, x: left + own / 2, y: top + HEIGHT / 2, width: own });
    left += own + GAP;
    width = Math.max(width, left);
    height = Math.max(height, top + HEIGHT + GAP);
  }
  return { nodes: placedNodes, edges: placedEdges, width, height };
}

/** What decides how it is laid out: numbers that change do not. */
function shape(nodes: GraphNode[], edges: GraphEdge[]): string {
  return JSON.stringify([
    nodes.map(({ id, name, detail }) => [id, name, Math.ceil(detail.length / 6)]),
    edges.map(({ from, to, label, kind, flow }) => [from, to, label, kind, flow !== undefined]),
  ]);
}

const ZOOMS = [0.4, 0.55, 0.7, 0.85, 1, 1.25, 1.5];

export function Graph({ label, nodes, edges, selected, onSelect }: GraphProps) {
  const [placed, setPlaced] = useState<Placed>();
  // As much of it as there is room for, until the person chooses.
  const [zoom, setZoom] = useState(1);
  const isChosen = useRef(false);
  const frame = useRef<HTMLDivElement>(null);
  const own = useMemo(() => shape(nodes, edges), [nodes, edges]);
  useEffect(() => {
    let isOver = false;
    void place(nodes, edges).then((found) => {
      if (isOver) return;
      setPlaced(found);
      if (isChosen.current) return;
      const room = frame.current?.clientWidth ?? found.width;
      const fitting = ZOOMS.filter((one) => one <= 1 && found.width * one <= room);
      setZoom(Math.max(fitting.at(-1) ?? 0.7, 0.7));
    });
    return () => {
      isOver = true;
    };
  }, [own]);
  const nodesById = useMemo(() => new Map(nodes.map((node) => [node.id, node])), [nodes]);
  const step = (by: number) => {
    isChosen.current = true;
    const at = ZOOMS.findIndex((one) => one >= zoom);
    setZoom(ZOOMS[Math.min(Math.max(at + by, 0), ZOOMS.length - 1)] ?? 1);
  };
  const near = useMemo(() => {
    if (!selected) return undefined;
    const all = new Set([selected]);
    for (const { from, to } of edges) {
      if (from === selected) all.add(to);
      if (to === selected) all.add(from);
    }
    return all;
  }, [selected, edges]);
  return (
    <div class="graph" ref={frame}>
      <div class="graph-tools">
        <button type="button" aria-label="Smaller" onClick={() => step(-1)}>
          −
        </button>
        <span class="muted">{Math.round(zoom * 100)} %</span>
        <button type="button" aria-label="Larger" onClick={() => step(1)}>
          +
        </button>
      </div>
      {!placed && <Waiting />}
      {placed && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys too.
        <section class="graph-frame" tabIndex={0} aria-label={label}>
          {/* biome-ignore lint/a11y/noSvgWithoutTitle: the label is that of what is around it. */}
          <svg
            width={placed.width * zoom}
            height={placed.height * zoom}
            viewBox={`0 0 ${placed.width} ${placed.height}`}
          >
            <defs>
              {["plain", "certain", "maybe"].map((tone) => (
                <marker
                  key={tone}
                  id={`arrow-${tone}`}
                  class={`arrow-head ${tone}`}
                  viewBox="0 0 10 10"
                  refX="9"
                  refY="5"
                  markerUnits="userSpaceOnUse"
                  markerWidth="9"
                  markerHeight="9"
                  orient="auto-start-reverse"
                >
                  <path d="M0,0 L10,5 L0,10 z" />
                </marker>
              ))}
            </defs>
            {placed.edges.map(({ edge: laid, path, x, y }, index) => {
              const edge = edges[index] ?? laid;
              const isFar = near && edge.from !== selected && edge.to !== selected;
              return (
                <g
                  key={`${edge.kind}\n${edge.from}\n${edge.to}`}
                  class={`edge ${edge.kind} ${edge.tone ?? ""} ${isFar ? "far" : ""} ${edge.isFlowing ? "flowing" : ""}`}
                >
                  <title>{[edge.label, edge.flow].filter(Boolean).join(": ")}</title>
                  <path d={path} marker-end={`url(#arrow-${edge.tone ?? "plain"})`} />
                  {edge.label && (
                    <text x={x} y={edge.flow ? y - LINE / 2 : y} dy="0.32em">
                      {cut(edge.label, LABEL_LEN)}
                    </text>
                  )}
                  {edge.flow && (
                    <text class="flow" x={x} y={edge.label ? y + LINE / 2 : y} dy="0.32em">
                      {edge.flow}
                    </text>
                  )}
                </g>
              );
            })}
            {placed.nodes.map(({ node: laid, x, y, width }) => {
              const node = nodesById.get(laid.id) ?? laid;
              const isSelected = node.id === selected;
              const choose = () => onSelect(isSelected ? undefined : node.id);
              const isFar = near && !near.has(node.id);
              return (
                // biome-ignore lint/a11y/useSemanticElements: there are no buttons in a drawing.
                <g
                  key={node.id}
                  class={`node ${node.kind} ${node.tone ?? ""} ${isFar ? "far" : ""}`}
                  transform={`translate(${x - width / 2},${y - HEIGHT / 2})`}
                  role="button"
                  // In small letters: attributes of drawings are told apart by them.
                  tabindex={0}
                  aria-pressed={isSelected}
                  onClick={choose}
                  onKeyDown={(event) => {
                    if (event.key !== "Enter" && event.key !== " ") return;
                    event.preventDefault();
                    choose();
                  }}
                >
                  <title>{`${node.kind} ${node.name}: ${node.detail}`}</title>
                  <rect width={width} height={HEIGHT} rx={node.kind === "exchange" ? 22 : 5} />
                  <text class="node-name" x={width / 2} y={18}>
                    {cut(node.name, NAME_LEN)}
                  </text>
                  <text class="node-detail" x={width / 2} y={34}>
                    {cut(node.detail, NAME_LEN + 4)}
                  </text>
                </g>
              );
            })}
          </svg>
        </section>
      )}
    </div>
  );
}
