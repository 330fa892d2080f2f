//! The topology of a virtual host, or of what is around an exchange or a queue: exchanges and
//! queues as nodes, and what leads from one to another as edges. What is given is bounded, however
//! much there is: it says so where it is not all.
//!
//! Every queue is bound to the default exchange by its name; these bindings are no edges.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use warren_core::Broker;
use warren_core::amqp::{FieldTable, FieldValue, ShortStr};
use warren_core::listing::{BindingInfo, BindingsOf, ExchangeInfo, QueueInfo};

use super::State;
use super::call::{Answer, Call, Failure, Reply, short};
use super::{exchange, queue};

/// How many nodes are given, unless the query says it (`limit`), and at the most.
const NODES: usize = 120;
const NODES_MAX: usize = 400;

/// How many bindings of one of them are looked at, and how many of an edge are told of.
const BINDINGS_LOOKED_AT: usize = 300;
const BINDINGS_TOLD: usize = 5;

/// How far from what it is around it goes, unless the query says it (`depth`), and at the most.
const DEPTH: usize = 2;
const DEPTH_MAX: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Exchange(ShortStr),
    Queue(ShortStr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Binding,
    /// Where an exchange sends what no binding takes.
    Alternate,
    /// Where a queue sends who dies in it.
    DeadLetter,
}

#[derive(Default)]
struct Edge {
    bindings: Vec<Value>,
    count: u64,
}

/// What there is around the `exchange` or the `queue` of the query, or of all there is as much as
/// there is room for.
pub(super) async fn topology(call: Call) -> Answer {
    let vhost = call.vhost().await?;
    let number = |name: &str, default: usize, max: usize| match call.query.get(name) {
        None => Ok(default),
        Some(text) => {
            let number = text.parse::<usize>();
            number
                .map(|number| number.min(max))
                .map_err(|_| Failure::bad_request(format!("invalid {name}")))
        }
    };
    let limit = number("limit", NODES, NODES_MAX)?.max(1);
    let depth = number("depth", DEPTH, DEPTH_MAX)?;
    let center = match (call.query.get("exchange"), call.query.get("queue")) {
        (Some(name), _) => Some(Node::Exchange(short(name)?)),
        (None, Some(name)) => Some(Node::Queue(short(name)?)),
        (None, None) => None,
    };
    let mut walk = Walk {
        state: &call.state,
        vhost,
        limit,
        nodes: BTreeMap::new(),
        edges: BTreeMap::new(),
        pending: VecDeque::new(),
        is_cut: false,
    };
    match center.clone() {
        Some(center) => {
            walk.add(center, 0).await;
            if walk.nodes.is_empty() {
                return Err(Failure::no_object());
            }
            walk.go(depth).await;
        }
        None => walk.all().await,
    }
    Ok(Reply::Json(walk.into_json(center.as_ref())))
}

struct Walk<'a> {
    state: &'a State,
    vhost: ShortStr,
    limit: usize,
    nodes: BTreeMap<Node, Value>,
    edges: BTreeMap<(Node, Node, Kind), Edge>,
    /// Those whose neighbours are to be found, and how far they are from the first.
    pending: VecDeque<(Node, usize)>,
    /// Whether there is more than was taken.
    is_cut: bool,
}

/// What the broker says of a node and of what is next to it.
struct Found {
    json: Value,
    /// To an exchange: the alternate one, or that for dead letters.
    further: Option<(Kind, ShortStr)>,
    out: Vec<BindingInfo>,
    into: Vec<BindingInfo>,
}

