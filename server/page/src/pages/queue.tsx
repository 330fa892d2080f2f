// One queue: what it holds, what is in force for it, who consumes, what is bound, and its messages.

import { useEffect, useState } from "preact/hooks";
import { del, get, path, put, withQuery } from "../api/client.ts";
import type { Binding, Queue as Info, Message } from "../api/types.ts";
import { bytes, count, counted, rate } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { link, linkWith } from "../model/location.ts";
import { may } from "../model/rights.ts";
import { go, has } from "../model/state.ts";
import { useTimeline } from "../model/timeline.ts";
import type { PageProps } from "../routes.ts";
import { BindDialog, Bindings } from "../ui/bindings.tsx";
import { Chart, HELD, type Line, RangeChoice } from "../ui/chart.tsx";
import { Consumers } from "../ui/consumers.tsx";
import { confirm } from "../ui/dialog.tsx";
import { GetDialog, MessageView, PublishDialog } from "../ui/messages.tsx";
import { MoveDialog } from "../ui/moving.tsx";
import { attempt, tell } from "../ui/notice.tsx";
import {
  Empty,
  ExchangeLink,
  Fact,
  Facts,
  Failed,
  Figure,
  Heading,
  OnlyLooking,
  Pending,
  Section,
} from "../ui/pieces.tsx";
import { InForce } from "../ui/policy.tsx";
import { ArgumentsDialog, QueueFeatures, QueueState } from "../ui/queue.tsx";

const FLOW: Line[] = [
  { of: "publish", title: "In", colour: 1 },
  { of: "deliver", title: "Delivered", colour: 2 },
  { of: "get", title: "Got", colour: 5 },
  { of: "ack", title: "Acknowledged", colour: 3 },
  { of: "redeliver", title: "Redelivered", colour: 4 },
];

type Open = "publish" | "get" | "bind" | "move" | "arguments" | undefined;

export default function Queue({ params }: PageProps) {
  const { vhost = "", name = "" } = params;
  const at = path("queues", vhost, name);
  const { data: queue, error, reload } = useApi<Info>(at);
  const [seconds, setSeconds] = useState(600);
  const [open, setOpen] = useState<Open>();
  const [version, setVersion] = useState(0);
  const changed = () => {
    reload();
    setVersion((count) => count + 1);
  };
  const close = () => setOpen(undefined);
  return (
    <>
      <Heading kind="Queue" title={name}>
        {queue && (
          <>
            {may(queue, "publish") && (
              <button type="button" class="primary" onClick={() => setOpen("publish")}>
                Publish
              </button>
            )}
            {may(queue, "get") && (
              <button type="button" onClick={() => setOpen("get")}>
                Get messages
              </button>
            )}
            {has("administrator") && (
              <button type="button" onClick={() => setOpen("move")}>
                Move messages
              </button>
            )}
            <Changes queue={queue} onChange={changed} />
          </>
        )}
      </Heading>
      <Pending of={queue} error={error} onRetry={reload} />
      {queue && (
        <>
          <OnlyLooking at={queue} what="queue" />
          {queue.state === "paused" && (
            <p class="banner">
              This queue is paused: it takes messages and hands none out until it is resumed.
            </p>
          )}
          <Figures queue={queue} />
          <Charts vhost={vhost} name={name} seconds={seconds} onSeconds={setSeconds} />
          <div class="columns">
            <Section title="What it is">
              <About queue={queue} />
            </Section>
            <Section
              title="What is in force, and why"
              actions={
                has("administrator") && (
                  <button type="button" onClick={() => setOpen("arguments")}>
                    Change arguments
                  </button>
                )
              }
            >
              <InForce
                vhost={vhost}
                name={name}
                given={queue.arguments}
                policy={queue.policy}
                operatorPolicy={queue.operator_policy}
              />
            </Section>
          </div>
          <Section title={`Consumers (${count(queue.consumer_details?.length ?? 0)})`}>
            <Consumers of={queue.consumer_details ?? []}>
              <Empty title="Nobody consumes from this queue.">
                <p>Messages stay until a client consumes them, or they expire.</p>
              </Empty>
            </Consumers>
          </Section>
          <Bound queue={queue} isOpen={open === "bind"} onOpen={setOpen} />
          {has("administrator") && <Messages vhost={vhost} name={name} version={version} />}
        </>
      )}
      {open === "publish" && (
        <PublishDialog
          vhost={vhost}
          exchange=""
          routingKey={name}
          onClose={close}
          onDone={changed}
        />
      )}
      {open === "move" && queue && (
        <MoveDialog
          vhost={vhost}
          queue={name}
          ready={queue.messages_ready ?? 0}
          onClose={close}
          onDone={changed}
        />
      )}
      {open === "arguments" && queue && (
        <ArgumentsDialog queue={queue} onClose={close} onDone={changed} />
      )}
      {open === "get" && <GetDialog vhost={vhost} queue={name} onClose={close} onDone={changed} />}
    </>
  );
}

