// One exchange: what it is, what is in force for it, and its bindings in both directions.

import { useState } from "preact/hooks";
import { del, path } from "../api/client.ts";
import type { Binding, Exchange as Info } from "../api/types.ts";
import { count, rate } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { exchangeSegment, link, linkWith } from "../model/location.ts";
import { may } from "../model/rights.ts";
import { go } from "../model/state.ts";
import type { PageProps } from "../routes.ts";
import { BindDialog, Bindings } from "../ui/bindings.tsx";
import { confirm } from "../ui/dialog.tsx";
import { ExchangeFeatures } from "../ui/exchange.tsx";
import { PublishDialog } from "../ui/messages.tsx";
import { tell } from "../ui/notice.tsx";
import {
  Empty,
  ExchangeLink,
  Fact,
  Facts,
  Failed,
  Figure,
  Heading,
  OnlyLooking,
  Pending,
  Section,
} from "../ui/pieces.tsx";
import { InForce } from "../ui/policy.tsx";

type Open = "publish" | "from" | "to" | undefined;

export default function Exchange({ params }: PageProps) {
  const { vhost = "", name: segment = "" } = params;
  const name = segment === "amq.default" ? "" : segment;
  const at = path("exchanges", vhost, exchangeSegment(name));
  const { data: exchange, error, reload } = useApi<Info>(at);
  const from = useApi<Binding[]>(name === "" ? undefined : `${at}/bindings/source`);
  const to = useApi<Binding[]>(name === "" ? undefined : `${at}/bindings/destination`);
  const [open, setOpen] = useState<Open>();
  const close = () => setOpen(undefined);
  const remove = () =>
    confirm({
      title: `Delete ${name}`,
      body: (
        <p>
          The exchange goes with {count((from.data?.length ?? 0) + (to.data?.length ?? 0))}{" "}
          bindings. Who publishes to it then has the channel closed.
        </p>
      ),
      action: "Delete",
      run: async () => {
        await del(at);
        tell(`${name} is deleted.`);
        go("#/exchanges");
      },
    });
  return (
    <>
      <Heading kind="Exchange" title={name === "" ? "(default)" : name}>
        {exchange && (
          <>
            {name !== "" && (
              <a class="button" href={linkWith({ vhost, exchange: name }, "topology")}>
                Show in the topology
              </a>
            )}
            {!exchange.internal && (
              <a class="button" href={linkWith({ vhost, exchange: name }, "route")}>
                Where would it go?
              </a>
            )}
            {may(exchange, "publish") && (
              <button type="button" class="primary" onClick={() => setOpen("publish")}>
                Publish
              </button>
            )}
            {may(exchange, "delete") && (
              <button type="button" class="danger" onClick={remove}>
                Delete
              </button>
            )}
          </>
        )}
      </Heading>
      <Pending of={exchange} error={error} onRetry={reload} />
      {exchange && (
        <>
          <OnlyLooking at={exchange} what="exchange" />
          <Figures exchange={exchange} />
          <div class="columns">
            <Section title="What it is">
              <About exchange={exchange} />
            </Section>
            <Section title="What is in force, and why">
              <InForce
                vhost={vhost}
                name={name}
                given={exchange.arguments}
                policy={exchange.policy}
              />
            </Section>
          </div>
          {name === "" ? (
            <Section title="Bindings">
              <p>
                Every queue is bound to the default exchange with its own name as the key. That
                cannot be changed.
              </p>
            </Section>
          ) : (
            <>
              <Section
                title={`Bindings from here (${count(from.data?.length)})`}
                actions={
                  may(exchange, "bind_from") && (
                    <button type="button" onClick={() => setOpen("from")}>
                      Bind a queue or an exchange
                    </button>
                  )
                }
              >
                {from.error !== undefined && <Failed error={from.error} onRetry={from.reload} />}
                {from.data?.length === 0 && (
                  <Empty title="Nothing is bound to this exchange.">
                    <p>What is published to it goes nowhere until a queue is bound to it.</p>
                  </Empty>
                )}
                {from.data && from.data.length > 0 && (
                  <Bindings bindings={from.data} end="destination" onChange={from.reload} />
                )}
              </Section>
              <Section
                title={`Bindings to here (${count(to.data?.length)})`}
                actions={
                  may(exchange, "bind_to") && (
                    <button type="button" onClick={() => setOpen("to")}>
                      Bind to another exchange
                    </button>
                  )
                }
              >
                {to.error !== undefined && <Failed error={to.error} onRetry={to.reload} />}
                {to.data?.length === 0 && (
                  <p class="muted">No other exchange hands messages on to this one.</p>
                )}
                {to.data && to.data.length > 0 && (
                  <Bindings bindings={to.data} end="source" onChange={to.reload} />
                )}
              </Section>
            </>
          )}
        </>
      )}
      {open === "publish" && (
        <PublishDialog vhost={vhost} exchange={name} onClose={close} onDone={reload} />
      )}
      {open === "from" && (
        <BindDialog vhost={vhost} from={name} onClose={close} onDone={from.reload} />
      )}
      {open === "to" && (
        <BindDialog vhost={vhost} to={{ kind: "e", name }} onClose={close} onDone={to.reload} />
      )}
    </>
  );
}

function Figures({ exchange }: { exchange: Info }) {
  const { message_stats: stats } = exchange;
  return (
    <div class="figures">
      <Figure
        name="In"
        value={rate(stats?.publish_in_details?.rate)}
        detail={`${count(stats?.publish_in)} published by clients`}
      />
      <Figure
        name="Out"
        value={rate(stats?.publish_out_details?.rate)}
        detail={`${count(stats?.publish_out)} to queues`}
      />
    </div>
  );
}

function About({ exchange }: { exchange: Info }) {
  const alternate = exchange.arguments["alternate-exchange"];
  return (
    <Facts>
      <Fact name="Virtual host">
        <a href={link("vhosts", exchange.vhost)}>{exchange.vhost}</a>
      </Fact>
      <Fact name="Type">{exchange.type}</Fact>
      <Fact name="Features">
        {exchange.durable ? "durable " : ""}
        <ExchangeFeatures exchange={exchange} />
      </Fact>
      {typeof alternate === "string" && (
        <Fact name="What no binding takes goes to">
          <ExchangeLink vhost={exchange.vhost} name={alternate} />
        </Fact>
      )}
    </Facts>
  );
}
