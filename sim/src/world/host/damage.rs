//! What the broker makes of a disk that breaks what every promise rests on, and what `check` and
//! `salvage` make of it: they look at a copy.

use warren_core::{
    Check, CheckReport, DiskMachine, FileId, Recovery, RecoveryOutput, Salvage, StartError,
};

use super::Host;
use super::life::all_queues;
use crate::checkers::{Failure, decay, disk, recovery};
use crate::judge::Judge;
use crate::plan::Step;
use crate::world::disk::{Crash, Decay, Image};
use crate::world::tamper::Fault;

/// More requests than this, and it does not come to its end.
const REQUESTS_MAX: u64 = 100_000;

/// Lets a machine come to its end on a disk that does all at once.
///
/// # Errors
/// When it does not come to an end.
pub(super) fn drive<M: DiskMachine>(
    mut machine: M,
    image: &mut Image,
) -> Result<Result<M::Outcome, StartError>, Failure> {
    let mut requests = 0;
    while !machine.is_done() {
        let Some(output) = machine.poll_output() else {
            recovery::check_going_on(true)?;
            continue;
        };
        if let RecoveryOutput::Disk(request) = output {
            machine.handle(request.id, image.apply(&request.op));
            requests += 1;
        }
        if requests > REQUESTS_MAX {
            return Err(Failure::new(recovery::ID, "it asks the disk for ever more"));
        }
    }
    Ok(machine.finish())
}

impl Host {
    /// Something befalls the disk that is beyond what the broker must bear; or it is mended.
    ///
    /// # Errors
    /// What the judge found.
    pub(in crate::world) fn harm(
        &mut self,
        now: u64,
        step: &Step,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        let seed = step.number("seed", 0);
        if let Some(decay) = step.value("decay").and_then(Decay::named)
            && let Some((file, range)) = self.disk.decay(decay, seed)
        {
            self.count(decay.class());
            judge.trace_world(now, "", &format!("^ {decay:?} in {file} at {range:?}"));
        }
        if step.is("misread") {
            self.disk.misread_next(seed);
        }
        if step.is("lie") {
            self.disk.lie_until(now + step.number("us", 0) * 1000);
            judge.keep_history();
        }
        if step.is("mend") {
            self.disk.mend();
        }
        if step.is("gone") {
            if self.is_up() || self.is_starting() {
                self.crash(now, Crash::Power(seed), judge)?;
            }
            self.lose_disk(judge);
            self.count("disk-gone");
        }
        Ok(())
    }

    /// What is on the disk is given up, if the process has ended because of what a lie has cost.
    pub(super) fn give_up(&mut self, judge: &mut Judge) {
        if std::mem::take(&mut self.gives_up) {
            self.lose_disk(judge);
            self.count("given-up");
        }
    }

    /// Faults off. What a lie has cost may come to light at any time: a disk on which `check` finds
    /// something is given up now, and on any other nothing may come to light any more.
    ///
    /// # Errors
    /// What the judge found.
    pub(in crate::world) fn heal(&mut self, now: u64, judge: &mut Judge) -> Result<(), Failure> {
        self.disk.heal();
        if self.disk.lost().is_empty() {
            return Ok(());
        }
        if self.is_up() || self.is_starting() {
            self.crash(now, Crash::Process(self.starts), judge)?;
        }
        self.gives_up = !self.check_disk()?.is_clean();
        self.give_up(judge);
        self.disk.forget_lost();
        Ok(())
    }

    fn lose_disk(&mut self, judge: &mut Judge) {
        if self.has_fault(Fault::KeepGoneDisk) {
            self.old_image = Some(self.disk.image().clone());
        }
        self.disk.lose_all();
        judge.lost_disk();
    }