impl Walk<'_> {
    /// Exchanges with what they lead to, and then queues that nothing leads to.
    async fn all(&mut self) {
        let (vhost, limit) = (self.vhost.clone(), self.limit + 1);
        let look = move |broker: &Broker| broker.list_exchanges(&vhost, None, limit);
        let exchanges = self.state.broker.look(look).await;
        let (bound, free): (Vec<_>, Vec<_>) = {
            let mut bound = Vec::new();
            let mut free = Vec::new();
            for one in exchanges {
                if one.name.is_empty() {
                    continue;
                }
                let (vhost, name) = (self.vhost.clone(), one.name.clone());
                let look = move |broker: &Broker| {
                    let is_any = |of| !broker.list_bindings(&vhost, of, None, 1).is_empty();
                    is_any(BindingsOf::Source(&name)) || is_any(BindingsOf::Exchange(&name))
                };
                match self.state.broker.look(look).await {
                    true => bound.push(one),
                    // Those that are always there are of no interest as long as nobody uses them.
                    false if one.name.starts_with("amq.") => {}
                    false => free.push(one),
                }
            }
            (bound, free)
        };
        for one in bound.into_iter().chain(free) {
            self.add(Node::Exchange(one.name), 0).await;
        }
        self.go(usize::MAX).await;
        let names = self.state.names.all(&self.state.broker).await;
        let vhost = self.vhost.clone();
        let own = names.iter().filter(|one| one.vhost == vhost);
        for name in own {
            let is_in = self.add(Node::Queue(name.name.clone()), 0).await;
            if !is_in && self.is_cut {
                break;
            }
        }
        self.go(usize::MAX).await;
    }

    /// Adds a node if it is there, and there is room for it. Whether it is among them then.
    async fn add(&mut self, node: Node, distance: usize) -> bool {
        if self.nodes.contains_key(&node) {
            return true;
        }
        if self.nodes.len() >= self.limit {
            self.is_cut = true;
            return false;
        }
        let Some(json) = self.describe(&node).await else { return false };
        self.nodes.insert(node.clone(), json);
        self.pending.push_back((node, distance));
        true
    }

    async fn describe(&self, node: &Node) -> Option<Value> {
        let vhost = self.vhost.clone();
        match node.clone() {
            Node::Exchange(name) => {
                let look = move |broker: &Broker| broker.exchange_info(&vhost, &name);
                self.state.broker.look(look).await.map(|info| exchange_json(&info, self.state))
            }
            Node::Queue(name) => {
                let look = move |broker: &Broker| broker.queue_info(&vhost, &name);
                let info = self.state.broker.look(look).await?;
                Some(self.queue_json(&info))
            }
        }
    }

    fn queue_json(&self, info: &QueueInfo) -> Value {
        let numbers = &info.numbers;
        let stats = self.state.rates.of_queue(numbers).stats(numbers.counters);
        json!({
            "kind": "queue",
            "name": info.name.to_text(),
            "type": queue::type_of(&info.arguments),
            "durable": info.durable,
            "state": if info.is_paused { "paused" } else { "running" },
            "messages_ready": numbers.ready,
            "messages_unacknowledged": numbers.unacked,
            "consumers": numbers.consumers,
            "publish_rate": stats["publish_details"]["rate"],
            "deliver_rate": stats["deliver_get_details"]["rate"],
        })
    }

    /// Goes on from all that are pending, no further than so far.
    async fn go(&mut self, depth: usize) {
        while let Some((node, distance)) = self.pending.pop_front() {
            let Some(found) = self.look_around(&node).await else { continue };
            self.nodes.insert(node.clone(), found.json);
            let is_far = distance >= depth;
            if let Some((kind, name)) = found.further {
                let end = Node::Exchange(name);
                self.link(node.clone(), end, kind, None, distance, is_far).await;
            }
            let is_full = |list: &[BindingInfo]| list.len() == BINDINGS_LOOKED_AT;
            self.is_cut |= is_full(&found.out) || is_full(&found.into);
            for one in found.out {
                let end = match one.is_queue {
                    true => Node::Queue(one.destination.clone()),
                    false => Node::Exchange(one.destination.clone()),
                };
                self.link(node.clone(), end, Kind::Binding, Some(&one), distance, is_far).await;
            }
            for one in found.into {
                let source = Node::Exchange(one.source.clone());
                if !self.nodes.contains_key(&source) && !is_far {
                    self.add(source, distance + 1).await;
                }
            }
        }
    }

    /// Adds an edge, and where it ends if that is not too far.
    async fn link(
        &mut self,
        from: Node,
        end: Node,
        kind: Kind,
        binding: Option<&BindingInfo>,
        distance: usize,
        is_far: bool,
    ) {
        let is_there = match is_far {
            true => self.nodes.contains_key(&end),
            false => self.add(end.clone(), distance + 1).await,
        };
        if !is_there {
            return;
        }
        let edge = self.edges.entry((from, end, kind)).or_default();
        edge.count += 1;
        if let Some(binding) = binding.filter(|_| edge.bindings.len() < BINDINGS_TOLD) {
            edge.bindings.push(json!({
                "routing_key": binding.key.to_text(),
                "arguments": super::json::from_table(&binding.arguments),
            }));
        }
    }

    async fn look_around(&self, node: &Node) -> Option<Found> {
        let vhost = self.vhost.clone();
        match node.clone() {
            Node::Exchange(name) => {
                let look = move |broker: &Broker| {
                    let info = broker.exchange_info(&vhost, &name)?;
                    let list = |of| broker.list_bindings(&vhost, of, None, BINDINGS_LOOKED_AT);
                    let out = list(BindingsOf::Source(&name));
                    Some((info, out, list(BindingsOf::Exchange(&name))))
                };
                let (info, out, into) = self.state.broker.look(look).await?;
                let further = info.alternate.clone().map(|name| (Kind::Alternate, name));
                let json = exchange_json(&info, self.state);
                Some(Found { json, further, out, into })
            }
            Node::Queue(name) => {
                let look = move |broker: &Broker| {
                    let info = broker.queue_info(&vhost, &name)?;
                    let of = BindingsOf::Queue(&name);
                    let into = broker.list_bindings(&vhost, of, None, BINDINGS_LOOKED_AT);
                    Some((info, into))
                };
                let (info, into) = self.state.broker.look(look).await?;
                let further = dead_letters(&info).map(|name| (Kind::DeadLetter, name));
                Some(Found { json: self.queue_json(&info), further, out: Vec::new(), into })
            }
        }
    }

    fn into_json(self, center: Option<&Node>) -> Value {
        let known: BTreeSet<&Node> = self.nodes.keys().collect();
        let edges = self
            .edges
            .iter()
            .filter(|((from, end, _), _)| known.contains(from) && known.contains(end));
        let edges = edges.map(|((from, end, kind), edge)| {
            let kind = match kind {
                Kind::Binding => "binding",
                Kind::Alternate => "alternate",
                Kind::DeadLetter => "dead-letter",
            };
            json!({
                "source": id(from),
                "destination": id(end),
                "kind": kind,
                "bindings": edge.bindings,
                "bindings_total": edge.count,
            })
        });
        let edges: Vec<Value> = edges.collect();
        let nodes = self.nodes.iter().map(|(node, json)| {
            let mut json = json.clone();
            json["id"] = json!(id(node));
            json
        });
        json!({
            "center": center.map(id),
            "nodes": nodes.collect::<Vec<_>>(),
            "edges": edges,
            "complete": !self.is_cut,
        })
    }
}

fn id(node: &Node) -> String {
    match node {
        Node::Exchange(name) => format!("e:{name}"),
        Node::Queue(name) => format!("q:{name}"),
    }
}

fn exchange_json(info: &ExchangeInfo, state: &State) -> Value {
    let mut json = exchange::with_stats(info, state);
    json["kind"] = json!("exchange");
    json
}

/// The exchange that the dead of a queue go to, if that is one with a name.
fn dead_letters(info: &QueueInfo) -> Option<ShortStr> {
    let text = |table: &FieldTable, key: &str| {
        table.find(key).and_then(FieldValue::as_longstr).map(ShortStr::truncated)
    };
    let own = text(&info.arguments, "x-dead-letter-exchange");
    let name = own.or_else(|| text(&info.policy_definition, "dead-letter-exchange"))?;
    (!name.is_empty()).then_some(name)
}
