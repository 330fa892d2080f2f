//! Commands as they stand in a recording. Hashes of passwords are among them, as they are in the
//! data directory: whether two are the same makes a difference.

use bytes::{Bytes, BytesMut};
use warren_core::amqp::{FieldTable, Reader, ShortStr};
use warren_core::broker::{
    ApplyTo, HashAlgorithm, Parameter, PasswordHash, Permission, Policy, PolicyLayer,
    TopicPermission, UserChange, UserLimits, VhostLimits, VhostMetadata,
};
use warren_core::listing::MessageId;
use warren_core::{Command, ConnectionId, NodeLimits, ResourceLimits};

use crate::number::{put as put_number, put_bytes, take as take_number, take_bytes, take_text};

pub(crate) fn put(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::SetPolicy { vhost, layer, policy } => {
            put_head(out, 0, [vhost, &policy.name]);
            out.push(u8::from(*layer == PolicyLayer::Operator));
            put_texts(out, [&policy.pattern, policy.apply_to.name()]);
            put_number(out, policy.priority as u64);
            put_table(out, &policy.definition);
        }
        Command::DeletePolicy { vhost, layer, name } => {
            put_head(out, 1, [vhost, name]);
            out.push(u8::from(*layer == PolicyLayer::Operator));
        }
        Command::SetVhost { vhost, metadata } => {
            put_head(out, 2, [vhost]);
            put_texts(out, [&metadata.description]);
            put_names(out, &metadata.tags);
            put_option(out, metadata.default_queue_type.as_ref());
            out.push(u8::from(metadata.protected));
        }
        Command::DeleteVhost { vhost } => put_head(out, 3, [vhost]),
        Command::SetVhostLimits { vhost, limits } => {
            put_head(out, 4, [vhost]);
            put_limits(out, [limits.max_connections, limits.max_queues]);
        }
        Command::SetUser { user, change } => {
            put_head(out, 5, [user]);
            out.push(u8::from(change.password_hash.is_some()));
            change.password_hash.iter().for_each(|hash| put_hash(out, hash));
            out.push(u8::from(change.tags.is_some()));
            change.tags.iter().for_each(|tags| put_names(out, tags));
        }
        Command::DeleteUser { user } => put_head(out, 6, [user]),
        Command::SetUserLimits { user, limits } => {
            put_head(out, 7, [user]);
            put_limits(out, [limits.max_connections, limits.max_channels]);
        }
        Command::SetPermission { vhost, user, permission } => {
            put_head(out, 8, [vhost, user]);
            put_texts(out, [&permission.configure, &permission.write, &permission.read]);
        }
        Command::ClearPermission { vhost, user } => put_head(out, 9, [vhost, user]),
        Command::SetTopicPermission { vhost, user, permission } => {
            put_head(out, 10, [vhost, user, &permission.exchange]);
            put_texts(out, [&permission.write, &permission.read]);
        }
        Command::ClearTopicPermission { vhost, user, exchange } => {
            put_head(out, 11, [vhost, user]);
            put_option(out, exchange.as_ref());
        }
        Command::SetParameter(Parameter { vhost, component, name, value }) => {
            put_head(out, 12, [component, name]);
            put_option(out, vhost.as_ref());
            put_bytes(out, value);
        }
        Command::ClearParameter { vhost, component, name } => {
            put_head(out, 13, [component, name]);
            put_option(out, vhost.as_ref());
        }
        Command::DeleteMessage { vhost, queue, message } => {
            put_head(out, 15, [vhost, queue]);
            put_number(out, message.row);
            put_number(out, message.position);
        }
        Command::CancelDelayed { vhost, id } => {
            put_head(out, 16, [vhost]);
            put_number(out, *id);
        }
        Command::PauseQueue { vhost, queue, is_paused } => {
            put_head(out, 17, [vhost, queue]);
            out.push(u8::from(*is_paused));
        }
        Command::SetQueueArguments { vhost, queue, arguments } => {
            put_head(out, 18, [vhost, queue]);
            put_table(out, arguments);
        }
        Command::SetNodeLimits(limits) => {
            put_head(out, 19, []);
            put_node_limits(out, limits);
        }
        Command::SetResourceLimits(ResourceLimits { memory_max, disk_free_min }) => {
            put_head(out, 20, []);
            put_limits(out, [*memory_max, *disk_free_min]);
        }
        Command::CloseConnection { connection, reason } => {
            put_head(out, 14, []);
            put_number(out, connection.to_number());
            put_texts(out, [reason]);
        }
    }
}

