//! A mover is told what a broker may answer, step by step.

use alloc::string::ToString;

use super::*;
use crate::amqp::{
    BasicGetEmpty, BasicNack, BasicReturn, ConfirmSelectOk, ContentHeader, ExchangeDeclareOk,
    ExchangeDeleteOk, FieldTable, QueueBindOk, TxCommitOk, TxSelectOk,
};
use crate::listing::QueueNumbers;

fn queue(name: &'static str, overflow: Option<&'static str>) -> QueueInfo {
    let mut arguments = FieldTable::default();
    if let Some(overflow) = overflow {
        arguments.push(ShortStr::from_static("x-overflow"), FieldValue::text(overflow));
    }
    QueueInfo {
        vhost: ShortStr::from_static("/"),
        name: ShortStr::from_static(name),
        durable: true,
        auto_delete: false,
        owner: None,
        arguments,
        policy: None,
        operator_policy: None,
        policy_definition: FieldTable::default(),
        is_paused: false,
        delivery_limit: None,
        exclusive_consumer: None,
        active_consumer: None,
        numbers: QueueNumbers::default(),
    }
}

fn all(mover: &mut Mover) -> Vec<Action> {
    core::iter::from_fn(|| mover.poll()).collect()
}

/// The names of what is to be done.
fn names(mover: &mut Mover) -> Vec<&'static str> {
    let name = |action: &Action| match action {
        Action::Send(method) => method.name(),
        Action::Publish(..) => "publish",
        Action::Open => "open",
        Action::End(_) => "end",
    };
    all(mover).iter().map(name).collect()
}

fn hear(mover: &mut Mover, method: impl Into<Method>) {
    mover.handle(Frame::Method(1, method.into()));
}

/// A message comes, its body in two pieces.
fn give(mover: &mut Mover, tag: u64, body: &'static [u8]) {
    let routing_key = ShortStr::from_static("key");
    hear(mover, BasicGetOk { delivery_tag: tag, routing_key, ..BasicGetOk::default() });
    let properties = Properties::from_wire(Bytes::from_static(&[0x10, 0, 2]));
    let body_size = body.len() as u64;
    mover
        .handle(Frame::Header(1, ContentHeader { class_id: 60, weight: 0, body_size, properties }));
    for piece in body.chunks(2) {
        mover.handle(Frame::Body(1, Bytes::copy_from_slice(piece).into()));
    }
}

/// One that is ready to move so many messages.
fn mover(count: u64, overflow: Option<&'static str>) -> Mover {
    let mut mover = Mover::new(&queue("from", None), &queue("to", overflow), count, 7);
    assert_eq!(names(&mut mover), ["exchange.declare"]);
    hear(&mut mover, ExchangeDeclareOk {});
    assert_eq!(names(&mut mover), ["queue.bind"]);
    hear(&mut mover, QueueBindOk {});
    match overflow {
        None => {
            assert_eq!(names(&mut mover), ["tx.select"]);
            hear(&mut mover, TxSelectOk {});
        }
        Some(_) => {
            assert_eq!(names(&mut mover), ["confirm.select"]);
            hear(&mut mover, ConfirmSelectOk {});
        }
    }
    mover
}

fn outcome(mover: &mut Mover) -> Outcome {
    match &all(mover)[..] {
        [Action::End(outcome)] => outcome.clone(),
        other => panic!("it does not end: {other:?}"),
    }
}

/// Two messages were taken and published.
fn with_two(overflow: Option<&'static str>) -> Mover {
    let mut mover = mover(2, overflow);
    assert_eq!(names(&mut mover), ["basic.get"]);
    give(&mut mover, 1, b"one");
    assert_eq!(names(&mut mover), ["basic.get"]);
    give(&mut mover, 2, b"");
    mover
}

