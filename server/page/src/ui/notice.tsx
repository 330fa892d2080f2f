// What is told in passing: that something was done, or why not.

import { signal } from "@preact/signals";
import { explain } from "../api/client.ts";

interface Notice {
  id: number;
  kind: "done" | "failed";
  text: string;
}

const notices = signal<Notice[]>([]);
let next = 1;

function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

function add(kind: Notice["kind"], text: string): void {
  const id = next++;
  notices.value = [...notices.value.slice(-3), { id, kind, text }];
  // What failed stays until it was read.
  if (kind === "done") window.setTimeout(() => dismiss(id), 6000);
}

/** Tells that something was done. */
export function tell(text: string): void {
  add("done", text);
}

/** Tells why something was not done. */
export function tellFailure(error: unknown): void {
  add("failed", explain(error));
}

/** Does something, and tells what came of it, unless that can be seen; whether it was done. */
export async function attempt(what: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await what();
  } catch (error) {
    tellFailure(error);
    return false;
  }
  if (done) tell(done);
  return true;
}

/** Where notices are shown; once, in the shell. */
export function Notices() {
  return (
    <div class="notices" aria-live="polite">
      {notices.value.map(({ id, kind, text }) => (
        <div key={id} class={`notice ${kind}`} role={kind === "failed" ? "alert" : "status"}>
          <span>{text}</span>
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
