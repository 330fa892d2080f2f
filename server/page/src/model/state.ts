// What the whole page shares: who is signed in, where one is, and what the person has chosen. The
// last is kept by the browser, as far as it keeps anything.

import { computed, effect, signal } from "@preact/signals";
import { get, onSignedOut } from "../api/client.ts";
import type { WhoAmI } from "../api/types.ts";
import { parse } from "./location.ts";

/** Who is signed in: not known yet, nobody, or somebody. */
export const person = signal<WhoAmI | null | undefined>(undefined);

const STRONGER: Record<string, string[]> = {
  management: ["management", "policymaker", "monitoring", "administrator"],
  policymaker: ["policymaker", "administrator"],
  monitoring: ["monitoring", "administrator"],
  administrator: ["administrator"],
};

export type Tag = "management" | "policymaker" | "monitoring" | "administrator";

/** Whether who is signed in has this tag, or one that is as good. */
export function has(tag: Tag): boolean {
  return person.value?.tags.some((own) => STRONGER[tag]?.includes(own)) ?? false;
}

const hash = signal(window.location.hash);
window.addEventListener("hashchange", () => {
  hash.value = window.location.hash;
});

/** Where one is. */
export const place = computed(() => parse(hash.value));

/** Goes to an address that begins with `#`. */
export function go(to: string): void {
  window.location.hash = to.replace(/^#/, "");
}

/** Changes what stands behind the place, without a step to go back. */
export function setQuery(query: URLSearchParams): void {
  const [path] = window.location.hash.split("?", 1);
  const text = query.toString();
  const next = `${path || "#/"}${text ? `?${text}` : ""}`;
  window.history.replaceState(null, "", next);
  hash.value = next;
}

function kept<T>(key: string, initial: T, isOne: (value: unknown) => value is T) {
  const name = `warren.${key}`;
  let first = initial;
  try {
    const found: unknown = JSON.parse(window.localStorage.getItem(name) ?? "null");
    if (isOne(found)) first = found;
  } catch {
    // A browser that keeps nothing has the defaults.
  }
  const own = signal(first);
  let isFirst = true;
  effect(() => {
    const text = JSON.stringify(own.value);
    if (isFirst) {
      isFirst = false;
      return;
    }
    try {
      window.localStorage.setItem(name, text);
    } catch {
      // As above.
    }
  });
  return own;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";

/** Light or dark; or as the system has it. */
export const theme = kept("theme", "system", isText);

effect(() => {
  const chosen = theme.value;
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
});

/** How often what is shown is asked for anew, in milliseconds; 0 is never. */
export const interval = kept("interval", 5000, isNumber);

/** The virtual host whose objects are listed; all if it is empty. */
export const vhost = kept("vhost", "", isText);

/** The virtual hosts that the person may see. */
export const vhosts = signal<string[]>([]);

/** The virtual host in which something is made unless another is said. */
export function vhostToBeginWith(): string {
  return vhost.value || (vhosts.value.includes("/") ? "/" : (vhosts.value[0] ?? "/"));
}

/** Which columns of a list are shown, by the list's name. */
export const columns = kept(
  "columns",
  {} as Record<string, string[]>,
  (value): value is Record<string, string[]> => typeof value === "object" && value !== null,
);

/** Finds out who is signed in. */
export async function whoAmI(): Promise<void> {
  try {
    person.value = await get<WhoAmI>("/api/whoami");
  } catch {
    person.value = null;
  }
}

onSignedOut(() => {
  person.value = null;
});
