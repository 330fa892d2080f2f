// A virtual host: what it is, and who may do what in it.

import { useState } from "preact/hooks";
import type { Vhost } from "../api/admin.ts";
import { del, path, post, put } from "../api/client.ts";
import { count } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { vhost as chosenVhost, go, has } from "../model/state.ts";
import type { PageProps } from "../routes.ts";
import { FormDialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { LimitsSection } from "../ui/limits.tsx";
import { attempt, tell } from "../ui/notice.tsx";
import { Permissions, TopicPermissions } from "../ui/permissions.tsx";
import { Badge, Fact, Facts, Heading, Pending, Section } from "../ui/pieces.tsx";
import { TypeField } from "./vhosts.tsx";

export default function VhostPage({ params }: PageProps) {
  const name = params.name ?? "";
  const { data, error, reload } = useApi<Vhost>(path("vhosts", name));
  const [window, setWindow] = useState<"change" | "delete">();
  const isProtected = data?.protected_from_deletion === true;
  const protect = async () => {
    const own = path("vhosts", name, "deletion", "protection");
    await (isProtected
      ? attempt(() => del(own), `Virtual host ${name} can be deleted.`)
      : attempt(() => post(own), `Virtual host ${name} cannot be deleted.`));
    reload();
  };
  return (
    <>
      <Heading kind="Virtual host" title={name}>
        {has("administrator") && data && (
          <>
            <button type="button" onClick={() => setWindow("change")}>
              Change
            </button>
            <button type="button" onClick={protect}>
              {isProtected ? "Let it be deleted" : "Protect from deletion"}
            </button>
            {!isProtected && (
              <button type="button" class="danger" onClick={() => setWindow("delete")}>
                Delete
              </button>
            )}
          </>
        )}
      </Heading>
      <Pending of={data} error={error} onRetry={reload} />
      {data && (
        <div class="columns">
          <Section title="About">
            <Facts>
              <Fact name="Description">{data.description || <span class="muted">none</span>}</Fact>
              <Fact name="Queues that do not say a type are">{data.default_queue_type}</Fact>
              <Fact name="Messages ready">{count(data.messages_ready)}</Fact>
              <Fact name="Messages unacked">{count(data.messages_unacknowledged)}</Fact>
              {isProtected && (
                <Fact name="Deletion">
                  <Badge tone="accent">protected</Badge>
                </Fact>
              )}
            </Facts>
            <p>
              <button
                type="button"
                onClick={() => {
                  chosenVhost.value = name;
                  go("#/queues");
                }}
              >
                Show its queues
              </button>
            </p>
          </Section>
          {has("administrator") && (
            <LimitsSection kind="vhost" name={name} limits={data.limits} onDone={reload} />
          )}
        </div>
      )}
      {data && has("administrator") && (
        <>
          <Permissions of={{ vhost: name }} />
          <TopicPermissions of={{ vhost: name }} />
        </>
      )}
      {window === "change" && data && (
        <Change vhost={data} onClose={() => setWindow(undefined)} onDone={reload} />
      )}
      {window === "delete" && <Delete name={name} onClose={() => setWindow(undefined)} />}
    </>
  );
}

interface ChangeProps {
  vhost: Vhost;
  onClose: () => void;
  onDone: () => void;
}

function Change({ vhost, onClose, onDone }: ChangeProps) {
  const [description, setDescription] = useState(vhost.description);
  const [type, setType] = useState(vhost.default_queue_type);
  const submit = async () => {
    const tags = vhost.tags;
    await put(path("vhosts", vhost.name), { description, tags, default_queue_type: type });
    tell(`Virtual host ${vhost.name} is changed.`);
    onDone();
  };
  return (
    <FormDialog
      title={`Change virtual host ${vhost.name}`}
      action="Change"
      onClose={onClose}
      onSubmit={submit}
    >
      <TextField label="Description" value={description} onChange={setDescription} first />
      <TypeField value={type} onChange={setType} />
    </FormDialog>
  );
}

/** All that is in a virtual host goes with it, so its name is to be written once more. */
function Delete({ name, onClose }: { name: string; onClose: () => void }) {
  const [text, setText] = useState("");
  const submit = async () => {
    if (text !== name) throw new Error("That is not its name.");
    await del(path("vhosts", name));
    tell(`Virtual host ${name} is deleted.`);
    go("#/vhosts");
  };
  return (
    <FormDialog
      title={`Delete virtual host ${name}?`}
      action="Delete"
      danger
      onClose={onClose}
      onSubmit={submit}
    >
      <p>
        Its exchanges, queues, messages, policies and permissions go with it, and its connections
        are closed. This cannot be undone.
      </p>
      <TextField
        label="Its name, to be sure"
        value={text}
        onChange={setText}
        placeholder={name}
        first
      />
    </FormDialog>
  );
}
