//! Virtual hosts.

use serde_json::{Value, json};
use warren_core::amqp::ShortStr;

use super::State;
use super::call::{Answer, Call};
use super::page::{self, Ready};
use super::reading;

pub(super) async fn list(call: Call) -> Answer {
    let mut rows = Vec::new();
    for name in call.vhosts().await? {
        let json = to_json(&call.state, &name).await;
        rows.push(Ready { vhost: ShortStr::EMPTY, name, json });
    }
    page::list(&call, rows)
}

pub(super) async fn one(call: Call) -> Answer {
    let name = call.vhost().await?;
    page::one(&call, to_json(&call.state, &name).await)
}

async fn to_json(state: &State, name: &ShortStr) -> Value {
    let queues = reading::queues(&state.broker).await;
    let own = || queues.iter().filter(|queue| queue.vhost == *name);
    let ready: u64 = own().map(|queue| queue.numbers.ready).sum();
    let unacked: u64 = own().map(|queue| queue.numbers.unacked).sum();
    json!({
        "name": name.to_text(),
        "description": "",
        "tags": [],
        "default_queue_type": "classic",
        "metadata": { "description": "", "tags": [], "default_queue_type": "classic" },
        "tracing": false,
        "protected_from_deletion": false,
        "cluster_state": { &state.node.name: "running" },
        "messages": ready + unacked,
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
    })
}
