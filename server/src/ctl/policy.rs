//! Policies of users and of operators.

use serde_json::{Value, json};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::listing::check_vhost;
use super::output::Output;
use super::table::Row;

/// Whose policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    User,
    Operator,
}

impl Layer {
    /// Where the API has them.
    fn path(self) -> &'static str {
        match self {
            Self::User => "policies",
            Self::Operator => "operator-policies",
        }
    }
}

pub(super) async fn set(call: &Call, layer: Layer) -> Answer {
    let (vhost, name) = (call.vhost(), call.arg("name"));
    let (pattern, definition) = (call.arg("pattern"), call.arg("definition"));
    let priority = call.number("priority").unwrap_or(0);
    let what = match layer {
        Layer::User => "policy",
        Layer::Operator => "operator policy override",
    };
    call.banner(format!(
        "Setting {what} \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \
         \"{priority}\" for vhost \"{vhost}\" ..."
    ));
    let body = json!({
        "pattern": pattern,
        "definition": parsed(definition)?,
        "priority": priority,
        "apply-to": call.maybe("apply-to").unwrap_or("all"),
    });
    check_vhost(call).await?;
    call.put(&[layer.path(), vhost, name], &body).await?;
    Ok(Output::Done)
}

pub(super) async fn clear(call: &Call, layer: Layer) -> Answer {
    let (vhost, name) = (call.vhost(), call.arg("name"));
    let what = if layer == Layer::User { "policy" } else { "operator policy" };
    call.banner(format!("Clearing {what} \"{name}\" on vhost \"{vhost}\" ..."));
    check_vhost(call).await?;
    match call.delete(&[layer.path(), vhost, name]).await? {
        true => Ok(Output::Done),
        false => Err(Failure::unavailable("Parameter does not exist")),
    }
}

pub(super) async fn list(call: &Call, layer: Layer) -> Answer {
    let vhost = call.vhost();
    call.banner(match layer {
        Layer::User => format!("Listing policies for vhost \"{vhost}\" ..."),
        Layer::Operator => format!("Listing operator policy overrides for vhost \"{vhost}\" ..."),
    });
    check_vhost(call).await?;
    let found = call.get(&[layer.path(), vhost]).await?;
    let mut policies: Vec<_> = found.as_array().cloned().unwrap_or_default();
    policies.sort_by_key(|policy| policy["priority"].as_i64());
    Ok(Output::Rows(policies.iter().map(row).collect()))
}

fn row(policy: &Value) -> Row {
    vec![
        ("vhost", policy["vhost"].clone()),
        ("name", policy["name"].clone()),
        ("pattern", policy["pattern"].clone()),
        ("apply-to", policy["apply-to"].clone()),
        ("definition", json!(policy["definition"].to_string())),
        ("priority", policy["priority"].clone()),
    ]
}

/// What a command line has as JSON.
///
/// # Errors
/// When it is none.
pub(super) fn parsed(text: &str) -> Result<Value, Failure> {
    let parsed = serde_json::from_str(text);
    let wrong = |error| Failure::unavailable(format!("Could not parse JSON document: {error}"));
    parsed.map_err(wrong)
}
