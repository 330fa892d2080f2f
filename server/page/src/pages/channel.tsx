// One channel: how it publishes and consumes.

import { path } from "../api/client.ts";
import type { Channel as Info } from "../api/types.ts";
import { count } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { link } from "../model/location.ts";
import type { PageProps } from "../routes.ts";
import { Consumers } from "../ui/consumers.tsx";
import { Fact, Facts, Figure, Heading, Pending, Section } from "../ui/pieces.tsx";
import { ChannelState, modeOf } from "./channels.tsx";

function limit(prefetch: number): string {
  return prefetch === 0 ? "no limit" : count(prefetch);
}

export default function Channel({ params }: PageProps) {
  const { name = "" } = params;
  const { data: channel, error, reload } = useApi<Info>(path("channels", name));
  return (
    <>
      <Heading kind="Channel" title={name} />
      <Pending of={channel} error={error} onRetry={reload} />
      {channel && (
        <>
          <div class="figures">
            <Figure name="Consumers" value={count(channel.consumer_count)} />
            <Figure name="Unacked" tone="unacked" value={count(channel.messages_unacknowledged)} />
            <Figure name="Unconfirmed" value={count(channel.messages_unconfirmed)} />
            {channel.transactional && (
              <>
                <Figure name="Uncommitted" value={count(channel.messages_uncommitted)} />
                <Figure name="Uncommitted acks" value={count(channel.acks_uncommitted)} />
              </>
            )}
          </div>
          <Section title="What it is">
            <Facts>
              <Fact name="Connection">
                <a href={link("connections", channel.connection_details.name)}>
                  {channel.connection_details.name}
                </a>
              </Fact>
              <Fact name="User">{channel.user}</Fact>
              <Fact name="Virtual host">
                <a href={link("vhosts", channel.vhost)}>{channel.vhost}</a>
              </Fact>
              <Fact name="Mode">{modeOf(channel)}</Fact>
              <Fact name="State">
                <ChannelState state={channel.state} />
              </Fact>
              <Fact name="Prefetch of each consumer">{limit(channel.prefetch_count)}</Fact>
              <Fact name="Prefetch of all together">{limit(channel.global_prefetch_count)}</Fact>
            </Facts>
          </Section>
          <Section title={`Consumers (${count(channel.consumer_details?.length ?? 0)})`}>
            <Consumers of={channel.consumer_details ?? []} isOfChannel>
              <p class="muted">Nothing is consumed on it.</p>
            </Consumers>
          </Section>
        </>
      )}
    </>
  );
}
