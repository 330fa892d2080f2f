//! What who makes a request may do to which queues and exchanges: for the page, which offers what
//! its person may do and nothing else. Who does it all the same is refused by the broker, as ever;
//! here the same patterns are asked, of a copy, so that nobody's messages wait for them.

use serde_json::{Map, Value, json};
use warren_core::amqp::ShortStr;
use warren_core::broker::{Permission, Right, Rules, TopicPermission, TopicRules};
use warren_core::listing::{BindingInfo, ExchangeInfo, QueueInfo};

use super::call::{Answer, Call, Reply, short};

/// The name by which patterns know the default exchange.
const DEFAULT: ShortStr = ShortStr::from_static("amq.default");

/// What somebody may do in a virtual host.
pub(super) struct Rights {
    /// What is allowed, if anything.
    rules: Option<Rules>,
    /// What more is asked at topic exchanges.
    topics: Vec<TopicRules>,
}

impl Rights {
    /// Of who makes this request.
    pub(super) async fn of(call: &Call, vhost: &ShortStr) -> Self {
        if call.user.is_operator {
            return Self { rules: Some(Rules::kept(Permission::full())), topics: Vec::new() };
        }
        let (permission, topics) = found(call, vhost).await;
        let topics = topics.into_iter();
        Self {
            rules: permission.map(Rules::kept),
            topics: topics.map(|one| TopicRules::kept(vhost, &call.user.name, one)).collect(),
        }
    }

    fn may(&self, right: Right, name: &ShortStr) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.allow(right, name.as_bytes()))
    }

    /// What may be done to a queue. One that is a connection's own is nobody else's to touch.
    pub(super) fn at_queue(&self, queue: &QueueInfo) -> Value {
        let is_free = queue.owner.is_none();
        let may = |right| is_free && self.may(right, &queue.name);
        chosen([
            ("publish", self.may(Right::Write, &DEFAULT)),
            ("get", may(Right::Read)),
            ("purge", may(Right::Read)),
            ("bind", may(Right::Write)),
            ("delete", may(Right::Configure)),
        ])
    }

    /// What may be done to an exchange. The default one is bound to every queue by itself, and
    /// those that are always there cannot be deleted.
    pub(super) fn at_exchange(&self, exchange: &ExchangeInfo) -> Value {
        let name = &exchange.name;
        let is_default = name.is_empty();
        let publishes_to = if is_default { &DEFAULT } else { name };
        let is_own = !is_default && !name.starts_with("amq.");
        chosen([
            ("publish", !exchange.internal && self.may(Right::Write, publishes_to)),
            ("bind_from", !is_default && self.may(Right::Read, name)),
            ("bind_to", !is_default && self.may(Right::Write, name)),
            ("delete", is_own && self.may(Right::Configure, name)),
        ])
    }

    /// What may be done to a binding.
    pub(super) fn at_binding(&self, binding: &BindingInfo) -> Value {
        let BindingInfo { source, destination, key, .. } = binding;
        chosen([("unbind", self.may_unbind(source, destination, key))])
    }

    fn may_unbind(&self, source: &ShortStr, destination: &ShortStr, key: &ShortStr) -> bool {
        let mut topics = self.topics.iter().filter(|rules| rules.exchange() == source);
        self.may(Right::Write, destination)
            && self.may(Right::Read, source)
            && topics.all(|rules| rules.allow(Right::Read, key.as_bytes()))
    }
}

/// Those of these that may be done.
fn chosen<const N: usize>(all: [(&str, bool); N]) -> Value {
    all.into_iter().filter(|(_, may)| *may).map(|(name, _)| json!(name)).collect()
}

async fn found(call: &Call, vhost: &ShortStr) -> (Option<Permission>, Vec<TopicPermission>) {
    let (vhost, user) = (vhost.clone(), call.user.name.clone());
    let look = move |broker: &warren_core::Broker| {
        let (permission, topics) = broker.permissions_of(&vhost, &user);
        // At an exchange of another type they mean nothing.
        let is_topic = |one: &&&TopicPermission| {
            broker.exchange_info(&vhost, &one.exchange).is_some_and(|info| info.kind == "topic")
        };
        (permission.cloned(), topics.iter().filter(is_topic).copied().cloned().collect())
    };
    call.state.broker.look(look).await
}

/// The patterns of who asks, in each virtual host where there are any.
pub(super) async fn list(call: Call) -> Answer {
    let mut rows = Vec::new();
    for vhost in call.vhosts().await? {
        rows.extend(patterns(&call, &vhost).await);
    }
    Ok(Reply::Json(rows.into()))
}

/// The patterns of who asks in a virtual host, and what they say of queues and exchanges of the
/// `name` in the query.
pub(super) async fn one(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let mut json = patterns(&call, &vhost).await.unwrap_or(Value::Object(Map::new()));
    if let Some(name) = call.query.get("name") {
        let (name, rights) = (short(name)?, Rights::of(&call, &vhost).await);
        json["allows"] = chosen([
            ("configure", rights.may(Right::Configure, &name)),
            ("write", rights.may(Right::Write, &name)),
            ("read", rights.may(Right::Read, &name)),
        ]);
    }
    Ok(Reply::Json(json))
}

async fn patterns(call: &Call, vhost: &ShortStr) -> Option<Value> {
    let permission = match call.user.is_operator {
        true => Some(Permission::full()),
        false => found(call, vhost).await.0,
    };
    let Permission { configure, write, read } = permission?;
    let vhost = vhost.to_text();
    Some(json!({ "vhost": vhost, "configure": configure, "write": write, "read": read }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(configure: &str, write: &str, read: &str) -> Rights {
        let [configure, write, read] = [configure, write, read].map(str::to_owned);
        let permission = Permission { configure, write, read };
        Rights { rules: Some(Rules::kept(permission)), topics: Vec::new() }
    }

    fn may_unbind(rights: &Rights, source: &str, destination: &str, key: &str) -> bool {
        let [source, destination, key] =
            [source, destination, key].map(|name| ShortStr::truncated(name.as_bytes()));
        rights.may_unbind(&source, &destination, &key)
    }

    #[test]
    fn who_has_no_permission_may_do_nothing() {
        let none = Rights { rules: None, topics: Vec::new() };
        assert!(!none.may(Right::Read, &"q".into()));
        assert!(!may_unbind(&none, "x", "q", "k"));
    }

    #[test]
    fn unbinding_takes_both_ends_and_the_key() {
        let mut rights = rights("", "^q", "^x");
        assert!(may_unbind(&rights, "x", "q", "k"));
        assert!(!may_unbind(&rights, "y", "q", "k"));
        assert!(!may_unbind(&rights, "x", "r", "k"));
        let topic = |read: &str| {
            let (exchange, read) = ("x".into(), read.to_owned());
            let permission = TopicPermission { exchange, write: String::new(), read };
            TopicRules::kept(&"/".into(), &"u".into(), permission)
        };
        rights.topics = vec![topic("^mine")];
        assert!(!may_unbind(&rights, "x", "q", "k"));
        assert!(may_unbind(&rights, "x", "q", "mine.k"));
    }
}
