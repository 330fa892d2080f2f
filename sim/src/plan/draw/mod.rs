//! Draws a plan from a seed.
//!
//! Each feature and fault class is left out of many runs, so that each is also seen alone. There
//! is one stream of numbers per concern, so that a new draw in one leaves the others as they were.

mod access;
mod consumers;
mod crowd;
mod deaths;
mod decay;
mod delays;
mod disk;
mod duplicates;
mod fault;
mod hosts;
mod interventions;
mod kinds;
mod levels;
mod limits;
mod moves;
mod policies;
mod room;
mod strain;
mod workload;

use fastrand::Rng;

use super::{Plan, Setup, Step, Who};
use access::AccessFeatures;
use consumers::ConsumerFeatures;
use crowd::CrowdFeatures;
use deaths::DeathFeatures;
use decay::DecayFeatures;
use delays::{DELAYED, DelayFeatures};
use disk::DiskFeatures;
use duplicates::DuplicateFeatures;
use hosts::HostFeatures;
use interventions::InterventionFeatures;
use levels::LevelFeatures;
use moves::MoveFeatures;
use policies::PolicyFeatures;
use room::RoomFeatures;
use strain::StrainFeatures;

const KEYS: [&str; 8] = ["a", "b", "a.b", "a.b.c", "b.a", "", "a.c.d", "q1"];
const PATTERNS: [&str; 10] = ["a", "b", "a.b", "a.*", "a.#", "#", "*", "*.b", "#.c", ""];
const WEIGHTS: [&str; 5] = ["1", "1", "2", "10", "1000"];
const HEADERS: [&str; 5] = ["h:1", "h:2", "h:1,g:x", "g:x", "h"];

/// The argument that says of which type a queue is.
const QUEUE_TYPE: &str = "x-queue-type";

/// What a run is made of; each is on or off.
#[derive(Clone, Debug)]
struct Features {
    confirms: bool,
    tx: bool,
    prefetch: bool,
    prefetch_of_channel: bool,
    no_ack: bool,
    priorities: bool,
    exclusive_consumers: bool,
    gets: bool,
    multiple: bool,
    requeues: bool,
    rejects: bool,
    recover: bool,
    cancels: bool,
    purges: bool,
    deletes: bool,
    unbinds: bool,
    exchanges: bool,
    carbon_copies: bool,
    mandatory: bool,
    replies: bool,
    server_named: bool,
    nowait: bool,
    large_bodies: bool,
    channel_churn: bool,
    misuse: bool,
    resets: bool,
    half_open: bool,
    slow_readers: bool,
    clogs: bool,
    garbage: bool,
    silent: bool,
    mass_reconnects: bool,
    long_waits: bool,
}

impl Features {
    fn draw(rng: &mut Rng) -> Self {
        let mut often = || rng.f32() < 0.6;
        Self {
            confirms: often(),
            tx: often(),
            prefetch: often(),
            prefetch_of_channel: often(),
            no_ack: often(),
            priorities: often(),
            exclusive_consumers: often(),
            gets: often(),
            multiple: often(),
            requeues: often(),
            rejects: often(),
            recover: often(),
            cancels: often(),
            purges: often(),
            deletes: often(),
            unbinds: often(),
            exchanges: often(),
            carbon_copies: often(),
            mandatory: often(),
            replies: often(),
            server_named: often(),
            nowait: often(),
            large_bodies: often(),
            channel_churn: often(),
            misuse: often(),
            resets: often(),
            half_open: often(),
            slow_readers: often(),
            clogs: often(),
            garbage: often(),
            silent: often(),
            mass_reconnects: often(),
            long_waits: often(),
        }
    }
}

/// What a name is declared as, throughout the run.
#[derive(Clone, Debug)]
struct QueueKind {
    name: String,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    /// What it is declared with beside.
    arguments: Vec<String>,
}

