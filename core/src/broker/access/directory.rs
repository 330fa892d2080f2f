//! The directory: which users there are, what each may do where, and how much each has open.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{
    Permission, Right, Rules, TopicPermission, TopicRules, User, UserPermission,
    UserTopicPermission,
};
use crate::amqp::ShortStr;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Directory {
    users: BTreeMap<ShortStr, Account>,
    /// By virtual host and user.
    grants: BTreeMap<(ShortStr, ShortStr), Grant>,
}

/// A user, and what is open.
#[derive(Debug)]
struct Account {
    user: User,
    connections: u64,
    channels: u64,
}

/// What a user may do in a virtual host.
#[derive(Debug, Default)]
struct Grant {
    rules: Option<Rules>,
    /// At topic exchanges, by their names. At others everything.
    topics: BTreeMap<ShortStr, TopicRules>,
}

impl Directory {
    /// The user of this name.
    pub(crate) fn user(&self, name: &ShortStr) -> Option<&User> {
        self.users.get(name).map(|account| &account.user)
    }

    /// All of them, or those behind this one, by their names.
    pub(crate) fn users(&self, after: Option<&ShortStr>) -> impl Iterator<Item = &User> {
        behind(&self.users, after).map(|(_, account)| &account.user)
    }

    /// Puts a user in the place of the one who has the name, if one has. Whether that is so.
    pub(crate) fn set_user(&mut self, user: User) -> bool {
        match self.users.get_mut(&user.name) {
            Some(account) => {
                account.user = user;
                true
            }
            None => {
                let account = Account { connections: 0, channels: 0, user };
                self.users.insert(account.user.name.clone(), account);
                false
            }
        }
    }

    /// A user is gone, with all permissions. Whether there was one.
    pub(crate) fn remove_user(&mut self, name: &ShortStr) -> bool {
        self.grants.retain(|(_, user), _| user != name);
        self.users.remove(name).is_some()
    }

    /// Notes that a user has one connection more, or less.
    pub(crate) fn count_connection(&mut self, user: &ShortStr, is_more: bool) {
        if let Some(account) = self.users.get_mut(user) {
            count(&mut account.connections, is_more);
        }
    }

    /// Notes that a user has one channel more, or less.
    pub(crate) fn count_channel(&mut self, user: &ShortStr, is_more: bool) {
        if let Some(account) = self.users.get_mut(user) {
            count(&mut account.channels, is_more);
        }
    }

    /// The limit that keeps a user from having another connection, if one does.
    pub(crate) fn connection_limit_reached(&self, user: &ShortStr) -> Option<u64> {
        let account = self.users.get(user)?;
        account.user.limits.max_connections.filter(|limit| account.connections >= *limit)
    }

    /// The limit that keeps a user from having another channel, if one does.
    pub(crate) fn channel_limit_reached(&self, user: &ShortStr) -> Option<u64> {
        let account = self.users.get(user)?;
        account.user.limits.max_channels.filter(|limit| account.channels >= *limit)
    }

    /// What a user may do in a virtual host, if anything.
    pub(crate) fn rules(&self, vhost: &ShortStr, user: &ShortStr) -> Option<&Rules> {
        self.grants.get(&(vhost.clone(), user.clone()))?.rules.as_ref()
    }

    /// Whether a user may do this to what has this name.
    pub(crate) fn allows(
        &self,
        (vhost, user): (&ShortStr, &ShortStr),
        right: Right,
        name: &ShortStr,
    ) -> bool {
        let rules = self.rules(vhost, user);
        rules.is_some_and(|rules| rules.allow(right, name.as_bytes()))
    }

    /// What a user may do at a topic exchange, if that is not everything.
    pub(crate) fn topic_rules(
        &self,
        (vhost, user): (&ShortStr, &ShortStr),
        exchange: &ShortStr,
    ) -> Option<&TopicRules> {
        self.grants.get(&(vhost.clone(), user.clone()))?.topics.get(exchange)
    }

    /// Puts a permission in the place of the one that a user has in a virtual host. Whether that
    /// was one.
    pub(crate) fn set_permission(&mut self, vhost: ShortStr, user: ShortStr, rules: Rules) -> bool {
        self.grants.entry((vhost, user)).or_default().rules.replace(rules).is_some()
    }

