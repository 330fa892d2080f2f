//! The durable state of who may do what: virtual hosts, users, permissions and parameters.
//!
//! A directory of a broker that knew nothing of them has none, and all that it holds is in `/`. So
//! as long as no virtual host is known, there is that one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use super::fact::Fact;
use super::state::Inconsistent;
use crate::Defaults;
use crate::amqp::ShortStr;
use crate::broker::{
    Parameter, PasswordHash, User, UserPermission, UserTopicPermission, VHOST, VirtualHost,
};

/// The virtual host, if it is of one, the component and the name of a parameter.
type ParameterKey = (Option<ShortStr>, ShortStr, ShortStr);

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessState {
    pub(crate) vhosts: BTreeMap<ShortStr, VirtualHost>,
    pub(crate) users: BTreeMap<ShortStr, User>,
    /// By virtual host and user.
    pub(crate) permissions: BTreeMap<(ShortStr, ShortStr), UserPermission>,
    /// By virtual host, user and exchange.
    pub(crate) topic_permissions: BTreeMap<(ShortStr, ShortStr, ShortStr), UserTopicPermission>,
    pub(crate) parameters: BTreeMap<ParameterKey, Parameter>,
    /// The virtual hosts that were not there before this start. No record has them.
    pub(crate) made_vhosts: Vec<ShortStr>,
}

impl AccessState {
    /// Whether there is a virtual host of this name.
    pub(crate) fn has_vhost(&self, name: &ShortStr) -> bool {
        self.vhosts.contains_key(name) || self.vhosts.is_empty() && *name == VHOST
    }

    /// Whether anything is said of any virtual host.
    pub(super) fn has_content(&self) -> bool {
        !self.permissions.is_empty()
            || !self.topic_permissions.is_empty()
            || self.parameters.keys().any(|(vhost, ..)| vhost.is_some())
    }

    /// Whether what a fact declares is in a virtual host that is there, and of a user who is.
    ///
    /// # Errors
    /// When no broker could have written it here.
    pub(crate) fn check(&self, fact: &Fact) -> Result<(), Inconsistent> {
        if fact.vhost().is_some_and(|vhost| !self.has_vhost(vhost)) {
            return Err(Inconsistent("it is of a virtual host that is unknown"));
        }
        let user = match fact {
            Fact::PermissionSet(set) => Some(&set.user),
            Fact::TopicPermissionSet(set) => Some(&set.user),
            _ => None,
        };
        match user.is_none_or(|user| self.users.contains_key(user)) {
            true => Ok(()),
            false => Err(Inconsistent("it is of a user who is unknown")),
        }
    }

