//! The engine's side of the log: what goes into batches, where it went, checkpoints, and what
//! follows when the disk is done with something.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::super::binding::Destination;
use super::super::queue::{Entry, Queue, QueueId};
use super::super::ready::{Paged, Unwritten};
use super::topology::exchange_fact;
use super::{Engine, VhostId};
use crate::amqp::ShortStr;
use crate::broker::{Charge, Message};
use crate::log::{
    Batch, BatchNumber, Bound, Completion, Dropped, Encoder, Extent, Fact, FailedWrite, IndexEntry,
    Item, Log, MessagesFact, PendingMessage, Place, PolicyFact, QueueFact, QueueNumber, Spot,
    Spots, Target, Timed, TimedRuns, decode_part, gaps, part_len, put_part,
};
use crate::{DiskResult, Instant, Mark, OpId, ResourceLimits};

/// How many messages ahead a queue reserves what it may hand out: so many at first, twice as many
/// each time that this was not enough, and so many at the most. A start takes up to twice as many
/// for handed out that were not.
const RESERVED_FIRST: u64 = 128;
const RESERVED_MAX: u64 = 1 << 16;

/// Transactions together may always have messages of this many bytes.
const UNCOMMITTED_MIN: u64 = 1 << 20;

/// Why publishers have to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hindrance {
    pub(crate) memory: bool,
    pub(crate) disk: bool,
    /// The disk is behind: a matter of moments.
    pub(crate) pace: bool,
    /// What is left of the log's segment is not for them, and the next is still being made: a
    /// matter of moments, or else of the disk.
    pub(crate) reserve: bool,
}

impl core::ops::BitOr for Hindrance {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            memory: self.memory || other.memory,
            disk: self.disk || other.disk,
            pace: self.pace || other.pace,
            reserve: self.reserve || other.reserve,
        }
    }
}

impl Hindrance {
    /// Whether there is any reason.
    pub(crate) fn any(self) -> bool {
        // No branches: it is asked for every frame.
        self.memory | self.disk | self.pace | self.reserve
    }

    /// Whether it is nothing that anyone is told.
    pub(crate) fn is_untold(self) -> bool {
        !self.memory && !self.disk
    }
}

impl Engine {
    /// The last batch of the log that is durable.
    pub(crate) fn durable(&self) -> BatchNumber {
        self.log.durable()
    }

    /// The batch that what was noted since `changes` was as given rests on; 0 if nothing was.
    pub(crate) fn gate_since(&self, changes: u64) -> BatchNumber {
        if self.log.pending.changes == changes { 0 } else { self.log.position() }
    }

    /// The batch that it rests on where messages go, and that they go nowhere.
    pub(crate) fn topology_gate(&self) -> BatchNumber {
        self.log.topology()
    }

    /// How often something was noted for the log.
    pub(crate) fn changes(&self) -> u64 {
        self.log.pending.changes
    }

    /// Writes what has gathered, if the disk is done with what came before.
    pub(crate) fn write_log(&mut self, now: Instant) {
        if let Some(failed) = self.log.failed_write() {
            self.leave_segment(failed);
        }
        if self.log.wants_writing(now) {
            self.write_batch();
            if self.log.wants_sealing() {
                // Behind a second attempt at a batch, more may have gathered.
                self.seal(self.log.pending.is_empty() && self.log.wants_checkpoint());
            }
            // Of an empty batch, everything is durable at once.
            self.note_durable();
        }
        // It grew while another was being sealed; to be sealed, it need not grow further.
        if self.log.is_overlong() && self.log.wants_sealing() {
            self.seal(self.log.pending.is_empty() && self.log.wants_checkpoint());
        }
        if self.log.wants_closing() {
            self.seal(true);
        }
        if self.log.is_closing() {
            self.log.go_on_closing();
        }
    }

