//! Bindings.

use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use warren_core::amqp::{ExchangeBind, ExchangeUnbind, Method, QueueBind, QueueUnbind, ShortStr};
use warren_core::listing::BindingInfo;

use super::State;
use super::call::{Answer, Call, Failure, Reply, short};
use super::json as table;
use super::page::{self, Row};
use super::queue::open;
use super::reading::{self, Bound};
use super::rights::Rights;

/// What stands for itself in keys of properties.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

pub(super) async fn list(call: Call) -> Answer {
    let vhosts = call.vhosts().await?;
    let bindings = reading::Bindings::new(&call.state.broker, vhosts);
    page::read_list(&call, AllRows { state: Rc::clone(&call.state), bindings }).await
}

/// The rows of all bindings, those of the default exchange among them, which nobody made.
struct AllRows {
    state: Rc<State>,
    bindings: reading::Bindings,
}

impl page::Source for AllRows {
    type Row = BindingRow;

    async fn next(&mut self) -> Option<Vec<BindingRow>> {
        let (vhost, source, found) = self.bindings.next().await?;
        Some(match source.is_empty() {
            true => of_default_exchange(&self.state, &vhost).await,
            false => found.into_iter().map(|found| BindingRow::new(&vhost, found)).collect(),
        })
    }
}

/// The bindings between the two that the path names.
pub(super) async fn between(call: Call) -> Answer {
    let ends = Ends::of(&call).await?;
    let rows = ends.rows(&call).await;
    page::list(&call, rows)
}

pub(super) async fn one(call: Call) -> Answer {
    let ends = Ends::of(&call).await?;
    let wanted = call.param("props").unwrap_or_default();
    let rows = ends.rows(&call).await.into_iter();
    let mut found = rows.filter(|row| is_called(row, wanted));
    page::one(&call, found.next().ok_or_else(Failure::no_object)?.json())
}

pub(super) async fn bind(call: Call) -> Answer {
    let ends = Ends::of(&call).await?;
    let object = call.object()?;
    let key = short(object.text_or("routing_key", "")?)?;
    let arguments = object.get("arguments").map(table::to_table).transpose()?.unwrap_or_default();
    let method: Method = match ends.is_queue {
        true => QueueBind {
            queue: ends.destination.clone(),
            exchange: ends.source.clone(),
            routing_key: key.clone(),
            arguments: arguments.clone(),
            ..QueueBind::default()
        }
        .into(),
        false => ExchangeBind {
            destination: ends.destination.clone(),
            source: ends.source.clone(),
            routing_key: key.clone(),
            arguments: arguments.clone(),
            ..ExchangeBind::default()
        }
        .into(),
    };
    let mut session = open(&call, &ends.vhost).await?;
    session.call(method).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    let rows = ends.bindings(&call).await;
    let is_it = |found: &&BindingInfo| {
        found.key == key && found.arguments.canonical() == arguments.canonical()
    };
    let props = rows.iter().find(is_it).map(properties_key).unwrap_or_default();
    let part =
        |name: &str| utf8_percent_encode(call.param(name).unwrap_or_default(), PLAIN).to_string();
    let location = format!(
        "/api/bindings/{}/e/{}/{}/{}/{}",
        part("vhost"),
        part("source"),
        part("kind"),
        part("destination"),
        utf8_percent_encode(&props, PLAIN)
    );
    Ok(Reply::Created(Some(location)))
}

pub(super) async fn unbind(call: Call) -> Answer {
    let ends = Ends::of(&call).await?;
    let wanted = call.param("props").unwrap_or_default().to_owned();
    let found = ends.bindings(&call).await.into_iter();
    let mut found = found.filter(|found| is_same_key(&properties_key(found), &wanted));
    let found = found.next().ok_or_else(Failure::no_object)?;
    let method: Method = match ends.is_queue {
        true => QueueUnbind {
            queue: ends.destination.clone(),
            exchange: ends.source.clone(),
            routing_key: found.key,
            arguments: found.arguments,
            ..QueueUnbind::default()
        }
        .into(),
        false => ExchangeUnbind {
            destination: ends.destination.clone(),
            source: ends.source.clone(),
            routing_key: found.key,
            arguments: found.arguments,
            ..ExchangeUnbind::default()
        }
        .into(),
    };
    let mut session = open(&call, &ends.vhost).await?;
    session.call(method).await.map_err(|refused| refused.into_plain())?;
    session.close().await?;
    Ok(Reply::Done)
}

/// The bindings from the default exchange: each queue has one.
pub(super) async fn of_default_exchange(state: &State, vhost: &ShortStr) -> Vec<BindingRow> {
    let names = state.names.all(&state.broker).await;
    let own = names.iter().filter(|one| one.vhost == *vhost);
    own.map(|one| BindingRow::of_default(vhost, &one.name)).collect()
}

/// The bindings of an exchange or a queue, but for those that nobody made, with what who asks may
/// do to them.
pub(super) async fn of(call: &Call, vhost: &ShortStr, of: &Bound) -> Vec<BindingRow> {
    let rights = Rc::new(Rights::of(call, vhost).await);
    let bindings = reading::bindings(&call.state.broker, vhost, of).await.into_iter();
    bindings.map(|found| BindingRow::new(vhost, found).with_rights(&rights)).collect()
}

/// A binding in a list.
pub(super) struct BindingRow {
    vhost: ShortStr,
    binding: Found,
    /// What who asks may do to it is told by these.
    rights: Option<Rc<Rights>>,
}

enum Found {
    /// That of this queue to the default exchange.
    Default(ShortStr),
    Made(Box<BindingInfo>),
}

