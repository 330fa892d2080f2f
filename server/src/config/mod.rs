//! What the broker is told: by flags, by the environment, and by files in RabbitMQ's format.
//!
//! Flags count over the environment, and the environment over files. Of two settings of one key in
//! the same place the later counts. Everything that is wrong is told at once, with its place; what
//! is wrong keeps the broker from starting, rather than that it starts otherwise than it was asked
//! to.

mod effective;
mod environment;
mod files;
mod keys;
mod report;
mod settings;
mod syntax;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) use effective::{Effective, InForce};
pub(crate) use report::{ConfigCommand, main};
pub(crate) use settings::{
    LogSettings, LoginFrom, Machine, SanType, Service, Settings, TlsSettings, TlsVersion,
};
use tracing::info;
pub(crate) use value::ListenAddress;
use warren_core::ResourceLimits;

use crate::size;

/// What begins the keys of memory and disk.
const MEMORY: &str = "vm_memory_high_watermark";
const DISK: &str = "disk_free_limit";

/// How much memory there is to have a part of.
const MEMORY_TOTAL: &str = "total_memory_available_override_value";

/// How often what stands for a value may stand for another.
const SUBSTITUTIONS_MAX: usize = 20;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Files and directories of them, those that count more behind the others. If there are none,
    /// those that the environment names.
    pub(crate) files: Vec<PathBuf>,
    /// The variables.
    pub(crate) environment: BTreeMap<String, String>,
    /// The flags: each with the key that it sets, and the value.
    pub(crate) flags: Vec<(&'static str, String, String)>,
}

impl Sources {
    /// These files, and the environment of this process.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let variables = std::env::vars_os();
        // What is not UTF-8 is none of ours.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { files, environment: variables.filter_map(text).collect(), flags: Vec::new() }
    }

    /// Whether flags or variables name files.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty() || !environment::files(&self.environment).is_empty()
    }

    /// Reads everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigErrors> {
        let mut errors = Vec::new();
        let named = environment::files(&self.environment);
        let files = if self.files.is_empty() { &named } else { &self.files };
        let (file, read) = files::read(files, &mut errors);
        let file = substituted(file, &self.environment, &mut errors);
        let (environment, notes) = environment::settings(&self.environment, &mut errors);
        let flags = self.flags.iter().map(|(flag, key, value)| Setting {
            words: syntax::words(key).unwrap_or_else(|_| vec![key.clone()]),
            value: value.clone(),
            is_literal: true,
            source: Source::Flag(flag),
        });
        let mut merged = Merged::default();
        merged.warnings.extend(notes);
        for layer in [file, environment, flags.collect()] {
            merged.add(layer, &mut errors);
        }
        let settings = merged.settings(&mut errors);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let has_file = !files.is_empty();
        let Merged { said, warnings, .. } = merged;
        Ok(Loaded { settings, has_file, files: read, said, warnings })
    }
}

/// What keys of memory and disk come to on this machine: of the others nothing is said.
///
/// # Errors
/// When there is another key among these, or a value cannot be.
pub(crate) fn resource_limits(
    asked: &[(&str, String)],
    machine: Machine,
) -> Result<ResourceLimits, String> {
    let (mut settings, mut limits) = (Settings::default(), ResourceLimits::default());
    let begins = |key: &str, begin: &str| key.split('.').next() == Some(begin);
    for (key, value) in asked {
        let found =
            syntax::words(key).ok().and_then(|words| keys::find(&words).map(|(key, _)| key));
        match found.filter(|key| key.is_reloaded) {
            Some(found) if begins(key, MEMORY) || begins(key, DISK) => {
                (found.set)(&mut settings, "", value).map_err(|error| format!("{key}: {error}"))?;
            }
            _ => return Err(format!("`{key}` is no limit of memory or disk")),
        }
    }
    let all = settings.resource_limits(machine)?;
    for (key, _) in asked {
        match begins(key, MEMORY) {
            true => limits.memory_max = all.memory_max,
            false => limits.disk_free_min = all.disk_free_min,
        }
    }
    Ok(limits)
}

/// Whether a key says how much memory or disk there may be.
pub(crate) fn is_of_resources(key: &str) -> bool {
    [MEMORY, DISK].contains(&key.split('.').next().unwrap_or_default()) || key == MEMORY_TOTAL
}

