// What declaring a queue and an exchange have in common: who is offered it, where, and under which
// name; and the columns with which lists of both begin.

import { useState } from "preact/hooks";
import { useDeclarable, useRefusal } from "../model/rights.ts";
import { vhost, vhostToBeginWith } from "../model/state.ts";
import { Choice, TextField } from "./field.tsx";
import type { Column } from "./list.tsx";

/** The virtual hosts among those that are shown in which the person may declare anything. */
export function useOffered(): string[] {
  const all = useDeclarable() ?? [];
  return vhost.value === "" ? all : all.filter((name) => name === vhost.value);
}

export interface NewName {
  into: string;
  name: string;
  /** Why the person may not declare it under this name. */
  refusal: string | undefined;
  /** For `NewNameFields`. */
  fields: FieldsProps;
}

interface FieldsProps {
  offered: string[];
  into: string;
  setInto: (vhost: string) => void;
  name: string;
  setName: (name: string) => void;
}

/** Where something new is to be, and how it is to be called. */
export function useNewName(offered: string[]): NewName {
  const first = vhostToBeginWith();
  const [into, setInto] = useState(offered.includes(first) ? first : (offered[0] ?? first));
  const [name, setName] = useState("");
  const refusal = useRefusal(into, name, "configure");
  return { into, name, refusal, fields: { offered, into, setInto, name, setName } };
}

export function NewNameFields({ offered, into, setInto, name, setName }: FieldsProps) {
  return (
    <>
      {offered.length > 1 && (
        <Choice label="Virtual host" value={into} onChange={setInto} options={offered} />
      )}
      <TextField label="Name" value={name} onChange={setName} required first />
    </>
  );
}

/** The columns for where it is and what it is called, with which a list begins. */
export function nameColumns<T extends { vhost: string; name: string }>(
  Link: (props: { vhost: string; name: string }) => preact.JSX.Element,
): Column<T>[] {
  return [
    {
      id: "vhost",
      title: "Virtual host",
      fields: ["vhost"],
      sort: "vhost",
      cell: (row) => row.vhost,
    },
    {
      id: "name",
      title: "Name",
      wide: true,
      fields: ["name"],
      sort: "name",
      cell: (row) => <Link vhost={row.vhost} name={row.name} />,
    },
  ];
}
