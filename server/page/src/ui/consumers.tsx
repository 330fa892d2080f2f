// The consumers of a queue, or of a channel.

import type { ComponentChildren } from "preact";
import type { Consumer } from "../api/types.ts";
import { count } from "../model/format.ts";
import { link } from "../model/location.ts";
import { QueueLink, TableFrame } from "./pieces.tsx";

interface ConsumersProps {
  of: Consumer[];
  /** Whether the page is a channel's: then the queues are shown. */
  isOfChannel?: boolean;
  /** What is shown if there are none. */
  children: ComponentChildren;
}

export function Consumers({ of, isOfChannel, children }: ConsumersProps) {
  if (of.length === 0) return <>{children}</>;
  return (
    <TableFrame label="Consumers">
      <table>
        <thead>
          <tr>
            <th scope="col">Tag</th>
            <th scope="col">{isOfChannel ? "Queue" : "Channel"}</th>
            <th scope="col">User</th>
            <th scope="col">Acks</th>
            <th scope="col" class="number">
              Prefetch
            </th>
            <th scope="col" class="number">
              Unacked
            </th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {of.map((consumer) => (
            <tr key={`${consumer.channel_details.name}\n${consumer.consumer_tag}`}>
              <td>{consumer.consumer_tag}</td>
              <td>
                {isOfChannel ? (
                  <QueueLink vhost={consumer.queue.vhost} name={consumer.queue.name} />
                ) : (
                  <a href={link("channels", consumer.channel_details.name)}>
                    {consumer.channel_details.name}
                  </a>
                )}
              </td>
              <td>{consumer.channel_details.user}</td>
              <td>{consumer.ack_required ? "by the client" : "none"}</td>
              <td class="number">
                {consumer.prefetch_count === 0 ? "no limit" : count(consumer.prefetch_count)}
              </td>
              <td class="number">{count(consumer.messages_unacknowledged)}</td>
              <td>{consumer.active ? "active" : "waits its turn"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  );
}
