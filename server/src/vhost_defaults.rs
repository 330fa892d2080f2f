//! What a virtual host has from its beginning, as the configuration says: limits, policies of
//! operators, and users who may do something in it. What is there already is never changed by it.

use std::collections::BTreeMap;
use std::fmt;

use regex_lite::Regex;
use warren_core::amqp::{FieldTable, FieldValue, ShortStr};
use warren_core::broker::{ApplyTo, Permission, Policy, PolicyLayer, Refusal, VhostLimits};

use crate::credentials::PasswordSettings;

/// All that is said of it: each group under its own name, in the order of these names.
#[derive(Clone, Debug, Default)]
pub(crate) struct VhostDefaults {
    /// `default_limits.vhosts`: of those that are for a virtual host, the first counts.
    pub(crate) limits: BTreeMap<String, Limits>,
    /// `default_policies.operator`.
    pub(crate) policies: BTreeMap<String, OperatorPolicy>,
    /// `default_users`.
    pub(crate) users: BTreeMap<String, Member>,
}

/// Limits, and what they are for: everything where nothing is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) pattern: Option<Regex>,
    pub(crate) limits: VhostLimits,
}

/// A policy, and what it is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperatorPolicy {
    pub(crate) vhosts: Option<Regex>,
    pub(crate) queues: Option<String>,
    pub(crate) apply_to: Option<String>,
    /// Keys as policies have them.
    pub(crate) definition: Vec<(&'static str, i64)>,
}

/// A user, and where this one may do what.
#[derive(Clone, Default)]
pub(crate) struct Member {
    pub(crate) vhosts: Option<Regex>,
    /// Who has none cannot log in with one.
    pub(crate) password: Option<String>,
    pub(crate) tags: Vec<ShortStr>,
    /// Patterns of what may be configured, written and read.
    pub(crate) permissions: [Option<String>; 3],
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vhosts, tags, permissions, .. } = self;
        f.debug_tuple("Member").field(vhosts).field(tags).field(permissions).finish()
    }
}

impl Member {
    /// What this user may do.
    pub(crate) fn permission(&self) -> Permission {
        let [configure, write, read] =
            self.permissions.clone().map(|pattern| pattern.unwrap_or_else(|| ".*".into()));
        Permission { configure, write, read }
    }
}

impl VhostDefaults {
    /// Whether nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.policies.is_empty() && self.users.is_empty()
    }

    /// The limits of a new virtual host of this name, if there are any.
    pub(crate) fn limits(&self, vhost: &str) -> Option<VhostLimits> {
        let found = self.limits.values().find(|own| is_for(own.pattern.as_ref(), vhost))?;
        Some(found.limits).filter(|limits| *limits != VhostLimits::default())
    }

    /// The operator's policies of a new virtual host of this name.
    ///
    /// # Errors
    /// When one of them is none.
    pub(crate) fn policies(&self, vhost: &str) -> Result<Vec<Policy>, String> {
        let own = self.policies.iter().filter(|(_, own)| is_for(own.vhosts.as_ref(), vhost));
        own.map(|(name, own)| own.policy(name)).collect()
    }

    /// Those who may do something in a new virtual host of this name.
    ///
    /// # Errors
    /// When a name is too long.
    pub(crate) fn users(&self, vhost: &str) -> Result<Vec<(ShortStr, &Member)>, String> {
        let own = self.users.iter().filter(|(_, own)| is_for(own.vhosts.as_ref(), vhost));
        own.map(|(name, own)| Ok((short(name)?, own))).collect()
    }

    /// Whether all of it can be.
    ///
    /// # Errors
    /// What cannot, with the beginning of its key.
    pub(crate) fn check(&self, passwords: &PasswordSettings) -> Result<(), String> {
        for (name, own) in &self.policies {
            let at = |error| format!("default_policies.operator.{name}: {error}");
            let policy = own.policy(name).map_err(at)?;
            policy.check(PolicyLayer::Operator).map_err(|refusal| at(told(&refusal)))?;
        }
        for (name, own) in &self.users {
            let at = |error| format!("default_users.{name}: {error}");
            short(name).map_err(at)?;
            own.permission().check().map_err(|refusal| at(told(&refusal)))?;
            own.password.as_ref().map_or(Ok(()), |own| passwords.check(own)).map_err(at)?;
        }
        Ok(())
    }
}

