// Limits of virtual hosts and users.

import { useState } from "preact/hooks";
import type { Limits } from "../api/admin.ts";
import { count } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { link } from "../model/location.ts";
import { has, vhosts } from "../model/state.ts";
import { FormDialog } from "../ui/dialog.tsx";
import { Choice } from "../ui/field.tsx";
import { Grid, type GridColumn } from "../ui/grid.tsx";
import { EditLimits, LIMITS } from "../ui/limits.tsx";
import { Empty, Heading, Pending, Section } from "../ui/pieces.tsx";

interface Limited {
  user?: string;
  vhost?: string;
  value: Limits;
}

export default function LimitsPage() {
  return (
    <>
      <Heading title="Limits" />
      <Of kind="vhost" title="Virtual hosts" />
      {has("administrator") && <Of kind="user" title="Users" />}
    </>
  );
}

function Of({ kind, title }: { kind: "user" | "vhost"; title: string }) {
  const { data, error, reload } = useApi<Limited[]>(`/api/${kind}-limits`);
  const [edited, setEdited] = useState<string>();
  const [isChoosing, setChoosing] = useState(false);
  const name = (one: Limited) => one[kind] ?? "";
  const columns: GridColumn<Limited>[] = [
    {
      title: kind === "user" ? "User" : "Virtual host",
      cell: (one) => <a href={link(`${kind}s`, name(one))}>{name(one)}</a>,
    },
    ...LIMITS[kind].map(([id, limited]) => ({
      title: limited,
      numeric: true,
      cell: (one: Limited) => (id in one.value ? count(one.value[id]) : "no limit"),
    })),
  ];
  if (has("administrator")) {
    columns.push({
      title: "",
      cell: (one) => (
        <button type="button" onClick={() => setEdited(name(one))}>
          Change<span class="hidden"> limits of {name(one)}</span>
        </button>
      ),
    });
  }
  return (
    <Section
      title={title}
      actions={
        has("administrator") && (
          <button type="button" onClick={() => setChoosing(true)}>
            Set limits
          </button>
        )
      }
    >
      <Pending of={data} error={error} onRetry={reload} />
      {data && (
        <Grid
          label={`Limits of ${title.toLowerCase()}`}
          columns={columns}
          rows={data}
          rowKey={name}
          empty={
            <Empty title={`No ${kind === "user" ? "user" : "virtual host"} has limits.`}>
              <p>
                A limit keeps one of them from taking what others need:{" "}
                {LIMITS[kind].map(([, what]) => what.toLowerCase()).join(" and ")}.
              </p>
            </Empty>
          }
        />
      )}
      {isChoosing && (
        <Chooser
          kind={kind}
          onClose={() => setChoosing(false)}
          onChoose={(chosen) => setEdited(chosen)}
        />
      )}
      {edited !== undefined && (
        <EditLimits
          kind={kind}
          name={edited}
          limits={data?.find((one) => name(one) === edited)?.value ?? {}}
          onDone={reload}
          onClose={() => setEdited(undefined)}
        />
      )}
    </Section>
  );
}

interface ChooserProps {
  kind: "user" | "vhost";
  onClose: () => void;
  onChoose: (name: string) => void;
}

function Chooser({ kind, onClose, onChoose }: ChooserProps) {
  const isOfUser = kind === "user";
  const { data } = useApi<{ name: string }[]>(isOfUser ? "/api/users?columns=name" : undefined, {
    once: true,
  });
  const names = isOfUser ? (data ?? []).map(({ name }) => name) : vhosts.value;
  const [name, setName] = useState("");
  const submit = async () => {
    if (name === "") throw new Error("Choose one.");
    onChoose(name);
  };
  return (
    <FormDialog title="Set limits" action="Go on" onClose={onClose} onSubmit={submit}>
      <Choice
        label={isOfUser ? "User" : "Virtual host"}
        value={name}
        onChange={setName}
        options={[["", "choose one"], ...names]}
      />
    </FormDialog>
  );
}
