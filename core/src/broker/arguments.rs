//! Arguments of queues: which are known, what values they take, and when two declarations ask for
//! the same.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::deduplication::{DEDUPLICATION, HEADER, SIZE, SIZE_MAX, TTL};
use super::queue::{Queue, QueueDeclaration};
use super::refusal::{Refusal, RefusalKind, Resource};
use super::single_active::SingleActive;
use crate::amqp::{FieldTable, FieldValue, ShortStr};

/// The argument of queues and consumers that says how long a delivery may wait.
const CONSUMER_TIMEOUT: &str = "x-consumer-timeout";

/// What values an argument takes.
#[derive(Clone, Copy)]
enum Check {
    /// Any value.
    Any,
    /// An integer of at least this.
    Integer(i64),
    /// An integer of at least this and at most [`EXPIRATION_MAX`].
    Millis(i64),
    /// An integer from 1 to [`SIZE_MAX`].
    Size,
    /// An integer from 0 to 255.
    Priority,
    /// A boolean.
    Bool,
    /// A long string.
    Text,
    /// One of these long strings; else the problem's name.
    OneOf(&'static [&'static str], &'static str),
}

/// The longest that a message or a queue may be told to live, in milliseconds: ten years.
pub(crate) const EXPIRATION_MAX: u64 = 315_360_000_000;

const QUEUE_TYPE: &str = "x-queue-type";

pub(crate) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

/// The arguments that mean something to a queue: checked, kept, and compared when it is declared
/// again, in RabbitMQ's order. Others are kept and mean nothing.
const KNOWN: &[(&str, Check)] = &[
    ("x-expires", Check::Millis(1)),
    ("x-message-ttl", Check::Millis(0)),
    (DEAD_LETTER_EXCHANGE, Check::Text),
    ("x-dead-letter-routing-key", Check::Text),
    (
        "x-dead-letter-strategy",
        Check::OneOf(&["at-most-once", "at-least-once"], "invalid_dlx_strategy"),
    ),
    ("x-max-length", Check::Integer(0)),
    ("x-max-length-bytes", Check::Integer(0)),
    ("x-max-priority", Check::Priority),
    (
        "x-overflow",
        Check::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"], "invalid_overflow"),
    ),
    ("x-queue-mode", Check::Any),
    ("x-queue-version", Check::Any),
    ("x-queue-master-locator", Check::Text),
    (QUEUE_TYPE, Check::OneOf(&["classic", "quorum", "stream"], "unsupported_queue_type")),
    ("x-single-active-consumer", Check::Bool),
    (CONSUMER_TIMEOUT, Check::Integer(0)),
    ("x-delivery-limit", Check::Integer(-1)),
    DEDUPLICATING[0],
    DEDUPLICATING[1],
    DEDUPLICATING[2],
    DEDUPLICATING[3],
];

/// Those that a queue has for as long as it lives: its messages, or what its consumers hold, are
/// where they are because of them.
const FIXED: [&str; 7] =
    [QUEUE_TYPE, "x-max-priority", "x-single-active-consumer", DEDUPLICATION, SIZE, TTL, HEADER];

/// Those of deduplication, which exchanges have too.
const DEDUPLICATING: [(&str, Check); 4] = [
    (DEDUPLICATION, Check::Bool),
    (SIZE, Check::Size),
    (TTL, Check::Millis(0)),
    (HEADER, Check::Text),
];

