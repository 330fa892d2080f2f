//! What the people who run the broker want of it: as a step says it, as the core is told, and as
//! the model is.

use warren_core::amqp::{FieldTable, FieldValue, ShortStr};
use warren_core::broker::{
    ApplyTo, HashAlgorithm, Message, Password, PasswordHash, Permission, Policy, PolicyLayer,
    TopicPermission, UserChange, UserLimits, VhostLimits, VhostMetadata,
};
use warren_core::{Broker, Command, Defaults, Done};

use super::intervention;
use super::request::headers;
use crate::model::{self, AccessWish, Answer, Model, PolicyKey, Wish};
use crate::plan::Step;
use crate::wire::{Table, Value};

/// The command of a step; `None` if it is none.
pub(super) fn of_step(step: &Step, broker: &Broker) -> Option<Command> {
    let layer = if step.is("operator") { PolicyLayer::Operator } else { PolicyLayer::User };
    let vhost = ShortStr::from(step.value("vhost").unwrap_or("/"));
    let name = ShortStr::from(step.text("name"));
    match step.verb() {
        "policy" => {
            let policy = Policy {
                name,
                pattern: step.text("pattern").into(),
                apply_to: ApplyTo::from_name(step.value("apply").unwrap_or("all")).ok()?,
                priority: step.value("priority").and_then(|text| text.parse().ok()).unwrap_or(0),
                definition: table(step.text("arg")),
            };
            Some(Command::SetPolicy { vhost, layer, policy })
        }
        "unpolicy" => Some(Command::DeletePolicy { vhost, layer, name }),
        _ => access(step).or_else(|| intervention::of_step(step, broker)),
    }
}

/// The verbs of steps that are commands.
const VERBS: [&str; 18] = [
    "limits",
    "policy",
    "unpolicy",
    "vhost",
    "unvhost",
    "limit_vhost",
    "user",
    "unuser",
    "limit_user",
    "permit",
    "forbid",
    "permit_topic",
    "free_topic",
    "arguments",
    "pause_queue",
    "resume_queue",
    "delete_message",
    "cancel_delayed",
];

/// Whether a step of this verb is a command.
pub(super) fn is_one(verb: &str) -> bool {
    VERBS.contains(&verb)
}

/// The command of a step about who may do what.
fn access(step: &Step) -> Option<Command> {
    let text = |key: &str| step.text(key).to_owned();
    let name = |key: &str| ShortStr::from(step.text(key));
    let limit = |key: &str| step.value(key).and_then(|limit| limit.parse().ok());
    let (vhost, user) = (ShortStr::from(step.value("vhost").unwrap_or("/")), name("user"));
    Some(match step.verb() {
        "vhost" => Command::SetVhost { vhost: name("name"), metadata: VhostMetadata::default() },
        "unvhost" => Command::DeleteVhost { vhost: name("name") },
        "limit_vhost" => {
            let (max_connections, max_queues) = (limit("connections"), limit("queues"));
            let limits = VhostLimits { max_connections, max_queues };
            Command::SetVhostLimits { vhost: name("name"), limits }
        }
        "user" => {
            let tags = step.value("tags").map(|tags| tags.split('+').map(Into::into).collect());
            let password_hash = Some(hash(step.value("password").unwrap_or("guest")));
            Command::SetUser { user: name("name"), change: UserChange { password_hash, tags } }
        }
        "unuser" => Command::DeleteUser { user: name("name") },
        "limit_user" => {
            let (max_connections, max_channels) = (limit("connections"), limit("channels"));
            let limits = UserLimits { max_connections, max_channels };
            Command::SetUserLimits { user: name("name"), limits }
        }
        "permit" => {
            let (configure, write, read) = (text("configure"), text("write"), text("read"));
            let permission = Permission { configure, write, read };
            Command::SetPermission { vhost, user, permission }
        }
        "forbid" => Command::ClearPermission { vhost, user },
        "permit_topic" => {
            let (write, read) = (text("write"), text("read"));
            let permission = TopicPermission { exchange: name("x"), write, read };
            Command::SetTopicPermission { vhost, user, permission }
        }
        "free_topic" => {
            let exchange = step.value("x").map(ShortStr::from);
            Command::ClearTopicPermission { vhost, user, exchange }
        }
        _ => return None,
    })
}

