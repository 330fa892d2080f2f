//! What holds of a state, whatever facts it was made from.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;

use super::super::fact::{MessageFact, Settled};
use super::super::format::{NUMBER_MAX, part_len};
use super::*;
use crate::amqp::{FieldTable, FieldValue, Properties};
use crate::broker::{
    ApplyTo, Body, Message, Parameter, PasswordHash, Permission, TopicPermission, User, UserLimits,
    UserPermission, UserTopicPermission, VirtualHost,
};

const LEN: u32 = 100;

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |state: &Self| {
            let next = [state.next_batch, state.next_segment, state.next_queue];
            (state.node, state.epoch, next)
        };
        numbers(self) == numbers(other)
            && self.segments == other.segments
            && self.facts().eq(other.facts())
            && self.incoming == other.incoming
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Declare,
    /// Of the queues there are.
    Delete(usize),
    Bind(usize, u8),
    BindExchange(u8, u8),
    DeleteExchange(u8),
    SetPolicy(u8, i64),
    DeletePolicy(u8),
    /// A virtual host and a user of this number, and what the one may do in the other.
    Admit(u8, u8),
    /// The virtual host of this number, or all of it if there is none.
    DeleteVhost(u8),
    DeleteUser(u8),
    /// To these two, with this many positions passed over before.
    Publish([usize; 2], u64),
    Volatile(usize),
    /// From the message so many on, so many messages.
    Settle(usize, usize, u64),
    /// From the message so many on, but for those whose position, modulo eight, is the number
    /// of a bit that is set.
    Drop(usize, usize, u8),
    Returned(usize, usize),
    Delivered(usize, u64),
    /// The live messages of the oldest segment, as many as there are up to this many.
    Move(usize),
    Seal,
}

pub(crate) fn any_history() -> impl Strategy<Value = Vec<Step>> {
    let some = any::<usize>;
    let step = prop_oneof![
        2 => Just(Step::Declare),
        1 => some().prop_map(Step::Delete),
        2 => (some(), 0..3_u8).prop_map(|(queue, source)| Step::Bind(queue, source)),
        1 => (0..3_u8, 0..3_u8).prop_map(|(from, to)| Step::BindExchange(from, to)),
        1 => (0..3_u8).prop_map(Step::DeleteExchange),
        1 => (0..3_u8, 0..9_i64).prop_map(|(name, priority)| Step::SetPolicy(name, priority)),
        1 => (0..3_u8).prop_map(Step::DeletePolicy),
        1 => (0..3_u8, 0..3_u8).prop_map(|(vhost, user)| Step::Admit(vhost, user)),
        1 => (0..3_u8).prop_map(Step::DeleteVhost),
        1 => (0..3_u8).prop_map(Step::DeleteUser),
        9 => ([some(), some()], 0..3_u64)
            .prop_map(|(queues, gap)| Step::Publish(queues, gap)),
        1 => some().prop_map(Step::Volatile),
        6 => (some(), some(), 0..4_u64).prop_map(|(q, at, len)| Step::Settle(q, at, len)),
        1 => (some(), some(), prop_oneof![Just(0), any::<u8>()])
            .prop_map(|(queue, at, keeps)| Step::Drop(queue, at, keeps)),
        2 => (some(), some()).prop_map(|(queue, at)| Step::Returned(queue, at)),
        1 => (some(), 0..60_u64).prop_map(|(queue, below)| Step::Delivered(queue, below)),
        2 => (1..5_usize).prop_map(Step::Move),
        3 => Just(Step::Seal),
    ];
    prop::collection::vec(step, 0..60)
}

/// A queue as a table of messages: where each is, and how often it came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QueueModel {
    pub(crate) live: BTreeMap<u64, (u64, u32)>,
    known: BTreeSet<u64>,
    next: u64,
}

pub(crate) type Model = BTreeMap<QueueNumber, QueueModel>;

impl QueueModel {
    fn position(&self, at: usize) -> Option<u64> {
        self.known.iter().nth(at % self.known.len().max(1)).copied()
    }
}

