//! The simulated world: time, links, clients, and the broker's host.
//!
//! Owns simulated time. Everything happens in an order that follows from the plan alone; nothing
//! here reads a clock or draws a number that is not salted by the plan.

mod client;
mod command;
mod departures;
mod disk;
mod host;
mod intervention;
mod moving;
mod net;
mod request;
mod tamper;

use std::collections::BTreeMap;

pub use client::{Client, Stage};
pub(crate) use command::{answer, wish};
pub use disk::Failing;
pub(crate) use disk::{Image, names_of};
pub(crate) use host::{Ear, is_bounded, news, noted, position};
pub use tamper::{Fault, Tamper};

use warren_core::MarkCounts;
use warren_core::amqp::ShortStr;
use warren_core::moving::Mover;

use crate::checkers::Failure;
use crate::course::Traffic;
use crate::judge::Judge;
use crate::plan::{Setup, Step, Who};
use crate::tally::Tally;
use disk::Crash;
use host::Host;
use net::{LinkSetup, Pipe};

/// More turns than this at one moment, and something spins; a host that reads little at once needs
/// more.
const TURNS_MAX: usize = 10_000;
const BYTES_MAX: usize = 1_000_000;
/// How long a step waits for the broker to start, or to stop.
const START_NS: u64 = 60_000_000_000;
/// Time passes in steps of this, where something is waited for.
const TICK_NS: u64 = 1_000_000;

/// The two directions of a connection.
#[derive(Debug)]
pub struct Link {
    up: Pipe,
    down: Pipe,
    /// The client still watches it.
    has_client: bool,
    /// The client ended it or it was broken: what it received need not be whole.
    is_broken: bool,
    /// The client closed both directions: whatever still comes is answered with a reset.
    is_hung_up: bool,
    /// Since when there has been no room for what the broker sends.
    full_since: Option<u64>,
}

impl Link {
    fn new(up: Pipe, down: Pipe) -> Self {
        Self { up, down, has_client: true, is_broken: false, is_hung_up: false, full_since: None }
    }
}

impl Link {
    /// Whether nothing comes out of it now, and it has room for what goes in.
    fn rests(&self, now: u64) -> bool {
        let [up, down] = [&self.up, &self.down];
        up.rests(now) && down.rests(now) && down.room() > 0 && self.full_since.is_none()
    }
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    now: u64,
    clients: BTreeMap<u8, Client>,
    links: BTreeMap<usize, Link>,
    links_made: usize,
    /// Of which of them there is something to be read in this turn.
    readable: Vec<usize>,
    host: Host,
    serial: u64,
    /// What went over each link that was ever made.
    traffic: BTreeMap<usize, Traffic>,
    keeps_received: bool,
    tally: Tally,
    /// How many moves of messages were begun.
    moves: u64,
    /// How many clients came at this moment.
    coming: (u64, u32),
}

impl World {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(setup: &Setup, tamper: Option<Tamper>) -> Self {
        Self {
            now: 0,
            clients: BTreeMap::new(),
            links: BTreeMap::new(),
            links_made: 0,
            readable: Vec::new(),
            host: Host::new(setup, tamper),
            serial: 0,
            traffic: BTreeMap::new(),
            keeps_received: false,
            tally: Tally::default(),
            moves: 0,
            coming: (0, 0),
        }
    }

    /// What is to be kept from now on: every byte that clients receive, what the disk is asked for.
    pub(crate) fn keep(&mut self, keeps_received: bool, keeps_journal: bool) {
        self.keeps_received = keeps_received;
        if keeps_journal {
            self.host.disk_mut().keep_journal();
        }
    }

    /// What went over each link that was ever made.
    pub(crate) fn take_traffic(&mut self) -> BTreeMap<usize, Traffic> {
        self.note_traffic();
        std::mem::take(&mut self.traffic)
    }

    /// How many links were ever made.
    pub(crate) fn links_made(&self) -> usize {
        self.links_made
    }

    /// How many requests the disk has begun.
    pub(crate) fn requests(&self) -> u64 {
        self.host.disk().begun()
    }

