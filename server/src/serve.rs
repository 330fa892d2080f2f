//! `warren serve`: starts the broker, says where it listens, and stops it when it is told to.
//!
//! What goes wrong before the broker listens is one sentence that says what to do about it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;
use std::{fmt, panic, process};

use clap::Args;
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info, warn};
use warren_core::{Boot, Config, Progress, StartError};
use warren_io::password::Hasher;
use warren_io::{Disk, DiskMeter, Listener, Node, OpenError, Shutdown, Tls};
use warren_recorder::{End, Recorder};

use crate::config::{self, ConfigErrors, ListenAddress, Machine, Service, Sources, TlsSettings};
use crate::definitions::Definitions;
use crate::health::Lifecycle;
use crate::logging::{self, LogArgs, Logs};
use crate::recordings::{self, Recordings};
use crate::reload::Reload;
use crate::restart::{self, Restart};
use crate::tls::Identity;
use crate::{http, management, memory, metrics, size, systemd};

/// What clients are told when the broker stops: the words of other brokers, which clients know.
const SHUTDOWN_TEXT: &str = "broker forced connection closure with reason 'shutdown'";

/// The exit status of a broker that could no longer keep its promises: `EX_IOERR`.
const HALTED_STATUS: i32 = 74;

/// What a machine is taken to have that does not say how much memory it has.
const MEMORY_UNKNOWN: u64 = 1 << 30;

/// How the broker is to run. What is said here counts over the environment, and that over files.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A configuration file in the format of rabbitmq.conf, or a directory of files that end in
    /// .conf; may be given several times, what comes later counts more. `warren config` tells what
    /// can stand in it
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,

    /// Any setting of a configuration file
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,

    /// Where AMQP clients connect: an IP address and a port, or a port, for all interfaces; port 0
    /// lets the system choose one. May be given several times [127.0.0.1:5672]
    #[arg(long, value_name = "ADDR")]
    amqp: Vec<String>,

    /// Where the management API is: an IP address and a port, or a port, for all interfaces, or
    /// `off`; port 0 lets the system choose one [127.0.0.1:15672]
    #[arg(long, value_name = "ADDR")]
    management: Option<String>,

    /// Where metrics are, for Prometheus, and what tells of health: an IP address and a port, or a
    /// port, for all interfaces, or `off`; port 0 lets the system choose one [127.0.0.1:15692]
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,

    /// Where the broker keeps its data; made if it does not exist [warren-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,

    /// How much memory the broker may use, such as 512MiB, 2GB or 40% of what the machine (or the
    /// container) has; when it has taken that much, publishers wait [40%]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,

    /// How much space must be left on the disk, such as 1GiB or 5% of it; with less, publishers
    /// wait [256MiB]
    #[arg(long, value_name = "SIZE")]
    disk_free_min: Option<String>,

    /// How many seconds a delivery may wait for its acknowledgement, where neither its consumer nor
    /// its queue says so (x-consumer-timeout); then it goes back to its queue, and its consumer is
    /// cancelled
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..1 << 32))]
    consumer_timeout: Option<u64>,

    /// The length of a segment of the log
    #[arg(long, value_name = "SIZE", hide = true)]
    segment_size: Option<String>,

    /// How much of each queue that is on disk is kept in memory too
    #[arg(long, value_name = "SIZE", hide = true)]
    queue_window: Option<String>,

    /// Record what goes into the broker, for `warren-sim replay DIR`: everything that clients send
    /// but for passwords and the bodies of messages. Each start makes a file of its own
    #[arg(long, value_name = "DIR")]
    record: Option<String>,

    /// How much all recordings in the directory may take. A start deletes the oldest, and a
    /// recording that comes to the limit ends [1GiB]
    #[arg(long, value_name = "SIZE")]
    record_max: Option<String>,

    #[command(flatten)]
    log: LogArgs,
}

