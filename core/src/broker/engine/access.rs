//! Who may do what: users and permissions come and go, and everybody who wants something is held
//! against them.
//!
//! The default exchange goes by the name `amq.default` here, as in RabbitMQ.
//!
//! That permissions changed counts as a change of the topology: what channels remember of where
//! they may publish ends with it.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::access::{
    Directory, Parameter, PasswordHash, Permission, Right, Rules, TAGS_MAX, TopicPermission,
    TopicRules, User, UserChange, UserLimits, UserPermission, UserTopicPermission, behind,
};
use super::super::exchange::ExchangeKind;
use super::super::refusal::{Refusal, RefusalKind, Resource};
use super::commands::Eviction;
use super::{Engine, VhostId};
use crate::amqp::ShortStr;
use crate::log::{AccessState, Fact};
use crate::{Done, Mark};

/// Who wants something, and in which virtual host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant<'a> {
    pub(crate) user: &'a ShortStr,
    pub(crate) vhost: VhostId,
    /// Whether nothing is refused, see [`Peer::is_operator`](crate::Peer::is_operator).
    pub(crate) is_operator: bool,
}

impl Engine {
    /// Who there is, and what each may.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn set_user(
        &mut self,
        name: &ShortStr,
        change: UserChange,
    ) -> Result<Done, Refusal> {
        if name.is_empty() {
            return Err(Refusal::precondition("a user needs a name"));
        }
        if change.tags.as_ref().is_some_and(|tags| tags.len() > TAGS_MAX) {
            return Err(Refusal::precondition(format!("a user has up to {TAGS_MAX} tags")));
        }
        let before = self.directory.user(name).cloned();
        let mut user = before.clone().unwrap_or_else(|| User {
            name: name.detached(),
            password_hash: PasswordHash::NONE,
            tags: Vec::new(),
            limits: UserLimits::default(),
        });
        user.password_hash = change.password_hash.unwrap_or(user.password_hash);
        user.tags = change.tags.unwrap_or(user.tags);
        Ok(self.put_user(before.as_ref(), user))
    }

    pub(super) fn set_user_limits(
        &mut self,
        name: &ShortStr,
        limits: UserLimits,
    ) -> Result<Done, Refusal> {
        self.check_user(name)?;
        let before = self.directory.user(name).cloned();
        Ok(match before.clone() {
            Some(user) => self.put_user(before.as_ref(), User { limits, ..user }),
            None => Done::Unchanged,
        })
    }

    fn put_user(&mut self, before: Option<&User>, user: User) -> Done {
        if before != Some(&user) {
            self.log.note_topology(Fact::UserSet(user.clone()));
            self.directory.set_user(user);
            self.topology_version += 1;
        }
        if before.is_some() { Done::Updated } else { Done::Created }
    }

    pub(super) fn delete_user(&mut self, name: &ShortStr) -> Result<Done, Refusal> {
        self.check_user(name)?;
        self.log.note_topology(Fact::UserDeleted(name.clone()));
        self.directory.remove_user(name);
        self.topology_version += 1;
        self.evictions.push(Eviction::User(name.clone()));
        Ok(Done::Deleted)
    }

    pub(super) fn set_permission(
        &mut self,
        vhost: &ShortStr,
        user: &ShortStr,
        permission: Permission,
    ) -> Result<Done, Refusal> {
        let rules = Rules::new(permission)?;
        let (vhost, user) = self.known_pair(vhost, user)?;
        let before = self.directory.rules(&vhost, &user);
        let is_new = before.is_none();
        if before.is_none_or(|before| before.permission != rules.permission) {
            let set = UserPermission {
                vhost: vhost.clone(),
                user: user.clone(),
                permission: rules.permission.clone(),
            };
            self.log.note_topology(Fact::PermissionSet(set));
            self.directory.set_permission(vhost, user, rules);
            self.topology_version += 1;
        }
        Ok(if is_new { Done::Created } else { Done::Updated })
    }

    pub(super) fn clear_permission(
        &mut self,
        vhost: &ShortStr,
        user: &ShortStr,
    ) -> Result<Done, Refusal> {
        let (vhost, user) = self.known_pair(vhost, user)?;
        if !self.directory.clear_permission(&vhost, &user) {
            return Ok(Done::Unchanged);
        }
        self.log.note_topology(Fact::PermissionCleared(vhost, user));
        self.topology_version += 1;
        Ok(Done::Deleted)
    }

    pub(super) fn set_topic_permission(
        &mut self,
        vhost: &ShortStr,
        user: &ShortStr,
        permission: TopicPermission,
    ) -> Result<Done, Refusal> {
        let rules = TopicRules::new(vhost, user, permission)?;
        let (vhost, user) = self.known_pair(vhost, user)?;
        let exchange = &rules.permission.exchange;
        let host = self.vhost(&vhost).map(|id| self.host(id));
        if !host.is_some_and(|host| host.exchanges.contains_key(exchange)) {
            let text = format!("Exchange '{exchange}' does not exist");
            return Err(Refusal::new(RefusalKind::NotFound, text));
        }
        let before = self.directory.topic_rules((&vhost, &user), exchange);
        let is_new = before.is_none();
        if before.is_none_or(|before| before.permission != rules.permission) {
            let set = UserTopicPermission {
                vhost: vhost.clone(),
                user: user.clone(),
                permission: rules.permission.clone(),
            };
            self.log.note_topology(Fact::TopicPermissionSet(set));
            self.directory.set_topic_permission(vhost, user, rules);
            self.topology_version += 1;
        }
        Ok(if is_new { Done::Created } else { Done::Updated })
    }

    pub(super) fn clear_topic_permission(
        &mut self,
        vhost: &ShortStr,
        user: &ShortStr,
        exchange: Option<&ShortStr>,
    ) -> Result<Done, Refusal> {
        let (vhost, user) = self.known_pair(vhost, user)?;
        if !self.directory.clear_topic_permission(&vhost, &user, exchange) {
            return Ok(Done::Unchanged);
        }
        self.log.note_topology(Fact::TopicPermissionCleared(vhost, user, exchange.cloned()));
        self.topology_version += 1;
        Ok(Done::Deleted)
    }

    pub(super) fn set_parameter(&mut self, parameter: Parameter) -> Result<Done, Refusal> {
        let Parameter { vhost, component, name, value } = parameter;
        let (component, name) = (component.detached(), name.detached());
        let value = Bytes::copy_from_slice(&value);
        let all = self.parameters_of(vhost.as_ref())?;
        let before = all.insert((component.clone(), name.clone()), value.clone());
        if before.as_ref() != Some(&value) {
            let parameter = Parameter { vhost, component, name, value };
            self.log.note_topology(Fact::ParameterSet(parameter));
        }
        Ok(if before.is_none() { Done::Created } else { Done::Updated })
    }

    pub(super) fn clear_parameter(
        &mut self,
        vhost: Option<&ShortStr>,
        component: &ShortStr,
        name: &ShortStr,
    ) -> Result<Done, Refusal> {
        let all = self.parameters_of(vhost)?;
        if all.remove(&(component.clone(), name.clone())).is_none() {
            return Err(Refusal::new(RefusalKind::NotFound, "Parameter does not exist"));
        }
        let fact = Fact::ParameterCleared(vhost.cloned(), component.clone(), name.clone());
        self.log.note_topology(fact);
        Ok(Done::Deleted)
    }

    fn parameters_of(
        &mut self,
        vhost: Option<&ShortStr>,
    ) -> Result<&mut super::Parameters, Refusal> {
        match vhost {
            None => Ok(&mut self.parameters),
            Some(name) => {
                let id = self.vhost_named(name)?;
                Ok(&mut self.host_mut(id).parameters)
            }
        }
    }

    /// The parameters of a virtual host, or those of the whole broker, by component and name.
    pub(crate) fn parameters(
        &self,
        vhost: Option<&ShortStr>,
        after: Option<&(ShortStr, ShortStr)>,
    ) -> impl Iterator<Item = Parameter> {
        let all = match vhost {
            None => Some(&self.parameters),
            Some(name) => self.vhost(name).map(|id| &self.host(id).parameters),
        };
        let behind = all.into_iter().flat_map(move |all| behind(all, after));
        behind.map(move |((component, name), value)| Parameter {
            vhost: vhost.cloned(),
            component: component.clone(),
            name: name.clone(),
            value: value.clone(),
        })
    }

    /// Names of a virtual host and a user who are there, in memory of their own.
    fn known_pair(
        &self,
        vhost: &ShortStr,
        user: &ShortStr,
    ) -> Result<(ShortStr, ShortStr), Refusal> {
        // RabbitMQ looks for the user first.
        self.check_user(user)?;
        self.vhost_named(vhost)?;
        Ok((vhost.detached(), user.detached()))
    }

    /// What a start found.
    pub(super) fn restore_access(&mut self, state: AccessState) {
        let AccessState { vhosts, users, permissions, topic_permissions, .. } = state;
        self.made_vhosts = state.made_vhosts;
        vhosts.into_values().for_each(|vhost| self.add_vhost(vhost));
        for user in users.into_values() {
            self.directory.set_user(user);
        }
        for set in permissions.into_values() {
            self.directory.set_permission(set.vhost, set.user, Rules::kept(set.permission));
        }
        for set in topic_permissions.into_values() {
            let rules = TopicRules::kept(&set.vhost, &set.user, set.permission);
            self.directory.set_topic_permission(set.vhost, set.user, rules);
        }
        for Parameter { vhost, component, name, value } in state.parameters.into_values() {
            let all = self.parameters_of(vhost.as_ref()).expect("a known virtual host");
            all.insert((component, name), value);
        }
    }

    /// What a checkpoint has of it.
    pub(super) fn add_access_facts(&self, facts: &mut Vec<Fact>) {
        facts.extend(self.living_vhosts().map(|host| Fact::VhostSet(host.record())));
        facts.extend(self.directory.users(None).cloned().map(Fact::UserSet));
        facts.extend(self.directory.permissions(None).map(Fact::PermissionSet));
        facts.extend(self.directory.topic_permissions(None).map(Fact::TopicPermissionSet));
        facts.extend(self.parameters(None, None).map(Fact::ParameterSet));
        for host in self.living_vhosts() {
            let parameters = self.parameters(Some(&host.name), None);
            facts.extend(parameters.map(Fact::ParameterSet));
        }
    }

    /// # Errors
    /// When the claimant may not do this to what is called so.
    pub(super) fn check_right(
        &self,
        who: Claimant<'_>,
        right: Right,
        kind: &'static str,
        name: &ShortStr,
    ) -> Result<(), Refusal> {
        let vhost = self.vhost_name(who.vhost);
        let default = ShortStr::from_static("amq.default");
        let is_default = kind == "exchange" && name.is_empty();
        let name = if is_default { &default } else { name };
        if who.is_operator || self.directory.allows((vhost, who.user), right, name) {
            return Ok(());
        }
        self.mark(match right {
            Right::Configure => Mark::ConfigureRefused,
            Right::Write => Mark::WriteRefused,
            Right::Read => Mark::ReadRefused,
        });
        Err(Refusal::no_right(right, &Resource { kind, name, vhost }, who.user))
    }

    /// # Errors
    /// When the claimant may do nothing at all to what is called so.
    pub(super) fn check_any_right(
        &self,
        who: Claimant<'_>,
        kind: &'static str,
        name: &ShortStr,
    ) -> Result<(), Refusal> {
        let vhost = self.vhost_name(who.vhost);
        let allows = |right| self.directory.allows((vhost, who.user), right, name);
        if allows(Right::Read) || allows(Right::Write) {
            return Ok(());
        }
        self.check_right(who, Right::Configure, kind, name)
    }

    /// Whether what the claimant may do at the exchange may depend on the routing key.
    pub(crate) fn has_topic_rules(&self, who: Claimant<'_>, exchange: &ShortStr) -> bool {
        let pair = (&self.host(who.vhost).name, who.user);
        self.directory.topic_rules(pair, exchange).is_some()
    }

    /// # Errors
    /// When the claimant may not do this with one of these keys at the exchange, if it is one of
    /// topics.
    pub(crate) fn check_topics<'a>(
        &self,
        who: Claimant<'_>,
        right: Right,
        exchange: &ShortStr,
        keys: impl IntoIterator<Item = &'a ShortStr>,
    ) -> Result<(), Refusal> {
        let host = self.host(who.vhost);
        let Some(rules) = self.directory.topic_rules((&host.name, who.user), exchange) else {
            return Ok(());
        };
        let is_topic = |exchange: &super::Exchange| {
            exchange.kind == ExchangeKind::Topic && exchange.type_name() == "topic"
        };
        if who.is_operator || !host.exchanges.get(exchange).is_some_and(is_topic) {
            return Ok(());
        }
        let refused = keys.into_iter().find(|key| !rules.allow(right, key.as_bytes()));
        let Some(key) = refused else { return Ok(()) };
        self.mark(Mark::TopicRefused);
        let resource = Resource { kind: "topic", name: exchange, vhost: &host.name };
        let (name, user) = (right.name(), who.user);
        let text = format!(
            "{name} access to topic '{key}' in exchange {resource} refused for user '{user}'"
        );
        Err(Refusal::new(RefusalKind::AccessRefused, text))
    }

    /// A client wants to work in a virtual host; from here on it counts as one of its connections
    /// and of the user's, until [`Self::leave`]. An operator's may always: limits are no reason to
    /// be locked out.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn enter(
        &mut self,
        user: &ShortStr,
        vhost: &ShortStr,
        is_operator: bool,
    ) -> Result<VhostId, Refusal> {
        let id = match self.vhost(vhost).filter(|_| is_operator) {
            Some(id) => {
                self.mark(Mark::OperatorEntered);
                id
            }
            None => self.check_admission(user, vhost)?,
        };
        self.entered += 1;
        self.host_mut(id).connections += 1;
        self.directory.count_connection(user, true);
        Ok(id)
    }

    fn check_admission(&self, user: &ShortStr, vhost: &ShortStr) -> Result<VhostId, Refusal> {
        let refuse = |text| Err(Refusal::new(RefusalKind::NotAllowed, text));
        let most = self.node_limits.connections;
        if let Some(limit) = most.filter(|most| self.entered >= u64::from(*most)) {
            return refuse(format!(
                "connection refused: node connection limit ({limit}) is reached"
            ));
        }
        let Some(id) = self.vhost(vhost) else {
            return refuse(format!("vhost {vhost} not found"));
        };
        let host = self.host(id);
        if let Some(limit) = host.limits.max_connections.filter(|most| host.connections >= *most) {
            self.mark(Mark::VhostConnectionLimit);
            return refuse(format!(
                "access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) \
                 is reached"
            ));
        }
        if let Some(limit) = self.directory.connection_limit_reached(user) {
            self.mark(Mark::UserConnectionLimit);
            return refuse(format!(
                "connection refused for user '{user}': user connection limit ({limit}) is reached"
            ));
        }
        self.check_entry(Claimant { user, vhost: id, is_operator: false })?;
        Ok(id)
    }

    /// # Errors
    /// When a user may do nothing in a virtual host.
    pub(crate) fn check_entry(&self, who: Claimant<'_>) -> Result<(), Refusal> {
        let (name, user) = (self.vhost_name(who.vhost), who.user);
        if who.is_operator || self.directory.rules(name, user).is_some() {
            return Ok(());
        }
        self.mark(Mark::VhostRefused);
        let text = format!("access to vhost '{name}' refused for user '{user}'");
        Err(Refusal::new(RefusalKind::NotAllowed, text))
    }

    /// How many clients have entered a virtual host.
    pub(crate) fn admitted(&self) -> u64 {
        self.entered
    }

    /// A client that had entered is gone.
    pub(crate) fn leave(&mut self, user: &ShortStr, vhost: VhostId) {
        self.entered -= 1;
        if let Some(host) = self.vhosts.get_mut(&vhost) {
            host.connections -= 1;
        }
        self.directory.count_connection(user, false);
    }

    /// A user opens a channel; it counts until [`Self::forget_channel`].
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub(crate) fn count_channel(&mut self, user: &ShortStr) -> Result<(), Refusal> {
        let most = self.node_limits.channels;
        if let Some(limit) = most.filter(|most| self.sessions.len() >= *most as usize) {
            let text = format!(
                "number of channels opened on node '{}' has reached the maximum allowed limit of \
                 ({limit})",
                self.limits.node_name
            );
            return Err(Refusal::new(RefusalKind::NotAllowed, text));
        }
        if let Some(limit) = self.directory.channel_limit_reached(user) {
            self.mark(Mark::ChannelLimitReached);
            let text = format!(
                "number of channels opened for user '{user}' has reached the maximum allowed user \
                 limit of {limit}"
            );
            return Err(Refusal::new(RefusalKind::NotAllowed, text));
        }
        self.directory.count_channel(user, true);
        Ok(())
    }

    /// A user's channel is gone.
    pub(crate) fn forget_channel(&mut self, user: &ShortStr) {
        self.directory.count_channel(user, false);
    }

    /// Whether the user of this name may say to be another in messages.
    pub(crate) fn may_impersonate(&self, user: &ShortStr) -> bool {
        self.directory.user(user).is_some_and(|user| user.has_tag("impersonator"))
    }
}
