// What is asked of the API for as long as it is shown: anew every few seconds, not while nobody
// looks, and no more once it is gone.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client.ts";
import { interval } from "./state.ts";

export interface Loaded<T> {
  /** What came last; it stays while there is an error. */
  data: T | undefined;
  error: unknown;
  /** When it came, in Unix milliseconds. */
  at: number | undefined;
  /** Asks now. */
  reload: () => void;
}

interface State<T> {
  path: string | undefined;
  data: T | undefined;
  error: unknown;
  at: number | undefined;
}

const NONE = { path: undefined, data: undefined, error: undefined, at: undefined };

/**
 * Asks for a path, now and every few seconds; for nothing if there is none. With `keep`, what came
 * of another path is shown until this one's answer is there.
 */
export function useApi<T>(
  path: string | undefined,
  options: { keep?: boolean; once?: boolean } = {},
): Loaded<T> {
  const [state, setState] = useState<State<T>>(NONE);
  const [asked, setAsked] = useState(0);
  const every = options.once ? 0 : interval.value;
  const reload = useCallback(() => setAsked((count) => count + 1), []);
  const last = useRef<number>(0);

  useEffect(() => {
    if (path === undefined) {
      setState(NONE);
      return;
    }
    let [timer, isOver] = [0, false];
    let running: AbortController | undefined;
    const ask = async () => {
      window.clearTimeout(timer);
      if (isOver || running) return;
      const controller = new AbortController();
      running = controller;
      try {
        const data = await get<T>(path, controller.signal);
        if (!isOver) setState({ path, data, error: undefined, at: Date.now() });
      } catch (error) {
        if (!isOver) {
          setState((before) =>
            before.path === path ? { ...before, error } : { ...NONE, path, error },
          );
        }
      }
      running = undefined;
      last.current = Date.now();
      if (!isOver && every > 0) timer = window.setTimeout(due, every);
    };
    const due = () => {
      if (!document.hidden) void ask();
    };
    const seen = () => {
      const isLate = every > 0 && Date.now() - last.current >= every;
      if (!document.hidden && isLate) void ask();
    };
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      isOver = true;
      running?.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, every, asked]);

  const isShown = state.path === path || options.keep === true;
  const { data, error, at } = isShown ? state : NONE;
  return { data, error, at, reload };
}
