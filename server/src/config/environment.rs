//! What variables of the environment say: those of RabbitMQ, as its image for containers has them,
//! and `WARREN_` with the name of any key.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{ConfigError, Setting, Source, files, keys, syntax};

/// What a variable of RabbitMQ is.
enum Variable {
    /// The value of a key.
    Key(&'static str),
    /// A file that has the value of a key.
    File(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

const NO_ERLANG: &str = "there is no Erlang here";
const NO_PLUGINS: &str = "what there is needs no enabling";

const VARIABLES: [(&str, Variable); 20] = [
    ("RABBITMQ_DEFAULT_USER", Variable::Key("default_user")),
    ("RABBITMQ_DEFAULT_PASS", Variable::Key("default_pass")),
    ("RABBITMQ_DEFAULT_VHOST", Variable::Key("default_vhost")),
    ("RABBITMQ_DEFAULT_USER_FILE", Variable::File("default_user")),
    ("RABBITMQ_DEFAULT_PASS_FILE", Variable::File("default_pass")),
    ("RABBITMQ_NODENAME", Variable::Key("warren.node_name")),
    ("RABBITMQ_MNESIA_DIR", Variable::Key("warren.data_dir")),
    ("RABBITMQ_ADVANCED_CONFIG_FILE", Variable::Nothing("Erlang's format is not read")),
    ("RABBITMQ_CONF_ENV_FILE", Variable::Nothing("variables come from the environment only")),
    ("RABBITMQ_ENABLED_PLUGINS", Variable::Nothing(NO_PLUGINS)),
    ("RABBITMQ_ENABLED_PLUGINS_FILE", Variable::Nothing(NO_PLUGINS)),
    ("RABBITMQ_PLUGINS_DIR", Variable::Nothing(NO_PLUGINS)),
    ("RABBITMQ_LOG_BASE", Variable::Key("log.dir")),
    ("RABBITMQ_DIST_PORT", Variable::Nothing(NO_ERLANG)),
    ("RABBITMQ_ERLANG_COOKIE", Variable::Nothing(NO_ERLANG)),
    ("RABBITMQ_SERVER_ERL_ARGS", Variable::Nothing(NO_ERLANG)),
    ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", Variable::Nothing(NO_ERLANG)),
    ("RABBITMQ_CTL_ERL_ARGS", Variable::Nothing(NO_ERLANG)),
    ("RABBITMQ_IO_THREAD_POOL_SIZE", Variable::Nothing(NO_ERLANG)),
    ("RABBITMQ_USE_LONGNAME", Variable::Nothing(NO_ERLANG)),
];

/// The files that variables name: what counts more behind the others.
pub(super) fn files(environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let named = |name: &str| {
        let ours = said(environment, &format!("WARREN_{name}"));
        ours.or_else(|| said(environment, &format!("RABBITMQ_{name}"))).map(PathBuf::from)
    };
    // The second is a directory, which need not be there, or a pattern.
    let more = named("CONFIG_FILES").map(|path| match path.extension() {
        Some(end) if end == "conf" => path,
        _ => path.join("*.conf"),
    });
    named("CONFIG_FILE").into_iter().chain(more).collect()
}

/// What variables say of keys, and what should be known of those that say nothing.
pub(super) fn settings(
    environment: &BTreeMap<String, String>,
    errors: &mut Vec<ConfigError>,
) -> (Vec<Setting>, Vec<String>) {
    let (mut settings, mut notes) = (Vec::new(), Vec::new());
    for (name, variable) in VARIABLES {
        let Some(value) = said(environment, name) else { continue };
        match variable {
            Variable::Key(key) => settings.push(setting(name, key, value.to_owned())),
            Variable::File(key) => match fs::read_to_string(value) {
                Ok(text) => {
                    settings.push(setting(name, key, files::without_end(&text).to_owned()));
                }
                Err(error) => errors.push(ConfigError {
                    source: Source::Variable(name.to_owned()),
                    text: format!("`{value}` cannot be read: {error}"),
                }),
            },
            Variable::Nothing(why) => notes.push(format!("{name} changes nothing: {why}")),
        }
    }
    settings.extend(base(environment));
    settings.extend(listener(environment));
    settings.extend(log_file(environment));
    settings.extend(log_level(environment));
    settings.extend(by_key(environment));
    (settings, notes)
}

/// A variable that says something.
fn said<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn setting(variable: &str, key: &str, value: String) -> Setting {
    let words = syntax::words(key).expect("is written down here or in the table of keys");
    let source = Source::Variable(variable.to_owned());
    Setting { words, value, is_literal: true, source }
}

/// RabbitMQ has a directory for each node in this one, with the name of the host. Here the data
/// are where they are, whatever the host is called.
fn base(environment: &BTreeMap<String, String>) -> Option<Setting> {
    let name = "RABBITMQ_MNESIA_BASE";
    let is_named = said(environment, "RABBITMQ_MNESIA_DIR").is_some();
    let base = said(environment, name).filter(|_| !is_named)?;
    let dir = PathBuf::from(base).join("warren").to_string_lossy().into_owned();
    Some(setting(name, "warren.data_dir", dir))
}

/// The address and the port of the listener, either of which may be missing.
fn listener(environment: &BTreeMap<String, String>) -> Option<Setting> {
    let (ip, port) = ("RABBITMQ_NODE_IP_ADDRESS", "RABBITMQ_NODE_PORT");
    let given = said(environment, ip).filter(|ip| *ip != "auto");
    let number = said(environment, port);
    let (variable, address) = match (given, number) {
        (None, None) => return None,
        (None, Some(number)) => (port, number.to_owned()),
        (Some(given), number) => (ip, format!("{given}:{}", number.unwrap_or("5672"))),
    };
    Some(setting(variable, "listeners.tcp.default", address))
}

/// Where logs go: to a file, or, as `-`, to standard error, where they go anyway.
fn log_file(environment: &BTreeMap<String, String>) -> Option<Setting> {
    let name = "RABBITMQ_LOGS";
    let file = said(environment, name).map(|logs| if logs == "-" { "false" } else { logs })?;
    Some(setting(name, "log.file", file.to_owned()))
}

/// What is logged: a level, with those of categories and colors beside it.
fn log_level(environment: &BTreeMap<String, String>) -> Option<Setting> {
    let name = "RABBITMQ_LOG";
    let mut words = said(environment, name)?.split(',').map(str::trim);
    let level = words.find(|word| !word.starts_with(['+', '-']) && !word.contains(['.', '=']))?;
    Some(setting(name, "log.console.level", level.to_owned()))
}

/// `WARREN_` and the name of a key.
fn by_key(environment: &BTreeMap<String, String>) -> Vec<Setting> {
    let variables = keys::all().filter_map(|key| {
        let name = variable(key)?;
        let value = said(environment, &name)?.to_owned();
        Some(setting(&name, &key.with("default"), value))
    });
    variables.collect()
}

/// The variable that sets a key. Keys of which there may be many have none, but for the first
/// listener.
pub(super) fn variable(key: &keys::Key) -> Option<String> {
    let name = key.name.strip_prefix("warren.").unwrap_or(key.name);
    let name = match name.split_once('$') {
        Some((begin, "name")) => format!("{begin}default"),
        Some(_) => return None,
        None => name.to_owned(),
    };
    Some(format!("WARREN_{}", name.replace('.', "_").to_ascii_uppercase()))
}