impl ServeArgs {
    /// What the broker is told, by these flags and otherwise.
    fn sources(&self) -> Sources {
        let mut sources = Sources::new(self.config.clone());
        let timeout = self.consumer_timeout.map(|seconds| (seconds * 1000).to_string());
        let flags = [
            ("--management", "warren.management", &self.management),
            ("--metrics", "warren.metrics", &self.metrics),
            ("--data-dir", "warren.data_dir", &self.data_dir),
            ("--memory", "vm_memory_high_watermark.absolute", &self.memory),
            ("--disk-free-min", "disk_free_limit.absolute", &self.disk_free_min),
            ("--consumer-timeout", "consumer_timeout", &timeout),
            ("--segment-size", "warren.segment_size", &self.segment_size),
            ("--queue-window", "warren.queue_window", &self.queue_window),
            ("--record", "warren.record", &self.record),
            ("--record-max", "warren.record_max", &self.record_max),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some((flag, key.to_owned(), value.clone()?)));
        sources.flags.extend(given);
        for (index, address) in self.amqp.iter().enumerate() {
            let key = format!("listeners.tcp.{}", index + 1);
            sources.flags.push(("--amqp", key, address.clone()));
        }
        sources.flags.extend(self.log.settings());
        let set = self.set.iter().map(|(key, value)| ("--set", key.clone(), value.clone()));
        sources.flags.extend(set);
        sources
    }
}

/// What the broker was told at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    ToStop,
    /// To start anew, in the same process.
    ToRestart,
}

/// Runs the broker until it is told to stop by SIGTERM or SIGINT, or has become another one.
///
/// # Errors
/// When it cannot start, or cannot start anew.
pub(crate) fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let sources = args.sources();
    let loaded = sources.load().map_err(ServeError::Config)?;
    let settings = &loaded.settings;
    let logs = logging::init(&settings.log, &settings.data_dir);
    let logs = logs.map_err(|(path, error)| ServeError::LogFile(path, error))?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    stop_on_panic(End::default(), logs.clone());
    raise_file_limit();
    let definitions = Definitions::read(&settings.definitions).map_err(ServeError::Setting)?;
    let unusable = |error| ServeError::DataDir(settings.data_dir.clone(), error);
    let disk = Disk::open(&settings.data_dir).map_err(unusable)?;
    let space = disk.space().map_err(|error| unusable(error.into()))?;
    let memory = memory::total().unwrap_or(MEMORY_UNKNOWN);
    let machine = Machine { memory, disk: space.capacity };
    let config = settings.config(machine).map_err(ServeError::Setting)?;
    let boot = warren_io::boot().map_err(ServeError::System)?;
    let recorder = recordings::start(settings, &config, &boot, space.capacity)
        .map_err(|(dir, error)| ServeError::Record(dir, error))?;
    let end = recorder.end();
    stop_on_panic(end.clone(), logs.clone());
    let runtime = warren_io::runtime().map_err(ServeError::System)?;
    let reload = Reload::new(sources, loaded, logs.clone(), machine);
    let served = runtime.block_on(run(disk, config, boot, recorder, reload, definitions));
    match &served {
        Ok(Told::ToStop) => end.now("the broker was told to stop"),
        Ok(Told::ToRestart) => end.now("the broker was told to start anew"),
        Err(error) => end.now(&format!("the broker did not start: {error}")),
    }
    logs.flush();
    if served? == Told::ToStop {
        return Ok(());
    }
    let failed = ServeError::Restart(restart::exec());
    error!("{failed}");
    logs.flush();
    Err(failed)
}

