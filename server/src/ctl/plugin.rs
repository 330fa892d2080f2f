//! `rabbitmq-plugins`: what RabbitMQ has as plugins is built in, or is not there. No broker need
//! run.

use regex_lite::Regex;
use serde_json::json;

use super::call::Call;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use crate::management::{PLUGINS, RABBITMQ_VERSION};

pub(super) async fn list(call: &Call) -> Answer {
    let pattern = call.maybe("pattern").unwrap_or(".*");
    let wanted = Regex::new(pattern).map_err(Failure::argument)?;
    if call.is_set("verbose") && call.is_set("minimal") {
        return Err(Failure::argument("Cannot set both verbose and minimal"));
    }
    call.banner(format!("Listing plugins with pattern \"{pattern}\" ..."));
    // All are enabled by themselves, none for another.
    let all = PLUGINS.into_iter().filter(|(name, _)| wanted.is_match(name));
    let all: Vec<_> = all.filter(|_| !call.is_set("implicitly-enabled")).collect();
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = all.iter().map(|(name, about)| {
        if call.is_set("minimal") {
            return (*name).to_owned();
        }
        match call.is_set("verbose") {
            true => format!(
                "[E*] {name}\n     Version:     \t{RABBITMQ_VERSION}\n     Dependencies:\t[]\n     \
                 Description: \t{about}"
            ),
            false => format!("[E*] {name:<width$} {RABBITMQ_VERSION}"),
        }
    });
    let mut text: Vec<String> = Vec::new();
    if !call.is_set("minimal") && !call.options.is_quiet {
        text.push(" Configured: E = explicitly enabled; e = implicitly enabled".to_owned());
        text.push(format!(" | Status: * = running on {}", call.expected_node()));
        text.push(" |/".to_owned());
    }
    text.extend(lines);
    let plugins = all.iter().map(|(name, _)| {
        json!({ "name": name, "enabled": "enabled", "running": true, "version": RABBITMQ_VERSION })
    });
    let json = json!({ "status": "running", "plugins": plugins.collect::<Vec<_>>() });
    Ok(Output::Either(text.join("\n"), json))
}

pub(super) async fn enable(call: &Call) -> Answer {
    let wanted = wanted(call)?;
    let node = call.expected_node();
    call.banner(format!("Enabling plugins on node {node}:\n{}", wanted.join("\n")));
    let unknown: Vec<_> = wanted.into_iter().filter(|name| !is_there(name)).collect();
    if !unknown.is_empty() {
        return Err(Failure::data(format!(
            "The following plugins are not there: {}. What Warren has of RabbitMQ's plugins is \
             built in: `rabbitmq-plugins list` shows it",
            unknown.join(", ")
        )));
    }
    Ok(Output::Text("Plugin configuration unchanged.".to_owned()))
}

pub(super) async fn disable(call: &Call) -> Answer {
    let wanted = wanted(call)?;
    let node = call.expected_node();
    call.banner(format!("Disabling plugins on node {node}:\n{}", wanted.join("\n")));
    let known: Vec<_> = wanted.into_iter().filter(|name| is_there(name)).collect();
    if !known.is_empty() {
        let text = format!("The following plugins are built in: {}", known.join(", "));
        return Err(Failure::unavailable(text));
    }
    Ok(Output::Text("Plugin configuration unchanged.".to_owned()))
}

pub(super) async fn is_enabled(call: &Call) -> Answer {
    let wanted = call.all("plugin");
    let node = call.expected_node();
    let names = |begin: &str, names: &[&str]| match names {
        [name] => format!("{begin} {name} is"),
        names => format!("{begin}s {} are", names.join(", ")),
    };
    call.banner(format!("Asking node {node} if {} enabled...", names("plugin", &wanted)));
    let missing: Vec<_> = wanted.iter().copied().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(Output::Text(format!("{} enabled on node {node}", names("Plugin", &wanted))));
    }
    let all: Vec<_> = PLUGINS.iter().map(|(name, _)| *name).collect();
    Err(Failure::unavailable(format!(
        "{} not enabled on node {node}. Enabled plugins and dependencies: {}",
        names("Plugin", &missing),
        all.join(", ")
    )))
}

pub(super) async fn directories(_call: &Call) -> Answer {
    Ok(Output::Text("There are no files of plugins: what there is is built in.".to_owned()))
}

/// The plugins that a command line names.
fn wanted(call: &Call) -> Result<Vec<&str>, Failure> {
    // `set` has no such option.
    let is_all = call.name != "set" && call.is_set("all");
    match (is_all, call.all("plugin")) {
        (true, named) if named.is_empty() => Ok(PLUGINS.iter().map(|(name, _)| *name).collect()),
        (true, _) => Err(Failure::argument("Cannot set both --all and a list of plugins")),
        (false, named) if named.is_empty() && call.name != "set" => {
            Err(Failure::usage("Error (argument validation): not enough arguments."))
        }
        (false, named) => Ok(named),
    }
}

fn is_there(name: &str) -> bool {
    PLUGINS.iter().any(|(known, _)| *known == name)
}