#[derive(Clone, Debug)]
struct ExchangeKind {
    name: String,
    kind: &'static str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    alternate: Option<String>,
    arguments: Option<String>,
    /// Whether it is declared as one for delayed messages, which goes by that type.
    is_for_delayed: bool,
}

struct Draw {
    work: Rng,
    net: Rng,
    faults: Rng,
    schedule: Rng,
    disks: Rng,
    decays: Rng,
    crowds: Rng,
    strains: Rng,
    consumers: Rng,
    deaths: Rng,
    levels: Rng,
    policies: Rng,
    access: Rng,
    delays: Rng,
    rooms: Rng,
    duplicates: Rng,
    interventions: Rng,
    hosts: Rng,
    moves: Rng,
    features: Features,
    disk_features: DiskFeatures,
    decay_features: DecayFeatures,
    crowd_features: CrowdFeatures,
    strain_features: StrainFeatures,
    consumer_features: ConsumerFeatures,
    death_features: DeathFeatures,
    level_features: LevelFeatures,
    policy_features: PolicyFeatures,
    access_features: AccessFeatures,
    delay_features: DelayFeatures,
    room_features: RoomFeatures,
    duplicate_features: DuplicateFeatures,
    intervention_features: InterventionFeatures,
    host_features: HostFeatures,
    move_features: MoveFeatures,
    setup: Setup,
    clients: u8,
    channels: u16,
    queues: Vec<QueueKind>,
    exchanges: Vec<ExchangeKind>,
    steps: Vec<Step>,
    wait_chance: f32,
    wait_us_max: u64,
}

/// The plan of this seed.
#[must_use]
pub fn draw(seed: u64) -> Plan {
    let stream = |salt: u64| Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt);
    let mut work = stream(1);
    let mut schedule = stream(4);
    let mut features = Features::draw(&mut work);
    let mut setup = draw_setup(seed, &mut stream(5));
    let mut disks = stream(6);
    let disk_features = DiskFeatures::draw(&mut disks);
    let mut decays = stream(8);
    let decay_features = DecayFeatures::draw(&mut decays);
    let mut crowds = stream(9);
    let crowd_features = CrowdFeatures::draw(&mut crowds);
    let mut strains = stream(10);
    let strain_features = StrainFeatures::draw(&mut strains);
    let mut consumers = stream(12);
    let consumer_features = ConsumerFeatures::draw(&mut consumers);
    let mut deaths = stream(13);
    let death_features = DeathFeatures::draw(&mut deaths);
    let mut levels = stream(24);
    let level_features = LevelFeatures::draw(&mut levels);
    let mut policies = stream(22);
    let policy_features = PolicyFeatures::draw(&mut policies, &mut setup);
    let mut access = stream(29);
    let access_features = AccessFeatures::draw(&mut access);
    let mut delays = stream(23);
    let delay_features = DelayFeatures::draw(&mut delays);
    let mut rooms = stream(25);
    let room_features = RoomFeatures::draw(&mut rooms);
    let mut duplicates = stream(27);
    let duplicate_features = DuplicateFeatures::draw(&mut duplicates);
    let mut interventions = stream(30);
    let intervention_features = InterventionFeatures::draw(&mut interventions);
    let mut hosts = stream(31);
    let host_features = HostFeatures::draw(&mut hosts);
    let mut moves = stream(32);
    let move_features = MoveFeatures::draw(&mut moves);
    disk::draw_setup(seed, &mut stream(7), &mut setup);
    limits::draw(&mut stream(11), &mut setup);
    // A host that reads byte by byte takes its time.
    features.large_bodies &= setup.read_len_max >= 100;
    let channels = work.u16(1..=4).min(setup.channel_max);
    let mut draw = Draw {
        clients: work.u8(1..=6),
        channels,
        queues: draw_queues(&mut work, features.deletes),
        exchanges: draw_exchanges(&mut work),
        wait_chance: pick(&mut schedule, &[0.1, 0.4, 0.8]),
        wait_us_max: pick(&mut schedule, &[50, 1000, 20_000]),
        work,
        net: stream(2),
        faults: stream(3),
        schedule,
        disks,
        decays,
        crowds,
        strains,
        consumers,
        deaths,
        levels,
        policies,
        access,
        delays,
        rooms,
        duplicates,
        interventions,
        hosts,
        moves,
        features,
        disk_features,
        decay_features,
        crowd_features,
        strain_features,
        consumer_features,
        death_features,
        level_features,
        policy_features,
        access_features,
        delay_features,
        room_features,
        duplicate_features,
        intervention_features,
        host_features,
        move_features,
        setup,
        steps: Vec::new(),
    };
    kinds::draw(&mut stream(21), &mut draw.exchanges);
    draw.delay_features.wrap(&mut draw.delays, &mut draw.exchanges);
    draw.draw_queue_arguments();
    draw.draw_death_arguments();
    draw.draw_level_arguments();
    draw.draw_duplicate_arguments();
    draw.admit();
    draw.house();
    draw.prepare();
    for _ in 0..draw.schedule.usize(300..=1200) {
        draw.operation();
        draw.fault();
        draw.disk_fault();
        draw.decay();
        draw.crowd();
        draw.strain();
        draw.hand_over();
        draw.policy();
        draw.access();
        draw.intervene();
        draw.move_messages();
        draw.delay();
        draw.misuse_deduplication();
        draw.pause();
    }
    Plan { setup: draw.setup, steps: draw.steps }
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())].clone()
}