/// Checks the arguments of a queue that is about to be made.
///
/// # Errors
/// Which one is wrong, and how.
pub(crate) fn check(
    declaration: &QueueDeclaration,
    name: &ShortStr,
    vhost: &ShortStr,
) -> Result<(), Refusal> {
    let resource = Resource { kind: "queue", name, vhost };
    let has = |name| declaration.arguments.find(name).is_some();
    if let Some(value) = declaration.arguments.find(DEAD_LETTER_EXCHANGE)
        && value.as_longstr().is_none()
    {
        let kind = value.type_name();
        let text = format!("invalid type '{kind}' for arg '{DEAD_LETTER_EXCHANGE}' in {resource}");
        return Err(Refusal::precondition(text));
    }
    for (name, check) in KNOWN {
        let Some(value) = declaration.arguments.find(name) else { continue };
        let checked = match *name {
            "x-dead-letter-routing-key"
                if value.as_longstr().is_some() && !has(DEAD_LETTER_EXCHANGE) =>
            {
                Err("routing_key_but_no_dlx_defined".to_string())
            }
            _ => check_value(value, *check),
        };
        checked.map_err(|problem| invalid(name, &resource, &problem))?;
    }
    check_type(declaration, &resource)
}

/// Checks the arguments of an exchange that are about deduplication.
///
/// # Errors
/// Which one is wrong, and how.
pub(crate) fn check_deduplicating(
    arguments: &FieldTable,
    exchange: &Resource<'_>,
) -> Result<(), Refusal> {
    for (name, check) in DEDUPLICATING {
        let Some(value) = arguments.find(name) else { continue };
        check_value(value, check).map_err(|problem| invalid(name, exchange, &problem))?;
    }
    Ok(())
}

/// Whether an exchange of these arguments deduplicates as one that was declared otherwise.
///
/// # Errors
/// Which argument differs.
pub(crate) fn check_same_deduplicating(
    received: &FieldTable,
    current: &FieldTable,
    exchange: &Resource<'_>,
) -> Result<(), Refusal> {
    let names = DEDUPLICATING.iter().map(|(name, _)| *name);
    check_same(names, received, current, exchange)
}

fn check_type(declaration: &QueueDeclaration, resource: &Resource<'_>) -> Result<(), Refusal> {
    let invalid = |property| {
        Err(Refusal::precondition(format!("invalid property '{property}' for {resource}")))
    };
    match declaration.arguments.find(QUEUE_TYPE).and_then(FieldValue::as_longstr) {
        Some(b"stream") => {
            Err(Refusal::new(RefusalKind::NotImplemented, "queues of type 'stream'"))
        }
        Some(b"quorum") if declaration.exclusive => invalid("exclusive-owner"),
        Some(b"quorum") if declaration.auto_delete => invalid("auto-delete"),
        Some(b"quorum") if !declaration.durable => invalid("non-durable"),
        _ => Ok(()),
    }
}

fn invalid(name: &str, resource: &Resource<'_>, problem: &str) -> Refusal {
    Refusal::precondition(format!("invalid arg '{name}' for {resource}: {problem}"))
}

fn integer(value: &FieldValue) -> Result<i64, String> {
    let problem = || format!("\"expected integer, got {}\"", value.type_name());
    value.as_integer().ok_or_else(problem)
}

fn check_value(value: &FieldValue, check: Check) -> Result<(), String> {
    let unacceptable = || Err(format!("{{unacceptable_type,{}}}", value.type_name()));
    match check {
        Check::Any => Ok(()),
        Check::Bool if matches!(value, FieldValue::Bool(_)) => Ok(()),
        Check::Text if value.as_longstr().is_some() => Ok(()),
        Check::OneOf(texts, problem) => match value.as_longstr() {
            None => unacceptable(),
            Some(text) if texts.iter().any(|known| known.as_bytes() == text) => Ok(()),
            Some(_) => Err(problem.to_string()),
        },
        Check::Millis(min) => match integer(value)? {
            millis if millis > EXPIRATION_MAX.cast_signed() => {
                Err(format!("{{value_too_large,{millis}}}"))
            }
            _ => check_value(value, Check::Integer(min)),
        },
        Check::Integer(min) => match integer(value)? {
            0 if min > 0 => Err("{value_zero,0}".to_string()),
            value if value < min => Err(format!("{{value_negative,{value}}}")),
            _ => Ok(()),
        },
        Check::Size => match integer(value)? {
            size if size > SIZE_MAX as i64 => Err(format!("{{value_too_large,{size}}}")),
            _ => check_value(value, Check::Integer(1)),
        },
        Check::Priority => match integer(value)? {
            value if value < 0 => Err(format!("{{value_negative,{value}}}")),
            0..=255 => Ok(()),
            value => Err(format!("{{max_value_exceeded,{value}}}")),
        },
        Check::Bool | Check::Text => unacceptable(),
    }
}

