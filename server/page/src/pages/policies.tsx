// Policies, of users and of operators: what is asked of queues and exchanges by their names. Who
// writes one sees what it would be for, before it is.

import { useEffect, useState } from "preact/hooks";
import type { Policy, PolicyPreview } from "../api/admin.ts";
import { del, explain, path, post, put } from "../api/client.ts";
import { type Entry, type Known, toArguments, toEntries } from "../model/arguments.ts";
import { count, counted } from "../model/format.ts";
import { exchangeSegment, link } from "../model/location.ts";
import { vhost as chosenVhost, has, vhosts, vhostToBeginWith } from "../model/state.ts";
import { ArgumentsField } from "../ui/arguments.tsx";
import { confirm, FormDialog } from "../ui/dialog.tsx";
import { Choice, TextField } from "../ui/field.tsx";
import { type Column, List } from "../ui/list.tsx";
import { tell } from "../ui/notice.tsx";
import { Badge, Empty, Heading, Table } from "../ui/pieces.tsx";

type Layer = "policies" | "operator-policies";

const NOUNS: Record<Layer, [string, string]> = {
  policies: ["policy", "policies"],
  "operator-policies": ["operator policy", "operator policies"],
};

const APPLY_TO: [string, string][] = [
  ["all", "queues and exchanges"],
  ["queues", "queues"],
  ["classic_queues", "classic queues"],
  ["quorum_queues", "quorum queues"],
  ["exchanges", "exchanges"],
];

const KEYS: (Known & { isForOperators: boolean })[] = [
  { name: "message-ttl", kind: "number", hint: "ms that a message may wait", isForOperators: true },
  {
    name: "expires",
    kind: "number",
    hint: "ms without use after which a queue goes",
    isForOperators: true,
  },
  { name: "max-length", kind: "number", hint: "the most ready messages", isForOperators: true },
  {
    name: "max-length-bytes",
    kind: "number",
    hint: "the most bytes of ready messages",
    isForOperators: true,
  },
  {
    name: "overflow",
    kind: "text",
    hint: "what happens to messages beyond the limit",
    values: ["drop-head", "reject-publish", "reject-publish-dlx"],
    isForOperators: true,
  },
  {
    name: "delivery-limit",
    kind: "number",
    hint: "how often a message may come back",
    isForOperators: true,
  },
  {
    name: "dead-letter-exchange",
    kind: "text",
    hint: "where messages go that die",
    isForOperators: false,
  },
  {
    name: "dead-letter-routing-key",
    kind: "text",
    hint: "the key they go with",
    isForOperators: false,
  },
  {
    name: "dead-letter-strategy",
    kind: "text",
    hint: "whether a dead letter waits until it is safe",
    values: ["at-most-once", "at-least-once"],
    isForOperators: false,
  },
  {
    name: "alternate-exchange",
    kind: "text",
    hint: "where messages go that no binding takes",
    isForOperators: false,
  },
  {
    name: "consumer-timeout",
    kind: "number",
    hint: "ms in which a delivery is acknowledged",
    isForOperators: false,
  },
];

function columns(
  layer: Layer,
  onEdit: (policy: Policy) => void,
  onDone: () => void,
): Column<Policy>[] {
  const mayChange = has(layer === "policies" ? "policymaker" : "administrator");
  const list: Column<Policy>[] = [
    {
      id: "vhost",
      title: "Virtual host",
      fields: ["vhost"],
      sort: "vhost",
      cell: (one) => one.vhost,
    },
    { id: "name", title: "Name", fields: ["name"], sort: "name", cell: (one) => one.name },
    {
      id: "pattern",
      title: "Pattern",
      fields: ["pattern"],
      sort: "pattern",
      cell: (one) => <code>{one.pattern === "" ? "(all)" : one.pattern}</code>,
    },
    {
      id: "apply",
      title: "For",
      fields: ["apply-to"],
      sort: "apply-to",
      cell: (one) => APPLY_TO.find(([id]) => id === one["apply-to"])?.[1] ?? one["apply-to"],
    },
    {
      id: "definition",
      title: "Definition",
      fields: ["definition"],
      cell: (one) => <Table of={one.definition} />,
    },
    {
      id: "priority",
      title: "Priority",
      hint: "Of those that are for the same, the one with the highest counts",
      fields: ["priority"],
      sort: "priority",
      numeric: true,
      cell: (one) => count(one.priority),
    },
  ];
  if (mayChange) {
    list.push({
      id: "actions",
      title: "Actions",
      fields: ["name", "vhost", "pattern", "apply-to", "definition", "priority"],
      cell: (one) => (
        <span class="actions">
          <button type="button" onClick={() => onEdit(one)}>
            Change<span class="hidden"> {one.name}</span>
          </button>
          <button type="button" class="danger" onClick={() => askToDelete(layer, one, onDone)}>
            Delete<span class="hidden"> {one.name}</span>
          </button>
        </span>
      ),
    });
  }
  return list;
}

