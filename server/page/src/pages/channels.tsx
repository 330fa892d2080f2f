// All channels.

import { path } from "../api/client.ts";
import type { Channel } from "../api/types.ts";
import { count } from "../model/format.ts";
import { link } from "../model/location.ts";
import { vhost } from "../model/state.ts";
import { type Column, List } from "../ui/list.tsx";
import { Badge, Empty, Heading } from "../ui/pieces.tsx";

export function ChannelState({ state }: { state: string }) {
  return (
    <Badge
      tone={state === "running" ? "good" : "warn"}
      hint={state === "flow" ? "It waits with publishing" : undefined}
    >
      {state}
    </Badge>
  );
}

/** What publishers are told on it. */
export function modeOf({ confirm, transactional }: Channel): string {
  if (confirm) return "confirms";
  return transactional ? "transactions" : "plain";
}

const COLUMNS: Column<Channel>[] = [
  {
    id: "vhost",
    title: "Virtual host",
    fields: ["vhost"],
    sort: "vhost",
    cell: (channel) => channel.vhost,
  },
  {
    id: "name",
    title: "Name",
    wide: true,
    fields: ["name"],
    sort: "name",
    cell: (channel) => <a href={link("channels", channel.name)}>{channel.name}</a>,
  },
  {
    id: "user",
    title: "User",
    fields: ["user"],
    sort: "user",
    cell: (channel) => channel.user,
  },
  {
    id: "mode",
    title: "Mode",
    hint: "What publishers are told: confirms, or transactions",
    fields: ["confirm", "transactional"],
    sort: "confirm",
    cell: modeOf,
  },
  {
    id: "state",
    title: "State",
    fields: ["state"],
    sort: "state",
    cell: (channel) => <ChannelState state={channel.state} />,
  },
  {
    id: "consumers",
    title: "Consumers",
    fields: ["consumer_count"],
    sort: "consumer_count",
    numeric: true,
    cell: (channel) => count(channel.consumer_count),
  },
  {
    id: "prefetch",
    title: "Prefetch",
    hint: "How many messages each consumer is given ahead; 0 is no limit",
    fields: ["prefetch_count"],
    sort: "prefetch_count",
    numeric: true,
    cell: (channel) => count(channel.prefetch_count),
  },
  {
    id: "unacked",
    title: "Unacked",
    fields: ["messages_unacknowledged"],
    sort: "messages_unacknowledged",
    numeric: true,
    cell: (channel) => count(channel.messages_unacknowledged),
  },
  {
    id: "unconfirmed",
    title: "Unconfirmed",
    hint: "Published messages that are not confirmed yet",
    fields: ["messages_unconfirmed"],
    sort: "messages_unconfirmed",
    numeric: true,
    cell: (channel) => count(channel.messages_unconfirmed),
  },
  {
    id: "uncommitted",
    title: "Uncommitted",
    hint: "Messages and acknowledgements of a transaction that is open",
    fields: ["messages_uncommitted", "acks_uncommitted"],
    sort: "messages_uncommitted",
    numeric: true,
    optional: true,
    cell: (channel) => count(channel.messages_uncommitted + channel.acks_uncommitted),
  },
];

export default function Channels() {
  return (
    <>
      <Heading title="Channels" />
      <List
        name="channels"
        nouns={["channel", "channels"]}
        path={vhost.value ? path("vhosts", vhost.value, "channels") : "/api/channels"}
        columns={COLUMNS}
        fields={["name"]}
        rowKey={(channel) => channel.name}
        empty={
          <Empty title="No channel is open.">
            <p>Clients open channels on their connections, to publish and to consume.</p>
          </Empty>
        }
      />
    </>
  );
}
