// The last records of the log, and what comes meanwhile.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, withQuery } from "../api/client.ts";
import { moment, value } from "../model/format.ts";
import { interval } from "../model/state.ts";
import { Check, Choice, TextField } from "../ui/field.tsx";
import { Badge, Empty, Heading, Pending } from "../ui/pieces.tsx";

interface LogRecord {
  id: number;
  time: string;
  level: string;
  message: string;
  fields: Record<string, unknown>;
}

interface Answer {
  last_id: number;
  records: LogRecord[];
}

/** So many records are shown at the most; those before them go. */
const SHOWN = 1000;

const TONES: Record<string, "good" | "warn" | "bad" | undefined> = {
  error: "bad",
  warning: "warn",
  info: undefined,
};

export default function Log() {
  const [level, setLevel] = useState("debug");
  const [filter, setFilter] = useState("");
  const [isFollowing, setFollowing] = useState(true);
  const { records, error, retry } = useRecords(level, isFollowing);
  const wanted = filter.toLowerCase();
  const isWanted = (record: LogRecord) =>
    `${record.message} ${JSON.stringify(record.fields)}`.toLowerCase().includes(wanted);
  const shown = records?.filter(isWanted);
  const end = useRef<HTMLDivElement>(null);
  const last = shown?.at(-1)?.id;
  useEffect(() => {
    if (isFollowing) end.current?.scrollIntoView({ block: "nearest" });
  }, [last, isFollowing]);
  return (
    <>
      <Heading title="Log" />
      <div class="log-bar">
        <Choice
          label="As severe as"
          value={level}
          onChange={setLevel}
          options={[
            ["debug", "debug: all there is"],
            ["info", "info"],
            ["warning", "warning"],
            ["error", "error"],
          ]}
        />
        <TextField label="With these words" type="search" value={filter} onChange={setFilter} />
        <Check label="Show what comes" value={isFollowing} onChange={setFollowing} />
      </div>
      <Pending of={records} error={error} onRetry={retry} />
      {records && shown?.length === 0 && (
        <Empty title={filter === "" ? "Nothing was logged yet." : "No record has these words."} />
      )}
      {shown && shown.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys too.
        <section class="card log" aria-label="Records of the log" tabIndex={0}>
          <ol>
            {shown.map((record) => (
              <li key={record.id}>
                <time dateTime={record.time}>{moment(Date.parse(record.time))}</time>{" "}
                <Badge tone={TONES[record.level]}>{record.level}</Badge>{" "}
                <span class="log-message">{record.message}</span>
                {Object.entries(record.fields).map(([name, of]) => (
                  <span key={name} class="log-field">
                    {name}=<b>{value(of)}</b>
                  </span>
                ))}
              </li>
            ))}
          </ol>
          <div ref={end} />
        </section>
      )}
      <p class="hint">
        Times are of your own zone. The broker keeps the last records in memory; what it writes to
        files goes by its own configuration.
      </p>
    </>
  );
}

function useRecords(level: string, isFollowing: boolean) {
  const [records, setRecords] = useState<LogRecord[]>();
  const [error, setError] = useState<unknown>();
  const [asked, setAsked] = useState(0);
  const since = useRef<number | undefined>(undefined);
  const every = interval.value || 5000;
  useEffect(() => {
    since.current = undefined;
    setRecords(undefined);
  }, [level]);
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    const ask = async () => {
      const first = since.current === undefined;
      try {
        const query = { level, limit: first ? 200 : SHOWN, since: since.current };
        const found = await get<Answer>(withQuery("/api/logs", query));
        if (isOver) return;
        since.current = found.last_id;
        setError(undefined);
        setRecords((before) => [...(first ? [] : (before ?? [])), ...found.records].slice(-SHOWN));
      } catch (failure) {
        if (!isOver) setError(failure);
      }
      if (!isOver && isFollowing) timer = window.setTimeout(ask, every);
    };
    void ask();
    return () => {
      isOver = true;
      window.clearTimeout(timer);
    };
  }, [level, isFollowing, every, asked]);
  return { records, error, retry: () => setAsked((count) => count + 1) };
}
