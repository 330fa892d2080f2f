//! A policy: what the people who run the broker ask of exchanges and queues, by their names.
//!
//! A policy is checked when it is made and means something ever after: its pattern compiles, its
//! keys are known, its values make sense. Texts of refusals are RabbitMQ's, with its spelling of
//! values.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use regex_automata::nfa::thompson::pikevm;

use super::pattern::{self, PATTERN_LEN_MAX};
use super::refusal::Refusal;
use crate::amqp::{FieldTable, FieldValue, ShortStr};

/// Whose policy it is. One of each is in force for an exchange or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyLayer {
    /// A user's.
    User,
    /// An operator's: it sets limits to what users ask for.
    Operator,
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyTo {
    /// Exchanges and queues of any type.
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of any type.
    Queues,
    /// Queues of the type `classic`.
    ClassicQueues,
    /// Queues of the type `quorum`.
    QuorumQueues,
    /// Queues of the type `stream`.
    Streams,
}

impl ApplyTo {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Exchanges,
        Self::Queues,
        Self::ClassicQueues,
        Self::QuorumQueues,
        Self::Streams,
    ];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    /// What people call `name`.
    ///
    /// # Errors
    /// When there is no such thing.
    pub fn from_name(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
            invalid(&format!(
                "apply-to '{name}' unrecognised; should be one of: 'queues', 'classic_queues',  \
                 'quorum_queues', 'streams', 'exchanges', or 'all'"
            ))
        })
    }
}

/// A policy, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name, which no other of its layer and virtual host has.
    pub name: ShortStr,
    /// A regular expression: it is for what has a name in which this is found.
    pub pattern: String,
    /// What it is for.
    pub apply_to: ApplyTo,
    /// Of those that are for the same, the one with the highest counts.
    pub priority: i64,
    /// What it asks for.
    pub definition: FieldTable,
}

impl Policy {
    /// Whether it could be set in this layer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, layer: PolicyLayer) -> Result<(), Refusal> {
        Compiled::new(layer, self.clone()).map(drop)
    }
}

/// What a policy may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Exchange,
    Classic,
    Quorum,
}

impl Kind {
    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

/// Something that a policy may be for, and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a ShortStr,
}

/// A policy that was checked, ready to be matched.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) policy: Policy,
    matcher: pikevm::PikeVM,
    /// What every name begins with that the pattern matches.
    prefix: Vec<u8>,
    /// Whether it asks for what only other types of queues have.
    is_for_streams: bool,
    is_for_classic: bool,
}

impl Compiled {
    /// Checks a policy.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(layer: PolicyLayer, policy: Policy) -> Result<Self, Refusal> {
        let matcher = compile(&policy.pattern)?;
        check_definition(layer, &policy.definition).map_err(|problem| invalid(&problem))?;
        let asks_for = |keys: &[&str]| {
            policy.definition.iter().any(|(key, _)| keys.iter().any(|other| *key == *other))
        };
        Ok(Self {
            prefix: prefix(&policy.pattern),
            is_for_streams: asks_for(STREAM_KEYS),
            is_for_classic: asks_for(CLASSIC_KEYS),
            matcher,
            policy: Policy {
                name: policy.name.detached(),
                definition: policy.definition.canonical(),
                ..policy
            },
        })
    }

    /// Memory to match names in; good for any number of them, one after the other.
    pub(crate) fn cache(&self) -> pikevm::Cache {
        self.matcher.create_cache()
    }

    /// Whether it is for this, whatever others say.
    pub(crate) fn matches(&self, subject: Subject<'_>, cache: &mut pikevm::Cache) -> bool {
        self.may_match(subject) && self.matcher.is_match(cache, subject.name.as_bytes())
    }

    /// Whether it is for this, as far as that can be told at hardly any cost.
    pub(crate) fn may_match(&self, subject: Subject<'_>) -> bool {
        let is_for_kind = match (self.policy.apply_to, subject.kind) {
            (ApplyTo::Exchanges | ApplyTo::All, Kind::Exchange) => true,
            (_, Kind::Exchange) | (ApplyTo::Exchanges | ApplyTo::Streams, _) => false,
            (ApplyTo::Queues | ApplyTo::All, _) => true,
            (ApplyTo::ClassicQueues, kind) => kind == Kind::Classic,
            (ApplyTo::QuorumQueues, kind) => kind == Kind::Quorum,
        };
        // As in RabbitMQ: a policy with a key that a type of queue cannot have is none for it.
        let is_applicable = match subject.kind {
            Kind::Exchange => true,
            Kind::Classic => !self.is_for_streams,
            Kind::Quorum => !self.is_for_streams && !self.is_for_classic,
        };
        is_for_kind && is_applicable && subject.name.as_bytes().starts_with(&self.prefix)
    }
}