    fn write_batch(&mut self) {
        let active = self.log.open_segment();
        let (segment, identity) = (active.segment, active.identity);
        let offset = Log::batch_offset(active);
        let (number, mut batch, is_again) = self.log.take_batch();
        if is_again {
            self.mark(Mark::BatchWrittenAgain);
        } else {
            batch.weigh(self.weighed(&batch));
        }
        let mut encoder = Encoder::new(identity, offset, batch.len + 4096);
        let (mut touched, mut timed) = (Vec::new(), TimedRuns::default());
        // First of all what is settled: a message that is moved is the first of its extent to live.
        batch.opening_facts().for_each(|fact| encoder.fact(&fact));
        for item in &mut batch.items {
            let pending = match item {
                Item::Message(pending) => pending,
                Item::Fact(fact) => {
                    encoder.fact(fact);
                    continue;
                }
            };
            let queues = &mut self.queues;
            let is_moved = pending.is_moved;
            pending.spots.retain(|spot| {
                let queue = queues.get(spot.queue);
                let is_wanted = |queue: &Queue| queue.extents.is_live(spot.place.position);
                // What is written again says what it said: what ended since is for later batches.
                is_again || queue.is_some_and(|queue| !is_moved || is_wanted(queue))
            });
            let count = pending.spots.as_slice().len() as u64;
            if count == 0 {
                if is_moved {
                    self.mark(Mark::MoveOvertaken);
                }
                continue;
            }
            let (offset, len) = encoder.message(pending);
            let bytes = u64::from(len) / count;
            for spot in pending.spots.as_slice() {
                if let Some(deadline) = spot.deadline {
                    timed.push(spot.place, deadline.get());
                }
                let Some(queue) = self.queues.get_mut(spot.queue) else { continue };
                let position = spot.place.position;
                if is_again && !queue.extents.is_live(position) {
                    continue;
                }
                self.log.segments.add(segment, 1, bytes);
                if queue.index.is_empty() {
                    touched.push(spot.queue);
                }
                queue.index.push(IndexEntry { position, offset, len });
                if is_again {
                    // It was given its place when this was tried first.
                } else if is_moved {
                    let freed = queue.extents.relocate(position, segment, bytes);
                    freed.into_iter().for_each(|freed| self.log.segments.free(freed, number));
                } else {
                    queue.extents.append(segment, position, bytes);
                    if pending.is_volatile {
                        queue.volatile.insert(position);
                    }
                    queue.ready.note_written();
                }
            }
        }
        timed.into_facts().for_each(|fact| encoder.fact(&fact));
        batch.closing_facts().for_each(|fact| encoder.fact(&fact));
        if let Some(active) = self.log.active_mut() {
            active.queues.extend(touched);
        }
        self.log.write(number, batch, encoder);
    }

    /// What those queues of which messages are done with in a batch, the last that was noted, have
    /// left, if they have a limit for that. Of others, a start does not know it.
    fn weighed(&self, batch: &Batch) -> Vec<(QueueNumber, u64)> {
        let is_limited = |queue: &&Queue| queue.settings.max_bytes.is_some();
        let queue = |number: QueueNumber| self.queues.get(*self.numbers.get(&number)?);
        let weighed = |number: QueueNumber| {
            Some((number, queue(number).filter(is_limited)?.durable_bytes()?))
        };
        let mut weighed: Vec<_> = batch.lessened().filter_map(weighed).collect();
        weighed.sort_unstable();
        weighed.dedup();
        weighed
    }

    /// A batch could not be written: its segment ends before it, and its messages are going to be
    /// in the next one.
    fn leave_segment(&mut self, failed: FailedWrite) {
        let FailedWrite { segment, start, .. } = failed;
        let (next, position) = (self.log.next_segment(), self.log.position());
        let mut moving: BTreeMap<QueueId, Vec<u64>> = BTreeMap::new();
        let queues = &self.queues;
        // Those that were settled since stay in the batch: the facts that settle them are about
        // messages that the log has.
        for item in &self.log.unwritten().expect("a batch that failed").items {
            let Item::Message(pending) = item else { continue };
            for Spot { queue: id, place, .. } in pending.spots.as_slice() {
                let queue = queues.get(*id);
                if queue.is_some_and(|queue| queue.extents.is_live(place.position)) {
                    moving.entry(*id).or_default().push(place.position);
                }
            }
        }
        for (id, mut positions) in moving {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            positions.sort_unstable();
            for freed in queue.extents.retarget(&positions, segment, next) {
                self.log.segments.free(freed, position);
            }
        }
        // The index is made again of what was there before.
        let ids = match self.log.active_mut().filter(|active| active.segment == segment) {
            Some(active) => core::mem::take(&mut active.queues),
            None => self.restore_index(segment),
        };
        for id in &ids {
            if let Some(queue) = self.queues.get_mut(*id) {
                queue.index.truncate(start);
            }
        }
        let index = self.take_index(ids, segment, start);
        self.log.end_failed_segment(index);
    }

