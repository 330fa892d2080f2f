// What the person may do. Which names a permission is for, the server finds out, as patterns are
// its own: it says with each queue, exchange and binding what may be done to it, and of any other
// name when it is asked. Here is what it said.

import { path, withQuery } from "../api/client.ts";
import { useApi } from "./loading.ts";

export type Right = "configure" | "write" | "read";

/** What the person may do in a virtual host: patterns of names. */
export interface Patterns {
  vhost: string;
  configure: string;
  write: string;
  read: string;
}

/** Whether the server says that this may be done to it. */
export function may(to: { you_may?: string[] } | undefined, what: string): boolean {
  return to?.you_may?.includes(what) ?? false;
}

/** The virtual hosts in which the person may declare anything at all; unknown at first. */
export function useDeclarable(): string[] | undefined {
  const { data } = useApi<Patterns[]>("/api/whoami/permissions", { keep: true });
  return data?.filter(({ configure }) => configure !== "").map(({ vhost }) => vhost);
}

const VERBS: Record<Right, string> = {
  configure: "declare names that match",
  write: "write to names that match",
  read: "read from names that match",
};

/** Why the person may not do this to what has this name, in words; nothing while that is unknown. */
export function useRefusal(vhost: string, name: string, right: Right): string | undefined {
  const asked = name === "" ? undefined : withQuery(path("whoami", "permissions", vhost), { name });
  const { data } = useApi<Partial<Patterns> & { allows: Right[] }>(asked, { once: true });
  return data && refusal(vhost, name, right, data);
}

export function refusal(
  vhost: string,
  name: string,
  right: Right,
  told: Partial<Patterns> & { allows: Right[] },
): string | undefined {
  if (told.allows.includes(right)) return undefined;
  const pattern = told[right];
  if (!pattern) return `You have no permission to ${right} anything in ${vhost}.`;
  return `In ${vhost} you may ${VERBS[right]} ${pattern}: ${name} does not.`;
}
