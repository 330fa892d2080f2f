//! Definitions, as they are imported: what is declared, and what is in force for it, as one object.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use warren_core::amqp::{ExchangeBind, Method, QueueBind, ShortStr};
use warren_core::broker::{Parameter, PolicyLayer};
use warren_core::{Broker, Command, Done};

use super::State;
use super::auth::Principal;
use super::call::{Answer, Call, Failure, Object, Reply, short};
use super::json as table;
use super::session::{Refused, Session};
use super::{exchange, limit, parameter, permission, policy, queue, user, vhost};

/// The components under which RabbitMQ keeps operators' policies, and limits of virtual hosts,
/// among parameters.
pub(super) const OPERATOR_POLICY: &str = "operator_policy";
pub(super) const VHOST_LIMITS: &str = "vhost-limits";

/// How many things are made before it is waited for the first of them: they are synced together.
const AT_ONCE: usize = 500;

/// Makes what is in definitions. What is there already stays as it is, but for policies.
pub(super) async fn import(call: Call) -> Answer {
    let own = match call.param("vhost") {
        Some(_) => Some(call.vhost().await?),
        None => None,
    };
    let definitions = match uploaded(&call)? {
        Some(definitions) => definitions,
        None => call.object()?,
    };
    let import = Import::new(&call.state, own);
    let outcome = import.run(&definitions).await;
    if !call.query.is_set("report") {
        return outcome.map(|()| Reply::Done);
    }
    let report = import.report.take();
    Ok(match outcome {
        Ok(()) => Reply::Json(report.to_json()),
        Err(failure) => {
            let mut json = report.to_json();
            json["failed"] = json!({ "at": import.at.take(), "reason": failure.reason });
            json["error"] = json!(failure.error);
            json["reason"] = json!(failure.reason);
            Reply::Status(failure.status, json)
        }
    })
}

/// Makes what is in definitions that nobody sent: those that a start is told to import.
///
/// # Errors
/// What cannot be made, and why.
pub(super) async fn import_all(state: &State, definitions: &Object) -> Result<(), String> {
    let import = Import::new(state, None);
    import.run(definitions).await.map_err(|failure| {
        let at = import.at.take();
        let separator = if at.is_empty() { "" } else { ": " };
        format!("{at}{separator}{}", failure.reason)
    })
}

/// The file of a form, if that is what was sent.
fn uploaded(call: &Call) -> Result<Option<Object>, Failure> {
    if !call.body.starts_with(b"--") {
        return Ok(None);
    }
    let text = std::str::from_utf8(&call.body).map_err(|_| Failure::bad_request("not_json"))?;
    let part = text.split_once("\r\n\r\n").map(|(_, part)| part).unwrap_or_default();
    let boundary = text.lines().next().unwrap_or_default();
    let file = part.split(boundary).next().unwrap_or_default();
    match serde_json::from_str(file.trim()) {
        Ok(Value::Object(object)) => Ok(Some(Object(object))),
        _ => Err(Failure::bad_request("not_json")),
    }
}

/// An import under way. It may do everything, as in RabbitMQ: whoever imports need not have
/// permissions in all virtual hosts that there are then.
struct Import<'a> {
    state: &'a State,
    /// The virtual host that all is for, if the path names one.
    own: Option<ShortStr>,
    /// What is being made.
    at: RefCell<String>,
    report: RefCell<Report>,
}

impl<'a> Import<'a> {
    fn new(state: &'a State, own: Option<ShortStr>) -> Self {
        Self { state, own, at: RefCell::default(), report: RefCell::default() }
    }

    async fn run(&self, definitions: &Object) -> Result<(), Failure> {
        if self.own.is_none() {
            self.access(definitions).await?;
        }
        self.parameters(definitions).await?;
        self.policies(definitions).await?;
        self.objects(definitions).await?;
        if self.own.is_none() {
            // They are for exchanges that are there.
            self.topic_permissions(definitions).await?;
        }
        Ok(())
    }

