//! Definitions, to and from files.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use hyper::Method;
use serde_json::Value;

use super::call::{Call, joined};
use super::client::Asked;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;

pub(super) async fn export(call: &Call) -> Answer {
    check_format(call)?;
    let file = call.arg("file");
    let parent = Path::new(file).parent().filter(|dir| !dir.as_os_str().is_empty());
    if let Some(dir) = parent.filter(|dir| file != "-" && !dir.exists()) {
        return Err(Failure::argument(format!("Directory {} does not exist", dir.display())));
    }
    if file != "-" {
        call.banner(format!("Exporting definitions in JSON to a file at \"{file}\" ..."));
    }
    let path = joined(&["definitions"]);
    let found = call.send(Asked::new(Method::GET, &path)).await?;
    let body = call.settled(found)?.body;
    if file == "-" {
        return Ok(Output::Raw(body.to_vec()));
    }
    fs::write(file, &body)
        .map_err(|error| Failure::data(format!("Could not write to file {file}: {error}")))?;
    Ok(Output::Done)
}

pub(super) async fn import(call: &Call) -> Answer {
    check_format(call)?;
    let text = match call.maybe("file").filter(|file| *file != "-") {
        None => {
            call.banner("Importing definitions in JSON from standard input ...");
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map(|_| text)
        }
        Some(file) if !Path::new(file).exists() => {
            return Err(Failure::argument(format!("File {file} does not exist")));
        }
        Some(file) => {
            call.banner(format!("Importing definitions in JSON from a file at \"{file}\" ..."));
            fs::read(file)
        }
    };
    let name = call.maybe("file").unwrap_or("-");
    let text =
        text.map_err(|error| Failure::data(format!("Could not read from file {name}: {error}")))?;
    if text.is_empty() {
        return Err(Failure::data(format!("File {name} is zero-sized")));
    }
    if let Err(error) = serde_json::from_slice::<Value>(&text) {
        let text = format!("Failed to deserialise input (format: JSON) (error: {error})");
        return Err(Failure::data(text));
    }
    call.post(&["definitions"], text).await?;
    match call.options.is_quiet || call.options.format.is_json() {
        true => Ok(Output::Done),
        false => Ok(Output::Text("Successfully imported the definitions.".to_owned())),
    }
}

fn check_format(call: &Call) -> Result<(), Failure> {
    match call.maybe("format").map(str::to_ascii_lowercase).as_deref() {
        None | Some("json") => Ok(()),
        Some(_) => Err(Failure::argument("Format should be json")),
    }
}
