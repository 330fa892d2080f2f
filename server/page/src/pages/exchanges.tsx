// All exchanges.

import { useState } from "preact/hooks";
import { path, put } from "../api/client.ts";
import type { Exchange } from "../api/types.ts";
import { type Entry, EXCHANGE_ARGUMENTS, toArguments } from "../model/arguments.ts";
import { link } from "../model/location.ts";
import { go, vhost, vhosts, vhostToBeginWith } from "../model/state.ts";
import { ArgumentsField } from "../ui/arguments.tsx";
import { FormDialog } from "../ui/dialog.tsx";
import { ExchangeFeatures } from "../ui/exchange.tsx";
import { Check, Choice, TextField } from "../ui/field.tsx";
import { type Column, List } from "../ui/list.tsx";
import { tell } from "../ui/notice.tsx";
import { Empty, ExchangeLink, Heading, Table } from "../ui/pieces.tsx";

const COLUMNS: Column<Exchange>[] = [
  {
    id: "vhost",
    title: "Virtual host",
    fields: ["vhost"],
    sort: "vhost",
    cell: (exchange) => exchange.vhost,
  },
  {
    id: "name",
    title: "Name",
    wide: true,
    fields: ["name"],
    sort: "name",
    cell: (exchange) => <ExchangeLink vhost={exchange.vhost} name={exchange.name} />,
  },
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
  return (
    <>
      <Heading title="Exchanges">
        <button type="button" class="primary" onClick={() => setDeclaring(true)}>
          Declare an exchange
        </button>
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
      {isDeclaring && <Declare onClose={() => setDeclaring(false)} />}
    </>
  );
}

function Declare({ onClose }: { onClose: () => void }) {
  const [into, setInto] = useState(vhostToBeginWith());
  const [name, setName] = useState("");
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
    <FormDialog title="Declare an exchange" action="Declare" onClose={onClose} onSubmit={submit}>
      {vhosts.value.length > 1 && (
        <Choice label="Virtual host" value={into} onChange={setInto} options={vhosts.value} />
      )}
      <TextField label="Name" value={name} onChange={setName} required first />
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