fn queue_fact(number: QueueNumber) -> Fact {
    Fact::QueueDeclared(QueueFact {
        number,
        vhost: "/".into(),
        name: format!("q{}", number.0).as_str().into(),
        auto_delete: false,
        arguments: FieldTable::default(),
        lane: None,
    })
}

fn bound(source: u8, target: Target) -> Bound {
    Bound {
        vhost: "/".into(),
        source: exchange(source),
        key: "k".into(),
        target,
        arguments: Bytes::new(),
    }
}

fn layer(number: u8) -> PolicyLayer {
    if number == 0 { PolicyLayer::User } else { PolicyLayer::Operator }
}

fn numbered(prefix: &str, number: u8) -> ShortStr {
    format!("{prefix}{number}").as_str().into()
}

/// A user who may do everything in a virtual host, of which much is known. Beside it there is the
/// one in which all else is.
fn admission(vhost: ShortStr, user: ShortStr) -> Vec<Fact> {
    let made = |name: ShortStr| Fact::VhostSet(VirtualHost { name, ..VirtualHost::default() });
    let topic =
        TopicPermission { exchange: exchange(0), write: "w".into(), read: "{vhost}".into() };
    let hash = PasswordHash { bytes: Bytes::from_static(b"hash"), ..PasswordHash::NONE };
    let (component, name) = (ShortStr::from("c"), ShortStr::from("n"));
    let value = Bytes::from_static(b"{}");
    vec![
        made("/".into()),
        made(vhost.clone()),
        Fact::UserSet(User {
            name: user.clone(),
            password_hash: hash,
            tags: vec!["t".into()],
            limits: UserLimits::default(),
        }),
        Fact::PermissionSet(UserPermission {
            vhost: vhost.clone(),
            user: user.clone(),
            permission: Permission::full(),
        }),
        Fact::TopicPermissionSet(UserTopicPermission {
            vhost: vhost.clone(),
            user,
            permission: topic,
        }),
        Fact::ParameterSet(Parameter { vhost: Some(vhost), component, name, value }),
    ]
}

fn exchange(number: u8) -> ShortStr {
    format!("x{number}").as_str().into()
}

/// What is written step by step, each time with the segment it goes to, and the model and the
/// bindings there are then. First of all, a queue is declared.
pub(crate) type Story = Vec<(u64, Vec<Fact>, Model, BTreeSet<Bound>)>;

pub(crate) fn told(steps: &[Step]) -> Story {
    let (mut model, mut bindings) = (Model::new(), BTreeSet::new());
    let (mut segment, mut next_queue) = (0, 0);
    let mut story = Story::new();
    for step in [&Step::Declare].into_iter().chain(steps) {
        let facts = facts(*step, &mut model, &mut bindings, segment, next_queue);
        next_queue += u64::from(matches!(step, Step::Declare));
        story.push((segment, facts, model.clone(), bindings.clone()));
        segment += u64::from(matches!(step, Step::Seal | Step::Move(_)));
    }
    story
}

/// The state after these steps, with one queue at first, and what a plain model makes of them.
pub(crate) fn grown(steps: &[Step]) -> (State, Model) {
    let mut state = State { node: 5, epoch: 2, ..State::default() };
    let mut last = (0, Model::new());
    for (segment, facts, model, bindings) in told(steps) {
        for fact in facts {
            state.apply(fact, segment, LEN).expect("fits");
        }
        assert!(state.bindings().eq(&bindings));
        assert_eq!(state.incoming.len(), bindings.len());
        last = (segment + 1, model);
    }
    (sealed(state, last.0), last.1)
}

/// As a checkpoint would find it: every segment is sealed and has an index.
fn sealed(mut state: State, segment: u64) -> State {
    (state.next_segment, state.next_batch) = (segment + 1, 100);
    state.close();
    for queue in state.queues.values_mut() {
        for extent in queue.extents.iter_mut() {
            (extent.index_offset, extent.index_count) = (128, 1000);
        }
    }
    for segment in state.segments.values_mut() {
        let fact = &mut segment.fact;
        (fact.data_end, fact.len, fact.last) = (64, 128 + part_len(1000) as u64, 50);
    }
    state
}

