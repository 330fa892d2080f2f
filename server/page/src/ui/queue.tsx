// What is shown of a queue in several places.

import { useState } from "preact/hooks";
import { path, put } from "../api/client.ts";
import type { Queue } from "../api/types.ts";
import { QUEUE_ARGUMENTS, toArguments, toEntries } from "../model/arguments.ts";
import { ArgumentsField } from "./arguments.tsx";
import { FormDialog } from "./dialog.tsx";
import { tell } from "./notice.tsx";
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

interface ArgumentsDialogProps {
  queue: Queue;
  onClose: () => void;
  onDone: () => void;
}

/** Gives a queue other arguments than it was declared with. */
export function ArgumentsDialog({ queue, onClose, onDone }: ArgumentsDialogProps) {
  const [entries, setEntries] = useState(toEntries(queue.arguments));
  const submit = async () => {
    const table = toArguments(entries);
    await put(path("queues", queue.vhost, queue.name, "arguments"), { arguments: table });
    tell(`${queue.name} has these arguments now.`);
    onDone();
  };
  return (
    <FormDialog
      title={`Arguments of ${queue.name}`}
      action="Change"
      danger
      onClose={onClose}
      onSubmit={submit}
    >
      <p>
        They count at once: a limit that is lower drops what is beyond it. Clients that declare the
        queue must say the same from now on. Its type and levels of priority stay as they are.
      </p>
      <ArgumentsField
        label="Arguments"
        value={entries}
        onChange={setEntries}
        known={QUEUE_ARGUMENTS}
      />
    </FormDialog>
  );
}