/// Whether a key is about TLS.
pub(crate) fn is_of_tls(key: &str) -> bool {
    key.split('.').any(|word| word == "ssl" || word.starts_with("ssl_"))
}

/// Says what these limits are from now on.
pub(crate) fn tell(limits: ResourceLimits) {
    if let Some(memory_max) = limits.memory_max {
        let most = size::written(memory_max);
        info!("publishers wait when messages take more than {most} of memory");
    }
    if let Some(disk_free_min) = limits.disk_free_min {
        let least = size::written(disk_free_min);
        info!("publishers wait when less than {least} is free on the disk");
    }
}

/// All that was said.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What counts.
    pub(crate) settings: Settings,
    /// Whether there is a file, whatever it says.
    pub(crate) has_file: bool,
    /// The files that were read, those that they include among them.
    pub(crate) files: Vec<PathBuf>,
    /// What should be known, though nothing is wrong.
    pub(crate) warnings: Vec<String>,
    /// What was said of which key, in the order in which it counts.
    said: Vec<Said>,
}

impl Loaded {
    /// Where clients connect that do not speak TLS. RabbitMQ listens everywhere where its
    /// configuration does not say it; a broker that was told nothing at all keeps to its machine.
    pub(crate) fn tcp_addresses(&self) -> Vec<ListenAddress> {
        let local = ListenAddress::Socket(([127, 0, 0, 1], 5672).into());
        let default = if self.has_file { ListenAddress::Port(5672) } else { local };
        self.settings.tcp.or(&[default])
    }

