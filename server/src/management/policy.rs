//! Policies of users and of operators.

use serde_json::{Value, json};
use warren_core::amqp::ShortStr;
use warren_core::broker::{ApplyTo, Policy, PolicyLayer, Refusal, RefusalKind};
use warren_core::listing::PolicyMatch;
use warren_core::{Broker, Command, Done};

use super::call::{Answer, Call, Failure, Object, Reply, short};
use super::page::{self, Ready};
use super::{State, json as table};

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal.kind {
            RefusalKind::NotFound => Self::no_object(),
            RefusalKind::AccessRefused => Self::not_authorised(refusal.explanation),
            // As RabbitMQ has it, for those who show it in a page.
            _ => {
                let escaped = refusal.explanation.replace('<', "&lt;").replace('>', "&gt;");
                Self::bad_request(escaped)
            }
        }
    }
}

impl From<Done> for Reply {
    fn from(done: Done) -> Self {
        match done {
            Done::Created => Self::Created(None),
            Done::Updated | Done::Deleted | Done::Unchanged => Self::Done,
        }
    }
}

pub(super) async fn list(call: Call, layer: PolicyLayer) -> Answer {
    let mut rows = Vec::new();
    for vhost in call.vhosts().await? {
        for policy in policies(&call.state, &vhost, layer).await {
            let (vhost, name) = (vhost.clone(), policy.name.clone());
            rows.push(Ready { json: to_json(&vhost, &policy), vhost, name });
        }
    }
    page::list(&call, rows)
}

pub(super) async fn one(call: Call, layer: PolicyLayer) -> Answer {
    let (vhost, name) = (call.vhost().await?, call.name("name")?);
    let found = policies(&call.state, &vhost, layer).await;
    let found = found.iter().find(|policy| policy.name == name);
    page::one(&call, to_json(&vhost, found.ok_or_else(Failure::no_object)?))
}

pub(super) async fn set(call: Call, layer: PolicyLayer) -> Answer {
    let vhost = call.vhost().await?;
    let policy = read(&call.name("name")?, &call.object()?)?;
    let command = Command::SetPolicy { vhost, layer, policy };
    Ok(call.state.broker.command(command).await?.into())
}

pub(super) async fn delete(call: Call, layer: PolicyLayer) -> Answer {
    let (vhost, name) = (call.vhost().await?, call.name("name")?);
    let command = Command::DeletePolicy { vhost, layer, name };
    Ok(call.state.broker.command(command).await?.into())
}

/// How many matches of a preview are told of, and at how many objects the broker looks at once.
const MATCHES_TOLD: usize = 500;
const LOOKED_AT_ONCE: usize = 1000;

/// What a policy would be for, were it set. A name may be missing as long as nobody has thought of
/// one, and a definition as long as it asks for nothing.
pub(super) async fn preview(call: Call, layer: PolicyLayer) -> Answer {
    let vhost = call.vhost().await?;
    let mut object = call.object()?;
    let name = short(object.text_or("name", "")?)?;
    let asks_for_nothing = |definition: &Value| definition.as_object().is_none_or(|o| o.is_empty());
    if object.get("definition").is_none_or(asks_for_nothing) {
        // Something that any type of queue can have.
        object.0.insert("definition".into(), json!({ "max-length": 0 }));
    }
    let policy = read(&name, &object)?;
    let (mut matched, mut won, mut told) = (0, 0, Vec::new());
    let mut next = Some(0);
    while let Some(from) = next {
        let (vhost, policy) = (vhost.clone(), policy.clone());
        let look = move |broker: &Broker| {
            broker.preview_policy(&vhost, layer, policy, from, LOOKED_AT_ONCE)
        };
        let page = call.state.broker.look(look).await?;
        matched += page.items.len();
        won += page.items.iter().filter(|one| one.wins).count();
        let room = MATCHES_TOLD - told.len();
        told.extend(page.items.into_iter().take(room));
        next = page.next;
    }
    let json = |one: PolicyMatch| {
        json!({
            "name": one.name.to_text(),
            "type": one.kind,
            "wins": one.wins,
            "policy": table::text(one.now.as_ref()),
            "other": table::text(one.other.as_ref()),
        })
    };
    let items: Vec<Value> = told.into_iter().map(json).collect();
    Ok(Reply::Json(json!({ "matched": matched, "would_apply": won, "items": items })))
}

/// The policies of a virtual host.
pub(super) async fn policies(state: &State, vhost: &ShortStr, layer: PolicyLayer) -> Vec<Policy> {
    let vhost = vhost.clone();
    state.broker.look(move |broker| broker.policies(&vhost, layer)).await
}

/// A policy as JSON.
pub(super) fn to_json(vhost: &ShortStr, policy: &Policy) -> Value {
    json!({
        "vhost": vhost.to_text(),
        "name": policy.name.to_text(),
        "pattern": policy.pattern,
        "apply-to": policy.apply_to.name(),
        "definition": table::from_table(&policy.definition),
        "priority": policy.priority,
    })
}

/// The policy that an object describes.
///
/// # Errors
/// When it describes none.
pub(super) fn read(name: &ShortStr, object: &Object) -> Result<Policy, Failure> {
    let pattern = object.text("pattern")?.to_owned();
    let definition = table::to_table(object.required("definition")?)?;
    let apply_to = ApplyTo::from_name(object.text_or("apply-to", "all")?)?;
    let priority = object.integer("priority", 0)?;
    Ok(Policy { name: name.clone(), pattern, apply_to, priority, definition })
}

/// The policy that stands in definitions, and its virtual host if it is said there.
///
/// # Errors
/// When there is none.
pub(super) fn read_named(object: &Object) -> Result<(Option<ShortStr>, Policy), Failure> {
    let vhost = match object.get("vhost") {
        Some(_) => Some(short(object.text("vhost")?)?),
        None => None,
    };
    Ok((vhost, read(&short(object.text("name")?)?, object)?))
}
