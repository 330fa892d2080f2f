//! The broker's durable state: what the facts of the log add up to.
//!
//! A fact about something unknown (a queue that was deleted) means nothing. What is kept is in
//! memory of its own and holds on to no buffer that was read.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::access::AccessState;
use super::codec::message_flag;
use super::deadlines::Deadlines;
use super::extents::{Extents, Freed};
use super::fact::{
    Bound, Dropped, ExchangeFact, Fact, LaneFact, MessagesFact, Place, PolicyFact, QueueFact,
    QueueNumber, SeenFact, SeenValue, SegmentFact, Target, Timed, Witness,
};
use super::format::{CheckpointHeader, NUMBER_FREE_MAX};
use crate::Defaults;
use crate::amqp::{FieldTable, ShortStr};
use crate::broker::{
    Policy, PolicyLayer, SEEN_MAX, VHOST, fixed_that_differs, is_deduplicating, may_have_lane,
};

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
    /// How many bytes the bodies of its messages have, if that is known.
    pub(crate) bytes: Option<u64>,
}

/// What an exchange or a queue remembers of what messages said.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenState {
    /// The number of the next value.
    pub(crate) next: u64,
    /// From the oldest on.
    pub(crate) values: VecDeque<SeenValue>,
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
    pub(crate) access: AccessState,
    /// By virtual host and name.
    pub(crate) exchanges: BTreeMap<(ShortStr, ShortStr), ExchangeFact>,
    /// By virtual host, layer and name.
    pub(crate) policies: BTreeMap<(ShortStr, PolicyLayer, ShortStr), PolicyFact>,
    pub(crate) queues: BTreeMap<QueueNumber, QueueState>,
    /// The same but for lanes, by virtual host and name.
    names: BTreeMap<(ShortStr, ShortStr), QueueNumber>,
    /// The lanes of queues that have any, by their levels; each stands among the queues too.
    lanes: BTreeMap<QueueNumber, BTreeMap<u8, QueueNumber>>,
    /// What exchanges and queues remember that deduplicate, as far as they ever did.
    pub(crate) seen: BTreeMap<Witness, SeenState>,
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

    /// Whether nothing is in it but what a first start makes.
    pub(super) fn is_blank(&self, defaults: Option<&Defaults>) -> bool {
        self.access.is_first(defaults)
            && self.segments.is_empty()
            && self.exchanges.is_empty()
            && self.policies.is_empty()
            && self.queues.is_empty()
            && self.seen.is_empty()
            && self.bindings.is_empty()
    }

    /// How many values are remembered.
    pub(crate) fn seen_count(&self) -> u64 {
        self.seen.values().map(|seen| seen.values.len() as u64).sum()
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
        self.access.check(&fact)?;
        match fact {
            Fact::Message(fact) => {
                let body_len = fact.message.body.len() as u64;
                let places = fact.places.iter().copied();
                self.apply_message(places, fact.flags(), body_len, (segment, len))?;
            }
            Fact::Settled(settled) => {
                for settled in settled {
                    let Some(queue) = self.queues.get_mut(&settled.queue) else { continue };
                    for (first, last) in settled.ranges {
                        queue.forget(first, last);
                        release(&mut self.segments, queue.extents.settle_range(first, last));
                    }
                    queue.forget_bytes();
                }
            }
            Fact::Dropped(dropped) => {
                if let Some(queue) = self.queues.get_mut(&dropped.from.queue) {
                    dropped.ranges().for_each(|(first, last)| queue.forget(first, last));
                    let Dropped { from, count, kept } = dropped;
                    let freed = queue.extents.settle_from(from.position, count, &kept);
                    queue.forget_bytes();
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
            Fact::Weighed(number, bytes) => {
                if let Some(queue) = self.queues.get_mut(&number)
                    && !queue.extents.is_empty()
                {
                    queue.bytes = Some(bytes);
                }
            }
            Fact::Seen(seen) => self.see(seen)?,
            Fact::QueueDeclared(queue) => self.declare(queue)?,
            Fact::QueueDeleted(number) => self.delete(number),
            Fact::ArgumentsSet(number, arguments) => self.set_arguments(number, arguments)?,
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
            Fact::ExchangeDeleted(vhost, name) => self.delete_exchange(vhost, name),
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
                if self.is_target_known(&bound)? {
                    let bound = Arc::new(self.detached(&bound));
                    self.incoming.insert((bound.target.clone(), bound.clone()));
                    self.bindings.insert(bound);
                }
            }
            Fact::Unbound(bound) => self.unbind_all([Arc::new(bound)]),
            Fact::VhostDeleted(name) => {
                self.empty_vhost(&name);
                self.access.apply(Fact::VhostDeleted(name));
            }
            Fact::VhostSet(vhost) => {
                // What was there before any was known is in this one.
                if self.access.vhosts.is_empty() && vhost.name != VHOST && self.has_content() {
                    return Err(Inconsistent("a virtual host comes before the first one"));
                }
                self.access.apply(Fact::VhostSet(vhost));
            }
            Fact::UserSet(_)
            | Fact::UserDeleted(_)
            | Fact::PermissionSet(_)
            | Fact::PermissionCleared(..)
            | Fact::TopicPermissionSet(_)
            | Fact::TopicPermissionCleared(..)
            | Fact::ParameterSet(_)
            | Fact::ParameterCleared(..) => self.access.apply(fact),
            Fact::Segment(_) | Fact::Messages(_) => {
                return Err(Inconsistent("a record that only a checkpoint may have"));
            }
        }
        Ok(())
    }

    /// All that is in a virtual host is gone.
    fn empty_vhost(&mut self, vhost: &ShortStr) {
        let queues = self.queues_in(vhost).collect::<Vec<_>>();
        queues.into_iter().for_each(|number| self.delete(number));
        let exchanges = self.exchanges.keys().filter(|(host, _)| host == vhost);
        for (_, name) in exchanges.cloned().collect::<Vec<_>>() {
            self.delete_exchange(vhost.clone(), name);
        }
        // Those of exchanges that are in every virtual host are left.
        let bindings = self.bindings.iter().filter(|bound| bound.vhost == *vhost);
        self.unbind_all(bindings.cloned().collect::<Vec<_>>());
        self.policies.retain(|(host, ..), _| host != vhost);
        self.seen.retain(|by, _| !matches!(by, Witness::Exchange(host, _) if host == vhost));
    }

    /// The queues of a virtual host; their lanes are in it too.
    pub(super) fn queues_in<'a>(
        &'a self,
        vhost: &'a ShortStr,
    ) -> impl Iterator<Item = QueueNumber> + 'a {
        let is_in = move |queue: &&QueueState| queue.declaration.vhost == *vhost;
        self.queues.values().filter(is_in).map(|queue| queue.declaration.number)
    }

    fn delete_exchange(&mut self, vhost: ShortStr, name: ShortStr) {
        self.unbind_all(self.bindings_from(&vhost, &name));
        self.unbind_all(self.bindings_to(&vhost, Target::Exchange(name.clone())));
        self.exchanges.remove(&(vhost.clone(), name.clone()));
        self.seen.remove(&Witness::Exchange(vhost, name));
    }

    /// Adds what a first start finds, if nobody could use the broker as it is. Whether anything was
    /// added.
    pub(crate) fn add_defaults(&mut self, defaults: Option<&Defaults>) -> bool {
        let has_content = self.has_content();
        self.access.add_defaults(defaults, has_content)
    }

    /// Whether there is anything in any virtual host.
    pub(super) fn has_content(&self) -> bool {
        !self.queues.is_empty()
            || !self.exchanges.is_empty()
            || !self.policies.is_empty()
            || !self.bindings.is_empty()
            || self.access.has_content()
    }

    /// Takes in a message's record, of which the places, the flags and the length of the body are
    /// enough. It stands in a segment, with so many bytes.
    ///
    /// # Errors
    /// As for [`Self::apply`].
    pub(crate) fn apply_message(
        &mut self,
        places: impl ExactSizeIterator<Item = Place>,
        flags: u8,
        body_len: u64,
        (segment, len): (u64, u32),
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
                queue.bytes = queue.bytes.map(|bytes| bytes.saturating_add(body_len));
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
        queue.forget_bytes();
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
        let seen = self.seen.values().map(|seen| seen.next);
        check_room(positions.chain(seen).chain(numbers))
    }

    /// The state as facts, in the order in which a checkpoint has them.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        let segments = self.segments.values().map(|segment| Fact::Segment(segment.fact));
        let policies = self.policies.values().cloned().map(Fact::PolicySet);
        let exchanges = self.exchanges.values().cloned().map(Fact::ExchangeDeclared);
        let queues = self.queues.values().flat_map(|queue| {
            let further = queue.timed().into_iter().chain(queue.weighed());
            [Fact::QueueDeclared(queue.declaration.clone()), Fact::Messages(queue.messages())]
                .into_iter()
                .chain(further)
        });
        let bindings = self.bindings().cloned().map(Fact::Bound);
        let seen = self.seen.iter().flat_map(|(by, seen)| {
            let from = seen.values.front().map_or(seen.next, |first| first.number);
            SeenFact::all(by, from, seen.values.iter().copied())
        });
        let access = self.access.facts();
        let names = access.chain(policies).chain(exchanges);
        segments.chain(names).chain(queues).chain(bindings).chain(seen)
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

    /// Takes in what was seen by somebody who is there.
    fn see(&mut self, fact: SeenFact) -> Result<(), Inconsistent> {
        let SeenFact { by, from, values } = fact;
        let arguments = match &by {
            Witness::Queue(number) => {
                self.queues.get(number).map(|queue| &queue.declaration.arguments)
            }
            Witness::Exchange(vhost, name) => {
                let key = (vhost.clone(), name.clone());
                self.exchanges.get(&key).map(|exchange| &exchange.arguments)
            }
        };
        let Some(arguments) = arguments else { return Ok(()) };
        if !is_deduplicating(arguments) {
            return Err(Inconsistent("values are remembered that nobody asked for"));
        }
        let seen = match self.seen.get_mut(&by) {
            Some(seen) => seen,
            None => self.seen.entry(by.detached()).or_default(),
        };
        if values.first().is_some_and(|first| first.number < seen.next) {
            return Err(Inconsistent("a value was seen before one that came earlier"));
        }
        let last = values.last().map_or(0, |last| last.number + 1);
        seen.next = seen.next.max(last).max(from);
        seen.values.extend(values);
        let is_past = |seen: &SeenState| {
            seen.values.len() > SEEN_MAX
                || seen.values.front().is_some_and(|first| first.number < from)
        };
        while is_past(seen) {
            seen.values.pop_front();
        }
        Ok(())
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
            bytes: Some(0),
        };
        if let Some(LaneFact { of, level }) = lane {
            self.lanes.entry(of).or_default().insert(level, number);
        }
        self.queues.insert(number, state);
        Ok(())
    }

    /// Lanes have no arguments, and some of a queue's are for ever.
    fn set_arguments(
        &mut self,
        number: QueueNumber,
        arguments: FieldTable,
    ) -> Result<(), Inconsistent> {
        let Some(queue) = self.queues.get_mut(&number) else { return Ok(()) };
        let before = &mut queue.declaration.arguments;
        let is_lane = queue.declaration.lane.is_some();
        if is_lane || fixed_that_differs(&arguments, before).is_some() {
            return Err(Inconsistent("a queue gets arguments that it cannot have"));
        }
        *before = arguments;
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
        self.seen.remove(&Witness::Queue(number));
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

    /// Whether there is something where a binding leads. Exchanges may be in every virtual host.
    ///
    /// # Errors
    /// When it is a queue of another virtual host.
    fn is_target_known(&self, bound: &Bound) -> Result<bool, Inconsistent> {
        let Target::Queue(number) = &bound.target else { return Ok(true) };
        match self.queues.get(number) {
            Some(queue) if queue.declaration.vhost != bound.vhost => {
                Err(Inconsistent("a binding leads to a queue of another virtual host"))
            }
            queue => Ok(queue.is_some()),
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

impl Witness {
    /// The same, in memory of its own.
    fn detached(&self) -> Self {
        match self {
            Self::Queue(number) => Self::Queue(*number),
            Self::Exchange(vhost, name) => Self::Exchange(vhost.detached(), name.detached()),
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

    /// What a checkpoint says of how many bytes they have; without messages nothing.
    fn weighed(&self) -> Option<Fact> {
        let bytes = self.bytes.filter(|_| !self.extents.is_empty())?;
        Some(Fact::Weighed(self.declaration.number, bytes))
    }

    /// What its messages have in bytes is not known any more, unless there are none.
    fn forget_bytes(&mut self) {
        self.bytes = self.extents.is_empty().then_some(0);
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
pub(crate) mod tests;
