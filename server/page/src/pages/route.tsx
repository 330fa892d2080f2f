// Where a message would go: asked of the broker's own routing, without publishing anything.

import { useEffect, useMemo, useState } from "preact/hooks";
import type { Course, CourseStep } from "../api/admin.ts";
import { explain, path, post, withQuery } from "../api/client.ts";
import type { Exchange } from "../api/types.ts";
import { type Entry, toArguments } from "../model/arguments.ts";
import { count, counted, duration } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { exchangeSegment, linkWith } from "../model/location.ts";
import { vhost as chosenVhost, place, vhosts, vhostToBeginWith } from "../model/state.ts";
import {
  exchangeName,
  stepReason,
  type Topology,
  toEdge,
  toNode,
  withCourse,
} from "../model/topology.ts";
import { ArgumentsField } from "../ui/arguments.tsx";
import { Choice, TextField } from "../ui/field.tsx";
import { Graph } from "../ui/graph.tsx";
import { Badge, ExchangeLink, Heading, QueueLink, Section } from "../ui/pieces.tsx";

interface Asked {
  vhost: string;
  exchange: string;
  key: string;
  headers: Record<string, unknown>;
}

export default function RoutePage() {
  const [vhost, setVhost] = useState(
    place.value.query.get("vhost") ?? (chosenVhost.value || vhostToBeginWith()),
  );
  const [exchange, setExchange] = useState(place.value.query.get("exchange") ?? "");
  const [key, setKey] = useState("");
  const [entries, setEntries] = useState<Entry[]>([]);
  const [answer, setAnswer] = useState<{ asked: Asked; course: Course }>();
  const [problem, setProblem] = useState("");
  const names = useApi<Exchange[]>(`${path("exchanges", vhost)}?columns=name,type,internal`).data;
  const isThere = names === undefined || names.some(({ name }) => name === exchange);
  useEffect(() => {
    if (!isThere) setExchange("");
  }, [isThere]);
  const submit = async (event: Event) => {
    event.preventDefault();
    setProblem("");
    try {
      const headers = toArguments(entries);
      const own = path("exchanges", vhost, exchangeSegment(exchange), "route");
      const body = { routing_key: key, properties: { headers } };
      const course = await post<Course>(own, body);
      setAnswer({ asked: { vhost, exchange, key, headers }, course });
    } catch (error) {
      setAnswer(undefined);
      setProblem(explain(error));
    }
  };
  return (
    <>
      <Heading title="Where would it go?">
        <a class="button" href={linkWith({ vhost }, "topology")}>
          Topology
        </a>
      </Heading>
      <p class="lead">
        Which queues would get a message, and by which bindings. The broker's own routing answers;
        nothing is published.
      </p>
      <section class="card">
        <form class="ask" onSubmit={submit}>
          <div class="pair">
            {vhosts.value.length > 1 && (
              <Choice
                label="Virtual host"
                value={vhost}
                onChange={setVhost}
                options={vhosts.value}
              />
            )}
            <Choice
              label="Exchange"
              value={exchange}
              onChange={setExchange}
              options={(names ?? []).map((one): [string, string] => [
                one.name,
                `${exchangeName(one.name)} (${one.type}${one.internal ? ", internal" : ""})`,
              ])}
            />
            <TextField label="Routing key" value={key} onChange={setKey} />
          </div>
          <ArgumentsField label="Headers" value={entries} onChange={setEntries} />
          <p>
            <button type="submit" class="primary">
              Where would it go?
            </button>
          </p>
        </form>
      </section>
      {problem && (
        <p class="error" role="alert">
          It could not be published: {problem}
        </p>
      )}
      {answer && <Answer asked={answer.asked} course={answer.course} />}
    </>
  );
}

function summary({ queues_total, direct_replies, queues }: Course): string {
  const sure = queues.filter((queue) => queue.certain).length;
  if (queues_total === 0) {
    return direct_replies > 0
      ? `To ${counted(direct_replies, "client")} that waits for a direct reply.`
      : "Nowhere. It would be dropped; or returned, if it is published as mandatory.";
  }
  if (sure === queues.length) return `To ${counted(queues_total, "queue")}.`;
  return sure === 0
    ? `To one of ${counted(queues_total, "queue")}: chance decides.`
    : `To ${counted(sure, "queue")} in any case, and to others by chance.`;
}