/// A message that tells its places.
pub(crate) fn message(places: Vec<Place>, is_moved: bool, is_volatile: bool) -> Fact {
    let body = places.iter().map(|place| format!("{}:{} ", place.queue.0, place.position));
    let message = Message {
        exchange: "x".into(),
        routing_key: "k".into(),
        properties: Properties::default(),
        body: Body::from(Bytes::from(body.collect::<String>())),
        persistent: !is_volatile,
        is_dead_letter: false,
        charge: crate::broker::Charge::default(),
    };
    Fact::Message(MessageFact { places, is_moved, is_volatile, message })
}

fn facts(
    step: Step,
    model: &mut Model,
    bindings: &mut BTreeSet<Bound>,
    segment: u64,
    next_queue: u64,
) -> Vec<Fact> {
    let numbers: Vec<QueueNumber> = model.keys().copied().collect();
    // One that is not there any more counts as well.
    let pick = |at: usize| match numbers.get(at % (numbers.len() + 1)) {
        Some(number) => *number,
        None => QueueNumber(0),
    };
    let fact = match step {
        Step::Declare => {
            let number = QueueNumber(next_queue);
            model.insert(number, QueueModel::default());
            queue_fact(number)
        }
        Step::Delete(at) => {
            let number = pick(at);
            model.remove(&number);
            bindings.retain(|bound| bound.target != Target::Queue(number));
            Fact::QueueDeleted(number)
        }
        Step::Bind(at, source) => {
            let bound = bound(source, Target::Queue(pick(at)));
            if model.contains_key(&pick(at)) {
                bindings.insert(bound.clone());
            }
            Fact::Bound(bound)
        }
        Step::BindExchange(from, to) => {
            let bound = bound(from, Target::Exchange(exchange(to)));
            if !bindings.insert(bound.clone()) {
                bindings.remove(&bound);
                return vec![Fact::Unbound(bound)];
            }
            Fact::Bound(bound)
        }
        Step::DeleteExchange(name) => {
            let name = exchange(name);
            let target = Target::Exchange(name.clone());
            bindings.retain(|bound| bound.source != name && bound.target != target);
            Fact::ExchangeDeleted("/".into(), name)
        }
        Step::SetPolicy(name, priority) => {
            let policy = Policy {
                name: exchange(name),
                pattern: "^q".into(),
                apply_to: ApplyTo::Queues,
                priority,
                definition: FieldTable::default(),
            };
            let (vhost, layer) = ("/".into(), layer(name));
            Fact::PolicySet(PolicyFact { vhost, layer, policy })
        }
        Step::DeletePolicy(name) => Fact::PolicyDeleted("/".into(), layer(name), exchange(name)),
        Step::Admit(vhost, user) => return admission(numbered("v", vhost), numbered("u", user)),
        Step::DeleteVhost(vhost) => Fact::VhostDeleted(numbered("v", vhost)),
        Step::DeleteUser(user) => Fact::UserDeleted(numbered("u", user)),
        Step::Publish(queues, gap) => {
            let mut places: Vec<Place> = Vec::new();
            for at in queues {
                let queue = pick(at);
                let Some(model) = model.get_mut(&queue) else { continue };
                let position = model.next + gap;
                model.next = position + 1;
                model.known.insert(position);
                model.live.insert(position, (segment, 0));
                places.push(Place { queue, position });
            }
            message(places, false, false)
        }
        Step::Volatile(at) => {
            let place = Place { queue: pick(at), position: NUMBER_MAX };
            message(vec![place], false, true)
        }
        Step::Settle(at, from, len) => {
            let queue = pick(at);
            let Some(model) = model.get_mut(&queue) else { return Vec::new() };
            let Some(first) = model.position(from) else { return Vec::new() };
            let is_known = |position: &u64| model.known.contains(position);
            let last = (first..=first + len).take_while(is_known).last().expect("one at least");
            model.live.retain(|position, _| !(first..=last).contains(position));
            Fact::Settled(vec![Settled { queue, ranges: vec![(first, last)] }])
        }
        Step::Drop(at, from, keeps) => {
            let queue = pick(at);
            let Some(model) = model.get_mut(&queue) else { return Vec::new() };
            let Some(position) = model.position(from) else { return Vec::new() };
            let is_kept = |at: &u64| keeps >> (at % 8) & 1 == 1;
            let behind = model.live.range(position..).map(|(at, _)| *at);
            let (kept, gone): (Vec<u64>, Vec<u64>) = behind.partition(is_kept);
            model.live.retain(|at, _| !gone.contains(at));
            let (from, count) = (Place { queue, position }, gone.len() as u64);
            Fact::Dropped(Dropped { from, count, kept })
        }
        Step::Returned(at, from) => {
            let queue = pick(at);
            let Some(model) = model.get_mut(&queue) else { return Vec::new() };
            let Some(position) = model.position(from) else { return Vec::new() };
            if let Some((_, returned)) = model.live.get_mut(&position) {
                *returned = 3;
            }
            Fact::Returned(Place { queue, position }, 3)
        }
        Step::Delivered(at, below) => Fact::Delivered(pick(at), below),
        Step::Move(count) => {
            let oldest = model.values().flat_map(|queue| queue.live.values()).map(|at| at.0);
            let Some(oldest) = oldest.min().filter(|oldest| *oldest < segment) else {
                return Vec::new();
            };
            let mut records = Vec::new();
            for (queue, model) in model {
                let there = model.live.iter_mut().filter(|(_, at)| at.0 == oldest);
                for (position, at) in there.take(count) {
                    at.0 = segment;
                    let place = Place { queue: *queue, position: *position };
                    records.push(message(vec![place], true, false));
                }
            }
            return records;
        }
        Step::Seal => return Vec::new(),
    };
    vec![fact]
}

