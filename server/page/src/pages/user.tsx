// A user: what it is, and what it may do where.

import { useState } from "preact/hooks";
import type { User } from "../api/admin.ts";
import { path, put } from "../api/client.ts";
import { useApi } from "../model/loading.ts";
import { go, person } from "../model/state.ts";
import type { PageProps } from "../routes.ts";
import { FormDialog } from "../ui/dialog.tsx";
import { Choice, TextField } from "../ui/field.tsx";
import { LimitsSection } from "../ui/limits.tsx";
import { tell } from "../ui/notice.tsx";
import { Permissions, TopicPermissions } from "../ui/permissions.tsx";
import { Fact, Facts, Heading, Pending, Section } from "../ui/pieces.tsx";
import { Tags, TagsField } from "../ui/tags.tsx";
import { askToDelete } from "./users.tsx";

export default function UserPage({ params }: PageProps) {
  const name = params.name ?? "";
  const { data, error, reload } = useApi<User>(path("users", name));
  const [isOpen, setOpen] = useState(false);
  const isSelf = name === person.value?.name;
  return (
    <>
      <Heading kind="User" title={name}>
        <button type="button" disabled={!data} onClick={() => setOpen(true)}>
          Change tags or password
        </button>
        {!isSelf && (
          <button
            type="button"
            class="danger"
            onClick={() => askToDelete(name, () => go("#/users"))}
          >
            Delete
          </button>
        )}
      </Heading>
      <Pending of={data} error={error} onRetry={reload} />
      {data && (
        <>
          <div class="columns">
            <Section title="About">
              <Facts>
                <Fact name="Tags">
                  <Tags of={data.tags} />
                </Fact>
                <Fact name="Password">
                  {data.password_hash
                    ? `set, ${data.hashing_algorithm.replace("rabbit_password_hashing_", "")}`
                    : "none"}
                </Fact>
              </Facts>
            </Section>
            <LimitsSection kind="user" name={name} limits={data.limits} onDone={reload} />
          </div>
          <Permissions of={{ user: name }} />
          <TopicPermissions of={{ user: name }} />
        </>
      )}
      {isOpen && data && (
        <Change user={data} onClose={() => setOpen(false)} onDone={reload} isSelf={isSelf} />
      )}
    </>
  );
}

interface ChangeProps {
  user: User;
  isSelf: boolean;
  onClose: () => void;
  onDone: () => void;
}

function Change({ user, isSelf, onClose, onDone }: ChangeProps) {
  const [what, setWhat] = useState("keep");
  const [password, setPassword] = useState("");
  const [tags, setTags] = useState(user.tags);
  const submit = async () => {
    const { password_hash, hashing_algorithm } = user;
    const own = {
      keep: password_hash ? { password_hash, hashing_algorithm } : {},
      set: { password },
      clear: {},
    }[what];
    if (isSelf && !tags.includes("administrator")) {
      throw new Error("You would take your own right to administrate. Let another person do it.");
    }
    await put(path("users", user.name), { ...own, tags });
    tell(`User ${user.name} is changed.`);
    onDone();
  };
  return (
    <FormDialog
      title={`Change user ${user.name}`}
      action="Change"
      onClose={onClose}
      onSubmit={submit}
    >
      <Choice
        label="Password"
        value={what}
        onChange={setWhat}
        options={[
          ["keep", "stays as it is"],
          ["set", "is to be another"],
          ...(isSelf
            ? []
            : [["clear", "is to be none: log in by certificate only"] as [string, string]]),
        ]}
      />
      {what === "set" && (
        <TextField
          label="New password"
          type="password"
          autocomplete="new-password"
          value={password}
          onChange={setPassword}
          required
        />
      )}
      <TagsField value={tags} onChange={setTags} />
    </FormDialog>
  );
}
