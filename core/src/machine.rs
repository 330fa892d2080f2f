//! The broker as a whole: connections on one side, the engine on the other, and the outputs
//! between them and the adapter.

mod listing;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::amqp::{
    ChannelNumber, Connection, Content, Context, FailedLogins, Frame, Gated, OutFrame, ShortStr,
    WaitingChannels,
};
use crate::broker::{
    Delivery, Engine, FrontEnd, Hindrance, Message, Refusal, RefusalKind, SessionHandle,
};
use crate::entropy::Entropy;
use crate::log::{BatchNumber, Log, State};
use crate::slab::{Key, Slab};
use crate::time::Clock;
use crate::{
    Alarm, Boot, Command, CommandId, Config, ConnectionId, Decision, DelayedMessage, Done, Event,
    Input, Instant, Mark, MarkCounts, Occurrence, Output, Peer, QueueStatus, Turn,
};

/// Memory for this many outputs is kept when there are none.
const OUTPUTS_KEPT: usize = 1 << 16;

/// The broker. See the [crate's documentation](crate) for how to drive it.
#[derive(Debug)]
pub struct Broker {
    config: Config,
    failed_logins: FailedLogins,
    engine: Engine,
    connections: Slab<Slot>,
    /// How many there ever were.
    arrivals: u64,
    out: VecDeque<Output>,
    /// When which connection wants to be looked after; one entry per connection at the most. It
    /// may be early: what is due is found out when its time comes.
    timers: BTreeSet<(Instant, u32)>,
    /// Channels with confirms to send once the batch of inputs is worked off.
    unconfirmed: VecDeque<SessionHandle>,
    /// Who waits for which batch of the log.
    gated: VecDeque<(BatchNumber, Gated)>,
    /// Channels that wait until publishers may go on, and why they have to wait.
    parked: WaitingChannels,
    hindrance: Hindrance,
    /// Whether some of it has gone, and nobody went on since.
    is_eased: bool,
    /// What happened since the last input that no output tells of, in order.
    occurrences: Vec<Occurrence>,
    now: Instant,
    /// Commands whose turn is to come.
    commands: VecDeque<(CommandId, Command)>,
    /// The one that is not through.
    under_way: Option<UnderWay>,
    /// Why the broker stops, once it does.
    shutdown: Option<String>,
    is_halted: bool,
}

/// A command that was begun.
#[derive(Debug)]
struct UnderWay {
    id: CommandId,
    done: Done,
    /// What its answer rests on.
    gate: BatchNumber,
}

/// A connection and its entry among the timers.
#[derive(Debug)]
struct Slot {
    connection: Connection,
    /// How many had come before it.
    arrival: u64,
    timer: Option<Instant>,
}

impl Broker {
    /// A broker without a disk, that holds nothing but the predeclared exchanges. It keeps
    /// everything in memory, and what it promises holds for as long as it lives; for one that keeps
    /// its promises longer there is [`Recovery`](crate::Recovery).
    #[must_use]
    pub fn new(config: Config, boot: Boot) -> Self {
        let entropy = Entropy::new(boot.seed);
        let clock = Clock::new(boot.clock_origin_ms);
        let mut state = State::default();
        state.add_defaults(config.defaults.as_ref());
        let engine = Engine::recovered(entropy, &config, clock, Log::disabled(), state);
        Self::with_engine(config, engine)
    }

    /// A broker that has what was recovered from its disk. `next_op` is the first number for its
    /// requests to the disk.
    pub(crate) fn recovered(
        config: Config,
        boot: Boot,
        state: State,
        next_op: u64,
        marks: &MarkCounts,
    ) -> Self {
        let entropy = Entropy::new(boot.seed);
        let log = Log::recovered(&config, &state, next_op, marks);
        let clock = Clock::new(boot.clock_origin_ms);
        let engine = Engine::recovered(entropy, &config, clock, log, state);
        Self::with_engine(config, engine)
    }

