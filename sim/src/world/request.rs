//! The steps of a channel as bytes: what a client sends for each verb.

use smol_str::format_smolstr;

use super::client::{Channel, Client};
use crate::plan::Step;
use crate::wire::{Argument, Method, Properties, Table, Value, encode_content};

/// Carries out a step on a channel; does nothing if the channel is not there for it.
pub(super) fn send(client: &mut Client, number: u16, step: &Step, serial: &mut u64) {
    if step.verb() == "open" {
        if !client.channels.contains_key(&number) || step.is("again") {
            client.send(number, &Method::new("channel.open"));
            client.channels.entry(number).or_default();
        }
        return;
    }
    let Some(channel) = client.channels.get_mut(&number) else { return };
    if channel.is_closing {
        return;
    }
    match step.verb() {
        "publish" => return publish(client, number, step, serial),
        "flood" => {
            client.tally.note("flood");
            (0..step.number("count", 1)).for_each(|_| publish(client, number, step, serial));
            return;
        }
        "declares" | "deletes" => return send_many(client, number, step),
        "answer" => {
            let Some(reply_to) = channel.reply_to.take() else { return };
            let (method, properties, body) = message(&reply_to, step, serial);
            return send_content(client, number, &method, &properties, &body, body.len());
        }
        _ => {}
    }
    if let Some(method) = method(channel, step) {
        client.send(number, &method);
    }
}

fn method(channel: &mut Channel, step: &Step) -> Option<Method> {
    Some(match step.verb() {
        "close" => {
            channel.is_closing = true;
            Method::new("channel.close").with_number("reply-code", 200)
        }
        "flow" => Method::new("channel.flow").with_bit("active", !step.is("stop")),
        "confirm" => Method::new("confirm.select").with_bit("nowait", step.is("nowait")),
        "tx" => {
            channel.is_tx = true;
            Method::new("tx.select")
        }
        "commit" => Method::new("tx.commit"),
        "rollback" => Method::new("tx.rollback"),
        "consume" => return consume(channel, step),
        "cancel" => {
            let is_nowait = step.is("nowait");
            let tag = step.text("tag");
            if is_nowait {
                channel.consumers.remove(tag);
            }
            Method::new("basic.cancel").with_text("consumer-tag", tag).with_bit("nowait", is_nowait)
        }
        "get" => {
            channel.gets.push_back(step.is("no_ack"));
            Method::new("basic.get")
                .with_text("queue", step.text("q"))
                .with_bit("no-ack", step.is("no_ack"))
        }
        "ack" | "nack" | "reject" => return settle(channel, step),
        "recover" => {
            let name = if step.is("async") { "basic.recover-async" } else { "basic.recover" };
            if !step.is("drop") {
                channel.unsettled.clear();
            }
            Method::new(name).with_bit("requeue", !step.is("drop"))
        }
        "qos" => Method::new("basic.qos")
            .with_number("prefetch-size", step.number("size", 0))
            .with_number("prefetch-count", step.number("count", 0))
            .with_bit("global", step.is("global")),
        _ => topology(step),
    })
}

fn topology(step: &Step) -> Method {
    let flags = |method: Method, flags: &[(&str, &str)]| {
        flags.iter().fold(method, |method, (name, flag)| method.with_bit(name, step.is(flag)))
    };
    let nowait = ("nowait", "nowait");
    let binding = |name: &str| {
        Method::new(name)
            .with_text("routing-key", step.text("key"))
            .with_table("arguments", binding_arguments(step))
    };
    match step.verb() {
        "declare" => flags(
            Method::new("queue.declare")
                .with_text("queue", step.text("q"))
                .with_table("arguments", queue_arguments(step)),
            &[
                ("durable", "durable"),
                ("exclusive", "exclusive"),
                ("auto-delete", "auto_delete"),
                ("passive", "passive"),
            ],
        )
        // Of a queue that the broker names, nobody would know the name.
        .with_bit("nowait", step.is("nowait") && !step.text("q").is_empty()),
        "delete" => flags(
            Method::new("queue.delete").with_text("queue", step.text("q")),
            &[("if-unused", "if_unused"), ("if-empty", "if_empty"), nowait],
        ),
        "purge" => flags(Method::new("queue.purge").with_text("queue", step.text("q")), &[nowait]),
        "bind" => flags(queue_binding(binding("queue.bind"), step), &[nowait]),
        "unbind" => queue_binding(binding("queue.unbind"), step),
        "xdeclare" => flags(
            Method::new("exchange.declare")
                .with_text("exchange", step.text("x"))
                .with_text("type", step.text("type"))
                .with_table("arguments", exchange_arguments(step)),
            &[
                ("durable", "durable"),
                ("auto-delete", "auto_delete"),
                ("internal", "internal"),
                ("passive", "passive"),
                nowait,
            ],
        ),
        "xdelete" => flags(
            Method::new("exchange.delete").with_text("exchange", step.text("x")),
            &[("if-unused", "if_unused"), nowait],
        ),
        "xbind" => flags(exchange_binding(binding("exchange.bind"), step), &[nowait]),
        "xunbind" => flags(exchange_binding(binding("exchange.unbind"), step), &[nowait]),
        verb => unreachable!("{verb} is not carried out on a channel"),
    }
}

