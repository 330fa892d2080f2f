//! Virtual hosts.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;

/// Options, and what they are called in the API.
const METADATA: [(&str, &str); 3] = [
    ("description", "description"),
    ("tags", "tags"),
    ("default-queue-type", "default_queue_type"),
];

pub(super) async fn add(call: &Call) -> Answer {
    let vhost = call.arg("vhost");
    call.banner(format!("Adding vhost \"{vhost}\" ..."));
    // One that is there stays as it is.
    if call.find(&["vhosts", vhost]).await?.is_none() {
        call.put(&["vhosts", vhost], &metadata(call)?).await?;
    }
    Ok(Output::Done)
}

pub(super) async fn update(call: &Call) -> Answer {
    let vhost = call.arg("vhost");
    let metadata = metadata(call)?;
    let protected = match call.maybe("protected-from-deletion") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(Failure::argument(format!("`{other}` is not true or false"))),
    };
    if metadata.as_object().is_none_or(Map::is_empty) && protected.is_none() {
        return Err(Failure::usage("Error (argument validation): not enough arguments."));
    }
    call.banner(format!("Updating metadata of vhost \"{vhost}\" ..."));
    check(call, vhost).await?;
    call.put(&["vhosts", vhost], &metadata).await?;
    match protected {
        Some(protected) => set_protection(call, vhost, protected).await,
        None => Ok(Output::Done),
    }
}

/// What options say of a virtual host.
fn metadata(call: &Call) -> Result<Value, Failure> {
    let mut metadata = json!({});
    for (option, key) in METADATA {
        if let Some(value) = call.maybe(option) {
            metadata[key] = json!(value);
        }
    }
    match call.maybe("default-queue-type") {
        None | Some("classic" | "quorum") => Ok(metadata),
        Some(other) => Err(Failure::conflict(format!("Unsupported default queue type: {other}"))),
    }
}

pub(super) async fn set_tags(call: &Call) -> Answer {
    let (vhost, tags) = (call.arg("vhost"), call.all("tag"));
    call.banner(format!("Setting tags for virtual host \"{vhost}\" to [{}] ...", tags.join(", ")));
    check(call, vhost).await?;
    call.put(&["vhosts", vhost], &json!({ "tags": tags })).await?;
    Ok(Output::Done)
}

pub(super) async fn delete(call: &Call) -> Answer {
    let vhost = call.arg("vhost");
    call.banner(format!("Deleting vhost \"{vhost}\" ..."));
    match call.find(&["vhosts", vhost]).await? {
        None => Err(Failure::no_vhost(vhost)),
        Some(found) if found["protected_from_deletion"] == true => Err(Failure::data(
            "Cannot delete this virtual host: it is protected from deletion. To lift the \
             protection, inspect and update its metadata",
        )),
        Some(_) => call.delete(&["vhosts", vhost]).await.map(|_| Output::Done),
    }
}

pub(super) async fn protect(call: &Call, protected: bool) -> Answer {
    let vhost = call.arg("vhost");
    call.banner(match protected {
        true => {
            format!("Protecting virtual host \"{vhost}\" from removal by updating its metadata...")
        }
        false => format!(
            "Removing deletion protection from virtual host \"{vhost}\" by updating its metadata..."
        ),
    });
    check(call, vhost).await?;
    set_protection(call, vhost, protected).await
}

async fn set_protection(call: &Call, vhost: &str, protected: bool) -> Answer {
    let path = ["vhosts", vhost, "deletion", "protection"];
    match protected {
        true => call.post(&path, Vec::new()).await?,
        false => call.delete(&path).await.map(drop)?,
    }
    Ok(Output::Done)
}

/// # Errors
/// When there is no such virtual host.
async fn check(call: &Call, vhost: &str) -> Result<(), Failure> {
    match call.find(&["vhosts", vhost]).await? {
        Some(_) => Ok(()),
        None => Err(Failure::no_vhost(vhost)),
    }
}

/// Virtual hosts do not fail one by one: each that is there runs.
pub(super) async fn restart(call: &Call) -> Answer {
    let (vhost, node) = (call.vhost(), call.node().await?);
    call.banner(format!("Trying to restart vhost '{vhost}' on node '{node}' ..."));
    check(call, vhost).await?;
    Ok(Output::Text(format!("Vhost '{vhost}' is already running on node '{node}'")))
}

pub(super) async fn reconcile(call: &Call) -> Answer {
    call.banner(
        "Will try to initiate virtual host reconciliation on all reachable cluster nodes...",
    );
    call.node().await?;
    Ok(Output::Done)
}
