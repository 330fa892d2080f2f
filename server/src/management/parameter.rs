//! Parameters: JSON that is kept under a name, for a virtual host or the whole broker.

use bytes::Bytes;
use serde_json::{Value, json};
use warren_core::Command;
use warren_core::amqp::ShortStr;
use warren_core::broker::Parameter;

use super::call::{Answer, Call, Failure, Reply};
use super::page::{self, Ready};
use super::{State, reading};

/// The parameter that says what the cluster is called.
const CLUSTER_NAME: &str = "cluster_name";

/// The component and name of what tells the definitions apart that a start imported last.
const IMPORTED: (&str, &str) = ("warren", "imported_definitions");

pub(super) async fn list(call: Call) -> Answer {
    let mut rows = Vec::new();
    let component = call.param("component");
    for vhost in call.vhosts().await? {
        for one in reading::parameters(&call.state.broker, Some(&vhost)).await {
            if component.is_none_or(|wanted| one.component == *wanted) {
                let json = to_json(&one);
                rows.push(Ready { vhost: vhost.clone(), name: one.name, json });
            }
        }
    }
    page::list(&call, rows)
}

pub(super) async fn one(call: Call) -> Answer {
    let (vhost, component) = (call.vhost().await?, call.name("component")?);
    let name = call.name("name")?;
    let all = reading::parameters(&call.state.broker, Some(&vhost)).await.into_iter();
    let mut found = all.filter(|one| one.component == component && one.name == name);
    page::one(&call, to_json(&found.next().ok_or_else(Failure::no_object)?))
}

pub(super) async fn set(call: Call) -> Answer {
    let vhost = Some(call.vhost().await?);
    let (component, name) = (call.name("component")?, call.name("name")?);
    let value = encoded(call.object()?.required("value")?);
    let parameter = Parameter { vhost, component, name, value };
    Ok(call.state.broker.command(Command::SetParameter(parameter)).await?.into())
}

pub(super) async fn clear(call: Call) -> Answer {
    let vhost = Some(call.vhost().await?);
    let (component, name) = (call.name("component")?, call.name("name")?);
    let command = Command::ClearParameter { vhost, component, name };
    Ok(call.state.broker.command(command).await?.into())
}

pub(super) async fn list_global(call: Call) -> Answer {
    let all = globals(&call.state).await.into_iter();
    let row = |(name, value): (ShortStr, Value)| {
        let json = json!({ "name": name.to_text(), "value": value });
        Ready { vhost: ShortStr::EMPTY, name, json }
    };
    page::list(&call, all.map(row).collect())
}

pub(super) async fn one_global(call: Call) -> Answer {
    let name = call.name("name")?;
    let found = globals(&call.state).await.into_iter().find(|(known, _)| *known == name);
    let (name, value) = found.ok_or_else(Failure::no_object)?;
    page::one(&call, json!({ "name": name.to_text(), "value": value }))
}

pub(super) async fn set_global(call: Call) -> Answer {
    let name = call.name("name")?;
    let value = call.object()?.required("value")?.clone();
    put_global(&call.state, name, &value).await
}

/// Keeps a parameter of the whole broker.
///
/// # Errors
/// When the broker does not.
pub(super) async fn put_global(state: &State, name: ShortStr, value: &Value) -> Answer {
    let component = ShortStr::EMPTY;
    let parameter = Parameter { vhost: None, component, name, value: encoded(value) };
    Ok(state.broker.command(Command::SetParameter(parameter)).await?.into())
}

pub(super) async fn clear_global(call: Call) -> Answer {
    let (component, name) = (ShortStr::EMPTY, call.name("name")?);
    let command = Command::ClearParameter { vhost: None, component, name };
    Ok(call.state.broker.command(command).await?.into())
}

pub(super) async fn cluster_name(call: Call) -> Answer {
    let name = cluster_name_of(&call.state).await;
    page::one(&call, json!({ "name": name }))
}

pub(super) async fn set_cluster_name(call: Call) -> Answer {
    let name = json!(call.object()?.text("name")?);
    put_global(&call.state, CLUSTER_NAME.into(), &name).await?;
    Ok(Reply::Done)
}

/// What the cluster is called: as its parameter says, or else as the node is.
pub(super) async fn cluster_name_of(state: &State) -> Value {
    let all = globals(state).await.into_iter();
    let mut found = all.filter(|(name, _)| *name == CLUSTER_NAME);
    found.next().map_or(json!(state.node.name), |(_, value)| value)
}

/// The parameters of the whole broker, by name. There is always one that says what the cluster is
/// called.
pub(super) async fn globals(state: &State) -> Vec<(ShortStr, Value)> {
    let kept = reading::parameters(&state.broker, None).await.into_iter();
    let kept = kept.filter(|one| one.component.is_empty());
    let mut all: Vec<_> = kept.map(|one| (one.name.clone(), decoded(&one))).collect();
    if !all.iter().any(|(name, _)| *name == CLUSTER_NAME) {
        all.push((CLUSTER_NAME.into(), json!(state.node.name)));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// What tells the definitions apart that a start imported last; nothing if none did.
pub(super) async fn imported(state: &State) -> String {
    let kept = reading::parameters(&state.broker, None).await.into_iter();
    let mut found = kept.filter(|one| one.component == *IMPORTED.0 && one.name == *IMPORTED.1);
    let digest = found.next().map(|one| decoded(&one));
    digest.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Keeps what [`imported`] gives.
///
/// # Errors
/// When the broker does not.
pub(super) async fn set_imported(state: &State, digest: &str) -> Result<(), Failure> {
    let (component, name) = IMPORTED;
    let parameter = Parameter {
        vhost: None,
        component: component.into(),
        name: name.into(),
        value: encoded(&json!(digest)),
    };
    state.broker.command(Command::SetParameter(parameter)).await?;
    Ok(())
}

/// A parameter of a virtual host as JSON.
pub(super) fn to_json(one: &Parameter) -> Value {
    json!({
        "vhost": one.vhost.as_ref().map(|vhost| vhost.to_text()),
        "component": one.component.to_text(),
        "name": one.name.to_text(),
        "value": decoded(one),
    })
}

fn decoded(one: &Parameter) -> Value {
    serde_json::from_slice(&one.value).unwrap_or_default()
}

/// A value as it is kept.
pub(super) fn encoded(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("a value is JSON").into()
}