    /// Whether there was one.
    pub(crate) fn clear_permission(&mut self, vhost: &ShortStr, user: &ShortStr) -> bool {
        let key = (vhost.clone(), user.clone());
        let had = |grant: &mut Grant| grant.rules.take().is_some();
        let was_there = self.grants.get_mut(&key).is_some_and(had);
        self.tidy(&key);
        was_there
    }

    /// Puts a topic permission in the place of the one for its exchange. Whether that was one.
    pub(crate) fn set_topic_permission(
        &mut self,
        vhost: ShortStr,
        user: ShortStr,
        rules: TopicRules,
    ) -> bool {
        let topics = &mut self.grants.entry((vhost, user)).or_default().topics;
        topics.insert(rules.permission.exchange.clone(), rules).is_some()
    }

    /// Clears a topic permission, or all that a user has in a virtual host. Whether there was one.
    pub(crate) fn clear_topic_permission(
        &mut self,
        vhost: &ShortStr,
        user: &ShortStr,
        exchange: Option<&ShortStr>,
    ) -> bool {
        let key = (vhost.clone(), user.clone());
        let Some(grant) = self.grants.get_mut(&key) else { return false };
        let was_there = match exchange {
            Some(exchange) => grant.topics.remove(exchange).is_some(),
            None => !core::mem::take(&mut grant.topics).is_empty(),
        };
        self.tidy(&key);
        was_there
    }

    /// A grant of nothing is none.
    fn tidy(&mut self, key: &(ShortStr, ShortStr)) {
        let is_nothing = |grant: &Grant| grant.rules.is_none() && grant.topics.is_empty();
        if self.grants.get(key).is_some_and(is_nothing) {
            self.grants.remove(key);
        }
    }

    /// A virtual host is gone: nobody may do anything there.
    pub(crate) fn forget_vhost(&mut self, vhost: &ShortStr) {
        let of = |(host, _): &&(ShortStr, ShortStr)| host == vhost;
        let first = (vhost.clone(), ShortStr::EMPTY);
        let keys = self.grants.range(first..).map(|(key, _)| key).take_while(of);
        for key in keys.cloned().collect::<Vec<_>>() {
            self.grants.remove(&key);
        }
    }

    /// What a user may do in a virtual host, if anything, and at its topic exchanges, where that
    /// is not everything.
    pub(crate) fn permissions_of(
        &self,
        vhost: &ShortStr,
        user: &ShortStr,
    ) -> (Option<&Permission>, Vec<&TopicPermission>) {
        let Some(grant) = self.grants.get(&(vhost.clone(), user.clone())) else {
            return (None, Vec::new());
        };
        let topics = grant.topics.values().map(|rules| &rules.permission);
        (grant.rules.as_ref().map(|rules| &rules.permission), topics.collect())
    }

    /// All permissions, or those behind that of this user in this virtual host.
    pub(crate) fn permissions(
        &self,
        after: Option<&(ShortStr, ShortStr)>,
    ) -> impl Iterator<Item = UserPermission> {
        behind(&self.grants, after).filter_map(|((vhost, user), grant)| {
            let permission = grant.rules.as_ref()?.permission.clone();
            Some(UserPermission { vhost: vhost.clone(), user: user.clone(), permission })
        })
    }

    /// All topic permissions, or those of who comes behind this user in this virtual host.
    pub(crate) fn topic_permissions(
        &self,
        after: Option<&(ShortStr, ShortStr)>,
    ) -> impl Iterator<Item = UserTopicPermission> {
        behind(&self.grants, after).flat_map(|((vhost, user), grant)| {
            grant.topics.values().map(|rules| UserTopicPermission {
                vhost: vhost.clone(),
                user: user.clone(),
                permission: rules.permission.clone(),
            })
        })
    }
}

/// What a map has behind a key, in order.
pub(crate) fn behind<'a, K: Ord + Clone, V>(
    map: &'a BTreeMap<K, V>,
    after: Option<&K>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    use core::ops::Bound;
    let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
    map.range((from, Bound::Unbounded))
}

fn count(number: &mut u64, is_more: bool) {
    *number = if is_more { *number + 1 } else { number.saturating_sub(1) };
}