#[test]
fn messages_are_committed_once_all_were_published_and_the_exchange_is_still_there() {
    let mut mover = with_two(None);
    let actions = all(&mut mover);
    let Action::Publish(publish, properties, body) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!((publish.routing_key.as_bytes(), &body[..]), (&b"key"[..], &b"one"[..]));
    assert_eq!(properties.wire(), [0x10, 0, 2]);
    assert!(matches!(&actions[1], Action::Publish(_, _, body) if body.is_empty()));
    let Action::Send(Method::ExchangeDeclare(look)) = &actions[2] else { panic!("{actions:?}") };
    assert!(look.passive);
    hear(&mut mover, ExchangeDeclareOk {});
    let settled = BasicAck { delivery_tag: 2, multiple: true };
    let expected = [Action::Send(settled.into()), Action::Send(TxCommit {}.into())];
    assert_eq!(all(&mut mover), expected);
    hear(&mut mover, TxCommitOk {});
    assert_eq!(names(&mut mover), ["exchange.delete"]);
    hear(&mut mover, ExchangeDeleteOk {});
    let Outcome { moved, wanted, is_exact, is_begun, stopped } = outcome(&mut mover);
    assert_eq!((moved, wanted, is_exact, is_begun, stopped), (2, 2, true, true, None));
    assert_eq!(mover.marks().count(Mark::MoveCommitted), 1);
}

#[test]
fn a_queue_that_has_no_more_ends_it() {
    let mut mover = mover(9, None);
    assert_eq!(names(&mut mover), ["basic.get"]);
    give(&mut mover, 1, b"one");
    assert_eq!(names(&mut mover), ["basic.get"]);
    hear(&mut mover, BasicGetEmpty::default());
    assert_eq!(names(&mut mover), ["publish", "exchange.declare"]);
    hear(&mut mover, ExchangeDeclareOk {});
    hear(&mut mover, TxCommitOk {});
    assert_eq!(names(&mut mover), ["basic.ack", "tx.commit", "basic.get"]);
    hear(&mut mover, BasicGetEmpty::default());
    assert_eq!(names(&mut mover), ["exchange.delete"]);
    hear(&mut mover, ExchangeDeleteOk {});
    assert_eq!(outcome(&mut mover).moved, 1);
}

#[test]
fn a_transaction_takes_so_many_messages_and_so_many_bytes() {
    let mut few = mover(1000, None);
    for tag in 1..AT_ONCE {
        give(&mut few, tag, b"");
    }
    names(&mut few);
    give(&mut few, AT_ONCE, b"");
    assert_eq!(names(&mut few).len() as u64, AT_ONCE + 1);
    let large: &'static [u8] = vec![0; BYTES_AT_ONCE].leak();
    let mut large_ones = mover(1000, None);
    names(&mut large_ones);
    give(&mut large_ones, 1, large);
    assert_eq!(names(&mut large_ones), ["publish", "exchange.declare"]);
}

#[test]
fn told_to_stop_it_ends_what_it_has_begun() {
    let mut mover = mover(101, None);
    for tag in 1..=AT_ONCE {
        give(&mut mover, tag, b"");
    }
    names(&mut mover);
    mover.stop();
    hear(&mut mover, ExchangeDeclareOk {});
    assert_eq!(names(&mut mover), ["basic.ack", "tx.commit"]);
    hear(&mut mover, TxCommitOk {});
    assert_eq!(names(&mut mover), ["exchange.delete"]);
    hear(&mut mover, ExchangeDeleteOk {});
    assert_eq!((outcome(&mut mover).moved, mover.is_exact()), (AT_ONCE, true));
}

#[test]
fn what_is_refused_goes_back_and_what_is_confirmed_is_acknowledged() {
    let mut mover = with_two(Some("reject-publish-dlx"));
    assert_eq!(names(&mut mover), ["publish", "publish"]);
    hear(&mut mover, BasicNack { delivery_tag: 2, ..BasicNack::default() });
    assert_eq!(names(&mut mover), [""; 0], "the first is not answered");
    hear(&mut mover, BasicAck { delivery_tag: 1, multiple: true });
    let expected = [
        Action::Send(BasicAck { delivery_tag: 1, multiple: false }.into()),
        Action::Send(BasicReject { delivery_tag: 2, requeue: true }.into()),
    ];
    assert_eq!(all(&mut mover)[..2], expected);
    hear(&mut mover, ExchangeDeleteOk {});
    let outcome = outcome(&mut mover);
    assert_eq!((outcome.moved, outcome.is_exact), (1, false));
    assert!(outcome.stopped.is_some());
}