    /// The objects of a kind, each of which is being made when it comes.
    fn each(
        &self,
        definitions: &Object,
        kind: &str,
    ) -> Result<impl Iterator<Item = Object>, Failure> {
        self.at.replace(String::new());
        let objects = list(definitions, kind)?.into_iter();
        Ok(objects
            .enumerate()
            .inspect(move |(index, object)| {
                let name = ["name", "user", "source"].iter().find_map(|key| object.text(key).ok());
                let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
                self.at.replace(format!("{kind}[{index}]{name}"));
            })
            .map(|(_, object)| object))
    }

    /// Users, virtual hosts, and who may do what in them.
    async fn access(&self, definitions: &Object) -> Result<(), Failure> {
        let state = self.state;
        for object in self.each(definitions, "users")? {
            let reply = user::put(state, short(object.text("name")?)?, &object).await?;
            self.note("users", outcome_of(&reply));
        }
        for object in self.each(definitions, "vhosts")? {
            let vhost = short(object.text("name")?)?;
            let reply = vhost::put(state, vhost.clone(), &object).await?;
            self.note("vhosts", outcome_of(&reply));
            if let Some(limits) = object.get("limits") {
                self.set_limits(vhost, limits).await?;
            }
        }
        for object in self.each(definitions, "permissions")? {
            let (vhost, user) = (short(object.text("vhost")?)?, short(object.text("user")?)?);
            let permission = permission::read(&object)?;
            let command = Command::SetPermission { vhost, user, permission };
            self.note("permissions", state.broker.command(command).await?.into());
        }
        for object in self.each(definitions, "global_parameters")? {
            let name = short(object.text("name")?)?;
            let reply = parameter::put_global(state, name, object.required("value")?).await?;
            self.note("global_parameters", outcome_of(&reply));
        }
        Ok(())
    }

    async fn topic_permissions(&self, definitions: &Object) -> Result<(), Failure> {
        for object in self.each(definitions, "topic_permissions")? {
            let (vhost, user) = (short(object.text("vhost")?)?, short(object.text("user")?)?);
            let permission = permission::read_topic(&object)?;
            let command = Command::SetTopicPermission { vhost, user, permission };
            self.note("topic_permissions", self.state.broker.command(command).await?.into());
        }
        Ok(())
    }

    async fn set_limits(&self, vhost: ShortStr, limits: &Value) -> Result<(), Failure> {
        let limits = limit::of_vhost(limits)?;
        let command = Command::SetVhostLimits { vhost, limits };
        self.note("limits", self.state.broker.command(command).await?.into());
        Ok(())
    }

    /// Parameters, of which some are RabbitMQ's form of something else.
    async fn parameters(&self, definitions: &Object) -> Result<(), Failure> {
        for object in self.each(definitions, "parameters")? {
            let component = short(object.text("component")?)?;
            let value = object.required("value")?;
            if component == OPERATOR_POLICY {
                let Value::Object(value) = value.clone() else {
                    return Err(Failure::bad_request("an operator policy is no object"));
                };
                let mut flat = Object(value);
                for key in ["vhost", "name"] {
                    flat.0.extend(object.get(key).map(|value| (key.to_owned(), value.clone())));
                }
                self.set_policy(PolicyLayer::Operator, &flat).await?;
                continue;
            }
            let vhost = self.vhost_of(&object)?;
            if component == VHOST_LIMITS {
                self.set_limits(vhost, value).await?;
                continue;
            }
            let name = short(object.text("name")?)?;
            let value = parameter::encoded(value);
            let parameter = Parameter { vhost: Some(vhost), component, name, value };
            let done = self.state.broker.command(Command::SetParameter(parameter)).await?;
            self.note("parameters", done.into());
        }
        Ok(())
    }

    async fn policies(&self, definitions: &Object) -> Result<(), Failure> {
        for object in self.each(definitions, "policies")? {
            self.set_policy(PolicyLayer::User, &object).await?;
        }
        Ok(())
    }

    /// The virtual host that an object is for.
    fn vhost_of(&self, object: &Object) -> Result<ShortStr, Failure> {
        match &self.own {
            Some(own) => Ok(own.clone()),
            None => short(object.text("vhost").map_err(|_| no_vhost())?),
        }
    }

