// The topology of a virtual host as a drawing: exchanges, what they are bound to, and queues. Where
// there is too much for one, what is around an exchange or a queue.

import { useMemo, useState } from "preact/hooks";
import { path, withQuery } from "../api/client.ts";
import type { Page } from "../api/types.ts";
import { count, counted, rate } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { exchangeSegment, link, linkWith } from "../model/location.ts";
import { vhost as chosenVhost, place, setQuery, vhostToBeginWith } from "../model/state.ts";
import {
  bindingText,
  exchangeName,
  type Topology,
  type TopologyNode,
  toEdge,
  toNode,
} from "../model/topology.ts";
import { TextField } from "../ui/field.tsx";
import { Graph } from "../ui/graph.tsx";
import { Badge, Empty, Fact, Facts, Heading, Pending, Section } from "../ui/pieces.tsx";

export default function TopologyPage() {
  const { query } = place.value;
  const vhost = query.get("vhost") ?? (chosenVhost.value || vhostToBeginWith());
  const [exchange, queue] = [query.get("exchange"), query.get("queue")];
  const isAround = exchange !== null || queue !== null;
  const asked = withQuery(path("topology", vhost), {
    exchange: exchange ?? undefined,
    queue: exchange === null ? (queue ?? undefined) : undefined,
  });
  const { data, error, reload } = useApi<Topology>(asked, { keep: true });
  const [selected, setSelected] = useState<string>();
  const nodes = useMemo(() => data?.nodes.map((node) => toNode(node, data.center)) ?? [], [data]);
  const edges = useMemo(() => data?.edges.map((edge) => toEdge(edge, data)) ?? [], [data]);
  const chosen = data?.nodes.find(({ id }) => id === selected);
  const showAround = (node: { kind: string; name: string } | undefined) => {
    setSelected(node && `${node.kind === "queue" ? "q" : "e"}:${node.name}`);
    const next = new URLSearchParams(query.has("vhost") ? { vhost } : undefined);
    if (node) next.set(node.kind, node.name);
    setQuery(next);
  };
  return (
    <>
      <Heading kind="Topology of" title={vhost}>
        <a class="button" href={linkWith({ vhost }, "route")}>
          Where would it go?
        </a>
      </Heading>
      <Search vhost={vhost} onChoose={showAround} />
      <Pending of={data} error={error} onRetry={reload} />
      {data && (isAround || !data.complete) && (
        <p class="around" role="status">
          {isAround
            ? `Shown is what is around ${exchange !== null ? `the exchange ${exchangeName(exchange)}` : `the queue ${queue}`}.`
            : `There is more than can be drawn: these are the first ${count(data.nodes.length)}. Search for an exchange or a queue to see what is around it.`}{" "}
          {isAround && !data.complete && "Some of its neighbours are left out. "}
          {isAround && (
            <button type="button" onClick={() => showAround(undefined)}>
              Show all
            </button>
          )}
        </p>
      )}
      {data && data.nodes.length === 0 && (
        <Empty title="Nothing is bound here yet.">
          <p>
            Declare an <a href="#/exchanges">exchange</a> and a <a href="#/queues">queue</a>, and
            bind one to the other. Until then messages reach queues by the default exchange, with
            the queue's name as the routing key.
          </p>
        </Empty>
      )}
      {data && data.nodes.length > 0 && (
        <>
          <div class="with-side">
            <section class="card">
              <Graph
                label={`Topology of ${vhost}: ${counted(nodes.length, "box", "boxes")}, ${counted(edges.length, "arrow")}`}
                nodes={nodes}
                edges={edges}
                selected={selected}
                onSelect={setSelected}
              />
            </section>
            {chosen && <Chosen node={chosen} vhost={vhost} onAround={() => showAround(chosen)} />}
          </div>
          <Legend />
          <InWords topology={data} />
        </>
      )}
    </>
  );
}

function Legend() {
  return (
    <p class="hint graph-legend">
      <span class="graph-swatch exchange" aria-hidden="true" /> exchange
      <span class="graph-swatch queue" aria-hidden="true" /> queue, with messages that are ready and
      how many come in per second, by all ways together; with an exchange stands how many clients
      publish to it per second. Rates are those of the last seconds, and 0 until somebody has looked
      for some. Arrows are bindings, with their keys, and below these <b>≤</b> how many messages go
      that way per second at the most: a single binding counts nothing, but no more can go along it
      than come into its queue, nor than were published to its exchange where nothing else leads
      there. <b>Dashed</b> ones lead to the exchange for messages that no binding takes, or for dead
      letters. Every queue is bound to the default exchange by its name as well; that is not drawn.
    </p>
  );
}

interface Hit {
  name: string;
}

