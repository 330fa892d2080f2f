//! Users: a name, how to tell that it is they, and how much they may have.

use alloc::vec::Vec;

use super::PasswordHash;
use crate::amqp::ShortStr;

/// A user has no more tags than this.
pub(crate) const TAGS_MAX: usize = 32;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, which no other user has.
    pub name: ShortStr,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// What the user may do to the broker itself: `administrator`, `monitoring`, `impersonator`, …
    pub tags: Vec<ShortStr>,
    /// How much the user may have.
    pub limits: UserLimits,
}

impl User {
    /// Whether the user has this tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|known| *known == tag)
    }
}

/// What is to change about a user; what is `None` stays as it is. A user who is new has no password
/// and no tags but those given here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// The hash of the new password.
    pub password_hash: Option<PasswordHash>,
    /// The tags, all of them.
    pub tags: Option<Vec<ShortStr>>,
}

/// How much a user may have, over all virtual hosts; `None` is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Open connections.
    pub max_connections: Option<u64>,
    /// Channels on all of them together.
    pub max_channels: Option<u64>,
}