    async fn set_policy(&self, layer: PolicyLayer, object: &Object) -> Result<(), Failure> {
        let (named, policy) = policy::read_named(object)?;
        let vhost = self.own.clone().or(named).ok_or_else(no_vhost)?;
        let command = Command::SetPolicy { vhost, layer, policy };
        let kind = match layer {
            PolicyLayer::User => "policies",
            PolicyLayer::Operator => "operator_policies",
        };
        self.note(kind, self.state.broker.command(command).await?.into());
        Ok(())
    }

    /// Declares and binds, in one session for each virtual host.
    async fn objects(&self, definitions: &Object) -> Result<(), Failure> {
        let mut by_vhost: BTreeMap<ShortStr, Vec<(&str, Method)>> = BTreeMap::new();
        for kind in ["queues", "exchanges", "bindings"] {
            for object in self.each(definitions, kind)? {
                let vhost = self.vhost_of(&object)?;
                let method = self.method(kind, &vhost, &object).await?;
                let method = method.map(|method| (kind, method));
                by_vhost.entry(vhost).or_default().extend(method);
            }
        }
        for (vhost, methods) in by_vhost {
            self.at.replace(format!("virtual host '{vhost}'"));
            let session = Session::open(&self.state.broker, &Principal::operator(), &vhost).await;
            let mut session = session.map_err(Failure::from)?;
            for some in methods.chunks(AT_ONCE) {
                let wanted = some.iter().map(|(_, method)| method.clone()).collect();
                session.call_all(wanted).await.map_err(Refused::into_plain)?;
                for (kind, _) in some {
                    // To bind again what is bound already is as good.
                    let is_binding = *kind == "bindings";
                    let outcome = if is_binding { Outcome::Bound } else { Outcome::Created };
                    self.note(kind, outcome);
                }
            }
            session.close().await?;
        }
        Ok(())
    }

    /// What makes an object; `None` if it is there, or is not for anybody to make.
    async fn method(
        &self,
        kind: &'static str,
        vhost: &ShortStr,
        object: &Object,
    ) -> Result<Option<Method>, Failure> {
        if kind == "bindings" {
            return bind(object).map(Some);
        }
        let name = short(object.text("name")?)?;
        if name.is_empty() || name.starts_with("amq.") {
            self.skip(kind, vhost, &name, "its name is the broker's own");
            return Ok(None);
        }
        let method = match kind == "queues" {
            true => declared_queue(&name, object)?,
            false => exchange::declaration(&name, object)?.into(),
        };
        let (host, declared) = (vhost.clone(), method.clone());
        let look = move |broker: &Broker| what_differs(broker, &host, &declared);
        let Some(differs) = self.state.broker.look(look).await else { return Ok(Some(method)) };
        self.skip(
            kind,
            vhost,
            &name,
            &match &differs[..] {
                [] => "is there already".to_owned(),
                _ => format!("is there already, with other {}", differs.join(" and ")),
            },
        );
        Ok(None)
    }

    fn note(&self, kind: &'static str, outcome: Outcome) {
        *self.report.borrow_mut().counts.entry((kind, outcome)).or_default() += 1;
    }

    fn skip(&self, kind: &str, vhost: &ShortStr, name: &ShortStr, why: &str) {
        let kind = if kind == "queues" { "queues" } else { "exchanges" };
        self.note(kind, Outcome::Skipped);
        let mut report = self.report.borrow_mut();
        if report.skipped.len() < SKIPPED_TOLD {
            report.skipped.push(json!({
                "kind": kind, "vhost": vhost.to_text(), "name": name.to_text(), "why": why,
            }));
        }
    }
}

/// So many of what was skipped are told of one by one.
const SKIPPED_TOLD: usize = 1000;

/// What an import did.
#[derive(Default)]
struct Report {
    counts: BTreeMap<(&'static str, Outcome), u64>,
    skipped: Vec<Value>,
}

/// What became of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Created,
    /// It is as the definitions say, and was there.
    Updated,
    /// It is bound, whether it was or not.
    Bound,
    Skipped,
}

