// Which policies are in force for something, and what follows from them.

import { path } from "../api/client.ts";
import type { Arguments } from "../api/types.ts";
import { value } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { link } from "../model/location.ts";
import { settings } from "../model/settings.ts";
import { Badge } from "./pieces.tsx";

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
  return (
    <div class="in-force">
      {users.data && <Why policy={users.data} kind="Policy" vhost={vhost} name={name} />}
      {operators.data && (
        <Why policy={operators.data} kind="Operator policy" vhost={vhost} name={name} />
      )}
      {!isAny && <p class="muted">No policy's pattern is for this name.</p>}
      {rows.length === 0 ? (
        <p class="muted">No arguments.</p>
      ) : (
        <div class="table-frame">
          <table>
            <thead>
              <tr>
                <th scope="col">Setting</th>
                <th scope="col">In force</th>
                <th scope="col">By</th>
                {isAny && <th scope="col">Argument</th>}
                {policy && <th scope="col">Policy</th>}
                {operatorPolicy && <th scope="col">Operator policy</th>}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.name}>
                  <th scope="row">{row.name}</th>
                  <td>
                    <strong>{value(row.value)}</strong>
                  </td>
                  <td>
                    <Badge tone={row.from === "argument" ? undefined : "accent"}>{row.from}</Badge>
                  </td>
                  {isAny && <td>{value(row.argument)}</td>}
                  {policy && <td>{value(row.policy)}</td>}
                  {operatorPolicy && <td>{value(row.operatorPolicy)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
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

function Why(props: { policy: Policy; kind: string; vhost: string; name: string }) {
  const { policy, kind, vhost, name } = props;
  const section = kind === "Policy" ? "policies" : "operator-policies";
  return (
    <p>
      {kind} <a href={link(section, vhost, policy.name)}>{policy.name}</a>: its pattern{" "}
      <code>{policy.pattern}</code> is found in <code>{name}</code>, and of those of which this is
      so its priority, {policy.priority}, is the highest.
    </p>
  );
}
