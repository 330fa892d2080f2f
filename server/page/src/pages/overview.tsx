// The broker at a glance: what it holds, how fast it goes, and what it waits for.

import { useState } from "preact/hooks";
import type { Overview as Totals } from "../api/types.ts";
import { byteRate, bytes, count, duration, milliseconds, rate } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { latest, type Timeline, together } from "../model/series.ts";
import { has } from "../model/state.ts";
import { useTimeline } from "../model/timeline.ts";
import { Chart, HELD, type Line, RangeChoice } from "../ui/chart.tsx";
import { Empty, Fact, Facts, Failed, Figure, Heading, Pending, Section } from "../ui/pieces.tsx";

const FLOW: Line[] = [
  { of: "publish", title: "Published", colour: 1 },
  { of: "confirm", title: "Confirmed", colour: 5 },
  { of: "deliver_get", title: "Delivered", colour: 2 },
  { of: "ack", title: "Acknowledged", colour: 3 },
  { of: "redeliver", title: "Redelivered", colour: 4 },
  { of: "return_unroutable", title: "Returned", colour: 6 },
];

const SYNC: Line[] = [
  { of: "log_sync_p50_ms", title: "Half take up to", colour: 1 },
  { of: "log_sync_p99_ms", title: "99 of 100 up to", colour: 2 },
];

const GATE: Line[] = [
  { of: "gate_waiters", title: "Wait for the disk", colour: 5 },
  { of: "parked_channels", title: "Held up", colour: 4 },
];

const MEMORY: Line[] = [
  { of: "memory_resident", title: "Whole process", colour: 5 },
  { of: "memory_messages", title: "Messages", colour: 1 },
  { of: "memory_transactions", title: "Open transactions", colour: 3 },
  { of: "memory_history", title: "Kept by exchanges", colour: 4 },
];

const DISK: Line[] = [
  { of: "disk_write_bytes", title: "Written", colour: 1 },
  { of: "disk_read_bytes", title: "Read", colour: 2 },
];

const LINES = [HELD, FLOW, SYNC, GATE, MEMORY, DISK].flat().map(({ of }) => of);
const OTHERS = [
  "alarm_disk",
  "alarm_memory",
  "cpu",
  "delayed",
  "disk_free",
  "disk_free_limit",
  "log_backlog_bytes",
  "log_live_bytes",
  "memory_limit",
];

export default function Overview() {
  const [seconds, setSeconds] = useState(600);
  const totals = useApi<Totals>("/api/overview");
  const history = useTimeline("/api/history", seconds, [...LINES, ...OTHERS]);
  const { data } = history;
  return (
    <>
      <Heading title="Overview">
        <RangeChoice value={seconds} onChange={setSeconds} />
      </Heading>
      <Alarms data={data} />
      <Pending of={totals.data} error={totals.error} onRetry={totals.reload} />
      {totals.data && <Figures totals={totals.data} data={data} />}
      {totals.data?.object_totals.queues === 0 && <FirstSteps totals={totals.data} />}
      {history.error !== undefined && <Failed error={history.error} />}
      <div class="columns">
        <Section title="Messages in queues">
          <Chart lines={HELD} data={data} format={count} seconds={seconds} least={4} />
        </Section>
        <Section title="Messages per second">
          <Chart lines={FLOW} data={data} format={rate} seconds={seconds} />
        </Section>
        <Section title="Syncs of the log, for which confirms wait">
          <Chart lines={SYNC} data={data} format={milliseconds} seconds={seconds} />
        </Section>
        <Section title="Channels that wait">
          <Chart lines={GATE} data={data} format={count} seconds={seconds} least={4} />
        </Section>
        <Section title="Memory">
          <Chart lines={MEMORY} data={data} format={bytes} binary seconds={seconds} />
          <p class="muted">
            The process may take {bytes(latest(data, "memory_limit"))}, and messages half of it;
            then publishers wait.
          </p>
        </Section>
        <Section title="Disk">
          <Chart lines={DISK} data={data} format={byteRate} binary seconds={seconds} />
          <p class="muted">
            {bytes(latest(data, "disk_free"))} are free; publishers wait below{" "}
            {bytes(latest(data, "disk_free_limit"))}. Messages in the log take{" "}
            {bytes(latest(data, "log_live_bytes"))}, and {bytes(latest(data, "log_backlog_bytes"))}{" "}
            wait to be written.
          </p>
        </Section>
      </div>
      {totals.data && <Node totals={totals.data} data={data} />}
    </>
  );
}