    /// Takes in a fact that is one of these.
    pub(crate) fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::VhostSet(mut vhost) => {
                vhost.name = vhost.name.detached();
                detach_all(&mut vhost.metadata.tags);
                let default_type = &mut vhost.metadata.default_queue_type;
                *default_type = default_type.as_ref().map(ShortStr::detached);
                self.vhosts.insert(vhost.name.clone(), vhost);
            }
            Fact::VhostDeleted(name) => {
                self.vhosts.remove(&name);
                self.permissions.retain(|(vhost, _), _| *vhost != name);
                self.topic_permissions.retain(|(vhost, ..), _| *vhost != name);
                self.parameters.retain(|(vhost, ..), _| vhost.as_ref() != Some(&name));
            }
            Fact::UserSet(mut user) => {
                user.name = user.name.detached();
                detach_all(&mut user.tags);
                let hash = user.password_hash;
                user.password_hash =
                    PasswordHash { bytes: Bytes::copy_from_slice(&hash.bytes), ..hash };
                self.users.insert(user.name.clone(), user);
            }
            Fact::UserDeleted(name) => {
                self.users.remove(&name);
                self.permissions.retain(|(_, user), _| *user != name);
                self.topic_permissions.retain(|(_, user, _), _| *user != name);
            }
            Fact::PermissionSet(set) => {
                let (vhost, user) = (set.vhost.detached(), set.user.detached());
                let key = (vhost.clone(), user.clone());
                self.permissions.insert(key, UserPermission { vhost, user, ..set });
            }
            Fact::PermissionCleared(vhost, user) => {
                self.permissions.remove(&(vhost, user));
            }
            Fact::TopicPermissionSet(mut set) => {
                let exchange = set.permission.exchange.detached();
                let (vhost, user) = (set.vhost.detached(), set.user.detached());
                set.permission.exchange = exchange.clone();
                let key = (vhost.clone(), user.clone(), exchange);
                self.topic_permissions.insert(key, UserTopicPermission { vhost, user, ..set });
            }
            Fact::TopicPermissionCleared(vhost, user, Some(exchange)) => {
                self.topic_permissions.remove(&(vhost, user, exchange));
            }
            Fact::TopicPermissionCleared(vhost, user, None) => {
                self.topic_permissions.retain(|(host, of, _), _| *host != vhost || *of != user);
            }
            Fact::ParameterSet(set) => {
                let set = Parameter {
                    vhost: set.vhost.as_ref().map(ShortStr::detached),
                    component: set.component.detached(),
                    name: set.name.detached(),
                    value: Bytes::copy_from_slice(&set.value),
                };
                let key = (set.vhost.clone(), set.component.clone(), set.name.clone());
                self.parameters.insert(key, set);
            }
            Fact::ParameterCleared(vhost, component, name) => {
                self.parameters.remove(&(vhost, component, name));
            }
            _ => {}
        }
    }

    /// All of it as facts, each behind those that it rests on.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        let vhosts = self.vhosts.values().cloned().map(Fact::VhostSet);
        let users = self.users.values().cloned().map(Fact::UserSet);
        let permissions = self.permissions.values().cloned().map(Fact::PermissionSet);
        let topics = self.topic_permissions.values().cloned().map(Fact::TopicPermissionSet);
        let parameters = self.parameters.values().cloned().map(Fact::ParameterSet);
        vhosts.chain(users).chain(permissions).chain(topics).chain(parameters)
    }

    /// Whether there is nothing, or nobody and nothing but those whom a first start makes.
    pub(crate) fn is_first(&self, defaults: Option<&Defaults>) -> bool {
        let counts = [self.users.len(), self.vhosts.len(), self.permissions.len()];
        let is_empty = counts == [0; 3];
        let is_default = |defaults: &Defaults| {
            let user = self.users.get(&defaults.user);
            user.is_some_and(|user| user.tags == defaults.tags && user.limits == <_>::default())
                && self.vhosts.contains_key(&defaults.vhost)
        };
        let is_made = counts == [1; 3] && defaults.is_some_and(is_default);
        (is_empty || is_made) && self.topic_permissions.is_empty() && self.parameters.is_empty()
    }

    /// Adds what a first start finds, if there is no user or no virtual host: nobody could use the
    /// broker. `has_content` tells of things in `/`, which is all that an old directory has: that
    /// is there then, whatever else a start makes. Whether anything was added.
    pub(crate) fn add_defaults(&mut self, defaults: Option<&Defaults>, has_content: bool) -> bool {
        if !self.users.is_empty() && !self.vhosts.is_empty() {
            return false;
        }
        let old = (has_content && self.vhosts.is_empty()).then_some(VHOST);
        let is_any = old.is_some() || defaults.is_some();
        let own = defaults.map(|defaults| defaults.vhost.clone());
        for name in old.clone().into_iter().chain(own) {
            if !self.vhosts.contains_key(&name) {
                if old.as_ref() != Some(&name) {
                    self.made_vhosts.push(name.clone());
                }
                self.apply(Fact::VhostSet(VirtualHost { name: name.clone(), ..<_>::default() }));
            }
            let Some(defaults) = defaults else { continue };
            if !self.users.contains_key(&defaults.user) {
                self.apply(Fact::UserSet(User {
                    name: defaults.user.clone(),
                    password_hash: defaults.password_hash.clone(),
                    tags: defaults.tags.clone(),
                    limits: <_>::default(),
                }));
            }
            if !self.permissions.contains_key(&(name.clone(), defaults.user.clone())) {
                self.apply(Fact::PermissionSet(UserPermission {
                    vhost: name,
                    user: defaults.user.clone(),
                    permission: defaults.permission.clone(),
                }));
            }
        }
        is_any
    }
}

fn detach_all(texts: &mut [ShortStr]) {
    texts.iter_mut().for_each(|text| *text = text.detached());
}
