//! What outlives the broker's process.
//!
//! The broker writes what happens in numbered batches, one after the other. Whatever happens while
//! batch `n` gathers becomes part of it, all or nothing. So after a restart the broker's state is
//! the one it had after one of its batches: the last that reached the disk, and certainly none
//! before those it has promised to keep. The model keeps the state after each batch that is not
//! known to be durable, and takes it up again.

use std::collections::BTreeMap;

use super::connection::Stage;
use super::duplicates::Memory;
use super::policies::Policies;
use super::{
    Access, Binding, Copy, Destination, Exchange, Expected, Fate, Mode, Model, Queue, QueueId,
    ROOT, Together, tallies, topology,
};

/// How far a broker's log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The batch that gathers.
    pub next: u64,
    /// The last that is durable, with all before it.
    pub durable: u64,
}

/// What a process found when it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where its log goes on.
    pub position: Position,
    /// What was left of the log.
    pub remains: Remains,
    /// Whether something is wrong with the disk that is beyond all promises: then no more than what
    /// is left can be asked for.
    pub is_in_doubt: bool,
}

/// What is left of a log, by the numbers of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// The last that is whole, with all before it.
    pub whole: u64,
    /// The last of which something that is whole says that it was durable.
    pub shown: u64,
}

/// What a reply promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// It rests on this batch.
    pub batch: u64,
    /// Messages that are to be on disk.
    pub messages: Vec<usize>,
    /// The queue or exchange that is to be on disk, and the batch it was declared in.
    pub name: Option<(String, u64)>,
}

/// What a broker has after a start.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    exchanges: BTreeMap<String, Exchange>,
    bindings: Vec<Binding>,
    queues: BTreeMap<QueueId, Queue>,
    policies: Policies,
    access: Access,
    seen: Memory,
}

/// So many batches before the last durable one are kept: a disk that loses a sector loses no more
/// than that without a trace.
const KEPT: u64 = 16;

/// What of the past may come back.
#[derive(Debug, Default)]
pub struct History {
    /// The batch that what happens now belongs to.
    pub batch: u64,
    /// The last batch that is durable.
    pub durable: u64,
    /// The last batch that something was promised for.
    pub promised: u64,
    /// What transactions brought, by the batch of their commit, as long as that is not durable.
    pub commits: Vec<(u64, Together)>,
    /// Queues and exchanges that were declared since the start: in which batch, and how often their
    /// name was on the disk before.
    pub names: BTreeMap<(String, u64), Option<usize>>,
    /// By the last batch that each contains.
    states: BTreeMap<u64, Durable>,
    /// Whether nothing of the past is forgotten.
    is_kept: bool,
}

impl Model {
    /// The broker's log is so far; what it is told from now on belongs to the batch that gathers.
    pub fn enter(&mut self, position: Position) {
        if position.next > self.history.batch {
            let state = self.durable();
            self.history.states.insert(position.next - 1, state);
            self.history.batch = position.next;
        }
        if position.durable > self.history.durable {
            self.history.durable = position.durable;
            self.history.commits.retain(|(batch, _)| *batch > position.durable);
            if !self.history.is_kept {
                let first = position.durable.saturating_sub(KEPT);
                self.history.states = self.history.states.split_off(&first);
            }
        }
    }

    /// From now on nothing of the past is forgotten: anything may be lost.
    pub fn keep_history(&mut self) {
        self.history.is_kept = true;
    }

    /// All that lasts is lost.
    pub fn lose_disk(&mut self) {
        self.history = History::default();
        self.history.states.insert(0, self.beginning());
    }

    /// What a broker has that finds nothing.
    fn beginning(&self) -> Durable {
        Durable { exchanges: topology::predeclared(ROOT).collect(), ..Durable::default() }
    }

    /// The process is gone. If it was `done`, nothing that happened may be forgotten.
    pub fn end(&mut self, is_done: bool) {
        let state = self.durable();
        let last = if is_done { u64::MAX } else { self.history.batch };
        if is_done && !self.history.is_kept {
            self.history.states.clear();
        }
        self.history.states.insert(last, state);
        for connection in self.connections.values_mut() {
            connection.stage = Stage::Gone;
            connection.replies.clear();
            connection.channels.clear();
        }
        self.living.clear();
        self.consumers.clear();
        self.gone = tallies::Gone::default();
        self.recent.clear();
        self.is_history_short = false;
        self.choices.forget();
        self.forget_waiting();
        self.answers.clear();
        self.wishes.clear();
        self.under_way = None;
        self.alarms.clear();
        self.disk_free = None;
        self.is_stopped = false;
    }