async fn run(
    disk: Disk,
    config: Config,
    boot: Boot,
    mut recorder: Recorder,
    mut reload: Reload,
    definitions: Option<Definitions>,
) -> Result<Told, ServeError> {
    let data_dir = reload.loaded().settings.data_dir.clone();
    let (end, logs, restart) = (recorder.end(), reload.logs().clone(), Restart::default());
    systemd::keep_telling_of_life();
    let mut signals = Signals::new().map_err(ServeError::System)?;
    let machine = reload.loaded().settings.machine(reload.machine());
    let node_name = config.node_name.clone();
    let loopback_users = config.loopback_users.clone();
    let lifecycle = Lifecycle::default();
    let meter = disk.meter();
    let metrics = start_metrics(&mut reload, &config, meter.clone(), lifecycle.clone())?;
    let recovered = tokio::select! {
        recovered =
            warren_io::recover(disk, config, boot, &mut recorder, tell_progress) => recovered,
        name = signals.stop() => {
            info!(signal = name, "stopping before the start was over");
            return Ok(Told::ToStop);
        }
    };
    let (broker, disk) = recovered.map_err(|error| ServeError::Start(data_dir.clone(), error))?;
    let node = Node::start_on(disk, broker, recorder);
    let mut node = node.map_err(ServeError::System)?;
    lifecycle.recovered(node.handle());
    let passwords = reload.loaded().settings.passwords.clone();
    let users = management::Users::new(node.hasher(), loopback_users, passwords);
    let mut about = management::Node {
        name: node_name,
        data_dir: data_dir.clone(),
        machine,
        urls: Vec::new(),
        recordings: Recordings::new(&reload.loaded().settings, end.clone()),
        restart: restart.clone(),
        disk: meter,
        session_times: reload.loaded().settings.management.session_times,
        logs: logs.clone(),
        config_files: reload.loaded().files.clone(),
        in_force: reload.in_force().clone(),
        expiries: reload.expiries().clone(),
        vhost_defaults: Arc::new(reload.loaded().settings.vhost_defaults.clone()),
    };
    let prepare = management::prepare(node.handle(), about.clone(), users.clone(), definitions);
    tokio::select! {
        prepared = prepare => prepared.map_err(ServeError::Setting)?,
        reason = node.halted() => end_halted(&reason, &end, &logs),
        name = signals.stop() => {
            info!(signal = name, "stopping before the start was over");
            node.shut_down(SHUTDOWN_TEXT.into()).await;
            return Ok(Told::ToStop);
        }
    }
    let mut urls = listen(&mut node, &mut reload)?;
    let mut http = bind_management(&mut reload, &mut urls)?;
    match management::bind_local(&data_dir) {
        Ok(socket) => http.push(http::Listener::Local(socket)),
        Err(error) => warn!(%error, "there is no local socket for `warren ctl`"),
    }
    lifecycle.serving();
    announce(&urls, &metrics, &data_dir);
    if !http.is_empty() {
        urls.extend(metrics.iter().map(|url| url.replacen("://", "/prometheus://", 1)));
        about.urls = urls;
        let served = management::start(http, node.handle(), lifecycle.clone(), about, users);
        served.map_err(ServeError::System)?;
    }
    systemd::ready();
    config::tell(node.handle().look(|broker| broker.resource_limits()).await);
    tokio::select! {
        told = until_stopped(&node, &mut signals, reload, &lifecycle, &restart) => {
            management::unbind_local(&data_dir);
            Ok(told)
        }
        reason = node.halted() => end_halted(&reason, &end, &logs),
    }
}

/// Listens on all addresses of AMQP, and gives them as clients write them.
fn listen(node: &mut Node, reload: &mut Reload) -> Result<Vec<String>, ServeError> {
    let loaded = reload.loaded();
    let (tcp, ssl) = (loaded.tcp_addresses(), loaded.ssl_addresses());
    let TlsSettings { handshake_timeout, .. } = loaded.settings.tls;
    let is_proxied = loaded.settings.proxy_protocol;
    let tls = match ssl.is_empty() {
        true => None,
        false => Some(start_tls(reload, Service::Amqp)?),
    };
    let plain = tcp.into_iter().map(|address| (address, None));
    let secure = ssl.into_iter().map(|address| (address, tls.clone()));
    let mut urls = Vec::new();
    for (address, tls) in plain.chain(secure) {
        let mut listener = bind(address)?;
        let scheme = if tls.is_some() { "amqps" } else { "amqp" };
        urls.push(format!("{scheme}://{}", listener.address()));
        if is_proxied {
            listener = listener.with_proxy_protocol(handshake_timeout);
        }
        if let Some(tls) = tls {
            listener = listener.with_tls(tls);
        }
        node.listen(listener);
    }
    Ok(urls)
}

/// Listens on the first address that there is on this machine.
fn bind(address: ListenAddress) -> Result<Listener, ServeError> {
    let mut failed = None;
    for candidate in address.candidates() {
        match Listener::bind(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some((candidate, error)),
        }
    }
    let (address, error) = failed.expect("there is a candidate at least");
    Err(ServeError::Listen(address, error))
}

/// Listens where the management API is to be, and adds that as clients write it.
fn bind_management(
    reload: &mut Reload,
    urls: &mut Vec<String>,
) -> Result<Vec<http::Listener>, ServeError> {
    let loaded = reload.loaded();
    let (plain, secure) = (loaded.management_address(), loaded.management_ssl_address());
    let plain = plain.map(|address| (address, None));
    let secure = match secure {
        Some(address) => Some((address, Some(start_tls(reload, Service::Management)?))),
        None => None,
    };
    let mut listeners = Vec::new();
    for (address, tls) in plain.into_iter().chain(secure) {
        let (socket, address) = bind_http(address).map_err(ServeError::listen_management)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        urls.push(format!("{scheme}://{address}"));
        listeners.push(http::Listener::Tcp(socket, tls));
    }
    Ok(listeners)
}