    fn with_engine(config: Config, engine: Engine) -> Self {
        Self {
            failed_logins: FailedLogins::default(),
            engine,
            config,
            connections: Slab::new(),
            arrivals: 0,
            out: VecDeque::new(),
            timers: BTreeSet::new(),
            unconfirmed: VecDeque::new(),
            gated: VecDeque::new(),
            parked: WaitingChannels::default(),
            hindrance: Hindrance::default(),
            is_eased: false,
            occurrences: Vec::new(),
            now: Instant::default(),
            commands: VecDeque::new(),
            under_way: None,
            shutdown: None,
            is_halted: false,
        }
    }

    /// A client connected. From here on until [`Input::Closed`] or [`Output::Close`] the id is
    /// its.
    pub fn connect(&mut self, now: Instant, peer: Peer) -> ConnectionId {
        self.now = now;
        let key = self.connections.next_key();
        let id = ConnectionId { index: key.index, generation: key.generation };
        let from_outside = u64::from(!peer.is_inside);
        let connection = Connection::new(id, peer, &self.config, now);
        self.connections.insert(Slot { connection, arrival: self.arrivals, timer: None });
        self.arrivals += 1;
        self.engine.traffic.connections_opened += from_outside;
        if let Some(reason) = self.shutdown.clone() {
            self.with(id, |connection, ctx| connection.shut_down(&reason, ctx));
        }
        self.arm(id);
        id
    }

