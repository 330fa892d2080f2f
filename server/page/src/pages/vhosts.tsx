// All virtual hosts.

import { useState } from "preact/hooks";
import type { Vhost } from "../api/admin.ts";
import { path, put } from "../api/client.ts";
import { count } from "../model/format.ts";
import { link } from "../model/location.ts";
import { go, has } from "../model/state.ts";
import { FormDialog } from "../ui/dialog.tsx";
import { Choice, TextField } from "../ui/field.tsx";
import { type Column, List } from "../ui/list.tsx";
import { tell } from "../ui/notice.tsx";
import { Badge, Empty, Heading } from "../ui/pieces.tsx";

const COLUMNS: Column<Vhost>[] = [
  {
    id: "name",
    title: "Name",
    fields: ["name"],
    sort: "name",
    cell: (vhost) => <a href={link("vhosts", vhost.name)}>{vhost.name}</a>,
  },
  {
    id: "description",
    title: "Description",
    fields: ["description"],
    cell: (vhost) => vhost.description || <span class="muted">none</span>,
  },
  {
    id: "type",
    title: "Queues are",
    hint: "The type of queues that do not say one",
    fields: ["default_queue_type"],
    cell: (vhost) => vhost.default_queue_type,
  },
  {
    id: "limits",
    title: "Limits",
    fields: ["limits"],
    cell: (vhost) =>
      Object.entries(vhost.limits)
        .map(([name, value]) => `${name} ${value}`)
        .join(", ") || <span class="muted">none</span>,
  },
  {
    id: "protected",
    title: "Deletion",
    fields: ["protected_from_deletion"],
    cell: (vhost) =>
      vhost.protected_from_deletion ? (
        <Badge tone="accent">protected</Badge>
      ) : (
        <span class="muted">allowed</span>
      ),
  },
  {
    id: "ready",
    title: "Ready",
    fields: ["messages_ready"],
    sort: "messages_ready",
    numeric: true,
    cell: (vhost) => count(vhost.messages_ready),
  },
  {
    id: "unacked",
    title: "Unacked",
    fields: ["messages_unacknowledged"],
    sort: "messages_unacknowledged",
    numeric: true,
    cell: (vhost) => count(vhost.messages_unacknowledged),
  },
];

export default function Vhosts() {
  const [isMaking, setMaking] = useState(false);
  return (
    <>
      <Heading title="Virtual hosts">
        {has("administrator") && (
          <button type="button" class="primary" onClick={() => setMaking(true)}>
            Add a virtual host
          </button>
        )}
      </Heading>
      <List
        name="vhosts"
        nouns={["virtual host", "virtual hosts"]}
        path="/api/vhosts"
        columns={COLUMNS}
        fields={["name"]}
        rowKey={(vhost) => vhost.name}
        empty={
          <Empty title="There is no virtual host that you may see.">
            <p>An administrator can set a permission for you in one.</p>
          </Empty>
        }
      />
      {isMaking && <Make onClose={() => setMaking(false)} />}
    </>
  );
}

function Make({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [type, setType] = useState("classic");
  const submit = async () => {
    await put(path("vhosts", name), { description, default_queue_type: type });
    tell(`Virtual host ${name} is there. Say who may enter it.`);
    go(link("vhosts", name));
  };
  return (
    <FormDialog title="Add a virtual host" action="Add" onClose={onClose} onSubmit={submit}>
      <TextField label="Name" value={name} onChange={setName} required first />
      <TextField label="Description" value={description} onChange={setDescription} />
      <TypeField value={type} onChange={setType} />
    </FormDialog>
  );
}

export function TypeField(props: { value: string; onChange: (value: string) => void }) {
  return (
    <Choice label="Type of queues that do not say one" {...props} options={["classic", "quorum"]} />
  );
}
