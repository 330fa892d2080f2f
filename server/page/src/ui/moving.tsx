// Moving the messages of a queue to another one.

import { useState } from "preact/hooks";
import { ApiError, get, path, post, withQuery } from "../api/client.ts";
import type { Page } from "../api/types.ts";
import { count, counted } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { FormDialog } from "./dialog.tsx";
import { TextField } from "./field.tsx";
import { tell } from "./notice.tsx";

/** What the server says after a while; it is asked again as long as something is left. */
interface Moved {
  moved: number;
  wanted: number;
  exactly_once: boolean;
  stopped: string | null;
}

interface MoveProps {
  vhost: string;
  queue: string;
  ready: number;
  onClose: () => void;
  onDone: () => void;
}

export function MoveDialog({ vhost, queue, ready, onClose, onDone }: MoveProps) {
  const [destination, setDestination] = useState("");
  const [many, setMany] = useState("");
  const [progress, setProgress] = useState<string | undefined>();
  const names = useApi<Page<{ name: string }>>(
    withQuery(path("queues", vhost), {
      page: 1,
      page_size: 50,
      name: destination || undefined,
      columns: "name",
      disable_stats: true,
    }),
    { keep: true, once: true },
  );
  const offered = names.data?.items.map(({ name }) => name).filter((name) => name !== queue);
  const submit = async () => {
    // That it is there is found out before anything is moved.
    try {
      await get(withQuery(path("queues", vhost, destination), { columns: "name" }));
    } catch (error) {
      const isMissing = error instanceof ApiError && error.status === 404;
      throw isMissing ? new Error(`There is no queue ${destination} in ${vhost}.`) : error;
    }
    const wanted = many === "" ? ready : Math.min(Number(many), ready);
    let moved = 0;
    while (moved < wanted) {
      const body = { destination, count: wanted - moved };
      const answer = await post<Moved>(path("queues", vhost, queue, "move"), body);
      moved += answer.moved;
      setProgress(`${count(moved)} of ${counted(wanted, "message")} moved.`);
      onDone();
      if (answer.stopped) throw new Error(`${count(moved)} moved, then: ${answer.stopped}`);
      if (answer.moved === 0 || answer.moved >= answer.wanted) break;
    }
    tell(`${counted(moved, "message")} moved to ${destination}.`);
  };
  return (
    <FormDialog
      title={`Move messages of ${queue}`}
      action="Move"
      danger
      onClose={onClose}
      onSubmit={submit}
    >
      <TextField
        label="To queue"
        value={destination}
        onChange={setDestination}
        {...(offered && { options: offered })}
        required
        first
      />
      <TextField
        label="How many"
        type="number"
        min={1}
        value={many}
        onChange={setMany}
        placeholder={`all ${count(ready)} that are ready`}
        hint="From the front. They keep their keys, properties and headers; consumers may take some meanwhile."
      />
      {progress && <p role="status">{progress}</p>}
    </FormDialog>
  );
}
