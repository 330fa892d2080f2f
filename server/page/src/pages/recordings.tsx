// Flight recordings: what went into the broker, to be replayed elsewhere.

import { useState } from "preact/hooks";
import type { Recordings } from "../api/admin.ts";
import { ApiError, del, get, getBytes, path, post, put, withQuery } from "../api/client.ts";
import { bytes, count, moment } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { save } from "../model/save.ts";
import { confirm } from "../ui/dialog.tsx";
import { Grid } from "../ui/grid.tsx";
import { attempt, tell, tellFailure } from "../ui/notice.tsx";
import { Badge, Empty, Fact, Facts, Heading, Pending, Section } from "../ui/pieces.tsx";

/** A recording's file. */
type RecordingFile = Recordings["files"][number];

/** Where it stands whether the next start is recorded. */
const NEXT = path("flight-recordings", "next");

/** How often it is asked whether the broker is there again, and for how long, in milliseconds. */
const RESTART_EVERY = 500;
const RESTART_MAX = 600_000;

/**
 * Waits until the broker has started anew. It knows nobody then who was signed in, or who signed
 * in meanwhile sees that it records.
 */
async function untilAnew(): Promise<void> {
  const end = Date.now() + RESTART_MAX;
  while (Date.now() < end) {
    await new Promise((resolve) => window.setTimeout(resolve, RESTART_EVERY));
    try {
      if ((await get<Recordings>("/api/flight-recordings")).recording) return;
    } catch (error) {
      if (error instanceof ApiError && error.isSignedOut) return;
    }
  }
  throw new Error("The broker has not come back within 10 minutes. Its log says what it does.");
}

export default function RecordingsPage() {
  const { data, error, reload } = useApi<Recordings>("/api/flight-recordings");
  return (
    <>
      <Heading title="Flight recordings" />
      <p class="lead">
        A flight recording is all that went into the broker, without the bodies of messages. The
        simulator can replay it step by step: add it to a report of a fault.
      </p>
      <Pending of={data} error={error} onRetry={reload} />
      {data && (
        <>
          <State of={data} onChange={reload} />
          <Files of={data} />
        </>
      )}
    </>
  );
}

/** What is recorded now and after the next start, and how that is changed. */
function State({ of, onChange }: { of: Recordings; onChange: () => void }) {
  const arm = async () => {
    await attempt(() => put(NEXT), "The next start of the broker will be recorded.");
    onChange();
  };
  const disarm = async () => {
    await attempt(() => del(NEXT), "The next start of the broker will not be recorded.");
    onChange();
  };
  const restart = () =>
    confirm({
      title: "Restart the broker and record",
      body: (
        <>
          <p>
            The broker stops as it does when it is told to, and starts anew in the same process.
            From then on it is recorded. Meanwhile:
          </p>
          <ul>
            <li>
              <strong>All clients are disconnected.</strong> They have some seconds to leave, and
              connect anew as soon as the broker is there again, if they are made to.
            </li>
            <li>
              Durable queues and what was confirmed as persistent in them stay. Transient messages
              and exclusive queues are gone, as with any stop. What was delivered and not
              acknowledged is delivered again.
            </li>
            <li>Everybody who uses this page signs in again, you too.</li>
          </ul>
          <p>How long it takes depends on how much is on disk: a second where that is little.</p>
        </>
      ),
      action: "Restart now and record",
      run: async () => {
        await post(path("flight-recordings", "restart"));
        await untilAnew();
        tell("The broker has started anew, and is recorded.");
      },
    });
  const stop = () =>
    confirm({
      title: "End the recording",
      body: (
        <p>
          What was recorded so far stays and can be downloaded. A recording that has ended cannot go
          on: another one begins with another start of the broker.
        </p>
      ),
      action: "End the recording",
      run: async () => {
        await del(path("flight-recordings", "current"));
        tell("The recording has ended.");
        onChange();
      },
    });
  return (
    <Section
      title="What is recorded"
      actions={
        <>
          {!of.configured && !of.next && (
            <button type="button" onClick={arm}>
              Record the next start
            </button>
          )}
          {!of.configured && of.next && (
            <button type="button" onClick={disarm}>
              Do not record the next start
            </button>
          )}
          {!of.recording && (
            <button type="button" class="danger" onClick={restart}>
              Restart now and record…
            </button>
          )}
          {of.recording && (
            <button type="button" class="danger" onClick={stop}>
              End the recording
            </button>
          )}
        </>
      }
    >
      <Facts>
        <Fact name="Now">
          {of.recording ? <Badge tone="good">recording</Badge> : <Badge>not recording</Badge>}
        </Fact>
        <Fact name="Next start">
          {of.next ? <Badge tone="accent">will be recorded</Badge> : <Badge>not recorded</Badge>}
          {of.configured && " as is every start, by the configuration (warren.record)"}
        </Fact>
        <Fact name="Directory on the server">
          <code>{of.directory}</code>
        </Fact>
      </Facts>
      {!of.configured && <Hint />}
    </Section>
  );
}

function Hint() {
  return (
    <p class="hint">
      A recording begins with a start of the broker, as what comes of it depends on all that the
      broker knew before: only then is that known. So have it start anew now, or have its next start
      recorded, whenever that is. Either is good for one start; to record each of them, set{" "}
      <code>warren.record = DIR</code> in the configuration.
    </p>
  );
}

function Files({ of }: { of: Recordings }) {
  return (
    <Section title={`Recordings (${count(of.files.length)})`}>
      <Grid
        label="Recordings"
        rows={[...of.files].reverse()}
        rowKey={(file) => file.name}
        columns={[
          {
            title: "File",
            cell: (file) => (
              <>
                {file.name} {file.current && <Badge tone="accent">of this start</Badge>}
              </>
            ),
          },
          { title: "Size", numeric: true, cell: (file) => bytes(file.bytes) },
          { title: "Written last", cell: (file) => moment(file.modified) },
          { title: "", numeric: true, cell: (file) => <Download file={file} /> },
        ]}
        empty={
          <Empty title="There are no recordings yet.">
            <p>
              {of.next
                ? "The first begins with the next start of the broker."
                : "Have the broker start anew and be recorded, or its next start, whenever that is."}
            </p>
          </Empty>
        }
      />
      <p class="hint">
        Each start that is recorded makes a file of its own; the oldest go when there is no room for
        more. What clients sent is in it, but for bodies and passwords: names, routing keys,
        headers. What stood in the data directory before the start is in it as the broker read it.
      </p>
    </Section>
  );
}

function Download({ file }: { file: RecordingFile }) {
  const [done, setDone] = useState<number>();
  const run = async () => {
    const parts: ArrayBuffer[] = [];
    let offset = 0;
    setDone(0);
    try {
      // As long as it was when it was asked for: the last one grows meanwhile.
      while (offset < file.bytes) {
        const own = path("flight-recordings", file.name);
        const part = await getBytes(withQuery(own, { offset }));
        if (part.byteLength === 0) break;
        parts.push(part);
        offset += part.byteLength;
        setDone(offset);
      }
      save(file.name, new Blob(parts));
    } catch (error) {
      tellFailure(error);
    }
    setDone(undefined);
  };
  return (
    <button type="button" disabled={done !== undefined} onClick={run}>
      {done === undefined ? "Download" : `${bytes(done)} of ${bytes(file.bytes)}`}
      <span class="hidden"> {file.name}</span>
    </button>
  );
}