    /// Gives queues back what was theirs of the index of a segment that is being sealed.
    fn restore_index(&mut self, segment: u64) -> Vec<QueueId> {
        let sealing = self.log.sealing().and_then(|sealing| sealing.index.clone());
        let Some(index) = sealing else { return Vec::new() };
        self.mark(Mark::IndexMadeAgain);
        let identity = self.log.identity(segment);
        let (mut ids, mut at) = (Vec::new(), 0);
        while let Some((number, entries)) =
            decode_part(&index.bytes[at..], identity, index.data_end + at as u64)
        {
            at += part_len(entries.len() as u32);
            let Some(id) = self.numbers.get(&QueueNumber(number)).copied() else { continue };
            let Some(queue) = self.queues.get_mut(id) else { continue };
            queue.index = entries.collect();
            ids.push(id);
        }
        ids
    }

    /// Ends the segment that is written to. With `has_checkpoint`, nothing may have gathered.
    fn seal(&mut self, has_checkpoint: bool) {
        let index = match self.log.active_mut() {
            Some(active) => {
                let (segment, base) = (active.segment, active.offset);
                let ids = core::mem::take(&mut active.queues);
                self.take_index(ids, segment, base)
            }
            None => Bytes::new(),
        };
        let checkpoint = has_checkpoint.then(|| {
            let facts = self.checkpoint_facts(index.len());
            self.log.encode_checkpoint(facts)
        });
        self.log.seal(index, checkpoint);
    }

    /// The index of a segment, of what these queues have in it, as it goes to `base` in its file.
    fn take_index(&mut self, mut ids: Vec<QueueId>, segment: u64, base: u64) -> Bytes {
        let identity = self.log.identity(segment);
        ids.sort_unstable_by_key(|id| self.queues.get(*id).map(|queue| queue.number));
        ids.dedup();
        let mut out = BytesMut::new();
        for id in ids {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            let extents = &queue.extents;
            let entries = queue.index.take(|entry| extents.is_live(entry.position));
            let offset = base + out.len() as u64;
            let ours = queue.extents.iter_mut().filter(|extent| extent.segment == segment);
            for extent in ours {
                extent.index_offset = offset as u32;
                extent.index_count = entries.len() as u32;
            }
            if !entries.is_empty() {
                put_part(&mut out, queue.number.0, &entries, identity, base);
            }
        }
        out.freeze()
    }

