// All users.

import { useState } from "preact/hooks";
import type { User } from "../api/admin.ts";
import { del, path, put } from "../api/client.ts";
import { link } from "../model/location.ts";
import { go, person } from "../model/state.ts";
import { confirm, FormDialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { type Column, List } from "../ui/list.tsx";
import { tell } from "../ui/notice.tsx";
import { Badge, Empty, Heading } from "../ui/pieces.tsx";
import { Tags, TagsField } from "../ui/tags.tsx";

function limits(user: User): string {
  const all = Object.entries(user.limits).map(([name, value]) => `${name} ${value}`);
  return all.join(", ") || "none";
}

const COLUMNS: Column<User>[] = [
  {
    id: "name",
    title: "Name",
    fields: ["name"],
    sort: "name",
    cell: (user) => <a href={link("users", user.name)}>{user.name}</a>,
  },
  {
    id: "tags",
    title: "Tags",
    hint: "What the user may do in this page and its API",
    fields: ["tags"],
    cell: (user) => <Tags of={user.tags} />,
  },
  {
    id: "password",
    title: "Password",
    fields: ["password_hash"],
    cell: (user) =>
      user.password_hash ? (
        <Badge tone="good">set</Badge>
      ) : (
        <Badge tone="warn" hint="The user can log in by a certificate only">
          none
        </Badge>
      ),
  },
  { id: "limits", title: "Limits", fields: ["limits"], cell: limits },
];

export default function Users() {
  const [isMaking, setMaking] = useState(false);
  const [version, setVersion] = useState(0);
  const removal: Column<User> = {
    id: "delete",
    title: "Delete",
    fields: ["name"],
    cell: (user) =>
      user.name === person.value?.name ? (
        <span class="muted">you</span>
      ) : (
        <button
          type="button"
          class="danger"
          aria-label={`Delete user ${user.name}`}
          onClick={() => askToDelete(user.name, () => setVersion((now) => now + 1))}
        >
          Delete
        </button>
      ),
  };
  return (
    <>
      <Heading title="Users">
        <button type="button" class="primary" onClick={() => setMaking(true)}>
          Add a user
        </button>
      </Heading>
      <List
        name="users"
        nouns={["user", "users"]}
        path="/api/users"
        columns={[...COLUMNS, removal]}
        fields={["name"]}
        rowKey={(user) => user.name}
        version={version}
        empty={<Empty title="There are no users." />}
      />
      {isMaking && <Make onClose={() => setMaking(false)} />}
    </>
  );
}

/** Asks whether a user is to go, and deletes it. */
export function askToDelete(name: string, done: () => void): void {
  confirm({
    title: `Delete user ${name}?`,
    body: <p>Its permissions go with it, and its connections are closed.</p>,
    action: "Delete",
    run: async () => {
      await del(path("users", name));
      tell(`User ${name} is deleted.`);
      done();
    },
  });
}

function Make({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [tags, setTags] = useState<string[]>([]);
  const submit = async () => {
    await put(path("users", name), { ...(password && { password }), tags });
    tell(`User ${name} is there. Permissions come next.`);
    go(link("users", name));
  };
  return (
    <FormDialog title="Add a user" action="Add" onClose={onClose} onSubmit={submit}>
      <TextField label="Name" value={name} onChange={setName} required first />
      <TextField
        label="Password"
        type="password"
        autocomplete="new-password"
        value={password}
        onChange={setPassword}
        hint="Without one the user can log in by a certificate only."
      />
      <TagsField value={tags} onChange={setTags} />
    </FormDialog>
  );
}
