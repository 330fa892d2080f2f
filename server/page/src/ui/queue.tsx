// What is shown of a queue in several places.

import type { Queue } from "../api/types.ts";
import { Badge } from "./pieces.tsx";

/** What a queue was declared to be, in words. */
export function QueueFeatures({ queue }: { queue: Queue }) {
  const policies = [queue.policy, queue.operator_policy].filter(Boolean).join(", ");
  const given = Object.keys(queue.arguments ?? {}).filter((name) => name !== "x-queue-type");
  return (
    <span class="badges">
      {!queue.durable && <Badge hint="It goes with the broker">transient</Badge>}
      {queue.auto_delete && <Badge hint="It goes with its last consumer">auto-delete</Badge>}
      {queue.exclusive && <Badge hint="It is one connection's own">exclusive</Badge>}
      {given.length > 0 && <Badge hint={given.join(", ")}>arguments</Badge>}
      {policies && (
        <Badge tone="accent" hint="The policies in force">
          {policies}
        </Badge>
      )}
    </span>
  );
}

export function QueueState({ state }: { state: string }) {
  return <Badge tone={state === "running" ? "good" : "warn"}>{state}</Badge>;
}