    /// The state as facts; the segment that is written to counts as full, with an index of this
    /// length.
    fn checkpoint_facts(&mut self, index_len: usize) -> Vec<Fact> {
        let mut facts = self.log.segment_facts(index_len);
        self.add_access_facts(&mut facts);
        for host in self.living_vhosts() {
            let vhost = &host.name;
            facts.extend(host.policies.iter().map(|(layer, policy)| {
                let policy = policy.policy.clone();
                Fact::PolicySet(PolicyFact { vhost: vhost.clone(), layer, policy })
            }));
            for name in &host.durable_exchanges {
                let Some(exchange) = host.exchanges.get(name) else { continue };
                if is_predeclared(name) {
                    continue;
                }
                facts.push(Fact::ExchangeDeclared(exchange_fact(exchange, &host.name)));
            }
        }
        let is_kept = |queue: &Queue| queue.durable && !self.is_emptying(queue.vhost);
        let durable = || self.heads().filter(|(_, queue)| is_kept(queue));
        for (id, head) in durable() {
            // Behind their head, as nothing is a lane of what is not declared.
            let lanes = self.lanes(id).filter(|lane| *lane != id);
            let lanes = lanes.filter_map(|lane| self.queues.get(lane));
            for queue in [head].into_iter().chain(lanes) {
                facts.push(Fact::QueueDeclared(self.queue_fact(queue)));
                // Nothing is handed out any more when the broker stops.
                let delivered_below = match self.log.is_closing() {
                    true => queue.handed_out_below,
                    false => queue.mark.below.max(queue.delivered_below),
                };
                facts.push(Fact::Messages(messages_fact(queue, delivered_below)));
                facts.extend(timed_fact(queue));
                facts.extend(weighed_fact(queue));
            }
        }
        for (_, queue) in durable() {
            for incoming in &queue.incoming {
                facts.extend(
                    self.bound(queue.vhost, &incoming.source, &incoming.binding).map(Fact::Bound),
                );
            }
        }
        for (&vhost, host) in self.vhosts.iter().filter(|(id, _)| !self.is_emptying(**id)) {
            let exchanges = host.durable_exchanges.iter();
            for exchange in exchanges.filter_map(|name| host.exchanges.get(name)) {
                for incoming in &exchange.incoming {
                    facts.extend(
                        self.bound(vhost, &incoming.source, &incoming.binding).map(Fact::Bound),
                    );
                }
            }
        }
        self.add_seen_facts(&mut facts);
        facts
    }

    pub(super) fn queue_fact(&self, queue: &Queue) -> QueueFact {
        QueueFact {
            number: queue.number,
            vhost: self.host(queue.vhost).name.clone(),
            name: queue.name.clone(),
            auto_delete: queue.auto_delete,
            arguments: queue.arguments.clone(),
            lane: queue.as_lane().map(|lane| lane.fact),
        }
    }

    /// A binding as the log has it, if it is one between what is durable.
    pub(super) fn bound(
        &self,
        vhost: VhostId,
        source: &ShortStr,
        binding: &super::super::binding::Binding,
    ) -> Option<Bound> {
        let host = self.host(vhost);
        host.exchanges.get(source).filter(|exchange| exchange.durable)?;
        let target = match &binding.destination {
            Destination::Queue(id) => {
                Target::Queue(self.queues.get(*id).filter(|queue| queue.durable)?.number)
            }
            Destination::Exchange(name) => {
                host.exchanges.get(name).filter(|exchange| exchange.durable)?;
                Target::Exchange(name.clone())
            }
        };
        Some(Bound {
            vhost: host.name.clone(),
            source: source.clone(),
            key: binding.key.clone(),
            target,
            arguments: binding.encoded_arguments().clone(),
        })
    }

    /// Takes note of what came of a request to the disk.
    pub(crate) fn handle_disk(&mut self, id: OpId, result: DiskResult) {
        match self.log.handle(id, result) {
            Completion::None => {}
            Completion::Durable => {
                for item in self.log.done_with.drain(..) {
                    if let Item::Message(written) = item {
                        self.pool.take_back(written.message);
                    }
                }
                self.note_durable();
            }
            // Indexes that were being written can be read now.
            Completion::Sealed => self.stir_awaiting(),
            Completion::ReadQueue(queue, number, data) => self.take_read(queue, number, &data),
            Completion::ReadSurvivors(data) => self.take_survivors(&data),
        }
    }

    /// A batch is durable: what waited for it goes on.
    fn note_durable(&mut self) {
        self.stir_awaiting();
        self.clean();
    }