/// How a queue of these arguments serves one consumer at a time, if it does. As in RabbitMQ, the
/// active one makes room for a higher priority in quorum queues only.
pub(crate) fn single_active(arguments: &FieldTable) -> Option<SingleActive> {
    let is_single = arguments.find("x-single-active-consumer") == Some(&FieldValue::Bool(true));
    is_single.then(|| SingleActive::new(is_quorum(arguments)))
}

/// Whether these are the arguments of a quorum queue.
pub(crate) fn is_quorum(arguments: &FieldTable) -> bool {
    let kind = arguments.find(QUEUE_TYPE).and_then(FieldValue::as_longstr);
    kind == Some(b"quorum")
}

/// The priority that a consumer asks for, and its timeout, if it says: zero for none.
///
/// # Errors
/// When one is no integer, or makes no sense.
pub(crate) fn of_consumer(
    arguments: &FieldTable,
    queue: &Resource<'_>,
) -> Result<(i64, Option<Duration>), Refusal> {
    let priority = match arguments.find("x-priority") {
        None => 0,
        Some(value) => integer(value).map_err(|problem| invalid("x-priority", queue, &problem))?,
    };
    if let Some(value) = arguments.find(CONSUMER_TIMEOUT) {
        check_value(value, Check::Integer(0))
            .map_err(|problem| invalid(CONSUMER_TIMEOUT, queue, &problem))?;
    }
    Ok((priority, consumer_timeout(arguments)))
}

/// How long a delivery may wait for its acknowledgement, if these arguments say: zero for ever.
fn consumer_timeout(arguments: &FieldTable) -> Option<Duration> {
    let millis = arguments.find(CONSUMER_TIMEOUT)?.as_integer()?;
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// Whether another declaration means this same queue.
///
/// # Errors
/// Which property differs.
pub(crate) fn check_equivalent(
    queue: &Queue,
    declaration: &QueueDeclaration,
    vhost: &ShortStr,
) -> Result<(), Refusal> {
    let resource = Resource { kind: "queue", name: &queue.name, vhost };
    let durable = declaration.durable && !declaration.exclusive;
    for (argument, received, current) in [
        ("durable", durable, queue.durable),
        ("auto_delete", declaration.auto_delete, queue.auto_delete),
    ] {
        if received != current {
            let [received, current] = [received, current].map(|flag| format!("'{flag}'"));
            return Err(Refusal::inequivalent(&resource, argument, &received, &current));
        }
    }
    let names = KNOWN.iter().map(|(name, _)| *name);
    check_same(names, &declaration.arguments, &queue.arguments, &resource)
}

/// The arguments that a queue has when these take the place of its own. It stays of its type if
/// they do not name one.
///
/// # Errors
/// Which one is wrong, and how, or which one cannot change.
pub(crate) fn changed(
    queue: &Queue,
    mut arguments: FieldTable,
    vhost: &ShortStr,
) -> Result<FieldTable, Refusal> {
    if arguments.find(QUEUE_TYPE).is_none()
        && let Some(kind) = queue.arguments.find(QUEUE_TYPE)
    {
        arguments.push(QUEUE_TYPE.into(), kind.clone());
    }
    let declaration = QueueDeclaration {
        name: queue.name.clone(),
        durable: queue.durable,
        exclusive: queue.owner.is_some(),
        auto_delete: queue.auto_delete,
        arguments,
    };
    check(&declaration, &queue.name, vhost)?;
    if let Some(argument) = fixed_that_differs(&declaration.arguments, &queue.arguments) {
        let resource = Resource { kind: "queue", name: &queue.name, vhost };
        let text = format!("arg '{argument}' for {resource} cannot be changed");
        return Err(Refusal::precondition(text));
    }
    Ok(declaration.arguments.canonical())
}

/// The argument that two tables differ in, of those that a queue has for as long as it lives.
pub(crate) fn fixed_that_differs(a: &FieldTable, b: &FieldTable) -> Option<&'static str> {
    let differs = |name: &&str| !is_same(find(a, name).as_ref(), find(b, name).as_ref());
    FIXED.into_iter().find(differs)
}

