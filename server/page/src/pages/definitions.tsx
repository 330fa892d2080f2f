// Definitions: what is declared, and what is in force for it, as one file that is exported and
// imported.

import { useState } from "preact/hooks";
import type { ImportReport } from "../api/admin.ts";
import { ApiError, get, path, post, withQuery } from "../api/client.ts";
import { count, counted } from "../model/format.ts";
import { save } from "../model/save.ts";
import { vhosts } from "../model/state.ts";
import { confirm } from "../ui/dialog.tsx";
import { Choice } from "../ui/field.tsx";
import { Grid } from "../ui/grid.tsx";
import { attempt, tellFailure } from "../ui/notice.tsx";
import { Badge, Heading, Section } from "../ui/pieces.tsx";

const ALL = "";

/** What definitions hold, in the order in which it is made. */
const KINDS: [string, string, string][] = [
  ["users", "user", "users"],
  ["vhosts", "virtual host", "virtual hosts"],
  ["permissions", "permission", "permissions"],
  ["topic_permissions", "topic permission", "topic permissions"],
  ["global_parameters", "global parameter", "global parameters"],
  ["parameters", "parameter", "parameters"],
  ["policies", "policy", "policies"],
  ["operator_policies", "operator policy", "operator policies"],
  ["limits", "limit", "limits"],
  ["queues", "queue", "queues"],
  ["exchanges", "exchange", "exchanges"],
  ["bindings", "binding", "bindings"],
];

export default function Definitions() {
  return (
    <>
      <Heading title="Definitions" />
      <p class="lead">
        All that is declared: users, virtual hosts, permissions, policies, exchanges, queues and
        bindings. Not messages. The format is RabbitMQ's, so a file moves between brokers both ways.
      </p>
      <div class="columns">
        <Export />
        <Import />
      </div>
    </>
  );
}

function VhostField(props: { label: string; value: string; onChange: (value: string) => void }) {
  const options = vhosts.value.map((name): [string, string] => [name, name]);
  return <Choice {...props} options={[[ALL, "all, with users and permissions"], ...options]} />;
}

function Export() {
  const [of, setOf] = useState(ALL);
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    await attempt(async () => {
      const found = await get<unknown>(of === ALL ? "/api/definitions" : path("definitions", of));
      const day = new Date().toISOString().slice(0, 10);
      const own = of === ALL ? "" : `-${of.replaceAll(/[^\w.-]+/g, "_")}`;
      const text = `${JSON.stringify(found, null, 2)}\n`;
      save(`definitions${own}-${day}.json`, new Blob([text], { type: "application/json" }));
    }, "The definitions are saved as a file.");
    setBusy(false);
  };
  return (
    <Section title="Export">
      <VhostField label="Virtual host" value={of} onChange={setOf} />
      <p class="hint">The file holds hashes of passwords: keep it as you would keep those.</p>
      <p>
        <button type="button" class="primary" disabled={isBusy} onClick={run}>
          Save a file
        </button>
      </p>
    </Section>
  );
}

interface Chosen {
  name: string;
  definitions: Record<string, unknown>;
}

/** What there is of each kind, in words. */
function contents(definitions: Record<string, unknown>): string[] {
  return KINDS.flatMap(([id, one, many]) => {
    const list = definitions[id];
    return Array.isArray(list) && list.length > 0 ? [counted(list.length, one, many)] : [];
  });
}

function Import() {
  const [into, setInto] = useState(ALL);
  const [chosen, setChosen] = useState<Chosen>();
  const [report, setReport] = useState<ImportReport>();
  const choose = async (file: File | undefined) => {
    setChosen(undefined);
    setReport(undefined);
    if (!file) return;
    try {
      const definitions: unknown = JSON.parse(await file.text());
      if (typeof definitions !== "object" || definitions === null || Array.isArray(definitions)) {
        throw new Error("no object");
      }
      setChosen({ name: file.name, definitions: definitions as Record<string, unknown> });
    } catch {
      tellFailure(new Error(`${file.name} holds no definitions: it is no JSON object.`));
    }
  };
  const ask = ({ name, definitions }: Chosen) =>
    confirm({
      title: `Import ${name}?`,
      body: (
        <p>
          What is there already stays as it is, but for users, permissions, parameters and policies:
          they are as in the file then. Nothing is deleted.
        </p>
      ),
      action: "Import",
      danger: false,
      run: async () => {
        const base = into === ALL ? "/api/definitions" : path("definitions", into);
        try {
          setReport(await post<ImportReport>(withQuery(base, { report: true }), definitions));
        } catch (error) {
          const body =
            error instanceof ApiError ? (error.body as ImportReport | undefined) : undefined;
          if (!body?.failed) throw error;
          setReport(body);
        }
      },
    });
  const found = chosen && contents(chosen.definitions);
  return (
    <Section title="Import">
      <VhostField label="Virtual host" value={into} onChange={setInto} />
      <div class="field">
        <label for="definitions-file">File</label>
        <input
          id="definitions-file"
          type="file"
          accept="application/json,.json"
          // So that the same file can be chosen again when it was mended.
          onClick={(event) => {
            event.currentTarget.value = "";
            void choose(undefined);
          }}
          onChange={(event) => void choose(event.currentTarget.files?.[0])}
        />
      </div>
      {chosen && found && (
        <>
          <p>
            {found.length === 0
              ? "There is nothing in it that could be made."
              : `It holds ${found.join(", ")}.`}
          </p>
          <p>
            <button
              type="button"
              class="primary"
              disabled={found.length === 0}
              onClick={() => ask(chosen)}
            >
              Import
            </button>
          </p>
        </>
      )}
      {report && <Report of={report} />}
    </Section>
  );
}

/** The API has RabbitMQ's words, some of which are none. */
function inWords(reason: string): string {
  const [, missing] = reason.match(/^\[\{key_missing,(.*)\}\]$/) ?? [];
  const text = missing ? `${missing} is missing` : reason;
  return text.endsWith(".") ? text : `${text}.`;
}

function Report({ of }: { of: ImportReport }) {
  const rows = KINDS.flatMap(([id, , title]) => {
    const counts = of.counts[id];
    return counts ? [{ id, title, counts }] : [];
  });
  return (
    <section class="report" aria-label="What the import did" aria-live="polite">
      <h3>What was done</h3>
      {of.failed ? (
        <p class="error" role="alert">
          It ended{of.failed.at && ` at ${of.failed.at}`}: {inWords(of.failed.reason)} What is
          listed here was done before.
        </p>
      ) : (
        <p>
          <Badge tone="good">done</Badge> All of the file was gone through.
        </p>
      )}
      <Grid
        label="What was done"
        rows={rows}
        rowKey={(row) => row.id}
        columns={[
          { title: "What", cell: (row) => row.title },
          { title: "New", numeric: true, cell: (row) => count(row.counts.created ?? 0) },
          {
            title: "As in the file now",
            numeric: true,
            cell: (row) => count((row.counts.updated ?? 0) + (row.counts.bound ?? 0)),
          },
          { title: "Skipped", numeric: true, cell: (row) => count(row.counts.skipped ?? 0) },
        ]}
        empty={<p class="muted">Nothing.</p>}
      />
      {of.skipped.length > 0 && (
        <details>
          <summary>{counted(of.skipped.length, "thing was", "things were")} skipped</summary>
          <ul class="matches">
            {of.skipped.map((one) => (
              <li key={`${one.kind}\n${one.vhost}\n${one.name}`}>
                {one.kind === "queues" ? "queue" : "exchange"}{" "}
                <strong>{one.name || "(default)"}</strong> in {one.vhost}: {one.why}
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