function askToDelete(layer: Layer, policy: Policy, done: () => void): void {
  confirm({
    title: `Delete ${NOUNS[layer][0]} ${policy.name}?`,
    body: (
      <p>
        What it is in force for comes under the next policy that matches, or none, at once. A limit
        that goes with it does not bring back what was dropped.
      </p>
    ),
    action: "Delete",
    run: async () => {
      await del(path(layer, policy.vhost, policy.name));
      tell(`The ${NOUNS[layer][0]} ${policy.name} is deleted.`);
      done();
    },
  });
}

function PoliciesOf({ layer }: { layer: Layer }) {
  const [edited, setEdited] = useState<Policy | "new">();
  const [version, setVersion] = useState(0);
  const changed = () => setVersion((now) => now + 1);
  const isOperators = layer === "operator-policies";
  const mayChange = has(isOperators ? "administrator" : "policymaker");
  const base = chosenVhost.value ? path(layer, chosenVhost.value) : `/api/${layer}`;
  return (
    <>
      <Heading title={isOperators ? "Operator policies" : "Policies"}>
        {mayChange && (
          <button type="button" class="primary" onClick={() => setEdited("new")}>
            Set {isOperators ? "an operator policy" : "a policy"}
          </button>
        )}
      </Heading>
      <List
        name={layer}
        nouns={NOUNS[layer]}
        path={base}
        columns={columns(layer, setEdited, changed)}
        fields={["name", "vhost"]}
        rowKey={(policy) => `${policy.vhost}\n${policy.name}`}
        version={version}
        empty={
          <Empty title={`There are no ${NOUNS[layer][1]}.`}>
            <p>
              {isOperators
                ? "An operator policy sets limits that users cannot exceed: of two limits the lower one counts."
                : "A policy asks something of all queues or exchanges whose names match a pattern: a length, a time to live, where dead letters go. It can be changed while they are there."}
            </p>
          </Empty>
        }
      />
      {edited && (
        <Edit
          layer={layer}
          {...(edited !== "new" && { before: edited })}
          onClose={() => setEdited(undefined)}
          onDone={changed}
        />
      )}
    </>
  );
}

export default function Policies() {
  return <PoliciesOf layer="policies" />;
}

export function OperatorPolicies() {
  return <PoliciesOf layer="operator-policies" />;
}

interface EditProps {
  layer: Layer;
  before?: Policy;
  onClose: () => void;
  onDone: () => void;
}