impl From<Done> for Outcome {
    fn from(done: Done) -> Self {
        if done == Done::Created { Self::Created } else { Self::Updated }
    }
}

fn outcome_of(reply: &Reply) -> Outcome {
    if matches!(reply, Reply::Created(_)) { Outcome::Created } else { Outcome::Updated }
}

impl Report {
    fn to_json(&self) -> Value {
        let mut counts = json!({});
        for ((kind, outcome), count) in &self.counts {
            let outcome = match outcome {
                Outcome::Created => "created",
                Outcome::Updated => "updated",
                Outcome::Bound => "bound",
                Outcome::Skipped => "skipped",
            };
            counts[*kind][outcome] = json!(count);
        }
        json!({ "counts": counts, "skipped": self.skipped })
    }
}

/// In what a queue or exchange that is there differs from how it is to be declared; `None` if it is
/// not there.
fn what_differs(broker: &Broker, vhost: &ShortStr, declared: &Method) -> Option<Vec<&'static str>> {
    let (pairs, arguments) = match declared {
        Method::QueueDeclare(queue) => {
            let info = broker.queue_info(vhost, &queue.queue)?;
            let durable = queue.durable == info.durable;
            let auto_delete = queue.auto_delete == info.auto_delete;
            (vec![(durable, "durable"), (auto_delete, "auto_delete")], {
                queue.arguments.canonical() == info.arguments.canonical()
            })
        }
        Method::ExchangeDeclare(exchange) => {
            let info = broker.exchange_info(vhost, &exchange.exchange)?;
            let pairs = vec![
                (exchange.kind == info.kind, "type"),
                (exchange.durable == info.durable, "durable"),
                (exchange.auto_delete == info.auto_delete, "auto_delete"),
                (exchange.internal == info.internal, "internal"),
            ];
            (pairs, exchange.arguments.canonical() == info.arguments.canonical())
        }
        _ => return None,
    };
    let all = pairs.into_iter().chain([(arguments, "arguments")]);
    Some(all.filter(|(is_same, _)| !is_same).map(|(_, what)| what).collect())
}

/// The type of a queue may stand beside its arguments.
fn declared_queue(name: &ShortStr, object: &Object) -> Result<Method, Failure> {
    let mut declare = queue::declaration(name, object)?;
    let has_type = declare.arguments.find("x-queue-type").is_some();
    if let Some("quorum") = object.get("type").and_then(Value::as_str)
        && !has_type
    {
        let kind = warren_core::amqp::FieldValue::text("quorum");
        declare.arguments.push("x-queue-type".into(), kind);
    }
    Ok(declare.into())
}

fn bind(object: &Object) -> Result<Method, Failure> {
    let source = short(object.text("source")?)?;
    let destination = short(object.text("destination")?)?;
    let routing_key = short(object.text_or("routing_key", "")?)?;
    let arguments = object.get("arguments").map(table::to_table).transpose()?.unwrap_or_default();
    Ok(match object.text("destination_type")? {
        "queue" => QueueBind {
            queue: destination,
            exchange: source,
            routing_key,
            arguments,
            ..QueueBind::default()
        }
        .into(),
        "exchange" => {
            ExchangeBind { destination, source, routing_key, arguments, ..Default::default() }
                .into()
        }
        other => return Err(Failure::bad_request(format!("no destination type {other}"))),
    })
}

fn list(definitions: &Object, key: &str) -> Result<Vec<Object>, Failure> {
    let Some(values) = definitions.get(key) else { return Ok(Vec::new()) };
    let wrong = || Failure::bad_request(format!("{key} is not a list of objects"));
    let objects = values.as_array().ok_or_else(wrong)?.iter().map(|value| match value {
        Value::Object(object) => Ok(Object(object.clone())),
        _ => Err(wrong()),
    });
    objects.collect()
}

fn no_vhost() -> Failure {
    Failure::bad_request("an object of the definitions does not say its vhost")
}
