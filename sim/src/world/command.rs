//! What the people who run the broker want of it: as a step says it, as the core is told, and as
//! the model is.

use warren_core::amqp::{FieldTable, FieldValue, ShortStr};
use warren_core::broker::{ApplyTo, HashAlgorithm, Password, PasswordHash, Policy, PolicyLayer};
use warren_core::{Command, Defaults, Done};

use super::request::headers;
use crate::model::{self, Answer, Wish};
use crate::plan::Step;
use crate::wire::{Table, Value};

/// The command of a step; `None` if it is none.
pub(super) fn of_step(step: &Step) -> Option<Command> {
    let layer = if step.is("operator") { PolicyLayer::Operator } else { PolicyLayer::User };
    let (vhost, name) = (ShortStr::from("/"), ShortStr::from(step.text("name")));
    match step.verb() {
        "policy" => {
            let policy = Policy {
                name,
                pattern: step.text("pattern").into(),
                apply_to: ApplyTo::from_name(step.value("apply").unwrap_or("all")).ok()?,
                priority: step.value("priority").and_then(|text| text.parse().ok()).unwrap_or(0),
                definition: FieldTable::new(
                    headers(step.text("arg")).into_iter().map(entry).collect(),
                ),
            };
            Some(Command::SetPolicy { vhost, layer, policy })
        }
        "unpolicy" => Some(Command::DeletePolicy { vhost, layer, name }),
        _ => None,
    }
}

/// What the model is told of a command.
pub(crate) fn wish(command: &Command) -> Wish {
    match command {
        Command::SetPolicy { vhost, layer, policy } if *vhost == "/" => {
            let definition = policy.definition.iter().map(|(key, value)| {
                let value = match value {
                    FieldValue::LongStr(text) => Value::Text(text.to_vec()),
                    FieldValue::Bool(value) => Value::Bool(*value),
                    value => value.as_integer().map_or(Value::Void, Value::I64),
                };
                (key.to_string(), value)
            });
            let wished = model::Policy {
                pattern: policy.pattern.clone(),
                apply_to: policy.apply_to.name().into(),
                priority: policy.priority,
                definition: definition.collect::<Table>(),
            };
            Wish::Set(*layer == PolicyLayer::Operator, policy.name.to_string(), wished)
        }
        Command::DeletePolicy { vhost, layer, name } if *vhost == "/" => {
            Wish::Unset(*layer == PolicyLayer::Operator, name.to_string())
        }
        _ => Wish::Other,
    }
}

/// Whether a password is the right one. Hashes are not computed here: one is the password behind
/// four bytes of salt.
pub(crate) fn is_right(password: &Password, hash: &PasswordHash) -> bool {
    hash.bytes.get(4..).is_some_and(|right| right == password.0)
}

/// The hash that [`is_right`] is about.
pub(crate) fn hash(password: &str) -> PasswordHash {
    let bytes = [b"salt", password.as_bytes()].concat().into();
    PasswordHash { algorithm: HashAlgorithm::Sha256, bytes }
}

/// What a first start makes.
pub(crate) fn defaults() -> Defaults {
    Defaults { password_hash: hash("guest"), ..Defaults::default() }
}

/// What the model is told of an answer.
pub(crate) fn answer<E>(result: &Result<Done, E>) -> Answer {
    match result {
        Ok(Done::Created) => Answer::Created,
        Ok(Done::Updated) => Answer::Updated,
        Ok(Done::Deleted) => Answer::Deleted,
        Ok(Done::Unchanged) => Answer::Unchanged,
        Err(_) => Answer::Refused,
    }
}

fn entry((key, value): (String, Value)) -> (ShortStr, FieldValue) {
    let value = match value {
        Value::I32(number) => FieldValue::I32(number),
        Value::Text(text) => FieldValue::LongStr(text.into()),
        _ => FieldValue::Bool(true),
    };
    (ShortStr::from(key.as_str()), value)
}
