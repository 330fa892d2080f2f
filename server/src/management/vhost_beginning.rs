//! What a virtual host has from its beginning: this is the one place where it gets that, whoever
//! makes it. It is made and gets all of it in one turn of the broker, which is one batch of the
//! log: no crash leaves one that has less.

use tracing::info;
use warren_core::amqp::ShortStr;
use warren_core::broker::{PasswordHash, Permission, PolicyLayer, UserChange};
use warren_core::{Broker, Command};
use warren_io::{Commanded, Turn};

use super::State;
use super::call::Failure;
use super::user;
use crate::vhost_defaults::Member;

/// What the configuration says that a new virtual host has, and what else it gets.
#[derive(Default)]
pub(super) struct Beginning {
    commands: Vec<Command>,
    /// What is told when it is there.
    told: Vec<String>,
}

impl Beginning {
    /// What the configuration says of a new virtual host of this name.
    ///
    /// # Errors
    /// When there cannot be any of it.
    pub(super) async fn of(state: &State, vhost: &ShortStr) -> Result<Self, Failure> {
        let defaults = &state.node.vhost_defaults;
        let mut beginning = Self::default();
        if defaults.is_empty() {
            return Ok(beginning);
        }
        let name = vhost.to_text();
        if let Some(limits) = defaults.limits(&name) {
            beginning.commands.push(Command::SetVhostLimits { vhost: vhost.clone(), limits });
            beginning.told.push(format!("{limits:?}"));
        }
        for policy in defaults.policies(&name).map_err(Failure::bad_request)? {
            beginning.told.push(format!("the operator's policy {}", policy.name));
            let (vhost, layer) = (vhost.clone(), PolicyLayer::Operator);
            beginning.commands.push(Command::SetPolicy { vhost, layer, policy });
        }
        for (user, member) in defaults.users(&name).map_err(Failure::bad_request)? {
            beginning.told.push(format!("the user {user}"));
            beginning.commands.extend(made(state, &user, member).await?);
            beginning.let_in(vhost, user, member.permission());
        }
        Ok(beginning)
    }

    /// And this user may do this in it.
    pub(super) fn let_in(&mut self, vhost: &ShortStr, user: ShortStr, permission: Permission) {
        let vhost = vhost.clone();
        self.commands.push(Command::SetPermission { vhost, user, permission });
    }

    /// Adds all of it, in the turn in which the virtual host was made.
    pub(super) fn add(self, turn: &mut Turn<'_>) -> Added {
        let mut commanded = Vec::new();
        for command in self.commands {
            // Who is there keeps password and tags.
            let is_there = |user| turn.broker().user(user).is_some();
            if !matches!(&command, Command::SetUser { user, .. } if is_there(user)) {
                commanded.push(turn.command(command));
            }
        }
        Added { commanded, told: self.told }
    }
}

/// A beginning that was added.
#[derive(Default)]
pub(super) struct Added {
    commanded: Vec<Commanded>,
    told: Vec<String>,
}

impl Added {
    /// Waits until all of it is durable.
    ///
    /// # Errors
    /// When the broker refused any of it.
    pub(super) async fn wait(self, vhost: &ShortStr) -> Result<(), Failure> {
        for commanded in self.commanded {
            commanded.answer().await?;
        }
        for what in self.told {
            info!(%vhost, "a new virtual host has by default: {what}");
        }
        Ok(())
    }
}

/// Adds to a virtual host that the start made what the configuration says that new ones have.
///
/// # Errors
/// When the broker refuses any of it.
pub(super) async fn begin(state: &State, vhost: &ShortStr) -> Result<(), Failure> {
    let beginning = Beginning::of(state, vhost).await?;
    state.broker.act(move |turn| beginning.add(turn)).await.wait(vhost).await
}

/// Whether there is a virtual host of this name.
pub(super) fn is_there(broker: &Broker, vhost: &ShortStr) -> bool {
    broker.vhosts(None).any(|status| status.vhost.name == *vhost)
}

/// What makes a user, unless there is one of the name already.
async fn made(state: &State, name: &ShortStr, member: &Member) -> Result<Option<Command>, Failure> {
    let wanted = name.clone();
    if state.broker.look(move |broker| broker.user(&wanted).is_some()).await {
        return Ok(None);
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
    Ok(Some(Command::SetUser { user: name.clone(), change }))
}
