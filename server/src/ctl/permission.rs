//! Permissions in virtual hosts, and at their topic exchanges.

use serde_json::{Value, json};

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::listing;
use super::output::Output;
use super::user;

pub(super) async fn set(call: &Call) -> Answer {
    let (user, vhost) = (call.arg("username"), call.vhost());
    call.banner(format!("Setting permissions for user \"{user}\" in vhost \"{vhost}\" ..."));
    check(call, user, vhost).await?;
    call.put(&["permissions", vhost, user], &given(call)).await?;
    Ok(Output::Done)
}

pub(super) async fn set_everywhere(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Setting permissions for user \"{user}\" in all virtual hosts ..."));
    check_user(call, user).await?;
    let vhosts = call.get(&["vhosts"]).await?;
    for vhost in vhosts.as_array().into_iter().flatten() {
        let vhost = vhost["name"].as_str().unwrap_or_default();
        call.put(&["permissions", vhost, user], &given(call)).await?;
    }
    Ok(Output::Done)
}

fn given(call: &Call) -> Value {
    json!({
        "configure": call.arg("conf"),
        "write": call.arg("write"),
        "read": call.arg("read"),
    })
}

pub(super) async fn clear(call: &Call) -> Answer {
    let (user, vhost) = (call.arg("username"), call.vhost());
    call.banner(format!("Clearing permissions for user \"{user}\" in vhost \"{vhost}\" ..."));
    check(call, user, vhost).await?;
    call.delete(&["permissions", vhost, user]).await?;
    Ok(Output::Done)
}

pub(super) async fn list(call: &Call) -> Answer {
    let vhost = call.vhost();
    call.banner(format!("Listing permissions for vhost \"{vhost}\" ..."));
    listing::check_vhost(call).await?;
    let found = call.get(&["vhosts", vhost, "permissions"]).await?;
    Ok(rows(&found, &["user", "configure", "write", "read"]))
}

pub(super) async fn list_of_user(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Listing permissions for user \"{user}\" ..."));
    let found = call.find(&["users", user, "permissions"]).await?;
    let found = found.ok_or_else(|| user::missing(user))?;
    Ok(rows(&found, &["vhost", "configure", "write", "read"]))
}

pub(super) async fn set_topic(call: &Call) -> Answer {
    let (user, vhost, exchange) = (call.arg("username"), call.vhost(), call.arg("exchange"));
    call.banner(format!(
        "Setting topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
    ));
    check(call, user, vhost).await?;
    let path = ["exchanges", vhost, exchange];
    if call.find(&path).await?.is_none() {
        return Err(Failure::data(format!("Exchange '{exchange}' does not exist")));
    }
    let body = json!({
        "exchange": exchange,
        "write": call.arg("write"),
        "read": call.arg("read"),
    });
    call.put(&["topic-permissions", vhost, user], &body).await?;
    Ok(Output::Done)
}

pub(super) async fn clear_topic(call: &Call) -> Answer {
    let (user, vhost, exchange) = (call.arg("username"), call.vhost(), call.maybe("exchange"));
    let mut path = vec!["topic-permissions", vhost, user];
    match exchange {
        None => call.banner(format!(
            "Clearing topic permissions for user \"{user}\" in vhost \"{vhost}\" ..."
        )),
        Some(exchange) => {
            call.banner(format!(
                "Clearing topic permissions on \"{exchange}\" for user \"{user}\" in vhost \
                 \"{vhost}\" ..."
            ));
            path.push(exchange);
        }
    }
    check(call, user, vhost).await?;
    call.delete(&path).await?;
    Ok(Output::Done)
}

pub(super) async fn list_topic(call: &Call) -> Answer {
    let vhost = call.vhost();
    call.banner(format!("Listing topic permissions for vhost \"{vhost}\" ..."));
    listing::check_vhost(call).await?;
    let found = call.get(&["vhosts", vhost, "topic-permissions"]).await?;
    Ok(rows(&found, &["user", "exchange", "write", "read"]))
}

pub(super) async fn list_topic_of_user(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Listing topic permissions for user \"{user}\" ..."));
    let found = call.find(&["users", user, "topic-permissions"]).await?;
    let found = found.ok_or_else(|| user::missing(user))?;
    Ok(rows(&found, &["vhost", "exchange", "write", "read"]))
}

/// Objects as a table of these columns.
pub(super) fn rows(found: &Value, columns: &[&'static str]) -> Output {
    let row = |object: &Value| columns.iter().map(|name| (*name, object[*name].clone())).collect();
    Output::Rows(found.as_array().into_iter().flatten().map(row).collect())
}

/// # Errors
/// When one of the two is not there.
async fn check(call: &Call, user: &str, vhost: &str) -> Result<(), Failure> {
    check_user(call, user).await?;
    match call.find(&["vhosts", vhost]).await? {
        Some(_) => Ok(()),
        None => Err(Failure::unavailable(format!("Virtual host {vhost} does not exist"))),
    }
}

async fn check_user(call: &Call, user: &str) -> Result<(), Failure> {
    let found = call.find(&["users", user]).await?;
    let missing = || Failure::no_user(format!("User {user} does not exist"));
    found.map(drop).ok_or_else(missing)
}