#[test]
fn what_comes_back_as_it_goes_nowhere_is_not_moved_though_it_is_confirmed() {
    let mut mover = with_two(Some("reject-publish"));
    names(&mut mover);
    hear(&mut mover, BasicReturn::default());
    let header = ContentHeader { class_id: 60, ..header_of(3) };
    mover.handle(Frame::Header(1, header));
    mover.handle(Frame::Body(1, Bytes::from_static(b"one").into()));
    hear(&mut mover, BasicAck { delivery_tag: 2, multiple: true });
    assert_eq!(names(&mut mover), ["basic.reject", "basic.reject", "exchange.delete"]);
    hear(&mut mover, ExchangeDeleteOk {});
    assert_eq!(outcome(&mut mover).moved, 0);
}

fn header_of(body_size: u64) -> ContentHeader {
    ContentHeader { class_id: 60, weight: 0, body_size, properties: Properties::default() }
}

#[test]
fn where_the_session_ends_nothing_was_moved_and_another_clears_up() {
    let mut mover = with_two(None);
    names(&mut mover);
    mover.ended("gone".to_string());
    assert_eq!(all(&mut mover), [Action::Open]);
    mover.opened();
    assert_eq!(names(&mut mover), ["exchange.delete"]);
    hear(&mut mover, ExchangeDeleteOk {});
    let outcome = outcome(&mut mover);
    assert_eq!((outcome.moved, outcome.stopped.as_deref()), (0, Some("gone")));
    assert_eq!(mover.marks().count(Mark::MoveUndone), 1);
}

#[test]
fn a_commit_that_fails_leaves_it_open_what_the_queue_has() {
    let mut mover = with_two(None);
    hear(&mut mover, ExchangeDeclareOk {});
    names(&mut mover);
    mover.ended("partial tx completion".to_string());
    mover.opened();
    names(&mut mover);
    hear(&mut mover, ExchangeDeleteOk {});
    let outcome = outcome(&mut mover);
    assert_eq!((outcome.moved, outcome.is_exact), (0, false));
}

#[test]
fn two_moves_to_a_queue_go_through_exchanges_of_their_own() {
    let exchange = |number| {
        let mut mover = Mover::new(&queue("from", None), &queue("to", None), 1, number);
        match mover.poll() {
            Some(Action::Send(Method::ExchangeDeclare(declare))) => declare.exchange.to_string(),
            other => panic!("nothing is declared: {other:?}"),
        }
    };
    assert_ne!(exchange(1), exchange(2));
}

#[test]
fn what_cannot_be_cleared_up_is_left() {
    for is_opened in [false, true] {
        let mut mover = Mover::new(&queue("from", None), &queue("to", None), 1, 7);
        names(&mut mover);
        mover.ended("no queue 'to'".to_string());
        assert_eq!(names(&mut mover), ["open"]);
        if is_opened {
            mover.opened();
            names(&mut mover);
        }
        mover.ended("no broker".to_string());
        let outcome = outcome(&mut mover);
        assert_eq!(outcome.stopped.as_deref(), Some("no queue 'to'"));
        assert!(!outcome.is_begun);
        mover.ended("nor now".to_string());
        assert_eq!(names(&mut mover), [""; 0]);
    }
}

#[test]
fn a_policy_says_that_a_queue_refuses_as_well() {
    let mut to = queue("to", None);
    assert!(Mover::new(&queue("from", None), &to, 1, 7).is_exact());
    let refuses = FieldValue::text("reject-publish");
    to.policy_definition.push(ShortStr::from_static("overflow"), refuses);
    assert!(!Mover::new(&queue("from", None), &to, 1, 7).is_exact());
}
