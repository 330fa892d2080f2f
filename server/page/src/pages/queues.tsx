// All queues.

import { useState } from "preact/hooks";
import { path, put } from "../api/client.ts";
import type { Queue } from "../api/types.ts";
import { type Entry, QUEUE_ARGUMENTS, toArguments } from "../model/arguments.ts";
import { bytes, count, rate } from "../model/format.ts";
import { link } from "../model/location.ts";
import { go, vhost } from "../model/state.ts";
import { ArgumentsField } from "../ui/arguments.tsx";
import { NewNameFields, nameColumns, useNewName, useOffered } from "../ui/declare.tsx";
import { FormDialog } from "../ui/dialog.tsx";
import { Check, Choice } from "../ui/field.tsx";
import { type Column, List } from "../ui/list.tsx";
import { tell } from "../ui/notice.tsx";
import { Empty, Heading, QueueLink } from "../ui/pieces.tsx";
import { QueueFeatures, QueueState } from "../ui/queue.tsx";

const COLUMNS: Column<Queue>[] = [
  ...nameColumns<Queue>(QueueLink),
  { id: "type", title: "Type", fields: ["type"], sort: "type", cell: (queue) => queue.type },
  {
    id: "features",
    title: "Features",
    fields: ["durable", "auto_delete", "exclusive", "arguments", "policy", "operator_policy"],
    cell: (queue) => <QueueFeatures queue={queue} />,
  },
  {
    id: "state",
    title: "State",
    fields: ["state"],
    sort: "state",
    cell: (queue) => <QueueState state={queue.state} />,
  },
  {
    id: "ready",
    title: "Ready",
    hint: "Messages that wait for a consumer",
    fields: ["messages_ready"],
    sort: "messages_ready",
    numeric: true,
    cell: (queue) => count(queue.messages_ready),
  },
  {
    id: "unacked",
    title: "Unacked",
    hint: "Messages that were handed out and are not acknowledged",
    fields: ["messages_unacknowledged"],
    sort: "messages_unacknowledged",
    numeric: true,
    cell: (queue) => count(queue.messages_unacknowledged),
  },
  {
    id: "total",
    title: "Total",
    fields: ["messages"],
    sort: "messages",
    numeric: true,
    cell: (queue) => count(queue.messages),
  },
  {
    id: "memory",
    title: "In memory",
    hint: "Messages that are in memory; the others are on disk",
    fields: ["messages_ram"],
    sort: "messages_ram",
    numeric: true,
    optional: true,
    cell: (queue) => count(queue.messages_ram),
  },
  {
    id: "bytes",
    title: "Bytes",
    hint: "Bytes of the bodies of ready messages",
    fields: ["message_bytes"],
    sort: "message_bytes",
    numeric: true,
    optional: true,
    cell: (queue) => bytes(queue.message_bytes),
  },
  {
    id: "consumers",
    title: "Consumers",
    fields: ["consumers"],
    sort: "consumers",
    numeric: true,
    cell: (queue) => count(queue.consumers),
  },
  {
    id: "in",
    title: "In",
    hint: "Messages that come in, per second",
    fields: ["message_stats.publish_details.rate"],
    sort: "message_stats.publish_details.rate",
    numeric: true,
    cell: (queue) => rate(queue.message_stats?.publish_details?.rate),
  },
  {
    id: "out",
    title: "Out",
    hint: "Messages that are handed out, per second",
    fields: ["message_stats.deliver_get_details.rate"],
    sort: "message_stats.deliver_get_details.rate",
    numeric: true,
    cell: (queue) => rate(queue.message_stats?.deliver_get_details?.rate),
  },
  {
    id: "ack",
    title: "Acked",
    hint: "Acknowledgements, per second",
    fields: ["message_stats.ack_details.rate"],
    sort: "message_stats.ack_details.rate",
    numeric: true,
    cell: (queue) => rate(queue.message_stats?.ack_details?.rate),
  },
];

export default function Queues() {
  const [isDeclaring, setDeclaring] = useState(false);
  const offered = useOffered();
  const declare = offered.length > 0 && (
    <button type="button" class="primary" onClick={() => setDeclaring(true)}>
      Declare a queue
    </button>
  );
  return (
    <>
      <Heading title="Queues">{declare}</Heading>
      <List
        name="queues"
        nouns={["queue", "queues"]}
        path={vhost.value ? path("queues", vhost.value) : "/api/queues"}
        columns={COLUMNS}
        fields={["name", "vhost"]}
        rowKey={(queue) => `${queue.vhost}\n${queue.name}`}
        empty={
          <Empty title="There are no queues yet.">
            <p>
              Clients declare the queues that they consume from.
              {offered.length > 0 && " Declare one here to try it out: all it takes is a name."}
            </p>
          </Empty>
        }
      />
      {isDeclaring && <Declare offered={offered} onClose={() => setDeclaring(false)} />}
    </>
  );
}

interface DeclareProps {
  offered: string[];
  onClose: () => void;
}

function Declare({ offered, onClose }: DeclareProps) {
  const { into, name, refusal, fields } = useNewName(offered);
  const [type, setType] = useState("classic");
  const [isDurable, setDurable] = useState(true);
  const [isAutoDelete, setAutoDelete] = useState(false);
  const [entries, setEntries] = useState<Entry[]>([]);
  const submit = async () => {
    const table = toArguments(entries);
    if (type !== "classic") table["x-queue-type"] = type;
    await put(path("queues", into, name), {
      durable: isDurable || type === "quorum",
      auto_delete: isAutoDelete && type !== "quorum",
      arguments: table,
    });
    tell(`Queue ${name} is there.`);
    go(link("queues", into, name));
  };
  return (
    <FormDialog
      title="Declare a queue"
      action="Declare"
      refusal={refusal}
      onClose={onClose}
      onSubmit={submit}
    >
      <NewNameFields {...fields} />
      <Choice
        label="Type"
        value={type}
        onChange={setType}
        options={[
          ["classic", "classic"],
          ["quorum", "quorum: durable, with 32 priorities and a limit to deliveries"],
        ]}
      />
      {type !== "quorum" && (
        <>
          <Check
            label="Durable"
            hint="It is there again after a start of the broker, with what is persistent in it."
            value={isDurable}
            onChange={setDurable}
          />
          <Check
            label="Auto-delete"
            hint="It goes when its last consumer does."
            value={isAutoDelete}
            onChange={setAutoDelete}
          />
        </>
      )}
      <ArgumentsField
        label="Arguments"
        value={entries}
        onChange={setEntries}
        known={QUEUE_ARGUMENTS}
      />
    </FormDialog>
  );
}
