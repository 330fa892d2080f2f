//! Queues.

use std::rc::Rc;

use serde_json::{Value, json};
use warren_core::QueueName;
use warren_core::amqp::{FieldValue, QueueDeclare, QueueDelete, QueuePurge, ShortStr};
use warren_core::listing::{QueueInfo, QueueNumbers};

use super::binding::{self, BindingRow};
use super::call::{Answer, Call, Failure, Object, Reply};
use super::connection;
use super::json as table;
use super::page::{self, Mark, Row};
use super::pieces::in_pieces;
use super::reading::{self, Bound};
use super::rights::Rights;
use super::session::Session;
use super::{State, rates};

pub(super) async fn list(call: Call) -> Answer {
    let vhosts = call.vhosts().await?;
    let detail = match call.query.is_set("disable_stats") {
        true if call.query.is_set("enable_queue_totals") => Detail::Totals,
        true => Detail::Basic,
        false => Detail::All,
    };
    let (state, query) = (&call.state, &call.query);
    let row = move |info, state| QueueRow { info, state, detail };
    let is_visible = |vhost: &ShortStr| vhosts.contains(vhost);
    let marks = match page::column_to_sort_by(query) {
        None => {
            let names = state.names.all(&state.broker).await;
            let visible = names.iter().filter(|one| is_visible(&one.vhost)).cloned();
            visible.map(|one| Mark::new(one.vhost, one.name)).collect()
        }
        Some(column) => {
            let mark = |info: QueueInfo| {
                is_visible(&info.vhost).then(|| Mark::of(&row(info, Rc::clone(state)), column))
            };
            reading::of_queues(&state.broker, mark).await
        }
    };
    let shown = page::choose(query, marks)?;
    if shown.page.is_some() || shown.rows.len() <= page::AT_ONCE {
        let infos = reading::queues_named(&state.broker, names_of(&shown.rows)).await;
        let rows = infos.into_iter().map(|info| row(info, Rc::clone(state)).json());
        return Ok(page::answer(query, shown.page, rows));
    }
    // What is deleted meanwhile is left out, and what comes meanwhile is not in it; any other is in
    // it once.
    let state = Rc::clone(state);
    Ok(in_pieces(query, async move |mut writer| {
        for some in shown.rows.chunks(page::AT_ONCE) {
            let infos = reading::queues_named(&state.broker, names_of(some)).await;
            writer.write(infos.into_iter().map(|info| row(info, Rc::clone(&state)).json())).await?;
        }
        writer.close().await?;
        writer.end().await
    }))
}

fn names_of(marks: &[Mark]) -> Vec<QueueName> {
    let name = |mark: &Mark| QueueName { vhost: mark.vhost.clone(), name: mark.name.clone() };
    marks.iter().map(name).collect()
}

pub(super) async fn one(call: Call) -> Answer {
    let info = find(&call).await?;
    let (vhost, name) = (info.vhost.clone(), info.name.clone());
    let owner = info.owner;
    let look = move |broker: &warren_core::Broker| {
        let owner = owner.and_then(|owner| broker.connection_info(owner));
        (broker.consumers_of(&vhost, &name), owner)
    };
    let (consumers, owner) = call.state.broker.look(look).await;
    let may = Rights::of(&call, &info.vhost).await.at_queue(&info);
    let mut json = QueueRow { info, state: Rc::clone(&call.state), detail: Detail::All }.json();
    let node = &call.state.node.name;
    let details: Vec<_> =
        consumers.iter().map(|consumer| connection::consumer_json(consumer, node)).collect();
    json["consumer_details"] = details.into();
    json["you_may"] = may;
    json["incoming"] = json!([]);
    json["deliveries"] = json!([]);
    if let Some(owner) = owner {
        json["owner_pid_details"] = connection::details(&owner.name);
    }
    page::one(&call, json)
}