/// What policies ask of an exchange or a queue: the user's and the operator's together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) user: Option<&'a FieldTable>,
    pub(crate) operator: Option<&'a FieldTable>,
}

impl<'a> Asked<'a> {
    /// A limit: the lower one counts. A negative one is none.
    pub(crate) fn limit(&self, key: &str) -> Option<u64> {
        let limit = |table: Option<&FieldTable>| {
            u64::try_from(table?.find(key).and_then(FieldValue::as_integer)?).ok()
        };
        limit(self.user).into_iter().chain(limit(self.operator)).min()
    }

    /// All that is asked for: of what both ask for, the lower limit, or else the operator's.
    pub(crate) fn merged(&self) -> FieldTable {
        let mut merged = self.user.cloned().unwrap_or_default();
        let Some(operator) = self.operator else { return merged };
        for (key, value) in operator.iter() {
            if merged.find(&key.to_text()).is_none() {
                merged.push(key.clone(), value.clone());
            }
        }
        let asked = |(key, own): &(ShortStr, FieldValue)| {
            let value = match self.limit(&key.to_text()) {
                Some(limit) => FieldValue::I64(i64::try_from(limit).unwrap_or(i64::MAX)),
                None => self.value(&key.to_text()).unwrap_or(own).clone(),
            };
            (key.clone(), value)
        };
        FieldTable::new(merged.iter().map(asked).collect())
    }

    /// Anything else: the operator's counts.
    pub(crate) fn value(&self, key: &str) -> Option<&'a FieldValue> {
        let value = |table: Option<&'a FieldTable>| table?.find(key);
        value(self.operator).or_else(|| value(self.user))
    }
}

/// What values a key takes.
#[derive(Clone, Copy)]
enum Check {
    /// An integer of at least this.
    Integer(i64),
    Text,
    OneOf(&'static [&'static str]),
    Version,
    Age,
}

/// A key of definitions: what values it takes, what RabbitMQ calls them, and whether operators may
/// ask for it.
struct Known(&'static str, Check, &'static str, bool);

/// The keys that mean something; each takes what RabbitMQ lets it take.
const KNOWN: &[Known] = &[
    Known("alternate-exchange", Check::Text, "alternate exchange name", false),
    Known("consumer-disconnected-timeout", Check::Integer(0), CONSUMER_DISCONNECTED, false),
    Known("consumer-timeout", Check::Integer(0), "consumer timeout", false),
    Known("dead-letter-exchange", Check::Text, "dead letter exchange name", false),
    Known("dead-letter-routing-key", Check::Text, "dead letter routing key", false),
    Known(
        "dead-letter-strategy",
        Check::OneOf(&["at-most-once", "at-least-once"]),
        "dead letter strategy",
        false,
    ),
    Known("message-ttl", Check::Integer(0), "message TTL", true),
    Known("expires", Check::Integer(1), "queue expiry", true),
    Known("max-length", Check::Integer(0), "maximum length", true),
    Known("max-length-bytes", Check::Integer(0), "maximum length in bytes", true),
    Known("max-in-memory-length", Check::Integer(0), "maximum memory in bytes", true),
    Known("max-in-memory-bytes", Check::Integer(0), "maximum memory in bytes", true),
    Known("queue-mode", Check::OneOf(&["default", "lazy"]), "queue-mode value", false),
    Known("queue-version", Check::Version, "queue-version value", true),
    Known(
        "overflow",
        Check::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]),
        "overflow value",
        true,
    ),
    Known("delivery-limit", Check::Integer(i64::MIN), "delivery limit", true),
    Known("target-group-size", Check::Integer(1), "qq target count value", true),
    Known("max-age", Check::Age, "max age", false),
    Known(
        "queue-leader-locator",
        Check::OneOf(&["client-local", "balanced", "random", "least-leaders"]),
        "queue leader locator value",
        false,
    ),
    Known("initial-cluster-size", Check::Integer(0), "cluster size", false),
    Known("stream-max-segment-size-bytes", Check::Integer(0), "segment size", false),
    Known("stream-filter-size-bytes", Check::Integer(16), "filter size", false),
];

