//! What the broker is told: every setting, typed, and what follows from it for the core.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use warren_core::amqp::{Mechanism, ShortStr};
use warren_core::broker::{HashAlgorithm, Password, PasswordHash, Permission};
use warren_core::{Config, Defaults, ResourceLimits};
use warren_io::password;

use super::value::ListenAddress;
use crate::credentials::PasswordSettings;
use crate::definitions::DefinitionSettings;
use crate::logging::Rotation;
use crate::page::session::SessionTimes;
use crate::size::{self, Size};
use crate::vhost_defaults::VhostDefaults;

/// With less memory than this there would be no room for messages.
const MEMORY_MIN: u64 = 16 << 20;

/// The shortest segment, in bytes.
const SEGMENT_LEN_MIN: u32 = 4096;

/// Every setting. [`Default`] is what counts where nothing is said.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the core takes as it is. What depends on the machine is left to [`Self::config`].
    pub(crate) core: Config,
    /// Where clients connect.
    pub(crate) tcp: Listeners,
    /// Where clients connect that speak TLS.
    pub(crate) ssl: Listeners,
    /// Where the management API is.
    pub(crate) management: Management,
    /// Where metrics are, and which.
    pub(crate) metrics: Metrics,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// Keys and certificates.
    pub(crate) tls: TlsSettings,
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// How much memory the broker may use.
    pub(crate) memory: Size,
    /// How much memory there is, if not what the machine says.
    pub(crate) memory_total: Option<Size>,
    /// How much space must be left on the disk.
    pub(crate) disk_free_min: DiskFreeMin,
    /// The length of a segment of the log.
    pub(crate) segment_size: Size,
    /// How much of each queue that is on disk is kept in memory too.
    pub(crate) queue_window: Option<Size>,
    /// Where what goes into the broker is recorded.
    pub(crate) record: Option<PathBuf>,
    /// How much all recordings may take.
    pub(crate) record_max: Size,
    /// What is logged.
    pub(crate) log: LogSettings,
    /// Who is there at first.
    pub(crate) first_user: FirstUser,
    /// What new virtual hosts have from their beginning.
    pub(crate) vhost_defaults: VhostDefaults,
    /// Whether this user may log in from this machine only, as far as anything is said of it.
    pub(crate) loopback_users: BTreeMap<String, bool>,
    /// Whether there is no such user at all.
    pub(crate) no_loopback_users: bool,
    /// How clients may log in, in the order in which it was said; in any way if nothing was.
    pub(crate) mechanisms: Vec<Mechanism>,
    /// Whether nobody logs in without saying who it is.
    pub(crate) is_anonymous_refused: bool,
    /// What new passwords are like.
    pub(crate) passwords: PasswordSettings,
    /// What is imported at the start.
    pub(crate) definitions: DefinitionSettings,
    /// What the cluster is called, if not as the node.
    pub(crate) cluster_name: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            core: Config::default(),
            tcp: Listeners::default(),
            ssl: Listeners::default(),
            management: Management::default(),
            metrics: Metrics::default(),
            proxy_protocol: false,
            tls: TlsSettings::default(),
            data_dir: "warren-data".into(),
            memory: Size::Percent(40.0),
            memory_total: None,
            disk_free_min: DiskFreeMin::OfDisk(Size::Bytes(256 << 20)),
            segment_size: Size::Bytes(32 << 20),
            queue_window: None,
            record: None,
            record_max: Size::Bytes(1 << 30),
            log: LogSettings::default(),
            first_user: FirstUser::default(),
            vhost_defaults: VhostDefaults::default(),
            loopback_users: BTreeMap::new(),
            no_loopback_users: false,
            mechanisms: Vec::new(),
            is_anonymous_refused: false,
            passwords: PasswordSettings::default(),
            definitions: DefinitionSettings::default(),
            cluster_name: None,
        }
    }
}

/// What a machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Bytes of the disk that the data directory is on.
    pub(crate) disk: u64,
}

