// All consumers.

import { path } from "../api/client.ts";
import type { Consumer } from "../api/types.ts";
import { count } from "../model/format.ts";
import { link } from "../model/location.ts";
import { vhost } from "../model/state.ts";
import { type Column, List } from "../ui/list.tsx";
import { Badge, Empty, Heading, QueueLink } from "../ui/pieces.tsx";

const COLUMNS: Column<Consumer>[] = [
  {
    id: "vhost",
    title: "Virtual host",
    fields: ["queue.vhost"],
    sort: "queue.vhost",
    cell: (consumer) => consumer.queue.vhost,
  },
  {
    id: "queue",
    title: "Queue",
    wide: true,
    fields: ["queue"],
    sort: "name",
    cell: ({ queue }) => <QueueLink vhost={queue.vhost} name={queue.name} />,
  },
  {
    id: "tag",
    title: "Tag",
    fields: ["consumer_tag"],
    sort: "consumer_tag",
    cell: (consumer) => consumer.consumer_tag,
  },
  {
    id: "channel",
    title: "Channel",
    fields: ["channel_details.name"],
    sort: "channel_details.name",
    cell: ({ channel_details: { name } }) => (
      <a class="whole" href={link("channels", name)}>
        {name}
      </a>
    ),
  },
  {
    id: "user",
    title: "User",
    fields: ["channel_details.user"],
    sort: "channel_details.user",
    cell: (consumer) => consumer.channel_details.user,
  },
  {
    id: "state",
    title: "State",
    hint: "Of a queue with a single active consumer the others wait",
    fields: ["active", "exclusive"],
    sort: "active",
    cell: ({ active, exclusive }) => (
      <span class="badges">
        <Badge tone={active ? "good" : undefined}>{active ? "active" : "waits its turn"}</Badge>
        {exclusive && <Badge>exclusive</Badge>}
      </span>
    ),
  },
  {
    id: "acks",
    title: "Acks",
    fields: ["ack_required"],
    sort: "ack_required",
    cell: (consumer) => (
      <span class="whole">{consumer.ack_required ? "by the client" : "none"}</span>
    ),
  },
  {
    id: "prefetch",
    title: "Prefetch",
    fields: ["prefetch_count"],
    sort: "prefetch_count",
    numeric: true,
    cell: ({ prefetch_count: most }) => (most === 0 ? "no limit" : count(most)),
  },
  {
    id: "unacked",
    title: "Unacked",
    fields: ["messages_unacknowledged"],
    sort: "messages_unacknowledged",
    numeric: true,
    cell: (consumer) => count(consumer.messages_unacknowledged),
  },
];

export default function Consumers() {
  return (
    <>
      <Heading title="Consumers" />
      <List
        name="consumers"
        nouns={["consumer", "consumers"]}
        path={vhost.value ? path("consumers", vhost.value) : "/api/consumers"}
        columns={COLUMNS}
        fields={["consumer_tag", "channel_details.name", "queue"]}
        rowKey={(one) => `${one.channel_details.name}\n${one.consumer_tag}`}
        empty={
          <Empty title="Nobody consumes.">
            <p>Messages wait in their queues until a client consumes from them.</p>
          </Empty>
        }
      />
    </>
  );
}
