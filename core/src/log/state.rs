//! The broker's durable state: what the facts of the log add up to.
//!
//! A fact about something unknown (a queue that was deleted) means nothing. What is kept is in
//! memory of its own and holds on to no buffer that was read.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::codec::message_flag;
use super::deadlines::Deadlines;
use super::extents::{Extents, Freed};
use super::fact::{
    Bound, Dropped, ExchangeFact, Fact, LaneFact, MessagesFact, Place, PolicyFact, QueueFact,
    QueueNumber, SegmentFact, Target, Timed,
};
use super::format::{CheckpointHeader, NUMBER_FREE_MAX};
use crate::amqp::ShortStr;
use crate::broker::{Policy, PolicyLayer, may_have_lane};

/// A fact does not fit to those before it: the log says what no broker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inconsistent(pub(crate) &'static str);

/// A segment, and how much of it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentState {
    pub(crate) fact: SegmentFact,
    /// How many places of messages are not settled.
    pub(crate) live: u64,
    /// About how many bytes these take.
    pub(crate) bytes: u64,
}

/// A durable queue and its messages.
#[derive(Clone, Debug)]
pub(crate) struct QueueState {
    pub(crate) declaration: QueueFact,
    /// The next message's position.
    pub(crate) next_position: u64,
    /// Every message before this position may have been handed out.
    pub(crate) delivered_below: u64,
    /// How often messages were handed out that came back, by position.
    pub(crate) returned: BTreeMap<u64, u32>,
    /// When messages expire.
    pub(crate) deadlines: Deadlines,
    pub(crate) extents: Extents,
}

/// The durable state.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// What all checksums depend on.
    pub(crate) node: u64,
    /// The number of the broker's start.
    pub(crate) epoch: u32,
    /// The number of the next batch.
    pub(crate) next_batch: u64,
    /// No segment has, or ever had, this number or a higher one.
    pub(crate) next_segment: u64,
    /// No queue has, or ever had, this number or a higher one.
    pub(crate) next_queue: u64,
    pub(crate) segments: BTreeMap<u64, SegmentState>,
    /// By virtual host and name.
    pub(crate) exchanges: BTreeMap<(ShortStr, ShortStr), ExchangeFact>,
    /// By virtual host, layer and name.
    pub(crate) policies: BTreeMap<(ShortStr, PolicyLayer, ShortStr), PolicyFact>,
    pub(crate) queues: BTreeMap<QueueNumber, QueueState>,
    /// The same but for lanes, by virtual host and name.
    names: BTreeMap<(ShortStr, ShortStr), QueueNumber>,
    /// The lanes of queues that have any, by their levels; each stands among the queues too.
    lanes: BTreeMap<QueueNumber, BTreeMap<u8, QueueNumber>>,
    bindings: BTreeSet<Arc<Bound>>,
    /// The same, by where they lead.
    incoming: BTreeSet<(Target, Arc<Bound>)>,
    /// The virtual host and the exchange that were named last: most names are the same.
    last_names: [ShortStr; 2],
}

impl State {
    /// What a checkpoint's header says.
    pub(super) fn new(header: &CheckpointHeader) -> Self {
        Self {
            node: header.node,
            epoch: header.epoch,
            next_batch: header.next_batch,
            next_segment: header.next_segment,
            next_queue: header.next_queue,
            ..Self::default()
        }
    }

    /// The queue of this name.
    pub(super) fn queue_named(&self, vhost: &ShortStr, name: &ShortStr) -> Option<QueueNumber> {
        self.names.get(&(vhost.clone(), name.clone())).copied()
    }

    /// All bindings.
    pub(crate) fn bindings(&self) -> impl ExactSizeIterator<Item = &Bound> {
        self.bindings.iter().map(|bound| &**bound)
    }

