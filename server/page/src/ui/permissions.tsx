// Permissions, of a user or of a virtual host: tables, and the windows that set them.

import { useState } from "preact/hooks";
import type { Permission, TopicPermission } from "../api/admin.ts";
import { del, path, put } from "../api/client.ts";
import { useApi } from "../model/loading.ts";
import { exchangeSegment, link } from "../model/location.ts";
import { vhosts } from "../model/state.ts";
import { confirm, FormDialog } from "./dialog.tsx";
import { Choice, TextField } from "./field.tsx";
import { Grid, type GridColumn } from "./grid.tsx";
import { tell } from "./notice.tsx";
import { Empty, Pending, Section } from "./pieces.tsx";

/** Whose permissions: a user's, or all in a virtual host. */
export type Of = { user: string } | { vhost: string };

const PATTERN =
  "A regular expression that is looked for in the name: ^orders\\. for what begins so, .* for all; empty for none.";

function base(of: Of): string[] {
  return "user" in of ? ["users", of.user] : ["vhosts", of.vhost];
}

/** Who or where, as a link to it. */
function other<T extends { user: string; vhost: string }>(of: Of): GridColumn<T> {
  return "user" in of
    ? { title: "Virtual host", cell: (one) => <a href={link("vhosts", one.vhost)}>{one.vhost}</a> }
    : { title: "User", cell: (one) => <a href={link("users", one.user)}>{one.user}</a> };
}

function Pattern({ text }: { text: string }) {
  return text === "" ? <span class="muted">nothing</span> : <code>{text}</code>;
}

interface KeptProps<T> {
  title: string;
  /** What the button says that makes another. */
  action: string;
  asked: string;
  /** What tells one from the others. */
  keyOf: (one: T) => string;
  /** What the buttons of one are about, for who does not see where they stand. */
  nameOf: (one: T) => string;
  columns: GridColumn<T>[];
  empty: string;
  clear: (one: T, reload: () => void) => void;
  Edit: (props: EditProps<T>) => preact.JSX.Element;
  of: Of;
}

/** A table of permissions, which are set, changed and cleared. */
function Kept<T>(props: KeptProps<T>) {
  const { title, action, asked, keyOf, nameOf, clear, Edit, of } = props;
  const { data, error, reload } = useApi<T[]>(asked);
  const [edited, setEdited] = useState<T | "new">();
  const actions: GridColumn<T> = {
    title: "",
    numeric: true,
    cell: (one) => (
      <span class="actions">
        <button type="button" onClick={() => setEdited(one)}>
          Change<span class="hidden"> {nameOf(one)}</span>
        </button>
        <button type="button" class="danger" onClick={() => clear(one, reload)}>
          Clear<span class="hidden"> {nameOf(one)}</span>
        </button>
      </span>
    ),
  };
  return (
    <Section
      title={title}
      actions={
        <button type="button" onClick={() => setEdited("new")}>
          {action}
        </button>
      }
    >
      <Pending of={data} error={error} onRetry={reload} />
      {data && (
        <Grid
          label={title}
          columns={[...props.columns, actions]}
          rows={data}
          rowKey={keyOf}
          empty={
            <Empty title="There are none.">
              <p>{props.empty}</p>
            </Empty>
          }
        />
      )}
      {edited !== undefined && (
        <Edit
          of={of}
          {...(edited !== "new" && { before: edited })}
          onClose={() => setEdited(undefined)}
          onDone={reload}
        />
      )}
    </Section>
  );
}

export function Permissions({ of }: { of: Of }) {
  const clear = ({ user, vhost }: Permission, reload: () => void) =>
    confirm({
      title: `Keep ${user} out of ${vhost}?`,
      body: <p>The user can do nothing in that virtual host any more, nor enter it.</p>,
      action: "Clear",
      run: async () => {
        await del(path("permissions", vhost, user));
        tell(`User ${user} has no permissions in ${vhost} any more.`);
        reload();
      },
    });
  return (
    <Kept<Permission>
      title="Permissions"
      action="Set a permission"
      asked={path(...base(of), "permissions")}
      keyOf={(one) => `${one.vhost}\n${one.user}`}
      nameOf={(one) => `${one.user} in ${one.vhost}`}
      columns={[
        other(of),
        { title: "Configure", cell: (one) => <Pattern text={one.configure} /> },
        { title: "Write", cell: (one) => <Pattern text={one.write} /> },
        { title: "Read", cell: (one) => <Pattern text={one.read} /> },
      ]}
      empty={
        "user" in of
          ? "The user can enter no virtual host. Set a permission to let it in."
          : "Nobody but administrators of this page can enter. Set a permission to let somebody in."
      }
      clear={clear}
      Edit={Edit}
      of={of}
    />
  );
}