/// Whether a channel is one of those that work in transactions when the run has any.
fn is_transactional(client: u8, channel: u16) -> bool {
    (u16::from(client) + channel) % 3 == 1
}

fn draw_setup(seed: u64, rng: &mut Rng) -> Setup {
    Setup {
        boot_seed: seed,
        channel_max: pick(rng, &[2047, 2047, 2047, 8, 2, 1]),
        frame_max: pick(rng, &[4096, 4096, 4096, 8192, 131_072]),
        heartbeat_s: pick(rng, &[0, 1, 2, 60]),
        message_size_max: pick(rng, &[16 << 20, 16 << 20, 16 << 20, 3000]),
        egress_len_max: pick(rng, &[1 << 20, 1 << 20, 1 << 16, 5000, 100, 1]),
        batch_max: pick(rng, &[1, 1, 1, 2, 8, 64]),
        read_len_max: pick(rng, &[65_536, 65_536, 4096, 100]),
        ..Setup::default()
    }
}

fn draw_queues(rng: &mut Rng, may_vanish: bool) -> Vec<QueueKind> {
    let count = rng.usize(1..=6);
    let kind = |number| {
        let exclusive = number > 1 && rng.f32() < 0.08;
        QueueKind {
            name: format!("q{number}"),
            durable: rng.bool(),
            exclusive,
            auto_delete: may_vanish && rng.f32() < 0.2,
            arguments: Vec::new(),
        }
    };
    (1..=count).map(kind).collect()
}

fn draw_exchanges(rng: &mut Rng) -> Vec<ExchangeKind> {
    let count = rng.usize(1..=5);
    let kind = |number| ExchangeKind {
        name: format!("x{number}"),
        kind: pick(rng, &["direct", "fanout", "topic", "headers"]),
        durable: rng.bool(),
        auto_delete: rng.f32() < 0.25,
        internal: number > 1 && rng.f32() < 0.08,
        alternate: (rng.f32() < 0.3).then(|| format!("x{}", rng.usize(1..=count))),
        arguments: None,
        is_for_delayed: false,
    };
    (1..=count).map(kind).collect()
}

impl Draw {
    /// What queues are declared with.
    fn draw_death_arguments(&mut self) {
        let exchanges: Vec<String> = self.exchanges.iter().map(|x| x.name.clone()).collect();
        for queue in &mut self.queues {
            queue.arguments.extend(self.death_features.arguments(&mut self.deaths, &exchanges));
            let room = self.room_features.arguments(&mut self.rooms, &queue.arguments);
            queue.arguments.extend(room);
        }
    }

