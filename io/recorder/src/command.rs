//! Commands as they stand in a recording.

use bytes::{Bytes, BytesMut};
use warren_core::Command;
use warren_core::amqp::{FieldTable, Reader, ShortStr};
use warren_core::broker::{ApplyTo, Policy, PolicyLayer};

use crate::number::{put as put_number, put_bytes, take as take_number, take_bytes, take_text};

pub(crate) fn put(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::SetPolicy { vhost, layer, policy } => {
            put_head(out, 0, vhost, *layer, &policy.name);
            put_bytes(out, policy.pattern.as_bytes());
            put_bytes(out, policy.apply_to.name().as_bytes());
            put_number(out, policy.priority as u64);
            let mut definition = BytesMut::new();
            policy.definition.write(&mut definition);
            put_bytes(out, &definition);
        }
        Command::DeletePolicy { vhost, layer, name } => put_head(out, 1, vhost, *layer, name),
    }
}

fn put_head(out: &mut Vec<u8>, kind: u8, vhost: &ShortStr, layer: PolicyLayer, name: &ShortStr) {
    out.push(kind);
    put_bytes(out, vhost.as_bytes());
    out.push(u8::from(layer == PolicyLayer::Operator));
    put_bytes(out, name.as_bytes());
}

/// `None` when this is none.
pub(crate) fn take(from: &mut Bytes) -> Option<Command> {
    let kind = take_number(from)?;
    let vhost = ShortStr::new(take_bytes(from)?)?;
    let layer = match take_number(from)? {
        0 => PolicyLayer::User,
        _ => PolicyLayer::Operator,
    };
    let name = ShortStr::new(take_bytes(from)?)?;
    Some(match kind {
        0 => {
            let policy = Policy {
                name,
                pattern: take_text(from)?,
                apply_to: ApplyTo::from_name(&take_text(from)?).ok()?,
                priority: take_number(from)? as i64,
                definition: FieldTable::read(&mut Reader::new(&take_bytes(from)?)).ok()?,
            };
            Command::SetPolicy { vhost, layer, policy }
        }
        1 => Command::DeletePolicy { vhost, layer, name },
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use warren_core::amqp::FieldValue;

    use super::*;

    pub(crate) fn set() -> Command {
        let policy = Policy {
            name: "p".into(),
            pattern: "^q".into(),
            apply_to: ApplyTo::Queues,
            priority: -1,
            definition: FieldTable::new(vec![("max-length".into(), FieldValue::I64(3))]),
        };
        Command::SetPolicy { vhost: "/".into(), layer: PolicyLayer::Operator, policy }
    }

    pub(crate) fn delete() -> Command {
        Command::DeletePolicy { vhost: "/".into(), layer: PolicyLayer::User, name: "p".into() }
    }
}