function Changes({ queue, onChange }: { queue: Info; onChange: () => void }) {
  const { vhost, name } = queue;
  const at = path("queues", vhost, name);
  const isPaused = queue.state === "paused";
  const pause = async () => {
    const what = () => (isPaused ? del(`${at}/pause`) : put(`${at}/pause`));
    await attempt(what, isPaused ? `${name} hands out messages again.` : `${name} is paused.`);
    onChange();
  };
  const askToPause = () => {
    if (isPaused) {
      void pause();
      return;
    }
    confirm({
      title: `Pause ${name}`,
      body: <p>It takes messages, and hands none out to consumers until it is resumed.</p>,
      action: "Pause",
      danger: false,
      run: pause,
    });
  };
  const purge = () =>
    confirm({
      title: `Purge ${name}`,
      body: (
        <p>
          {counted(queue.messages_ready ?? 0, "ready message")} will be gone, without being
          dead-lettered. What is unacknowledged stays.
        </p>
      ),
      action: "Purge",
      run: async () => {
        await del(`${at}/contents`);
        tell(`${name} is purged.`);
        onChange();
      },
    });
  const remove = () =>
    confirm({
      title: `Delete ${name}`,
      body: (
        <p>
          The queue goes with its bindings and {counted(queue.messages ?? 0, "message")}
          {queue.consumers ? `; ${counted(queue.consumers, "consumer")} will be cancelled` : ""}.
        </p>
      ),
      action: "Delete",
      run: async () => {
        await del(at);
        tell(`${name} is deleted.`);
        go("#/queues");
      },
    });
  return (
    <>
      <a class="button" href={linkWith({ vhost: queue.vhost, queue: name }, "topology")}>
        Show in the topology
      </a>
      {has("administrator") && (
        <button type="button" onClick={askToPause}>
          {isPaused ? "Resume" : "Pause"}
        </button>
      )}
      {may(queue, "purge") && (
        <button type="button" class="danger" onClick={purge}>
          Purge
        </button>
      )}
      {may(queue, "delete") && (
        <button type="button" class="danger" onClick={remove}>
          Delete
        </button>
      )}
    </>
  );
}

function Figures({ queue }: { queue: Info }) {
  const { message_stats: stats } = queue;
  return (
    <div class="figures">
      <Figure name="Ready" tone="ready" value={count(queue.messages_ready)} />
      <Figure name="Unacked" tone="unacked" value={count(queue.messages_unacknowledged)} />
      <Figure name="Total" value={count(queue.messages)} />
      <Figure
        name="In memory"
        value={count(queue.messages_ram)}
        detail={`${count(queue.messages_paged_out)} on disk only`}
      />
      <Figure name="Bodies" value={bytes(queue.message_bytes)} detail="of ready messages" />
      <Figure name="Consumers" value={count(queue.consumers)} />
      <Figure name="In" value={rate(stats?.publish_details?.rate)} />
      <Figure name="Out" value={rate(stats?.deliver_get_details?.rate)} />
      <Figure name="Acked" value={rate(stats?.ack_details?.rate)} />
    </div>
  );
}

interface ChartsProps {
  vhost: string;
  name: string;
  seconds: number;
  onSeconds: (seconds: number) => void;
}

function Charts({ vhost, name, seconds, onSeconds }: ChartsProps) {
  const { data, error } = useTimeline(path("queues", vhost, name, "history"), seconds);
  return (
    <div class="columns">
      <Section title="Messages" actions={<RangeChoice value={seconds} onChange={onSeconds} />}>
        <Chart lines={HELD} data={data} format={count} seconds={seconds} least={4} />
        {error !== undefined && <Failed error={error} />}
      </Section>
      <Section title="Messages per second">
        <Chart lines={FLOW} data={data} format={rate} seconds={seconds} />
      </Section>
    </div>
  );
}