/// Declares, or deletes, so many queues of the client's own.
fn send_many(client: &mut Client, number: u16, step: &Step) {
    if step.verb() == "declares" {
        client.tally.note("many-declares");
    }
    for at in 1..=step.number("count", 1) {
        let name = format!("d{}.{at}", client.number);
        let verb = step.verb().trim_end_matches('s');
        let flags = ["durable", "exclusive", "nowait"].into_iter().filter(|flag| step.is(flag));
        let one = Step::new(step.who, verb).with("q", name);
        let one = flags.fold(one, |one, flag| one.flag(flag, true));
        client.send(number, &topology(&one));
    }
}

fn queue_binding(method: Method, step: &Step) -> Method {
    method.with_text("queue", step.text("q")).with_text("exchange", step.text("x"))
}

fn exchange_binding(method: Method, step: &Step) -> Method {
    method.with_text("destination", step.text("to")).with_text("source", step.text("from"))
}

fn binding_arguments(step: &Step) -> Table {
    let mut table = headers(step.text("headers"));
    if let Some(rule) = step.value("match") {
        table.push(("x-match".into(), Value::text(rule)));
    }
    table
}

fn queue_arguments(step: &Step) -> Table {
    headers(step.text("arg"))
}

fn exchange_arguments(step: &Step) -> Table {
    let mut table = headers(step.text("arg"));
    let alternate = step.value("alternate").map(Value::text);
    table.extend(alternate.map(|value| ("alternate-exchange".to_owned(), value)));
    table
}

/// `a:1,b:x,c:true`: whole numbers as `I`, `true` and `false` as `t`, other text as `S`, `''` as an
/// empty one, nothing as `V`.
pub(super) fn headers(text: &str) -> Table {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    let entry = |pair: &str| {
        let (name, value) = pair.split_once(':').unwrap_or((pair, ""));
        let value = match value.parse() {
            Ok(number) => Value::I32(number),
            Err(_) if value.is_empty() => Value::Void,
            Err(_) if matches!(value, "true" | "false") => Value::Bool(value == "true"),
            Err(_) if value == "''" => Value::text(""),
            Err(_) => Value::text(value),
        };
        (name.to_owned(), value)
    };
    pairs.map(entry).collect()
}

fn consume(channel: &mut Channel, step: &Step) -> Option<Method> {
    let tag = step.text("tag");
    let is_known = channel.consumers.contains_key(tag);
    if is_known && !step.is("forced") {
        return None;
    }
    if !is_known {
        channel.consumers.insert(tag.to_owned(), step.is("no_ack"));
    }
    let argument = |key: &str, name: &str| {
        let value = step.value(key)?.parse().ok().map(Value::I32)?;
        Some((name.to_owned(), value))
    };
    let arguments = [argument("priority", "x-priority"), argument("timeout", "x-consumer-timeout")];
    Some(
        Method::new("basic.consume")
            .with_text("queue", step.text("q"))
            .with_text("consumer-tag", tag)
            .with_bit("no-ack", step.is("no_ack"))
            .with_bit("exclusive", step.is("exclusive"))
            .with_bit("nowait", step.is("nowait"))
            .with_table("arguments", arguments.into_iter().flatten().collect()),
    )
}

