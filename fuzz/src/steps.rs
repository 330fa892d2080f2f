//! The input of the `inputs` target: the broker's limits, and what happens to it, step by step.
//!
//! ```text
//! octets 0..4   the limits, see `config`
//! octets 4..    steps of four octets: what, to whom, and two more that say how
//! ```
//!
//! Every four octets are a step that means something, and all steps are as long: whatever the
//! fuzzer does to an input, most of it stays what it was.

use std::time::Duration;

use bytes::Bytes;
use warren_core::amqp::{
    BasicAck, BasicCancel, BasicConsume, BasicGet, BasicNack, BasicProperties, BasicPublish,
    BasicQos, BasicRecover, BasicReject, CLASS_BASIC, ChannelClose, ChannelCloseOk, ChannelOpen,
    ConfirmSelect, ConnectionClose, ConnectionCloseOk, ContentHeader, DecodeError, ExchangeBind,
    ExchangeDeclare, ExchangeDelete, ExchangeUnbind, FieldTable, FieldValue, Frame, Method,
    PROTOCOL_HEADER, Properties, QueueBind, QueueDeclare, QueueDelete, QueuePurge, QueueUnbind,
    ShortStr, TxCommit, TxRollback, TxSelect,
};
use warren_core::{Config, Input, Lane};

use crate::disk::Disk;
use crate::mutation::blank;
use crate::world::{BODY, Fate, World};

/// Octets of a step, and of what stands before the first.
pub const STEP_LEN: usize = 4;
/// No more steps than this are taken.
const STEPS_MAX: usize = 400;
/// No more connections than this are made.
const CLIENTS_MAX: usize = 6;

