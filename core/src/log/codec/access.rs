//! Records of virtual hosts, users, permissions and parameters.

use alloc::string::String;

use bytes::{BufMut, BytesMut};

use super::{Cursor, Fact, kind, put_many, put_str8, put_str32};
use crate::amqp::ShortStr;
use crate::broker::{
    HashAlgorithm, Parameter, PasswordHash, Permission, TopicPermission, User, UserLimits,
    UserPermission, UserTopicPermission, VhostLimits, VhostMetadata, VirtualHost,
};

const PROTECTED: u8 = 1;
const OF_ALL: u8 = 1;
const OF_BROKER: u8 = 1;

/// What stands for no limit.
const UNLIMITED: u64 = u64::MAX;

/// The flags that these kinds of records may have.
pub(super) fn flags_known(kind: u8) -> u8 {
    match kind {
        kind::VHOST_SET => PROTECTED,
        kind::TOPIC_PERMISSION_CLEARED => OF_ALL,
        kind::PARAMETER_SET | kind::PARAMETER_CLEARED => OF_BROKER,
        _ => 0,
    }
}

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

impl Fact {
    /// The kind and flags of a record that tells of these.
    pub(super) fn access_kind_and_flags(&self) -> (u8, u8) {
        match self {
            Self::VhostSet(vhost) => (kind::VHOST_SET, flag(vhost.metadata.protected, PROTECTED)),
            Self::VhostDeleted(_) => (kind::VHOST_DELETED, 0),
            Self::UserSet(_) => (kind::USER_SET, 0),
            Self::UserDeleted(_) => (kind::USER_DELETED, 0),
            Self::PermissionSet(_) => (kind::PERMISSION_SET, 0),
            Self::PermissionCleared(..) => (kind::PERMISSION_CLEARED, 0),
            Self::TopicPermissionSet(_) => (kind::TOPIC_PERMISSION_SET, 0),
            Self::TopicPermissionCleared(.., exchange) => {
                (kind::TOPIC_PERMISSION_CLEARED, flag(exchange.is_none(), OF_ALL))
            }
            Self::ParameterSet(set) => (kind::PARAMETER_SET, flag(set.vhost.is_none(), OF_BROKER)),
            Self::ParameterCleared(vhost, ..) => {
                (kind::PARAMETER_CLEARED, flag(vhost.is_none(), OF_BROKER))
            }
            _ => unreachable!("all others are told apart before"),
        }
    }

    /// Appends the body of such a record.
    pub(super) fn put_access(&self, out: &mut BytesMut) {
        match self {
            Self::VhostSet(vhost) => put_vhost(out, vhost),
            Self::VhostDeleted(name) | Self::UserDeleted(name) => put_str8(out, name),
            Self::UserSet(user) => put_user(out, user),
            Self::PermissionSet(UserPermission { vhost, user, permission }) => {
                [vhost, user].into_iter().for_each(|name| put_str8(out, name));
                let Permission { configure, write, read } = permission;
                [configure, write, read].iter().for_each(|text| put_str32(out, text.as_bytes()));
            }
            Self::PermissionCleared(vhost, user) => {
                [vhost, user].into_iter().for_each(|name| put_str8(out, name));
            }
            Self::TopicPermissionSet(UserTopicPermission { vhost, user, permission }) => {
                let TopicPermission { exchange, write, read } = permission;
                [vhost, user, exchange].into_iter().for_each(|name| put_str8(out, name));
                [write, read].iter().for_each(|text| put_str32(out, text.as_bytes()));
            }
            Self::TopicPermissionCleared(vhost, user, exchange) => {
                let names = [vhost, user].into_iter().chain(exchange);
                names.for_each(|name| put_str8(out, name));
            }
            Self::ParameterSet(Parameter { vhost, component, name, value }) => {
                let names = vhost.iter().chain([component, name]);
                names.for_each(|name| put_str8(out, name));
                put_str32(out, value);
            }
            Self::ParameterCleared(vhost, component, name) => {
                let names = vhost.iter().chain([component, name]);
                names.for_each(|name| put_str8(out, name));
            }
            _ => unreachable!("all others are told apart before"),
        }
    }
}