/// `None` when this is none.
pub(crate) fn take(from: &mut Bytes) -> Option<Command> {
    let kind = take_number(from)?;
    Some(match kind {
        0 => {
            let (vhost, name, layer) = (take_name(from)?, take_name(from)?, take_layer(from)?);
            let policy = Policy {
                name,
                pattern: take_text(from)?,
                apply_to: ApplyTo::from_name(&take_text(from)?).ok()?,
                priority: take_number(from)? as i64,
                definition: take_table(from)?,
            };
            Command::SetPolicy { vhost, layer, policy }
        }
        1 => {
            let (vhost, name, layer) = (take_name(from)?, take_name(from)?, take_layer(from)?);
            Command::DeletePolicy { vhost, layer, name }
        }
        2 => Command::SetVhost {
            vhost: take_name(from)?,
            metadata: VhostMetadata {
                description: take_text(from)?,
                tags: take_names(from)?,
                default_queue_type: take_option(from)?,
                protected: take_number(from)? != 0,
            },
        },
        3 => Command::DeleteVhost { vhost: take_name(from)? },
        4 => {
            let (vhost, [max_connections, max_queues]) = (take_name(from)?, take_limits(from)?);
            Command::SetVhostLimits { vhost, limits: VhostLimits { max_connections, max_queues } }
        }
        5 => {
            let user = take_name(from)?;
            let has_hash = take_number(from)? != 0;
            let password_hash = if has_hash { Some(take_hash(from)?) } else { None };
            let has_tags = take_number(from)? != 0;
            let tags = if has_tags { Some(take_names(from)?) } else { None };
            Command::SetUser { user, change: UserChange { password_hash, tags } }
        }
        6 => Command::DeleteUser { user: take_name(from)? },
        7 => {
            let (user, [max_connections, max_channels]) = (take_name(from)?, take_limits(from)?);
            Command::SetUserLimits { user, limits: UserLimits { max_connections, max_channels } }
        }
        8 => Command::SetPermission {
            vhost: take_name(from)?,
            user: take_name(from)?,
            permission: Permission {
                configure: take_text(from)?,
                write: take_text(from)?,
                read: take_text(from)?,
            },
        },
        9 => Command::ClearPermission { vhost: take_name(from)?, user: take_name(from)? },
        10 => Command::SetTopicPermission {
            vhost: take_name(from)?,
            user: take_name(from)?,
            permission: TopicPermission {
                exchange: take_name(from)?,
                write: take_text(from)?,
                read: take_text(from)?,
            },
        },
        11 => Command::ClearTopicPermission {
            vhost: take_name(from)?,
            user: take_name(from)?,
            exchange: take_option(from)?,
        },
        12 => {
            let (component, name, vhost) = (take_name(from)?, take_name(from)?, take_option(from)?);
            Command::SetParameter(Parameter { vhost, component, name, value: take_bytes(from)? })
        }
        13 => {
            let (component, name, vhost) = (take_name(from)?, take_name(from)?, take_option(from)?);
            Command::ClearParameter { vhost, component, name }
        }
        14 => Command::CloseConnection {
            connection: ConnectionId::from_number(take_number(from)?),
            reason: take_text(from)?,
        },
        15 => Command::DeleteMessage {
            vhost: take_name(from)?,
            queue: take_name(from)?,
            message: MessageId { row: take_number(from)?, position: take_number(from)? },
        },
        16 => Command::CancelDelayed { vhost: take_name(from)?, id: take_number(from)? },
        17 => Command::PauseQueue {
            vhost: take_name(from)?,
            queue: take_name(from)?,
            is_paused: take_number(from)? != 0,
        },
        18 => Command::SetQueueArguments {
            vhost: take_name(from)?,
            queue: take_name(from)?,
            arguments: take_table(from)?,
        },
        19 => Command::SetNodeLimits(take_node_limits(from)?),
        20 => {
            let [memory_max, disk_free_min] = take_limits(from)?;
            Command::SetResourceLimits(ResourceLimits { memory_max, disk_free_min })
        }
        _ => return None,
    })
}