/** A field for the user or the virtual host that is not known yet. */
function OtherField(props: { of: Of; value: string; onChange: (value: string) => void }) {
  const { of, value, onChange } = props;
  const isOfUser = "user" in of;
  const { data } = useApi<{ name: string }[]>(isOfUser ? undefined : "/api/users?columns=name", {
    once: true,
  });
  const names = isOfUser ? vhosts.value : (data ?? []).map(({ name }) => name);
  return (
    <Choice
      label={isOfUser ? "Virtual host" : "User"}
      value={value}
      onChange={onChange}
      options={[...(value === "" ? [["", "choose one"] as [string, string]] : []), ...names]}
    />
  );
}

interface EditProps<T> {
  of: Of;
  before?: T;
  onClose: () => void;
  onDone: () => void;
}

/** Who and where, once both are known. */
function both(of: Of, chosen: string): { user: string; vhost: string } {
  if (chosen === "") throw new Error("user" in of ? "Choose a virtual host." : "Choose a user.");
  return "user" in of ? { user: of.user, vhost: chosen } : { user: chosen, vhost: of.vhost };
}

function Edit({ of, before, onClose, onDone }: EditProps<Permission>) {
  const [chosen, setChosen] = useState(before ? ("user" in of ? before.vhost : before.user) : "");
  const [configure, setConfigure] = useState(before?.configure ?? ".*");
  const [write, setWrite] = useState(before?.write ?? ".*");
  const [read, setRead] = useState(before?.read ?? ".*");
  const submit = async () => {
    const { user, vhost } = both(of, chosen);
    await put(path("permissions", vhost, user), { configure, write, read });
    tell(`The permission of ${user} in ${vhost} is set.`);
    onDone();
  };
  return (
    <FormDialog title="Set a permission" action="Set" onClose={onClose} onSubmit={submit}>
      {!before && <OtherField of={of} value={chosen} onChange={setChosen} />}
      <TextField
        label="Configure"
        value={configure}
        onChange={setConfigure}
        hint={`Queues and exchanges that the user may declare and delete. ${PATTERN}`}
        first
      />
      <TextField
        label="Write"
        value={write}
        onChange={setWrite}
        hint="Exchanges to publish to, and queues to bind."
      />
      <TextField
        label="Read"
        value={read}
        onChange={setRead}
        hint="Queues to consume from, and exchanges to bind to."
      />
    </FormDialog>
  );
}

export function TopicPermissions({ of }: { of: Of }) {
  const clear = ({ user, vhost, exchange }: TopicPermission, reload: () => void) =>
    confirm({
      title: `Clear the topic permission of ${user}?`,
      body: <p>Any routing key may be used at the exchange {exchange} from then on.</p>,
      action: "Clear",
      run: async () => {
        await del(path("topic-permissions", vhost, user, exchangeSegment(exchange)));
        tell(`The topic permission of ${user} at ${exchange} is cleared.`);
        reload();
      },
    });
  return (
    <Kept<TopicPermission>
      title="Topic permissions"
      action="Set a topic permission"
      asked={path(...base(of), "topic-permissions")}
      keyOf={(one) => `${one.vhost}\n${one.user}\n${one.exchange}`}
      nameOf={(one) => `${one.user} at ${one.exchange}`}
      columns={[
        other(of),
        { title: "Exchange", cell: (one) => one.exchange },
        { title: "Write", cell: (one) => <Pattern text={one.write} /> },
        { title: "Read", cell: (one) => <Pattern text={one.read} /> },
      ]}
      empty="Any routing key may be used at topic exchanges that the permissions open."
      clear={clear}
      Edit={EditTopic}
      of={of}
    />
  );
}

function EditTopic({ of, before, onClose, onDone }: EditProps<TopicPermission>) {
  const [chosen, setChosen] = useState(before ? ("user" in of ? before.vhost : before.user) : "");
  const [exchange, setExchange] = useState(before?.exchange ?? "amq.topic");
  const [write, setWrite] = useState(before?.write ?? ".*");
  const [read, setRead] = useState(before?.read ?? ".*");
  const submit = async () => {
    const { user, vhost } = both(of, chosen);
    await put(path("topic-permissions", vhost, user), { exchange, write, read });
    tell(`The topic permission of ${user} at ${exchange} is set.`);
    onDone();
  };
  return (
    <FormDialog title="Set a topic permission" action="Set" onClose={onClose} onSubmit={submit}>
      {!before && (
        <>
          <OtherField of={of} value={chosen} onChange={setChosen} />
          <TextField
            label="Exchange"
            value={exchange}
            onChange={setExchange}
            hint="A topic exchange."
            required
          />
        </>
      )}
      <TextField
        label="Write"
        value={write}
        onChange={setWrite}
        hint="Routing keys to publish with: a regular expression, in which {username} and {vhost} stand for the user's."
        first
      />
      <TextField label="Read" value={read} onChange={setRead} hint="Binding keys to bind by." />
    </FormDialog>
  );
}