pub(super) async fn declare(call: Call) -> Answer {
    let (vhost, name) = (call.vhost().await?, call.name("queue")?);
    let declare = declaration(&name, &call.object()?)?;
    let is_new = find_in(&call.state, &vhost, &name).await.is_none();
    let mut session = open(&call, &vhost).await?;
    session.call(declare).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    Ok(if is_new { Reply::Created(None) } else { Reply::Done })
}

/// The declaration of a queue that an object describes.
///
/// # Errors
/// When it describes none.
pub(super) fn declaration(name: &ShortStr, object: &Object) -> Result<QueueDeclare, Failure> {
    Ok(QueueDeclare {
        queue: name.clone(),
        durable: object.flag("durable", false)?,
        exclusive: object.flag("exclusive", false)?,
        auto_delete: object.flag("auto_delete", false)?,
        arguments: object.get("arguments").map(table::to_table).transpose()?.unwrap_or_default(),
        ..QueueDeclare::default()
    })
}

pub(super) async fn delete(call: Call) -> Answer {
    let info = find(&call).await?;
    let delete = QueueDelete {
        queue: info.name,
        if_unused: call.query.is_set("if-unused"),
        if_empty: call.query.is_set("if-empty"),
        ..QueueDelete::default()
    };
    let mut session = open(&call, &info.vhost).await?;
    session.call(delete).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    Ok(Reply::Done)
}

pub(super) async fn purge(call: Call) -> Answer {
    let info = find(&call).await?;
    let purge = QueuePurge { queue: info.name, ..QueuePurge::default() };
    let mut session = open(&call, &info.vhost).await?;
    session.call(purge).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    Ok(Reply::Done)
}

pub(super) async fn bindings(call: Call) -> Answer {
    let info = find(&call).await?;
    let mut rows = vec![BindingRow::of_default(&info.vhost, &info.name)];
    let of = Bound::ToQueue(info.name);
    rows.extend(binding::of(&call, &info.vhost, &of).await);
    page::list(&call, rows)
}

/// What RabbitMQ's tools do to queues that have copies; here there is nothing to be done.
pub(super) async fn act(call: Call) -> Answer {
    find(&call).await?;
    match call.object()?.text("action")? {
        "sync" | "cancel_sync" => Ok(Reply::Done),
        other => Err(Failure::bad_request(format!("unknown action {other}"))),
    }
}

/// The queue that the path names.
///
/// # Errors
/// When there is none.
pub(super) async fn find(call: &Call) -> Result<QueueInfo, Failure> {
    let (vhost, name) = (call.vhost().await?, call.name("queue")?);
    find_in(&call.state, &vhost, &name).await.ok_or_else(Failure::no_object)
}

pub(super) async fn find_in(state: &State, vhost: &ShortStr, name: &ShortStr) -> Option<QueueInfo> {
    let (vhost, name) = (vhost.clone(), name.clone());
    state.broker.look(move |broker| broker.queue_info(&vhost, &name)).await
}

/// A session of who makes the request.
///
/// # Errors
/// When the user may not.
pub(super) async fn open(call: &Call, vhost: &ShortStr) -> Result<Session, Failure> {
    let session = Session::open(&call.state.broker, &call.user, vhost).await;
    session.map_err(|refused| refused.into_plain())
}

/// The type of a queue of these arguments.
pub(super) fn type_of(queue: &QueueInfo) -> &'static str {
    match queue.arguments.find("x-queue-type").and_then(FieldValue::as_longstr) {
        Some(b"quorum") => "quorum",
        _ => "classic",
    }
}

fn state_of(queue: &QueueInfo) -> &'static str {
    if queue.is_paused { "paused" } else { "running" }
}

/// How many messages of a queue are in memory.
fn in_memory(numbers: &QueueNumbers) -> u64 {
    numbers.ready_in_memory + numbers.unacked
}

/// How much of a queue is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Basic,
    Totals,
    All,
}

struct QueueRow {
    info: QueueInfo,
    state: Rc<State>,
    detail: Detail,
}