#[test]
fn a_policy_is_as_it_was_set_last_until_it_is_deleted() {
    let steps = [(0, 1), (1, 5), (0, 2), (2, 7)];
    let mut steps = steps.map(|(name, priority)| Step::SetPolicy(name, priority)).to_vec();
    steps.push(Step::DeletePolicy(2));
    let policies = grown(&steps).0.policies;
    let found: Vec<_> =
        policies.iter().map(|((_, layer, _), fact)| (*layer, fact.policy.priority)).collect();
    assert_eq!(found, [(PolicyLayer::User, 2), (PolicyLayer::Operator, 5)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn facts_add_up_to_what_a_plain_model_says(steps in any_history()) {
        let (state, model) = grown(&steps);
        prop_assert!(state.queues.keys().eq(model.keys()));
        let mut by_segment = BTreeMap::<u64, u64>::new();
        for (number, queue) in &state.queues {
            let model = &model[number];
            let returned = model.live.iter().filter(|(_, at)| at.1 > 0);
            let returned: BTreeMap<u64, u32> =
                returned.map(|(position, at)| (*position, at.1)).collect();
            prop_assert_eq!(&queue.returned, &returned);
            prop_assert_eq!(queue.extents.live(), model.live.len() as u64);
            for position in &model.known {
                let is_live = model.live.contains_key(position);
                prop_assert_eq!(queue.extents.is_live(*position), is_live);
            }
            for (position, (segment, _)) in &model.live {
                let extent = queue.extents.at_or_after(*position);
                prop_assert_eq!(extent.map(|extent| extent.segment), Some(*segment));
                *by_segment.entry(*segment).or_default() += 1;
            }
            prop_assert_eq!(queue.next_position, model.next.max(queue.delivered_below));
        }
        let live: BTreeMap<u64, u64> =
            state.segments.iter().map(|(number, segment)| (*number, segment.live)).collect();
        prop_assert_eq!(live, by_segment);
    }
}

#[test]
fn no_queue_gets_the_number_of_one_that_only_volatile_messages_tell_of() {
    let mut state = State::default();
    let place = Place { queue: QueueNumber(41), position: 0 };
    state.apply_message([place].into_iter(), message_flag::VOLATILE, 1, (0, LEN)).expect("fits");
    assert_eq!(state.next_queue, 42);
    assert!(state.segments.is_empty());
}

/// A queue with levels of priority up to 9.
fn head(number: u64) -> QueueFact {
    let Fact::QueueDeclared(fact) = queue_fact(QueueNumber(number)) else { unreachable!() };
    let max = (ShortStr::from("x-max-priority"), FieldValue::I32(9));
    QueueFact { arguments: FieldTable::new(alloc::vec![max]), ..fact }
}

fn lane(number: u64, of: u64, level: u8) -> Fact {
    let lane = Some(LaneFact { of: QueueNumber(of), level });
    let (number, arguments) = (QueueNumber(number), FieldTable::default());
    Fact::QueueDeclared(QueueFact { number, lane, arguments, ..head(of) })
}

#[test]
fn a_queue_takes_its_lanes_with_it() {
    let mut state = State::default();
    for fact in [Fact::QueueDeclared(head(1)), lane(2, 1, 5), lane(3, 1, 7)] {
        state.apply(fact, 0, LEN).expect("fits");
    }
    let places = [1, 3].map(|queue| Place { queue: QueueNumber(queue), position: 0 });
    state.apply(message(places.to_vec(), false, false), 0, LEN).expect("fits");
    assert_eq!((state.queue_count(), state.queues.len()), (1, 3));
    assert_eq!(state.segments[&0].live, 2);
    state.apply(Fact::QueueDeleted(QueueNumber(1)), 0, LEN).expect("fits");
    assert_eq!((state.queue_count(), state.queues.len()), (0, 0));
    assert_eq!(state.segments[&0].live, 0);
}

#[test]
fn a_lane_that_no_queue_can_have_is_refused() {
    let refused = |fact: Fact| {
        let mut state = State::default();
        for fact in [queue_fact(QueueNumber(1)), Fact::QueueDeclared(head(3)), lane(4, 3, 5)] {
            state.apply(fact, 0, LEN).expect("fits");
        }
        state.apply(fact, 0, LEN).is_err()
    };
    assert!(!refused(lane(5, 3, 6)));
    assert!(refused(lane(5, 3, 5)), "of a level that has one");
    assert!(refused(lane(2, 3, 6)), "before its head");
    assert!(refused(lane(5, 4, 6)), "of a lane");
    assert!(refused(lane(5, 2, 6)), "of nothing");
    assert!(refused(lane(5, 1, 6)), "of a queue without priorities");
    assert!(refused(lane(5, 3, 10)), "above all levels");
    assert!(refused(lane(5, 3, 0)), "of the head's own level");
    let Fact::QueueDeclared(fact) = lane(5, 3, 6) else { unreachable!() };
    let renamed = QueueFact { name: "other".into(), ..fact };
    assert!(refused(Fact::QueueDeclared(renamed)), "of another name");
    assert!(refused(lane(4, 3, 6)), "that is there already");
}

#[test]
fn new_messages_are_behind_all_that_may_have_been_handed_out() {
    let mut state = grown(&[Step::Publish([0, 0], 0), Step::Delivered(0, 50)]).0;
    assert_eq!(state.queues[&QueueNumber(0)].next_position, 50);
    let early = Place { queue: QueueNumber(0), position: 49 };
    assert!(state.apply_message([early].into_iter(), 0, 1, (1, LEN)).is_err());
}

/// A queue that deduplicates, or does not.
fn seeing(number: u64, sees: bool) -> Fact {
    let Fact::QueueDeclared(fact) = queue_fact(QueueNumber(number)) else { unreachable!() };
    let asked = (ShortStr::from("x-message-deduplication"), FieldValue::Bool(sees));
    Fact::QueueDeclared(QueueFact { arguments: FieldTable::new(alloc::vec![asked]), ..fact })
}

pub(crate) fn seen(by: Witness, from: u64, numbers: core::ops::Range<u64>) -> Fact {
    let value = crate::broker::Fingerprint([7; 16]);
    let values = numbers.map(|number| SeenValue { number, until: 5, value }).collect();
    Fact::Seen(SeenFact { by, from, values })
}

/// A state in which a queue and an exchange have seen so many values.
pub(crate) fn having_seen(count: u64) -> State {
    let mut state = State { next_batch: 9, next_segment: 1, ..State::default() };
    let exchange = ExchangeFact {
        vhost: "/".into(),
        name: "x".into(),
        kind: "fanout".into(),
        auto_delete: false,
        internal: false,
        arguments: match seeing(1, true) {
            Fact::QueueDeclared(queue) => queue.arguments,
            _ => unreachable!(),
        },
    };
    let by = [Witness::Queue(QueueNumber(1)), Witness::Exchange("/".into(), "x".into())];
    let declared = [seeing(1, true), Fact::ExchangeDeclared(exchange)];
    let facts = declared.into_iter().chain(by.map(|by| seen(by, 0, 0..count)));
    facts.for_each(|fact| state.apply(fact, 0, LEN).expect("fits"));
    state
}

#[test]
fn what_was_seen_is_left_until_it_is_forgotten_or_who_saw_it_is_gone() {
    let mut state = having_seen(5);
    let queue = Witness::Queue(QueueNumber(1));
    let left = |state: &State| {
        state.seen.values().map(|seen| (seen.next, seen.values.len())).collect::<Vec<_>>()
    };
    for fact in [seen(queue.clone(), 3, 0..0), seen(queue.clone(), 4, 8..9)] {
        state.apply(fact, 0, LEN).expect("fits");
    }
    assert_eq!(left(&state), [(9, 2), (5, 5)]);
    assert!(state.apply(seen(queue.clone(), 4, 8..9), 0, LEN).is_err(), "a number again");
    state.apply(Fact::QueueDeleted(QueueNumber(1)), 0, LEN).expect("fits");
    assert_eq!(left(&state), [(5, 5)]);
    // Of one that is gone, it means nothing.
    state.apply(seen(queue, 0, 9..10), 0, LEN).expect("is passed over");
    state.apply(Fact::ExchangeDeleted("/".into(), "x".into()), 0, LEN).expect("fits");
    assert_eq!(left(&state), []);
}

#[test]
fn what_nobody_asked_to_be_seen_is_refused() {
    let mut state = State::default();
    state.apply(seeing(1, false), 0, LEN).expect("fits");
    assert!(state.apply(seen(Witness::Queue(QueueNumber(1)), 0, 0..1), 0, LEN).is_err());
}

fn arguments(names: &[(&str, i32)]) -> FieldTable {
    let entry = |(name, value): &(&str, i32)| ((*name).into(), FieldValue::I32(*value));
    FieldTable::new(names.iter().map(entry).collect())
}

#[test]
fn a_queue_has_the_arguments_that_were_set_last() {
    let mut state = applied([queue_fact(QueueNumber(1))]).expect("consistent");
    let set = arguments(&[("x-max-length", 3)]);
    for (number, arguments) in [(1, set.clone()), (9, arguments(&[("x-max-priority", 1)]))] {
        state.apply(Fact::ArgumentsSet(QueueNumber(number), arguments), 1, LEN).expect("fits");
    }
    assert_eq!(state.queues[&QueueNumber(1)].declaration.arguments, set);
    let declared = |fact: &Fact| matches!(fact, Fact::QueueDeclared(q) if q.arguments == set);
    assert_eq!(state.facts().filter(declared).count(), 1);
}

#[test]
fn arguments_that_are_for_ever_stay_as_they_are() {
    let facts = [Fact::QueueDeclared(head(1)), lane(2, 1, 5)];
    let state = applied(facts).expect("consistent");
    let same = state.queues[&QueueNumber(1)].declaration.arguments.clone();
    let refused = |number, arguments| {
        let fact = Fact::ArgumentsSet(QueueNumber(number), arguments);
        state.clone().apply(fact, 1, LEN).is_err()
    };
    assert!(refused(1, FieldTable::default()), "there are lanes");
    assert!(refused(2, FieldTable::default()), "a lane has none");
    assert!(!refused(1, same));
}

/// A queue, an exchange and a binding in the virtual host `v1`, and a message.
fn in_vhost() -> Vec<Fact> {
    let mut queue = queue_fact(QueueNumber(70));
    if let Fact::QueueDeclared(queue) = &mut queue {
        queue.vhost = "v1".into();
    }
    let declared = ExchangeFact {
        vhost: "v1".into(),
        name: exchange(7),
        kind: "topic".into(),
        auto_delete: false,
        internal: false,
        arguments: FieldTable::default(),
    };
    let to_queue = Bound { vhost: "v1".into(), ..bound(7, Target::Queue(QueueNumber(70))) };
    let to_exchange = Bound { vhost: "v1".into(), ..bound(1, Target::Exchange(exchange(7))) };
    let place = Place { queue: QueueNumber(70), position: 0 };
    vec![
        queue,
        Fact::ExchangeDeclared(declared),
        Fact::Bound(to_queue),
        Fact::Bound(to_exchange),
        message(vec![place], false, false),
    ]
}

fn applied(facts: impl IntoIterator<Item = Fact>) -> Result<State, Inconsistent> {
    let mut state = State::default();
    for fact in facts {
        state.apply(fact, 1, 100)?;
    }
    Ok(state)
}

#[test]
fn a_virtual_host_goes_with_all_that_is_in_it_and_said_of_it() {
    let admitted = || admission("v1".into(), "u1".into());
    let before = applied(admitted()).expect("consistent");
    let facts = admitted().into_iter().chain(in_vhost());
    let full = applied(facts.clone()).expect("consistent");
    assert_eq!((full.queues.len(), full.exchanges.len(), full.bindings().len()), (1, 1, 2));
    let mut state = applied(facts.chain([Fact::VhostDeleted("v1".into())])).expect("consistent");
    // What comes of its messages afterwards means nothing.
    let settled = Settled { queue: QueueNumber(70), ranges: vec![(0, 0)] };
    state.apply(Fact::Settled(vec![settled]), 1, 100).expect("passed over");
    assert!(state.queues.is_empty() && state.exchanges.is_empty());
    assert_eq!(state.bindings().len(), 0);
    assert!(state.access.permissions.is_empty() && state.access.topic_permissions.is_empty());
    assert!(state.access.parameters.is_empty());
    assert_eq!(state.access.users, before.access.users);
    assert!(state.segments.values().all(|segment| segment.live == 0));
    // Of the same name, another one.
    admitted().into_iter().for_each(|fact| state.apply(fact, 1, 100).expect("consistent"));
    assert_eq!(state.access.facts().count(), before.access.facts().count());
}

#[test]
fn what_is_of_a_virtual_host_or_a_user_who_is_not_there_is_damage() {
    let vhost = Err(Inconsistent("it is of a virtual host that is unknown"));
    for fact in
        in_vhost().into_iter().take(4).chain(admission("v1".into(), "u".into()).split_off(3))
    {
        let made = Fact::VhostSet(VirtualHost { name: "/".into(), ..VirtualHost::default() });
        assert_eq!(applied([made, fact]).map(drop), vhost);
    }
    let facts = admission("v1".into(), "u1".into());
    let user = Err(Inconsistent("it is of a user who is unknown"));
    let facts = facts.into_iter().filter(|fact| !matches!(fact, Fact::UserSet(_)));
    assert_eq!(applied(facts).map(drop), user);
}

#[test]
fn a_binding_that_leads_out_of_its_virtual_host_is_damage() {
    let facts = admission("v1".into(), "u1".into()).into_iter().chain(in_vhost());
    let mut state = applied(facts).expect("consistent");
    let outside = bound(1, Target::Queue(QueueNumber(70)));
    let refused = state.apply(Fact::Bound(outside), 1, 100);
    let text = "a binding leads to a queue of another virtual host";
    assert_eq!(refused, Err(Inconsistent(text)));
}

#[test]
fn an_old_directory_is_all_in_one_virtual_host_to_which_others_come() {
    let mut state = applied([queue_fact(QueueNumber(1))]).expect("it needs no virtual host");
    let defaults = Defaults { vhost: "v".into(), ..Defaults::default() };
    assert!(state.add_defaults(Some(&defaults)));
    assert!(state.access.vhosts.keys().eq(["/", "v"]));
    assert_eq!(state.access.made_vhosts, ["v"], "the other was there, if only by what it has");
    assert_eq!((state.access.users.len(), state.access.permissions.len()), (1, 2));
    assert!(!state.add_defaults(Some(&defaults)), "once is enough");
    state.apply(Fact::UserDeleted("guest".into()), 1, 100).expect("consistent");
    assert!(!state.add_defaults(None), "somebody else sees to it");
    assert!(state.add_defaults(Some(&defaults)), "somebody must be able to enter");
    assert_eq!((state.access.vhosts.len(), state.access.permissions.len()), (2, 1));
}