/** A field that finds exchanges and queues by a part of their name. */
function Search(props: {
  vhost: string;
  onChoose: (node: { kind: "exchange" | "queue"; name: string }) => void;
}) {
  const { vhost, onChoose } = props;
  const [text, setText] = useState("");
  const ask = (kind: string) =>
    text === ""
      ? undefined
      : withQuery(path(kind, vhost), { page: 1, page_size: 8, name: text, columns: "name" });
  const exchanges = useApi<Page<Hit>>(ask("exchanges"), { keep: true, once: true }).data;
  const queues = useApi<Page<Hit>>(ask("queues"), { keep: true, once: true }).data;
  const hits = (page: Page<Hit> | undefined, kind: "exchange" | "queue") =>
    (page?.items ?? []).map(({ name }) => ({ kind, name }));
  const found = text === "" ? [] : [...hits(exchanges, "exchange"), ...hits(queues, "queue")];
  const total = (exchanges?.filtered_count ?? 0) + (queues?.filtered_count ?? 0);
  return (
    <search class="topology-search">
      <TextField
        label="Show what is around"
        type="search"
        placeholder="a part of the name of an exchange or a queue"
        value={text}
        onChange={setText}
      />
      {text !== "" && (
        <ul class="hits" aria-label="Found">
          {found.map(({ kind, name }) => (
            <li key={`${kind}\n${name}`}>
              <button
                type="button"
                onClick={() => {
                  setText("");
                  onChoose({ kind, name });
                }}
              >
                {exchangeName(name)} <span class="muted">{kind}</span>
              </button>
            </li>
          ))}
          {found.length === 0 && <li class="muted">nothing has this in its name</li>}
          {total > found.length && <li class="muted">… and {count(total - found.length)} more</li>}
        </ul>
      )}
    </search>
  );
}

function Chosen(props: { node: TopologyNode; vhost: string; onAround: () => void }) {
  const { node, vhost, onAround } = props;
  const isQueue = node.kind === "queue";
  const own = isQueue
    ? link("queues", vhost, node.name)
    : link("exchanges", vhost, exchangeSegment(node.name));
  return (
    <Section title={isQueue ? `Queue ${node.name}` : `Exchange ${exchangeName(node.name)}`}>
      <Facts>
        <Fact name="Type">{node.type}</Fact>
        {!isQueue && (
          <>
            <Fact name="Published by clients">
              {rate(node.message_stats?.publish_in_details?.rate)}
            </Fact>
            <Fact name="Copies of these to queues">
              {rate(node.message_stats?.publish_out_details?.rate)}
            </Fact>
          </>
        )}
        {isQueue && (
          <>
            <Fact name="Ready">{count(node.messages_ready)}</Fact>
            <Fact name="Unacked">{count(node.messages_unacknowledged)}</Fact>
            <Fact name="In">{rate(node.publish_rate)}</Fact>
            <Fact name="Out">{rate(node.deliver_rate)}</Fact>
            <Fact name="Consumers">{count(node.consumers)}</Fact>
          </>
        )}
        {node.state === "paused" && (
          <Fact name="State">
            <Badge tone="warn">paused</Badge>
          </Fact>
        )}
        {node.internal && <Fact name="Clients">may not publish to it</Fact>}
      </Facts>
      <p class="actions">
        <a class="button" href={own}>
          Open its page
        </a>
        <button type="button" onClick={onAround}>
          Show only what is around it
        </button>
        {!isQueue && !node.internal && (
          <a class="button" href={linkWith({ vhost, exchange: node.name }, "route")}>
            Where would it go from here?
          </a>
        )}
      </p>
    </Section>
  );
}

/** The same as text: for who cannot see the drawing, and to be searched by the browser. */
function InWords({ topology }: { topology: Topology }) {
  const names = new Map(
    topology.nodes.map((node) => [
      node.id,
      node.kind === "queue" ? `queue ${node.name}` : `exchange ${exchangeName(node.name)}`,
    ]),
  );
  return (
    <details class="card in-words">
      <summary>The same in words</summary>
      <ul class="matches">
        {topology.edges.map((edge) => {
          const keys = edge.bindings.map(bindingText).filter(Boolean).join(", ");
          const why = {
            binding: keys ? `bound by ${keys}` : "bound without a key",
            alternate: "gets what no binding takes",
            "dead-letter": "gets dead letters",
          }[edge.kind];
          return (
            <li key={`${edge.kind}\n${edge.source}\n${edge.destination}`}>
              {names.get(edge.source)} → {names.get(edge.destination)}{" "}
              <span class="muted">
                {why}
                {edge.bindings_total > edge.bindings.length && edge.kind === "binding"
                  ? ` and ${count(edge.bindings_total - edge.bindings.length)} more`
                  : ""}
              </span>
            </li>
          );
        })}
        {topology.edges.length === 0 && <li class="muted">There are no bindings.</li>}
      </ul>
    </details>
  );
}
