//! Commands: what the people who run the broker want of it.

use alloc::format;
use alloc::vec::Vec;

use super::super::refusal::{Refusal, RefusalKind};
use super::vhosts::Emptying;
use super::{Engine, VhostId};
use crate::amqp::ShortStr;
use crate::{Command, Done};

/// Connections that must go, and what they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// Those in this virtual host, which is called so.
    Vhost(VhostId, ShortStr),
    /// Those of this user.
    User(ShortStr),
}

impl Eviction {
    /// In RabbitMQ's words.
    pub(crate) fn reason(&self) -> alloc::string::String {
        match self {
            Self::Vhost(_, name) => format!("vhost '{name}' is deleted"),
            Self::User(name) => format!("user '{name}' is deleted"),
        }
    }
}

impl Engine {
    /// Begins to carry out a command; what its answer rests on is [`Engine::take_gate`], and who
    /// has to go for it [`Engine::take_evictions`]. It is through when [`Engine::go_on`] says so.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn administer(&mut self, command: Command) -> Result<Done, Refusal> {
        let done = match command {
            Command::SetPolicy { vhost, layer, policy } => self.set_policy(&vhost, layer, policy),
            Command::DeletePolicy { vhost, layer, name } => {
                self.delete_policy(&vhost, layer, &name)
            }
            Command::SetVhost { vhost, metadata } => self.set_vhost(&vhost, metadata),
            Command::DeleteVhost { vhost } => self.delete_vhost(&vhost),
            Command::SetVhostLimits { vhost, limits } => self.set_vhost_limits(&vhost, limits),
            Command::SetUser { user, change } => self.set_user(&user, change),
            Command::DeleteUser { user } => self.delete_user(&user),
            Command::SetUserLimits { user, limits } => self.set_user_limits(&user, limits),
            Command::SetPermission { vhost, user, permission } => {
                self.set_permission(&vhost, &user, permission)
            }
            Command::ClearPermission { vhost, user } => self.clear_permission(&vhost, &user),
            Command::SetTopicPermission { vhost, user, permission } => {
                self.set_topic_permission(&vhost, &user, permission)
            }
            Command::ClearTopicPermission { vhost, user, exchange } => {
                self.clear_topic_permission(&vhost, &user, exchange.as_ref())
            }
            Command::SetParameter(parameter) => self.set_parameter(parameter),
            Command::ClearParameter { vhost, component, name } => {
                self.clear_parameter(vhost.as_ref(), &component, &name)
            }
            Command::DeleteMessage { vhost, queue, message } => {
                return self.delete_message(&vhost, &queue, message);
            }
            Command::CancelDelayed { vhost, id } => return self.take_back(&vhost, id),
            Command::PauseQueue { vhost, queue, is_paused } => {
                return self.pause_queue(&vhost, &queue, is_paused);
            }
            Command::SetQueueArguments { vhost, queue, arguments } => {
                return self.set_queue_arguments(&vhost, &queue, arguments);
            }
            Command::SetNodeLimits(limits) => {
                self.node_limits = limits;
                return Ok(Done::Updated);
            }
            Command::SetResourceLimits(limits) => {
                self.set_resource_limits(limits);
                return Ok(Done::Updated);
            }
            // Connections are not the engine's.
            Command::CloseConnection { .. } => Ok(Done::Unchanged),
        }?;
        self.rest_on_topology(true);
        Ok(done)
    }

    /// Goes on with the command that was begun; whether it is through.
    pub(crate) fn go_on(&mut self) -> bool {
        self.police() && self.empty_on()
    }

    /// Who has to go for what was begun.
    pub(crate) fn take_evictions(&mut self) -> Vec<Eviction> {
        core::mem::take(&mut self.evictions)
    }

    /// The virtual host of this name.
    pub(crate) fn vhost_named(&self, name: &ShortStr) -> Result<VhostId, Refusal> {
        let missing = || {
            let text = format!("Virtual host '{name}' does not exist");
            Refusal::new(RefusalKind::NotFound, text)
        };
        self.vhost(name).ok_or_else(missing)
    }

    /// # Errors
    /// When there is no user of this name.
    pub(super) fn check_user(&self, name: &ShortStr) -> Result<(), Refusal> {
        match self.directory.user(name) {
            Some(_) => Ok(()),
            None => {
                let text = format!("User '{name}' does not exist");
                Err(Refusal::new(RefusalKind::NotFound, text))
            }
        }
    }

    /// The emptying of a virtual host that is under way, if one is.
    pub(super) fn is_emptying(&self, vhost: VhostId) -> bool {
        self.emptying.as_ref().is_some_and(|emptying: &Emptying| emptying.vhost == vhost)
    }
}
