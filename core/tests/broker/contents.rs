//! What is published as a whole content, and as its frames: what comes of it is the same.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use warren_core::amqp::*;
use warren_core::{Command, CommandId, Config, ConnectionId, Input, Mark, ResourceLimits};

use super::client::World;

/// Whether the broker takes contents of this client whole, and what it is published to.
struct Case {
    name: &'static str,
    begin: fn(&mut World, ConnectionId),
    publish: BasicPublish,
    properties: BasicProperties,
    is_taken: bool,
}

impl Case {
    fn new(name: &'static str, begin: fn(&mut World, ConnectionId)) -> Self {
        Self {
            name,
            begin,
            publish: BasicPublish { routing_key: "q".into(), ..BasicPublish::default() },
            properties: BasicProperties::NONE,
            is_taken: true,
        }
    }
}

fn cases() -> Vec<Case> {
    let nowhere = |mandatory| BasicPublish {
        routing_key: "nowhere".into(),
        mandatory,
        ..BasicPublish::default()
    };
    let expiring = BasicProperties { expiration: Some("soon".into()), ..BasicProperties::NONE };
    vec![
        Case::new("to a queue", |_, _| ()),
        Case::new("confirmed", |world, client| world.tell(client, 1, ConfirmSelect::default())),
        Case::new("in a transaction", |world, client| world.tell(client, 1, TxSelect {})),
        Case { publish: nowhere(true), ..Case::new("returned", |_, _| ()) },
        Case { publish: nowhere(false), ..Case::new("unroutable", |_, _| ()) },
        Case {
            publish: BasicPublish { exchange: "none".into(), ..BasicPublish::default() },
            ..Case::new("the channel's error", |_, _| ())
        },
        Case {
            publish: BasicPublish { immediate: true, ..BasicPublish::default() },
            ..Case::new("the connection's error", |_, _| ())
        },
        Case { properties: expiring, ..Case::new("a property that cannot be", |_, _| ()) },
        Case {
            publish: BasicPublish {
                routing_key: "brief".into(),
                mandatory: true,
                ..BasicPublish::default()
            },
            ..Case::new("to a queue whose time is up", |world, client| {
                let expires = ("x-expires".into(), FieldValue::I32(1000));
                let arguments = FieldTable::new(vec![expires]);
                let queue = "brief".into();
                world.tell(client, 1, QueueDeclare { queue, arguments, ..Default::default() });
                // Nobody has told the broker yet.
                world.now = world.now + Duration::from_secs(2);
            })
        },
        Case {
            is_taken: false,
            ..Case::new("on a channel that is not open", |world, client| {
                world.tell(client, 1, ChannelClose::default());
            })
        },
        Case {
            is_taken: false,
            ..Case::new("within another content", |world, client| {
                world.tell(client, 1, BasicPublish::default());
            })
        },
        Case {
            is_taken: false,
            ..Case::new("while publishers wait", |world, client| {
                world.declare(client, "kept");
                world.publish(client, "kept", "in memory");
                let limits = ResourceLimits { memory_max: Some(0), disk_free_min: None };
                let command = Box::new(Command::SetResourceLimits(limits));
                world.input(Input::Command(CommandId(0), command));
            })
        },
    ]
}

/// Two of these, one behind the other.
fn stream(case: &Case) -> Bytes {
    let mut method = BytesMut::new();
    Method::from(case.publish.clone()).write(&mut method);
    let mut header = BytesMut::new();
    header.put_u32(u32::from(CLASS_BASIC) << 16);
    header.put_u64(4);
    header.put_slice(case.properties.encode().wire());
    let mut out = BytesMut::new();
    for (kind, payload) in [(1, &method[..]), (2, &header[..]), (3, b"body")].repeat(2) {
        out.put_u8(kind);
        out.put_u16(1);
        out.put_u32(payload.len() as u32);
        out.put_slice(payload);
        out.put_u8(FRAME_END);
    }
    out.freeze()
}

/// What is said about what was published, and whether the first content was taken whole.
fn said(case: &Case, may_be_whole: bool) -> (String, bool) {
    let mut world = World::new(Config::default());
    let client = world.client();
    world.declare(client, "q");
    world.consume(client, "q", "c");
    world.tell(client, 2, ChannelOpen::default());
    (case.begin)(&mut world, client);
    world.heard(client);
    let mut decoder = Decoder::past_header();
    decoder.feed(stream(case));
    let mut taken = Vec::new();
    loop {
        if let Some(content) = decoder.content().filter(|_| may_be_whole) {
            let is_taken = world.broker.handle_content(world.now, client, &content);
            let len = content.len();
            taken.push(is_taken);
            if is_taken {
                decoder.pass(len);
                continue;
            }
        }
        let Ok(Some(frame)) = decoder.poll() else { break };
        world.broker.handle(world.now, Input::Frame(client, frame));
    }
    let parked = world.broker.parked();
    world.tell(client, 2, BasicQos::default());
    let marks = world.broker.marks();
    assert_eq!(
        marks.count(Mark::ContentWhole),
        taken.iter().map(|is_taken| u64::from(*is_taken)).sum()
    );
    let others = Mark::ALL.into_iter().filter(|mark| *mark != Mark::ContentWhole);
    let others: Vec<u64> = others.map(|mark| marks.count(mark)).collect();
    let said = format!("{:?} {parked:?} {others:?}", world.outputs());
    (said, taken.first().copied().unwrap_or_default())
}

#[test]
fn a_content_is_a_sign_of_life() {
    let mut world = World::new(Config::default());
    let client = world.client_with(Duration::from_secs(10));
    let stream = stream(&Case::new("to nobody", |_, _| ()));
    let content = Content::read(&stream, u32::MAX).expect("one");
    for _ in 0..10 {
        world.pass(Duration::from_secs(15));
        assert!(world.broker.handle_content(world.now, client, &content));
    }
    assert!(world.heard(client).iter().all(|heard| heard == "heartbeat"));
}

#[test]
fn a_content_does_what_its_frames_do() {
    for case in cases() {
        let (frame_by_frame, _) = said(&case, false);
        let (whole, is_taken) = said(&case, true);
        assert_eq!(is_taken, case.is_taken, "{}", case.name);
        assert_eq!(whole, frame_by_frame, "{}", case.name);
    }
}
