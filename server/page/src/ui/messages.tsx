// Messages: as they are shown, published, and taken.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { path, post } from "../api/client.ts";
import type { Message } from "../api/types.ts";
import { type Entry, toArguments } from "../model/arguments.ts";
import { bytes, count, counted, moment } from "../model/format.ts";
import { exchangeSegment } from "../model/location.ts";
import { ArgumentsField } from "./arguments.tsx";
import { Dialog, FormDialog } from "./dialog.tsx";
import { Check, Choice, TextArea, TextField } from "./field.tsx";
import { tell } from "./notice.tsx";
import { Badge, Empty, Fact, Facts, Table } from "./pieces.tsx";

/** A message, with what can be done to it. */
export function MessageView({ of, children }: { of: Message; children?: ComponentChildren }) {
  const { headers, ...properties } = of.properties ?? {};
  return (
    <article class="message">
      <div class="message-head">
        <span class="badges">
          <Badge tone="accent">{of.exchange ? of.exchange : "(default)"}</Badge>
          <Badge hint="Routing key">{of.routing_key || "(empty key)"}</Badge>
          {of.redelivered && <Badge tone="warn">redelivered</Badge>}
          {(of.delivery_count ?? 0) > 0 && (
            <Badge>came back {counted(of.delivery_count ?? 0, "time")}</Badge>
          )}
          {of.payload_encoding === "base64" && <Badge hint="It is no text">base64</Badge>}
        </span>
        <span class="muted">
          {bytes(of.payload_bytes)}
          {of.expires_at ? `, expires ${moment(of.expires_at)}` : ""}
        </span>
        {children && <div class="actions">{children}</div>}
      </div>
      {of.payload === null ? (
        <p class="muted">It is on disk only. Get it to see what is in it.</p>
      ) : (
        <pre class="payload">{of.payload === "" ? "(empty)" : of.payload}</pre>
      )}
      {of.properties && (
        <Facts>
          <Fact name="Properties">
            <Table of={properties} />
          </Fact>
          <Fact name="Headers">
            <Table of={headers} />
          </Fact>
        </Facts>
      )}
    </article>
  );
}

interface PublishProps {
  vhost: string;
  exchange: string;
  routingKey?: string;
  onClose: () => void;
  onDone: () => void;
}

const PROPERTIES: [string, string][] = [
  ["content_type", "Content type"],
  ["correlation_id", "Correlation id"],
  ["reply_to", "Reply to"],
  ["message_id", "Message id"],
  ["type", "Type"],
  ["expiration", "Expiration in ms"],
];

export function PublishDialog({ vhost, exchange, routingKey, onClose, onDone }: PublishProps) {
  const [key, setKey] = useState(routingKey ?? "");
  const [payload, setPayload] = useState("");
  const [isBase64, setBase64] = useState(false);
  const [isPersistent, setPersistent] = useState(true);
  const [priority, setPriority] = useState("");
  const [properties, setProperties] = useState<Record<string, string>>({});
  const [headers, setHeaders] = useState<Entry[]>([]);
  const submit = async () => {
    const given = Object.entries(properties).filter(([, value]) => value !== "");
    const table = toArguments(headers);
    const { routed } = await post<{ routed: boolean }>(
      path("exchanges", vhost, exchangeSegment(exchange), "publish"),
      {
        routing_key: key,
        payload,
        payload_encoding: isBase64 ? "base64" : "string",
        properties: {
          ...Object.fromEntries(given),
          ...(priority !== "" && { priority: Number(priority) }),
          ...(Object.keys(table).length > 0 && { headers: table }),
          delivery_mode: isPersistent ? 2 : 1,
        },
      },
    );
    onDone();
    if (!routed) {
      throw new Error("No queue took it: no binding of the exchange is for this key and headers.");
    }
    tell("The message is published, and a queue has it.");
  };
  return (
    <FormDialog title="Publish a message" action="Publish" onClose={onClose} onSubmit={submit} wide>
      <TextField label="Routing key" value={key} onChange={setKey} />
      <TextArea label="Payload" value={payload} onChange={setPayload} rows={6} />
      <div class="field-row">
        <Check label="Payload is base64" value={isBase64} onChange={setBase64} />
        <Check label="Persistent" value={isPersistent} onChange={setPersistent} />
      </div>
      <ArgumentsField label="Headers" value={headers} onChange={setHeaders} />
      <details>
        <summary>Properties</summary>
        <div class="field-grid">
          {PROPERTIES.map(([name, title]) => (
            <TextField
              key={name}
              label={title}
              value={properties[name] ?? ""}
              onChange={(value) => setProperties({ ...properties, [name]: value })}
            />
          ))}
          <TextField
            label="Priority"
            type="number"
            min={0}
            max={255}
            value={priority}
            onChange={setPriority}
          />
        </div>
      </details>
    </FormDialog>
  );
}

interface GetProps {
  vhost: string;
  queue: string;
  onClose: () => void;
  onDone: () => void;
}

/** Takes messages from a queue, which keeps them or not. */
export function GetDialog({ vhost, queue, onClose, onDone }: GetProps) {
  const [many, setMany] = useState("1");
  const [mode, setMode] = useState("ack_requeue_true");
  const [got, setGot] = useState<Message[] | undefined>();
  const submit = async () => {
    const messages = await post<Message[]>(path("queues", vhost, queue, "get"), {
      count: Number(many),
      ackmode: mode,
      encoding: "auto",
      truncate: 50_000,
    });
    setGot(messages);
    onDone();
  };
  if (got) {
    return (
      <Dialog title={`${counted(got.length, "message")} of ${queue}`} onClose={onClose} wide>
        <div class="dialog-body">
          {got.length === 0 && <Empty title="The queue has no message that is ready." />}
          {got.map((message, index) => (
            <MessageView key={index} of={message} />
          ))}
        </div>
      </Dialog>
    );
  }
  return (
    <FormDialog
      title={`Get messages of ${queue}`}
      action="Get"
      danger={mode !== "ack_requeue_true"}
      onClose={onClose}
      onSubmit={submit}
      keep
    >
      <TextField
        label="How many"
        type="number"
        min={1}
        max={500}
        value={many}
        onChange={setMany}
        required
        first
      />
      <Choice
        label="What becomes of them"
        value={mode}
        onChange={setMode}
        options={[
          ["ack_requeue_true", "They go back to their places, and count as redelivered"],
          ["ack_requeue_false", "They are acknowledged: gone"],
          ["reject_requeue_false", "They are rejected: dead-lettered, or gone"],
        ]}
      />
      {mode !== "ack_requeue_true" && (
        <p class="banner">
          {mode === "ack_requeue_false"
            ? "The queue does not have these messages any more afterwards."
            : "They go to the dead letter exchange if the queue has one, and are gone otherwise."}
        </p>
      )}
      <p class="hint">
        {count(Number(many))} at the most. To look without touching them, use the list of messages.
      </p>
    </FormDialog>
  );
}
