// What is in force for a queue, and why: of its arguments, a policy and an operator's policy, as
// the broker puts them together.

import type { Arguments } from "../api/types.ts";

export interface Setting {
  name: string;
  argument: unknown;
  policy: unknown;
  operatorPolicy: unknown;
  /** What counts. */
  value: unknown;
  /** Whose it is. */
  from: "argument" | "policy" | "operator policy";
}

/** Of these the lowest counts; of all others the first who says anything. */
const LIMITS = new Set([
  "message-ttl",
  "expires",
  "max-length",
  "max-length-bytes",
  "delivery-limit",
  "consumer-timeout",
  "max-in-memory-length",
  "max-in-memory-bytes",
]);

/** What arguments say that policies can say too: by the names of policies. */
export function settings(
  given: Arguments,
  policy: Arguments,
  operatorPolicy: Arguments,
): Setting[] {
  const own: Arguments = {};
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("x-")) own[name.slice(2)] = value;
    else own[name] = value;
  }
  const names = [own, policy, operatorPolicy].flatMap((table) => Object.keys(table));
  return [...new Set(names)].sort().map((name) => {
    const all: [Setting["from"], unknown][] = [
      ["argument", own[name]],
      ["operator policy", operatorPolicy[name]],
      ["policy", policy[name]],
    ];
    const said = all.filter(([, value]) => value !== undefined);
    if (LIMITS.has(name)) said.sort(([, a], [, b]) => Number(a) - Number(b));
    const [from, value] = said[0] ?? ["argument", undefined];
    return {
      name,
      argument: own[name],
      policy: policy[name],
      operatorPolicy: operatorPolicy[name],
      value,
      from,
    };
  });
}