function About({ queue }: { queue: Info }) {
  const effective = { ...queue.effective_policy_definition };
  const letters = queue.arguments["x-dead-letter-exchange"] ?? effective["dead-letter-exchange"];
  return (
    <Facts>
      <Fact name="Virtual host">
        <a href={link("vhosts", queue.vhost)}>{queue.vhost}</a>
      </Fact>
      <Fact name="Type">{queue.type}</Fact>
      <Fact name="State">
        <QueueState state={queue.state} />
      </Fact>
      <Fact name="Features">
        {queue.durable ? "durable " : ""}
        <QueueFeatures queue={queue} />
      </Fact>
      {typeof letters === "string" && (
        <Fact name="Dead letters go to">
          <ExchangeLink vhost={queue.vhost} name={letters} />
        </Fact>
      )}
      <Fact name="A message may come back">
        {queue.delivery_limit === "unlimited"
          ? "any number of times"
          : counted(Number(queue.delivery_limit ?? 0), "time")}
      </Fact>
      {queue.single_active_consumer_tag && (
        <Fact name="Active consumer">{queue.single_active_consumer_tag}</Fact>
      )}
      {queue.owner_pid_details && (
        <Fact name="Belongs to">
          <a href={link("connections", queue.owner_pid_details.name)}>
            {queue.owner_pid_details.name}
          </a>
        </Fact>
      )}
    </Facts>
  );
}

interface BoundProps {
  queue: Info;
  isOpen: boolean;
  onOpen: (open: Open) => void;
}

function Bound({ queue, isOpen, onOpen }: BoundProps) {
  const { vhost, name } = queue;
  const { data, error, reload } = useApi<Binding[]>(path("queues", vhost, name, "bindings"));
  return (
    <Section
      title={`Bindings to this queue (${count(data?.length)})`}
      actions={
        may(queue, "bind") && (
          <button type="button" onClick={() => onOpen("bind")}>
            Bind to an exchange
          </button>
        )
      }
    >
      {error !== undefined && <Failed error={error} onRetry={reload} />}
      {data && <Bindings bindings={data} end="source" onChange={reload} />}
      {isOpen && (
        <BindDialog
          vhost={vhost}
          to={{ kind: "q", name }}
          onClose={() => onOpen(undefined)}
          onDone={reload}
        />
      )}
    </Section>
  );
}

const BATCH = 20;

/**
 * The messages that are ready, from the front; looking at them changes nothing. Who has looked at
 * them looks again when something was done to the queue here, which changes the version.
 */
function Messages({ vhost, name, version }: { vhost: string; name: string; version: number }) {
  const [messages, setMessages] = useState<Message[] | undefined>();
  const [isAll, setAll] = useState(false);
  const at = path("queues", vhost, name, "messages");
  const load = async (before: Message[]) => {
    const after = before.at(-1)?.id;
    const asked = withQuery(at, { count: BATCH, truncate: 20_000, after });
    await attempt(async () => {
      const more = await get<Message[]>(asked);
      setMessages([...before, ...more]);
      setAll(more.length < BATCH);
    });
  };
  useEffect(() => {
    if (messages) void load([]);
  }, [version]);
  const remove = (message: Message) =>
    confirm({
      title: "Delete this message",
      body: <p>It will be gone, without being dead-lettered.</p>,
      action: "Delete",
      run: async () => {
        await del(`${at}/${encodeURIComponent(message.id ?? "")}`);
        setMessages((all) => all?.filter((one) => one.id !== message.id));
        tell("The message is deleted.");
      },
    });
  return (
    <Section
      title="Ready messages, from the front"
      actions={
        <button type="button" onClick={() => void load([])}>
          {messages ? "Look again" : "Look at them"}
        </button>
      }
    >
      {!messages && (
        <p class="muted">
          Looking at messages takes none away, and consumers notice nothing of it.
        </p>
      )}
      {messages?.length === 0 && <Empty title="No message is ready." />}
      {messages && messages.length > 0 && (
        <div class="messages">
          {messages.map((message) => (
            <MessageView key={message.id} of={message}>
              <button type="button" class="danger" onClick={() => remove(message)}>
                Delete
              </button>
            </MessageView>
          ))}
          {!isAll && (
            <button type="button" onClick={() => void load(messages)}>
              Show more
            </button>
          )}
        </div>
      )}
    </Section>
  );
}
