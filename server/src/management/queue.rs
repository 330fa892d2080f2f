//! Queues.

use std::rc::Rc;

use serde_json::{Value, json};
use warren_core::QueueName;
use warren_core::amqp::{FieldTable, FieldValue, QueueDeclare, QueueDelete, QueuePurge, ShortStr};
use warren_core::listing::{QueueInfo, QueueNumbers, QueueView};

use super::binding::{self, BindingRow};
use super::call::{Answer, Call, Failure, Object, Query, Reply};
use super::connection;
use super::json as table;
use super::names::Names;
use super::page::{self, Mark, Named, Row};
use super::pieces::in_pieces;
use super::rates::RateOf;
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
    let (shown, wanted) = match (Order::of(query), page::column_to_sort_by(query)) {
        (None, Some(column)) => {
            let mark = |info: QueueInfo| {
                let row = QueueRow { info, state, detail };
                vhosts.contains(&row.info.vhost).then(|| Mark::of(&row, column))
            };
            let shown = page::choose(query, reading::of_queues(&state.broker, mark).await)?;
            let name = |mark: Mark| QueueName { vhost: mark.vhost, name: mark.name };
            (shown.page, shown.rows.into_iter().map(name).collect::<Vec<_>>())
        }
        (order, _) => {
            let names = state.names.all(&state.broker).await;
            let rows = order.unwrap_or(Order::Names).rows(state, &names, &vhosts).await;
            let shown = page::choose(query, rows)?;
            (shown.page, shown.rows.into_iter().map(|row| row.name.clone()).collect())
        }
    };
    if shown.is_some() || wanted.len() <= page::AT_ONCE {
        let infos = reading::queues_named(&state.broker, wanted).await;
        let rows = infos.into_iter().map(|info| QueueRow { info, state, detail }.json());
        return Ok(page::answer(query, shown, rows));
    }
    // What is deleted meanwhile is left out, and what comes meanwhile is not in it; any other is in
    // it once.
    let state = Rc::clone(state);
    Ok(in_pieces(query, async move |mut writer| {
        for some in wanted.chunks(page::AT_ONCE) {
            let infos = reading::queues_named(&state.broker, some.to_vec()).await;
            let row = |info| QueueRow { info, state: &state, detail }.json();
            writer.write(infos.into_iter().map(row)).await?;
        }
        writer.close().await?;
        writer.end().await
    }))
}

/// What queues are put in order by, if it can be found out about very many of them in no time: then
/// nothing else is read but of those that are shown.
enum Order {
    /// By their names.
    Names,
    /// By this.
    Column(fn(&QueueView<'_>) -> Value),
    /// By how often this happens.
    Rate(RateOf),
}

impl Order {
    /// `None` if it takes more.
    fn of(query: &Query) -> Option<Self> {
        let Some(column) = page::column_to_sort_by(query) else { return Some(Self::Names) };
        Some(Self::Column(match column {
            "vhost" => return Some(Self::Names),
            "messages" => |queue| json!(queue.ready() + queue.unacked()),
            "messages_ready" => |queue| json!(queue.ready()),
            "messages_unacknowledged" => |queue| json!(queue.unacked()),
            "messages_ram" => |queue| json!(queue.ready_in_memory() + queue.unacked()),
            "messages_paged_out" => |queue| json!(queue.ready() - queue.ready_in_memory()),
            "message_bytes" | "message_bytes_ready" => |queue| json!(queue.ready_bytes()),
            "consumers" => |queue| json!(queue.consumers()),
            "type" => |queue| json!(type_of(queue.arguments())),
            "durable" => |queue| json!(queue.durable()),
            "auto_delete" => |queue| json!(queue.auto_delete()),
            "exclusive" => |queue| json!(queue.is_exclusive()),
            "state" => |queue| json!(state_of(queue.is_paused())),
            "policy" => |queue| table::text(queue.policy()),
            "operator_policy" => |queue| table::text(queue.operator_policy()),
            _ => {
                let counter = column.strip_prefix("message_stats.")?;
                let counter = counter.strip_suffix("_details.rate")?;
                return Some(Self::Rate(RateOf::named(counter)?));
            }
        }))
    }

    /// Names in these virtual hosts with what they are to be sorted by; without queues that are
    /// gone since.
    async fn rows<'a>(
        &self,
        state: &State,
        names: &'a Names,
        vhosts: &[ShortStr],
    ) -> Vec<Named<'a>> {
        let is_visible = |rank: &usize| vhosts.contains(&names[*rank].vhost);
        let rank_of = |place, key| names.find(place, key).filter(is_visible);
        let row = |rank: usize, column| Named { name: &names[rank], rank, column };
        match *self {
            Self::Names => {
                let ranks = (0..names.len()).filter(is_visible);
                ranks.map(|rank| row(rank, Value::Null)).collect()
            }
            Self::Column(read) => {
                let look = move |queue: &QueueView<'_>| (queue.place(), queue.key(), read(queue));
                let found = reading::look_at_queues(&state.broker, look).await.into_iter();
                let rows = |(place, key, column)| Some(row(rank_of(place, key)?, column));
                found.filter_map(rows).collect()
            }
            Self::Rate(of) => {
                let look = |queue: &QueueView<'_>| (queue.place(), queue.numbers());
                let found = reading::look_at_queues(&state.broker, look).await.into_iter();
                let visible = found
                    .filter_map(|(place, numbers)| Some((rank_of(place, numbers.key)?, numbers)));
                let (ranks, numbers): (Vec<_>, Vec<_>) = visible.unzip();
                let rates = state.rates.of_queues(&numbers).into_iter().map(|rate| rate.of(of));
                ranks.into_iter().zip(rates).map(|(rank, rate)| row(rank, json!(rate))).collect()
            }
        }
    }
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
    let mut json = QueueRow { info, state: &call.state, detail: Detail::All }.json();
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
pub(super) fn type_of(arguments: &FieldTable) -> &'static str {
    match arguments.find("x-queue-type").and_then(FieldValue::as_longstr) {
        Some(b"quorum") => "quorum",
        _ => "classic",
    }
}

fn state_of(is_paused: bool) -> &'static str {
    if is_paused { "paused" } else { "running" }
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

struct QueueRow<'a> {
    info: QueueInfo,
    state: &'a State,
    detail: Detail,
}

impl Row for QueueRow<'_> {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.info.vhost, &self.info.name)
    }

    fn json(&self) -> Value {
        let (info, node) = (&self.info, &self.state.node.name);
        let kind = type_of(&info.arguments);
        let mut json = json!({
            "name": info.name.to_text(),
            "vhost": info.vhost.to_text(),
            "type": kind,
            "durable": info.durable,
            "auto_delete": info.auto_delete,
            "exclusive": info.owner.is_some(),
            "arguments": table::from_table(&info.arguments),
            "node": node,
            "state": state_of(info.is_paused),
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

impl QueueRow<'_> {
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