/// Serves metrics from here on, so that it can be asked how far a start is; gives their addresses.
fn start_metrics(
    reload: &mut Reload,
    config: &Config,
    disk: DiskMeter,
    lifecycle: Lifecycle,
) -> Result<Vec<String>, ServeError> {
    let loaded = reload.loaded();
    let (plain, secure) = (loaded.metrics_address(), loaded.metrics_ssl_address());
    let plain = plain.map(|address| (address, None));
    let secure = match secure {
        Some(address) => Some((address, Some(start_tls(reload, Service::Metrics)?))),
        None => None,
    };
    let (mut listeners, mut urls) = (Vec::new(), Vec::new());
    for (address, tls) in plain.into_iter().chain(secure) {
        let (socket, address) = bind_http(address).map_err(ServeError::listen_metrics)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        urls.push(format!("{scheme}://{address}"));
        listeners.push(http::Listener::Tcp(socket, tls));
    }
    if listeners.is_empty() {
        return Ok(urls);
    }
    let settings = &reload.loaded().settings;
    let users = settings.metrics.has_authentication.then(|| {
        let (hasher, passwords) = (Hasher::default(), settings.passwords.clone());
        management::Users::new(hasher, config.loopback_users.clone(), passwords)
    });
    let source = metrics::Source {
        lifecycle,
        disk,
        node_name: config.node_name.clone(),
        data_dir: settings.data_dir.clone(),
        path: settings.metrics.path.clone(),
        is_per_object: settings.metrics.is_per_object,
        users,
        started: Instant::now(),
    };
    metrics::start(listeners, source).map_err(ServeError::System)?;
    Ok(urls)
}

/// Shakes hands with those who come for this.
fn start_tls(reload: &mut Reload, service: Service) -> Result<Tls, ServeError> {
    let identity = Identity::load(reload.loaded().settings.tls_of(service));
    reload.start_tls(service, identity.map_err(ServeError::Setting)?).map_err(ServeError::System)
}

/// Listens on the first address that there is on this machine.
fn bind_http(address: ListenAddress) -> Result<(TcpListener, SocketAddr), (SocketAddr, io::Error)> {
    let mut failed = None;
    for candidate in address.candidates() {
        let bound = TcpListener::bind(candidate)
            .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
        match bound {
            Ok(bound) => return Ok(bound),
            Err(error) => failed = Some((candidate, error)),
        }
    }
    Err(failed.expect("there is a candidate at least"))
}

/// Waits until the node is to stop, and stops it; with the next signal, at once. A signal to read
/// the configuration again is heeded until then. Who is told to stop while the node stops to start
/// anew stops for good.
async fn until_stopped(
    node: &Node,
    signals: &mut Signals,
    reload: Reload,
    lifecycle: &Lifecycle,
    restart: &Restart,
) -> Told {
    let mut told = loop {
        let asked = tokio::select! {
            asked = signals.next() => asked,
            () = restart.asked() => {
                info!("stopping, to start anew");
                systemd::restarting();
                break Told::ToRestart;
            }
        };
        match asked {
            Asked::ToStop(name) => {
                info!(signal = name, "stopping");
                systemd::stopping();
                break Told::ToStop;
            }
            Asked::ToReload => {
                systemd::reloading();
                reload.now(&node.handle()).await;
                systemd::ready();
            }
        }
    };
    lifecycle.stopping();
    let mut leave = pin!(node.shut_down(SHUTDOWN_TEXT.into()));
    loop {
        tokio::select! {
            biased;
            name = signals.stop() => match told {
                Told::ToRestart => {
                    info!(signal = name, "stopping for good");
                    systemd::stopping();
                    told = Told::ToStop;
                }
                Told::ToStop => {
                    warn!(signal = name, "stopping without the clients' leave");
                    return told;
                }
            },
            Shutdown { is_closed, .. } = &mut leave => {
                if is_closed {
                    info!("stopped");
                }
                return told;
            }
        }
    }
}

/// The broker has nothing more to say to anybody, and its disk may take for ever: the process ends
/// here, and waits for nothing.
fn end_halted(reason: &str, recording: &End, logs: &Logs) -> ! {
    error!("{reason}");
    logs.flush();
    recording.now(&format!("the broker has given up: {reason}"));
    eprintln!("warren: {reason}");
    process::exit(HALTED_STATUS)
}

fn tell_progress(Progress { read, total }: Progress) {
    let status = format!("recovering: {} of {}", size::written(read), size::written(total));
    systemd::starting(&status);
    info!("{status}");
}

