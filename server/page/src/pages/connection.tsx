// One connection: who it is, its channels, and how it is closed.

import { useEffect, useRef, useState } from "preact/hooks";
import { del, path } from "../api/client.ts";
import type { Channel, Connection as Info } from "../api/types.ts";
import { byteRate, bytes, count, moment } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { link } from "../model/location.ts";
import { extended, type Timeline } from "../model/series.ts";
import { go, has, person } from "../model/state.ts";
import type { PageProps } from "../routes.ts";
import { Chart, type Line } from "../ui/chart.tsx";
import { FormDialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { Grid } from "../ui/grid.tsx";
import { tell } from "../ui/notice.tsx";
import {
  Empty,
  Fact,
  Facts,
  Failed,
  Figure,
  Heading,
  Pending,
  Section,
  Table,
} from "../ui/pieces.tsx";
import { ConnectionState } from "./connections.tsx";

const LINES: Line[] = [
  { of: "received", title: "From the client", colour: 1 },
  { of: "sent", title: "To the client", colour: 2 },
];

/** How fast bytes come and go, since the page was opened. */
function useTraffic(connection: Info | undefined, at: number | undefined): Timeline | undefined {
  const before = useRef<{ at: number; received: number; sent: number }>(undefined);
  const [data, setData] = useState<Timeline | undefined>();
  useEffect(() => {
    if (!connection || at === undefined) return;
    const now = { at: at / 1000, received: connection.recv_oct, sent: connection.send_oct };
    const last = before.current;
    before.current = now;
    if (!last || now.at <= last.at) return;
    const perSecond = (count: number) => [Math.max(count, 0) / (now.at - last.at)];
    const more = {
      at: [now.at],
      series: {
        received: perSecond(now.received - last.received),
        sent: perSecond(now.sent - last.sent),
      },
    };
    setData((data) => (data ? extended(data, more, now.at - 3600) : more));
  }, [connection, at]);
  return data;
}

export default function Connection({ params }: PageProps) {
  const { name = "" } = params;
  const { data: connection, error, at, reload } = useApi<Info>(path("connections", name));
  const traffic = useTraffic(connection, at);
  const [isClosing, setClosing] = useState(false);
  const mayClose = has("administrator") || connection?.user === person.value?.name;
  return (
    <>
      <Heading kind="Connection" title={name}>
        {connection && mayClose && (
          <button type="button" class="danger" onClick={() => setClosing(true)}>
            Close it
          </button>
        )}
      </Heading>
      <Pending of={connection} error={error} onRetry={reload} />
      {connection && (
        <>
          <div class="figures">
            <Figure name="Channels" value={count(connection.channels)} />
            <Figure name="From the client" value={bytes(connection.recv_oct)} />
            <Figure name="To the client" value={bytes(connection.send_oct)} />
          </div>
          <Section title="Bytes per second, since this page was opened">
            <Chart lines={LINES} data={traffic} format={byteRate} binary seconds={300} />
          </Section>
          <div class="columns">
            <Section title="What it is">
              <About connection={connection} />
            </Section>
            <Section title="What the client says of itself">
              <Table of={connection.client_properties} />
            </Section>
          </div>
          <Channels connection={name} />
        </>
      )}
      {isClosing && <Close name={name} onClose={() => setClosing(false)} />}
    </>
  );
}

function About({ connection }: { connection: Info }) {
  return (
    <Facts>
      {connection.user_provided_name && (
        <Fact name="Its own name">{connection.user_provided_name}</Fact>
      )}
      <Fact name="State">
        <ConnectionState state={connection.state} />
      </Fact>
      <Fact name="User">
        {has("administrator") ? (
          <a href={link("users", connection.user)}>{connection.user}</a>
        ) : (
          connection.user
        )}
      </Fact>
      {connection.vhost !== null && (
        <Fact name="Virtual host">
          <a href={link("vhosts", connection.vhost)}>{connection.vhost}</a>
        </Fact>
      )}
      <Fact name="Since">{moment(connection.connected_at)}</Fact>
      <Fact name="Protocol">{connection.protocol}</Fact>
      <Fact name="Logged in by">{connection.auth_mechanism}</Fact>
      <Fact name="TLS">
        {connection.ssl ? (connection.ssl_protocol ?? "yes") : "no"}
        {connection.peer_cert_subject && <div>{connection.peer_cert_subject}</div>}
      </Fact>
      <Fact name="Heartbeat">
        {connection.timeout === 0 ? "none" : `${count(connection.timeout)} s`}
      </Fact>
      <Fact name="Largest frame">{bytes(connection.frame_max)}</Fact>
      <Fact name="Most channels">{count(connection.channel_max)}</Fact>
    </Facts>
  );
}

function Channels({ connection }: { connection: string }) {
  const { data, error, reload } = useApi<Channel[]>(path("connections", connection, "channels"));
  return (
    <Section title={`Channels (${count(data?.length)})`}>
      {error !== undefined && <Failed error={error} onRetry={reload} />}
      {data && (
        <Grid
          label="Channels"
          rows={data}
          rowKey={(channel) => String(channel.number)}
          columns={[
            {
              title: "Channel",
              cell: ({ name, number }) => <a href={link("channels", name)}>{number}</a>,
            },
            {
              title: "Mode",
              cell: (channel) =>
                channel.confirm ? "confirms" : channel.transactional ? "transactions" : "plain",
            },
            {
              title: "Consumers",
              numeric: true,
              cell: (channel) => count(channel.consumer_count),
            },
            {
              title: "Unacked",
              numeric: true,
              cell: (channel) => count(channel.messages_unacknowledged),
            },
            {
              title: "Unconfirmed",
              numeric: true,
              cell: (channel) => count(channel.messages_unconfirmed),
            },
          ]}
          empty={<Empty title="No channel is open on it." />}
        />
      )}
    </Section>
  );
}

function Close({ name, onClose }: { name: string; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const submit = async () => {
    await del(path("connections", name), reason || undefined);
    tell("The connection is closed.");
    go("#/connections");
  };
  return (
    <FormDialog
      title="Close this connection"
      action="Close it"
      danger
      onClose={onClose}
      onSubmit={submit}
    >
      <p>
        What the client has not acknowledged goes back to its queues. Many clients connect again at
        once.
      </p>
      <TextField
        label="Reason, which the client is told"
        value={reason}
        onChange={setReason}
        first
      />
    </FormDialog>
  );
}