    /// Another process is there. Its state is the one after the last batch that is left of the log:
    /// the last that was durable, or the one that was being written, if the disk has it whole.
    /// Whether something that was durable is lost, as only happens if the disk is in doubt.
    ///
    /// # Errors
    /// When the log ends too early.
    pub fn restart(&mut self, found: Found) -> Result<bool, String> {
        let Found { position, remains: Remains { whole, shown }, is_in_doubt } = found;
        let recovered = position.next.saturating_sub(1);
        let History { durable, promised, .. } = self.history;
        if !is_in_doubt && recovered.max(durable) < promised {
            return Err(format!(
                "the log ends with batch {recovered}, and {promised} was promised"
            ));
        }
        if is_in_doubt && (recovered < whole || whole < shown) {
            return Err(format!(
                "the log ends with batch {recovered}; up to {whole} it is whole, and something \
                 shows that there was {shown}"
            ));
        }
        let is_lost = is_in_doubt && whole < durable;
        let last = if is_in_doubt { whole } else { whole.max(durable) };
        let is_beginning = is_in_doubt && whole == 0;
        let mut state =
            if is_beginning { self.beginning() } else { self.state_after(last).clone() };
        state.queues.values_mut().for_each(|queue| queue.is_vague |= is_in_doubt);
        if is_lost {
            // Nor is it known any more what was delivered.
            self.messages.iter_mut().for_each(|message| message.fates.forget_deliveries());
        }
        self.go_on(position, state);
        Ok(is_lost)
    }

    /// The state after the last batch of the log is this. What a disk has lied about may still be
    /// lost, even if it has lost something before: then the past is kept.
    fn go_on(&mut self, position: Position, state: Durable) {
        let recovered = position.next.saturating_sub(1);
        let History { is_kept, states, .. } = std::mem::take(&mut self.history);
        let mut past = if is_kept { states } else { BTreeMap::new() };
        past.split_off(&recovered);
        past.insert(recovered, state.clone());
        self.history = History {
            batch: position.next,
            durable: recovered,
            states: past,
            is_kept,
            ..History::default()
        };
        self.take_up(state);
    }

    fn state_after(&self, batch: u64) -> &Durable {
        let state = self.history.states.range(batch..).next();
        state.map(|(_, state)| state).expect("the state after the last batch is kept")
    }

    /// What would be left, were all that happened so far on disk.
    fn durable(&self) -> Durable {
        let exchanges = self.exchanges.iter().filter(|(_, exchange)| exchange.is_durable);
        let exchanges: BTreeMap<_, _> =
            exchanges.map(|(name, exchange)| (name.clone(), exchange.clone())).collect();
        let bindings = self.bindings.iter().filter(|binding| self.is_durable(binding));
        let kept = |queue: QueueId, copy: &Copy| {
            let queue = self.queues.get(&queue);
            queue.is_some_and(|queue| queue.keeps(&self.messages[copy.message]))
        };
        let mut queues = BTreeMap::new();
        for queue in self.queues.values().filter(|queue| queue.is_durable) {
            let mut left = queue.recovered();
            let dying = queue.dying.iter().chain(&queue.kept).map(|(copy, _)| copy);
            let all = queue.ready.iter().chain(dying);
            left.ready = all.filter(|copy| kept(queue.id, copy)).copied().collect();
            queues.insert(queue.id, left);
        }
        for channel in self.connections.values().flat_map(|c| c.channels.values()) {
            let uncommitted = match &channel.mode {
                Mode::Tx { settles, .. } => settles.as_slice(),
                _ => &[],
            };
            let held = channel.unacked.values();
            let held = held.chain(uncommitted.iter().map(|(_, unacked, _)| unacked));
            for unacked in held.filter(|unacked| kept(unacked.queue, &unacked.copy)) {
                if let Some(queue) = queues.get_mut(&unacked.queue) {
                    queue.ready.push(unacked.copy);
                }
            }
        }
        for queue in queues.values_mut() {
            queue.ready.sort_by_key(Copy::place);
        }
        let policies = self.policies.clone();
        let seen = self.durable_memory();
        let (bindings, access) = (bindings.cloned().collect(), self.access.clone());
        Durable { exchanges, bindings, queues, policies, access, seen }
    }

    /// Whether the binding outlives the process: both its ends do.
    pub(super) fn is_durable(&self, binding: &Binding) -> bool {
        let is_durable = |name: &str| self.exchanges.get(name).is_some_and(|x| x.is_durable);
        is_durable(&binding.source)
            && match &binding.destination {
                Destination::Queue(queue) => {
                    self.queues.get(queue).is_some_and(|queue| queue.is_durable)
                }
                Destination::Exchange(name) => is_durable(name),
            }
    }