impl OperatorPolicy {
    fn policy(&self, name: &str) -> Result<Policy, String> {
        let apply_to = self.apply_to.as_deref().unwrap_or("all");
        let definition =
            self.definition.iter().map(|(key, value)| ((*key).into(), FieldValue::I64(*value)));
        Ok(Policy {
            name: short(name)?,
            pattern: self.queues.clone().unwrap_or_else(|| ".*".into()),
            apply_to: ApplyTo::from_name(apply_to).map_err(|refusal| told(&refusal))?,
            priority: 0,
            definition: FieldTable::new(definition.collect()),
        })
    }
}

/// What was refused, in one line.
fn told(refusal: &Refusal) -> String {
    refusal.explanation.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a virtual host is one of these. As in RabbitMQ a pattern is found anywhere in a name,
/// and none is for all.
fn is_for(pattern: Option<&Regex>, vhost: &str) -> bool {
    pattern.is_none_or(|pattern| pattern.is_match(vhost))
}

fn short(text: &str) -> Result<ShortStr, String> {
    let name = ShortStr::new(text.to_owned().into_bytes().into());
    name.ok_or_else(|| format!("`{text}` is longer than 255 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Option<Regex> {
        Some(Regex::new(text).expect("a pattern"))
    }

    fn limits(text: Option<&str>, max_queues: Option<u64>) -> Limits {
        let limits = VhostLimits { max_queues, ..VhostLimits::default() };
        Limits { pattern: text.and_then(pattern), limits }
    }

    #[test]
    fn of_limits_the_first_by_name_counts_that_is_for_the_virtual_host() {
        let mut defaults = VhostDefaults::default();
        defaults.limits.insert("2".into(), limits(None, Some(9)));
        defaults.limits.insert("1".into(), limits(Some("^prod"), Some(5)));
        defaults.limits.insert("0".into(), limits(Some("none$"), None));
        let max_queues = |vhost| defaults.limits(vhost).and_then(|limits| limits.max_queues);
        assert_eq!(max_queues("production"), Some(5));
        assert_eq!(max_queues("a-prod"), Some(9));
        assert_eq!(defaults.limits("prod-none"), None, "the first one says nothing");
    }

    #[test]
    fn policies_and_users_are_all_that_are_for_the_virtual_host() {
        let mut defaults = VhostDefaults::default();
        let definition = vec![("max-length", 7)];
        for (name, text) in [("a", "^x"), ("b", "y"), ("c", "z")] {
            let definition = definition.clone();
            let own = OperatorPolicy { vhosts: pattern(text), definition, ..<_>::default() };
            defaults.policies.insert(name.into(), own);
            let own = Member { vhosts: pattern(text), ..<_>::default() };
            defaults.users.insert(name.into(), own);
        }
        let policies = defaults.policies("xy").expect("are sound");
        assert!(policies.iter().map(|policy| &policy.name).eq(["a", "b"]));
        assert_eq!((policies[0].apply_to, &*policies[0].pattern), (ApplyTo::All, ".*"));
        let users = defaults.users("xy").expect("are sound");
        assert!(users.iter().map(|(name, _)| name).eq(["a", "b"]));
        assert_eq!(users[0].1.permission(), Permission::full());
        assert_eq!(defaults.check(&PasswordSettings::default()), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        let passwords = PasswordSettings {
            validator: crate::credentials::Validator::Length,
            ..PasswordSettings::default()
        };
        let mut defaults = VhostDefaults::default();
        let mut member = Member { password: Some("short".into()), ..<_>::default() };
        defaults.users.insert("u".into(), member.clone());
        let error = defaults.check(&passwords).expect_err("is too short");
        assert!(error.starts_with("default_users.u: "), "{error}");
        assert!(!error.contains("short") && !format!("{defaults:?}").contains("short"));
        member = Member { permissions: [None, Some("(".into()), None], ..<_>::default() };
        defaults.users.insert("u".into(), member);
        assert!(defaults.check(&passwords).is_err(), "is no pattern");
        defaults.users.clear();
        let mut policy = OperatorPolicy::default();
        for (apply_to, definition, expected) in [
            ("queues", ("max-length", 1), true),
            ("queues", ("no-such-key", 1), false),
            ("queue", ("max-length", 1), false),
        ] {
            policy.apply_to = Some(apply_to.into());
            policy.definition = vec![definition];
            defaults.policies.insert("p".into(), policy.clone());
            assert_eq!(defaults.check(&passwords).is_ok(), expected, "{policy:?}");
        }
    }
}