    /// Takes in a fact, which stands in `segment` as a record of `len` bytes.
    ///
    /// # Errors
    /// When no broker could have written it here. The state is of no use then.
    pub(crate) fn apply(&mut self, fact: Fact, segment: u64, len: u32) -> Result<(), Inconsistent> {
        fact.check()?;
        match fact {
            Fact::Message(fact) => {
                self.apply_message(fact.places.iter().copied(), fact.flags(), segment, len)?;
            }
            Fact::Settled(settled) => {
                for settled in settled {
                    let Some(queue) = self.queues.get_mut(&settled.queue) else { continue };
                    for (first, last) in settled.ranges {
                        queue.forget(first, last);
                        release(&mut self.segments, queue.extents.settle_range(first, last));
                    }
                }
            }
            Fact::Dropped(dropped) => {
                if let Some(queue) = self.queues.get_mut(&dropped.from.queue) {
                    dropped.ranges().for_each(|(first, last)| queue.forget(first, last));
                    let Dropped { from, count, kept } = dropped;
                    let freed = queue.extents.settle_from(from.position, count, &kept);
                    release(&mut self.segments, freed);
                }
            }
            Fact::Returned(place, count) => {
                if let Some(queue) = self.queues.get_mut(&place.queue)
                    && queue.extents.is_live(place.position)
                {
                    queue.returned.insert(place.position, count);
                }
            }
            Fact::Delivered(number, below) => {
                if let Some(queue) = self.queues.get_mut(&number) {
                    queue.delivered_below = queue.delivered_below.max(below);
                }
            }
            Fact::Timed(timed) => self.time(&timed),
            Fact::QueueDeclared(queue) => self.declare(queue)?,
            Fact::QueueDeleted(number) => self.delete(number),
            Fact::ExchangeDeclared(exchange) => {
                let exchange = ExchangeFact {
                    vhost: exchange.vhost.detached(),
                    name: exchange.name.detached(),
                    kind: exchange.kind.detached(),
                    ..exchange
                };
                let key = (exchange.vhost.clone(), exchange.name.clone());
                self.exchanges.insert(key, exchange);
            }
            Fact::ExchangeDeleted(vhost, name) => {
                self.unbind_all(self.bindings_from(&vhost, &name));
                self.unbind_all(self.bindings_to(&vhost, Target::Exchange(name.clone())));
                self.exchanges.remove(&(vhost, name));
            }
            Fact::PolicySet(PolicyFact { vhost, layer, policy }) => {
                let (vhost, name) = (vhost.detached(), policy.name.detached());
                let policy = Policy { name: name.clone(), ..policy };
                let fact = PolicyFact { vhost: vhost.clone(), layer, policy };
                self.policies.insert((vhost, layer, name), fact);
            }
            Fact::PolicyDeleted(vhost, layer, name) => {
                self.policies.remove(&(vhost, layer, name));
            }
            Fact::Bound(bound) => {
                let is_known = match &bound.target {
                    Target::Queue(number) => self.queues.contains_key(number),
                    Target::Exchange(_) => true,
                };
                if is_known {
                    let bound = Arc::new(self.detached(&bound));
                    self.incoming.insert((bound.target.clone(), bound.clone()));
                    self.bindings.insert(bound);
                }
            }
            Fact::Unbound(bound) => self.unbind_all([Arc::new(bound)]),
            Fact::Segment(_) | Fact::Messages(_) => {
                return Err(Inconsistent("a record that only a checkpoint may have"));
            }
        }
        Ok(())
    }

    /// Takes in a message's record, of which the places and flags are enough.
    ///
    /// # Errors
    /// As for [`Self::apply`].
    pub(crate) fn apply_message(
        &mut self,
        places: impl ExactSizeIterator<Item = Place>,
        flags: u8,
        segment: u64,
        len: u32,
    ) -> Result<(), Inconsistent> {
        let share = u64::from(len) / places.len().max(1) as u64;
        for Place { queue: number, position } in places {
            self.next_queue = self.next_queue.max(number.0.saturating_add(1));
            if flags & message_flag::VOLATILE != 0 {
                continue;
            }
            let Some(queue) = self.queues.get_mut(&number) else { continue };
            if flags & message_flag::MOVED != 0 {
                let Some(freed) = queue.extents.relocate(position, segment, share) else {
                    continue;
                };
                release(&mut self.segments, [freed]);
            } else if position < queue.next_position {
                return Err(Inconsistent("a message stands before one that came earlier"));
            } else {
                queue.next_position = position + 1;
                queue.extents.append(segment, position, share);
            }
            self.add_live(segment, 1, share);
        }
        Ok(())
    }

