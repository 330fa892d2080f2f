//! Who may do what. Nothing is remembered of what was found out before: everybody is held against
//! all there is, each time.
//!
//! Permissions are for names as they are within a virtual host.

use std::collections::BTreeMap;

use super::basic::REPLY_TO;
use super::channel::Phase;
use super::names::{local, qualified, vhost_of};
use super::policies::is_found;
use super::topology::predeclared;
use super::{Answer, ChannelKey, Connection, Model, Refusal, Stage};
use crate::wire::{Method, Value};

/// Stands for the name of a queue that is to be named by the broker.
const UNNAMED: &str = "?";

/// A user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// What lets somebody in; without any, nothing does.
    pub password: Option<String>,
    /// What the user is beside that.
    pub tags: Vec<String>,
    /// How many connections and channels there may be.
    pub limits: [Option<u64>; 2],
}

/// Who is there, and what each may.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// By name, with how many connections and queues there may be.
    pub vhosts: BTreeMap<String, [Option<u64>; 2]>,
    /// By name.
    pub users: BTreeMap<String, User>,
    /// By virtual host and user: to configure, to write, to read.
    pub permissions: BTreeMap<(String, String), [String; 3]>,
    /// By virtual host, user and exchange: to write, to read.
    pub topics: BTreeMap<(String, String, String), [String; 2]>,
}

/// What the people who run the broker want of it that is about all this.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessWish {
    /// A virtual host.
    Vhost(String),
    /// No virtual host of this name.
    NoVhost(String),
    /// How many connections and queues a virtual host may have.
    LimitVhost(String, [Option<u64>; 2]),
    /// A user, with this password and these tags, as far as they change.
    User(String, Option<String>, Option<Vec<String>>),
    /// No user of this name.
    NoUser(String),
    /// How many connections and channels a user may have.
    LimitUser(String, [Option<u64>; 2]),
    /// In a virtual host, a user may do this.
    Permit(String, String, [String; 3]),
    /// In a virtual host, a user may do nothing.
    Forbid(String, String),
    /// In a virtual host, a user may do this at an exchange.
    PermitTopic(String, String, String, [String; 2]),
    /// In a virtual host, a user may do everything at an exchange, or at all.
    FreeTopic(String, String, Option<String>),
}

/// What a client says who it is.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The name.
    pub user: String,
    password: String,
}

/// The three that permissions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Configure,
    Write,
    Read,
}

impl Access {
    /// Adds what a first start makes, if there is nobody or nowhere to go.
    pub(super) fn add_defaults(&mut self) {
        if !self.users.is_empty() && !self.vhosts.is_empty() {
            return;
        }
        let (user, vhost) = ("guest".to_owned(), "/".to_owned());
        self.vhosts.entry(vhost.clone()).or_default();
        self.users.entry(user.clone()).or_insert_with(|| User {
            password: Some("guest".into()),
            tags: vec!["administrator".into()],
            limits: [None; 2],
        });
        let all = || [".*"; 3].map(String::from);
        self.permissions.entry((vhost, user)).or_insert_with(all);
    }

    fn knows(&self, vhost: &str, user: &str) -> bool {
        self.vhosts.contains_key(vhost) && self.users.contains_key(user)
    }

    fn may(&self, (vhost, user): (&str, &str), right: Right, name: &str) -> bool {
        let mut permissions = self.permissions.iter();
        let permission = permissions.find(|((at, who), _)| at == vhost && who == user);
        permission.is_some_and(|(_, patterns)| allows(&patterns[right as usize], local(name)))
    }
}

/// As a permission, an empty pattern is for what is empty.
fn allows(pattern: &str, text: &str) -> bool {
    // Of a name that the broker would have chosen, the beginning is known.
    let text = if text == UNNAMED { "amq.gen-" } else { text };
    if pattern.is_empty() { text.is_empty() } else { is_found(pattern, text) }
}

fn is_pattern(pattern: &str) -> bool {
    !pattern.contains(['(', ')'])
}

