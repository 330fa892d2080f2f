//! The life of the broker's process: it starts by recovery, has requests carried out by the disk,
//! and ends by a crash, a halt, or because it was told to stop.

use warren_core::amqp::{Frame, Method};
use warren_core::{
    Boot, Broker, CommandId, Config, DiskMachine, DiskRequest, Input, Instant, MarkCounts,
    QueueStatus, Recovery, RecoveryOutput,
};

use super::Host;
use super::damage::drive;
use super::hearing::Heard;
use crate::checkers::{Failure, disk, recovery};
use crate::judge::{DiskState, Found, Judge, Position, Said, Told};
use crate::meter::in_core;
use crate::model::CLOCK_ORIGIN_MS;
use crate::plan::Step;
use crate::tally::Tally;
use crate::world::disk::{Crash, Disk, Done, Failing, Image};
use crate::world::tamper::Fault;
use crate::world::{command, intervention};

/// A process that is away for so long is away for long.
const OUTAGE_NS: u64 = 30_000_000_000;
/// More requests than this for one recovery, or in one second, and they do not end.
const REQUESTS_MAX: u64 = 100_000;

/// More timers than this in one second, and the broker spins.
const TICKS_MAX: u64 = 2000;
/// How soon the timer of a broker that never rests is due again.
const RESTLESS_NS: u64 = 100_000;

impl Host {
    /// The time has come that the broker wanted to be told of.
    pub(super) fn tick(&mut self, now: u64, judge: &mut Judge) -> Result<(), Failure> {
        self.ticked_at = now;
        // A policy comes to as many queues as there are; that it comes to an end is looked at.
        if !judge.model.is_policing() {
            self.ticks.check(now, TICKS_MAX, || "a timer is due".to_owned())?;
        }
        self.batch.push(Heard::new(Some(Input::Tick), Told::Tick));
        self.flush(now, judge)
    }

    /// Whether the broker serves clients.
    #[must_use]
    pub(in crate::world) fn is_up(&self) -> bool {
        self.broker.is_some()
    }

    /// Whether the process is there but does not serve clients yet.
    #[must_use]
    pub(in crate::world) fn is_starting(&self) -> bool {
        self.recovery.is_some()
    }

