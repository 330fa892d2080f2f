// Numbers over time, as the server keeps them: asked for in full once, and from then on what is new.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, withQuery } from "../api/client.ts";
import { extended, type Timeline } from "./series.ts";
import { interval } from "./state.ts";

interface Answer extends Timeline {
  /** The server's time, in Unix milliseconds. */
  now: number;
}

export interface LoadedTimeline {
  data: Timeline | undefined;
  error: unknown;
}

/** The last so many seconds of these series at a path; of all that there are if none is named. */
export function useTimeline(path: string, seconds: number, names: string[] = []): LoadedTimeline {
  const [state, setState] = useState<LoadedTimeline>({ data: undefined, error: undefined });
  const every = interval.value;
  const columns = names.map((name) => `series.${name}`).join(",");
  const key = `${path}\n${columns}`;
  const kept = useRef<{ key: string; seconds: number; now: number; data: Timeline }>(undefined);

  useEffect(() => {
    let [timer, isOver] = [0, false];
    const controller = new AbortController();
    const ask = async () => {
      const before = kept.current;
      const isSame = before?.key === key && before.seconds === seconds;
      const asked = withQuery(path, {
        seconds,
        since: isSame ? before.now : undefined,
        columns: columns ? `at,now,${columns}` : undefined,
      });
      try {
        const { now, at, series } = await get<Answer>(asked, controller.signal);
        const more = { at, series };
        const data = isSame ? extended(before.data, more, now / 1000 - seconds - 10) : more;
        kept.current = { key, seconds, now, data };
        if (!isOver) setState({ data, error: undefined });
      } catch (error) {
        if (!isOver) setState(({ data }) => ({ data, error }));
      }
      if (!isOver && every > 0) timer = window.setTimeout(due, every);
    };
    const due = () => {
      if (!document.hidden) void ask();
    };
    const seen = () => {
      window.clearTimeout(timer);
      due();
    };
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      isOver = true;
      controller.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key, path, columns, seconds, every]);

  return state;
}
