//! Permissions: what a user may configure, write and read in a virtual host, by patterns of names.
//!
//! As in RabbitMQ a pattern is found anywhere in a name unless it says where, an empty one allows
//! nothing.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use regex_automata::nfa::thompson::pikevm::PikeVM;

use crate::amqp::ShortStr;
use crate::broker::pattern::{self, PATTERN_LEN_MAX};
use crate::broker::{Refusal, RefusalKind};

/// What a user may do in a virtual host: regular expressions for the names of queues and exchanges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// What may be declared and deleted.
    pub configure: String,
    /// What may be published to, and bound.
    pub write: String,
    /// What may be consumed from, and bound to.
    pub read: String,
}

impl Permission {
    /// To do everything.
    #[must_use]
    pub fn full() -> Self {
        Self { configure: ".*".into(), write: ".*".into(), read: ".*".into() }
    }

    /// Whether it could be set.
    ///
    /// # Errors
    /// When one of its patterns is none.
    pub fn check(&self) -> Result<(), Refusal> {
        Rules::new(self.clone()).map(drop)
    }
}

/// What a user may do at a topic exchange: regular expressions for routing keys, in which
/// `{username}` and `{vhost}` stand for what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermission {
    /// The exchange.
    pub exchange: ShortStr,
    /// With what messages may be published.
    pub write: String,
    /// With what queues and exchanges may be bound to it.
    pub read: String,
}

/// What a user may do, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPermission {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The user.
    pub user: ShortStr,
    /// What that is.
    pub permission: Permission,
}

/// What a user may do at an exchange, and where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTopicPermission {
    /// The virtual host.
    pub vhost: ShortStr,
    /// The user.
    pub user: ShortStr,
    /// What that is.
    pub permission: TopicPermission,
}

/// What somebody wants to do to a queue or an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To declare and delete it.
    Configure,
    /// To publish to it, or bind it.
    Write,
    /// To consume from it, or bind something to it.
    Read,
}

impl Right {
    /// As refusals call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// A pattern, ready to be matched.
#[derive(Debug)]
enum Rule {
    /// `.*`, as most are.
    All,
    /// Only what is empty.
    Empty,
    Pattern(Box<PikeVM>),
}

impl Rule {
    fn new(pattern: &str) -> Result<Self, Refusal> {
        let invalid = |problem: &str| {
            Refusal::precondition(format!("invalid regular expression '{pattern}': {problem}"))
        };
        match pattern {
            "" => Ok(Self::Empty),
            ".*" => Ok(Self::All),
            _ if pattern.len() > PATTERN_LEN_MAX => {
                Err(invalid(&format!("it exceeds {PATTERN_LEN_MAX} bytes")))
            }
            _ => {
                let compiled = pattern::compile(pattern).map_err(|problem| invalid(&problem))?;
                Ok(Self::Pattern(Box::new(compiled)))
            }
        }
    }

    fn allows(&self, text: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Empty => text.is_empty(),
            Self::Pattern(pattern) => pattern.is_match(&mut pattern.create_cache(), text),
        }
    }
}

/// A permission that was checked, ready to be asked.
#[derive(Debug)]
pub struct Rules {
    pub(crate) permission: Permission,
    configure: Rule,
    write: Rule,
    read: Rule,
}

impl Rules {
    /// Checks a permission.
    ///
    /// # Errors
    /// When one of its patterns is none.
    pub(crate) fn new(permission: Permission) -> Result<Self, Refusal> {
        Ok(Self {
            configure: Rule::new(&permission.configure)?,
            write: Rule::new(&permission.write)?,
            read: Rule::new(&permission.read)?,
            permission,
        })
    }

    /// The same of one that is kept already: what is no pattern any more allows nothing.
    #[must_use]
    pub fn kept(permission: Permission) -> Self {
        let rule = |pattern: &str| Rule::new(pattern).unwrap_or(Rule::Empty);
        Self {
            configure: rule(&permission.configure),
            write: rule(&permission.write),
            read: rule(&permission.read),
            permission,
        }
    }

    /// Whether it is for this name. The default exchange goes by `amq.default`.
    #[must_use]
    pub fn allow(&self, right: Right, name: &[u8]) -> bool {
        let rule = match right {
            Right::Configure => &self.configure,
            Right::Write => &self.write,
            Right::Read => &self.read,
        };
        rule.allows(name)
    }
}