    /// Simulated nanoseconds since the start.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How many connections the broker has.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.host.connections()
    }

    /// Every client that ever connected.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// Carries out a step.
    ///
    /// # Errors
    /// What a checker found.
    pub fn execute(&mut self, step: &Step, judge: &mut Judge) -> Result<(), Failure> {
        match step.who {
            Who::World => return self.execute_here(step, judge),
            Who::Client(number) => self.execute_on_client(number, step, judge)?,
            Who::Channel(number, _) => {
                // What a client sends takes time to arrive. Until then all rests as it did.
                if let Some(client) = self.clients.get_mut(&number) {
                    client.execute(step, &mut self.serial);
                    hand_over(client, self.now, &mut self.links);
                }
                return Ok(());
            }
        }
        self.turn(judge)
    }

    fn execute_here(&mut self, step: &Step, judge: &mut Judge) -> Result<(), Failure> {
        let seed = step.number("seed", 0);
        match step.verb() {
            "wait" => return self.advance(step.number("us", 0) * 1000, judge),
            "crash" => self.host.crash(self.now, Crash::Process(seed), judge)?,
            "power" => self.host.crash(self.now, Crash::Power(seed), judge)?,
            "restart" => return self.start(Some(step), judge),
            "stop" => return self.stop("maintenance", judge),
            verb if command::is_one(verb) => self.host.command(self.now, step, judge)?,
            "pause" => self.host.pause(self.now + step.number("us", 0) * 1000),
            _ => {
                self.harm_disk(step);
                self.host.harm(self.now, step, judge)?;
            }
        }
        self.turn(judge)
    }

    /// Something befalls the disk.
    fn harm_disk(&mut self, step: &Step) {
        let until = self.now + step.number("us", 0) * 1000;
        let seed = step.number("seed", 0);
        let disk = self.host.disk_mut();
        if step.is("full") {
            disk.fill(until);
        }
        if step.is("slow") {
            disk.slow(until);
        }
        if step.is("stuck") {
            disk.stick(until);
        }
        if step.is("flap") {
            disk.flap(until);
        }
        if let Some(failing) = step.value("eio").and_then(Failing::named) {
            disk.fail_next(failing, seed);
        }
        if step.value("crash_at").is_some() {
            let crash = if step.is("power") { Crash::Power(seed) } else { Crash::Process(seed) };
            disk.crash_at(step.number("crash_at", 1), crash);
        }
    }

    /// Starts the broker if it is not there, and waits until it serves clients or is gone again.
    ///
    /// # Errors
    /// What a checker found.
    pub fn start(&mut self, step: Option<&Step>, judge: &mut Judge) -> Result<(), Failure> {
        self.host.start(self.now, step, judge)?;
        let until = self.now + START_NS;
        while self.host.is_starting() && self.now < until {
            self.advance(TICK_NS, judge)?;
        }
        self.turn(judge)
    }

    /// Tells the broker to stop, and waits until it has or is gone otherwise.
    ///
    /// # Errors
    /// What a checker found.
    pub fn stop(&mut self, reason: &str, judge: &mut Judge) -> Result<(), Failure> {
        self.tell_to_stop(reason, judge)?;
        let until = self.now + START_NS;
        while self.host.is_up() && self.now < until {
            self.advance(TICK_NS, judge)?;
        }
        Ok(())
    }

    /// What befell the broker, its disk and its clients.
    #[must_use]
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = self.host.tally();
        tally.add(&self.tally);
        self.clients.values().for_each(|client| tally.add(&client.tally));
        tally
    }

    /// Which branches the broker's processes reached, and how often.
    #[must_use]
    pub fn marks(&self) -> MarkCounts {
        let mut marks = self.host.marks();
        self.clients.values().for_each(|client| marks.add(&client.moves.marks()));
        marks
    }

    /// Whether the broker serves clients.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.host.is_up()
    }

    /// What is on the disk.
    pub(crate) fn image(&self) -> &Image {
        self.host.disk().image()
    }

    fn execute_on_client(
        &mut self,
        number: u8,
        step: &Step,
        judge: &mut Judge,
    ) -> Result<(), Failure> {
        let now = self.now;
        match step.verb() {
            "connect" => return self.connect(number, step, judge),
            "move" => {
                self.begin_move(number, step, judge);
                return Ok(());
            }
            _ => {}
        }
        let Some(client) = self.clients.get_mut(&number) else { return Ok(()) };
        let Some(link) = client.link.and_then(|link| self.links.get_mut(&link)) else {
            return Ok(());
        };
        if let Some(class) = departures::class(step) {
            self.tally.note(class);
        }
        if departures::is_departure(step) {
            departures::note_abandoned(&mut self.tally, client, judge);
        }
        let until = now + step.number("us", 0) * 1000;
        match step.verb() {
            "stall" => client.stalled_until = client.stalled_until.max(until),
            "clog" => {
                link.up.clog(until);
                link.down.clog(until);
            }
            "eof" => {
                if step.is("half") {
                    client.send_half_a_frame();
                }
                link.is_broken = true;
                client.is_ending = true;
                client.stage = Stage::Closing;
            }
            "reset" => {
                link.up.reset(now);
                link.down.cut();
                link.has_client = false;
                client.disconnect();
            }
            "hangup" => {
                link.up.end(now);
                link.is_hung_up = true;
                link.has_client = false;
                client.disconnect();
            }
            "vanish" => {
                link.up.cut();
                link.down.cut();
                link.has_client = false;
                client.disconnect();
            }
            _ => client.execute(step, &mut self.serial),
        }
        Ok(())
    }

    /// A client moves messages to another queue, as the management API does when it is asked to: if
    /// both queues are there, the first hands out anything, and it is connected as that is.
    fn begin_move(&mut self, number: u8, step: &Step, judge: &mut Judge) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let (Some(link), Some(broker)) = (client.link, self.host.broker()) else { return };
        let is_inside = client.connect.is("operator") && client.connect.is("plain_client");
        let vhost = ShortStr::from(client.connect.value("vhost").unwrap_or("/"));
        let queue = |key: &str| broker.queue_info(&vhost, &ShortStr::from(step.text(key)));
        let (Some(source), Some(target)) = (queue("q"), queue("to")) else { return };
        if !is_inside || source.name == target.name || source.is_paused {
            return;
        }
        let ready = source.numbers.ready;
        let count = step.number("count", ready).min(ready);
        self.moves += 1;
        let mover = Mover::new(&source, &target, count, self.moves);
        judge.model.begin_move(link, mover.is_exact());
        client.move_messages(mover, link);
    }

    fn connect(&mut self, number: u8, step: &Step, judge: &mut Judge) -> Result<(), Failure> {
        let client = self.clients.entry(number).or_insert_with(|| Client::new(number));
        if client.link.is_some() || !self.host.is_up() {
            return Ok(());
        }
        self.links_made += 1;
        let link = self.links_made;
        self.coming =
            if self.coming.0 == self.now { (self.now, self.coming.1 + 1) } else { (self.now, 1) };
        departures::note_arrival(&mut self.tally, step, self.coming.1);
        let setup = LinkSetup::of(step);
        let (up, down) = (Pipe::new(setup, 0), Pipe::new(setup, 1));
        self.links.insert(link, Link::new(up, down));
        client.connect(link, step, self.now);
        self.host.connect(self.now, (link, number, step.is("operator")), judge)
    }

    /// Faults off: links flow, clients read again. What was lost stays lost. A half-open link
    /// without heartbeats, which the broker cannot notice, is reset as an operating system would
    /// do in the end.
    ///
    /// # Errors
    /// What a checker found.
    pub fn heal(&mut self, judge: &mut Judge) -> Result<(), Failure> {
        // Of a client that came and went meanwhile the broker knows when it goes on.
        self.host.resume();
        self.turn(judge)?;
        for (number, link) in &mut self.links {
            link.up.heal();
            link.down.heal();
            if !link.has_client && !judge.has_heartbeat(*number) {
                link.up.revive();
                link.up.reset(self.now);
            }
        }
        for client in self.clients.values_mut() {
            client.stalled_until = 0;
        }
        self.host.heal(self.now, judge)?;
        self.turn(judge)
    }

    /// What the broker was started with.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        self.host.setup()
    }

    /// Whether the broker still holds on to links that their clients abandoned.
    #[must_use]
    pub fn has_abandoned_links(&self) -> bool {
        self.links.values().any(|link| !link.has_client)
    }

    /// Whether clients have bytes left for which their links have no room.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.clients.values().any(|client| !client.out.is_empty())
    }

    /// Tells the broker to stop.
    ///
    /// # Errors
    /// What a checker found.
    pub fn tell_to_stop(&mut self, reason: &str, judge: &mut Judge) -> Result<(), Failure> {
        if self.host.is_up() {
            self.host.stop(self.now, reason, judge)?;
        }
        self.turn(judge)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// What a checker found.
    pub fn advance(&mut self, nanos: u64, judge: &mut Judge) -> Result<(), Failure> {
        let target = self.now + nanos;
        while let Some(at) = self.next_at().filter(|at| *at <= target) {
            self.now = at;
            self.turn(judge)?;
        }
        self.now = target;
        self.turn(judge)
    }

    /// When the next thing happens by itself.
    fn next_at(&self) -> Option<u64> {
        let links = self.links.values().flat_map(|link| [link.up.next_at(), link.down.next_at()]);
        let clients = self.clients.values();
        let clients = clients.flat_map(|client| [client.heartbeat_at(), client.stalled_until]);
        let times = links.flatten().chain(clients).chain(self.host.timeout());
        times.filter(|at| *at > self.now).min()
    }

    /// Everything that can happen at this moment.
    fn turn(&mut self, judge: &mut Judge) -> Result<(), Failure> {
        for _ in 0..TURNS_MAX + BYTES_MAX / self.host.read_len_max() {
            self.readable.clear();
            for (number, link) in &mut self.links {
                link.up.advance(self.now);
                link.down.advance(self.now);
                link.note_room(self.now, &mut self.tally);
                if link.is_hung_up && link.down.has_arrived() && !link.up.is_reset() {
                    link.up.reset(self.now);
                    link.down.cut();
                }
                if link.up.has_arrived() || link.up.is_at_end(self.now) {
                    self.readable.push(*number);
                }
            }
            let mut is_busy = self.send();
            is_busy |= self.host.turn(self.now, &mut self.links, &self.readable, judge)?;
            if self.host.take_end() {
                self.disconnect_all();
                is_busy = true;
            }
            is_busy |= self.receive(judge)?;
            if !is_busy || self.rests() {
                self.forget();
                return Ok(());
            }
        }
        Err(Failure::new("liveness", "the world does not come to rest"))
    }

    /// Whether it is plain that nothing more can happen at this moment. Most of the time it is, and
    /// there is no need for another turn to see it.
    fn rests(&self) -> bool {
        let is_sending = |client: &Client| !client.out.is_empty() || client.is_ending;
        self.links.values().all(|link| link.rests(self.now))
            && !self.clients.values().any(is_sending)
            && self.host.rests(self.now)
    }

    /// Takes note of how much was read of the links.
    fn note_traffic(&mut self) {
        for (number, link) in &self.links {
            self.traffic.entry(*number).or_default().read = link.up.bytes_read();
        }
    }

    /// The broker's process is gone, and all its connections with it.
    fn disconnect_all(&mut self) {
        self.note_traffic();
        self.links.clear();
        for client in self.clients.values_mut() {
            client.moves.forget();
            client.disconnect();
        }
    }

    /// Clients hand their bytes to their links.
    fn send(&mut self) -> bool {
        let mut is_busy = false;
        for client in self.clients.values_mut() {
            client.tick(self.now);
            is_busy |= hand_over(client, self.now, &mut self.links);
        }
        is_busy
    }

    /// Clients read what their links brought.
    fn receive(&mut self, judge: &mut Judge) -> Result<bool, Failure> {
        let mut is_busy = false;
        for client in self.clients.values_mut().filter(|client| client.stalled_until <= self.now) {
            let Some(link) = client.link.and_then(|link| self.links.get_mut(&link)) else {
                continue;
            };
            if link.down.has_arrived() {
                let bytes = link.down.read(usize::MAX);
                judge.received(&bytes);
                if self.keeps_received {
                    let traffic = client.link.map(|link| self.traffic.entry(link).or_default());
                    traffic.expect("a client with a link").received.extend_from_slice(&bytes);
                }
                let read = client.receive(&bytes, self.now, &mut self.serial);
                read.map_err(|violation| Failure::new("protocol", violation.0))?;
                for (link, outcome, was_cut) in client.moves.take_outcomes() {
                    judge.moved(link, &outcome, was_cut)?;
                }
                is_busy = true;
            }
            if link.down.is_at_end(self.now) {
                if !link.is_broken && !client.is_between_frames() {
                    let text = format!("c{} sees the end within a frame", client.number);
                    return Err(Failure::new("protocol", text));
                }
                link.up.end(self.now);
                link.has_client = false;
                client.disconnect();
                is_busy = true;
            }
        }
        Ok(is_busy)
    }

    /// Drops links that nobody watches any more.
    fn forget(&mut self) {
        if !self.has_abandoned_links() {
            return;
        }
        let (host, traffic) = (&self.host, &mut self.traffic);
        self.links.retain(|number, link| {
            let stays = link.has_client || host.has(*number);
            if !stays {
                traffic.entry(*number).or_default().read = link.up.bytes_read();
            }
            stays
        });
    }
}

/// A client hands to its link what that has room for. Whether it was anything.
fn hand_over(client: &mut Client, now: u64, links: &mut BTreeMap<usize, Link>) -> bool {
    let Some(link) = client.link.and_then(|link| links.get_mut(&link)) else { return false };
    let len = client.out.len().min(link.up.room());
    if len > 0 {
        link.up.send(now, &client.out[..len]);
        client.out.drain(..len);
    }
    if client.is_ending && client.out.is_empty() {
        link.up.end(now);
    }
    len > 0
}
