// What can be said of queues and exchanges beside their names: a table of arguments, as people
// write it, field by field.

import type { Arguments } from "../api/types.ts";

export type Kind = "text" | "number" | "boolean" | "json";

/** An argument as it is being written. */
export interface Entry {
  name: string;
  kind: Kind;
  text: string;
}

/** An argument that means something, with how its value is written and what it does. */
export interface Known {
  name: string;
  kind: Kind;
  hint: string;
  /** The values there are, if they can be counted. */
  values?: string[];
}

export const QUEUE_ARGUMENTS: Known[] = [
  { name: "x-message-ttl", kind: "number", hint: "ms that a message may wait before it expires" },
  { name: "x-expires", kind: "number", hint: "ms without use after which the queue goes" },
  { name: "x-max-length", kind: "number", hint: "the most ready messages" },
  { name: "x-max-length-bytes", kind: "number", hint: "the most bytes of ready messages" },
  {
    name: "x-overflow",
    kind: "text",
    hint: "what happens to messages beyond the limit",
    values: ["drop-head", "reject-publish", "reject-publish-dlx"],
  },
  { name: "x-dead-letter-exchange", kind: "text", hint: "where messages go that die here" },
  { name: "x-dead-letter-routing-key", kind: "text", hint: "the key they go with" },
  {
    name: "x-dead-letter-strategy",
    kind: "text",
    hint: "whether a dead letter waits until it is safe",
    values: ["at-most-once", "at-least-once"],
  },
  { name: "x-single-active-consumer", kind: "boolean", hint: "one consumer at a time" },
  { name: "x-max-priority", kind: "number", hint: "the highest priority of a classic queue" },
  { name: "x-delivery-limit", kind: "number", hint: "how often a message may come back" },
  { name: "x-consumer-timeout", kind: "number", hint: "ms in which a delivery is acknowledged" },
];

export const EXCHANGE_ARGUMENTS: Known[] = [
  { name: "alternate-exchange", kind: "text", hint: "where messages go that no binding takes" },
  { name: "x-delayed-type", kind: "text", hint: "how a delayed exchange routes" },
  { name: "hash-header", kind: "text", hint: "the header that a hash exchange looks at" },
  { name: "hash-property", kind: "text", hint: "the property that a hash exchange looks at" },
  { name: "x-recent-history-length", kind: "number", hint: "how many messages are kept" },
];

/** The value that was written, or why it is none. */
function read({ name, kind, text }: Entry): unknown {
  switch (kind) {
    case "text":
      return text;
    case "number": {
      const number = Number(text);
      if (text.trim() === "" || !Number.isFinite(number)) {
        throw new Error(`${name} is to be a number, and "${text}" is none.`);
      }
      return number;
    }
    case "boolean":
      return text === "true";
    case "json":
      try {
        return JSON.parse(text);
      } catch {
        throw new Error(`${name} is to be JSON, such as ["a", 1], and "${text}" is none.`);
      }
  }
}

/** The table of what was written; a row without a name says nothing. It throws what is wrong. */
export function toArguments(entries: Entry[]): Arguments {
  const table: Arguments = {};
  for (const entry of entries) {
    const name = entry.name.trim();
    if (name === "") continue;
    if (name in table) throw new Error(`${name} stands there twice.`);
    table[name] = read({ ...entry, name });
  }
  return table;
}

/** A table as it is written. */
export function toEntries(table: Arguments): Entry[] {
  return Object.entries(table).map(([name, value]) => {
    if (typeof value === "string") return { name, kind: "text", text: value };
    if (typeof value === "number") return { name, kind: "number", text: String(value) };
    if (typeof value === "boolean") return { name, kind: "boolean", text: String(value) };
    return { name, kind: "json", text: JSON.stringify(value) };
  });
}