    /// The messages of some queues have priorities.
    fn draw_level_arguments(&mut self) {
        for (at, queue) in self.queues.iter_mut().enumerate() {
            // The first is also declared otherwise, to see that this is refused.
            let is_plain = queue.durable && !queue.exclusive && !queue.auto_delete && at > 0;
            let has_type = queue.arguments.iter().any(|argument| argument.starts_with(QUEUE_TYPE));
            let may_be_quorum = is_plain && !has_type;
            queue.arguments.extend(self.level_features.argument(&mut self.levels, may_be_quorum));
        }
    }

    /// Clients, channels, and most of the topology.
    fn prepare(&mut self) {
        for client in 1..=self.clients {
            self.connect(client);
            for channel in 1..=self.channels {
                self.open(client, channel);
            }
        }
        self.set_up_elsewhere();
        self.set_up();
    }

    /// Exchanges, queues, bindings and consumers.
    fn set_up(&mut self) {
        for at in 0..self.exchanges.len() {
            self.declare_exchange(Who::Channel(1, 1), at);
        }
        for at in 0..self.queues.len() {
            let who = self.someone();
            self.declare_queue(who, at);
            self.steps.push(Step::wait(2000));
            for _ in 0..self.work.usize(0..=3) {
                let who = self.someone();
                self.bind(who, at);
            }
        }
        for _ in 0..self.clients {
            let who = self.someone();
            self.consume(who);
        }
    }

    fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn chance(&mut self, chance: f32) -> bool {
        self.work.f32() < chance
    }

    fn someone(&mut self) -> Who {
        Who::Channel(self.schedule.u8(1..=self.clients), self.schedule.u16(1..=self.channels))
    }

    fn pause(&mut self) {
        if self.schedule.f32() < self.wait_chance {
            let us = self.schedule.u64(1..=self.wait_us_max);
            self.push(Step::wait(us));
        }
        if self.features.long_waits && self.schedule.f32() < 0.005 {
            let us = self.schedule.u64(100_000..=6_000_000);
            self.push(Step::wait(us));
        }
    }

    fn connect(&mut self, client: u8) {
        let net = &mut self.net;
        let is_large = self.features.large_bodies;
        let fragments: &[u64] = if is_large { &[0, 0, 100, 5000] } else { &[0, 0, 1, 7, 100] };
        let windows: &[u64] = if is_large { &[65_536, 10_000] } else { &[65_536, 1000, 100] };
        let mut step = Step::new(Who::Client(client), "connect")
            .with("latency_us", pick(net, &[1, 50, 500, 5000]))
            .with("jitter_us", pick(net, &[0, 0, 100, 3000]))
            .with("fragment_max", pick(net, fragments))
            .with("window", pick(net, windows))
            .with("salt", net.u16(..));
        if net.bool() {
            step = step.with("frame_max", 4096);
        }
        if net.f32() < 0.3 {
            step = step.with("heartbeat_s", pick(net, &[0, 1, 3]));
        }
        step = step.flag("plain_client", net.f32() < 0.2).flag("amqplain", net.f32() < 0.2);
        let step = self.as_somebody(step);
        let step = self.at_home(client, step);
        self.push(step);
    }

    /// Opens a channel if it is not open, in a mode that mostly stays the same.
    fn open(&mut self, client: u8, channel: u16) {
        let who = Who::Channel(client, channel);
        self.push(Step::new(who, "open"));
        if self.features.prefetch && self.chance(0.6) {
            let count = pick(&mut self.work, &[0, 1, 1, 2, 5, 50]);
            self.push(Step::new(who, "qos").with("count", count));
        }
        if self.features.prefetch_of_channel && self.chance(0.3) {
            let count = pick(&mut self.work, &[0, 1, 2, 5, 20]);
            self.push(Step::new(who, "qos").with("count", count).flag("global", true));
        }
        match (u16::from(client) + channel) % 3 {
            0 if self.features.confirms => {
                let nowait = self.features.nowait && self.chance(0.3);
                self.push(Step::new(who, "confirm").flag("nowait", nowait));
            }
            _ if self.features.tx && is_transactional(client, channel) => {
                self.push(Step::new(who, "tx"));
            }
            _ => {}
        }
    }