fn put_head<const COUNT: usize>(out: &mut Vec<u8>, kind: u8, names: [&ShortStr; COUNT]) {
    out.push(kind);
    names.into_iter().for_each(|name| put_bytes(out, name.as_bytes()));
}

fn put_texts<const COUNT: usize>(out: &mut Vec<u8>, texts: [&str; COUNT]) {
    texts.into_iter().for_each(|text| put_bytes(out, text.as_bytes()));
}

pub(crate) fn put_names(out: &mut Vec<u8>, names: &[ShortStr]) {
    put_number(out, names.len() as u64);
    names.iter().for_each(|name| put_bytes(out, name.as_bytes()));
}

fn put_table(out: &mut Vec<u8>, table: &FieldTable) {
    let mut bytes = BytesMut::new();
    table.write(&mut bytes);
    put_bytes(out, &bytes);
}

/// Zero stands for none, and any other number for one less.
pub(crate) fn put_node_limits(out: &mut Vec<u8>, limits: &NodeLimits) {
    let NodeLimits { connections, channels, consumers_of_channel, vhosts, queues, exchanges } =
        *limits;
    for limit in [connections, channels, consumers_of_channel, vhosts, queues, exchanges] {
        put_number(out, limit.map_or(0, |most| u64::from(most) + 1));
    }
}

pub(crate) fn take_node_limits(from: &mut Bytes) -> Option<NodeLimits> {
    let mut take = || {
        let number = take_number(from)?;
        Some(number.checked_sub(1).and_then(|most| u32::try_from(most).ok()))
    };
    Some(NodeLimits {
        connections: take()?,
        channels: take()?,
        consumers_of_channel: take()?,
        vhosts: take()?,
        queues: take()?,
        exchanges: take()?,
    })
}

pub(crate) fn put_option(out: &mut Vec<u8>, name: Option<&ShortStr>) {
    out.push(u8::from(name.is_some()));
    name.into_iter().for_each(|name| put_bytes(out, name.as_bytes()));
}

/// `None` is all ones, which no limit is that anybody sets.
fn put_limits(out: &mut Vec<u8>, limits: [Option<u64>; 2]) {
    limits.into_iter().for_each(|limit| put_number(out, limit.unwrap_or(u64::MAX)));
}

pub(crate) fn put_hash(out: &mut Vec<u8>, hash: &PasswordHash) {
    put_bytes(out, hash.algorithm.name().as_bytes());
    put_bytes(out, &hash.bytes);
}

pub(crate) fn take_name(from: &mut Bytes) -> Option<ShortStr> {
    ShortStr::new(take_bytes(from)?)
}

pub(crate) fn take_names(from: &mut Bytes) -> Option<Vec<ShortStr>> {
    (0..take_number(from)?).map(|_| take_name(from)).collect()
}

fn take_table(from: &mut Bytes) -> Option<FieldTable> {
    FieldTable::read(&mut Reader::new(&take_bytes(from)?)).ok()
}

/// `None` when this is none; `Some(None)` when there is no name.
pub(crate) fn take_option(from: &mut Bytes) -> Option<Option<ShortStr>> {
    match take_number(from)? {
        0 => Some(None),
        _ => take_name(from).map(Some),
    }
}

fn take_limits(from: &mut Bytes) -> Option<[Option<u64>; 2]> {
    let limit = |number| (number != u64::MAX).then_some(number);
    Some([limit(take_number(from)?), limit(take_number(from)?)])
}