fn put_vhost(out: &mut BytesMut, VirtualHost { name, metadata, limits }: &VirtualHost) {
    put_str8(out, name);
    put_str32(out, metadata.description.as_bytes());
    put_many(out, metadata.tags.iter(), put_str8);
    // No type has an empty name.
    put_str8(out, metadata.default_queue_type.as_ref().unwrap_or(&ShortStr::EMPTY));
    put_limits(out, [limits.max_connections, limits.max_queues]);
}

fn put_user(out: &mut BytesMut, User { name, password_hash, tags, limits }: &User) {
    put_str8(out, name);
    let algorithm = HashAlgorithm::ALL.iter().position(|known| *known == password_hash.algorithm);
    out.put_u8(algorithm.expect("one of all") as u8);
    put_str32(out, &password_hash.bytes);
    put_many(out, tags.iter(), put_str8);
    put_limits(out, [limits.max_connections, limits.max_channels]);
}

fn put_limits(out: &mut BytesMut, limits: [Option<u64>; 2]) {
    limits.into_iter().for_each(|limit| out.put_u64_le(limit.unwrap_or(UNLIMITED)));
}

impl Cursor<'_> {
    /// What such a record says; `None` when it is none.
    pub(super) fn access(&mut self, kind: u8, flags: u8) -> Option<Fact> {
        Some(match kind {
            kind::VHOST_SET => Fact::VhostSet(self.vhost(flags)?),
            kind::VHOST_DELETED => Fact::VhostDeleted(self.str8()?),
            kind::USER_SET => Fact::UserSet(self.user()?),
            kind::USER_DELETED => Fact::UserDeleted(self.str8()?),
            kind::PERMISSION_SET => Fact::PermissionSet(UserPermission {
                vhost: self.str8()?,
                user: self.str8()?,
                permission: Permission {
                    configure: self.text()?,
                    write: self.text()?,
                    read: self.text()?,
                },
            }),
            kind::PERMISSION_CLEARED => Fact::PermissionCleared(self.str8()?, self.str8()?),
            kind::TOPIC_PERMISSION_SET => Fact::TopicPermissionSet(UserTopicPermission {
                vhost: self.str8()?,
                user: self.str8()?,
                permission: TopicPermission {
                    exchange: self.str8()?,
                    write: self.text()?,
                    read: self.text()?,
                },
            }),
            kind::TOPIC_PERMISSION_CLEARED => {
                let (vhost, user) = (self.str8()?, self.str8()?);
                let exchange = self.unless(flags, OF_ALL)?;
                Fact::TopicPermissionCleared(vhost, user, exchange)
            }
            kind::PARAMETER_SET => Fact::ParameterSet(Parameter {
                vhost: self.unless(flags, OF_BROKER)?,
                component: self.str8()?,
                name: self.str8()?,
                value: self.str32()?,
            }),
            kind::PARAMETER_CLEARED => {
                let vhost = self.unless(flags, OF_BROKER)?;
                Fact::ParameterCleared(vhost, self.str8()?, self.str8()?)
            }
            _ => return None,
        })
    }

    fn vhost(&mut self, flags: u8) -> Option<VirtualHost> {
        let (name, description) = (self.str8()?, self.text()?);
        let tags = self.many(1, Cursor::str8)?;
        let default_queue_type = Some(self.str8()?).filter(|name| !name.is_empty());
        let protected = flags & PROTECTED != 0;
        let metadata = VhostMetadata { description, tags, default_queue_type, protected };
        let [max_connections, max_queues] = self.limits()?;
        Some(VirtualHost { name, metadata, limits: VhostLimits { max_connections, max_queues } })
    }

    fn user(&mut self) -> Option<User> {
        let name = self.str8()?;
        let algorithm = *HashAlgorithm::ALL.get(usize::from(self.u8()?))?;
        let password_hash = PasswordHash { algorithm, bytes: self.str32()? };
        let tags = self.many(1, Cursor::str8)?;
        let [max_connections, max_channels] = self.limits()?;
        let limits = UserLimits { max_connections, max_channels };
        Some(User { name, password_hash, tags, limits })
    }

    fn limits(&mut self) -> Option<[Option<u64>; 2]> {
        let limit = |number| (number != UNLIMITED).then_some(number);
        Some([limit(self.u64()?), limit(self.u64()?)])
    }

    /// A name, unless this flag is set.
    fn unless(&mut self, flags: u8, flag: u8) -> Option<Option<ShortStr>> {
        match flags & flag {
            0 => self.str8().map(Some),
            _ => Some(None),
        }
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.str32()?.to_vec()).ok()
    }
}
