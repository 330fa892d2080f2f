//! Who may do what: virtual hosts as they are kept, users, permissions, limits and parameters.
//!
//! Here is what these are and what follows from one of them alone. Who is there, and what each may,
//! is the [`Directory`]'s; what is asked of it, and what is noted of it, the engine's.

mod directory;
mod password;
mod permission;
mod user;
mod vhost;

pub(crate) use directory::{Directory, behind};
pub use password::{HashAlgorithm, Password, PasswordHash};
pub use permission::{
    Permission, Right, Rules, TopicPermission, TopicRules, UserPermission, UserTopicPermission,
};
pub(crate) use user::TAGS_MAX;
pub use user::{User, UserChange, UserLimits};
pub use vhost::{Parameter, VhostLimits, VhostMetadata, VhostStatus, VirtualHost};
