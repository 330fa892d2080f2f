//! Reading messages back that are on disk only.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::consumer::SessionHandle;
use super::super::queue::{Entry, Queue, QueueId};
use super::super::reader::{Part, Reading, Run, Wanted};
use super::super::ready::Next;
use super::super::weight::Size;
use super::Engine;
use crate::log::{self, Extent, IndexEntry, Purpose, RecordHeader, message_flag};
use crate::{FileId, Mark};

/// What [`Entry::item`] is of a message that was read back: it was written long ago.
pub(super) const ITEM_READ: u64 = 1;

/// What a queue's reader can do now.
enum Step {
    Read(Reading, u64, u32),
    /// What it wants is not written yet.
    Await,
}

impl Engine {
    /// Begins to read what a queue needs next, unless it is at it. With `is_ahead`, what it is
    /// going to need as well.
    pub(super) fn read(&mut self, id: QueueId, is_ahead: bool) {
        let window = if self.is_pressed() { 1 } else { self.limits.queue_window / 2 };
        let Some(queue) = self.queues.get_mut(id) else { return };
        if queue.reader.is_reading() || queue.awaits_log && is_ahead {
            return;
        }
        let Some((from, wanted)) = queue.wanted(is_ahead, window) else { return };
        self.begin_read(id, from, wanted);
    }

    /// Reads on through what a queue has on disk only, as long as its bytes are not known.
    pub(super) fn count_rest(&mut self, id: QueueId) {
        for lane in self.lanes(id).collect::<Vec<_>>() {
            let Some(queue) = self.queues.get(lane) else { continue };
            if let Some(from) = queue.uncounted_from()
                && !queue.reader.is_reading()
                && !queue.awaits_log
            {
                self.begin_read(lane, from, Wanted::Size);
            }
        }
    }

    /// Begins to read messages of a queue from a position on.
    fn begin_read(&mut self, id: QueueId, from: u64, wanted: Wanted) {
        match self.next_step(id, from, wanted) {
            Some(Step::Read(reading, offset, len)) => {
                let segment = match &reading {
                    Reading::Part(segment, _) => *segment,
                    Reading::Run(run) => run.segment,
                };
                let queue = self.queues.get_mut(id).expect("found above");
                let number = queue.reader.begin(reading);
                self.log.read(Purpose::ReadQueue(id, number), segment, offset, len);
            }
            None if wanted == Wanted::Size && self.ends_count(id) => {}
            Some(Step::Await) | None => {
                self.mark(Mark::ReadAwaitsWrite);
                self.await_log(id);
            }
        }
    }

    /// Nothing is left to be counted of what is written. Whether that is all.
    fn ends_count(&mut self, id: QueueId) -> bool {
        let Some(queue) = self.queues.get_mut(id) else { return true };
        let is_all = !queue.ready.has_unwritten();
        if is_all {
            queue.ready.weight.count_on(u64::MAX);
        }
        is_all
    }

    fn next_step(&mut self, id: QueueId, from: u64, wanted: Wanted) -> Option<Step> {
        let mut from = from;
        loop {
            let active = self.log.active().map(|active| active.segment);
            let queue = self.queues.get_mut(id)?;
            if active == Some(queue.extents.at_or_after(from)?.segment) {
                queue.index.sort();
            }
            let extent = self.queues.get(id)?.extents.at_or_after(from)?;
            let last = extent.last;
            let step = self.step_in(id, extent, from, wanted);
            if step.is_some() {
                return step;
            }
            // What is left of an extent may all be settled. That is found out once: the index that
            // says so is not kept when the next is read.
            from = last.checked_add(1)?;
            let ready = &mut self.queues.get_mut(id)?.ready;
            match wanted {
                Wanted::Ready => ready.paged_from = from,
                Wanted::Size => ready.weight.count_on(from),
                Wanted::Returned | Wanted::Dying => {}
            }
        }
    }

    /// About how many bytes one read may have: a part of what memory is left, as small messages
    /// take many times what they take on disk.
    fn read_len(&self) -> u32 {
        let left = self.limits.memory_max.saturating_sub(self.gauge.get());
        u32::try_from(left / 16).unwrap_or(u32::MAX).min(self.limits.read_len)
    }

    /// What can be done to read the messages of an extent from a position on; `None` if none of
    /// them lives.
    fn step_in(&self, id: QueueId, extent: &Extent, from: u64, wanted: Wanted) -> Option<Step> {
        let len_max = self.read_len();
        let queue = self.queues.get(id)?;
        let is_active = self.log.active().is_some_and(|active| active.segment == extent.segment);
        let mut run = if is_active {
            queue.run(extent, queue.index.entries(), from, wanted, len_max)
        } else if let Some(entries) = self.index_being_written(queue, extent.segment) {
            self.mark(Mark::IndexFromMemory);
            queue.run(extent, &entries, from, wanted, len_max)
        } else {
            let (segment, offset) = (extent.segment, extent.index_offset);
            match queue.reader.part(segment, offset) {
                Some(part) => queue.run(extent, &part.entries, from, wanted, len_max),
                // It is going to be written there.
                None if self.log.segments.get(segment).is_none() => return Some(Step::Await),
                None => {
                    let len = log::part_len(extent.index_count) as u32;
                    let reading = Reading::Part(segment, offset);
                    return Some(Step::Read(reading, u64::from(offset), len));
                }
            }
        };
        if run.entries.is_empty() {
            return None;
        }
        let written = self.log.written(extent.segment);
        let is_written = |entry: &&IndexEntry| u64::from(entry.offset + entry.len) <= written;
        run.entries.truncate(run.entries.iter().take_while(is_written).count());
        if run.entries.is_empty() {
            return Some(Step::Await);
        }
        let (offset, len) = (run.offset(), run.len());
        Some(Step::Read(Reading::Run(run), offset, len))
    }

