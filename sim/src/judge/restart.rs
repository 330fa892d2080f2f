//! What the broker promises, and whether it is kept when the process is gone.

use warren_core::Broker;

use super::{Found, Judge, Position};
use crate::checkers::{
    Failure, access, ack_final, confirms, conservation, disk, no_loss, topology,
};
use crate::model::{Promise, STORE};
use crate::plan::Setup;
use crate::world::{Image, names_of};

impl Judge {
    /// The broker confirmed these messages.
    pub(super) fn hear_confirm(&mut self, messages: Vec<usize>) {
        self.confirmed.clone_from(&messages);
        let mut messages = self.model.with_firsts(&messages);
        messages.retain(|message| self.model.must_be_on_disk(*message));
        let batch = messages.iter().map(|message| self.model.messages[*message].batch).max();
        let promise = batch.map(|batch| Promise { batch, messages, name: None });
        self.hear_promise(promise);
    }

    pub(super) fn hear_promise(&mut self, promise: Option<Promise>) {
        let Some(promise) = promise else { return };
        self.model.note_promise(&promise);
        self.promises.push(promise);
    }

    /// Holds what was promised since the last time against what the disk's platter has. A message
    /// that is settled meanwhile need not be there. Without an image there is only the disk's word.
    ///
    /// # Errors
    /// When something is not there.
    pub(crate) fn check_promises(&mut self, image: Option<&Image>) -> Result<(), Failure> {
        let Some(image) = image else {
            self.promises.clear();
            self.model.history.names.clear();
            return Ok(());
        };
        for ((name, _), before) in &mut self.model.history.names {
            before.get_or_insert_with(|| image.count_name(name).0);
        }
        for promise in std::mem::take(&mut self.promises) {
            for message in promise.messages {
                if !self.model.must_be_on_disk(message) {
                    continue;
                }
                let name = &self.model.messages[message].name;
                confirms::check_on_disk(name, is_on_disk(image, name))?;
            }
            let names = &self.model.history.names;
            let before = promise.name.as_ref().and_then(|name| *names.get(name)?);
            if let (Some(before), Some(name)) = (before, promise.name) {
                let (count, is_there) = image.count_name(&name.0);
                confirms::check_declared(&name.0, is_there && count > before)?;
                // Once is enough: segments go, and what they held is in a checkpoint.
                self.model.history.names.remove(&name);
            }
        }
        Ok(())
    }

    /// The process is gone without a word; its log was at `position`, unless it was still starting.
    pub(crate) fn crashed(&mut self, position: Option<Position>) {
        if let Some(position) = position {
            self.model.enter(position);
            self.model.end(false);
        }
        self.forget();
    }

    /// The process has come to its end in order.
    pub(crate) fn exited(&mut self, position: Option<Position>) {
        if let Some(position) = position {
            self.model.enter(position);
        }
        self.model.end(true);
        self.forget();
    }

    /// Checks what the disk holds when all is drained and nothing goes on.
    ///
    /// # Errors
    /// When it is out of proportion to what lives.
    pub(crate) fn check_quiet(&self, image: &Image) -> Result<(), Failure> {
        let segment_len = u64::from(self.model.setup.segment_len);
        let files = image.list();
        // The segment that is written to may be as long as one large batch.
        let longest = files.iter().map(|(_, len)| *len).max().unwrap_or(0);
        // What is drained is gone, but for dead letters that cannot go anywhere.
        let live = self.model.kept_bytes();
        disk::check_space(image.len() - longest, live, segment_len, &names_of(&files))
    }

    fn forget(&mut self) {
        self.paused.clear();
        self.due_since.clear();
        self.promises.clear();
        self.is_changed = true;
        self.may_wait = true;
    }

    /// From now on the disk may lose what it said was synced.
    pub(crate) fn keep_history(&mut self) {
        self.model.keep_history();
    }

    /// The disk is gone, and another is there that is empty.
    pub(crate) fn lost_disk(&mut self) {
        self.model.lose_disk();
    }

    /// Whether a queue of this name ever was, and how many copies of messages there were.
    pub(crate) fn ever_seen(&self) -> (impl Fn(&str) -> bool + '_, u64) {
        let copies =
            self.model.messages.iter().map(|message| message.fates.iter().count() as u64).sum();
        let is_known = |name: &str| name == STORE || self.model.ever_declared.contains(name);
        (is_known, copies)
    }

    /// Another process has found this of what the one before left behind. Whether the disk lost
    /// something that was promised, and that nothing on it tells of any more.
    ///
    /// # Errors
    /// When that is not what it must be.
    pub(crate) fn started(
        &mut self,
        broker: &Broker,
        found: Found,
        setup: &Setup,
        image: &Image,
    ) -> Result<bool, Failure> {
        self.model.setup = setup.clone();
        (self.memory_max, self.memory_held) = (setup.memory_max, 0);
        let is_lost = no_loss::check_log(self.model.restart(found))?;
        self.model.check_moves_found(found.position.next.saturating_sub(1));
        self.check_fault()?;
        if found.is_in_doubt {
            self.model.note_lost(|name| is_on_disk(image, name));
        }
        let listed = self.listed(broker);
        access::check(broker, &self.model.access)?;
        topology::check_list(&listed, &self.queues_by_name())?;
        for status in &broker.delays() {
            let store = self.model.store(&status.vhost.to_text());
            let left = store.map_or(0, |store| store.ready.len() as u64);
            no_loss::check_recovered(&status.name.to_text(), status.ready, left)?;
        }
        self.check_store(broker)?;
        for (name, status) in &listed {
            let queue = self.queues_by_name()[name.as_str()];
            let left = queue.ready.len() as u64;
            no_loss::check_recovered(&queue.name, status.ready, left)?;
            ack_final::check_recovered(&queue.name, status.ready, left)?;
            conservation::check(status, queue)?;
        }
        Ok(is_lost)
    }
}

/// Whether the platter has the message of this name.
fn is_on_disk(image: &Image, name: &str) -> bool {
    let serial = name.strip_prefix('m').and_then(|serial| serial.parse().ok());
    serial.is_some_and(|serial| image.has_message(serial))
}