    fn take_up(&mut self, state: Durable) {
        let Durable { mut exchanges, bindings, mut queues, policies, access, seen } = state;
        (self.policies, self.access, self.seen) = (policies, access, seen);
        self.access.add_defaults();
        for queue in queues.values_mut() {
            queue.policy = self.policy_of(queue);
            let tells_returns = queue.tells_returns();
            queue.ready.iter_mut().for_each(|copy| copy.tells_returns = tells_returns);
        }
        for (name, exchange) in &mut exchanges {
            exchange.alternate_by_policy = self.alternate_by(name);
        }
        for message in self.messages.iter_mut() {
            for (id, fate) in message.fates.iter_mut() {
                *fate = match (*fate, queues.get(&id)) {
                    (Fate::Ready | Fate::Held | Fate::Dying | Fate::Uncommitted, None) => {
                        Fate::Dropped
                    }
                    (Fate::Ready | Fate::Held | Fate::Dying | Fate::Uncommitted, Some(_)) => {
                        Fate::Forgotten
                    }
                    (fate, _) => fate,
                };
            }
        }
        for (id, queue) in &mut queues {
            queue.enqueued = queue.ready.len() as u64;
            for copy in &mut queue.ready {
                let message = &mut self.messages[copy.message];
                message.fates.insert(*id, Fate::Ready);
                copy.was_delivered = message.fates.was_delivered(*id);
                copy.is_recovered = true;
            }
        }
        self.sleeping = queues.keys().copied().collect();
        (self.exchanges, self.bindings, self.queues) = (exchanges, bindings, queues);
    }

    /// A reply that promises that what has changed stays so.
    pub(super) fn promise(&self, reply: Expected, name: Option<&str>) -> Expected {
        let name = name.map(|name| (name.to_owned(), self.history.batch));
        let promise = Promise { batch: self.history.batch, messages: Vec::new(), name };
        Expected::Promise(Box::new(reply), promise)
    }

    /// The broker gave this promise.
    pub fn note_promise(&mut self, promise: &Promise) {
        self.history.promised = self.history.promised.max(promise.batch);
    }

    /// A start rests on messages that a sync lied about: those are known that the platter has not,
    /// which the broker may take for safe until it comes to read them.
    pub fn note_lost(&mut self, is_on_disk: impl Fn(&str) -> bool) {
        let found = self.queues.values().flat_map(|queue| &queue.ready).map(|copy| copy.message);
        let lost = found.filter(|message| !is_on_disk(&self.messages[*message].name));
        self.lost.extend(lost);
    }