const CONSUMER_DISCONNECTED: &str = "consumer disconnected timeout";
/// What only streams have.
const STREAM_KEYS: &[&str] = &["max-age", "stream-max-segment-size-bytes", "initial-cluster-size"];
/// What only classic queues have.
const CLASSIC_KEYS: &[&str] = &["queue-mode"];

fn check_definition(layer: PolicyLayer, definition: &FieldTable) -> Result<(), String> {
    if definition.is_empty() {
        return Err("no policy provided".to_string());
    }
    let mut seen = Vec::new();
    let mut unknown = Vec::new();
    for (key, value) in definition.iter() {
        if seen.contains(&key) {
            return Err(format!("[{}] duplicate keys not allowed", print_text(key.as_bytes())));
        }
        seen.push(key);
        let is_open = |known: &&Known| *key == *known.0 && (layer == PolicyLayer::User || known.3);
        match KNOWN.iter().find(is_open) {
            Some(Known(_, check, what, _)) if !is_taken(*check, value) => {
                return Err(format!("{} is not a valid {what}", print(value)));
            }
            Some(_) => {}
            None => {
                unknown.push(format!("{{{},{}}}", print_text(key.as_bytes()), print(value)));
            }
        }
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(format!("[{}] are not recognised policy settings", unknown.join(","))),
    }
}

fn is_taken(check: Check, value: &FieldValue) -> bool {
    match check {
        Check::Integer(min) => value.as_integer().is_some_and(|value| value >= min),
        Check::Text => value.as_longstr().is_some(),
        Check::OneOf(texts) => {
            let is_one = |text| texts.iter().any(|known| known.as_bytes() == text);
            value.as_longstr().is_some_and(is_one)
        }
        Check::Version => matches!(value.as_integer(), Some(1 | 2)),
        Check::Age => value.as_longstr().is_some_and(is_age),
    }
}