impl Settings {
    /// The core's limits, on this machine.
    ///
    /// # Errors
    /// When the machine has too little for what is asked for.
    pub(crate) fn config(&self, machine: Machine) -> Result<Config, String> {
        let machine = self.machine(machine);
        let memory = self.memory(machine)?;
        self.passwords.check_itself()?;
        self.vhost_defaults.check(&self.passwords)?;
        let mut config = Config {
            memory_max: of_messages(memory),
            log_pending_max: in_memory((memory / 8).min(16 << 20)),
            queue_window: in_memory((memory / 16).min(8 << 20)),
            segment_len: self.segment_len(machine)?,
            disk_free_min: self.disk_free_min.of(machine),
            // As in RabbitMQ: what is imported says who and what is there.
            defaults: match self.definitions.is_any() {
                true => None,
                false => Some(self.first_user.defaults(self.passwords.algorithm)?),
            },
            mechanisms: self.mechanisms(),
            nobody_hash: self.nobody_hash()?,
            loopback_users: self.loopback_users()?,
            node_name: self.cluster_name.clone().unwrap_or_else(|| self.core.node_name.clone()),
            ..self.core.clone()
        };
        if let Some(window) = self.queue_window {
            config.queue_window = in_memory(window.of(memory));
        }
        Ok(config)
    }

    /// What the machine has, as far as it is believed.
    pub(crate) fn machine(&self, machine: Machine) -> Machine {
        let memory = self.memory_total.map_or(machine.memory, |size| size.of(machine.memory));
        Machine { memory, ..machine }
    }

    /// How much memory the broker may use.
    fn memory(&self, machine: Machine) -> Result<u64, String> {
        let memory = self.memory.of(machine.memory);
        if memory < MEMORY_MIN {
            let (given, min) = (size::written(memory), size::written(MEMORY_MIN));
            return Err(format!(
                "memory is {given}; it takes at least {min} (vm_memory_high_watermark, --memory)"
            ));
        }
        Ok(memory)
    }

    /// What of these can be changed while the broker runs.
    ///
    /// # Errors
    /// When the machine has too little for what is asked for.
    pub(crate) fn resource_limits(&self, machine: Machine) -> Result<ResourceLimits, String> {
        let machine = self.machine(machine);
        Ok(ResourceLimits {
            memory_max: Some(of_messages(self.memory(machine)?)),
            disk_free_min: Some(self.disk_free_min.of(machine)),
        })
    }

    fn segment_len(&self, machine: Machine) -> Result<u32, String> {
        let len = u32::try_from(self.segment_size.of(machine.disk)).ok();
        let len = len.filter(|len| *len >= SEGMENT_LEN_MIN);
        len.ok_or_else(|| "a segment has 4KiB to 4GiB (warren.segment_size)".into())
    }

    fn mechanisms(&self) -> Vec<Mechanism> {
        let said = if self.mechanisms.is_empty() { &Mechanism::ALL[..] } else { &self.mechanisms };
        let is_open = |own: &Mechanism| *own != Mechanism::Anonymous || !self.is_anonymous_refused;
        said.iter().copied().filter(is_open).collect()
    }

    /// What takes as long to be held against as the hash of a user who is there.
    fn nobody_hash(&self) -> Result<PasswordHash, String> {
        let nobody = password::hash(self.passwords.algorithm, &Password(<_>::default()));
        nobody.map_err(|error| error.to_string())
    }

    /// The users who may log in from this machine only: `guest`, unless it is said that it is not,
    /// and those of whom it is said.
    fn loopback_users(&self) -> Result<Vec<ShortStr>, String> {
        if self.no_loopback_users {
            return Ok(Vec::new());
        }
        let mut users = self.loopback_users.clone();
        users.entry("guest".into()).or_insert(true);
        users.iter().filter(|(_, is_set)| **is_set).map(|(name, _)| short(name)).collect()
    }
}

impl Settings {
    /// Keys and certificates for those who connect for this.
    pub(crate) fn tls_of(&self, service: Service) -> &TlsSettings {
        match service {
            Service::Management if self.management.tls.certfile.is_some() => &self.management.tls,
            Service::Metrics if self.metrics.tls.certfile.is_some() => &self.metrics.tls,
            Service::Management | Service::Metrics | Service::Amqp => &self.tls,
        }
    }
}

/// What clients connect for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// To be served by the broker.
    Amqp,
    /// To run it.
    Management,
    /// To see how it is.
    Metrics,
}

impl Service {
    /// What listeners for it are called.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Amqp => "amqp/ssl",
            Self::Management => "https",
            Self::Metrics => "https/prometheus",
        }
    }
}

/// How much of what the broker may use messages may take: what the allocator and all else take
/// comes on top.
fn of_messages(memory: u64) -> u64 {
    memory / 2
}