    /// Takes note of what happened. Never blocks, never fails; what is to be done about it comes
    /// from [`Self::poll_output`].
    ///
    /// `now` must not go back.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Frame(id, mut frame) => self.handle_frame(now, id, &mut frame),
            Input::Malformed(id, error) => self.take(now, |broker| {
                broker.with(id, |connection, ctx| connection.handle_malformed(&error, ctx));
            }),
            Input::Received(id) => self.take(now, |broker| {
                broker.with(id, |connection, ctx| connection.note_received(ctx.now));
            }),
            Input::EgressLen(id, len) => self.take(now, |broker| {
                broker.with(id, |connection, ctx| connection.set_egress_len(len, ctx));
            }),
            Input::Closed(id) => self.take(now, |broker| {
                broker.with(id, |connection, ctx| connection.handle_closed(ctx));
            }),
            Input::Disk(id, result) => self.take(now, |broker| {
                broker.engine.handle_disk(id, result);
                broker.release_gated();
            }),
            Input::DiskFree(free) => self.take(now, |broker| {
                broker.engine.log().set_free(free);
                if broker.hindrance.memory {
                    broker.engine.relieve_idle();
                }
            }),
            Input::Verified(id, is_right) => self.take(now, |broker| {
                broker.with(id, |connection, ctx| connection.handle_verified(is_right, ctx));
            }),
            Input::Command(id, command) => self.take(now, |broker| {
                broker.commands.push_back((id, *command));
                broker.administer();
            }),
            Input::Tick => self.tick(now),
            Input::Shutdown(reason) => self.take(now, |broker| broker.shut_down(reason)),
        }
    }

    /// Takes an input, of which this is what it means.
    fn take(&mut self, now: Instant, work: impl FnOnce(&mut Self)) {
        self.begin(now);
        self.engine.expire();
        work(self);
        self.end();
    }

    fn tick(&mut self, now: Instant) {
        self.begin(now);
        if self.under_way.is_some() {
            self.go_on();
            self.administer();
        }
        self.engine.expire();
        self.handle_time();
        self.time_out_deliveries();
        self.end();
    }

    /// The same as [`Self::handle`] with [`Input::Frame`], but that the frame, of which nothing is
    /// left, stays where it is: to move it is most of what a small one costs.
    pub fn handle_frame(&mut self, now: Instant, id: ConnectionId, frame: &mut Frame) {
        self.begin(now);
        let slot = self.connections.get_mut(Key::new(id.index, id.generation));
        // Two of the three frames of a small message only tell of the third.
        if slot.is_some_and(|slot| slot.connection.take_part(frame, self.hindrance, now)) {
            return;
        }
        self.engine.expire();
        self.with(id, |connection, ctx| connection.handle_frame(frame, ctx));
        self.end();
    }

    /// Takes a content whole. The same as [`Self::handle_frame`] with its frames, one after the
    /// other, and costs less.
    ///
    /// It may be that they have to be taken one by one: then nothing happens, and this is false.
    pub fn handle_content(
        &mut self,
        now: Instant,
        id: ConnectionId,
        content: &Content<'_>,
    ) -> bool {
        let slot = self.connections.get(Key::new(id.index, id.generation));
        let takes = |slot: &Slot| slot.connection.takes_contents(content.channel());
        if self.hindrance.any() || !slot.is_some_and(takes) {
            return false;
        }
        self.begin(now);
        self.engine.expire();
        self.engine.mark(Mark::ContentWhole);
        self.with(id, |connection, ctx| connection.handle_content(content, ctx));
        self.end();
        true
    }

    /// An input comes.
    fn begin(&mut self, now: Instant) {
        self.now = now;
        // What nobody asked for is not told any more. Mostly there is none, and to forget none
        // piece by piece was a twentieth of what a message costs.
        if !self.occurrences.is_empty() {
            self.occurrences = Vec::new();
        }
        if self.engine.has_news() {
            self.engine.forget_news();
        }
        self.engine.set_time(now);
    }

    /// What an input leads to.
    fn end(&mut self) {
        self.dispatch();
        self.update_hindrance();
        if core::mem::take(&mut self.is_eased) || !self.hindrance.any() {
            self.resume_parked();
        }
        if self.shutdown.is_some() && self.connections.len() == 0 {
            self.engine.log().close();
        }
    }

    /// Lets the engine do what the last input led to, and channels go on that asked for a message
    /// which is at hand now.
    fn dispatch(&mut self) {
        loop {
            let (connections, out) = (&mut self.connections, &mut self.out);
            self.engine.dispatch(self.now, &mut Clients { connections, out, now: self.now });
            let Some(session) = self.engine.next_getter() else {
                self.engine.expire();
                if self.engine.bury() {
                    continue;
                }
                return;
            };
            self.resume(session);
            // One that has published may have to be the last. That publishers need not wait any
            // more is for those to know first who wait already.
            if !self.hindrance.any() {
                self.update_hindrance();
            }
        }
    }

    /// Lets channels go on that waited with publishing, in their turn, as far as they may now.
    fn resume_parked(&mut self) {
        let mut turn = 0;
        while let Some((next, session)) = self.parked.first_from(turn) {
            turn = next + 1;
            let (index, number) = split(session);
            let slot = self.connections.at_mut(index);
            let channel = slot.and_then(|slot| slot.connection.channel(number));
            if channel.is_some_and(|(channel, _)| channel.is_held_up(self.hindrance)) {
                continue;
            }
            self.parked.remove(session);
            self.resume(session);
            self.dispatch();
            self.update_hindrance();
            if core::mem::take(&mut self.is_eased) {
                turn = 0;
            }
        }
    }

    /// Lets a channel go on with what waits on it.
    fn resume(&mut self, session: SessionHandle) {
        let (index, number) = split(session);
        let Some(key) = self.connections.key_at(index) else { return };
        let id = ConnectionId { index, generation: key.generation };
        let before = self.parked_on(session);
        loop {
            let mut is_left = false;
            self.with(id, |connection, ctx| is_left = connection.resume_channel(number, ctx));
            if !is_left {
                break;
            }
            let (connections, out) = (&mut self.connections, &mut self.out);
            self.engine.tell(&mut Clients { connections, out, now: self.now });
        }
        self.engine.mark(Mark::PublisherResumed);
        let left = self.parked_on(session);
        if left > 0 {
            self.engine.mark(Mark::ParkedAgain);
        }
        let frames = before.saturating_sub(left);
        self.note_departures();
        let turn = Turn { connection: id, channel: number, frames };
        self.occurrences.push(Occurrence::Turn(turn));
    }

    /// How many frames wait on a channel.
    fn parked_on(&mut self, session: SessionHandle) -> usize {
        let (index, number) = split(session);
        let slot = self.connections.at_mut(index);
        let channel = slot.and_then(|slot| slot.connection.channel(number));
        channel.map_or(0, |(channel, _)| channel.parked())
    }

    /// Finds out whether publishers have to wait.
    #[inline]
    fn update_hindrance(&mut self) {
        let now = self.engine.hindrance();
        if self.hindrance.any() || now.any() {
            self.change_hindrance(now);
        }
    }

    #[inline(never)]
    fn change_hindrance(&mut self, mut now: Hindrance) {
        let before = self.hindrance;
        // An alarm ends some way below where it began, so that it does not flutter.
        now.memory |= before.memory && !self.engine.has_memory_again();
        now.pace |= before.pace && !self.engine.has_pace_again();
        if now.pace {
            self.engine.urge_log();
        }
        if now == before {
            return;
        }
        for (mark, was_on, is_on) in [
            (Mark::MemoryAlarm, before.memory, now.memory),
            (Mark::DiskAlarm, before.disk, now.disk),
            (Mark::BehindDisk, before.pace, now.pace),
            (Mark::ShortOfReserve, before.reserve, now.reserve),
        ] {
            if is_on && !was_on {
                self.engine.mark(mark);
            }
        }
        self.hindrance = now;
        self.is_eased |= now | before != now;
        // Again each time that the disk has caught up with what was moved there.
        if now.memory && (!before.memory || before.pace && !now.pace) {
            self.engine.relieve();
        }
        for (alarm, was_on, is_on) in
            [(Alarm::Memory, before.memory, now.memory), (Alarm::Disk, before.disk, now.disk)]
        {
            let event = match (was_on, is_on) {
                (false, true) => Event::AlarmRaised(alarm),
                (true, false) => Event::AlarmCleared(alarm),
                _ => continue,
            };
            self.out.push_back(Output::Event(event));
        }
        if before.is_untold() && !now.is_untold() {
            // Who waits already has another reason to now.
            for session in self.parked.iter().collect::<Vec<_>>() {
                let (index, number) = split(session);
                let Some(key) = self.connections.key_at(index) else { continue };
                let id = ConnectionId { index, generation: key.generation };
                self.with(id, |connection, ctx| connection.tell_blocked(number, ctx));
            }
        }
        if !before.is_untold() && now.is_untold() {
            let blocked = self.connections.iter().map(|(key, _)| key);
            for key in blocked.collect::<Vec<_>>() {
                let id = ConnectionId { index: key.index, generation: key.generation };
                self.with(id, |connection, ctx| connection.tell_unblocked(ctx));
            }
        }
    }

    /// Carries out commands in turn, up to one that takes longer.
    fn administer(&mut self) {
        while self.under_way.is_none()
            && let Some((id, command)) = self.commands.pop_front()
        {
            self.engine.decide(Decision::CommandBegun(id));
            let result = match command {
                _ if self.shutdown.is_some() => Err(Refusal::stopping()),
                Command::CloseConnection { connection, reason } => {
                    self.close_connection(connection, &reason)
                }
                command => self.engine.administer(command),
            };
            let gate = self.engine.take_gate();
            self.evict();
            match result {
                Ok(done) => {
                    self.under_way = Some(UnderWay { id, done, gate });
                    self.go_on();
                }
                Err(refusal) => {
                    self.engine.mark(Mark::CommandRefused);
                    self.out.push_back(Output::Answered(id, Err(refusal)));
                }
            }
        }
    }

    /// Closes a connection for somebody who may.
    fn close_connection(&mut self, id: ConnectionId, reason: &str) -> Result<Done, Refusal> {
        if self.connections.get(Key::new(id.index, id.generation)).is_none() {
            return Err(Refusal::new(RefusalKind::NotFound, "Connection does not exist"));
        }
        self.with(id, |connection, ctx| connection.shut_down(reason, ctx));
        Ok(Done::Deleted)
    }

    /// Closes the connections that have to go for what a command began.
    fn evict(&mut self) {
        for eviction in self.engine.take_evictions() {
            let ids: Vec<_> = self
                .connections
                .iter()
                .filter(|(_, slot)| slot.connection.is_meant_by(&eviction))
                .map(|(key, _)| ConnectionId { index: key.index, generation: key.generation })
                .collect();
            for id in ids {
                self.engine.mark(Mark::ConnectionEvicted);
                self.with(id, |connection, ctx| connection.shut_down(&eviction.reason(), ctx));
            }
        }
    }

    /// The command that is under way goes on. When it is through, its answer waits only until what
    /// it changed is durable.
    fn go_on(&mut self) {
        let Some(UnderWay { id, done, gate }) = self.under_way.take_if(|_| self.engine.go_on())
        else {
            return;
        };
        self.engine.decide(Decision::CommandThrough(id));
        if gate > self.engine.durable() {
            self.engine.mark(Mark::CommandGated);
            self.engine.urge_log();
            self.gated.push_back((gate, Gated::Command(id, done)));
        } else {
            self.out.push_back(Output::Answered(id, Ok(done)));
        }
    }

    /// Those who waited for batches that are durable now wait no more.
    fn release_gated(&mut self) {
        let durable = self.engine.durable();
        let mut released = 0;
        while self.gated.front().is_some_and(|(gate, _)| *gate <= durable) {
            let Some((_, gated)) = self.gated.pop_front() else { break };
            released += 1;
            match gated {
                Gated::Confirms(session) => self.unconfirmed.push_back(session),
                Gated::Command(id, done) => self.out.push_back(Output::Answered(id, Ok(done))),
                Gated::Frames(id) => self.with(id, |connection, ctx| connection.release_held(ctx)),
            }
        }
        self.engine.log().note_waiters(released);
    }

    /// The next thing to be done; `None` when all is done. To be called after each batch of
    /// inputs: confirms of one batch are sent as one, and what those inputs changed is one batch of
    /// the log, of which a crash leaves all or nothing; but for what takes more than one turn.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.is_halted {
            return None;
        }
        if self.out.is_empty() {
            self.end_batch();
        }
        if let Some(reason) = self.engine.log().halted() {
            self.is_halted = true;
            return Some(Output::Halt(reason.into()));
        }
        if let Some(Output::PauseReading(_)) = self.out.front() {
            self.engine.mark(Mark::ReadingStopped);
        }
        self.out.pop_front()
    }

    /// Nothing is left of what a batch of inputs led to at once: the log is written, and confirms
    /// are sent.
    #[inline(never)]
    fn end_batch(&mut self) {
        self.write_log();
        self.flush_confirms();
        if self.out.is_empty() && self.out.capacity() > OUTPUTS_KEPT {
            self.out = VecDeque::new();
        }
    }

    /// Takes back a frame that was sent or encoded: its memory is used for what comes next. Costs
    /// less than to drop it, and changes nothing else.
    pub fn take_back(&mut self, frame: OutFrame) {
        match frame {
            OutFrame::Deliver(_, deliver) => self.engine.pool.take_back(deliver.message),
            OutFrame::GetOk(_, get_ok) => self.engine.pool.take_back(get_ok.message),
            OutFrame::Return(_, _, message) => self.engine.pool.take_back(message),
            OutFrame::Method(..) | OutFrame::ProtocolHeader(_) | OutFrame::Heartbeat => {}
        }
    }

    /// Hands the disk what it is to do.
    fn write_log(&mut self) {
        let durable = self.engine.durable();
        self.engine.write_log(self.now);
        if self.engine.durable() != durable {
            self.release_gated();
            self.dispatch();
        }
        while let Some(request) = self.engine.log().poll_request() {
            self.out.push_back(Output::Disk(request));
        }
        self.out.extend(self.engine.take_events().into_iter().map(Output::Event));
        for complaint in self.engine.log().take_complaints() {
            self.out.push_back(Output::Event(Event::DiskError(complaint)));
        }
    }

    /// The number of the log's batch that gathers, and of the last one that is durable: what an
    /// input changed is durable once the first, as it was then, is not above the second. For
    /// checkers and metrics.
    #[must_use]
    pub fn log_position(&self) -> (u64, u64) {
        self.engine.log_position()
    }

    /// Which branches were reached since it was started, its recovery among them, and how often.
    /// For tests.
    #[must_use]
    pub fn marks(&self) -> MarkCounts {
        self.engine.marks()
    }

    /// How many bytes messages take in memory, about.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.engine.memory()
    }

    /// Whether [`Self::parked`], [`Self::take_occurrences`] or [`Self::take_decisions`] has
    /// anything to tell: mostly none has. For checkers.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.occurrences.is_empty()
            || self.engine.has_news()
            || self.connections.iter().any(|(_, slot)| slot.connection.parked().next().is_some())
    }

    /// How many frames of which channels wait, because publishers have to or a message is being
    /// read. For checkers.
    #[must_use]
    pub fn parked(&self) -> Vec<(ConnectionId, ChannelNumber, usize)> {
        let mut parked = Vec::new();
        for (key, slot) in self.connections.iter() {
            let id = ConnectionId { index: key.index, generation: key.generation };
            parked.extend(slot.connection.parked().map(|(number, frames)| (id, number, frames)));
        }
        parked
    }

    /// What happened since the last input that no output tells of, in order; each is told once. For
    /// checkers.
    pub fn take_occurrences(&mut self) -> Vec<Occurrence> {
        self.note_departures();
        core::mem::take(&mut self.occurrences)
    }

    fn note_departures(&mut self) {
        let departures = self.engine.take_departures().into_iter();
        self.occurrences.extend(departures.map(Occurrence::Departure));
    }

    /// What was decided since the last input where there was a choice, in order; each is told once.
    /// For checkers.
    pub fn take_decisions(&mut self) -> Vec<Decision> {
        self.engine.take_decisions()
    }

    /// When [`Input::Tick`] is wanted at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(when, _)| *when);
        let others = self.engine.log_deadline().into_iter().chain(self.engine.ack_deadline());
        let others = others.chain(self.engine.next_expiry());
        // A command goes on with the next tick.
        let at_once = self.under_way.as_ref().map(|_| Instant::default());
        timer.into_iter().chain(others).chain(at_once).min()
    }

    /// Every queue's state, sorted by virtual host and name.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueStatus> {
        self.engine.queue_statuses()
    }

    /// The state of one queue, and `None` if there is none of this name.
    #[must_use]
    pub fn queue(&self, vhost: &str, name: &[u8]) -> Option<QueueStatus> {
        let vhost = self.engine.vhost(&ShortStr::from(vhost))?;
        self.engine.queue_status(vhost, name)
    }

    /// How many queues there are.
    #[must_use]
    pub fn queues_len(&self) -> usize {
        self.engine.queues_len()
    }

    /// Whether something is left of a virtual host that was deleted: it goes bit by bit.
    #[must_use]
    pub fn is_emptying_vhost(&self) -> bool {
        self.engine.is_emptying_vhost()
    }

    /// The account of each virtual host's delayed messages: `ready` are those that wait for their
    /// time, `expired` those whose time has come, `purged` those that were taken back, and
    /// `lost_letters` those that no queue took then. For metrics and checkers.
    #[must_use]
    pub fn delays(&self) -> Vec<QueueStatus> {
        self.engine.delay_statuses()
    }

    /// Up to `limit` of a virtual host's delayed messages in the order of their times: the first,
    /// or those behind one that was listed before. Costs as much as it gives.
    #[must_use]
    pub fn delayed(
        &self,
        vhost: &str,
        after: Option<DelayedMessage>,
        limit: usize,
    ) -> Vec<DelayedMessage> {
        let vhost = self.engine.vhost(&ShortStr::from(vhost));
        vhost.map(|vhost| self.engine.delayed(vhost, after, limit)).unwrap_or_default()
    }

    /// Takes back a delayed message, by its `id`. Whether it was still waiting for its time; if not
    /// it is gone, or on its way. What is to be done follows from [`Self::poll_output`].
    pub fn cancel_delayed(&mut self, now: Instant, vhost: &str, id: u64) -> bool {
        self.now = now;
        self.engine.set_time(now);
        let vhost = self.engine.vhost(&ShortStr::from(vhost));
        vhost.is_some_and(|vhost| self.engine.cancel_delayed(vhost, id))
    }

    /// Whether nothing is to be read from this client, see [`Output::PauseReading`]. To be asked
    /// before each further frame of a batch, so that one read asks for no more than has room.
    #[must_use]
    pub fn is_paused(&self, id: ConnectionId) -> bool {
        let slot = self.connections.get(Key::new(id.index, id.generation));
        slot.is_some_and(|slot| slot.connection.is_paused())
    }

    /// Whether it was told to stop and has: no connection is left, and all is on disk.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let has_clients = self.connections.len() > 0;
        self.shutdown.is_some() && !has_clients && self.engine.is_log_closed()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Lets a connection do something, if it is still there.
    fn with(&mut self, id: ConnectionId, work: impl FnOnce(&mut Connection, &mut Context<'_>)) {
        let key = Key::new(id.index, id.generation);
        let Some(slot) = self.connections.get_mut(key) else { return };
        let mut ctx = Context {
            engine: &mut self.engine,
            out: &mut self.out,
            config: &self.config,
            unconfirmed: &mut self.unconfirmed,
            gated: &mut self.gated,
            parked: &mut self.parked,
            failed_logins: &mut self.failed_logins,
            hindrance: self.hindrance,
            now: self.now,
        };
        work(&mut slot.connection, &mut ctx);
        // Its timer is looked at when it comes; but a connection that was given less time, or more
        // time for the first time, is entered anew.
        let deadline = slot.connection.deadline();
        let is_early_enough = match (slot.timer, deadline) {
            (Some(timer), Some(deadline)) => timer <= deadline,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if slot.connection.is_gone() {
            self.forget(key);
        } else if !is_early_enough {
            self.arm(id);
        }
    }

    /// Enters a connection's deadline among the timers.
    fn arm(&mut self, id: ConnectionId) {
        let Some(slot) = self.connections.get_mut(Key::new(id.index, id.generation)) else {
            return;
        };
        if let Some(timer) = slot.timer.take() {
            self.timers.remove(&(timer, id.index));
        }
        slot.timer = slot.connection.deadline();
        self.timers.extend(slot.timer.map(|timer| (timer, id.index)));
    }

    fn forget(&mut self, key: Key<Slot>) {
        let Some(mut slot) = self.connections.remove(key) else { return };
        if let Some(timer) = slot.timer {
            self.timers.remove(&(timer, key.index));
        }
        let from_outside = !slot.connection.link().peer.is_inside;
        self.engine.traffic.connections_closed += u64::from(from_outside);
        // Its place in the queue is not for the next connection of this index.
        self.parked.remove_all_of(key.index);
    }

    fn handle_time(&mut self) {
        // Each once, even if it were to be entered at this same moment again.
        for _ in 0..self.timers.len() {
            let Some((when, index)) = self.timers.first().copied() else { return };
            if when > self.now {
                return;
            }
            self.timers.pop_first();
            let Some(key) = self.connections.key_at(index) else { continue };
            let id = ConnectionId { index, generation: key.generation };
            if let Some(slot) = self.connections.get_mut(key) {
                slot.timer = None;
            }
            self.with(id, |connection, ctx| connection.handle_time(ctx));
        }
    }

    /// Takes deliveries back that were not acknowledged in time.
    fn time_out_deliveries(&mut self) {
        while let Some(session) = self.engine.next_overdue(self.now) {
            let (index, number) = split(session);
            let Some(key) = self.connections.key_at(index) else { continue };
            let id = ConnectionId { index, generation: key.generation };
            self.note_departures();
            self.occurrences.push(Occurrence::TimedOut(id, number));
            self.with(id, |connection, ctx| connection.time_out_deliveries(number, ctx));
        }
    }

    /// Ends all connections in the order in which they came, and so gives back what they hold: a
    /// queue's messages may die of it, one after the other.
    fn shut_down(&mut self, reason: String) {
        let mut ids: Vec<_> = self
            .connections
            .iter()
            .map(|(key, slot)| {
                let id = ConnectionId { index: key.index, generation: key.generation };
                (slot.arrival, id)
            })
            .collect();
        ids.sort_unstable_by_key(|(arrival, _)| *arrival);
        for (_, id) in ids {
            self.with(id, |connection, ctx| connection.shut_down(&reason, ctx));
        }
        self.shutdown = Some(reason);
        // There is nobody left to keep waiting; the log closes when the last client is gone.
        while self.under_way.is_some() {
            self.go_on();
        }
        self.administer();
    }

    fn flush_confirms(&mut self) {
        while let Some(handle) = self.unconfirmed.pop_front() {
            let mut ctx = Context {
                engine: &mut self.engine,
                out: &mut self.out,
                config: &self.config,
                unconfirmed: &mut VecDeque::new(),
                gated: &mut self.gated,
                parked: &mut self.parked,
                failed_logins: &mut self.failed_logins,
                hindrance: self.hindrance,
                now: self.now,
            };
            let (index, number) = split(handle);
            if let Some(slot) = self.connections.at_mut(index)
                && let Some((channel, link)) = slot.connection.channel(number)
            {
                channel.flush_confirms(link, &mut ctx);
            }
        }
    }
}

/// The clients, as the engine sees them.
struct Clients<'a> {
    connections: &'a mut Slab<Slot>,
    out: &'a mut VecDeque<Output>,
    now: Instant,
}