function Edit({ layer, before, onClose, onDone }: EditProps) {
  const [into, setInto] = useState(before?.vhost ?? vhostToBeginWith());
  const [name, setName] = useState(before?.name ?? "");
  const [pattern, setPattern] = useState(before?.pattern ?? "");
  const [applyTo, setApplyTo] = useState(before?.["apply-to"] ?? "queues");
  const [priority, setPriority] = useState(String(before?.priority ?? 0));
  const [entries, setEntries] = useState<Entry[]>(
    before ? toEntries(before.definition) : [{ name: "", kind: "text", text: "" }],
  );
  const isOperators = layer === "operator-policies";
  const body = () => ({
    pattern,
    "apply-to": applyTo,
    priority: Number(priority) || 0,
    definition: toArguments(entries),
  });
  const submit = async () => {
    await put(path(layer, into, name), body());
    tell(`The ${NOUNS[layer][0]} ${name} is in force.`);
    onDone();
  };
  return (
    <FormDialog
      title={
        before
          ? `Change ${NOUNS[layer][0]} ${name}`
          : `Set ${isOperators ? "an operator policy" : "a policy"}`
      }
      action="Set"
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      {!before && (
        <>
          {vhosts.value.length > 1 && (
            <Choice label="Virtual host" value={into} onChange={setInto} options={vhosts.value} />
          )}
          <TextField label="Name" value={name} onChange={setName} required first />
        </>
      )}
      <TextField
        label="Pattern"
        value={pattern}
        onChange={setPattern}
        hint="A regular expression that is looked for in the name: ^orders\. for what begins so. Empty for all."
        first={before !== undefined}
      />
      <div class="pair">
        <Choice
          label="For"
          value={applyTo}
          onChange={setApplyTo}
          options={isOperators ? APPLY_TO.filter(([id]) => id.includes("queues")) : APPLY_TO}
        />
        <TextField
          label="Priority"
          type="number"
          value={priority}
          onChange={setPriority}
          hint="The highest counts."
        />
      </div>
      <ArgumentsField
        label="Definition"
        value={entries}
        onChange={setEntries}
        known={KEYS.filter((key) => !isOperators || key.isForOperators)}
      />
      <Preview layer={layer} vhost={into} name={name} body={body} />
    </FormDialog>
  );
}

interface PreviewProps {
  layer: Layer;
  vhost: string;
  name: string;
  body: () => unknown;
}

/** What the policy that is being written would be for. */
function Preview({ layer, vhost, name, body }: PreviewProps) {
  const [shown, setShown] = useState<PolicyPreview>();
  const [problem, setProblem] = useState("");
  let text = "";
  try {
    text = JSON.stringify({ name, ...(body() as object) });
  } catch {
    // A row that is half written; what is known stays.
  }
  useEffect(() => {
    if (text === "") return;
    let isOver = false;
    const ask = async () => {
      const kind = layer === "policies" ? "policy-preview" : "operator-policy-preview";
      try {
        const found = await post<PolicyPreview>(path(kind, vhost), JSON.parse(text));
        if (isOver) return;
        setShown(found);
        setProblem("");
      } catch (error) {
        if (!isOver) setProblem(explain(error));
      }
    };
    const timer = window.setTimeout(ask, 300);
    return () => {
      isOver = true;
      window.clearTimeout(timer);
    };
  }, [text, vhost, layer]);
  return (
    <section class="preview" aria-label="What it would be for" aria-live="polite">
      <h3>What it would be for</h3>
      {problem && <p class="hint">Not known yet: {problem}</p>}
      {!problem && shown && <Matches of={shown} vhost={vhost} />}
    </section>
  );
}

function Matches({ of, vhost }: { of: PolicyPreview; vhost: string }) {
  if (of.matched === 0) {
    return <p>Nothing that is there now. It would be for what is declared later.</p>;
  }
  return (
    <>
      <p>
        {counted(of.matched, "object has", "objects have")} a name that matches; it would be in
        force for{" "}
        {of.would_apply === of.matched
          ? "all of them"
          : of.would_apply === 0
            ? "none of them"
            : count(of.would_apply)}
        .
      </p>
      <ul class="matches">
        {of.items.slice(0, 100).map((one) => (
          <li key={`${one.type}\n${one.name}`}>
            <a
              href={
                one.type === "exchange"
                  ? link("exchanges", vhost, exchangeSegment(one.name))
                  : link("queues", vhost, one.name)
              }
              target="_blank"
              rel="noreferrer"
            >
              {one.name}
            </a>{" "}
            <span class="muted">{one.type === "exchange" ? "exchange" : `${one.type} queue`}</span>{" "}
            {one.wins ? (
              <Badge tone="good">{one.other ? `instead of ${one.other}` : "in force"}</Badge>
            ) : (
              <Badge tone="warn">{one.other} comes first</Badge>
            )}
          </li>
        ))}
      </ul>
      {of.matched > 100 && <p class="muted">… and {count(of.matched - 100)} more.</p>}
    </>
  );
}
