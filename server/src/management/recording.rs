//! Recordings of what went into the broker: which there are, parts of them for who wants to have
//! one elsewhere, and whether there is to be one of the next start, or of one that comes now, or no
//! more of this one. What all that means is in [`crate::recordings`].

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::call::{Answer, Call, Failure, Reply};
use crate::recordings::Recordings;

/// No part is longer, in bytes.
const PART_LEN_MAX: u64 = 4 << 20;

/// How long who asks for a restart has to be told that it comes, before it does.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// The recordings that there are, and what is recorded now and by the next start.
pub(super) async fn list(call: Call) -> Answer {
    let recordings = &call.state.node.recordings;
    let (dir, current) = (recordings.dir(), recordings.current());
    let mut files: Vec<Value> = found(&dir)
        .map_err(unreadable)?
        .into_iter()
        .map(|(name, about)| {
            let is_current = current.as_ref() == Some(&name);
            json!({
                "name": name, "bytes": about.len(), "modified": ms(&about), "current": is_current,
            })
        })
        .collect();
    files.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(Reply::Json(json!({
        "recording": recordings.is_recording(),
        "configured": recordings.is_configured(),
        "next": recordings.is_next(),
        "directory": dir.display().to_string(),
        "files": files,
    })))
}

/// Has the next start recorded, or not.
pub(super) async fn set_next(call: Call, is_asked_for: bool) -> Answer {
    let recordings = &call.state.node.recordings;
    if recordings.is_configured() {
        let text = "each start is recorded, as the configuration says (warren.record)";
        return Err(Failure::bad_request(text));
    }
    set_next_start(recordings, is_asked_for).await?;
    Ok(Reply::Done)
}

/// What is said is on disk when this returns.
async fn set_next_start(recordings: &Recordings, is_asked_for: bool) -> Result<(), Failure> {
    let recordings = recordings.clone();
    let set = tokio::task::spawn_blocking(move || recordings.set_next(is_asked_for)).await;
    let set = set.map_err(|error| Failure::unavailable(error.to_string()))?;
    set.map_err(|error| Failure::unavailable(format!("that cannot be written down: {error}")))
}

/// Has the broker start anew, in the same process, and has that start recorded.
pub(super) async fn restart(call: Call) -> Answer {
    let node = &call.state.node;
    if node.recordings.is_recording() {
        let name = node.recordings.current().unwrap_or_default();
        let text = format!("this start is recorded already, to {name}: end that recording first");
        return Err(Failure::bad_request(text));
    }
    if !node.recordings.is_configured() {
        set_next_start(&node.recordings, true).await?;
    }
    let restart = node.restart.clone();
    spawn_local(async move {
        sleep(ANSWER_TIME).await;
        restart.ask();
    });
    Ok(Reply::Status(StatusCode::ACCEPTED, json!({ "restarting": true })))
}

/// Ends the recording of this start.
pub(super) async fn stop(call: Call) -> Answer {
    let recordings = call.state.node.recordings.clone();
    if !recordings.is_recording() {
        return Err(Failure::no_object());
    }
    let reason = format!("it was ended by {}", call.user.name);
    let stop = tokio::task::spawn_blocking(move || recordings.stop(&reason)).await;
    stop.map_err(|error| Failure::unavailable(error.to_string()))?;
    Ok(Reply::Done)
}

/// Up to [`PART_LEN_MAX`] bytes of a recording, from `offset` of the query on. None are left where
/// there are fewer.
pub(super) async fn part(call: Call) -> Answer {
    let dir = call.state.node.recordings.dir();
    let wanted = call.param("name").unwrap_or_default();
    // A name only ever is compared with those that are there.
    let known = found(&dir).map_err(unreadable)?;
    let (name, _) = known.iter().find(|(name, _)| name == wanted).ok_or_else(Failure::no_object)?;
    let offset = match call.query.get("offset") {
        Some(offset) => offset.parse().map_err(|_| Failure::bad_request("invalid offset"))?,
        None => 0,
    };
    let path = dir.join(name);
    let read = tokio::task::spawn_blocking(move || read_part(path, offset)).await;
    let read = read.map_err(|error| Failure::unavailable(error.to_string()))?;
    Ok(Reply::Bytes(read.map_err(unreadable)?))
}

fn read_part(path: PathBuf, offset: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut part = vec![0; left.min(PART_LEN_MAX) as usize];
    file.read_exact_at(&mut part, offset)?;
    Ok(part)
}

/// The recordings of a directory, by their names. One that is not there has none.
fn found(dir: &Path) -> io::Result<Vec<(String, Metadata)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let about = entry.metadata()?;
        if let (true, Ok(name)) = (about.is_file(), entry.file_name().into_string())
            && name.ends_with(".recording")
        {
            found.push((name, about));
        }
    }
    Ok(found)
}

fn ms(about: &Metadata) -> u64 {
    let modified = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    modified.unwrap_or_default().as_millis() as u64
}

fn unreadable(error: io::Error) -> Failure {
    Failure::unavailable(format!("the recordings cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_recording_is_read_in_parts_and_nothing_else_is_one() {
        let dir = TempDir::new().expect("a temporary directory");
        let name = "000001.recording";
        fs::write(dir.path().join(name), b"warrenFR").expect("can be written");
        fs::write(dir.path().join("secret"), b"x").expect("can be written");
        assert_eq!(found(&dir.path().join("none")).expect("is none").len(), 0);
        let names: Vec<_> = found(dir.path()).expect("is there").into_iter().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].0, name);
        let read = |offset| read_part(dir.path().join(name), offset).expect("can be read");
        assert_eq!(read(0), b"warrenFR");
        assert_eq!(read(6), b"FR");
        assert_eq!(read(100), b"");
    }
}
