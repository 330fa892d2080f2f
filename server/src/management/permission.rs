//! Permissions in virtual hosts, and at their topic exchanges.

use serde_json::{Value, json};
use warren_core::Command;
use warren_core::broker::{Permission, TopicPermission, UserPermission, UserTopicPermission};

use super::call::{Answer, Call, Failure, Object, short};
use super::page::{self, Ready};
use super::reading;

pub(super) async fn list(call: Call) -> Answer {
    let all = reading::permissions(&call.state.broker).await;
    page::list(&call, all.into_iter().map(row).collect())
}

/// Those in the virtual host that the path names.
pub(super) async fn list_of_vhost(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let all = reading::permissions(&call.state.broker).await.into_iter();
    page::list(&call, all.filter(|one| one.vhost == vhost).map(row).collect())
}

pub(super) async fn one(call: Call) -> Answer {
    let (vhost, user) = (call.vhost().await?, call.name("user")?);
    let all = reading::permissions(&call.state.broker).await.into_iter();
    let mut found = all.filter(|one| one.vhost == vhost && one.user == user);
    page::one(&call, row(found.next().ok_or_else(Failure::no_object)?).json)
}

pub(super) async fn set(call: Call) -> Answer {
    let (vhost, user) = (call.vhost().await?, call.name("user")?);
    let permission = read(&call.object()?)?;
    let command = Command::SetPermission { vhost, user, permission };
    Ok(call.state.broker.command(command).await?.into())
}

/// What an object allows.
///
/// # Errors
/// When it does not say that.
pub(super) fn read(object: &Object) -> Result<Permission, Failure> {
    let text = |key: &str| object.text(key).map(str::to_owned);
    Ok(Permission { configure: text("configure")?, write: text("write")?, read: text("read")? })
}

pub(super) async fn clear(call: Call) -> Answer {
    let (vhost, user) = (call.vhost().await?, call.name("user")?);
    Ok(call.state.broker.command(Command::ClearPermission { vhost, user }).await?.into())
}

pub(super) async fn list_topic(call: Call) -> Answer {
    let all = reading::topic_permissions(&call.state.broker).await;
    page::list(&call, all.into_iter().map(topic_row).collect())
}

/// Those in the virtual host that the path names.
pub(super) async fn list_topic_of_vhost(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let all = reading::topic_permissions(&call.state.broker).await.into_iter();
    page::list(&call, all.filter(|one| one.vhost == vhost).map(topic_row).collect())
}

/// Those of a user in a virtual host.
pub(super) async fn list_topic_of_user(call: Call) -> Answer {
    let (vhost, user) = (call.vhost().await?, call.name("user")?);
    let all = reading::topic_permissions(&call.state.broker).await.into_iter();
    let own = all.filter(|one| one.vhost == vhost && one.user == user);
    page::list(&call, own.map(topic_row).collect())
}

pub(super) async fn set_topic(call: Call) -> Answer {
    let (vhost, user) = (call.vhost().await?, call.name("user")?);
    let permission = read_topic(&call.object()?)?;
    let command = Command::SetTopicPermission { vhost, user, permission };
    Ok(call.state.broker.command(command).await?.into())
}

/// What an object allows at a topic exchange.
///
/// # Errors
/// When it does not say that.
pub(super) fn read_topic(object: &Object) -> Result<TopicPermission, Failure> {
    let exchange = short(object.text("exchange")?)?;
    let text = |key: &str| object.text(key).map(str::to_owned);
    Ok(TopicPermission { exchange, write: text("write")?, read: text("read")? })
}

pub(super) async fn clear_topic(call: Call) -> Answer {
    let (vhost, user) = (call.vhost().await?, call.name("user")?);
    let exchange = match call.param("exchange") {
        Some(_) => Some(call.name("exchange")?),
        None => None,
    };
    let command = Command::ClearTopicPermission { vhost, user, exchange };
    Ok(call.state.broker.command(command).await?.into())
}

/// A permission in a list.
pub(super) fn row(one: UserPermission) -> Ready {
    let UserPermission { vhost, user, permission: Permission { configure, write, read } } = one;
    let json: Value = json!({
        "user": user.to_text(),
        "vhost": vhost.to_text(),
        "configure": configure,
        "write": write,
        "read": read,
    });
    Ready { vhost, name: user, json }
}

/// A permission at a topic exchange in a list.
pub(super) fn topic_row(one: UserTopicPermission) -> Ready {
    let UserTopicPermission { vhost, user, permission } = one;
    let TopicPermission { exchange, write, read } = permission;
    let json = json!({
        "user": user.to_text(),
        "vhost": vhost.to_text(),
        "exchange": exchange.to_text(),
        "write": write,
        "read": read,
    });
    Ready { vhost, name: user, json }
}