    /// Queues that wait for the log are looked after again.
    fn stir_awaiting(&mut self) {
        for id in core::mem::take(&mut self.awaiting_log) {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.awaits_log = false;
                self.stir(id);
            }
        }
    }

    /// Has a queue looked after when the next batch is durable.
    pub(super) fn await_log(&mut self, id: QueueId) {
        self.log.urge();
        if let Some(queue) = self.queues.get_mut(id)
            && !queue.awaits_log
        {
            queue.awaits_log = true;
            self.awaiting_log.push(id);
        }
    }

    /// Whether the first message of a queue may be handed out: not before it is certain that a
    /// start would know. If not yet, the queue is looked after when it may.
    pub(super) fn may_hand_out(&mut self, id: QueueId, position: u64, item: u64) -> bool {
        let Some(queue) = self.queues.get_mut(id) else { return false };
        let (mark, durable) = (queue.mark.in_use(), self.log.durable());
        let is_durable = mark.batch <= durable;
        if is_durable {
            mark.durable_below = mark.below;
        }
        // Ahead of need, so that nothing has to wait; one at a time.
        let is_spent = position >= mark.below;
        if is_spent || is_durable && position + mark.step >= mark.below {
            let step = if is_spent || mark.is_short { mark.step * 2 } else { mark.step };
            if mark.step > 0 && step > mark.step {
                self.log.marks.reach(Mark::ReservationGrown);
            }
            mark.step = step.clamp(RESERVED_FIRST, RESERVED_MAX);
            mark.is_short = false;
            mark.below = position + 1 + 2 * mark.step;
            mark.batch = self.log.position();
            mark.item = self.log.pending.first_item;
            self.log.pending.deliver(queue.number, mark.below);
        }
        let is_certain = position < mark.durable_below || item >= mark.item;
        if !is_certain {
            mark.is_short = true;
            self.mark(Mark::HandOutWaits);
            self.await_log(id);
        }
        is_certain
    }

    /// A message in a queue is done with, and the queue's own count of it is up to date.
    pub(super) fn forget_entry(&mut self, id: QueueId, entry: &Entry) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        if !queue.deadlines.is_empty() {
            queue.deadlines.remove(entry.position, entry.position);
        }
        if entry.item == 0 {
            return;
        }
        if entry.is_durable() {
            queue.ready.weight.settle(entry.size);
        }
        let place = queue.place(entry.position);
        if entry.returns > 0 {
            queue.returned.used().map(|returned| returned.remove(&entry.position));
        }
        if entry.item >= self.log.pending.first_item {
            self.log.marks.reach(Mark::MessageWithdrawn);
            return self.log.pending.withdraw(entry.item, place);
        }
        match entry.is_volatile {
            true => queue.volatile.remove(entry.position),
            false => self.log.pending.settle(place),
        }
        let freed = queue.extents.settle(entry.position);
        debug_assert!(freed.is_some(), "{place:?} lives in the log");
        if let Some(freed) = freed {
            let position = if entry.is_volatile { 0 } else { self.log.position() };
            self.log.segments.free(freed, position);
        }
    }

    /// Forgets all ready messages of a queue that are on disk only, for the log too.
    pub(super) fn forget_paged(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let Paged { from, mut count, volatile, unwritten } = queue.ready.take_paged();
        if count == 0 {
            return;
        }
        queue.lose_count();
        self.log.marks.reach(Mark::PurgedOnDisk);
        let number = queue.number;
        let mut durable = count - volatile;
        for Unwritten { item, position, is_volatile, .. } in unwritten {
            self.log.pending.withdraw(item, Place { queue: number, position });
            count -= 1;
            durable -= u64::from(!is_volatile);
        }
        // Who died stands among them, and is still to be buried.
        let dying: Vec<u64> = queue.dying.from(from).map(|entry| entry.position).collect();
        if !dying.is_empty() {
            self.log.marks.reach(Mark::DyingSpared);
        }
        for (first, last) in gaps(from, u64::MAX, &dying) {
            queue.volatile.remove_all(first, last);
            queue.deadlines.remove(first, last);
        }
        if let Some(returned) = queue.returned.used() {
            returned.retain(|at, _| *at < from || dying.binary_search(at).is_ok());
        }
        let written = 1..self.log.pending.first_item;
        let is_written = |entry: &&Entry| written.contains(&entry.item);
        if durable > 0 {
            let kept = queue.dying.from(from).filter(is_written).filter(|entry| entry.is_durable());
            let kept = kept.map(|entry| entry.position).collect();
            let from = Place { queue: number, position: from };
            self.log.pending.drop_from(Dropped { from, count: durable, kept });
        }
        let position = if durable > 0 { self.log.position() } else { 0 };
        let kept: Vec<u64> =
            queue.dying.from(from).filter(is_written).map(|entry| entry.position).collect();
        for freed in queue.extents.settle_from(from, count, &kept) {
            self.log.segments.free(freed, position);
        }
        queue.reader.reset();
    }

    /// Notes that nothing of a queue is to be found in the log any more.
    pub(super) fn forget_queue(&mut self, queue: &mut Queue) {
        // With its virtual host all of it is gone.
        if queue.durable && !self.is_emptying(queue.vhost) {
            self.log.note_topology(Fact::QueueDeleted(queue.number));
        }
        self.forget_extents(queue);
    }

    /// Counts nothing of a queue as alive any more.
    pub(super) fn forget_extents(&mut self, queue: &mut Queue) {
        let position = if queue.durable { self.log.position() } else { 0 };
        for freed in queue.extents.clear() {
            self.log.segments.free(freed, position);
        }
    }

    /// Writes a message that is to be copied.
    pub(super) fn note_survivor(&mut self, pending: PendingMessage) {
        self.log.pending.push(Item::Message(pending));
    }

    /// How many bytes of messages are in memory.
    pub(crate) fn memory(&self) -> u64 {
        self.gauge.get() + self.kept.get()
    }

    /// Whether memory is short enough for messages to be kept on disk only.
    pub(super) fn is_pressed(&self) -> bool {
        self.is_pressed_by(0)
    }

    /// Whether it would be with so many bytes more.
    pub(super) fn is_pressed_by(&self, more: u64) -> bool {
        self.log.is_enabled() && self.gauge.get() + more > self.limits.memory_max / 2
    }

    /// Keeps no messages in memory that nobody waits for, if the log has them: they were read for
    /// who is gone.
    pub(crate) fn relieve_idle(&mut self) {
        let is_idle = |id: QueueId, queue: &Queue| queue.ready.cached() > 0 && !self.is_awaited(id);
        let first_item = self.log.pending.first_item;
        let idle = self.queues.iter().filter(|(id, queue)| is_idle(*id, queue));
        for id in idle.map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(queue) = self.queues.get_mut(id) {
                self.log.marks.reach(Mark::RelievedIdle);
                queue.ready.evict(first_item);
                queue.reader.reset();
            }
        }
    }

    /// Keeps as few messages in memory as possible: what can be on disk is on disk only. No more is
    /// noted for the log at once than may wait there; for the rest this is to be called again.
    pub(crate) fn relieve(&mut self) {
        if !self.log.is_enabled() {
            return;
        }
        let ids: Vec<QueueId> = self.queues.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            let number = queue.number;
            // Only behind all that the log has already: it takes a queue's messages in order.
            for entry in queue.ready.unlogged_from(queue.logged_below) {
                if self.log.pending.len > self.limits.log_pending_max {
                    break;
                }
                let Some(message) = entry.message.clone() else { continue };
                self.log.marks.reach(Mark::RelievedToLog);
                entry.item = self.log.pending.next_item();
                entry.is_volatile = true;
                queue.logged_below = entry.position + 1;
                let place = Place { queue: number, position: entry.position };
                self.log.pending.push(Item::Message(PendingMessage {
                    message,
                    spots: Spots::One(Some(Spot { queue: id, place, deadline: None })),
                    is_moved: false,
                    is_volatile: true,
                }));
            }
            queue.ready.evict(self.log.pending.first_item);
            // What is being read is not what is wanted next any more.
            queue.reader.reset();
            self.stir(id);
        }
    }

    /// Messages may take so much memory from now on, and so much space must be left on the disk.
    pub(super) fn set_resource_limits(&mut self, limits: ResourceLimits) {
        self.mark(Mark::ResourceLimitsChanged);
        if let Some(memory_max) = limits.memory_max {
            self.limits.memory_max = memory_max.max(1);
        }
        if let Some(disk_free_min) = limits.disk_free_min {
            self.log.set_free_min(disk_free_min);
        }
    }

    /// The limits in force.
    pub(crate) fn resource_limits(&self) -> ResourceLimits {
        ResourceLimits {
            memory_max: Some(self.limits.memory_max),
            disk_free_min: Some(self.log.free_min()),
        }
    }

    /// Takes note of a message that is kept.
    pub(crate) fn keep(&self, message: &mut Message) {
        message.charge_to(&self.gauge);
    }

    /// Takes note of bytes that a transaction has, for as long as it is not committed. Whether all
    /// transactions together may have so many: a quarter of what other messages may take.
    pub(crate) fn keep_uncommitted(&self, charge: &mut Charge, len: u64) -> bool {
        charge.grow(&self.uncommitted, len);
        self.uncommitted.get() <= (self.limits.memory_max / 4).max(UNCOMMITTED_MIN)
    }

    /// Why publishers have to wait, if they do; and what they are told, if it is more than the pace
    /// of the disk.
    pub(crate) fn hindrance(&self) -> Hindrance {
        Hindrance {
            memory: self.gauge.get() > self.limits.memory_max,
            disk: self.log.is_short_of_space(),
            pace: self.log.backlog() > self.limits.log_pending_max,
            reserve: self.log.is_short_of_reserve(),
        }
    }

    /// Whether memory is far enough below its limit for an alarm to end.
    pub(crate) fn has_memory_again(&self) -> bool {
        self.gauge.get() <= self.limits.memory_max / 8 * 7
    }

    /// Whether the disk has caught up far enough for publishers to go on.
    pub(crate) fn has_pace_again(&self) -> bool {
        self.log.backlog() <= self.limits.log_pending_max / 2
    }

    /// When the log is to be written to though nobody waits for it.
    pub(crate) fn log_deadline(&self) -> Option<Instant> {
        self.log.deadline()
    }

    /// Someone waits for what was noted last.
    pub(crate) fn urge_log(&mut self) {
        self.log.urge();
    }

    /// The number of the batch that gathers, and of the last that is durable.
    pub(crate) fn log_position(&self) -> (BatchNumber, BatchNumber) {
        (self.log.position(), self.log.durable())
    }

    pub(crate) fn is_log_closed(&self) -> bool {
        self.log.is_closed()
    }

    pub(crate) fn log(&mut self) -> &mut Log {
        &mut self.log
    }
}