    /// Takes note of a segment's length and end.
    pub(super) fn set_segment(&mut self, fact: SegmentFact) {
        let unused = SegmentState { fact, live: 0, bytes: 0 };
        self.segments.entry(fact.segment).or_insert(unused).fact = fact;
    }

    /// Counts messages that live in a segment.
    pub(super) fn add_live(&mut self, segment: u64, messages: u64, bytes: u64) {
        let fact = SegmentFact { segment, data_end: 0, len: 0, last: 0 };
        let unused = SegmentState { fact, live: 0, bytes: 0 };
        let segment = self.segments.entry(segment).or_insert(unused);
        segment.live += messages;
        segment.bytes = segment.bytes.saturating_add(bytes);
    }

    /// Takes in what a checkpoint says of a queue's messages. Their segments are known.
    pub(super) fn set_messages(&mut self, messages: MessagesFact) -> Result<(), Inconsistent> {
        let queue = self.queues.get_mut(&messages.queue);
        let queue = queue.ok_or(Inconsistent("messages of a queue that is not declared"))?;
        for extent in &messages.extents {
            let segment = self.segments.get_mut(&extent.segment);
            let segment = segment.ok_or(Inconsistent("messages in an unknown segment"))?;
            segment.live += u64::from(extent.live);
            segment.bytes = segment.bytes.saturating_add(extent.bytes);
        }
        queue.next_position = messages.next_position;
        queue.delivered_below = messages.delivered_below;
        queue.returned = messages.returned.into_iter().collect();
        queue.extents = messages.extents.into_iter().collect();
        Ok(())
    }

    /// To be called when all facts are in. New messages get positions that no mark of a delivery
    /// covers, and segments that hold nothing alive are forgotten.
    pub(crate) fn close(&mut self) {
        for queue in self.queues.values_mut() {
            queue.next_position = queue.next_position.max(queue.delivered_below);
            queue.forget_idle_deadlines();
        }
        self.segments.retain(|_, segment| segment.live > 0);
    }

    /// Whether numbers and positions are left for what comes after this state, with a checkpoint
    /// above the highest there is.
    ///
    /// # Errors
    /// When what a broker writes from here on might not be read again.
    pub(crate) fn check_room(&self, highest_checkpoint: u64) -> Result<(), Inconsistent> {
        let next_checkpoint = highest_checkpoint + 1;
        let numbers = [next_checkpoint, self.next_batch, self.next_segment, self.next_queue];
        let positions = self.queues.values().map(|queue| queue.next_position);
        check_room(positions.chain(numbers))
    }

