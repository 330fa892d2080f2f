// Limits of a user or a virtual host: what may be there at once.

import { useState } from "preact/hooks";
import type { Limits } from "../api/admin.ts";
import { del, path, put } from "../api/client.ts";
import { count } from "../model/format.ts";
import { FormDialog } from "./dialog.tsx";
import { TextField } from "./field.tsx";
import { tell } from "./notice.tsx";
import { Fact, Facts, Section } from "./pieces.tsx";

/** The limits there are, by the kind of what has them. */
export const LIMITS: Record<"user" | "vhost", [string, string][]> = {
  user: [
    ["max-connections", "Connections"],
    ["max-channels", "Channels"],
  ],
  vhost: [
    ["max-connections", "Connections"],
    ["max-queues", "Queues"],
  ],
};

interface LimitsProps {
  kind: "user" | "vhost";
  name: string;
  limits: Limits;
  onDone: () => void;
}

export function LimitsSection({ kind, name, limits, onDone }: LimitsProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <Section
      title="Limits"
      actions={
        <button type="button" onClick={() => setOpen(true)}>
          Change limits
        </button>
      }
    >
      <Facts>
        {LIMITS[kind].map(([id, title]) => (
          <Fact key={id} name={title}>
            {id in limits ? `at most ${count(limits[id])}` : <span class="muted">no limit</span>}
          </Fact>
        ))}
      </Facts>
      {isOpen && (
        <EditLimits
          kind={kind}
          name={name}
          limits={limits}
          onDone={onDone}
          onClose={() => setOpen(false)}
        />
      )}
    </Section>
  );
}

export function EditLimits(props: LimitsProps & { onClose: () => void }) {
  const { kind, name, limits, onDone, onClose } = props;
  const first = LIMITS[kind].map(([id]) => [id, id in limits ? String(limits[id]) : ""]);
  const [texts, setTexts] = useState<Record<string, string>>(Object.fromEntries(first));
  const submit = async () => {
    for (const [id] of LIMITS[kind]) {
      const text = (texts[id] ?? "").trim();
      const own = path(`${kind}-limits`, name, id);
      if (text !== "") await put(own, { value: Number(text) });
      else if (id in limits) await del(own);
    }
    tell(`The limits of ${name} are set.`);
    onDone();
  };
  return (
    <FormDialog title={`Limits of ${name}`} action="Set" onClose={onClose} onSubmit={submit}>
      {LIMITS[kind].map(([id, title], index) => (
        <TextField
          key={id}
          label={title}
          type="number"
          min={0}
          value={texts[id] ?? ""}
          onChange={(text) => setTexts({ ...texts, [id]: text })}
          hint="The most there may be at once; empty for no limit. What is there already stays."
          first={index === 0}
        />
      ))}
    </FormDialog>
  );
}