/// The one line on standard output: whoever started the broker can wait for it.
fn announce(urls: &[String], metrics: &[String], data_dir: &Path) {
    let metrics = match metrics {
        [] => String::new(),
        urls => format!(", metrics on {}", urls.join(" and ")),
    };
    let line = format!(
        "warren {} listening on {}{}, data in {}\n",
        env!("CARGO_PKG_VERSION"),
        urls.join(" and "),
        metrics,
        data_dir.display()
    );
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        debug!(%error, "nobody reads standard output");
    }
}

/// What a signal asks for.
enum Asked {
    /// To end, by the signal of this name.
    ToStop(&'static str),
    /// To read the configuration again.
    ToReload,
}

/// The signals that ask the broker for something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// What the next one asks for.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::ToStop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::ToStop("SIGINT"),
            _ = self.hang_up.recv() => Asked::ToReload,
        }
    }

    /// The name of the next one that asks the broker to stop.
    async fn stop(&mut self) -> &'static str {
        loop {
            if let Asked::ToStop(name) = self.next().await {
                return name;
            }
        }
    }
}

/// Each connection is an open file, and the limit that a process is born with is low.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// A panic is a bug; what a broker does after one cannot be relied on. It stops where it stands;
/// only what led there is written.
fn stop_on_panic(recording: End, logs: Logs) {
    panic::set_hook(Box::new(move |panic| {
        error!(%panic, "this is a bug in warren; it stops here");
        logs.flush();
        recording.now(&format!("the broker has panicked: {panic}"));
        process::abort();
    }));
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE, such as heartbeat=30")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Why the broker did not start.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// An address cannot be listened on by what has this flag, which is this.
    ListenHttp(SocketAddr, io::Error, &'static str, &'static str),
    /// The data directory cannot be opened.
    DataDir(PathBuf, OpenError),
    /// What is in the data directory cannot be used as it is.
    Start(PathBuf, StartError),
    /// The log file cannot be written to.
    LogFile(PathBuf, io::Error),
    /// A recording cannot be made in this directory.
    Record(PathBuf, io::Error),
    /// What was said of it is wrong.
    Config(ConfigErrors),
    /// A setting cannot be on this machine.
    Setting(String),
    /// The broker has stopped, and is not there again.
    Restart(io::Error),
    /// The operating system refused something that every process needs.
    System(io::Error),
}

impl ServeError {
    fn listen_management((address, error): (SocketAddr, io::Error)) -> Self {
        Self::ListenHttp(address, error, "--management", "the management API")
    }