impl BindingRow {
    pub(super) fn new(vhost: &ShortStr, found: BindingInfo) -> Self {
        Self { vhost: vhost.clone(), binding: Found::Made(Box::new(found)), rights: None }
    }

    /// The binding by which each queue is bound to the default exchange.
    pub(super) fn of_default(vhost: &ShortStr, queue: &ShortStr) -> Self {
        Self { vhost: vhost.clone(), binding: Found::Default(queue.clone()), rights: None }
    }

    fn with_rights(self, rights: &Rc<Rights>) -> Self {
        Self { rights: Some(Rc::clone(rights)), ..self }
    }

    fn properties_key(&self) -> String {
        match &self.binding {
            Found::Default(queue) => quote(queue),
            Found::Made(info) => properties_key(info),
        }
    }
}

impl Row for BindingRow {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        match &self.binding {
            Found::Default(_) => (&self.vhost, &ShortStr::EMPTY),
            Found::Made(info) => (&self.vhost, &info.source),
        }
    }

    fn column(&self, name: &str) -> Option<Value> {
        let (source, destination, key) = match &self.binding {
            Found::Default(queue) => (&ShortStr::EMPTY, queue, queue),
            Found::Made(info) => (&info.source, &info.destination, &info.key),
        };
        let text = match name {
            "vhost" => &self.vhost,
            "source" => source,
            "destination" => destination,
            "routing_key" => key,
            _ => return None,
        };
        Some(json!(text.to_text()))
    }

    fn json(&self) -> Value {
        let mut json = match &self.binding {
            Found::Default(queue) => json!({
                "source": "",
                "destination": queue.to_text(),
                "destination_type": "queue",
                "routing_key": queue.to_text(),
                "arguments": {},
            }),
            Found::Made(info) => json!({
                "source": info.source.to_text(),
                "destination": info.destination.to_text(),
                "destination_type": if info.is_queue { "queue" } else { "exchange" },
                "routing_key": info.key.to_text(),
                "arguments": table::from_table(&info.arguments),
            }),
        };
        json["vhost"] = json!(self.vhost.to_text());
        json["properties_key"] = json!(self.properties_key());
        if let (Some(rights), Found::Made(info)) = (&self.rights, &self.binding) {
            json["you_may"] = rights.at_binding(info);
        }
        json
    }
}

/// What tells a binding from others between the same two: its key, and a hash of its arguments if
/// it has any.
fn properties_key(info: &BindingInfo) -> String {
    match (info.key.is_empty(), info.arguments.is_empty()) {
        (true, true) => "~".to_owned(),
        (_, true) => quote(&info.key),
        (_, false) => format!("{}~{:016x}", quote(&info.key), info.arguments_hash),
    }
}

fn quote(key: &ShortStr) -> String {
    utf8_percent_encode(&key.to_text(), PLAIN).to_string()
}

fn is_called(row: &BindingRow, wanted: &str) -> bool {
    is_same_key(&row.properties_key(), wanted)
}

/// Whether a client means this key, whichever of its characters it has escaped.
fn is_same_key(key: &str, wanted: &str) -> bool {
    let plain = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    key == wanted || key.split('~').map(plain).eq(wanted.split('~').map(plain))
}

/// The two ends that a path names.
struct Ends {
    vhost: ShortStr,
    source: ShortStr,
    destination: ShortStr,
    is_queue: bool,
}

impl Ends {
    async fn of(call: &Call) -> Result<Self, Failure> {
        let vhost = call.vhost().await?;
        let (source, destination) = (call.name("source")?, call.name("destination")?);
        let is_queue = match call.param("kind") {
            Some("q") => true,
            Some("e") => false,
            _ => return Err(Failure::no_object()),
        };
        let ends = Self { vhost, source, destination, is_queue };
        let (vhost, source) = (ends.vhost.clone(), ends.source.clone());
        let destination = ends.destination.clone();
        let are_there = call.state.broker.look(move |broker| {
            let is_there = match is_queue {
                true => broker.queue_info(&vhost, &destination).is_some(),
                false => broker.exchange_info(&vhost, &destination).is_some(),
            };
            is_there && broker.exchange_info(&vhost, &source).is_some()
        });
        if are_there.await { Ok(ends) } else { Err(Failure::no_object()) }
    }

    async fn bindings(&self, call: &Call) -> Vec<BindingInfo> {
        let of = match self.is_queue {
            true => Bound::ToQueue(self.destination.clone()),
            false => Bound::ToExchange(self.destination.clone()),
        };
        let mut found = reading::bindings(&call.state.broker, &self.vhost, &of).await;
        found.retain(|binding| binding.source == self.source);
        found
    }

    async fn rows(&self, call: &Call) -> Vec<BindingRow> {
        if self.source.is_empty() && self.is_queue {
            return vec![BindingRow::of_default(&self.vhost, &self.destination)];
        }
        let rights = Rc::new(Rights::of(call, &self.vhost).await);
        let bindings = self.bindings(call).await.into_iter();
        bindings.map(|found| BindingRow::new(&self.vhost, found).with_rights(&rights)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_however_it_is_escaped() {
        assert_eq!(quote(&"a b~c#".into()), "a%20b%7Ec%23");
        for (key, wanted, expected) in [
            ("a%20b", "a+b", true),
            ("a%20b", "a b", true),
            ("a%7Eb", "a~b", false),
            ("a~0123", "a~0123", true),
            ("~", "~", true),
            ("a", "~", false),
        ] {
            assert_eq!(is_same_key(key, wanted), expected, "{key} {wanted}");
        }
    }
}