function Alarms({ data }: { data: Timeline | undefined }) {
  return (
    <>
      {latest(data, "alarm_memory") === 1 && (
        <p class="error" role="alert">
          Memory alarm: messages take more memory than they may, and publishers wait. Have them
          consumed, purge queues, or give the broker more memory.
        </p>
      )}
      {latest(data, "alarm_disk") === 1 && (
        <p class="error" role="alert">
          Disk alarm: too little space is free, and publishers wait. Free some, or have messages
          consumed.
        </p>
      )}
    </>
  );
}

function Figures({ totals, data }: { totals: Totals; data: Timeline | undefined }) {
  const { queue_totals: held, object_totals: objects } = totals;
  return (
    <>
      <div class="figures">
        <Figure name="Ready" tone="ready" value={count(held.messages_ready)} />
        <Figure name="Unacked" tone="unacked" value={count(held.messages_unacknowledged)} />
        <Figure name="Total" value={count(held.messages)} />
        <Figure
          name="Delayed"
          value={count(latest(data, "delayed"))}
          {...(has("administrator") && { to: "#/delayed" })}
        />
        <Figure name="Connections" value={count(objects.connections)} to="#/connections" />
        <Figure name="Channels" value={count(objects.channels)} to="#/channels" />
        <Figure name="Consumers" value={count(objects.consumers)} to="#/consumers" />
        <Figure name="Exchanges" value={count(objects.exchanges)} to="#/exchanges" />
        <Figure name="Queues" value={count(objects.queues)} to="#/queues" />
      </div>
      <div class="figures">
        <Figure name="Published" value={rate(latest(data, "publish"))} />
        <Figure name="Confirmed" value={rate(latest(data, "confirm"))} />
        <Figure name="Delivered" value={rate(latest(data, "deliver_get"))} />
        <Figure name="Acked" value={rate(latest(data, "ack"))} />
        <Figure name="Redelivered" value={rate(latest(data, "redeliver"))} />
        <Figure
          name="Unroutable"
          value={rate(together(data, "return_unroutable", "drop_unroutable"))}
        />
      </div>
    </>
  );
}

function FirstSteps({ totals }: { totals: Totals }) {
  const amqp = totals.listeners.find(({ protocol }) => protocol === "amqp");
  return (
    <Empty title="Nothing is declared yet.">
      <p>
        Point a client at port <strong>{amqp?.port ?? 5672}</strong> with AMQP 0-9-1, or begin here:{" "}
        <a href="#/queues">declare a queue</a>, and publish to it from its page.
      </p>
    </Empty>
  );
}

interface NodeFacts {
  name: string;
  uptime: number;
  os_pid: string;
  processors: number;
  fd_used: number;
  fd_total: number;
}

function Node({ totals, data }: { totals: Totals; data: Timeline | undefined }) {
  const nodes = useApi<NodeFacts[]>(
    "/api/nodes?columns=name,uptime,os_pid,processors,fd_used,fd_total",
  );
  const node = nodes.data?.[0];
  const listeners = totals.listeners.map(
    ({ protocol, ip_address, port }) => `${protocol} ${ip_address}:${port}`,
  );
  const cpu = latest(data, "cpu");
  return (
    <Section title="Node">
      <Facts>
        <Fact name="Name">{totals.node}</Fact>
        <Fact name="Version">
          {totals.product_name} {totals.product_version} (with RabbitMQ {totals.rabbitmq_version}'s
          API)
        </Fact>
        {node && <Fact name="Running for">{duration(node.uptime)}</Fact>}
        {node && (
          <Fact name="Processors">
            {cpu === undefined ? "" : `${cpu.toFixed(2)} of `}
            {count(node.processors)} in use
          </Fact>
        )}
        {node && (
          <Fact name="Open files">
            {count(node.fd_used)} of {count(node.fd_total)}
          </Fact>
        )}
        {node && <Fact name="Process">{node.os_pid}</Fact>}
        <Fact name="Listens on">{listeners.join(", ")}</Fact>
      </Facts>
    </Section>
  );
}