    /// The state as facts, in the order in which a checkpoint has them.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        let segments = self.segments.values().map(|segment| Fact::Segment(segment.fact));
        let policies = self.policies.values().cloned().map(Fact::PolicySet);
        let exchanges = self.exchanges.values().cloned().map(Fact::ExchangeDeclared);
        let queues = self.queues.values().flat_map(|queue| {
            let timed = queue.timed();
            [Fact::QueueDeclared(queue.declaration.clone()), Fact::Messages(queue.messages())]
                .into_iter()
                .chain(timed)
        });
        let bindings = self.bindings().cloned().map(Fact::Bound);
        segments.chain(policies).chain(exchanges).chain(queues).chain(bindings)
    }

    /// Takes in when messages expire. A deadline is for messages that the log was given.
    fn time(&mut self, timed: &Timed) {
        let Some(queue) = self.queues.get_mut(&timed.queue) else { return };
        for &(first, last, deadline) in &timed.ranges {
            let Some(last) = queue.next_position.checked_sub(1).map(|end| last.min(end)) else {
                continue;
            };
            if first <= last {
                queue.deadlines.remove(first, last);
                queue.deadlines.insert(first, last, deadline, true);
            }
        }
    }

    fn declare(&mut self, queue: QueueFact) -> Result<(), Inconsistent> {
        let number = queue.number;
        if self.queues.contains_key(&number) {
            return Err(Inconsistent("a queue is declared that is there already"));
        }
        self.check_lane(&queue)?;
        self.next_queue = self.next_queue.max(number.0.saturating_add(1));
        let vhost = shared(&mut self.last_names[0], &queue.vhost);
        let declaration = QueueFact { vhost, name: queue.name.detached(), ..queue };
        let lane = declaration.lane;
        if lane.is_none() {
            let name = (declaration.vhost.clone(), declaration.name.clone());
            if self.names.contains_key(&name) {
                return Err(Inconsistent("a queue is declared under the name of another"));
            }
            self.names.insert(name, number);
        }
        let state = QueueState {
            declaration,
            next_position: 0,
            delivered_below: 0,
            returned: BTreeMap::new(),
            deadlines: Deadlines::default(),
            extents: Extents::default(),
        };
        if let Some(LaneFact { of, level }) = lane {
            self.lanes.entry(of).or_default().insert(level, number);
        }
        self.queues.insert(number, state);
        Ok(())
    }

    /// A lane is of a queue that is there and has its name, came after it, and is the only one of
    /// a level that the queue may have.
    fn check_lane(&self, queue: &QueueFact) -> Result<(), Inconsistent> {
        let Some(LaneFact { of, level }) = queue.lane else { return Ok(()) };
        let head = self.queues.get(&of).map(|head| &head.declaration);
        let Some(head) = head.filter(|head| head.lane.is_none() && of < queue.number) else {
            return Err(Inconsistent("a lane of a queue that is not declared"));
        };
        if (&head.vhost, &head.name) != (&queue.vhost, &queue.name) {
            return Err(Inconsistent("a lane has another name than its queue"));
        }
        if !may_have_lane(&head.arguments, level) {
            return Err(Inconsistent("a lane of a level that its queue has no lane for"));
        }
        match self.lanes.get(&of).is_some_and(|lanes| lanes.contains_key(&level)) {
            true => Err(Inconsistent("a queue has two lanes of the same level")),
            false => Ok(()),
        }
    }

    /// The lanes of a queue.
    pub(crate) fn lanes(&self, of: QueueNumber) -> impl Iterator<Item = QueueNumber> + '_ {
        self.lanes.get(&of).into_iter().flat_map(|lanes| lanes.values().copied())
    }

    /// How many queues there are in the eyes of clients.
    pub(crate) fn queue_count(&self) -> usize {
        self.names.len()
    }

    /// Deletes a queue, and its lanes with it.
    fn delete(&mut self, number: QueueNumber) {
        let Some(mut queue) = self.queues.remove(&number) else { return };
        let QueueFact { vhost, name, lane, .. } = queue.declaration;
        release(&mut self.segments, queue.extents.clear());
        self.unbind_all(self.bindings_to(&vhost, Target::Queue(number)));
        for lane in self.lanes.remove(&number).unwrap_or_default().into_values() {
            self.delete(lane);
        }
        match lane {
            None => {
                self.names.remove(&(vhost, name));
            }
            Some(LaneFact { of, level }) => {
                if let Some(lanes) = self.lanes.get_mut(&of) {
                    lanes.remove(&level);
                }
            }
        }
    }

    fn detached(&mut self, bound: &Bound) -> Bound {
        let [vhost, source] = &mut self.last_names;
        Bound {
            vhost: shared(vhost, &bound.vhost),
            source: shared(source, &bound.source),
            key: bound.key.detached(),
            target: match &bound.target {
                Target::Exchange(name) => Target::Exchange(name.detached()),
                Target::Queue(number) => Target::Queue(*number),
            },
            arguments: Bytes::copy_from_slice(&bound.arguments),
        }
    }

    fn bindings_from(&self, vhost: &ShortStr, source: &ShortStr) -> Vec<Arc<Bound>> {
        let start = first_bound(vhost, source);
        let bindings = self.bindings.range::<Bound, _>(start..);
        bindings
            .take_while(|bound| bound.vhost == *vhost && bound.source == *source)
            .cloned()
            .collect()
    }

    fn bindings_to(&self, vhost: &ShortStr, target: Target) -> Vec<Arc<Bound>> {
        let start = (target.clone(), Arc::new(first_bound(vhost, &ShortStr::EMPTY)));
        let bindings = self.incoming.range(start..);
        bindings
            .take_while(|(to, bound)| *to == target && bound.vhost == *vhost)
            .map(|(_, bound)| bound.clone())
            .collect()
    }

    fn unbind_all(&mut self, bindings: impl IntoIterator<Item = Arc<Bound>>) {
        for bound in bindings {
            self.bindings.remove(&bound);
            self.incoming.remove(&(bound.target.clone(), bound));
        }
    }
}