fn short(text: &str) -> Result<ShortStr, String> {
    let name = ShortStr::new(text.to_owned().into_bytes().into());
    name.ok_or_else(|| format!("`{text}` is longer than 255 bytes"))
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Addresses to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listeners {
    /// Those that were named, in that order.
    pub(crate) named: Vec<ListenAddress>,
    /// Whether there is to be none, named or not.
    pub(crate) none: bool,
}

impl Listeners {
    /// All of them; these if nothing was said.
    pub(crate) fn or(&self, default: &[ListenAddress]) -> Vec<ListenAddress> {
        match (self.none, self.named.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => default.to_vec(),
            (false, false) => self.named.clone(),
        }
    }
}

/// Where the management API is, as far as anything is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Management {
    /// All of it: nowhere, or there.
    pub(crate) address: Option<Option<ListenAddress>>,
    /// RabbitMQ's keys: the address, and the port.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    /// The same of those who speak TLS.
    pub(crate) ssl_ip: Option<IpAddr>,
    pub(crate) ssl_port: Option<u16>,
    /// Keys and certificates of its own, if there is a certificate among them.
    pub(crate) tls: TlsSettings,
    /// How long who signs in by a browser is signed in.
    pub(crate) session_times: SessionTimes,
}

impl Management {
    /// Where it is for those who speak TLS, if anywhere: there where a port is said.
    pub(crate) fn ssl(&self) -> Option<ListenAddress> {
        at(self.ssl_ip, self.ssl_port?)
    }

    /// Where it is; there if nothing was said.
    pub(crate) fn or(&self, default: SocketAddr) -> Option<ListenAddress> {
        let port = self.port.unwrap_or(default.port());
        match (self.address, self.ip) {
            (Some(address), _) => address,
            (None, Some(ip)) => Some(ListenAddress::Socket((ip, port).into())),
            // As in RabbitMQ, who has it with TLS has it without only if that is said too.
            (None, None) if self.ssl_port.is_some() && self.port.is_none() => None,
            (None, None) if default.ip().is_unspecified() || self.port.is_some() => {
                Some(ListenAddress::Port(port))
            }
            (None, None) => Some(ListenAddress::Socket(default)),
        }
    }
}

/// Where metrics are, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metrics {
    /// Where they are: nowhere, or there; if it is said as a whole.
    pub(crate) address: Option<Option<ListenAddress>>,
    /// The address, and the port, if they are said apart.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    /// The path of all that there is.
    pub(crate) path: String,
    /// Whether there is a line for each object there.
    pub(crate) is_per_object: bool,
    /// Whether only some users may see them.
    pub(crate) has_authentication: bool,
    /// The address and the port of those who speak TLS.
    pub(crate) ssl_ip: Option<IpAddr>,
    pub(crate) ssl_port: Option<u16>,
    /// Keys and certificates of their own, if there is a certificate among them.
    pub(crate) tls: TlsSettings,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            address: None,
            ip: None,
            port: None,
            path: "/metrics".into(),
            is_per_object: false,
            has_authentication: false,
            ssl_ip: None,
            ssl_port: None,
            tls: TlsSettings::default(),
        }
    }
}

/// A port of an address, or of all interfaces.
fn at(ip: Option<IpAddr>, port: u16) -> Option<ListenAddress> {
    Some(match ip {
        Some(ip) => ListenAddress::Socket((ip, port).into()),
        None => ListenAddress::Port(port),
    })
}

impl Metrics {
    /// Where they are for those who speak TLS, if anywhere: there where a port is said.
    pub(crate) fn ssl(&self) -> Option<ListenAddress> {
        at(self.ssl_ip, self.ssl_port?)
    }

    /// Where they are; there if nothing was said.
    pub(crate) fn or(&self, default: SocketAddr) -> Option<ListenAddress> {
        let port = self.port.unwrap_or(default.port());
        match (self.address, self.ip) {
            (Some(address), _) => address,
            (None, Some(ip)) => Some(ListenAddress::Socket((ip, port).into())),
            // As in RabbitMQ, who has them with TLS has them without only if that is said too.
            (None, None) if self.ssl_port.is_some() && self.port.is_none() => None,
            (None, None) if default.ip().is_unspecified() => Some(ListenAddress::Port(port)),
            (None, None) => Some(ListenAddress::Socket((default.ip(), port).into())),
        }
    }
}

