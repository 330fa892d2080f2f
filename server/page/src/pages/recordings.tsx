// Flight recordings: what went into the broker, to be replayed elsewhere.

import { useState } from "preact/hooks";
import type { Recordings } from "../api/admin.ts";
import { getBytes, path, withQuery } from "../api/client.ts";
import { bytes, moment } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { save } from "../model/save.ts";
import { Grid } from "../ui/grid.tsx";
import { tellFailure } from "../ui/notice.tsx";
import { Badge, Empty, Fact, Facts, Failed, Heading, Section, Waiting } from "../ui/pieces.tsx";

/** A recording's file. */
type RecordingFile = Recordings["files"][number];

export default function RecordingsPage() {
  const { data, error, reload } = useApi<Recordings>("/api/flight-recordings");
  return (
    <>
      <Heading title="Flight recordings" />
      <p class="lead">
        A flight recording is all that went into the broker, without the bodies of messages. The
        simulator can replay it step by step: add it to a report of a fault.
      </p>
      {error !== undefined && <Failed error={error} onRetry={reload} />}
      {!data && error === undefined && <Waiting />}
      {data && !data.recording && (
        <Empty title="This broker does not record.">
          <p>
            A recording begins with a start, as what comes of it depends on all that the broker knew
            then. Start it with <code>warren serve --record DIR</code>, or{" "}
            <code>warren.record = DIR</code> in its configuration.
          </p>
        </Empty>
      )}
      {data?.recording && <Files of={data} />}
    </>
  );
}

function Files({ of }: { of: Recordings }) {
  const newest = of.files.at(-1)?.name;
  return (
    <Section title="Recordings">
      <Facts>
        <Fact name="State">
          <Badge tone="good">recording</Badge>
        </Fact>
        <Fact name="Directory on the server">
          <code>{of.directory}</code>
        </Fact>
      </Facts>
      <Grid
        label="Recordings"
        rows={[...of.files].reverse()}
        rowKey={(file) => file.name}
        columns={[
          {
            title: "File",
            cell: (file) => (
              <>
                {file.name} {file.name === newest && <Badge tone="accent">of this start</Badge>}
              </>
            ),
          },
          { title: "Size", numeric: true, cell: (file) => bytes(file.bytes) },
          { title: "Written last", cell: (file) => moment(file.modified) },
          { title: "", cell: (file) => <Download file={file} /> },
        ]}
        empty={<p class="muted">There are none.</p>}
      />
      <p class="hint">
        Each start makes one of its own; the oldest go when there is no room for more. What clients
        sent is in it, but for bodies and passwords: names, routing keys, headers.
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
