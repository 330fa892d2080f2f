// The consumers of a queue, or of a channel.

import type { ComponentChildren } from "preact";
import type { Consumer } from "../api/types.ts";
import { count } from "../model/format.ts";
import { link } from "../model/location.ts";
import { Grid } from "./grid.tsx";
import { QueueLink } from "./pieces.tsx";

interface ConsumersProps {
  of: Consumer[];
  /** Whether the page is a channel's: then the queues are shown. */
  isOfChannel?: boolean;
  /** What is shown if there are none. */
  children: ComponentChildren;
}

export function Consumers({ of, isOfChannel, children }: ConsumersProps) {
  return (
    <Grid
      label="Consumers"
      rows={of}
      rowKey={(consumer) => `${consumer.channel_details.name}\n${consumer.consumer_tag}`}
      columns={[
        { title: "Tag", cell: (consumer) => consumer.consumer_tag },
        {
          title: isOfChannel ? "Queue" : "Channel",
          cell: ({ queue, channel_details: { name } }) =>
            isOfChannel ? (
              <QueueLink vhost={queue.vhost} name={queue.name} />
            ) : (
              <a href={link("channels", name)}>{name}</a>
            ),
        },
        { title: "User", cell: (consumer) => consumer.channel_details.user },
        {
          title: "Acks",
          cell: (consumer) => (consumer.ack_required ? "by the client" : "none"),
        },
        {
          title: "Prefetch",
          numeric: true,
          cell: ({ prefetch_count: prefetch }) => (prefetch === 0 ? "no limit" : count(prefetch)),
        },
        {
          title: "Unacked",
          numeric: true,
          cell: (consumer) => count(consumer.messages_unacknowledged),
        },
        { title: "State", cell: ({ active }) => (active ? "active" : "waits its turn") },
      ]}
      empty={children}
    />
  );
}