    /// Judges a start that was refused. If that is because of damage that is part of the plan,
    /// there will be another start when it is mended; what a lie has cost is given up.
    pub(super) fn judge_refusal(
        &mut self,
        now: u64,
        error: &StartError,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        judge.trace_world(now, "", &format!("^ refused: {error}"));
        let misnamed = misname(error);
        let error = if self.has_fault(Fault::MisnameDamage) { &misnamed } else { error };
        let image = self.disk.image();
        let (damage, files) = (image.decayed(), image.list());
        let is_excused = !self.failed.is_empty() || self.disk.is_full(now);
        let is_of_disk = matches!(error, StartError::Disk { .. });
        let (has_lost, is_damaged) = (!self.disk.lost().is_empty(), !damage.is_empty());
        if is_of_disk || !(is_damaged || has_lost || self.has_misread) {
            return recovery::check_refusal(error, is_excused);
        }
        self.count("refused");
        if self.has_misread {
            // Another look sees nothing of it.
            return Ok(());
        }
        decay::check_found(error, &self.check_disk()?)?;
        self.check_salvage(judge)?;
        let is_of_damage = decay::check_refusal(error, &damage, &files, self.disk.batch_len_max());
        if is_of_damage.is_ok() || !has_lost {
            return is_of_damage;
        }
        self.gives_up = true;
        decay::check_loss(&error.to_string(), self.disk.lost(), &files)
    }

    /// Judges a broker that gave up.
    pub(super) fn judge_halt(&mut self, reason: &str, judge: &Judge) -> Result<(), Failure> {
        let image = self.disk.image();
        let reason = if self.has_fault(Fault::HushDamage) { "something is wrong" } else { reason };
        let (damage, files) = (image.decayed(), image.list());
        let excuse = disk::check_halt(reason, &self.failed);
        let has_lost = !self.disk.lost().is_empty();
        if self.has_misread || excuse.is_ok() || damage.is_empty() && !has_lost {
            return if self.has_misread { Ok(()) } else { excuse };
        }
        self.count("halt-on-damage");
        decay::check_found_or_made_anew(&self.check_disk()?, || self.check_started_disk())?;
        self.check_salvage(judge)?;
        let is_of_damage = decay::check_halt(reason, &damage);
        if is_of_damage.is_ok() || !has_lost {
            return is_of_damage;
        }
        self.gives_up = true;
        decay::check_loss(reason, self.disk.lost(), &files)
    }

    /// What `check` finds on the disk as it is now.
    fn check_disk(&self) -> Result<CheckReport, Failure> {
        let mut image = self.disk.image().clone();
        if self.has_fault(Fault::BlindCheck) {
            image.mend();
        }
        let report = drive(Check::new(&self.config()), &mut image)?;
        report.map_err(|error| failed("check", &error))
    }

    /// What `check` finds when a start has made of the disk what it makes of it.
    fn check_started_disk(&self) -> Result<CheckReport, Failure> {
        let mut image = self.disk.image().clone();
        let recovery = Recovery::new(self.config(), self.boot(self.starts + 3_000_000));
        drive(recovery, &mut image)?.map_err(|error| failed("the next start", &error))?;
        let report = drive(Check::new(&self.config()), &mut image)?;
        report.map_err(|error| failed("check", &error))
    }

    /// Whatever `salvage` makes of the disk is as it should be, and can be started.
    fn check_salvage(&self, judge: &Judge) -> Result<(), Failure> {
        let mut image = self.disk.image().clone();
        let report = match drive(Salvage::new(&self.config()), &mut image)? {
            Ok(report) => report,
            // It is as clear as the refusal was.
            Err(StartError::Damaged { .. } | StartError::Newer { .. }) => return Ok(()),
            Err(error) => return Err(failed("salvage", &error)),
        };
        let again = drive(Check::new(&self.config()), &mut image)?;
        let again = again.map_err(|error| failed("check after salvage", &error))?;
        if !again.is_clean() {
            let text = format!("salvage leaves {:?} {:?}", again.refusal, again.problems);
            return Err(Failure::new("decay", text));
        }
        let recovery = Recovery::new(self.config(), self.boot(self.starts + 2_000_000));
        let broker = drive(recovery, &mut image)?;
        let broker = broker.map_err(|error| failed("a start after salvage", &error))?;
        let (is_known, copies) = judge.ever_seen();
        decay::check_salvaged(&report, &all_queues(&broker), is_known, copies)
    }
}

/// The same of another file.
fn misname(error: &StartError) -> StartError {
    let mut error = error.clone();
    if let StartError::Damaged { file, .. } = &mut error {
        *file = match *file {
            FileId::Segment(number) => FileId::Checkpoint(number),
            FileId::Checkpoint(number) => FileId::Segment(number),
        };
    }
    error
}

fn failed(what: &str, error: &StartError) -> Failure {
    Failure::new("decay", format!("{what} fails: {error}"))
}
