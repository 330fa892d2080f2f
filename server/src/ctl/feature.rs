//! RabbitMQ's switches for what came with its versions: tools and scripts ask for them.

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::listing::chosen;
use super::output::Output;

/// What is known of each.
const COLUMNS: [&str; 6] = ["name", "state", "stability", "provided_by", "desc", "doc_url"];

pub(super) async fn list(call: &Call) -> Answer {
    let find = |name: &str| COLUMNS.into_iter().find(|known| *known == name);
    let columns = chosen(&call.all("column"), &["name", "state"], find)?;
    call.banner("Listing feature flags ...");
    Ok(super::permission::rows(&call.get(&["feature-flags"]).await?, &columns))
}

pub(super) async fn enable(call: &Call) -> Answer {
    let wanted = call.arg("feature_flag");
    call.banner(match wanted {
        "all" => "Enabling all feature flags ...".to_owned(),
        name => format!("Enabling feature flag \"{name}\" ..."),
    });
    let flags = call.get(&["feature-flags"]).await?;
    let is_known =
        |name: &str| flags.as_array().into_iter().flatten().any(|flag| flag["name"] == name);
    if wanted == "all" || is_known(wanted) {
        return Ok(Output::Done);
    }
    let node = call.node().await?;
    Err(Failure::conflict(format!("This feature flag is not supported by node {node}")))
}

pub(super) async fn list_deprecated(call: &Call) -> Answer {
    call.banner("Listing deprecated features ...");
    let columns = ["name", "deprecation_phase", "provided_by", "desc", "doc_url"];
    let find = |name: &str| columns.into_iter().find(|known| *known == name);
    chosen(&call.all("column"), &["name"], find)?;
    call.node().await?;
    Ok(Output::Rows(Vec::new()))
}
