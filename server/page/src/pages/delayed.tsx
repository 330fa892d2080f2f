// Messages that are delayed: when they go, and how one is taken back.

import { useState } from "preact/hooks";
import { del, path, withQuery } from "../api/client.ts";
import { counted, duration, moment } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { vhost, vhostToBeginWith } from "../model/state.ts";
import { confirm } from "../ui/dialog.tsx";
import { Grid } from "../ui/grid.tsx";
import { tell } from "../ui/notice.tsx";
import { Empty, Heading, Pending, Section } from "../ui/pieces.tsx";

interface DelayedMessage {
  id: number;
  due_at: number;
}

const BATCH = 100;

export default function Delayed() {
  const name = vhost.value || vhostToBeginWith();
  const [many, setMany] = useState(BATCH);
  const at = path("delayed", name);
  const { data, error, reload } = useApi<DelayedMessage[]>(withQuery(at, { count: many }), {
    keep: true,
  });
  const cancel = (message: DelayedMessage) =>
    confirm({
      title: "Take this message back",
      body: <p>It will be gone, and no queue will get it.</p>,
      action: "Take it back",
      run: async () => {
        await del(`${at}/${message.id}`);
        tell("The message is taken back.");
        reload();
      },
    });
  return (
    <>
      <Heading title="Delayed messages" />
      <Pending of={data} error={error} onRetry={reload} />
      {data?.length === 0 && (
        <Empty title={`No message is delayed in virtual host ${name}.`}>
          <p>
            Declare an exchange of type x-delayed-message, and publish to it with the header x-delay
            (milliseconds).
          </p>
        </Empty>
      )}
      {data && data.length > 0 && (
        <Section title={`Virtual host ${name}: the next ${counted(data.length, "message")}`}>
          <Grid
            label="Delayed messages"
            rows={data}
            rowKey={(message) => String(message.id)}
            columns={[
              { title: "Goes at", cell: (message) => moment(message.due_at) },
              {
                title: "In",
                cell: (message) => duration(Math.max(message.due_at - Date.now(), 0)),
              },
              { title: "Number", cell: (message) => message.id },
              {
                title: "",
                numeric: true,
                cell: (message) => (
                  <button type="button" class="danger" onClick={() => cancel(message)}>
                    Take back
                  </button>
                ),
              },
            ]}
            empty={null}
          />
          {data.length >= many && many < 500 && (
            <button type="button" onClick={() => setMany(Math.min(many + BATCH, 500))}>
              Show more
            </button>
          )}
        </Section>
      )}
    </>
  );
}