pub(crate) fn take_hash(from: &mut Bytes) -> Option<PasswordHash> {
    let algorithm = HashAlgorithm::from_name(&take_text(from)?)?;
    Some(PasswordHash { algorithm, bytes: take_bytes(from)? })
}

fn take_layer(from: &mut Bytes) -> Option<PolicyLayer> {
    Some(match take_number(from)? {
        0 => PolicyLayer::User,
        _ => PolicyLayer::Operator,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use warren_core::amqp::FieldValue;

    use super::*;

    /// One of each.
    pub(crate) fn all() -> Vec<Command> {
        let (vhost, user): (ShortStr, ShortStr) = ("v".into(), "u".into());
        let policy = Policy {
            name: "p".into(),
            pattern: "^q".into(),
            apply_to: ApplyTo::Queues,
            priority: -1,
            definition: FieldTable::new(vec![("max-length".into(), FieldValue::I64(3))]),
        };
        let layer = PolicyLayer::Operator;
        let metadata = VhostMetadata {
            description: "d".into(),
            tags: vec!["t".into()],
            default_queue_type: Some("quorum".into()),
            protected: true,
        };
        let hash = PasswordHash { bytes: vec![7; 36].into(), ..PasswordHash::NONE };
        let change = UserChange { password_hash: Some(hash), tags: Some(vec!["t".into()]) };
        let limits = VhostLimits { max_connections: Some(0), max_queues: None };
        let user_limits = UserLimits { max_connections: None, max_channels: Some(7) };
        let exchange: ShortStr = "x".into();
        let topic =
            TopicPermission { exchange: exchange.clone(), write: "w".into(), read: "r".into() };
        let (component, name): (ShortStr, ShortStr) = ("c".into(), "n".into());
        let value = Bytes::from_static(b"{}");
        let parameter =
            Parameter { vhost: None, component: component.clone(), name: name.clone(), value };
        let connection = ConnectionId::from_number(3 << 32 | 4);
        let message = MessageId { row: 3, position: 1 << 40 };
        let queue: ShortStr = "q".into();
        vec![
            Command::DeleteMessage { vhost: vhost.clone(), queue: queue.clone(), message },
            Command::CancelDelayed { vhost: vhost.clone(), id: 9 },
            Command::PauseQueue { vhost: vhost.clone(), queue: queue.clone(), is_paused: true },
            Command::SetQueueArguments {
                vhost: vhost.clone(),
                queue,
                arguments: policy.definition.clone(),
            },
            Command::SetPolicy { vhost: "/".into(), layer, policy },
            Command::DeletePolicy { vhost: "/".into(), layer: PolicyLayer::User, name: "p".into() },
            Command::SetVhost { vhost: vhost.clone(), metadata },
            Command::DeleteVhost { vhost: vhost.clone() },
            Command::SetVhostLimits { vhost: vhost.clone(), limits },
            Command::SetUser { user: user.clone(), change },
            Command::SetUser { user: user.clone(), change: UserChange::default() },
            Command::DeleteUser { user: user.clone() },
            Command::SetUserLimits { user: user.clone(), limits: user_limits },
            Command::SetPermission {
                vhost: vhost.clone(),
                user: user.clone(),
                permission: Permission::full(),
            },
            Command::ClearPermission { vhost: vhost.clone(), user: user.clone() },
            Command::SetTopicPermission {
                vhost: vhost.clone(),
                user: user.clone(),
                permission: topic,
            },
            Command::ClearTopicPermission {
                vhost: vhost.clone(),
                user: user.clone(),
                exchange: Some(exchange),
            },
            Command::ClearTopicPermission { vhost: vhost.clone(), user, exchange: None },
            Command::SetParameter(parameter),
            Command::ClearParameter { vhost: Some(vhost), component, name },
            Command::SetNodeLimits(NodeLimits { queues: Some(0), ..NodeLimits::default() }),
            Command::SetResourceLimits(ResourceLimits {
                memory_max: Some(1 << 30),
                disk_free_min: None,
            }),
            Command::CloseConnection { connection, reason: "because".into() },
        ]
    }
}