/// Whether these arguments are the same in both.
fn check_same(
    names: impl Iterator<Item = &'static str>,
    received: &FieldTable,
    current: &FieldTable,
    resource: &Resource<'_>,
) -> Result<(), Refusal> {
    for argument in names {
        let received = find(received, argument);
        let current = find(current, argument);
        if !is_same(received.as_ref(), current.as_ref()) {
            let is_short = received.is_some() && current.is_some();
            let [received, current] = [received, current].map(|value| match value {
                None => "none".to_string(),
                Some(value) if is_short => format!("'{}'", print(&value)),
                Some(value) => {
                    format!("the value '{}' of type '{}'", print(&value), value.type_name())
                }
            });
            return Err(Refusal::inequivalent(resource, argument, &received, &current));
        }
    }
    Ok(())
}

/// No type said is the type `classic`.
fn find(arguments: &FieldTable, name: &str) -> Option<FieldValue> {
    match arguments.find(name) {
        None if name == QUEUE_TYPE => Some(FieldValue::text("classic")),
        found => found.cloned(),
    }
}

fn is_same(a: Option<&FieldValue>, b: Option<&FieldValue>) -> bool {
    let integer = |value: Option<&FieldValue>| value.and_then(FieldValue::as_integer);
    a == b || (integer(a).is_some() && integer(a) == integer(b))
}