/// Whether every virtual host has an exchange of this name from the beginning.
pub(crate) fn is_predeclared(exchange: &ShortStr) -> bool {
    exchange.is_empty() || exchange.starts_with("amq.")
}

/// When a queue's messages expire, as a checkpoint has it.
fn timed_fact(queue: &Queue) -> Option<Fact> {
    let ranges: Vec<_> = queue.deadlines.durable().collect();
    (!ranges.is_empty()).then_some(Fact::Timed(Timed { queue: queue.number, ranges }))
}

/// How many bytes a queue's messages have, as a checkpoint has it.
fn weighed_fact(queue: &Queue) -> Option<Fact> {
    let bytes = queue.durable_bytes().filter(|_| !queue.extents.is_empty())?;
    Some(Fact::Weighed(queue.number, bytes))
}

/// A queue's messages as a checkpoint has them: without those that a start forgets.
fn messages_fact(queue: &Queue, delivered_below: u64) -> MessagesFact {
    let extents: Vec<Extent> = queue
        .extents
        .iter()
        .filter_map(|extent| {
            let mut extent = extent.clone();
            for (first, last) in queue.volatile.within(extent.first, extent.last) {
                extent.exclude(first, last);
            }
            (extent.live > 0).then_some(extent)
        })
        .collect();
    MessagesFact {
        queue: queue.number,
        next_position: queue.next_position,
        delivered_below,
        returned: queue.returned.iter().map(|(position, count)| (*position, *count)).collect(),
        extents,
    }
}