/// A topic permission that was checked, ready to be asked.
#[derive(Debug)]
pub struct TopicRules {
    pub(crate) permission: TopicPermission,
    write: Rule,
    read: Rule,
}

impl TopicRules {
    /// Checks a topic permission of this user in this virtual host.
    ///
    /// # Errors
    /// When one of its patterns is none.
    pub(crate) fn new(
        vhost: &ShortStr,
        user: &ShortStr,
        permission: TopicPermission,
    ) -> Result<Self, Refusal> {
        let rule = |pattern: &str| Rule::new(&expanded(pattern, vhost, user));
        Ok(Self { write: rule(&permission.write)?, read: rule(&permission.read)?, permission })
    }

    /// The same of one that is kept already: what is no pattern any more allows nothing.
    #[must_use]
    pub fn kept(vhost: &ShortStr, user: &ShortStr, permission: TopicPermission) -> Self {
        let rule =
            |pattern: &str| Rule::new(&expanded(pattern, vhost, user)).unwrap_or(Rule::Empty);
        Self { write: rule(&permission.write), read: rule(&permission.read), permission }
    }

    /// The exchange that it is for.
    #[must_use]
    pub fn exchange(&self) -> &ShortStr {
        &self.permission.exchange
    }

    /// Whether it is for this routing key.
    #[must_use]
    pub fn allow(&self, right: Right, key: &[u8]) -> bool {
        match right {
            Right::Read => self.read.allows(key),
            _ => self.write.allows(key),
        }
    }
}

/// The pattern with what its variables stand for. A client has no `{client_id}` here, so that it
/// means only itself.
fn expanded<'a>(pattern: &'a str, vhost: &ShortStr, user: &ShortStr) -> Cow<'a, str> {
    if !pattern.contains('{') {
        return Cow::Borrowed(pattern);
    }
    let expanded = pattern
        .replace("{vhost}", &escaped(&vhost.to_text()))
        .replace("{username}", &escaped(&user.to_text()))
        .replace("{client_id}", "\\{client_id\\}");
    Cow::Owned(expanded)
}

/// A pattern that is found where `text` stands.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if "\\.+*?()|[]{}^$#&-~".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

impl Refusal {
    /// A user may not do something to this.
    pub(crate) fn no_right(
        right: Right,
        resource: &super::super::refusal::Resource<'_>,
        user: &ShortStr,
    ) -> Self {
        let name = right.name();
        let text = format!("{name} access to {resource} refused for user '{user}'");
        Self::new(RefusalKind::AccessRefused, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, name: &str) -> bool {
        let permission =
            Permission { configure: String::new(), write: pattern.into(), read: String::new() };
        Rules::new(permission).expect("a pattern").allow(Right::Write, name.as_bytes())
    }

    #[test]
    fn a_pattern_is_found_anywhere_unless_it_says_where() {
        for (pattern, name, expected) in [
            (".*", "anything", true),
            ("", "anything", false),
            ("^$", "anything", false),
            ("b", "abc", true),
            ("^b", "abc", false),
            ("^(a|b)$", "b", true),
            ("^$", "", true),
        ] {
            assert_eq!(allows(pattern, name), expected, "{pattern} for {name}");
        }
    }

    #[test]
    fn variables_of_topics_stand_for_what_they_say_and_nothing_else() {
        let allows = |pattern: &str, key: &str| {
            let permission = TopicPermission {
                exchange: "amq.topic".into(),
                write: pattern.into(),
                read: String::new(),
            };
            let rules = TopicRules::new(&"/".into(), &"a.b".into(), permission);
            rules.expect("a pattern").allow(Right::Write, key.as_bytes())
        };
        assert!(allows("^{username}\\.", "a.b.c"));
        assert!(!allows("^{username}\\.", "axb.c"), "a dot in a name is no wildcard");
        assert!(allows("^{vhost}-{username}$", "/-a.b"));
        assert!(allows("^x{client_id}$", "x{client_id}"));
        assert!(allows("", "") && !allows("", "a"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_and_allows_nothing_where_it_is_kept() {
        let permission = || Permission { write: "(".into(), ..Permission::full() };
        assert!(Rules::new(permission()).is_err());
        let kept = Rules::kept(permission());
        assert!(!kept.allow(Right::Write, b"(") && kept.allow(Right::Read, b"q"));
    }
}
