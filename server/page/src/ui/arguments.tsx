// A table of arguments or headers, written row by row.

import { useId } from "preact/hooks";
import type { Entry, Kind, Known } from "../model/arguments.ts";

interface ArgumentsFieldProps {
  label: string;
  value: Entry[];
  onChange: (value: Entry[]) => void;
  /** What is offered. */
  known?: Known[];
}

const KINDS: [Kind, string][] = [
  ["text", "text"],
  ["number", "number"],
  ["boolean", "yes or no"],
  ["json", "JSON"],
];

const FIRST: Record<Kind, string> = { text: "", number: "", boolean: "true", json: "[]" };

export function ArgumentsField({ label, value, onChange, known = [] }: ArgumentsFieldProps) {
  const id = useId();
  const set = (index: number, part: Partial<Entry>) =>
    onChange(value.map((entry, at) => (at === index ? { ...entry, ...part } : entry)));
  const rename = (index: number, name: string) => {
    const found = known.find((one) => one.name === name);
    const text = found && (found.values?.[0] ?? FIRST[found.kind]);
    set(index, found ? { name, kind: found.kind, text: text ?? "" } : { name });
  };
  return (
    <fieldset class="arguments-field">
      <legend>{label}</legend>
      {value.map((entry, index) => {
        const about = known.find((one) => one.name === entry.name);
        return (
          <div key={index} class="arguments-row">
            <input
              aria-label={`Name in row ${index + 1} of ${label}`}
              placeholder="name"
              value={entry.name}
              list={id}
              spellcheck={false}
              onInput={(event) => rename(index, event.currentTarget.value)}
            />
            <ValueInput
              entry={entry}
              about={about}
              label={`Value in row ${index + 1} of ${label}`}
              onChange={(text) => set(index, { text })}
            />
            <select
              aria-label={`Type in row ${index + 1} of ${label}`}
              value={entry.kind}
              onChange={(event) => {
                const kind = event.currentTarget.value as Kind;
                set(index, { kind, text: FIRST[kind] || entry.text });
              }}
            >
              {KINDS.map(([kind, text]) => (
                <option key={kind} value={kind}>
                  {text}
                </option>
              ))}
            </select>
            <button
              type="button"
              class="quiet"
              aria-label={`Remove ${entry.name || "this row"}`}
              onClick={() => onChange(value.filter((_, at) => at !== index))}
            >
              ✕
            </button>
            {about && <p class="hint">{about.hint}</p>}
          </div>
        );
      })}
      <datalist id={id}>
        {known.map((one) => (
          <option key={one.name} value={one.name}>
            {one.hint}
          </option>
        ))}
      </datalist>
      <button
        type="button"
        onClick={() => onChange([...value, { name: "", kind: "text", text: "" }])}
      >
        Add a row
      </button>
    </fieldset>
  );
}

interface ValueInputProps {
  entry: Entry;
  about: Known | undefined;
  label: string;
  onChange: (text: string) => void;
}

function ValueInput({ entry, about, label, onChange }: ValueInputProps) {
  const values = entry.kind === "boolean" ? ["true", "false"] : about?.values;
  if (values && entry.kind === (about?.kind ?? "boolean")) {
    return (
      <select
        aria-label={label}
        value={entry.text}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {values.map((value) => (
          <option key={value} value={value}>
            {value}
          </option>
        ))}
      </select>
    );
  }
  return (
    <input
      aria-label={label}
      placeholder="value"
      value={entry.text}
      inputMode={entry.kind === "number" ? "decimal" : "text"}
      spellcheck={false}
      onInput={(event) => onChange(event.currentTarget.value)}
    />
  );
}