function Answer({ asked, course }: { asked: Asked; course: Course }) {
  const { vhost } = asked;
  const others = course.routing_keys.filter((key) => key !== asked.key);
  const history = course.exchanges.filter(({ type }) => type === "x-recent-history");
  const seen = course.exchanges.filter(({ arguments: own }) => own["x-message-deduplication"]);
  return (
    <>
      <Section title="Answer">
        <div role="status" aria-live="polite" class="answer">
          <p class="answer-line">{summary(course)}</p>
          {course.delay_ms !== null && (
            <p>
              Not at once: it would wait for {duration(course.delay_ms)} (x-delay), and then go
              where what is bound by then leads it. This is where it would go now.
            </p>
          )}
          {others.length > 0 && (
            <p>
              It goes by the keys of its headers CC and BCC too: <code>{others.join(", ")}</code>.
            </p>
          )}
          {history.length > 0 && (
            <p>
              {history.map(({ name }) => name).join(", ")} would keep it, for what is bound there
              later.
            </p>
          )}
          {seen.length > 0 && (
            <p>Should its exchange have seen it before, it would go nowhere: it deduplicates.</p>
          )}
        </div>
        {course.queues.length > 0 && (
          <ul class="matches">
            {course.queues.map((queue) => (
              <li key={queue.name}>
                <QueueLink vhost={vhost} name={queue.name} />{" "}
                {queue.certain ? (
                  <Badge tone="good">in any case</Badge>
                ) : (
                  <Badge tone="warn">by chance</Badge>
                )}{" "}
                {queue.full && (
                  <Badge tone="bad" hint="It has as many messages as it may, and refuses more">
                    full
                  </Badge>
                )}
              </li>
            ))}
            {course.queues_total > course.queues.length && (
              <li class="muted">… and {count(course.queues_total - course.queues.length)} more</li>
            )}
          </ul>
        )}
      </Section>
      {course.steps.length > 0 && (
        <Section title="Step by step">
          <ol class="steps">
            {course.steps.map((step) => (
              <Step
                key={`${step.source}\n${step.destination_type}\n${step.destination}\n${step.by}`}
                step={step}
                vhost={vhost}
              />
            ))}
          </ol>
          {course.steps_total > course.steps.length && (
            <p class="muted">… and {count(course.steps_total - course.steps.length)} more.</p>
          )}
        </Section>
      )}
      <Picture asked={asked} course={course} />
    </>
  );
}

function Step({ step, vhost }: { step: CourseStep; vhost: string }) {
  return (
    <li class={step.certain ? "" : "maybe"}>
      <ExchangeLink vhost={vhost} name={step.source} /> →{" "}
      {step.destination_type === "queue" && <QueueLink vhost={vhost} name={step.destination} />}
      {step.destination_type === "exchange" && (
        <ExchangeLink vhost={vhost} name={step.destination} />
      )}
      {step.destination_type === "reply" && "a client that waits for a direct reply"}{" "}
      <span class="muted">{stepReason(step)}</span>
    </li>
  );
}

/** No more boxes are drawn. */
const DRAWN = 80;

function Picture({ asked, course }: { asked: Asked; course: Course }) {
  const own = withQuery(path("topology", asked.vhost), {
    exchange: asked.exchange,
    depth: 2,
    limit: DRAWN,
  });
  const isDefault = asked.exchange === "";
  const { data } = useApi<Topology>(isDefault ? undefined : own);
  const [selected, setSelected] = useState<string>();
  const { nodes, edges } = useMemo(() => {
    const drawn = {
      nodes: data?.nodes.map((node) => toNode(node, null)) ?? [],
      edges: data?.edges.map((edge) => toEdge(edge, data)) ?? [],
    };
    const short = { ...course, steps: course.steps.slice(0, DRAWN) };
    return withCourse(drawn, short);
  }, [data, course]);
  if (!isDefault && !data) return null;
  return (
    <Section title="In the picture">
      <Graph
        label="The way of the message among what is around its exchange"
        nodes={nodes}
        edges={edges}
        selected={selected}
        onSelect={setSelected}
      />
      <p class="hint">
        Strong arrows are the way of the message, dotted ones what chance may choose. The rest is
        what is bound nearby and does not take it.
      </p>
    </Section>
  );
}