/// What the model is told of such a command.
fn access_wish(command: &Command) -> Option<AccessWish> {
    let name = |name: &ShortStr| name.to_string();
    Some(match command {
        Command::SetVhost { vhost, .. } => AccessWish::Vhost(name(vhost)),
        Command::DeleteVhost { vhost } => AccessWish::NoVhost(name(vhost)),
        Command::SetVhostLimits { vhost, limits } => {
            AccessWish::LimitVhost(name(vhost), [limits.max_connections, limits.max_queues])
        }
        Command::SetUser { user, change } => {
            let password = change.password_hash.as_ref().and_then(|hash| hash.bytes.get(4..));
            let password = password.map(|text| String::from_utf8_lossy(text).into_owned());
            let tags = change.tags.as_ref().map(|tags| tags.iter().map(name).collect());
            AccessWish::User(name(user), password, tags)
        }
        Command::DeleteUser { user } => AccessWish::NoUser(name(user)),
        Command::SetUserLimits { user, limits } => {
            AccessWish::LimitUser(name(user), [limits.max_connections, limits.max_channels])
        }
        Command::SetPermission { vhost, user, permission } => {
            let Permission { configure, write, read } = permission.clone();
            AccessWish::Permit(name(vhost), name(user), [configure, write, read])
        }
        Command::ClearPermission { vhost, user } => AccessWish::Forbid(name(vhost), name(user)),
        Command::SetTopicPermission { vhost, user, permission } => {
            let TopicPermission { exchange, write, read } = permission.clone();
            let exchange = exchange.to_string();
            AccessWish::PermitTopic(name(vhost), name(user), exchange, [write, read])
        }
        Command::ClearTopicPermission { vhost, user, exchange } => {
            AccessWish::FreeTopic(name(vhost), name(user), exchange.as_ref().map(name))
        }
        _ => return None,
    })
}

/// What the model is told of a command; `named` tells the name of one of the broker's messages.
pub(crate) fn wish(
    command: &Command,
    broker: &Broker,
    model: &Model,
    named: impl Fn(&Message) -> Option<String>,
) -> Wish {
    let key = |vhost: &ShortStr, layer: &PolicyLayer, name: &ShortStr| PolicyKey {
        vhost: vhost.to_string(),
        is_operator: *layer == PolicyLayer::Operator,
        name: name.to_string(),
    };
    match command {
        Command::SetPolicy { vhost, layer, policy } => {
            let wished = model::Policy {
                pattern: policy.pattern.clone(),
                apply_to: policy.apply_to.name().into(),
                priority: policy.priority,
                definition: to_table(&policy.definition),
            };
            Wish::Set(key(vhost, layer, &policy.name), wished)
        }
        Command::DeletePolicy { vhost, layer, name } => Wish::Unset(key(vhost, layer, name)),
        command => match access_wish(command) {
            Some(wish) => Wish::Access(wish),
            None => intervention::wish(command, broker, model, named)
                .map_or(Wish::Other, Wish::Intervene),
        },
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

/// The table that a step's argument says.
pub(super) fn table(text: &str) -> FieldTable {
    FieldTable::new(headers(text).into_iter().map(entry).collect())
}

/// The same table as the model has it.
pub(super) fn to_table(table: &FieldTable) -> Table {
    let entry = |(key, value): &(ShortStr, FieldValue)| {
        let value = match value {
            FieldValue::LongStr(text) => Value::Text(text.to_vec()),
            FieldValue::Bool(value) => Value::Bool(*value),
            value => value.as_integer().map_or(Value::Void, Value::I64),
        };
        (key.to_string(), value)
    };
    table.iter().map(entry).collect()
}

fn entry((key, value): (String, Value)) -> (ShortStr, FieldValue) {
    let value = match value {
        Value::I32(number) => FieldValue::I32(number),
        Value::Text(text) => FieldValue::LongStr(text.into()),
        _ => FieldValue::Bool(true),
    };
    (ShortStr::from(key.as_str()), value)
}
