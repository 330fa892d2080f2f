// All exchanges.

import { useState } from "preact/hooks";
import { path, put } from "../api/client.ts";
import type { Exchange } from "../api/types.ts";
import { type Entry, EXCHANGE_ARGUMENTS, toArguments } from "../model/arguments.ts";
import { rate } from "../model/format.ts";
import { link } from "../model/location.ts";
import { go, vhost } from "../model/state.ts";
import { ArgumentsField } from "../ui/arguments.tsx";
import { NewNameFields, nameColumns, useNewName, useOffered } from "../ui/declare.tsx";
import { FormDialog } from "../ui/dialog.tsx";
import { ExchangeFeatures } from "../ui/exchange.tsx";
import { Check, Choice } from "../ui/field.tsx";
import { type Column, List } from "../ui/list.tsx";
import { tell } from "../ui/notice.tsx";
import { Empty, ExchangeLink, Heading, Table } from "../ui/pieces.tsx";

const COLUMNS: Column<Exchange>[] = [
  ...nameColumns<Exchange>(ExchangeLink),
  {
    id: "type",
    title: "Type",
    fields: ["type"],
    sort: "type",
    cell: (exchange) => exchange.type,
  },
  {
    id: "features",
    title: "Features",
    fields: ["durable", "auto_delete", "internal", "policy"],
    cell: (exchange) => <ExchangeFeatures exchange={exchange} />,
  },
  {
    id: "arguments",
    title: "Arguments",
    fields: ["arguments"],
    cell: (exchange) => <Table of={exchange.arguments} />,
  },
  {
    id: "in",
    title: "In",
    hint: "Messages that clients publish to it, per second",
    fields: ["message_stats.publish_in_details.rate"],
    sort: "message_stats.publish_in_details.rate",
    numeric: true,
    cell: (exchange) => rate(exchange.message_stats?.publish_in_details?.rate),
  },
  {
    id: "out",
    title: "Out",
    hint: "Copies of these that come to queues, one for each queue, per second",
    fields: ["message_stats.publish_out_details.rate"],
    sort: "message_stats.publish_out_details.rate",
    numeric: true,
    cell: (exchange) => rate(exchange.message_stats?.publish_out_details?.rate),
  },
];

const TYPES: [string, string][] = [
  ["direct", "direct: to the bindings with the same key"],
  ["fanout", "fanout: to all bindings"],
  ["topic", "topic: to bindings whose pattern the key fits"],
  ["headers", "headers: to bindings whose arguments the headers have"],
  ["x-consistent-hash", "x-consistent-hash: one binding by a hash, always the same"],
  ["x-modulus-hash", "x-modulus-hash: one binding by a hash, modulo their number"],
  ["x-random", "x-random: one binding by chance"],
  ["x-local-random", "x-local-random: one queue by chance"],
  ["x-delayed-message", "x-delayed-message: later, as x-delay says"],
  ["x-recent-history", "x-recent-history: and the last ones to who binds later"],
];

export default function Exchanges() {
  const [isDeclaring, setDeclaring] = useState(false);
  const offered = useOffered();
  return (
    <>
      <Heading title="Exchanges">
        {offered.length > 0 && (
          <button type="button" class="primary" onClick={() => setDeclaring(true)}>
            Declare an exchange
          </button>
        )}
      </Heading>
      <List
        name="exchanges"
        nouns={["exchange", "exchanges"]}
        path={vhost.value ? path("exchanges", vhost.value) : "/api/exchanges"}
        columns={COLUMNS}
        fields={["name", "vhost"]}
        rowKey={(exchange) => `${exchange.vhost}\n${exchange.name}`}
        empty={
          <Empty title="There is no virtual host whose exchanges you may see.">
            <p>Ask an administrator for permissions in one.</p>
          </Empty>
        }
      />
      {isDeclaring && <Declare offered={offered} onClose={() => setDeclaring(false)} />}
    </>
  );
}

interface DeclareProps {
  offered: string[];
  onClose: () => void;
}

function Declare({ offered, onClose }: DeclareProps) {
  const { into, name, refusal, fields } = useNewName(offered);
  const [type, setType] = useState("direct");
  const [isDurable, setDurable] = useState(true);
  const [isAutoDelete, setAutoDelete] = useState(false);
  const [isInternal, setInternal] = useState(false);
  const [entries, setEntries] = useState<Entry[]>([]);
  const submit = async () => {
    await put(path("exchanges", into, name), {
      type,
      durable: isDurable,
      auto_delete: isAutoDelete,
      internal: isInternal,
      arguments: toArguments(entries),
    });
    tell(`Exchange ${name} is there.`);
    go(link("exchanges", into, name));
  };
  return (
    <FormDialog
      title="Declare an exchange"
      action="Declare"
      refusal={refusal}
      onClose={onClose}
      onSubmit={submit}
    >
      <NewNameFields {...fields} />
      <Choice label="Type" value={type} onChange={setType} options={TYPES} />
      <Check
        label="Durable"
        hint="It is there again after a start of the broker."
        value={isDurable}
        onChange={setDurable}
      />
      <Check
        label="Auto-delete"
        hint="It goes with the last binding from it."
        value={isAutoDelete}
        onChange={setAutoDelete}
      />
      <Check
        label="Internal"
        hint="Clients cannot publish to it; other exchanges can."
        value={isInternal}
        onChange={setInternal}
      />
      <ArgumentsField
        label="Arguments"
        value={entries}
        onChange={setEntries}
        known={EXCHANGE_ARGUMENTS}
      />
    </FormDialog>
  );
}