    /// Whether the process has ended since this was asked last: then its clients must hear of it.
    pub(in crate::world) fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.has_ended)
    }

    /// What befell it and its disk.
    pub(in crate::world) fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.add(self.disk.tally());
        tally
    }

    /// Which branches the broker's processes reached, and how often.
    pub(in crate::world) fn marks(&self) -> MarkCounts {
        let mut marks = self.marks.clone();
        self.broker.iter().for_each(|broker| marks.add(&broker.marks()));
        self.recovery.iter().for_each(|recovery| marks.add(&recovery.marks()));
        marks
    }

    pub(super) fn count(&mut self, class: &'static str) {
        self.tally.note(class);
    }

    /// The disk, for faults.
    pub(in crate::world) fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// The disk.
    pub(in crate::world) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Starts the process, with other limits if the step names some; does nothing if it is there.
    ///
    /// # Errors
    /// What the judge found.
    pub(in crate::world) fn start(
        &mut self,
        now: u64,
        step: Option<&Step>,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        if self.is_up() || self.is_starting() {
            return Ok(());
        }
        let before = self.setup.clone();
        for (key, value) in step.into_iter().flat_map(Step::values) {
            // A value that cannot be read leaves the limit as it was.
            let _ = self.setup.set(key, value);
        }
        if self.setup != before {
            self.count("other-limits");
        }
        if self.starts > 0 && now >= self.ended_at + OUTAGE_NS {
            self.count("outage");
        }
        self.starts += 1;
        self.failed.clear();
        self.has_misread = false;
        if self.starts > 1 {
            self.swap_disk();
        }
        self.remains = self.disk.begin_start();
        judge.trace_world(now, "", &format!("! start {}", self.starts));
        let (config, boot) = (self.config(), self.boot(self.starts));
        self.recovery = Some(in_core(|| Recovery::new(config, boot)));
        self.turn_recovery(now, judge)
    }

    /// Keeps what the disk holds now, if a fault is to bring it back.
    pub(super) fn keep_image(&mut self, input: &Input) {
        let Input::Frame(_, Frame::Method(_, method)) = input else { return };
        let is_wanted = match method {
            Method::BasicPublish(_) => self.has_fault(Fault::DiskBeforePublish),
            Method::BasicAck(_) => self.has_fault(Fault::DiskBeforeAck),
            _ => false,
        };
        if is_wanted && self.old_image.is_none() {
            self.old_image = Some(self.disk.image().clone());
        }
    }

    /// A fault puts another disk in place of the one that was.
    fn swap_disk(&mut self) {
        if self.has_fault(Fault::EmptyDisk) {
            self.disk.replace(Image::default());
        }
        if let Some(image) = self.old_image.take() {
            self.disk.replace(image);
        }
    }

    pub(super) fn has_fault(&self, fault: Fault) -> bool {
        self.tamper.as_ref().is_some_and(|tamper| tamper.fault() == fault)
    }

    /// The process ends at once.
    ///
    /// # Errors
    /// What the judge found.
    pub(in crate::world) fn crash(
        &mut self,
        now: u64,
        crash: Crash,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        // What was read and not handled yet is lost with it.
        self.batch.clear();
        self.die(now, crash, judge)
    }

    /// The broker is to stop.
    ///
    /// # Errors
    /// What the judge found.
    pub(in crate::world) fn stop(
        &mut self,
        now: u64,
        reason: &str,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        self.resume();
        self.is_stopping = self.is_up();
        let input = Input::Shutdown(reason.to_owned());
        self.batch.push(Heard::new(Some(input), Told::Stopped(reason.to_owned())));
        self.flush(now, judge)
    }

    /// Those who run the broker want something of it, if it is there and works.
    ///
    /// # Errors
    /// What the judge found.
    pub(in crate::world) fn command(
        &mut self,
        now: u64,
        step: &Step,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        if !self.is_up() || now < self.paused_until {
            return Ok(());
        }
        // Who names a message has seen what there is, as the model then has.
        if intervention::is_about_messages(step.verb()) {
            self.flush(now, judge)?;
        }
        let Some(broker) = &self.broker else { return Ok(()) };
        let Some(command) = command::of_step(step, broker) else { return Ok(()) };
        let wish = command::wish(&command, broker, &judge.model, intervention::name_of);
        self.commands += 1;
        let told = Told::Command(self.commands, wish);
        self.batch.push(Heard::new(
            Some(Input::Command(CommandId(self.commands), Box::new(command))),
            told,
        ));
        self.flush(now, judge)
    }

    /// When something happens here without a client's doing.
    #[must_use]
    pub(in crate::world) fn timeout(&self) -> Option<u64> {
        if self.paused_until > 0 {
            return Some(self.paused_until);
        }
        let broker = self.broker.as_ref().and_then(Broker::poll_timeout).map(Instant::as_nanos);
        let report = self.is_up().then(|| self.disk.report_at());
        let restless = self.has_fault(Fault::Restless).then_some(self.ticked_at + RESTLESS_NS);
        [broker, report, self.disk.next_at(), restless].into_iter().flatten().min()
    }

    pub(super) fn is_due(&self, now: u64) -> bool {
        let timeout = self.broker.as_ref().and_then(Broker::poll_timeout);
        let is_restless = self.has_fault(Fault::Restless) && now >= self.ticked_at + RESTLESS_NS;
        timeout.is_some_and(|at| at.as_nanos() <= now) || is_restless
    }

    pub(super) fn disk_state(&self) -> DiskState {
        DiskState { is_busy: !self.disk.is_idle(), ailing_until: self.disk.ailing_until() }
    }

    /// Carries on what the disk has done, and ends a process that was told to stop and has.
    pub(super) fn turn_disk(&mut self, now: u64, judge: &mut Judge) -> Result<bool, Failure> {
        let (Done { results, failed, misread }, crash) = self.disk.advance(now);
        if misread > 0 {
            self.has_misread = true;
            self.count("misdirected-read");
            judge.trace_world(now, "", "^ a read gives bytes of another place");
        }
        self.trace_disk(now, judge);
        let is_busy = !results.is_empty();
        self.failed.extend(&failed);
        failed.iter().for_each(|failed| self.count(failed.class()));
        for (id, result) in results {
            if let Some(recovery) = &mut self.recovery {
                in_core(|| recovery.handle(id, result));
            } else if self.is_up() {
                self.batch.push(Heard::new(Some(Input::Disk(id, result)), Told::Disk));
            }
        }
        let is_sync = |failed: &Failing| matches!(failed, Failing::Sync | Failing::SyncDir);
        let has_failed_sync = failed.iter().any(is_sync);
        let was_up = self.is_up();
        if crash.is_none() {
            self.flush(now, judge)?;
        }
        if was_up && has_failed_sync && crash.is_none() {
            disk::check_halted(!self.is_up())?;
        }
        self.turn_recovery(now, judge)?;
        if let Some(crash) = crash {
            self.crash(now, crash, judge)?;
        }
        if self.is_up() && self.disk.report_at() <= now {
            let free = self.disk.report(now);
            self.batch.push(Heard::new(Some(Input::DiskFree(free)), Told::DiskFree(free)));
            self.flush(now, judge)?;
        }
        if self.broker.as_ref().is_some_and(Broker::is_stopped) {
            self.exit(now, judge)?;
        }
        Ok(is_busy)
    }

    /// Gives a request to the disk.
    pub(super) fn submit(
        &mut self,
        now: u64,
        request: DiskRequest,
        is_recovering: bool,
    ) -> Result<(), Failure> {
        self.check_pace(now, &request)?;
        let dying = self.disk.submit(now, request, is_recovering);
        self.dying = dying.map_err(|text| Failure::new(disk::ID, text))?;
        Ok(())
    }

    /// Nothing makes the broker ask for the same over and over.
    fn check_pace(&mut self, now: u64, request: &DiskRequest) -> Result<(), Failure> {
        self.requests.check(now, REQUESTS_MAX, || format!("a request, now {:?}", request.op))
    }

    /// The broker gives up.
    pub(super) fn halt(
        &mut self,
        reason: &str,
        said: &mut Vec<Said>,
        judge: &Judge,
    ) -> Result<(), Failure> {
        self.judge_halt(reason, judge)?;
        self.count("halt");
        said.push(Said::Halted(reason.to_owned()));
        let broker = self.broker.as_mut().expect("who halts is there");
        let more = broker.poll_output();
        disk::check_silent(more.map(|output| format!("{output:?}")))?;
        self.dying = Some(Crash::Process(self.setup.boot_seed ^ self.starts));
        Ok(())
    }

    /// Takes a process away that has ended for whatever reason.
    pub(super) fn die(&mut self, now: u64, crash: Crash, judge: &mut Judge) -> Result<(), Failure> {
        let position = self.broker.as_ref().map(position);
        let class = match (crash, self.recovery.is_some(), self.is_stopping) {
            (Crash::Power(_), true, _) => "power-in-recovery",
            (Crash::Process(_), true, _) => "crash-in-recovery",
            (Crash::Power(_), _, true) => "power-in-stop",
            (Crash::Process(_), _, true) => "crash-in-stop",
            (Crash::Power(_), ..) => "power",
            (Crash::Process(_), ..) => "crash",
        };
        if position.is_none() && self.recovery.is_none() {
            // Nobody is there, but the power may fail all the same.
            self.disk.crash(crash);
            self.give_up(judge);
            return Ok(());
        }
        self.count(class);
        self.leave(now);
        judge.trace_world(now, "", &format!("! the process ends: {crash:?}"));
        self.disk.crash(crash);
        self.trace_disk(now, judge);
        judge.crashed(position);
        self.give_up(judge);
        Ok(())
    }

    /// The process has done all it was to do before its end.
    fn exit(&mut self, now: u64, judge: &mut Judge) -> Result<(), Failure> {
        self.flush(now, judge)?;
        if !self.disk.is_idle() {
            return Err(Failure::new(disk::ID, "the broker has stopped, and the disk is at work"));
        }
        let position = self.broker.as_ref().map(position);
        self.count("stop");
        self.leave(now);
        judge.trace_world(now, "", "! the process is done");
        judge.exited(position);
        Ok(())
    }

    fn leave(&mut self, now: u64) {
        self.ended_at = now;
        self.is_stopping = false;
        self.marks = self.marks();
        self.broker = None;
        self.recovery = None;
        self.dying = None;
        self.resume();
        self.arrivals.clear();
        self.sockets.clear();
        self.links_by_id.clear();
        self.batch.clear();
        self.has_ended = true;
    }

    fn turn_recovery(&mut self, now: u64, judge: &mut Judge) -> Result<(), Failure> {
        let begun = self.disk.begun();
        while let Some(output) = in_core(|| self.recovery.as_mut().and_then(Recovery::poll_output))
        {
            match output {
                RecoveryOutput::Disk(request) => self.submit(now, request, true)?,
                RecoveryOutput::Note(text) => judge.trace_world(now, "", &format!("^ {text}")),
            }
            self.trace_disk(now, judge);
            if let Some(crash) = self.dying.take() {
                return self.die(now, crash, judge);
            }
            if self.disk.begun() - begun > REQUESTS_MAX {
                return Err(Failure::new(recovery::ID, "recovery asks for ever more"));
            }
        }
        let Some(recovery) = self.recovery.take_if(|recovery| recovery.is_done()) else {
            recovery::check_going_on(self.recovery.is_some() && self.disk.is_idle())?;
            return Ok(());
        };
        let marks = recovery.marks();
        match in_core(|| recovery.finish()) {
            Ok(broker) => {
                let Position { next, durable } = position(&broker);
                let text = format!("^ serves; batch {durable} is durable, {next} gathers");
                judge.trace_world(now, "", &text);
                self.check_again(&broker)?;
                let (remains, is_in_doubt) = self.remains;
                let found = Found { position: position(&broker), remains, is_in_doubt };
                if judge.started(&broker, found, &self.setup, self.disk.image())? {
                    self.count("tail-lost");
                }
                self.disk.end_start();
                self.broker = Some(broker);
                self.most_queues = 0;
                self.batch.push(Heard::new(None, Told::Tick));
                self.flush(now, judge)
            }
            Err(error) => {
                self.marks.add(&marks);
                self.judge_refusal(now, &error, judge)?;
                self.die(now, Crash::Process(self.starts), judge)
            }
        }
    }

    /// Shows what the disk was asked for and did.
    pub(super) fn trace_disk(&mut self, now: u64, judge: &mut Judge) {
        for line in self.disk.take_journal() {
            judge.trace_world(now, "disk", &line);
        }
    }

    /// Recovers once more from a copy of what the first left behind: the outcome must be the same.
    fn check_again(&self, broker: &Broker) -> Result<(), Failure> {
        let mut image = match self.has_fault(Fault::EmptyDiskAgain) {
            true => Image::default(),
            false => self.disk.image().clone(),
        };
        let again = Recovery::new(self.config(), self.boot(self.starts + 1_000_000));
        let again = drive(again, &mut image)?.map_err(|error| {
            Failure::new(recovery::ID, format!("recovery fails the second time: {error}"))
        })?;
        recovery::check_same(&all_queues(broker), &all_queues(&again))
    }

    pub(super) fn config(&self) -> Config {
        let setup = &self.setup;
        Config {
            channel_max: setup.channel_max,
            frame_max: setup.frame_max,
            heartbeat: std::time::Duration::from_secs(setup.heartbeat_s),
            message_size_max: setup.message_size_max,
            consumer_timeout: (setup.consumer_timeout_ms > 0)
                .then(|| std::time::Duration::from_millis(setup.consumer_timeout_ms)),
            policy_slice: setup.policy_slice,
            egress_len_max: setup.egress_len_max,
            memory_max: setup.memory_max,
            queue_window: setup.queue_window,
            log_pending_max: setup.log_pending_max,
            segment_len: setup.segment_len,
            disk_free_min: setup.disk_free_min,
            read_len: setup.read_len,
            defaults: Some(command::defaults()),
            ..Config::default()
        }
    }

    pub(super) fn boot(&self, start: u64) -> Boot {
        let seed = self.setup.boot_seed.wrapping_add((start - 1).wrapping_mul(0x9E37_79B9));
        Boot { seed: [seed, !seed], clock_origin_ms: CLOCK_ORIGIN_MS }
    }
}

/// Every queue's state, and that of the one for delayed messages.
pub(super) fn all_queues(broker: &Broker) -> Vec<QueueStatus> {
    let mut queues = broker.queues();
    queues.extend(broker.delays());
    queues
}

/// How far the broker's log is.
pub(crate) fn position(broker: &Broker) -> Position {
    let (next, durable) = broker.log_position();
    Position { next, durable }
}