fn print(value: &FieldValue) -> String {
    match value {
        FieldValue::LongStr(text) => String::from_utf8_lossy(text).into_owned(),
        FieldValue::Bool(value) => value.to_string(),
        value => match value.as_integer() {
            Some(value) => value.to_string(),
            None => format!("{value:?}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::queue::Owner;
    use super::*;

    fn declaration(arguments: &[(&str, FieldValue)]) -> QueueDeclaration {
        let entries = arguments.iter().map(|(k, v)| ((*k).into(), v.clone())).collect();
        QueueDeclaration {
            name: "q".into(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: FieldTable::new(entries),
        }
    }

    fn compare(
        current: &[(&str, FieldValue)],
        received: &[(&str, FieldValue)],
    ) -> Result<(), String> {
        let (number, vhost) = Default::default();
        let queue = Queue::new(number, vhost, "q".into(), &declaration(current), Owner(0), 0);
        check_equivalent(&queue, &declaration(received), &"/".into()).map_err(|r| r.explanation)
    }

    #[test]
    fn integers_of_any_type_are_the_same_by_value() {
        let ttl = |value| vec![("x-message-ttl", value)];
        assert_eq!(compare(&ttl(FieldValue::I32(5)), &ttl(FieldValue::I64(5))), Ok(()));
        assert_eq!(
            compare(&[], &ttl(FieldValue::I32(5))),
            Err("inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value \
                 '5' of type 'signedint' but current is none"
                .into())
        );
    }

    #[test]
    fn unknown_arguments_are_not_compared() {
        assert_eq!(compare(&[("x-unknown", FieldValue::I32(1))], &[]), Ok(()));
    }

    #[test]
    fn no_queue_type_is_classic() {
        assert_eq!(compare(&[], &[("x-queue-type", FieldValue::text("classic"))]), Ok(()));
        assert!(compare(&[], &[("x-queue-type", FieldValue::text("quorum"))]).is_err());
    }

    /// Why a queue `q` with this argument is refused: the end of the text.
    fn refused(name: &str, value: FieldValue) -> Option<String> {
        let declaration = declaration(&[(name, value)]);
        let refused = check(&declaration, &"q".into(), &"/".into()).err()?.explanation;
        let common = format!("invalid arg '{name}' for queue 'q' in vhost '/': ");
        Some(refused.strip_prefix(&common).unwrap_or(&refused).to_string())
    }

    /// What RabbitMQ says: 3.10.8 was asked all of it, 4.3.6 what stands in the recorded
    /// conversations.
    #[test]
    fn values_that_make_no_sense_are_refused_in_rabbitmqs_words() {
        let numbers = [
            "x-expires",
            "x-message-ttl",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-priority",
            CONSUMER_TIMEOUT,
            "x-delivery-limit",
            SIZE,
            TTL,
        ];
        for name in numbers {
            for (value, kind) in [
                (FieldValue::F64(0x3FF8_0000_0000_0000), "double"),
                (FieldValue::text("5"), "longstr"),
                (FieldValue::Bool(true), "bool"),
                (FieldValue::Void, "void"),
            ] {
                let problem = format!("\"expected integer, got {kind}\"");
                assert_eq!(refused(name, value), Some(problem), "{name}");
            }
            let least = if name == "x-delivery-limit" { -1 } else { 0 };
            let below = Some(format!("{{value_negative,{}}}", least - 1));
            assert_eq!(refused(name, FieldValue::I64(least - 1)), below, "{name}");
            assert_eq!(refused(name, FieldValue::I32(1)), None, "{name}");
        }
        for (name, value, problem) in [
            ("x-expires", 0, "{value_zero,0}"),
            ("x-expires", 315_360_000_001, "{value_too_large,315360000001}"),
            ("x-message-ttl", 315_360_000_001, "{value_too_large,315360000001}"),
            ("x-message-ttl", i64::MAX, "{value_too_large,9223372036854775807}"),
            ("x-max-priority", 256, "{max_value_exceeded,256}"),
            (SIZE, 0, "{value_zero,0}"),
            (SIZE, 1_000_001, "{value_too_large,1000001}"),
            (TTL, 315_360_000_001, "{value_too_large,315360000001}"),
        ] {
            assert_eq!(refused(name, FieldValue::I64(value)).as_deref(), Some(problem), "{name}");
        }
        for (name, value) in [
            ("x-expires", 315_360_000_000),
            ("x-message-ttl", 0),
            ("x-message-ttl", 315_360_000_000),
            ("x-max-length", 0),
            ("x-max-length", i64::MAX),
            ("x-max-length-bytes", i64::MAX),
            ("x-max-priority", 0),
            ("x-max-priority", 255),
            ("x-delivery-limit", -1),
            (CONSUMER_TIMEOUT, i64::MAX),
            (SIZE, 1_000_000),
            (TTL, 0),
        ] {
            assert_eq!(refused(name, FieldValue::I64(value)), None, "{name} {value}");
        }
        let of_type = "{unacceptable_type,signedint}";
        for (name, value, problem) in [
            ("x-overflow", FieldValue::I32(1), of_type),
            ("x-overflow", FieldValue::text("explode"), "invalid_overflow"),
            ("x-dead-letter-strategy", FieldValue::text("never"), "invalid_dlx_strategy"),
            ("x-single-active-consumer", FieldValue::I32(1), of_type),
            (DEDUPLICATION, FieldValue::I32(1), of_type),
            (HEADER, FieldValue::I32(1), of_type),
            ("x-queue-type", FieldValue::text("heap"), "unsupported_queue_type"),
            ("x-queue-type", FieldValue::text("stream"), "queues of type 'stream'"),
            (
                DEAD_LETTER_EXCHANGE,
                FieldValue::I32(1),
                "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
            ),
            ("x-dead-letter-routing-key", FieldValue::I32(1), of_type),
            (
                "x-dead-letter-routing-key",
                FieldValue::text("key"),
                "routing_key_but_no_dlx_defined",
            ),
        ] {
            assert_eq!(refused(name, value).as_deref(), Some(problem), "{name}");
        }
    }
}