impl Claim {
    /// One that needs no password.
    pub(super) fn proved(user: String) -> Self {
        Self { user, password: String::new() }
    }

    /// What a response says, if it can be read.
    pub(crate) fn read(mechanism: &str, response: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if mechanism != "AMQPLAIN" {
            let mut parts = response.splitn(3, |byte| *byte == 0).skip(1);
            return Some(Self { user: text(parts.next()?), password: text(parts.next()?) });
        }
        let after = |name: &[u8]| {
            let at = response.windows(name.len()).position(|window| window == name)?;
            let (len, rest) = response[at + name.len()..].split_first_chunk()?;
            Some(text(rest.get(..u32::from_be_bytes(*len) as usize)?))
        };
        Some(Self { user: after(b"LOGINS")?, password: after(b"PASSWORDS")? })
    }
}

impl Model {
    /// Whether somebody who says so may come in; who that is then.
    pub(super) fn enters(&self, claim: &Claim) -> bool {
        let user = self.access.users.get(&claim.user);
        user.is_some_and(|user| user.password.as_ref() == Some(&claim.password))
    }

    /// It was found out whether a client gave the right password.
    pub(super) fn on_verified(&mut self, link: usize, is_right: bool) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Some(claim) = connection.claim.take() else { return };
        if !self.knows_passwords {
            return self.log_in(link, &claim, is_right);
        }
        if is_right != self.enters(&claim) {
            let user = &claim.user;
            self.fault("access", format!("the password of {user} is held against another's"));
        }
    }

    /// A client is in, or not.
    pub(super) fn log_in(&mut self, link: usize, claim: &Claim, is_in: bool) {
        let connection = self.connection_mut(link);
        if is_in {
            connection.user = claim.user.clone();
            connection.stage = Stage::Tune;
            connection.replies.push_back(super::Expected::Tune);
        } else if connection.wants_refusals {
            let mechanism = connection.mechanism.clone();
            let text = format!(
                "Login was refused using authentication mechanism {mechanism}. \
                 For details see the broker logfile."
            );
            self.refuse(link, Refusal::hard(403, text), Some((0, 0)));
        } else {
            connection.stage = Stage::Refused;
            connection.may_end = true;
        }
    }

    /// Connections that are open and of which this holds.
    fn open(&self, is_one: impl Fn(&Connection) -> bool) -> impl Iterator<Item = usize> {
        let open = self.living().filter(|(_, connection)| connection.stage == Stage::Running);
        open.filter(move |(_, connection)| is_one(connection)).map(|(link, _)| link)
    }

    /// Whether a client may work in a virtual host.
    pub(super) fn open_vhost(&mut self, link: usize, vhost: &str) -> Result<(), Refusal> {
        let user = self.connections[&link].user.clone();
        let Some([connections, _]) = self.access.vhosts.get(vhost).copied() else {
            return Err(Refusal::hard(530, format!("vhost {vhost} not found")));
        };
        if self.is_operator(link) {
            // Limits are no reason to lock out who sets them.
            self.connection_mut(link).vhost = vhost.to_owned();
            return Ok(());
        }
        let is_over = |limit: Option<u64>, count: usize| limit.filter(|most| count as u64 >= *most);
        if let Some(limit) = is_over(connections, self.open(|one| one.vhost == vhost).count()) {
            let text = format!(
                "access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) \
                 is reached"
            );
            return Err(Refusal::hard(530, text));
        }
        let most = self.access.users.get(&user).and_then(|user| user.limits[0]);
        if let Some(limit) = is_over(most, self.open(|one| one.user == user).count()) {
            let text = format!(
                "connection refused for user '{user}': user connection limit ({limit}) is reached"
            );
            return Err(Refusal::hard(530, text));
        }
        self.check_entry(&user, vhost)?;
        self.connection_mut(link).vhost = vhost.to_owned();
        Ok(())
    }

    /// Whether those who run the broker are behind a client: it may do everything everywhere.
    fn is_operator(&self, link: usize) -> bool {
        self.connections.get(&link).is_some_and(|connection| connection.operator.is_some())
    }

    fn check_entry(&self, user: &str, vhost: &str) -> Result<(), Refusal> {
        if self.access.permissions.contains_key(&(vhost.to_owned(), user.to_owned())) {
            return Ok(());
        }
        let text = format!("access to vhost '{vhost}' refused for user '{user}'");
        Err(Refusal::hard(530, text))
    }

    /// Whether a user may have another channel.
    pub(super) fn check_channels(&self, link: usize) -> Result<(), Refusal> {
        let user = &self.connections[&link].user;
        let Some(limit) = self.access.users.get(user).and_then(|user| user.limits[1]) else {
            return Ok(());
        };
        let theirs = self.open(|one| one.user == *user);
        let channels = theirs.flat_map(|link| self.connections[&link].channels.values());
        let open = channels.filter(|channel| channel.phase == Phase::Open).count() as u64;
        if open < limit {
            return Ok(());
        }
        let text = format!(
            "number of channels opened for user '{user}' has reached the maximum allowed user \
             limit of {limit}"
        );
        Err(Refusal::hard(530, text))
    }

    /// Whether there may be another queue.
    pub(super) fn check_queues(&self, link: usize, name: &str) -> Result<(), Refusal> {
        let vhost = &self.connections[&link].vhost;
        let is_visible = |queue: &&super::Queue| {
            !queue.is_hidden && !queue.is_store && vhost_of(&queue.name) == vhost
        };
        let count = self.queues.values().filter(is_visible).count() as u64;
        let limit = self.access.vhosts.get(vhost).and_then(|limits| limits[1]);
        match limit.filter(|limit| count >= *limit) {
            None => Ok(()),
            Some(_) if name.is_empty() => Err(Refusal::soft_any_text(406)),
            Some(limit) => Err(Refusal::soft(
                406,
                format!(
                    "cannot declare queue '{}': queue limit in vhost '{vhost}' ({limit}) is \
                     reached",
                    local(name)
                ),
            )),
        }
    }

    /// A client has a new secret: what it may do is looked at anew.
    pub(super) fn look_anew(&mut self, link: usize) -> Result<(), Refusal> {
        if self.is_operator(link) {
            return Ok(());
        }
        let Connection { user, vhost, wants_cancels, .. } = &self.connections[&link];
        let (user, vhost, wants_cancels) = (user.clone(), vhost.clone(), *wants_cancels);
        self.check_entry(&user, &vhost)?;
        let lost = self.consumers.values().filter(|consumer| {
            let queue = &self.queues[&consumer.queue];
            let may = self.access.may((&vhost, &user), Right::Read, &queue.name);
            consumer.channel.0 == link && !queue.is_hidden && !may
        });
        let lost = lost.map(|consumer| (consumer.id, consumer.channel, consumer.tag.clone()));
        for (id, key, tag) in lost.collect::<Vec<_>>() {
            let channel = self.channel_mut(key);
            channel.consumers.remove(&tag);
            if wants_cancels {
                channel.cancels.push(tag);
            }
            self.remove_consumer(id);
        }
        Ok(())
    }

    fn check(&self, link: usize, right: Right, kind: &str, name: &str) -> Result<(), Refusal> {
        let Connection { user, vhost, .. } = &self.connections[&link];
        let name = if kind == "exchange" && name.is_empty() { "amq.default" } else { local(name) };
        if self.is_operator(link) || self.access.may((vhost, user), right, name) {
            return Ok(());
        }
        let right = ["configure", "write", "read"][right as usize];
        match name == UNNAMED {
            true => Err(Refusal::soft_any_text(403)),
            false => Err(Refusal::soft(
                403,
                format!(
                    "{right} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"
                ),
            )),
        }
    }

    fn check_any(&self, link: usize, kind: &str, name: &str) -> Result<(), Refusal> {
        let Connection { user, vhost, .. } = &self.connections[&link];
        let has = |right: &Right| self.access.may((vhost, user), *right, name);
        let may = [Right::Read, Right::Write].iter().any(has);
        if may { Ok(()) } else { self.check(link, Right::Configure, kind, name) }
    }

    /// Whether a user may use these keys at an exchange, to publish or to bind.
    fn check_keys(
        &self,
        link: usize,
        right: Right,
        exchange: &str,
        keys: &[&str],
    ) -> Result<(), Refusal> {
        let Connection { user, vhost, .. } = &self.connections[&link];
        let is_topic = self.exchanges.get(exchange);
        let is_topic = is_topic.is_some_and(|found| found.kind == "topic" && !found.is_for_delayed);
        if !is_topic || self.is_operator(link) {
            return Ok(());
        }
        let exchange = local(exchange);
        let key = (vhost.clone(), user.clone(), exchange.to_owned());
        let Some(patterns) = self.access.topics.get(&key) else { return Ok(()) };
        let (name, pattern) = match right {
            Right::Read => ("read", &patterns[1]),
            _ => ("write", &patterns[0]),
        };
        let pattern = pattern.replace("{username}", user).replace("{vhost}", vhost);
        match keys.iter().find(|key| !allows(&pattern, key)) {
            None => Ok(()),
            Some(key) => Err(Refusal::soft(
                403,
                format!(
                    "{name} access to topic '{key}' in exchange topic '{exchange}' in vhost \
                     '{vhost}' refused for user '{user}'"
                ),
            )),
        }
    }

    /// Whether the client may publish there at all.
    pub(super) fn check_publish(&self, link: usize, exchange: &str) -> Result<(), Refusal> {
        self.check(link, Right::Write, "exchange", exchange)
    }

    /// Whether the client may publish with all these keys, of which the first is the message's own.
    pub(super) fn check_published(
        &self,
        link: usize,
        exchange: &str,
        keys: &[&str],
    ) -> Result<(), Refusal> {
        self.check_keys(link, Right::Write, exchange, &keys[..1])?;
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        self.check_keys(link, Right::Write, exchange, &sorted)
    }

    /// Whether the client may say in a message to be this user: itself, unless it may say anything.
    pub(super) fn check_user_id(&self, link: usize, claimed: &str) -> Result<(), Refusal> {
        let user = &self.connections[&link].user;
        let account = self.access.users.get(user);
        let may_claim = account.is_some_and(|one| one.tags.iter().any(|tag| tag == "impersonator"));
        if claimed == user || may_claim || self.is_operator(link) {
            return Ok(());
        }
        let text =
            format!("user_id property set to '{claimed}' but authenticated user was '{user}'");
        Err(Refusal::soft(406, text))
    }

    /// Whether the client may do this, as far as nothing comes before that question.
    pub(super) fn check_method(&self, key: ChannelKey, method: &Method) -> Result<(), Refusal> {
        let link = key.0;
        let meant = || {
            let said = method.text("queue");
            let last = self.channel(key).and_then(|channel| channel.queue_last.as_ref());
            match said.is_empty() {
                false => Some(said.to_owned()),
                true => last.map(|(id, name)| {
                    self.queues.get(id).map_or_else(|| name.clone(), |queue| queue.name.clone())
                }),
            }
        };
        match method.name() {
            "queue.declare" => self.check_declare(link, method),
            "exchange.declare" => self.check_exchange_declare(link, method),
            "queue.delete" | "queue.purge" | "basic.get" | "basic.consume" => {
                if method.name() == "basic.consume" && self.is_no_queue_meant(key, method) {
                    return Ok(());
                }
                let is_delete = method.name() == "queue.delete";
                let right = if is_delete { Right::Configure } else { Right::Read };
                meant().map_or(Ok(()), |queue| self.check(link, right, "queue", &queue))
            }
            "exchange.delete" => match method.text("exchange") {
                name if name.is_empty() || local(name).starts_with("amq.") => Ok(()),
                name => self.check(link, Right::Configure, "exchange", name),
            },
            "queue.bind" | "queue.unbind" => {
                let Some(queue) = meant() else { return Ok(()) };
                self.check(link, Right::Write, "queue", &queue)?;
                let said = (method.text("queue"), method.text("routing-key"));
                let key = if said == ("", "") { local(&queue) } else { said.1 };
                self.check_source(link, method.text("exchange"), key)
            }
            "exchange.bind" | "exchange.unbind" => {
                self.check(link, Right::Write, "exchange", method.text("destination"))?;
                if method.text("destination").is_empty() {
                    return Ok(());
                }
                self.check_source(link, method.text("source"), method.text("routing-key"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a consumer is to be that never comes to a queue: one of direct replies, or of a tag
    /// that is taken.
    fn is_no_queue_meant(&self, key: ChannelKey, method: &Method) -> bool {
        let tag = method.text("consumer-tag");
        let is_taken = |channel: &super::Channel| channel.consumers.contains_key(tag);
        let is_reused = !tag.is_empty() && self.channel(key).is_some_and(is_taken);
        method.text("queue") == REPLY_TO || is_reused
    }

    fn check_source(&self, link: usize, source: &str, key: &str) -> Result<(), Refusal> {
        if source.is_empty() {
            return Ok(());
        }
        self.check(link, Right::Read, "exchange", source)?;
        self.check_keys(link, Right::Read, source, &[key])
    }

    fn check_declare(&self, link: usize, method: &Method) -> Result<(), Refusal> {
        let name = method.text("queue");
        if name.starts_with(REPLY_TO) || self.reply_addresses.contains_key(name) {
            return Ok(());
        }
        if method.bit("passive") {
            return self.check_any(link, "queue", name);
        }
        let name = if name.is_empty() { UNNAMED } else { name };
        self.check(link, Right::Configure, "queue", name)?;
        let is_reserved = local(name).starts_with("amq.");
        let is_new = name == UNNAMED || !is_reserved && self.queue_named(name).is_none();
        let arguments = method.table("arguments").iter();
        let mut letters = arguments.filter(|(key, _)| key == "x-dead-letter-exchange");
        match letters.next().and_then(|(_, value)| value.as_text()) {
            Some(exchange) if is_new => {
                self.check(link, Right::Read, "queue", name)?;
                self.check(link, Right::Write, "exchange", exchange)
            }
            _ => Ok(()),
        }
    }

    fn check_exchange_declare(&self, link: usize, method: &Method) -> Result<(), Refusal> {
        let name = method.text("exchange");
        if name.is_empty() {
            return Ok(());
        }
        if method.bit("passive") {
            return self.check_any(link, "exchange", name);
        }
        if !super::topology::is_kind(method.text("type")) {
            return Ok(());
        }
        self.check(link, Right::Configure, "exchange", name)?;
        let is_reserved = local(name).starts_with("amq.");
        let is_new = !is_reserved && !self.exchanges.contains_key(name);
        let arguments = method.table("arguments").iter();
        let mut alternate = arguments.filter(|(key, _)| key == "alternate-exchange");
        match alternate.next().and_then(|(_, value): &(String, Value)| value.as_text()) {
            Some(alternate) if is_new => {
                self.check(link, Right::Read, "exchange", name)?;
                self.check(link, Right::Write, "exchange", alternate)
            }
            _ => Ok(()),
        }
    }

    /// Does what is wished; what comes of it.
    pub(super) fn grant(&mut self, wish: AccessWish) -> Answer {
        let made = |is_new: bool| if is_new { Answer::Created } else { Answer::Updated };
        let gone = |was_there: bool| if was_there { Answer::Deleted } else { Answer::Unchanged };
        let access = &mut self.access;
        match wish {
            AccessWish::Vhost(name) => {
                let is_new = !access.vhosts.contains_key(&name);
                if is_new {
                    self.exchanges.extend(predeclared(&name));
                    access.vhosts.insert(name, [None; 2]);
                }
                made(is_new)
            }
            AccessWish::NoVhost(name) => {
                if access.vhosts.remove(&name).is_none() {
                    return Answer::Refused;
                }
                access.permissions.retain(|(vhost, _), _| *vhost != name);
                access.topics.retain(|(vhost, ..), _| *vhost != name);
                self.policies.retain(|key, _| key.vhost != name);
                self.evict(|one| one.vhost == name, &format!("vhost '{name}' is deleted"));
                self.empty_vhost(&name);
                Answer::Deleted
            }
            AccessWish::LimitVhost(name, limits) => match access.vhosts.get_mut(&name) {
                Some(vhost) => {
                    *vhost = limits;
                    Answer::Updated
                }
                None => Answer::Refused,
            },
            AccessWish::User(name, password, tags) => {
                let is_new = !access.users.contains_key(&name);
                let user = access.users.entry(name).or_default();
                user.password = password.or(user.password.take());
                user.tags = tags.unwrap_or(std::mem::take(&mut user.tags));
                made(is_new)
            }
            AccessWish::NoUser(name) => {
                if access.users.remove(&name).is_none() {
                    return Answer::Refused;
                }
                access.permissions.retain(|(_, user), _| *user != name);
                access.topics.retain(|(_, user, _), _| *user != name);
                self.evict(|one| one.user == name, &format!("user '{name}' is deleted"));
                Answer::Deleted
            }
            AccessWish::LimitUser(name, limits) => match access.users.get_mut(&name) {
                Some(user) => {
                    user.limits = limits;
                    Answer::Updated
                }
                None => Answer::Refused,
            },
            AccessWish::Permit(vhost, user, patterns) => {
                let is_fine = patterns.iter().all(|pattern| is_pattern(pattern));
                if !is_fine || !access.knows(&vhost, &user) {
                    return Answer::Refused;
                }
                made(access.permissions.insert((vhost, user), patterns).is_none())
            }
            AccessWish::Forbid(vhost, user) => {
                if !access.knows(&vhost, &user) {
                    return Answer::Refused;
                }
                gone(access.permissions.remove(&(vhost, user)).is_some())
            }
            AccessWish::PermitTopic(vhost, user, exchange, patterns) => {
                let is_fine = patterns.iter().all(|pattern| is_pattern(pattern));
                let is_there = exchange.is_empty()
                    || self.exchanges.contains_key(&*qualified(&vhost, &exchange));
                if !is_fine || !is_there || !access.knows(&vhost, &user) {
                    return Answer::Refused;
                }
                made(access.topics.insert((vhost, user, exchange), patterns).is_none())
            }
            AccessWish::FreeTopic(vhost, user, exchange) => {
                if !access.knows(&vhost, &user) {
                    return Answer::Refused;
                }
                let before = access.topics.len();
                access.topics.retain(|(host, of, at), _| {
                    (host, of) != (&vhost, &user) || exchange.as_ref().is_some_and(|x| x != at)
                });
                gone(access.topics.len() < before)
            }
        }
    }

    /// These have to go.
    fn evict(&mut self, is_one: impl Fn(&Connection) -> bool, reason: &str) {
        for link in self.open(is_one).collect::<Vec<_>>() {
            self.refuse(link, Refusal::hard(320, reason), Some((0, 0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_of_both_mechanisms_are_read() {
        let plain = Claim::read("PLAIN", b"\0u1\0secret").expect("a claim");
        assert_eq!((plain.user.as_str(), plain.password.as_str()), ("u1", "secret"));
        let response = b"\x05LOGINS\0\0\0\x02u1\x08PASSWORDS\0\0\0\x06secret";
        let amqplain = Claim::read("AMQPLAIN", response).expect("a claim");
        assert_eq!((amqplain.user.as_str(), amqplain.password.as_str()), ("u1", "secret"));
        assert!(Claim::read("PLAIN", b"guest").is_none());
    }
}