/// Keys, certificates, and what is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Whose certificates of clients are trusted.
    pub(crate) cacertfile: Option<PathBuf>,
    /// The broker's certificate, and those between it and a root.
    pub(crate) certfile: Option<PathBuf>,
    /// Its private key.
    pub(crate) keyfile: Option<PathBuf>,
    /// Whether a client's certificate is asked for, and checked.
    pub(crate) verify_peer: bool,
    /// Whether a client must have one.
    pub(crate) fail_if_no_peer_cert: bool,
    /// The versions that may be spoken; all if there is none.
    pub(crate) versions: Vec<TlsVersion>,
    /// How long a client may take for the handshake.
    pub(crate) handshake_timeout: Duration,
    /// What of a client's certificate is the user's name.
    pub(crate) login_from: LoginFrom,
    /// Which names `subject_alternative_name` means.
    pub(crate) san_type: SanType,
    /// Which of these, from 0 on.
    pub(crate) san_index: usize,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            cacertfile: None,
            certfile: None,
            keyfile: None,
            verify_peer: false,
            fail_if_no_peer_cert: false,
            versions: Vec::new(),
            handshake_timeout: Duration::from_secs(5),
            login_from: LoginFrom::Subject,
            san_type: SanType::Dns,
            san_index: 0,
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    /// 1.2
    V12,
    /// 1.3
    V13,
}

/// What of a client's certificate is the user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginFrom {
    /// All of the subject, `CN=bunny,O=Warren`.
    Subject,
    /// The subject's `CN`.
    CommonName,
    /// One of the other names.
    Alternative,
}

/// A kind of other name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SanType {
    /// A host.
    Dns,
    /// An address of electronic mail.
    Email,
    /// An URI.
    Uri,
}

/// How much space must be left on the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DiskFreeMin {
    /// So much, or a part of the disk.
    OfDisk(Size),
    /// As many times as much as there is memory.
    TimesMemory(f64),
}