impl FrontEnd for Clients<'_> {
    fn has_room(&mut self, session: SessionHandle) -> bool {
        let (index, number) = split(session);
        let slot = self.connections.at_mut(index).expect("a session's connection is there");
        let link = slot.connection.link();
        !link.holds_deliveries(number) && link.has_room()
    }

    #[inline]
    fn deliver(&mut self, session: SessionHandle, delivery: Delivery) {
        let (index, number) = split(session);
        let slot = self.connections.at_mut(index).expect("a session's connection is there");
        let (channel, link) =
            slot.connection.channel_served(number).expect("a session's channel is open");
        channel.deliver(delivery, link, self.out, self.now);
    }

    fn reply(&mut self, session: SessionHandle, message: Arc<Message>) -> bool {
        let (index, number) = split(session);
        let slot = self.connections.at_mut(index);
        let channel = slot.and_then(|slot| slot.connection.channel(number));
        channel
            .is_some_and(|(channel, link)| channel.deliver_reply(message, link, self.out, self.now))
    }

    fn cancelled(&mut self, session: SessionHandle, tag: &ShortStr) {
        let (index, number) = split(session);
        if let Some(slot) = self.connections.at_mut(index)
            && let Some((channel, link)) = slot.connection.channel(number)
        {
            channel.consumer_cancelled(tag, link, self.out, self.now);
        }
    }
}

/// The connection's index and the channel's number that a handle stands for.
fn split(handle: SessionHandle) -> (u32, ChannelNumber) {
    ((handle.0 >> 16) as u32, handle.0 as u16)
}
