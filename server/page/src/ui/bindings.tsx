// Bindings as they are seen from one of their ends, and how they are made and taken away.

import { useState } from "preact/hooks";
import { del, path, post } from "../api/client.ts";
import type { Binding } from "../api/types.ts";
import { type Entry, toArguments } from "../model/arguments.ts";
import { exchangeSegment } from "../model/location.ts";
import { may, useRefusal } from "../model/rights.ts";
import { ArgumentsField } from "./arguments.tsx";
import { confirm, FormDialog } from "./dialog.tsx";
import { Choice, TextField } from "./field.tsx";
import { Grid } from "./grid.tsx";
import { tell } from "./notice.tsx";
import { ExchangeLink, QueueLink, Table } from "./pieces.tsx";

/** How the API names the kinds of destinations. */
type Kind = "q" | "e";

function between(vhost: string, source: string, kind: Kind, destination: string): string {
  return path("bindings", vhost, "e", exchangeSegment(source), kind, destination);
}

function nameOf(exchange: string): string {
  return exchange === "" ? "the default exchange" : exchange;
}

interface BindingsProps {
  bindings: Binding[];
  /** Which end is shown: the other one is the page's. */
  end: "source" | "destination";
  onChange: () => void;
}

export function Bindings({ bindings, end, onChange }: BindingsProps) {
  const unbind = (binding: Binding) => {
    const { vhost, source, destination, destination_type, properties_key, routing_key } = binding;
    const kind = destination_type === "queue" ? "q" : "e";
    const at = `${between(vhost, source, kind, destination)}/${encodeURIComponent(properties_key)}`;
    confirm({
      title: "Unbind",
      body: (
        <p>
          Messages with the key <code>{routing_key || "(empty)"}</code> do not go from{" "}
          {nameOf(source)} to {destination} by this binding any more.
        </p>
      ),
      action: "Unbind",
      run: async () => {
        await del(at);
        tell(`${destination} is not bound to ${nameOf(source)} by this binding any more.`);
        onChange();
      },
    });
  };
  return (
    <Grid
      label="Bindings"
      rows={bindings}
      rowKey={(binding) =>
        `${binding.source}\n${binding.destination}\n${binding.destination_type}\n${binding.properties_key}`
      }
      columns={[
        {
          title: end === "source" ? "From" : "To",
          cell: (binding) => (
            <span>
              {end === "source" ? (
                <ExchangeLink vhost={binding.vhost} name={binding.source} />
              ) : binding.destination_type === "queue" ? (
                <QueueLink vhost={binding.vhost} name={binding.destination} />
              ) : (
                <ExchangeLink vhost={binding.vhost} name={binding.destination} />
              )}{" "}
              {end === "destination" && <span class="muted">{binding.destination_type}</span>}
            </span>
          ),
        },
        { title: "Routing key", cell: (binding) => <code>{binding.routing_key}</code> },
        { title: "Arguments", cell: (binding) => <Table of={binding.arguments} /> },
        {
          title: "",
          numeric: true,
          cell: (binding) => (
            <span>
              {binding.source === "" && <span class="muted">always there</span>}
              {may(binding, "unbind") && (
                <button type="button" onClick={() => unbind(binding)}>
                  Unbind
                </button>
              )}
            </span>
          ),
        },
      ]}
      empty={null}
    />
  );
}

interface BindDialogProps {
  vhost: string;
  /** The end that is the page's. */
  from?: string;
  to?: { kind: Kind; name: string };
  onClose: () => void;
  onDone: () => void;
}

/** Binds something to an exchange: to the page's, or the page's to another. */
export function BindDialog({ vhost, from, to, onClose, onDone }: BindDialogProps) {
  const [other, setOther] = useState("");
  const [kind, setKind] = useState<Kind>("q");
  const [key, setKey] = useState("");
  const [entries, setEntries] = useState<Entry[]>([]);
  const refusal = useRefusal(vhost, other, to ? "read" : "write");
  const submit = async () => {
    const source = from ?? other;
    const destination = to?.name ?? other;
    const body = { routing_key: key, arguments: toArguments(entries) };
    await post(between(vhost, source, to?.kind ?? kind, destination), body);
    tell(`${destination} is bound to ${nameOf(source)}.`);
    onDone();
  };
  return (
    <FormDialog title="Bind" action="Bind" refusal={refusal} onClose={onClose} onSubmit={submit}>
      {to ? (
        <TextField label="From exchange" value={other} onChange={setOther} required first />
      ) : (
        <>
          <Choice
            label="To"
            value={kind}
            onChange={(value) => setKind(value as Kind)}
            options={[
              ["q", "a queue"],
              ["e", "an exchange"],
            ]}
          />
          <TextField label="Its name" value={other} onChange={setOther} required first />
        </>
      )}
      <TextField
        label="Routing key"
        value={key}
        onChange={setKey}
        hint="A topic exchange takes * for one word and # for any number of them."
      />
      <ArgumentsField
        label="Arguments (what a headers exchange compares)"
        value={entries}
        onChange={setEntries}
        known={[
          {
            name: "x-match",
            kind: "text",
            hint: "whether all headers must agree, or one",
            values: ["all", "any", "all-with-x", "any-with-x"],
          },
        ]}
      />
    </FormDialog>
  );
}