/// A number and its unit: `7D`.
fn is_age(text: &[u8]) -> bool {
    let Some((unit, digits)) = text.split_last() else { return false };
    b"YMDhms".contains(unit) && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Compiles a pattern.
fn compile(pattern: &str) -> Result<pikevm::PikeVM, Refusal> {
    if pattern.len() > PATTERN_LEN_MAX {
        return Err(invalid(&format!("pattern must not exceed {PATTERN_LEN_MAX} bytes")));
    }
    pattern::compile(pattern).map_err(|problem| {
        invalid(&format!("pattern should be regular expression but is invalid: {problem}"))
    })
}

/// The plain characters behind a `^` with which the pattern begins: all that it matches begins with
/// them, unless it says `or` somewhere.
fn prefix(pattern: &str) -> Vec<u8> {
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else {
        return Vec::new();
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_/:, ".contains(byte);
    let mut prefix: Vec<u8> = rest.bytes().take_while(is_plain).collect();
    // The last may be repeated, or not be there at all.
    if rest.as_bytes().get(prefix.len()).is_some_and(|next| b"*?{+".contains(next)) {
        prefix.pop();
    }
    prefix
}

fn invalid(problem: &str) -> Refusal {
    Refusal::precondition(format!("Validation failed\n\n{problem}\n"))
}

/// A value in Erlang's spelling.
fn print(value: &FieldValue) -> String {
    match value {
        FieldValue::LongStr(text) => print_text(text),
        FieldValue::Bool(value) => value.to_string(),
        value => match value.as_integer() {
            Some(value) => value.to_string(),
            None => format!("{{{}}}", value.type_name()),
        },
    }
}

fn print_text(text: &[u8]) -> String {
    format!("<<\"{}\">>", String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn policy(pattern: &str, apply_to: ApplyTo, key: &str, value: FieldValue) -> Policy {
        Policy {
            name: "p".into(),
            pattern: pattern.into(),
            apply_to,
            priority: 0,
            definition: FieldTable::new(vec![(key.into(), value)]),
        }
    }

    fn compiled(pattern: &str) -> Compiled {
        let policy = policy(pattern, ApplyTo::All, "max-length", FieldValue::I64(1));
        Compiled::new(PolicyLayer::User, policy).expect("a policy")
    }

    fn is_match(policy: &Compiled, kind: Kind, name: &str) -> bool {
        policy.matches(Subject { kind, name: &name.into() }, &mut policy.cache())
    }

    #[test]
    fn a_pattern_is_found_anywhere_unless_it_says_where() {
        for (pattern, name, expected) in [
            ("", "anything", true),
            ("b", "abc", true),
            ("^b", "abc", false),
            ("^ab", "abc", true),
            ("^ab?c$", "ac", true),
            ("^abx*", "ab", true),
            ("^ab|c", "xc", true),
            ("^(?:q|x)[0-9]+$", "q17", true),
            ("^a.b$", "a\nb", false),
            ("(?i)^AB", "abc", true),
            ("é", "café", true),
            ("^.{5}$", "café", true),
        ] {
            let policy = compiled(pattern);
            assert_eq!(is_match(&policy, Kind::Classic, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_policy_is_for_what_it_says() {
        let kinds = [Kind::Exchange, Kind::Classic, Kind::Quorum];
        for (apply_to, expected) in [
            (ApplyTo::All, [true, true, true]),
            (ApplyTo::Exchanges, [true, false, false]),
            (ApplyTo::Queues, [false, true, true]),
            (ApplyTo::ClassicQueues, [false, true, false]),
            (ApplyTo::QuorumQueues, [false, false, true]),
            (ApplyTo::Streams, [false, false, false]),
        ] {
            let policy = policy("", apply_to, "max-length", FieldValue::I64(1));
            let policy = Compiled::new(PolicyLayer::User, policy).expect("a policy");
            assert_eq!(kinds.map(|kind| is_match(&policy, kind, "q")), expected, "{apply_to:?}");
        }
    }

    #[test]
    fn a_key_that_a_type_of_queue_cannot_have_keeps_the_policy_from_it() {
        for (key, value, expected) in [
            ("max-age", FieldValue::text("7D"), [false, false]),
            ("queue-mode", FieldValue::text("lazy"), [true, false]),
            ("delivery-limit", FieldValue::I64(3), [true, true]),
        ] {
            let policy = policy("", ApplyTo::All, key, value);
            let policy = Compiled::new(PolicyLayer::User, policy).expect("a policy");
            let kinds = [Kind::Classic, Kind::Quorum];
            assert_eq!(kinds.map(|kind| is_match(&policy, kind, "q")), expected, "{key}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_rabbitmqs_words() {
        use PolicyLayer::{Operator, User};
        for (layer, key, value, text) in [
            (User, "max-length", FieldValue::I64(-1), "-1 is not a valid maximum length"),
            (User, "expires", FieldValue::I64(0), "0 is not a valid queue expiry"),
            (User, "message-ttl", FieldValue::text("1"), "<<\"1\">> is not a valid message TTL"),
            (User, "message-ttl", FieldValue::F64(1), "{double} is not a valid message TTL"),
            (User, "overflow", FieldValue::text("x"), "<<\"x\">> is not a valid overflow value"),
            (User, "max-age", FieldValue::text("7"), "<<\"7\">> is not a valid max age"),
            (
                User,
                "ttl",
                FieldValue::I64(1),
                "[{<<\"ttl\">>,1}] are not recognised policy settings",
            ),
            (
                Operator,
                "dead-letter-exchange",
                FieldValue::text("x"),
                "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings",
            ),
        ] {
            let refused = Compiled::new(layer, policy("", ApplyTo::All, key, value)).unwrap_err();
            assert_eq!(refused.explanation, format!("Validation failed\n\n{text}\n"));
        }
    }

    #[test]
    fn a_pattern_that_is_none_or_too_large_is_refused() {
        let long = "a".repeat(PATTERN_LEN_MAX + 1);
        for pattern in ["(", "a(?=b)", r"(a)\1", "((a{99}){99}){99}", &long] {
            let policy = policy(pattern, ApplyTo::All, "max-length", FieldValue::I64(1));
            let refused = Compiled::new(PolicyLayer::User, policy).unwrap_err();
            assert!(refused.explanation.contains("pattern "), "{refused:?}");
        }
    }

    #[test]
    fn the_lower_limit_and_the_operators_value_count() {
        let table = |limit: i64, overflow: &'static str| {
            let limit = ("delivery-limit".into(), FieldValue::I64(limit));
            FieldTable::new(vec![limit, ("overflow".into(), FieldValue::text(overflow))])
        };
        for (user, operator, expected) in [(3, 5, Some(3)), (-1, 5, Some(5)), (-1, -1, None)] {
            let (user, operator) = (table(user, "drop-head"), table(operator, "reject-publish"));
            let asked = Asked { user: Some(&user), operator: Some(&operator) };
            assert_eq!(asked.limit("delivery-limit"), expected);
            assert_eq!(asked.value("overflow"), Some(&FieldValue::text("reject-publish")));
        }
    }
}
