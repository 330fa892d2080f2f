// All connections.

import { path } from "../api/client.ts";
import type { Connection } from "../api/types.ts";
import { bytes, count, moment } from "../model/format.ts";
import { link } from "../model/location.ts";
import { vhost } from "../model/state.ts";
import { type Column, List } from "../ui/list.tsx";
import { Badge, Empty, Heading } from "../ui/pieces.tsx";

export function ConnectionState({ state }: { state: string }) {
  const isWell = state === "running";
  return <Badge tone={isWell ? "good" : "warn"}>{state}</Badge>;
}

const COLUMNS: Column<Connection>[] = [
  {
    id: "vhost",
    title: "Virtual host",
    fields: ["vhost"],
    sort: "vhost",
    cell: (connection) => connection.vhost,
  },
  {
    id: "name",
    title: "Name",
    wide: true,
    fields: ["name", "user_provided_name"],
    sort: "name",
    cell: (connection) => (
      <>
        <a href={link("connections", connection.name)}>{connection.name}</a>
        {connection.user_provided_name && <div class="muted">{connection.user_provided_name}</div>}
      </>
    ),
  },
  {
    id: "user",
    title: "User",
    fields: ["user"],
    sort: "user",
    cell: (connection) => connection.user,
  },
  {
    id: "state",
    title: "State",
    hint: "flow and blocked: the broker lets it wait with publishing",
    fields: ["state"],
    sort: "state",
    cell: (connection) => <ConnectionState state={connection.state} />,
  },
  {
    id: "tls",
    title: "TLS",
    fields: ["ssl", "ssl_protocol"],
    sort: "ssl",
    optional: true,
    cell: (connection) => (connection.ssl ? (connection.ssl_protocol ?? "yes") : "no"),
  },
  {
    id: "client",
    title: "Client",
    fields: ["client_properties"],
    cell: (connection) => clientOf(connection),
  },
  {
    id: "channels",
    title: "Channels",
    fields: ["channels"],
    sort: "channels",
    numeric: true,
    cell: (connection) => count(connection.channels),
  },
  {
    id: "received",
    title: "From client",
    hint: "Bytes that came from the client",
    fields: ["recv_oct"],
    sort: "recv_oct",
    numeric: true,
    cell: (connection) => bytes(connection.recv_oct),
  },
  {
    id: "sent",
    title: "To client",
    hint: "Bytes that went to the client",
    fields: ["send_oct"],
    sort: "send_oct",
    numeric: true,
    cell: (connection) => bytes(connection.send_oct),
  },
  {
    id: "since",
    title: "Since",
    fields: ["connected_at"],
    sort: "connected_at",
    cell: (connection) => <span class="nowrap">{moment(connection.connected_at)}</span>,
  },
];

/** What a client says that it is. */
function clientOf({ client_properties: said }: Connection): string {
  const text = (of: unknown) => (typeof of === "string" ? of : "");
  return `${text(said?.product)} ${text(said?.version)}`.trim();
}

export default function Connections() {
  return (
    <>
      <Heading title="Connections" />
      <List
        name="connections"
        nouns={["connection", "connections"]}
        path={vhost.value ? path("vhosts", vhost.value, "connections") : "/api/connections"}
        columns={COLUMNS}
        fields={["name"]}
        rowKey={(connection) => connection.name}
        empty={
          <Empty title="Nobody is connected.">
            <p>
              Clients connect with AMQP 0-9-1; the addresses are at the end of the{" "}
              <a href="#/">overview</a>.
            </p>
          </Empty>
        }
      />
    </>
  );
}