impl Row for QueueRow {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.info.vhost, &self.info.name)
    }

    fn column(&self, name: &str) -> Option<Value> {
        let numbers = &self.info.numbers;
        Some(match name {
            "messages" => json!(numbers.ready + numbers.unacked),
            "messages_ready" => json!(numbers.ready),
            "messages_unacknowledged" => json!(numbers.unacked),
            "consumers" => json!(numbers.consumers),
            "vhost" => json!(self.info.vhost.to_text()),
            "type" => json!(type_of(&self.info)),
            "durable" => json!(self.info.durable),
            "state" => json!(state_of(&self.info)),
            "messages_ram" => json!(in_memory(numbers)),
            "message_bytes" => json!(numbers.ready_bytes),
            _ => {
                let counter = name.strip_prefix("message_stats.")?.strip_suffix("_details.rate")?;
                json!(self.state.rates.of_queue(numbers).per_second(counter)?)
            }
        })
    }

    fn json(&self) -> Value {
        let (info, node) = (&self.info, &self.state.node.name);
        let kind = type_of(info);
        let mut json = json!({
            "name": info.name.to_text(),
            "vhost": info.vhost.to_text(),
            "type": kind,
            "durable": info.durable,
            "auto_delete": info.auto_delete,
            "exclusive": info.owner.is_some(),
            "arguments": table::from_table(&info.arguments),
            "node": node,
            "state": state_of(info),
        });
        if let Some(owner) = info.owner {
            json["owner_pid"] = json!(connection::pid(owner, 0, node));
        }
        if kind == "quorum" {
            json["leader"] = json!(node);
            json["members"] = json!([node]);
            json["online"] = json!([node]);
        }
        if self.detail != Detail::Basic {
            self.add_totals(&mut json);
        }
        if self.detail == Detail::All {
            self.add_details(&mut json);
        }
        json
    }
}

impl QueueRow {
    fn add_totals(&self, json: &mut Value) {
        let numbers = &self.info.numbers;
        json["messages"] = json!(numbers.ready + numbers.unacked);
        json["messages_ready"] = json!(numbers.ready);
        json["messages_unacknowledged"] = json!(numbers.unacked);
    }

    fn add_details(&self, json: &mut Value) {
        let (info, numbers) = (&self.info, &self.info.numbers);
        json["policy"] = table::text(info.policy.as_ref());
        json["operator_policy"] = table::text(info.operator_policy.as_ref());
        json["effective_policy_definition"] = table::from_table(&info.policy_definition);
        json["delivery_limit"] =
            info.delivery_limit.map_or(json!("unlimited"), |limit| json!(limit));
        json["exclusive_consumer_tag"] = table::text(info.exclusive_consumer.as_ref());
        json["single_active_consumer_tag"] = table::text(info.active_consumer.as_ref());
        json["consumers"] = json!(numbers.consumers);
        let capacity = if numbers.consumers > 0 && numbers.ready == 0 { 1.0 } else { 0.0 };
        json["consumer_capacity"] = json!(capacity);
        json["consumer_utilisation"] = json!(capacity);
        json["message_bytes"] = json!(numbers.ready_bytes);
        json["message_bytes_ready"] = json!(numbers.ready_bytes);
        json["messages_ram"] = json!(in_memory(numbers));
        json["messages_paged_out"] = json!(numbers.ready - numbers.ready_in_memory);
        json["memory"] = json!(numbers.ready_bytes.min(numbers.ready_in_memory << 10));
        json["storage_version"] = json!(2);
        json["message_stats"] = self.state.rates.of_queue(numbers).stats(numbers.counters);
        let growth = self.state.rates.growth_of_queue(numbers.key);
        json["messages_details"] = rates::detail(growth.ready + growth.unacked);
        json["messages_ready_details"] = rates::detail(growth.ready);
        json["messages_unacknowledged_details"] = rates::detail(growth.unacked);
    }
}