    /// The queue's entries in the index of a segment that is being sealed.
    fn index_being_written(&self, queue: &Queue, segment: u64) -> Option<Vec<IndexEntry>> {
        let index = self.log.sealing()?.index.as_ref().filter(|index| index.segment == segment)?;
        let extent = queue.extents.iter().find(|extent| extent.segment == segment)?;
        let offset = u64::from(extent.index_offset);
        let bytes = index.bytes.get((offset.checked_sub(index.data_end)?) as usize..)?;
        let identity = self.log.identity(segment);
        let (_, entries) = log::decode_part(bytes, identity, offset)?;
        Some(entries.collect())
    }

    /// Takes what was read for a queue.
    pub(super) fn take_read(&mut self, id: QueueId, number: u64, data: &Bytes) {
        let is_pressed = self.is_pressed();
        let reading = self.queues.get_mut(id).and_then(|queue| queue.reader.end(number));
        let Some(reading) = reading else { return self.mark(Mark::ReadOutdated) };
        let Some(queue) = self.queues.get_mut(id) else { return };
        match reading {
            Reading::Part(segment, offset) => {
                let identity = self.log.identity(segment);
                match log::decode_part(data, identity, u64::from(offset)) {
                    Some((owner, entries)) if owner == queue.number.0 => {
                        let entries = entries.collect();
                        queue.keep_part(Part { segment, offset, entries }, is_pressed);
                        self.mark(Mark::IndexRead);
                    }
                    _ => return self.halt_for_damage(segment, u64::from(offset), "index"),
                }
            }
            Reading::Run(run) => self.take_run(id, &run, data),
        }
        self.stir(id);
        let has_dying = || self.queues.get(id).is_some_and(|queue| !queue.dying.is_empty());
        if self.is_awaited(id) || has_dying() {
            self.read(id, true);
        }
    }

    fn take_run(&mut self, id: QueueId, run: &Run, data: &Bytes) {
        let identity = self.log.identity(run.segment);
        let base = run.offset();
        for entry in &run.entries {
            let offset = u64::from(entry.offset);
            let start = (offset - base) as usize;
            let record = data.get(start..start + entry.len as usize);
            let decoded = record
                .and_then(|record| RecordHeader::decode(record, identity, offset))
                .and_then(|(header, body)| {
                    let body = data.slice_ref(body);
                    Some((header, log::decode_message(header.flags, &body)?))
                });
            let Some((header, mut message)) = decoded else {
                if offset == base {
                    return self.halt_for_damage(run.segment, offset, "message");
                }
                // Those before it are whole, and come first.
                return;
            };
            self.keep(&mut message);
            let message = Arc::new(message);
            let queue = self.queues.get_mut(id).expect("it was there when this was read");
            match run.wanted {
                Wanted::Ready => {}
                Wanted::Returned => {
                    queue.ready.fill_returned(entry.position, message);
                    self.mark(Mark::ReturnedReadBack);
                    continue;
                }
                Wanted::Dying => {
                    queue.fill_dying(entry.position, message);
                    self.mark(Mark::DyingReadBack);
                    continue;
                }
                Wanted::Size => {
                    queue.count(entry.position, message.body.len());
                    self.mark(Mark::BacklogWeighed);
                    continue;
                }
            }
            if queue.ready.paged() == 0 || entry.position < queue.ready.paged_from {
                continue;
            }
            // It may have left since it was asked for.
            if !queue.extents.is_live(entry.position) || queue.dying.contains(entry.position) {
                continue;
            }
            // What is volatile was written by this process, which knows of it.
            let is_volatile = header.flags & message_flag::VOLATILE != 0;
            if is_volatile && !queue.volatile.contains(entry.position) {
                return self.halt_for_damage(run.segment, offset, "message");
            }
            queue.ready.load(Entry {
                position: entry.position,
                item: ITEM_READ,
                returns: queue.returned.get(&entry.position).copied().unwrap_or(0),
                may_be_known: entry.position < queue.delivered_below,
                is_volatile,
                size: Size::of(message.body.len()),
                message: Some(message),
                is_gone: false,
            });
            self.mark(Mark::MessageReadBack);
        }
    }

    /// What is on disk is not what was written: nothing that rests on it can be promised.
    pub(super) fn halt_for_damage(&mut self, segment: u64, offset: u64, what: &str) {
        let file = FileId::Segment(segment);
        self.log.halt(format!(
            "{file} is damaged at offset {offset}: its {what} is not what was written there; \
             see `warren check` and `warren salvage`"
        ));
    }

    /// Who asked for a message that was not at hand, and is to ask again now, as there is an
    /// answer: of each queue in the order of asking. To be called behind [`Engine::dispatch`] until
    /// there is none.
    pub(crate) fn next_getter(&mut self) -> Option<SessionHandle> {
        while let Some(session) = self.orphans.pop_front() {
            if let Some(session) = self.sessions.get(session) {
                return Some(session.handle);
            }
        }
        while let Some(&id) = self.asked.front() {
            let is_asked = self.queues.get(id).is_some_and(|queue| !queue.getters.is_empty());
            let lane = self.next_lane(id);
            let next = if is_asked { self.next_of(lane) } else { Next::Waits };
            if matches!(next, Next::Here | Next::None) {
                let getter =
                    self.queues.get_mut(id).and_then(|queue| queue.getters.used()?.pop_front());
                // It may have ended since.
                match getter.and_then(|session| self.sessions.get(session)) {
                    Some(session) => return Some(session.handle),
                    None => continue,
                }
            }
            if next == Next::OnDisk {
                self.read(lane, false);
            }
            self.asked.pop_front();
        }
        None
    }
}
