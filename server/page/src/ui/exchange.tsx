// What is shown of an exchange in several places.

import type { Exchange } from "../api/types.ts";
import { Badge } from "./pieces.tsx";

/** What an exchange was declared to be, in words. */
export function ExchangeFeatures({ exchange }: { exchange: Exchange }) {
  return (
    <span class="badges">
      {!exchange.durable && <Badge hint="It goes with the broker">transient</Badge>}
      {exchange.auto_delete && (
        <Badge hint="It goes with the last binding from it">auto-delete</Badge>
      )}
      {exchange.internal && <Badge hint="Clients cannot publish to it">internal</Badge>}
      {exchange.policy && (
        <Badge tone="accent" hint="The policy in force">
          {exchange.policy}
        </Badge>
      )}
    </span>
  );
}
