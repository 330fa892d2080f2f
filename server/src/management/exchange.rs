//! Exchanges.

use std::rc::Rc;

use serde_json::{Value, json};
use warren_core::amqp::{ExchangeDeclare, ExchangeDelete, ShortStr};
use warren_core::listing::ExchangeInfo;

use super::State;
use super::binding;
use super::call::{Answer, Call, Failure, Object, Reply, short};
use super::json as table;
use super::page::{self, Row};
use super::queue::open;
use super::reading::{self, Bound};
use super::rights::Rights;

pub(super) async fn list(call: Call) -> Answer {
    let vhosts = call.vhosts().await?;
    let exchanges = reading::Exchanges::new(&call.state.broker, vhosts);
    page::read_list(&call, AllRows { state: Rc::clone(&call.state), exchanges }).await
}

/// The rows of all exchanges.
struct AllRows {
    state: Rc<State>,
    exchanges: reading::Exchanges,
}

impl page::Source for AllRows {
    type Row = ExchangeRow;

    async fn next(&mut self) -> Option<Vec<ExchangeRow>> {
        let found = self.exchanges.next().await?.into_iter();
        Some(found.map(|info| ExchangeRow { info, state: Rc::clone(&self.state) }).collect())
    }
}

struct ExchangeRow {
    info: ExchangeInfo,
    state: Rc<State>,
}

impl Row for ExchangeRow {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.info.vhost, &self.info.name)
    }

    fn json(&self) -> Value {
        with_stats(&self.info, &self.state)
    }
}

pub(super) async fn one(call: Call) -> Answer {
    let info = find(&call).await?;
    let mut json = with_stats(&info, &call.state);
    json["you_may"] = Rights::of(&call, &info.vhost).await.at_exchange(&info);
    json["incoming"] = json!([]);
    json["outgoing"] = json!([]);
    page::one(&call, json)
}

pub(super) async fn declare(call: Call) -> Answer {
    let (vhost, name) = (call.vhost().await?, call.name("exchange")?);
    let declare = declaration(&name, &call.object()?)?;
    let is_new = find_in(&call.state, &vhost, &name).await.is_none();
    let mut session = open(&call, &vhost).await?;
    session.call(declare).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    Ok(if is_new { Reply::Created(None) } else { Reply::Done })
}

/// The declaration of an exchange that an object describes.
///
/// # Errors
/// When it describes none.
pub(super) fn declaration(name: &ShortStr, object: &Object) -> Result<ExchangeDeclare, Failure> {
    Ok(ExchangeDeclare {
        exchange: name.clone(),
        kind: short(object.text_or("type", "direct")?)?,
        durable: object.flag("durable", false)?,
        auto_delete: object.flag("auto_delete", false)?,
        internal: object.flag("internal", false)?,
        arguments: object.get("arguments").map(table::to_table).transpose()?.unwrap_or_default(),
        ..ExchangeDeclare::default()
    })
}

pub(super) async fn delete(call: Call) -> Answer {
    let info = find(&call).await?;
    let delete = ExchangeDelete {
        exchange: info.name,
        if_unused: call.query.is_set("if-unused"),
        ..ExchangeDelete::default()
    };
    let mut session = open(&call, &info.vhost).await?;
    session.call(delete).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    Ok(Reply::Done)
}

/// The bindings from it.
pub(super) async fn bindings_from(call: Call) -> Answer {
    let info = find(&call).await?;
    let rows = match info.name.is_empty() {
        true => binding::of_default_exchange(&call.state, &info.vhost).await,
        false => binding::of(&call, &info.vhost, &Bound::From(info.name)).await,
    };
    page::list(&call, rows)
}

/// The bindings to it.
pub(super) async fn bindings_to(call: Call) -> Answer {
    let info = find(&call).await?;
    let of = Bound::ToExchange(info.name);
    page::list(&call, binding::of(&call, &info.vhost, &of).await)
}

/// The exchange that the path names.
///
/// # Errors
/// When there is none.
pub(super) async fn find(call: &Call) -> Result<ExchangeInfo, Failure> {
    let (vhost, name) = (call.vhost().await?, call.name("exchange")?);
    find_in(&call.state, &vhost, &name).await.ok_or_else(Failure::no_object)
}

async fn find_in(state: &State, vhost: &ShortStr, name: &ShortStr) -> Option<ExchangeInfo> {
    let (vhost, name) = (vhost.clone(), name.clone());
    state.broker.look(move |broker| broker.exchange_info(&vhost, &name)).await
}

/// An exchange, and what happened there.
pub(super) fn with_stats(info: &ExchangeInfo, state: &State) -> Value {
    let (vhost, name) = (info.vhost.to_text(), info.name.to_text());
    let counters = [("publish_in", info.published), ("publish_out", info.routed)];
    let mut json = to_json(info);
    let stats = state.rates.of_object(format!("exchange {vhost} {name}"), &counters);
    json["message_stats"] = stats.into();
    json
}

/// An exchange as it was declared.
pub(super) fn to_json(info: &ExchangeInfo) -> Value {
    json!({
        "name": info.name.to_text(),
        "vhost": info.vhost.to_text(),
        "type": info.kind,
        "durable": info.durable,
        "auto_delete": info.auto_delete,
        "internal": info.internal,
        "arguments": table::from_table(&info.arguments),
        "policy": table::text(info.policy.as_ref()),
        "user_who_performed_action": "rmq-internal",
    })
}