impl DiskFreeMin {
    fn of(self, machine: Machine) -> u64 {
        match self {
            Self::OfDisk(size) => size.of(machine.disk),
            // No machine has so much that the rounding matters.
            Self::TimesMemory(factor) => (machine.memory as f64 * factor) as u64,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Whether anything is.
    pub(crate) is_on: bool,
    /// What was said of the console, of everything, and of the file.
    pub(crate) console: Option<LevelFilter>,
    /// See [`Self::console`].
    pub(crate) default: Option<LevelFilter>,
    /// See [`Self::console`].
    pub(crate) file: Option<LevelFilter>,
    /// Whether a record is a JSON object.
    pub(crate) is_json: bool,
    /// What the file is called, or that there is none, if that is said.
    pub(crate) file_name: Option<Option<PathBuf>>,
    /// Where it is.
    pub(crate) dir: Option<PathBuf>,
    /// When it makes room for another.
    pub(crate) rotation: Rotation,
    /// Whether a record there is a JSON object.
    pub(crate) file_is_json: bool,
}

impl LogSettings {
    /// The least severe that is written to the console: what is said of that counts first.
    pub(crate) fn console_level(&self) -> LevelFilter {
        // Without a file, what is said of it was said of all that is logged.
        let of_file = self.file.filter(|_| !self.has_file());
        let said = self.console.or(self.default).or(of_file);
        if self.is_on { said.unwrap_or(LevelFilter::INFO) } else { LevelFilter::OFF }
    }

    /// The least severe that is written to the file.
    pub(crate) fn file_level(&self) -> LevelFilter {
        let said = self.file.or(self.default).unwrap_or(LevelFilter::INFO);
        if self.has_file() { said } else { LevelFilter::OFF }
    }

    /// The file, if there is one.
    pub(crate) fn file(&self, data_dir: &Path) -> Option<PathBuf> {
        let name = self.file_name.clone().flatten().unwrap_or_else(|| "warren.log".into());
        let dir = self.dir.clone().unwrap_or_else(|| data_dir.join("log"));
        self.has_file().then(|| dir.join(name))
    }

    /// Who says where it is to be, or what it is called, wants one.
    fn has_file(&self) -> bool {
        match &self.file_name {
            Some(name) => name.is_some(),
            None => self.dir.is_some(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            is_on: true,
            console: None,
            default: None,
            file: None,
            is_json: false,
            file_name: None,
            dir: None,
            rotation: Rotation::default(),
            file_is_json: false,
        }
    }
}

/// The user that a new broker has.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FirstUser {
    /// The name.
    pub(crate) name: String,
    /// The password.
    pub(crate) password: String,
    /// The virtual host.
    pub(crate) vhost: String,
    /// The tags; `administrator` if nothing is said.
    pub(crate) tags: Option<Vec<String>>,
    /// What the user may configure, write and read, as patterns.
    pub(crate) permissions: [String; 3],
}

impl FirstUser {
    fn defaults(&self, algorithm: HashAlgorithm) -> Result<Defaults, String> {
        let password = Password(self.password.clone().into_bytes().into());
        let hash = password::hash(algorithm, &password);
        let [configure, write, read] = self.permissions.clone();
        let tags = self.tags.clone().unwrap_or_else(|| vec!["administrator".into()]);
        Ok(Defaults {
            user: short(&self.name)?,
            password_hash: hash.map_err(|error| error.to_string())?,
            tags: tags.iter().map(|tag| short(tag)).collect::<Result<_, _>>()?,
            vhost: short(&self.vhost)?,
            permission: Permission { configure, write, read },
        })
    }
}

impl Default for FirstUser {
    fn default() -> Self {
        Self {
            name: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            tags: None,
            permissions: [".*"; 3].map(String::from),
        }
    }
}

impl fmt::Debug for FirstUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstUser").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { memory: 10 << 30, disk: 100 << 30 };

    #[test]
    fn limits_follow_from_the_memory_and_the_disk() {
        let limits = |settings: &Settings| {
            let config = settings.config(MACHINE).expect("can be");
            (config.memory_max, config.log_pending_max, config.queue_window, config.disk_free_min)
        };
        let mut settings = Settings::default();
        assert_eq!(limits(&settings), (2 << 30, 16 << 20, 8 << 20, 256 << 20));
        settings.memory = Size::Bytes(64 << 20);
        settings.disk_free_min = DiskFreeMin::OfDisk(Size::Percent(5.0));
        assert_eq!(limits(&settings), (32 << 20, 8 << 20, 4 << 20, 5 << 30));
        settings.queue_window = Some(Size::Bytes(1000));
        assert_eq!(limits(&settings).2, 1000);
        settings.memory = Size::Percent(50.0);
        settings.memory_total = Some(Size::Bytes(1 << 30));
        settings.disk_free_min = DiskFreeMin::TimesMemory(1.5);
        assert_eq!(limits(&settings), (256 << 20, 16 << 20, 1000, 3 << 29));
    }

    #[test]
    fn a_segment_has_at_least_4096_bytes() {
        let segment_len = |size| {
            let settings = Settings { segment_size: size, ..Settings::default() };
            settings.config(MACHINE).map(|config| config.segment_len).ok()
        };
        assert_eq!(segment_len(Settings::default().segment_size), Some(32 << 20));
        assert_eq!(Config::default().segment_len, 32 << 20);
        assert_eq!(segment_len(Size::Bytes(64 << 10)), Some(64 << 10));
        assert_eq!(segment_len(Size::Bytes(4095)), None);
        assert_eq!(segment_len(Size::Bytes(4 << 30)), None);
    }

    #[test]
    fn too_little_memory_is_one_clear_sentence() {
        let settings = Settings { memory: Size::Bytes(1 << 20), ..Settings::default() };
        assert_eq!(
            settings.config(MACHINE).expect_err("is too little"),
            "memory is 1.0 MiB; it takes at least 16.0 MiB (vm_memory_high_watermark, --memory)"
        );
    }

    #[test]
    fn guest_may_log_in_from_here_only_unless_it_is_said_otherwise() {
        let mut settings = Settings::default();
        let loopback_users =
            |settings: &Settings| settings.config(MACHINE).expect("can be").loopback_users;
        assert_eq!(loopback_users(&settings), ["guest"]);
        settings.loopback_users.insert("other".into(), true);
        assert_eq!(loopback_users(&settings), ["guest", "other"]);
        settings.loopback_users.insert("guest".into(), false);
        assert_eq!(loopback_users(&settings), ["other"]);
        settings.no_loopback_users = true;
        assert_eq!(loopback_users(&settings), [""; 0]);
    }

    #[test]
    fn there_is_a_log_file_for_who_names_it_or_its_directory() {
        let file = |settings: &LogSettings| settings.file(Path::new("/data"));
        let mut settings = LogSettings { file: Some(LevelFilter::DEBUG), ..Default::default() };
        assert_eq!(file(&settings), None);
        assert_eq!(settings.console_level(), LevelFilter::DEBUG);
        settings.file_name = Some(Some("a.log".into()));
        assert_eq!(file(&settings), Some("/data/log/a.log".into()));
        assert_eq!(settings.console_level(), LevelFilter::INFO);
        assert_eq!(settings.file_level(), LevelFilter::DEBUG);
        settings.dir = Some("/log".into());
        assert_eq!(file(&settings), Some("/log/a.log".into()));
        settings.file_name = Some(Some("/b.log".into()));
        assert_eq!(file(&settings), Some("/b.log".into()));
        settings.file_name = None;
        assert_eq!(file(&settings), Some("/log/warren.log".into()));
        settings.file_name = Some(None);
        assert_eq!((file(&settings), settings.file_level()), (None, LevelFilter::OFF));
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut settings = Settings::default();
        settings.first_user.password = "hunter2".into();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
