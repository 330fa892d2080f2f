//! Parameters of virtual hosts, and of the whole broker.

use serde_json::{Value, json};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::listing::check_vhost;
use super::output::Output;
use super::policy::parsed;

pub(super) async fn set(call: &Call) -> Answer {
    let (component, name) = (call.arg("component_name"), call.arg("name"));
    let (vhost, value) = (call.vhost(), call.arg("value"));
    call.banner(format!(
        "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{value}\" in \
         vhost \"{vhost}\" ..."
    ));
    if component == "policy" {
        return Err(Failure::unavailable("policies may not be set using this method"));
    }
    let body = json!({ "value": parsed(value)? });
    check_vhost(call).await?;
    call.put(&["parameters", component, vhost, name], &body).await?;
    Ok(Output::Done)
}

pub(super) async fn clear(call: &Call) -> Answer {
    let (component, name) = (call.arg("component_name"), call.arg("name"));
    let vhost = call.vhost();
    call.banner(format!(
        "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" \
         ..."
    ));
    check_vhost(call).await?;
    gone(call.delete(&["parameters", component, vhost, name]).await?)
}

pub(super) async fn list(call: &Call) -> Answer {
    let vhost = call.vhost();
    call.banner(format!("Listing runtime parameters for vhost \"{vhost}\" ..."));
    check_vhost(call).await?;
    let found = call.get(&["parameters"]).await?;
    let own = found.as_array().into_iter().flatten().filter(|one| one["vhost"] == vhost);
    let row = |one: &Value| {
        vec![
            ("component", one["component"].clone()),
            ("name", one["name"].clone()),
            ("value", json!(one["value"].to_string())),
        ]
    };
    Ok(Output::Rows(own.map(row).collect()))
}

pub(super) async fn set_global(call: &Call) -> Answer {
    let (name, value) = (call.arg("name"), call.arg("value"));
    call.banner(format!("Setting global runtime parameter \"{name}\" to \"{value}\" ..."));
    call.put(&["global-parameters", name], &json!({ "value": parsed(value)? })).await?;
    Ok(Output::Done)
}

pub(super) async fn clear_global(call: &Call) -> Answer {
    let name = call.arg("name");
    call.banner(format!("Clearing global runtime parameter \"{name}\" ..."));
    gone(call.delete(&["global-parameters", name]).await?)
}

pub(super) async fn list_global(call: &Call) -> Answer {
    call.banner("Listing global runtime parameters ...");
    let found = call.get(&["global-parameters"]).await?;
    let row = |one: &Value| {
        vec![("name", one["name"].clone()), ("value", json!(one["value"].to_string()))]
    };
    Ok(Output::Rows(found.as_array().into_iter().flatten().map(row).collect()))
}

pub(super) async fn set_cluster_name(call: &Call) -> Answer {
    let name = call.arg("name");
    call.banner(format!("Setting cluster name to {name} ..."));
    call.put(&["cluster-name"], &json!({ "name": name })).await?;
    Ok(Output::Done)
}

fn gone(was_there: bool) -> Answer {
    match was_there {
        true => Ok(Output::Done),
        false => Err(Failure::unavailable("Parameter does not exist")),
    }
}