    fn listen_metrics((address, error): (SocketAddr, io::Error)) -> Self {
        Self::ListenHttp(address, error, "--metrics", "metrics")
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "address already in use \
                         (is another broker running? choose another with --amqp)",
                    ),
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("this machine has no such address (choose another with --amqp)")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "permission denied \
                         (a port below 1024 needs privileges; choose another with --amqp)",
                    ),
                    _ => write!(f, "{error}"),
                }
            }
            Self::ListenHttp(address, error, flag, what) => write!(
                f,
                "cannot listen on {address}: {error} (choose another address for {what} with \
                 {flag}, or none with {flag} off)"
            ),
            Self::DataDir(dir, error) => {
                write!(f, "cannot use the data directory {}: ", dir.display())?;
                match error {
                    OpenError::InUse { .. } => write!(
                        f,
                        "{error} (stop that one first, or choose another with --data-dir)"
                    ),
                    OpenError::System(error) => match error.kind() {
                        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                            f.write_str("it is not a directory (choose another with --data-dir)")
                        }
                        io::ErrorKind::PermissionDenied => f.write_str(
                            "permission denied (it must be readable and writable for the user \
                             that runs the broker; choose another with --data-dir)",
                        ),
                        _ => write!(f, "{error} (choose another with --data-dir)"),
                    },
                }
            }
            Self::Start(dir, error) => {
                let dir = dir.display();
                write!(f, "cannot use the data directory {dir}: {error}")?;
                match error {
                    StartError::Damaged { .. } => write!(
                        f,
                        " (nothing was changed; `warren check {dir}` lists all damage, \
                         `warren salvage {dir}` keeps what is whole)"
                    ),
                    StartError::Newer { .. } => {
                        f.write_str(" (use that version, or choose another with --data-dir)")
                    }
                    StartError::Disk { .. } => Ok(()),
                }
            }
            Self::LogFile(path, error) => write!(
                f,
                "cannot write logs to {}: {error} (log.file and log.dir say where to)",
                path.display()
            ),
            Self::Record(dir, error) => {
                write!(
                    f,
                    "cannot record to {}: {error} (choose another with --record)",
                    dir.display()
                )
            }
            Self::Restart(error) => write!(
                f,
                "the broker has stopped and cannot start anew: {error} (start it by hand; \
                 everything that was confirmed is on disk)"
            ),
            Self::Config(errors) => write!(f, "{errors}"),
            Self::Setting(text) => f.write_str(text),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use tempfile::TempDir;
    use tracing::level_filters::LevelFilter;
    use warren_core::FileId;

    use super::*;

    #[test]
    fn a_file_in_place_of_the_data_directory_is_one_clear_sentence() {
        let parent = TempDir::new().expect("a temporary directory");
        let file = parent.path().join("file");
        std::fs::write(&file, "").expect("can be written");
        for dir in [file.clone(), file.join("below")] {
            let error = Disk::open(&dir).expect_err("is no directory");
            let expected = format!(
                "cannot use the data directory {}: \
                 it is not a directory (choose another with --data-dir)",
                dir.display()
            );
            assert_eq!(ServeError::DataDir(dir, error).to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_the_data_is_one_clear_sentence() {
        let text = |error| ServeError::Start("data".into(), error).to_string();
        let file = FileId::Segment(10);
        let damaged = StartError::Damaged { file, offset: 4096, text: "no batch".into() };
        assert_eq!(
            text(damaged),
            "cannot use the data directory data: 000000000000000a.log is damaged at offset 4096: \
             no batch (nothing was changed; `warren check data` lists all damage, `warren salvage \
             data` keeps what is whole)"
        );
        assert_eq!(
            text(StartError::Newer { file, version: 2 }),
            "cannot use the data directory data: 000000000000000a.log was written by a newer \
             version of warren (format 2) (use that version, or choose another with --data-dir)"
        );
        let in_use = ServeError::DataDir("data".into(), OpenError::InUse { pid: Some(7) });
        assert_eq!(
            in_use.to_string(),
            "cannot use the data directory data: it is in use by process 7 (stop that one first, \
             or choose another with --data-dir)"
        );
    }

    #[test]
    fn flags_are_settings() {
        let line = "--amqp 127.0.0.1:0 --amqp [::1]:5672 --data-dir d --memory 1GiB \
                    --disk-free-min 5% --consumer-timeout 2 --segment-size 64KiB --record r \
                    --record-max 1MiB --queue-window 1000 --log warn --log-format json \
                    --set heartbeat=7 --set listeners.ssl=none";
        let loaded = args(line).sources().load().unwrap_or_else(|errors| panic!("{errors}"));
        let addresses: Vec<_> =
            loaded.tcp_addresses().iter().map(|address| address.candidates()[0]).collect();
        let expected: [SocketAddr; 2] =
            ["127.0.0.1:0", "[::1]:5672"].map(|text| text.parse().expect("an address"));
        assert_eq!(addresses, expected);
        let settings = loaded.settings;
        assert_eq!(settings.data_dir, Path::new("d"));
        assert_eq!(settings.record.as_deref(), Some(Path::new("r")));
        assert_eq!(settings.record_max.of(0), 1 << 20);
        assert!(settings.log.is_json);
        assert_eq!(settings.log.console_level(), LevelFilter::WARN);
        let config = settings.config(Machine { memory: 8 << 30, disk: 100 << 30 });
        let config = config.expect("can be");
        assert_eq!(config.memory_max, 512 << 20);
        assert_eq!(config.disk_free_min, 5 << 30);
        assert_eq!(config.consumer_timeout, Some(Duration::from_secs(2)));
        assert_eq!((config.segment_len, config.queue_window), (64 << 10, 1000));
        assert_eq!(config.heartbeat, Duration::from_secs(7));
    }

    #[test]
    fn a_setting_has_a_key_and_a_value() {
        let setting = ("a.b".to_owned(), "c=d".to_owned());
        assert_eq!(parse_setting("a.b = c=d"), Ok(setting));
        assert!(parse_setting("a.b").is_err());
    }

    /// The options that a command line gives.
    fn args(line: &str) -> ServeArgs {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            serve: ServeArgs,
        }
        let words = std::iter::once("serve").chain(line.split_whitespace());
        Cli::try_parse_from(words).expect("is a command line").serve
    }
}