    /// Where the management API is, if anywhere.
    pub(crate) fn management_address(&self) -> Option<ListenAddress> {
        let ip = if self.has_file { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
        self.settings.management.or((ip, 15672).into())
    }

    /// Where the management API is for those who speak TLS, if anywhere.
    pub(crate) fn management_ssl_address(&self) -> Option<ListenAddress> {
        self.settings.management.ssl()
    }

    /// Where metrics are, if anywhere.
    pub(crate) fn metrics_address(&self) -> Option<ListenAddress> {
        let ip = if self.has_file { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
        self.settings.metrics.or((ip, 15692).into())
    }

    /// Where metrics are for those who speak TLS, if anywhere.
    pub(crate) fn metrics_ssl_address(&self) -> Option<ListenAddress> {
        self.settings.metrics.ssl()
    }

    /// What anybody is to be met with TLS for.
    pub(crate) fn services_with_tls(&self) -> Vec<Service> {
        let amqp = (!self.ssl_addresses().is_empty()).then_some(Service::Amqp);
        let management = self.management_ssl_address().map(|_| Service::Management);
        let metrics = self.metrics_ssl_address().map(|_| Service::Metrics);
        amqp.into_iter().chain(management).chain(metrics).collect()
    }

    /// Where clients connect that speak TLS.
    pub(crate) fn ssl_addresses(&self) -> Vec<ListenAddress> {
        self.settings.ssl.or(&[])
    }

    /// The keys whose values differ, but those that can be changed while the broker runs.
    pub(crate) fn changes_for_a_start(&self, other: &Self) -> Vec<String> {
        let values = |loaded: &Self| -> BTreeMap<String, String> {
            let fixed = loaded.said.iter().filter(|said| !said.key.is_reloaded);
            fixed.map(|said| (said.name.clone(), said.value.clone())).collect()
        };
        let (before, after) = (values(self), values(other));
        let changed = before
            .iter()
            .chain(&after)
            .filter(|(name, _)| before.get(name.as_str()) != after.get(name.as_str()));
        let mut names: Vec<_> = changed.map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// What was said of a key.
#[derive(Debug)]
struct Said {
    key: &'static keys::Key,
    /// What stands in place of the key's `$word`.
    word: String,
    name: String,
    value: String,
    source: Source,
}

/// A setting as it was written.
#[derive(Clone, Debug)]
struct Setting {
    words: Vec<String>,
    value: String,
    /// Whether a `$(` in it is what it is.
    is_literal: bool,
    source: Source,
}

/// Where a setting was written.
#[derive(Clone, Debug)]
enum Source {
    /// A line of a file.
    File(Rc<Path>, usize),
    /// A variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Something that is wrong, with its place.
#[derive(Clone, Debug)]
struct ConfigError {
    source: Source,
    text: String,
}

/// All that is wrong: one line each.
#[derive(Clone, Debug)]
pub(crate) struct ConfigErrors(Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ConfigError { source, text }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{source}: {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Places of settings, put one over the other.
#[derive(Debug, Default)]
struct Merged {
    said: Vec<Said>,
    warnings: Vec<String>,
}

impl Merged {
    /// Puts a place over those that are there.
    fn add(&mut self, layer: Vec<Setting>, errors: &mut Vec<ConfigError>) {
        let mut over: Vec<Said> = Vec::new();
        for setting in layer {
            if let Some(said) = self.understood(setting, errors) {
                over.retain(|other| other.name != said.name);
                over.push(said);
            }
        }
        self.said.retain(|below| {
            let is_replaced = |said: &Said| {
                let same_group = said.key.group == below.key.group && !said.key.group.is_empty();
                same_group || said.name == below.name
            };
            !over.iter().any(is_replaced)
        });
        self.said.extend(over);
    }

    /// The key that a setting is about, if it is one that means something.
    fn understood(&mut self, setting: Setting, errors: &mut Vec<ConfigError>) -> Option<Said> {
        let Setting { words, value, source, .. } = setting;
        if let Some((key, word)) = keys::find(&words) {
            let (name, word) = (key.with(word), word.to_owned());
            return Some(Said { key, word, name, value, source });
        }
        let written = syntax::written(&words);
        let text = match keys::meaningless(&written) {
            Some(known) if known.is_refused => {
                format!("`{written}` cannot be set: {}", known.why)
            }
            Some(known) => {
                self.warnings.push(format!("{source}: `{written}` changes nothing: {}", known.why));
                return None;
            }
            None => match keys::nearest(&words) {
                Some(near) => format!("there is no key `{written}`; is it `{near}`?"),
                None => format!("there is no key `{written}` (`warren config keys` lists all)"),
            },
        };
        errors.push(ConfigError { source, text });
        None
    }

    /// What all of it comes to.
    fn settings(&self, errors: &mut Vec<ConfigError>) -> Settings {
        let mut settings = Settings::default();
        for said in &self.said {
            if let Err(error) = (said.key.set)(&mut settings, &said.word, &said.value) {
                let text = format!("{}: {error}", said.name);
                errors.push(ConfigError { source: said.source.clone(), text });
            }
        }
        settings
    }
}

/// Puts in place of each `$(NAME)` the value of that key, or else of that variable.
fn substituted(
    settings: Vec<Setting>,
    environment: &BTreeMap<String, String>,
    errors: &mut Vec<ConfigError>,
) -> Vec<Setting> {
    let names: BTreeMap<String, Setting> =
        settings.iter().map(|setting| (syntax::written(&setting.words), setting.clone())).collect();
    let mut done = settings;
    for setting in &mut done {
        match substitute(setting, &names, environment, 0) {
            Ok(value) => setting.value = value,
            Err(text) => errors.push(ConfigError { source: setting.source.clone(), text }),
        }
    }
    done
}

fn substitute(
    setting: &Setting,
    names: &BTreeMap<String, Setting>,
    environment: &BTreeMap<String, String>,
    depth: usize,
) -> Result<String, String> {
    let (mut value, mut rest) = (String::new(), setting.value.as_str());
    while !setting.is_literal
        && let Some((before, behind)) = rest.split_once("$(")
        && let Some((name, behind)) = behind.split_once(')')
    {
        let name = name.trim();
        if depth == SUBSTITUTIONS_MAX {
            return Err(format!("`$({name})` stands for itself in the end"));
        }
        value += before;
        value += &match (names.get(name), environment.get(name)) {
            (Some(other), _) => substitute(other, names, environment, depth + 1)?,
            (None, Some(variable)) => variable.clone(),
            (None, None) => {
                return Err(format!(
                    "`$({name})` stands for nothing: there is no variable {name} in the \
                     environment, and no such key in the configuration"
                ));
            }
        };
        rest = behind;
    }
    Ok(value + rest)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::size::Size;

    #[test]
    fn flags_count_over_the_environment_and_that_over_files() {
        let sources = |flags: &[(&'static str, &str, &str)], variables: &[(&str, &str)]| {
            let dir = TempDir::new().expect("a temporary directory");
            let text = "heartbeat = 1\nchannel_max = 1\nframe_max = 10000\n";
            let file = dir.path().join("warren.conf");
            fs::write(&file, text).expect("can be written");
            let loaded = Sources {
                files: vec![file],
                environment: owned(variables),
                flags: flags
                    .iter()
                    .map(|(flag, key, v)| (*flag, (*key).into(), (*v).into()))
                    .collect(),
            };
            let core = loaded.load().expect("is sound").settings.core;
            (core.heartbeat.as_secs(), core.channel_max, core.frame_max)
        };
        assert_eq!(sources(&[], &[]), (1, 1, 10_000));
        let variables = [("WARREN_HEARTBEAT", "2"), ("WARREN_CHANNEL_MAX", "2")];
        assert_eq!(sources(&[], &variables), (2, 2, 10_000));
        assert_eq!(sources(&[("--set", "heartbeat", "3")], &variables), (3, 2, 10_000));
    }

    #[test]
    fn what_is_said_of_listeners_further_up_takes_the_place_of_all_below() {
        let text = "listeners.tcp.one = 127.0.0.1:1\nlisteners.tcp.two = 2\nlisteners.ssl.x = 3\n";
        let addresses = |variables: &[(&str, &str)]| {
            let loaded = load(text, variables).expect("is sound");
            (loaded.tcp_addresses(), loaded.ssl_addresses())
        };
        let (port, socket) = (ListenAddress::Port, |text: &str| {
            ListenAddress::Socket(text.parse().expect("an address"))
        });
        assert_eq!(addresses(&[]), (vec![socket("127.0.0.1:1"), port(2)], vec![port(3)]));
        let variables = [("RABBITMQ_NODE_PORT", "4"), ("RABBITMQ_NODE_IP_ADDRESS", "::1")];
        assert_eq!(addresses(&variables), (vec![socket("[::1]:4")], vec![port(3)]));
        assert_eq!(load("listeners.tcp = none", &[]).expect("is sound").tcp_addresses(), []);
        assert_eq!(load("", &[]).expect("is sound").tcp_addresses(), [port(5672)]);
        let nothing = Sources::default().load().expect("is sound");
        assert_eq!(nothing.tcp_addresses(), [socket("127.0.0.1:5672")]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let text = "hartbeat = 30\nheartbeat = soon\n\n# fine\nwhat is this\nmqtt.vhost = /\n\
                    ssl_options.password = x\nlisteners.tcp.default = $(NO_SUCH)\n\
                    something.quite.different = 1\n";
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("warren.conf");
        fs::write(&file, text).expect("can be written");
        let sources = Sources {
            files: vec![file.clone()],
            environment: owned(&[("WARREN_FRAME_MAX", "1")]),
            flags: vec![("--memory", "vm_memory_high_watermark.absolute".into(), "lots".into())],
        };
        let errors = sources.load().expect_err("is wrong").to_string();
        let mut errors: Vec<_> = errors
            .lines()
            .map(|line| line.replace(file.to_str().expect("is UTF-8"), "F"))
            .collect();
        errors.sort();
        let expected = [
            "--memory: vm_memory_high_watermark.absolute: \"lots\" is no size, such as 512MiB, \
             1.5GiB, 2GB, 1000000 (bytes) or 40%",
            "F:1: there is no key `hartbeat`; is it `heartbeat`?",
            "F:2: heartbeat: `soon` is not a whole number from 0 to 65535",
            "F:5: `what is this` is no setting: it has no `=`",
            "F:7: `ssl_options.password` cannot be set: a private key that is encrypted cannot be \
             read",
            "F:8: `$(NO_SUCH)` stands for nothing: there is no variable NO_SUCH in the \
             environment, and no such key in the configuration",
            "F:8: listeners.tcp.default: `$(NO_SUCH)` is not a port, or an IP address and a port, \
             such as 127.0.0.1:5672",
            "F:9: there is no key `something.quite.different` (`warren config keys` lists all)",
            "WARREN_FRAME_MAX: frame_max: `1` is not 0, nor from 4096 to 4 GiB",
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn what_means_nothing_here_is_a_warning_each() {
        let loaded = load("mqtt.vhost = /\nnet_ticktime = 60\nheartbeat = 5\n", &[]);
        let loaded = loaded.expect("is sound");
        assert_eq!(loaded.settings.core.heartbeat, Duration::from_secs(5));
        let warnings: Vec<_> = loaded
            .warnings
            .iter()
            .map(|warning| warning.rsplit_once("conf:").expect("names the file").1)
            .collect();
        let expected = [
            "1: `mqtt.vhost` changes nothing: this protocol is not there yet",
            "2: `net_ticktime` changes nothing: it is about Erlang's runtime, which is not here",
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn values_come_from_variables_other_keys_and_files() {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("warren.conf");
        fs::write(dir.path().join("secret"), "hunter$(2)\n").expect("can be written");
        let text = "default_user = $(NAME)-$( cluster_name )\ncluster_name = '$(NAME)s'\n\
                    default_pass = $(<secret)\ndefault_vhost = $(open\n";
        fs::write(&file, text).expect("can be written");
        let environment = owned(&[("NAME", "rabbit$(X)")]);
        let sources = Sources { files: vec![file], environment, flags: Vec::new() };
        let first = sources.load().expect("is sound").settings.first_user;
        assert_eq!(first.name, "rabbit$(X)-rabbit$(X)s");
        assert_eq!(first.password, "hunter$(2)");
        assert_eq!(first.vhost, "$(open");
    }

    #[test]
    fn what_stands_for_itself_is_refused() {
        let error = load("default_user = $(cluster_name)\ncluster_name = $(default_user)\n", &[]);
        let error = error.expect_err("goes round in a circle").to_string();
        assert!(error.contains("stands for itself in the end"), "{error}");
    }

    #[test]
    fn the_variables_of_rabbitmq_s_image_are_known() {
        let variables = [
            ("RABBITMQ_DEFAULT_USER", "bunny"),
            ("RABBITMQ_DEFAULT_PASS", "hunter2"),
            ("RABBITMQ_DEFAULT_VHOST", "burrow"),
            ("RABBITMQ_NODENAME", "rabbit@host"),
            ("RABBITMQ_MNESIA_BASE", "/var/lib/rabbitmq/mnesia"),
            ("RABBITMQ_LOGS", "-"),
            ("RABBITMQ_LOG", "debug,+color"),
            ("RABBITMQ_ERLANG_COOKIE", "cookie"),
            ("RABBITMQ_SERVICE_HOST", "10.0.0.1"),
            ("RABBITMQ_NODE_PORT", ""),
        ];
        let loaded = load("", &variables).expect("is sound");
        let settings = &loaded.settings;
        assert_eq!(settings.first_user.name, "bunny");
        assert_eq!(settings.first_user.password, "hunter2");
        assert_eq!(settings.first_user.vhost, "burrow");
        assert_eq!(settings.core.node_name, "rabbit@host");
        assert_eq!(settings.data_dir, Path::new("/var/lib/rabbitmq/mnesia/warren"));
        assert_eq!(settings.log.console_level(), tracing::level_filters::LevelFilter::DEBUG);
        assert_eq!(loaded.tcp_addresses(), [ListenAddress::Port(5672)]);
        let expected = ["RABBITMQ_ERLANG_COOKIE changes nothing: there is no Erlang here"];
        assert_eq!(loaded.warnings, expected);
    }

    #[test]
    fn what_takes_a_start_to_change_is_told() {
        let before = load("heartbeat = 5\nlog.console.level = debug\nchannel_max = 7", &[]);
        let after = load("heartbeat = 6\nlog.console.level = info\nframe_max = 4096", &[]);
        let (before, after) = (before.expect("is sound"), after.expect("is sound"));
        let expected = ["channel_max", "frame_max", "heartbeat"];
        assert_eq!(before.changes_for_a_start(&after), expected);
        assert_eq!(after.changes_for_a_start(&after), [""; 0]);
    }

    #[test]
    fn memory_is_said_in_one_way_at_a_time() {
        let text = "vm_memory_high_watermark.relative = 0.6\n";
        assert_eq!(load(text, &[]).expect("is sound").settings.memory, Size::Percent(60.0));
        let variable = [("WARREN_VM_MEMORY_HIGH_WATERMARK_ABSOLUTE", "1GiB")];
        let loaded = load(text, &variable).expect("is sound");
        assert_eq!(loaded.settings.memory, Size::Bytes(1 << 30));
    }

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("warren.conf");
        fs::write(&file, text).expect("can be written");
        let environment = owned(variables);
        Sources { files: vec![file], environment, flags: Vec::new() }.load()
    }

    fn owned(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