impl QueueState {
    /// What a checkpoint says of its messages.
    fn messages(&self) -> MessagesFact {
        MessagesFact {
            queue: self.declaration.number,
            next_position: self.next_position,
            delivered_below: self.delivered_below,
            returned: self.returned.iter().map(|(position, count)| (*position, *count)).collect(),
            extents: self.extents.iter().cloned().collect(),
        }
    }

    /// What a checkpoint says of when they expire.
    fn timed(&self) -> Option<Fact> {
        let ranges: Vec<_> = self.deadlines.durable().collect();
        let queue = self.declaration.number;
        (!ranges.is_empty()).then_some(Fact::Timed(Timed { queue, ranges }))
    }

    /// Forgets the deadlines of messages that do not live.
    fn forget_idle_deadlines(&mut self) {
        let live = |(first, last, deadline)| {
            let ranges = self.extents.live_within(first, last);
            ranges.into_iter().map(move |(first, last)| (first, last, deadline))
        };
        self.deadlines = self.deadlines.durable().flat_map(live).collect();
    }

    /// Forgets what is known of messages besides where they are.
    fn forget(&mut self, first: u64, last: u64) {
        self.deadlines.remove(first, last);
        while let Some((&position, _)) = self.returned.range(first..=last).next() {
            self.returned.remove(&position);
        }
    }
}

/// Whether numbers and positions are left from these on.
///
/// # Errors
/// When what is written from there on might not be read again.
pub(crate) fn check_room(mut next: impl Iterator<Item = u64>) -> Result<(), Inconsistent> {
    match next.all(|next| next <= NUMBER_FREE_MAX) {
        true => Ok(()),
        false => Err(Inconsistent("a number leaves no room for those that come next")),
    }
}

/// Takes note that messages of segments are done with.
fn release(segments: &mut BTreeMap<u64, SegmentState>, freed: impl IntoIterator<Item = Freed>) {
    for freed in freed {
        if let Some(segment) = segments.get_mut(&freed.segment) {
            segment.live = segment.live.saturating_sub(freed.messages.into());
            segment.bytes = segment.bytes.saturating_sub(freed.bytes);
        }
    }
}

/// `name` in memory of its own, or in that of the last one if it is the same.
fn shared(last: &mut ShortStr, name: &ShortStr) -> ShortStr {
    if *last != *name {
        *last = name.detached();
    }
    last.clone()
}

/// What stands before all bindings from this exchange.
fn first_bound(vhost: &ShortStr, source: &ShortStr) -> Bound {
    Bound {
        vhost: vhost.clone(),
        source: source.clone(),
        key: ShortStr::EMPTY,
        target: Target::Queue(QueueNumber(0)),
        arguments: Bytes::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    use proptest::prelude::*;

    use super::super::fact::{MessageFact, Settled};
    use super::super::format::{NUMBER_MAX, part_len};
    use super::*;
    use crate::amqp::{FieldTable, FieldValue, Properties};
    use crate::broker::{ApplyTo, Body, Message};

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
            Step::DeletePolicy(name) => {
                Fact::PolicyDeleted("/".into(), layer(name), exchange(name))
            }
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
        state.apply_message([place].into_iter(), message_flag::VOLATILE, 0, LEN).expect("fits");
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
        assert!(state.apply_message([early].into_iter(), 0, 1, LEN).is_err());
    }
}
