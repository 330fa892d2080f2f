//! The configuration that the node goes by: each key with its value and where that is from, and
//! nothing that is secret.

use serde_json::json;
use warren_core::amqp::ShortStr;

use super::call::{Answer, Call};
use super::page::{self, Ready};
use crate::config::Effective;

/// What is in force now: what was changed since the start counts as it was changed.
pub(super) async fn effective(call: Call) -> Answer {
    let row = |found: Effective| Ready {
        vhost: ShortStr::EMPTY,
        name: ShortStr::truncated(found.key.as_bytes()),
        json: json!({
            "key": found.key,
            "value": found.value,
            "source": found.origin.kind(),
            "at": found.origin.at(),
            "section": found.section,
        }),
    };
    page::list(&call, call.state.node.in_force.all().into_iter().map(row).collect())
}