    fn declare_queue(&mut self, who: Who, at: usize) {
        let queue = self.queues[at].clone();
        let nowait = self.features.nowait && self.chance(0.2);
        let mut step = Step::new(who, "declare")
            .with("q", &queue.name)
            .flag("durable", queue.durable)
            .flag("exclusive", queue.exclusive)
            .flag("auto_delete", queue.auto_delete)
            .flag("nowait", nowait);
        let mut arguments = queue.arguments;
        let has_type = arguments.iter().any(|argument| argument.starts_with(QUEUE_TYPE));
        if self.chance(0.2) && !has_type {
            arguments.push("x-queue-type:classic".into());
        }
        if !arguments.is_empty() {
            step = step.with("arg", arguments.join(","));
        }
        self.push(step);
    }

    fn declare_exchange(&mut self, who: Who, at: usize) {
        let exchange = self.exchanges[at].clone();
        let nowait = self.features.nowait && self.chance(0.2);
        let mut step = Step::new(who, "xdeclare")
            .with("x", &exchange.name)
            .with("type", if exchange.is_for_delayed { DELAYED } else { exchange.kind })
            .flag("durable", exchange.durable)
            .flag("auto_delete", exchange.auto_delete)
            .flag("internal", exchange.internal)
            .flag("nowait", nowait);
        if let Some(alternate) = exchange.alternate {
            step = step.with("alternate", alternate);
        }
        let mut arguments: Vec<String> = exchange.arguments.into_iter().collect();
        if exchange.is_for_delayed {
            arguments.push(format!("x-delayed-type:{}", exchange.kind));
        }
        if !arguments.is_empty() {
            step = step.with("arg", arguments.join(","));
        }
        self.push(step);
    }

    /// Name and type of an exchange that there may be; not the default one.
    fn exchange(&mut self) -> (String, &'static str) {
        if self.features.exchanges && self.chance(0.7) {
            let exchange = pick(&mut self.work, &self.exchanges);
            return (exchange.name, exchange.kind);
        }
        let kinds = [
            ("amq.direct", "direct"),
            ("amq.fanout", "fanout"),
            ("amq.topic", "topic"),
            ("amq.headers", "headers"),
        ];
        let (name, kind) = pick(&mut self.work, &kinds);
        (name.to_owned(), kind)
    }

    fn queue(&mut self) -> String {
        if self.features.server_named && self.chance(0.03) {
            return String::new();
        }
        pick(&mut self.work, &self.queues).name
    }

    fn with_pattern(&mut self, step: Step, kind: &str) -> Step {
        let key = match kind {
            "x-consistent-hash" => pick(&mut self.work, &WEIGHTS),
            "x-local-random" => "",
            _ => pick(&mut self.work, &PATTERNS),
        };
        let step = step.with("key", key);
        if kind != "headers" {
            return step;
        }
        let rule = pick(&mut self.work, &["all", "any", "all-with-x", "any-with-x"]);
        step.with("match", rule).with("headers", pick(&mut self.work, &HEADERS))
    }

    fn bind(&mut self, who: Who, at: usize) {
        let (exchange, kind) = self.exchange();
        let step = Step::new(who, "bind").with("q", &self.queues[at].name).with("x", exchange);
        let step = self.with_pattern(step, kind);
        let nowait = self.features.nowait && self.chance(0.2);
        self.push(step.flag("nowait", nowait));
    }
}
