//! What a virtual host has from its beginning: this is the one place where it gets that, whoever
//! makes it.

use tracing::info;
use warren_core::Command;
use warren_core::amqp::ShortStr;
use warren_core::broker::{PasswordHash, PolicyLayer, UserChange};

use super::State;
use super::call::Failure;
use super::user;
use crate::vhost_defaults::Member;

/// Adds to a virtual host that was just made what the configuration says that new ones have.
///
/// # Errors
/// When the broker refuses any of it, which then ends with what came before.
pub(super) async fn begin(state: &State, vhost: &ShortStr) -> Result<(), Failure> {
    let defaults = &state.node.vhost_defaults;
    if defaults.is_empty() {
        return Ok(());
    }
    let name = vhost.to_text();
    if let Some(limits) = defaults.limits(&name) {
        state.broker.command(Command::SetVhostLimits { vhost: vhost.clone(), limits }).await?;
        info!(vhost = %name, ?limits, "a new virtual host has limits by default");
    }
    for policy in defaults.policies(&name).map_err(Failure::bad_request)? {
        let (layer, policy_name) = (PolicyLayer::Operator, policy.name.clone());
        let command = Command::SetPolicy { vhost: vhost.clone(), layer, policy };
        state.broker.command(command).await?;
        info!(vhost = %name, policy = %policy_name, "a new virtual host has a policy by default");
    }
    for (user, member) in defaults.users(&name).map_err(Failure::bad_request)? {
        make(state, &user, member).await?;
        let permission = member.permission();
        let command =
            Command::SetPermission { vhost: vhost.clone(), user: user.clone(), permission };
        state.broker.command(command).await?;
        info!(vhost = %name, %user, "a new virtual host has a user by default");
    }
    Ok(())
}

/// Makes a user, unless there is one of the name: that one keeps password and tags.
async fn make(state: &State, name: &ShortStr, member: &Member) -> Result<(), Failure> {
    let wanted = name.clone();
    if state.broker.look(move |broker| broker.user(&wanted).is_some()).await {
        return Ok(());
    }
    let password_hash = match &member.password {
        Some(password) => user::hash(state, password.as_bytes().to_vec()).await?,
        None => {
            let algorithm = state.users.passwords().algorithm;
            PasswordHash { algorithm, bytes: <_>::default() }
        }
    };
    let tags = Some(member.tags.clone());
    let change = UserChange { password_hash: Some(password_hash), tags };
    state.broker.command(Command::SetUser { user: name.clone(), change }).await?;
    Ok(())
}