const QUEUES: [&str; 6] = ["q", "r", "s", "", "amq.x", "amq.rabbitmq.reply-to"];
const EXCHANGES: [&str; 8] =
    ["", "x", "y", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.rabbitmq.trace"];
const KINDS: [&str; 5] = ["direct", "fanout", "topic", "headers", "strange"];
const KEYS: [&str; 8] = ["q", "r", "s", "a.b", "a.*", "#", "", "*.b"];
const TAGS: [&str; 4] = ["t", "u", "v", ""];
const NUMBERS: [u64; 8] = [0, 1, 2, 3, 5, 100, u32::MAX as u64, u64::MAX];
const TIMES_MS: [u64; 8] = [0, 1, 10, 20, 1000, 5000, 40_000, 3_600_000];
const BODY_LENS: [usize; 8] = [0, 1, 10, 200, 1000, 4088, 5000, 8192];

/// Plays an input to its end: nothing must panic.
pub fn play(data: &[u8]) {
    let Some((head, steps)) = data.split_first_chunk::<STEP_LEN>() else { return };
    let config = config(*head);
    let mut world = match head[0] & 1 {
        0 => World::on(config, Disk::default()),
        _ => World::without_disk(config),
    };
    for step in steps.chunks_exact(STEP_LEN).take(STEPS_MAX) {
        take(&mut world, [step[0], step[1], step[2], step[3]]);
    }
    world.stop();
}

/// Limits as low as they go, or as usual.
pub fn config([first, second, third, fourth]: [u8; 4]) -> Config {
    let usual = Config::default();
    let pick = |bits: u8, shift: u8| usize::from(bits >> shift & 3);
    Config {
        channel_max: [2047, 2047, 2, 1][pick(first, 1)],
        frame_max: [131_072, 4096, 4096, 8192][pick(first, 3)],
        heartbeat: Duration::from_secs([0, 0, 1, 60][pick(first, 5)]),
        message_size_max: [usual.message_size_max, 5000, 5000, 1][pick(second, 0)],
        egress_len_max: [usual.egress_len_max, 5000, 100, 1][pick(second, 2)],
        memory_max: [usual.memory_max, 100_000, 10_000, 1][pick(second, 4)],
        queue_window: [usual.queue_window, 5000, 100, 1][pick(second, 6)],
        log_pending_max: [usual.log_pending_max, 100_000, 1000, 1][pick(third, 0)],
        segment_len: [65_536, 16_384, 4096, 4096][pick(third, 2)],
        disk_free_min: [usual.disk_free_min, 1000, 1, 0][pick(third, 4)],
        read_len: [usual.read_len, 4096, 100, 1][pick(third, 6)],
        close_timeout: Duration::from_secs([30, 1, 0, 0][pick(fourth, 0)]),
        handshake_timeout: Duration::from_secs([10, 1, 0, 0][pick(fourth, 2)]),
        consumer_timeout: [None, None, Some(1000), Some(1)][pick(fourth, 4)]
            .map(Duration::from_millis),
        ..usual
    }
}

/// Takes one step.
pub fn take(world: &mut World, [what, who, how, more]: [u8; 4]) {
    if world.is_halted && what != 31 {
        // Nothing goes on but that it is started again.
        return if what & 1 == 0 { world.restart() } else { world.input(Input::Tick) };
    }
    let at = usize::from(who >> 4) % world.clients.len().max(1);
    let channel = u16::from(who & 3);
    match what % 32 {
        0 if world.clients.len() < CLIENTS_MAX => drop(world.client()),
        1 if world.clients.len() < CLIENTS_MAX => drop(world.connect()),
        0..14 => {
            if let Some(method) = method(what % 32, how, more) {
                world.method(at, channel, method);
            }
        }
        14..18 => publish(world, at, channel, [what, how, more]),
        18 => world.frame(at, content(how, more, channel)),
        19 => world.frame(at, odd_frame(how, more, channel)),
        20 => malformed(world, at, how),
        21 => world.take_bytes(at, usize::from(how) << (more & 15)),
        22 => world.close(at),
        23..27 => disk(world, how, more),
        27 => world.settle(),
        28 => world.input(Input::DiskFree([0, 1, 999, 1 << 40][usize::from(how & 3)])),
        29 => world.pass(Duration::from_millis(pick(&TIMES_MS, how))),
        30 if how == 0 => world.restart(),
        30 => {
            let method = Method::IDS[usize::from(how) % Method::IDS.len()];
            if let Ok(method) = Method::read(&blank(method).into()) {
                world.method(at, channel, method);
            }
        }
        _ if how == 0 && more == 0 => world.input(Input::Shutdown("maintenance".into())),
        _ => world.pass(Duration::from_millis(1)),
    }
}

fn pick<T: Copy>(from: &[T], at: u8) -> T {
    from[usize::from(at) % from.len()]
}

fn name(from: &[&'static str], at: u8) -> ShortStr {
    pick(from, at).into()
}

/// Whether this bit is set.
fn bit(octet: u8, at: u8) -> bool {
    octet >> at & 1 == 1
}

/// What a client asks for.
fn method(what: u8, how: u8, more: u8) -> Option<Method> {
    let queue = name(&QUEUES, how & 7);
    let exchange = name(&EXCHANGES, how & 7);
    let routing_key = name(&KEYS, more & 7);
    let nowait = bit(how, 7);
    let delivery_tag = pick(&NUMBERS, more & 7);
    let multiple = bit(more, 3);
    let requeue = bit(more, 4);
    let arguments = arguments(more >> 5);
    Some(match (what, how >> 3 & 7) {
        (0 | 1, 0..5) | (2, _) => QueueDeclare {
            queue,
            passive: bit(more, 0),
            durable: !bit(more, 1),
            exclusive: bit(more, 2) && bit(more, 3),
            auto_delete: bit(more, 4),
            nowait,
            arguments,
            ..<_>::default()
        }
        .into(),
        (0 | 1, _) => ChannelOpen::default().into(),
        (3, 0..5) => BasicConsume {
            queue,
            consumer_tag: name(&TAGS, more & 3),
            no_ack: bit(more, 2),
            exclusive: bit(more, 3) && bit(more, 4),
            nowait,
            arguments,
            ..<_>::default()
        }
        .into(),
        (3, _) => BasicCancel { consumer_tag: name(&TAGS, more & 3), nowait }.into(),
        (4, 0..4) => BasicGet { queue, no_ack: bit(more, 0), ..<_>::default() }.into(),
        (4, 4..6) => QueuePurge { queue, nowait, ..<_>::default() }.into(),
        (4, _) => {
            let (if_unused, if_empty) = (bit(more, 0), bit(more, 1));
            QueueDelete { queue, if_unused, if_empty, nowait, ..<_>::default() }.into()
        }
        (5 | 6, _) => BasicAck { delivery_tag, multiple }.into(),
        (7, 0..4) => BasicNack { delivery_tag, multiple, requeue }.into(),
        (7, 4..6) => BasicReject { delivery_tag, requeue }.into(),
        (7, _) => BasicRecover { requeue: true }.into(),
        (8, 0..4) => QueueBind {
            queue: name(&QUEUES, more >> 3 & 3),
            exchange,
            routing_key,
            nowait,
            arguments,
            ..<_>::default()
        }
        .into(),
        (8, _) => QueueUnbind {
            queue: name(&QUEUES, more >> 3 & 3),
            exchange,
            routing_key,
            arguments,
            ..<_>::default()
        }
        .into(),
        (9, 0..4) => ExchangeDeclare {
            exchange,
            kind: name(&KINDS, more & 7),
            passive: bit(more, 3),
            durable: !bit(more, 4),
            nowait,
            arguments,
            ..<_>::default()
        }
        .into(),
        (9, 4..6) => ExchangeBind {
            destination: name(&EXCHANGES, more >> 3 & 3),
            source: exchange,
            routing_key,
            nowait,
            arguments,
            ..<_>::default()
        }
        .into(),
        (9, 6) => ExchangeUnbind {
            destination: name(&EXCHANGES, more >> 3 & 3),
            source: exchange,
            routing_key,
            nowait,
            arguments,
            ..<_>::default()
        }
        .into(),
        (9, _) => ExchangeDelete { exchange, if_unused: multiple, nowait, ..<_>::default() }.into(),
        (10, 0..4) => ConfirmSelect { nowait }.into(),
        (10, _) => TxSelect {}.into(),
        (11, 0..6) => TxCommit {}.into(),
        (11, _) => TxRollback {}.into(),
        (12, _) => BasicQos {
            prefetch_count: pick(&NUMBERS, more & 7) as u16,
            global: bit(how, 0),
            prefetch_size: u32::from(how == 255),
        }
        .into(),
        (13, 0..4) => ChannelOpen::default().into(),
        (13, 4) => ChannelClose::default().into(),
        (13, 5) => ChannelCloseOk {}.into(),
        (13, 6) => ConnectionClose::default().into(),
        (13, _) => ConnectionCloseOk {}.into(),
        _ => return None,
    })
}

fn arguments(which: u8) -> FieldTable {
    let one = |name: &str, value: FieldValue| FieldTable::new(vec![(name.into(), value)]);
    match which {
        1 => one("x-priority", FieldValue::I32(3)),
        2 => one("x-match", FieldValue::text("any")),
        3 => {
            FieldTable::new(vec![("h".into(), FieldValue::I32(1)), ("g".into(), FieldValue::Void)])
        }
        4 => one("alternate-exchange", FieldValue::text("x")),
        5 => one("x-queue-type", FieldValue::text("classic")),
        _ => FieldTable::default(),
    }
}

/// A message in one batch of inputs or several, whole or not.
fn publish(world: &mut World, at: usize, channel: u16, [what, how, more]: [u8; 3]) {
    let len = pick(&BODY_LENS, how >> 5);
    let publish = BasicPublish {
        exchange: if bit(how, 4) { name(&EXCHANGES, how & 7) } else { "".into() },
        routing_key: name(&KEYS, if bit(how, 4) { more & 7 } else { how & 3 }),
        mandatory: bit(more, 3),
        immediate: more == 255,
        ..<_>::default()
    };
    let header = ContentHeader {
        class_id: CLASS_BASIC,
        weight: 0,
        body_size: len as u64,
        properties: properties(more >> 4),
    };
    world.method(at, channel, publish);
    world.frame(at, Frame::Header(channel, header));
    let sent = if what % 32 == 17 { len / 2 } else { len };
    for piece in BODY[..sent].chunks(4088) {
        world.frame(at, Frame::Body(channel, Bytes::from_static(piece).into()));
    }
}

fn properties(which: u8) -> Properties {
    let mut properties = BasicProperties::default();
    if !bit(which, 0) {
        properties.delivery_mode = Some(2);
    }
    if bit(which, 1) {
        properties.reply_to = Some("amq.rabbitmq.reply-to".into());
    }
    if bit(which, 2) {
        let keys = FieldValue::Array(vec![FieldValue::text("q"), FieldValue::text("r")]);
        let header = if bit(which, 3) { "BCC" } else { "CC" };
        properties.headers = Some(FieldTable::new(vec![(header.into(), keys)]));
    }
    properties.encode()
}

/// A piece of a content where none may be due.
fn content(how: u8, more: u8, channel: u16) -> Frame {
    let body_size = pick(&NUMBERS, how & 7);
    match how >> 3 & 3 {
        0 => Frame::Body(channel, Bytes::from_static(&BODY[..pick(&BODY_LENS, more & 7)]).into()),
        1 => {
            let garbage = Bytes::copy_from_slice(&[how, more, how, more, how]);
            let properties = Properties::from_wire(garbage);
            let class_id = CLASS_BASIC;
            Frame::Header(channel, ContentHeader { class_id, weight: 0, body_size, properties })
        }
        _ => {
            let class_id = if bit(more, 0) { CLASS_BASIC } else { u16::from(more) };
            let properties = properties(more >> 4);
            Frame::Header(channel, ContentHeader { class_id, weight: 0, body_size, properties })
        }
    }
}

fn odd_frame(how: u8, more: u8, channel: u16) -> Frame {
    match how & 3 {
        0 => Frame::ProtocolHeader(PROTOCOL_HEADER),
        1 => Frame::ProtocolHeader([b'A', b'M', b'Q', b'P', how, more, 9, 1]),
        2 => Frame::Heartbeat(0),
        _ => Frame::Heartbeat(channel),
    }
}

fn malformed(world: &mut World, at: usize, how: u8) {
    let Some(client) = world.clients.get(at) else { return };
    let id = client.id;
    let error = match how & 7 {
        0 => DecodeError::UnknownFrame { kind: how },
        1 => DecodeError::FrameTooLarge { kind: 1, payload_len: 5000, payload_len_max: 4096 },
        2 => DecodeError::NoFrameEnd { kind: 1, found: how },
        3 => DecodeError::UnknownMethod(Method::IDS[0]),
        4 => DecodeError::MalformedMethod(Method::IDS[usize::from(how) % Method::IDS.len()]),
        _ => return world.input(Input::Received(id)),
    };
    world.input(Input::Malformed(id, error));
}

fn disk(world: &mut World, how: u8, more: u8) {
    let lane = [Lane::Log, Lane::Background, Lane::Read, Lane::Log][usize::from(how & 3)];
    let fate = match more {
        0..240 => Fate::Done,
        240..248 => Fate::Refused { is_full: bit(more, 0) },
        _ => Fate::DoneAndRefused,
    };
    for _ in 0..=how >> 4 {
        world.step_disk(lane, fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_through() {
        let mut world = World::on(Config::default(), Disk::default());
        let settle = [27, 0, 0, 0];
        let steps = [[0, 0, 0, 0], [2, 1, 0, 0], [14, 1, 0xE0, 0], settle, [3, 1, 0, 4], settle];
        for step in steps {
            take(&mut world, step);
        }
        assert_eq!(world.delivered, 1);
        world.stop();
    }
}
