// Which policies are in force for something, and what follows from them.

import { path } from "../api/client.ts";
import type { Arguments } from "../api/types.ts";
import { NOTHING, setting } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { linkWith } from "../model/location.ts";
import { type Setting, settings } from "../model/settings.ts";
import { Badge, TableFrame } from "./pieces.tsx";

interface Policy {
  name: string;
  pattern: string;
  priority: number;
  "apply-to": string;
  definition: Arguments;
}

interface InForceProps {
  vhost: string;
  /** The name of what they are in force for. */
  name: string;
  given: Arguments;
  policy: string | null | undefined;
  operatorPolicy?: string | null | undefined;
}

/** What is in force, from where, and why these policies and no others. */
export function InForce({ vhost, name, given, policy, operatorPolicy }: InForceProps) {
  const users = useApi<Policy>(policy ? path("policies", vhost, policy) : undefined);
  const operators = useApi<Policy>(
    operatorPolicy ? path("operator-policies", vhost, operatorPolicy) : undefined,
  );
  const rows = settings(given, users.data?.definition ?? {}, operators.data?.definition ?? {});
  const isAny = Boolean(policy || operatorPolicy);
  const isSaid = rows.some((row) => others(row) !== NOTHING);
  return (
    <div class="in-force">
      {users.data && <Why policy={users.data} kind="Policy" name={name} />}
      {operators.data && <Why policy={operators.data} kind="Operator policy" name={name} />}
      {!isAny && <p class="muted">No policy's pattern is for this name.</p>}
      {rows.length === 0 ? (
        <p class="muted">No arguments.</p>
      ) : (
        <TableFrame label="Settings in force">
          <table>
            <thead>
              <tr>
                <th scope="col">Setting</th>
                <th scope="col">In force</th>
                <th scope="col">By</th>
                {isSaid && <th scope="col">Others say</th>}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.name}>
                  <th scope="row">{row.name}</th>
                  <td>
                    <strong>{setting(row.name, row.value)}</strong>
                  </td>
                  <td>
                    <Badge tone={row.from === "argument" ? undefined : "accent"}>{row.from}</Badge>
                  </td>
                  {isSaid && <td class="muted">{others(row)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </TableFrame>
      )}
      {isAny && rows.length > 0 && (
        <p class="hint">
          Of limits the lowest counts; of all else the argument, then the operator policy, then the
          policy.
        </p>
      )}
    </div>
  );
}

/** What the others say who say anything. */
function others(row: Setting): string {
  const all: [Setting["from"], unknown][] = [
    ["argument", row.argument],
    ["policy", row.policy],
    ["operator policy", row.operatorPolicy],
  ];
  const said = all.filter(([from, one]) => from !== row.from && one !== undefined);
  return said.map(([from, one]) => `${from} ${setting(row.name, one)}`).join(", ") || NOTHING;
}

function Why(props: { policy: Policy; kind: string; name: string }) {
  const { policy, kind, name } = props;
  const section = kind === "Policy" ? "policies" : "operator-policies";
  return (
    <p>
      {kind} <a href={linkWith({ name: policy.name }, section)}>{policy.name}</a>: its pattern{" "}
      <code>{policy.pattern || "(all)"}</code> is found in <code>{name}</code>, and of those of
      which this is so its priority, {policy.priority}, is the highest.
    </p>
  );
}
