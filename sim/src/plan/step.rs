//! One step of a plan: who does what, with which arguments.

use std::fmt;
use std::str::FromStr;

/// Who a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The world as a whole.
    World,
    /// A client, by number.
    Client(u8),
    /// A channel of a client.
    Channel(u8, u16),
}

/// What a verb is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    World,
    Client,
    Channel,
}

/// A verb, what it is about, the keys that take a value, and the flags.
type Verb = (&'static str, Level, &'static [&'static str], &'static [&'static str]);

use Level::{Channel, Client, World};

/// Every verb. Durations are in microseconds, sizes in bytes.
const VERBS: &[Verb] = &[
    ("wait", World, &["us"], &[]),
    ("crash", World, &["seed"], &[]),
    ("power", World, &["seed"], &[]),
    ("pause", World, &["us"], &[]),
    ("policy", World, &["vhost", "name", "pattern", "apply", "priority", "arg"], &["operator"]),
    ("unpolicy", World, &["vhost", "name"], &["operator"]),
    ("vhost", World, &["name"], &[]),
    ("unvhost", World, &["name"], &[]),
    ("limit_vhost", World, &["name", "connections", "queues"], &[]),
    ("user", World, &["name", "password", "tags"], &[]),
    ("unuser", World, &["name"], &[]),
    ("limit_user", World, &["name", "connections", "channels"], &[]),
    ("permit", World, &["vhost", "user", "configure", "write", "read"], &[]),
    ("forbid", World, &["vhost", "user"], &[]),
    ("permit_topic", World, &["vhost", "user", "x", "write", "read"], &[]),
    ("free_topic", World, &["vhost", "user", "x"], &[]),
    ("arguments", World, &["vhost", "q", "arg"], &[]),
    ("pause_queue", World, &["vhost", "q"], &[]),
    ("resume_queue", World, &["vhost", "q"], &[]),
    ("delete_message", World, &["vhost", "q", "nth"], &[]),
    ("cancel_delayed", World, &["vhost", "nth"], &[]),
    ("limits", World, &["memory_max", "disk_free_min"], &[]),
    (
        "disk",
        World,
        &["us", "crash_at", "eio", "decay", "seed"],
        &["power", "full", "slow", "stuck", "flap", "misread", "lie", "mend", "gone"],
    ),
    (
        "restart",
        World,
        &[
            "memory_max",
            "queue_window",
            "log_pending_max",
            "segment_len",
            "disk_free_min",
            "read_len",
            "batch_max",
        ],
        &[],
    ),
    ("stop", World, &[], &[]),
    (
        "connect",
        Client,
        &[
            "latency_us",
            "jitter_us",
            "fragment_max",
            "window",
            "salt",
            "frame_max",
            "channel_max",
            "heartbeat_s",
            "vhost",
            "user",
            "password",
            "silent_after",
            "split_at",
            "spoil_at",
            "kind",
        ],
        &["plain_client", "amqplain", "eager", "operator"],
    ),
    ("close", Client, &[], &[]),
    ("eof", Client, &[], &["half"]),
    ("hangup", Client, &[], &[]),
    ("reset", Client, &[], &[]),
    ("vanish", Client, &[], &[]),
    ("stall", Client, &["us"], &[]),
    ("clog", Client, &["us"], &[]),
    ("garbage", Client, &["kind", "salt"], &[]),
    ("update-secret", Client, &[], &[]),
    ("move", Client, &["q", "to", "count"], &[]),
    ("open", Channel, &[], &["again"]),
    ("close", Channel, &[], &[]),
    ("flow", Channel, &[], &["stop"]),
    (
        "declare",
        Channel,
        &["q", "arg"],
        &["durable", "exclusive", "auto_delete", "passive", "nowait"],
    ),
    ("declares", Channel, &["count"], &["durable", "exclusive", "nowait"]),
    ("deletes", Channel, &["count"], &["nowait"]),
    ("delete", Channel, &["q"], &["if_unused", "if_empty", "nowait"]),
    ("bind", Channel, &["q", "x", "key", "match", "headers"], &["nowait"]),
    ("unbind", Channel, &["q", "x", "key", "match", "headers"], &[]),
    ("purge", Channel, &["q"], &["nowait"]),
    (
        "xdeclare",
        Channel,
        &["x", "type", "alternate", "arg"],
        &["durable", "auto_delete", "internal", "passive", "nowait"],
    ),
    ("xdelete", Channel, &["x"], &["if_unused", "nowait"]),
    ("xbind", Channel, &["to", "from", "key", "match", "headers"], &["nowait"]),
    ("xunbind", Channel, &["to", "from", "key", "match", "headers"], &["nowait"]),
    (
        "publish",
        Channel,
        &[
            "x", "key", "body", "cc", "bcc", "headers", "reply_to", "priority", "ttl", "delay",
            "user", "cut",
        ],
        &["mandatory", "immediate", "persistent", "zeros"],
    ),
    ("flood", Channel, &["x", "key", "body", "count", "levels"], &["mandatory", "persistent"]),
    ("answer", Channel, &["body"], &["zeros"]),
    ("confirm", Channel, &[], &["nowait"]),
    ("tx", Channel, &[], &[]),
    ("commit", Channel, &[], &[]),
    ("rollback", Channel, &[], &[]),
    (
        "consume",
        Channel,
        &["q", "tag", "priority", "timeout"],
        &["no_ack", "exclusive", "nowait", "forced"],
    ),
    ("cancel", Channel, &["tag"], &["nowait"]),
    ("get", Channel, &["q"], &["no_ack"]),
    ("ack", Channel, &["nth", "tag"], &["multiple", "all"]),
    ("nack", Channel, &["nth", "tag"], &["multiple", "requeue", "all"]),
    ("reject", Channel, &["nth", "tag"], &["requeue"]),
    ("recover", Channel, &[], &["drop", "async"]),
    ("qos", Channel, &["count", "size"], &["global"]),
];

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who.
    pub who: Who,
    verb: &'static Verb,
    /// Sorted by their names.
    values: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
}

impl Step {
    /// A step without arguments.
    ///
    /// # Panics
    /// When nobody of this kind has such a verb: verbs come from the program.
    #[must_use]
    pub fn new(who: Who, verb: &str) -> Self {
        Self::find(who, verb).unwrap_or_else(|| panic!("{who:?} cannot {verb}"))
    }

    /// Time passes.
    #[must_use]
    pub fn wait(us: u64) -> Self {
        Self::new(Who::World, "wait").with("us", us)
    }

    /// Sets an argument.
    ///
    /// # Panics
    /// When the verb has no such argument.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.set(key, value.to_string()).unwrap_or_else(|| panic!("{} has no {key}", self.verb.0));
        self
    }

    /// Sets a flag if `is_set`.
    ///
    /// # Panics
    /// When the verb has no such flag.
    #[must_use]
    pub fn flag(mut self, flag: &str, is_set: bool) -> Self {
        if is_set {
            self.set_flag(flag).unwrap_or_else(|| panic!("{} has no {flag}", self.verb.0));
        }
        self
    }

    /// The verb.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.verb.0
    }

    /// An argument, if it is given.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut values = self.values.iter();
        values.find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    /// An argument's text; empty if it is not given.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.value(key).unwrap_or("")
    }

    /// An argument's number, or `default`.
    #[must_use]
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.value(key).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// The arguments that are given.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn is(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// The flags that are set.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        self.flags.iter().copied()
    }

    /// The step without this argument or flag, if it has it.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.values.retain(|(key, _)| *key != name);
        self.flags.retain(|flag| *flag != name);
        self
    }

    /// The same step of somebody else; `None` if they have no such verb.
    #[must_use]
    pub fn of(mut self, who: Who) -> Option<Self> {
        self.verb = Self::find(who, self.verb.0)?.verb;
        self.who = who;
        Some(self)
    }

    fn find(who: Who, verb: &str) -> Option<Self> {
        let level = match who {
            Who::World => World,
            Who::Client(_) => Client,
            Who::Channel(..) => Channel,
        };
        let verb = VERBS.iter().find(|(name, of, ..)| *name == verb && *of == level)?;
        Some(Self { who, verb, values: Vec::new(), flags: Vec::new() })
    }

    fn set(&mut self, key: &str, value: String) -> Option<()> {
        let key = self.verb.2.iter().find(|known| **known == key)?;
        match self.values.binary_search_by_key(key, |(name, _)| *name) {
            Ok(at) => self.values[at].1 = value,
            Err(at) => self.values.insert(at, (*key, value)),
        }
        Some(())
    }

    fn set_flag(&mut self, flag: &str) -> Option<()> {
        let flag = self.verb.3.iter().find(|known| **known == flag)?;
        self.flags.push(flag);
        Some(())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => Ok(()),
            Self::Client(client) => write!(f, "c{client} "),
            Self::Channel(client, channel) => write!(f, "c{client}/{channel} "),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.who, self.verb.0)?;
        self.values.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))?;
        self.flags.iter().try_for_each(|flag| write!(f, " {flag}"))
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace().peekable();
        let who = match words.peek().map(|word| parse_who(word)) {
            Some(Some(who)) => {
                words.next();
                who
            }
            _ => Who::World,
        };
        let verb = words.next().ok_or("no verb")?;
        let mut step = Self::find(who, verb).ok_or_else(|| format!("no such verb: {verb}"))?;
        for word in words {
            let set = match word.split_once('=') {
                Some((key, value)) => step.set(key, value.into()),
                None => step.set_flag(word),
            };
            set.ok_or_else(|| format!("{verb} takes no {word}"))?;
        }
        Ok(step)
    }
}

fn parse_who(word: &str) -> Option<Who> {
    let digits = word.strip_prefix('c')?;
    match digits.split_once('/') {
        Some((client, channel)) => Some(Who::Channel(client.parse().ok()?, channel.parse().ok()?)),
        None => Some(Who::Client(digits.parse().ok()?)),
    }
}