    /// Whether the message must be on disk before anybody is told that it is safe: a
    /// durable queue has it and is not done with it, and it is persistent or delayed.
    #[must_use]
    pub fn must_be_on_disk(&self, message: usize) -> bool {
        if self.lost.contains(&message) {
            return false;
        }
        let message = &self.messages[message];
        let mut fates = message.fates.iter();
        fates.any(|(queue, fate)| {
            matches!(fate, Fate::Ready | Fate::Held | Fate::Dying)
                && self.queues.get(&queue).is_some_and(|queue| queue.keeps(message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fates, Message};
    use crate::plan::Setup;
    use crate::wire::{Argument, Properties, Table};

    const QUEUE: QueueId = QueueId(1);

    /// A model with a durable queue `q`, bound to two exchanges of which one is durable.
    fn model() -> Model {
        let mut model = Model::new(&Setup::default());
        let mut queue = Queue::new(QUEUE, "q".into());
        queue.is_durable = true;
        model.queues.insert(QUEUE, queue);
        model.queues.insert(QueueId(2), Queue::new(QueueId(2), "transient".into()));
        let mut transient = model.exchanges["amq.direct"].clone();
        transient.is_durable = false;
        model.exchanges.insert("x".into(), transient);
        for source in ["x", "amq.direct"] {
            model.bindings.push(Binding {
                source: source.into(),
                destination: Destination::Queue(QUEUE),
                key: "k".into(),
                arguments: Table::new(),
            });
        }
        model
    }

    fn publish(model: &mut Model, is_persistent: bool) -> usize {
        let mut properties = Properties::default();
        if is_persistent {
            properties.set("delivery-mode", Argument::Number(2));
        }
        let index = model.messages.len();
        let mut fates = Fates::default();
        fates.insert(QUEUE, Fate::Ready);
        model.messages.push(Message {
            index,
            name: format!("m{index}").into(),
            exchange: "".into(),
            key: "q".into(),
            properties,
            body: Vec::new(),
            is_mandatory: false,
            channel: (1, 1),
            sequence: None,
            reply_consumer: None,
            fates,
            batch: model.history.batch,
            histories: Vec::new(),
            deaths: Vec::new(),
            vhost: "/".into(),
            firsts: Vec::new(),
        });
        model.queues.get_mut(&QUEUE).unwrap().enqueue(index, 0, None);
        index
    }

    fn ready(model: &Model) -> Vec<usize> {
        model.queues[&QUEUE].ready.iter().map(|copy| copy.message).collect()
    }

    fn at(next: u64, durable: u64) -> Position {
        Position { next, durable }
    }

    fn found(position: Position, whole: u64) -> Found {
        Found { position, remains: Remains { whole, shown: whole }, is_in_doubt: false }
    }

    #[test]
    fn what_is_transient_is_gone_and_what_is_durable_is_there() {
        let mut model = model();
        model.enter(at(1, 0));
        publish(&mut model, true);
        publish(&mut model, false);
        model.end(true);
        assert_eq!(model.restart(found(at(2, 1), 1)), Ok(false));
        assert_eq!(ready(&model), [0]);
        assert_eq!(model.queues.len(), 1);
        assert_eq!(model.bindings.len(), 1);
        assert!(!model.exchanges.contains_key("x"));
        assert_eq!(model.messages[1].fates.get(QUEUE), Some(Fate::Forgotten));
    }

    #[test]
    fn the_state_is_that_after_the_batch_with_which_the_log_ends() {
        for (whole, left) in [(1, vec![0]), (2, vec![0, 1])] {
            let mut model = model();
            model.enter(at(1, 0));
            publish(&mut model, true);
            model.enter(at(2, 1));
            publish(&mut model, true);
            model.enter(at(3, 1));
            model.queues.get_mut(&QUEUE).unwrap().ready.remove(0);
            model.messages[0].fates.insert(QUEUE, Fate::Acked);
            model.end(false);
            assert_eq!(model.restart(found(at(3, 2), whole)), Ok(false));
            assert_eq!(ready(&model), left);
            assert_eq!(model.messages[0].fates.get(QUEUE), Some(Fate::Ready));
        }
    }

    #[test]
    fn a_log_that_ends_before_what_was_promised_fails() {
        let ended = || {
            let mut model = model();
            model.enter(at(3, 1));
            let Expected::Promise(_, promise) = model.promise(Expected::Tune, None) else {
                panic!("a promise");
            };
            model.note_promise(&promise);
            model.end(false);
            model
        };
        assert!(ended().restart(found(at(3, 2), 2)).is_err());
        assert_eq!(ended().restart(found(at(4, 3), 3)), Ok(false));
    }

    #[test]
    fn what_was_delivered_once_stays_so_through_restarts() {
        let mut model = model();
        model.enter(at(1, 0));
        let message = publish(&mut model, true);
        model.messages[message].fates.deliver(QUEUE, Fate::Held);
        model.end(true);
        assert_eq!(model.restart(found(at(2, 1), 1)), Ok(false));
        assert!(model.queues[&QUEUE].ready[0].was_delivered);
    }

    /// A model whose broker wrote three batches with a message each, all durable, and is gone.
    fn ended_with_three() -> Model {
        let mut model = model();
        for batch in 1..4 {
            model.enter(at(batch, batch - 1));
            publish(&mut model, true);
        }
        model.enter(at(4, 3));
        model.end(false);
        model
    }

    fn left(next: u64, whole: u64, shown: u64) -> Found {
        let position = at(next, next - 1);
        Found { position, remains: Remains { whole, shown }, is_in_doubt: true }
    }

    #[test]
    fn what_a_disk_loses_without_a_trace_is_missing_and_no_more() {
        for (whole, messages) in [(1, vec![0]), (2, vec![0, 1]), (3, vec![0, 1, 2])] {
            let mut model = ended_with_three();
            assert_eq!(model.restart(left(whole + 1, whole, 1)), Ok(whole < 3));
            assert_eq!(ready(&model), messages);
        }
        assert!(ended_with_three().restart(left(2, 1, 2)).is_err());
        assert!(ended_with_three().restart(left(2, 2, 1)).is_err());
    }

    #[test]
    fn a_disk_of_which_nothing_is_left_holds_nothing() {
        let mut model = ended_with_three();
        assert_eq!(model.restart(left(1, 0, 0)), Ok(true));
        assert!(model.queues.is_empty());
    }

    #[test]
    fn an_empty_disk_holds_nothing() {
        let mut model = ended_with_three();
        model.lose_disk();
        assert_eq!(model.restart(found(at(1, 0), 0)), Ok(false));
        assert!(model.queues.is_empty() && model.bindings.is_empty());
        assert_eq!(model.exchanges.len(), Model::new(&Setup::default()).exchanges.len());
    }
}
