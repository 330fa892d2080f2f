//! Keys of what a new virtual host has from its beginning.

use regex_lite::Regex;

use super::super::settings::Settings;
use super::super::value;
use super::{KEY, Key};
use crate::vhost_defaults::{Limits, Member, OperatorPolicy};

pub(super) const VHOSTS: [Key; 17] = [
    Key {
        name: "default_limits.vhosts.$id.pattern",
        example: "^prod",
        about: "A regular expression: which virtual hosts have these limits when they are made. \
                All, if nothing is said. Of several of which this is so, the first by the text in \
                place of `1` counts. Those that are there already stay as they are.",
        set: |settings, id, text| {
            limits(settings, id).pattern = Some(pattern(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_limits.vhosts.$id.max_connections",
        example: "1000",
        about: "How many connections there may be in such a virtual host.",
        set: |settings, id, text| {
            limits(settings, id).limits.max_connections = Some(value::integer(text, 0, COUNT_MAX)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_limits.vhosts.$id.max_queues",
        example: "5000",
        about: "How many queues there may be in it.",
        set: |settings, id, text| {
            limits(settings, id).limits.max_queues = Some(value::integer(text, 0, COUNT_MAX)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.vhost_pattern",
        example: "^prod",
        about: "A regular expression: which virtual hosts have this operator's policy when they \
                are made. All, if nothing is said.",
        set: |settings, name, text| {
            policy(settings, name).vhosts = Some(pattern(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.queue_pattern",
        example: "^tmp",
        about: "Which names it is for there. All, if nothing is said.",
        set: |settings, name, text| {
            policy(settings, name).queues = Some(text.to_owned());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.apply_to",
        example: "queues",
        about: "What it is for: queues, classic_queues, quorum_queues, or all, which is so if \
                nothing is said.",
        set: |settings, name, text| {
            policy(settings, name).apply_to = Some(text.to_owned());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.expires",
        example: "7d",
        about: "What it asks for: after how long a queue that nobody uses goes. Milliseconds, or \
                with a unit, such as 90s, 1h or 7d.",
        set: |settings, name, text| ask(settings, name, "expires", duration(text)?),
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.message_ttl",
        example: "1h",
        about: "For how long a message is kept at the most, said like that too.",
        set: |settings, name, text| ask(settings, name, "message-ttl", duration(text)?),
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.max_length",
        example: "100000",
        about: "How many messages a queue holds at the most.",
        set: |settings, name, text| {
            ask(settings, name, "max-length", value::integer(text, 0, i64::MAX)?)
        },
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.max_length_bytes",
        example: "1GB",
        about: "How many bytes of messages it holds at the most: a number, or with KB, MB or GB.",
        set: |settings, name, text| {
            let bytes = value::bytes(text)?;
            let bytes = i64::try_from(bytes).map_err(|_| format!("`{text}` is too much"))?;
            ask(settings, name, "max-length-bytes", bytes)
        },
        ..KEY
    },
    Key {
        name: "default_policies.operator.$policy.delivery_limit",
        example: "20",
        about: "How often a message of a queue comes back at the most.",
        set: |settings, name, text| {
            ask(settings, name, "delivery-limit", value::integer(text, 0, i64::MAX)?)
        },
        ..KEY
    },
    Key {
        name: "default_users.$member.vhost_pattern",
        example: "^prod",
        about: "A regular expression: in which virtual hosts this user may do something when they \
                are made. All, if nothing is said. The first such virtual host makes the user too, \
                unless there is one of the name.",
        set: |settings, name, text| {
            member(settings, name).vhosts = Some(pattern(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_users.$member.password",
        example: "a-secret",
        about: "This user's password; who has none cannot log in with one. Better from the \
                environment, or from a file: $(<FILE).",
        is_secret: true,
        set: |settings, name, text| {
            member(settings, name).password = Some(value::secret(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_users.$member.tags",
        example: "monitoring",
        about: "This user's tags, with commas between them.",
        set: |settings, name, text| {
            let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            let short = |tag: &str| {
                let tag = warren_core::amqp::ShortStr::new(tag.to_owned().into_bytes().into());
                tag.ok_or_else(|| "a tag is longer than 255 bytes".to_owned())
            };
            member(settings, name).tags = tags.map(short).collect::<Result<_, _>>()?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_users.$member.configure",
        example: ".*",
        about: "A pattern: what this user may declare and delete there. Everything, if nothing is \
                said.",
        set: |settings, name, text| permit(settings, name, 0, text),
        ..KEY
    },
    Key {
        name: "default_users.$member.write",
        example: ".*",
        about: "Where this user may publish.",
        set: |settings, name, text| permit(settings, name, 1, text),
        ..KEY
    },
    Key {
        name: "default_users.$member.read",
        example: ".*",
        about: "What this user may consume.",
        set: |settings, name, text| permit(settings, name, 2, text),
        ..KEY
    },
];

/// A limit that is beyond all that there can be, and is a number in JSON.
const COUNT_MAX: u64 = u32::MAX as u64;

fn limits<'a>(settings: &'a mut Settings, id: &str) -> &'a mut Limits {
    settings.vhost_defaults.limits.entry(id.to_owned()).or_default()
}

fn policy<'a>(settings: &'a mut Settings, name: &str) -> &'a mut OperatorPolicy {
    settings.vhost_defaults.policies.entry(name.to_owned()).or_default()
}

fn member<'a>(settings: &'a mut Settings, name: &str) -> &'a mut Member {
    settings.vhost_defaults.users.entry(name.to_owned()).or_default()
}

fn ask(settings: &mut Settings, name: &str, key: &'static str, value: i64) -> Result<(), String> {
    policy(settings, name).definition.push((key, value));
    Ok(())
}

fn permit(settings: &mut Settings, name: &str, index: usize, text: &str) -> Result<(), String> {
    member(settings, name).permissions[index] = Some(text.to_owned());
    Ok(())
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("`{text}`: {error}"))
}

/// Milliseconds.
fn duration(text: &str) -> Result<i64, String> {
    let duration = value::duration(text)?;
    i64::try_from(duration.as_millis()).map_err(|_| format!("`{text}` is too long"))
}