/// Settles the nth of what is unsettled, counted around; or the tag that the step names, right or
/// wrong.
fn settle(channel: &mut Channel, step: &Step) -> Option<Method> {
    let is_multiple = step.is("multiple") || step.is("all");
    let tag = match step.value("tag").and_then(|tag| tag.parse().ok()) {
        Some(tag) => tag,
        None if channel.unsettled.is_empty() => return None,
        None if step.is("all") => 0,
        None => {
            let nth = step.number("nth", 0) as usize % channel.unsettled.len();
            channel.unsettled[nth]
        }
    };
    let is_settled =
        |unsettled: u64| unsettled == tag || is_multiple && (unsettled < tag || tag == 0);
    let settled = channel.unsettled.iter().copied().filter(|tag| is_settled(*tag));
    if channel.is_tx {
        channel.settled_in_tx.extend(settled);
    }
    channel.unsettled.retain(|tag| !is_settled(*tag));
    let method = Method::new(&format!("basic.{}", step.verb())).with_number("delivery-tag", tag);
    Some(match step.verb() {
        "ack" => method.with_bit("multiple", is_multiple),
        "nack" => method.with_bit("multiple", is_multiple).with_bit("requeue", step.is("requeue")),
        _ => method.with_bit("requeue", step.is("requeue")),
    })
}

/// The message's number stands in its `message-id`, and the body follows from the number, or is all
/// zeros.
fn message(key: &str, step: &Step, serial: &mut u64) -> (Method, Properties, Vec<u8>) {
    *serial += 1;
    let method = Method::new("basic.publish").with_text("routing-key", key);
    let mut properties = Properties::default();
    properties.set("message-id", Argument::Text(format_smolstr!("m{serial}")));
    let (first, rise) = if step.is("zeros") { (0, 0) } else { (serial.wrapping_mul(31) as u8, 7) };
    let byte = |at: usize| first.wrapping_add((at as u8).wrapping_mul(rise));
    let body = (0..step.number("body", 0) as usize).map(byte).collect();
    (method, properties, body)
}

fn publish(client: &mut Client, number: u16, step: &Step, serial: &mut u64) {
    let (method, mut properties, body) = message(step.text("key"), step, serial);
    let method = method
        .with_text("exchange", step.text("x"))
        .with_bit("mandatory", step.is("mandatory"))
        .with_bit("immediate", step.is("immediate"));
    if step.is("persistent") {
        properties.set("delivery-mode", Argument::Number(2));
    }
    for (key, property) in [("reply_to", "reply-to"), ("user", "user-id"), ("ttl", "expiration")] {
        if let Some(text) = step.value(key) {
            properties.set(property, Argument::Text(text.into()));
        }
    }
    let levels = step.value("levels").and_then(|value| value.parse().ok());
    let priority = match levels {
        Some(levels) => Some(*serial % u64::max(levels, 1)),
        None => step.value("priority").and_then(|value| value.parse().ok()),
    };
    if let Some(priority) = priority {
        properties.set("priority", Argument::Number(priority));
    }
    let mut table = headers(step.text("headers"));
    for (key, header) in [("cc", "CC"), ("bcc", "BCC")] {
        if let Some(keys) = step.value(key) {
            let keys = keys.split(',').map(Value::text).collect();
            table.push((header.into(), Value::Array(keys)));
        }
    }
    if let Some(delay) = step.value("delay") {
        table.extend(headers(&format!("x-delay:{delay}")));
    }
    if !table.is_empty() {
        properties.set("headers", Argument::Table(table));
    }
    let sent = step.number("cut", body.len() as u64) as usize;
    send_content(client, number, &method, &properties, &body, sent.min(body.len()));
}

/// Sends a content, of its body only the first `sent` bytes.
fn send_content(
    client: &mut Client,
    number: u16,
    method: &Method,
    properties: &Properties,
    body: &[u8],
    sent: usize,
) {
    client.send(number, method);
    let before = client.out.len();
    encode_content(&mut client.out, number, properties, body, client.frame_max);
    if sent < body.len() {
        let whole = client.out.split_off(before);
        let header_len = whole.len() - body_frames_len(body.len(), client.frame_max);
        client.out.extend_from_slice(&whole[..header_len]);
        client.tally.note("half-sent-body");
        if let Some(channel) = client.channels.get_mut(&number) {
            channel.has_cut_body = true;
        }
        if sent > 0 {
            let piece = sent.min(client.frame_max as usize - 8);
            crate::wire::encode_frame(&mut client.out, 3, number, &body[..piece]);
        }
    }
}

fn body_frames_len(len: usize, frame_max: u32) -> usize {
    len + 8 * len.div_ceil(frame_max as usize - 8)
}

/// The response of AMQPLAIN: a table without its length.
pub(super) fn amqplain(user: &str, password: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in [("LOGIN", user), ("PASSWORD", password)] {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(b'S');
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out
}
