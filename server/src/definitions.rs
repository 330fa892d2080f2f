//! Definitions that a start imports: which files they are in, what stands there, and whether that
//! is what was imported last.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What is said of definitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DefinitionSettings {
    /// A file, or a directory of files.
    pub(crate) load: Option<PathBuf>,
    /// Whether there is to be a source of the newer form, which is this path.
    pub(crate) is_local: bool,
    /// The path of that source.
    pub(crate) local_path: Option<PathBuf>,
    /// Whether nothing is imported that was imported last.
    pub(crate) skip_if_unchanged: bool,
}

impl DefinitionSettings {
    /// Where definitions are; none if nothing is said.
    ///
    /// # Errors
    /// When what is said is half of what it takes.
    fn paths(&self) -> Result<Vec<&Path>, String> {
        match (self.is_local, &self.local_path) {
            (true, None) => {
                return Err(
                    "definitions.import_backend is set, and definitions.local.path, which \
                            says where they are, is not"
                        .into(),
                );
            }
            (false, Some(_)) => {
                return Err(
                    "definitions.local.path is set, and definitions.import_backend is not: \
                            it takes definitions.import_backend = local_filesystem"
                        .into(),
                );
            }
            _ => {}
        }
        Ok(self.load.iter().chain(&self.local_path).map(PathBuf::as_path).collect())
    }

    /// Whether there are any: then they say who and what is there at first, and nothing else does.
    pub(crate) fn is_any(&self) -> bool {
        self.load.is_some() || self.local_path.is_some()
    }
}

/// What is to be imported.
#[derive(Debug)]
pub(crate) struct Definitions {
    /// Each with its file, in the order in which they are imported.
    pub(crate) files: Vec<(PathBuf, Map<String, Value>)>,
    /// Says the same of the same contents only.
    pub(crate) digest: String,
    /// Whether nothing is imported that was imported last.
    pub(crate) skip_if_unchanged: bool,
}

impl Definitions {
    /// Reads those that settings name; `None` if they name none.
    ///
    /// # Errors
    /// What cannot be read, and why.
    pub(crate) fn read(settings: &DefinitionSettings) -> Result<Option<Self>, String> {
        let paths = settings.paths()?;
        if paths.is_empty() {
            return Ok(None);
        }
        let (mut files, mut digest) = (Vec::new(), Sha256::new());
        for path in paths {
            for file in files_of(path)? {
                let text = fs::read(&file).map_err(|error| unusable(&file, &error))?;
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(&text);
                files.push(parsed(file, &text)?);
            }
        }
        let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let skip_if_unchanged = settings.skip_if_unchanged;
        Ok(Some(Self { files, digest, skip_if_unchanged }))
    }
}

/// The file itself, or all of a directory that end in `.json`, by name.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| unusable(path, &error))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let is_json = |file: &PathBuf| file.extension().is_some_and(|end| end == "json");
    let mut files: Vec<_> = files.filter(is_json).collect();
    files.sort();
    Ok(files)
}

fn parsed(file: PathBuf, text: &[u8]) -> Result<(PathBuf, Map<String, Value>), String> {
    // As in RabbitMQ, an empty file says nothing.
    if text.trim_ascii().is_empty() {
        return Ok((file, Map::new()));
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok((file, object)),
        Ok(_) => Err(unusable(&file, &"it is not a JSON object")),
        Err(error) => Err(unusable(&file, &format!("it is not JSON: {error}"))),
    }
}

/// Why definitions cannot be imported.
pub(crate) fn unusable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("cannot import definitions from {}: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn read(load: &Path) -> Result<Definitions, String> {
        let settings = DefinitionSettings { load: Some(load.to_owned()), ..<_>::default() };
        Definitions::read(&settings).map(|read| read.expect("some are named"))
    }

    #[test]
    fn a_directory_is_read_by_name_and_a_change_shows() {
        let dir = TempDir::new().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).expect("can be written");
        };
        write("2.json", r#"{"users": []}"#);
        write("1.json", " \n");
        write("other.txt", "no");
        let first = read(dir.path()).expect("is sound");
        let names = first.files.iter().map(|(file, _)| file.file_name().expect("a name"));
        assert!(names.eq(["1.json", "2.json"]));
        assert_eq!(read(dir.path()).expect("is sound").digest, first.digest);
        write("1.json", "{}");
        assert_ne!(read(dir.path()).expect("is sound").digest, first.digest);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("d.json");
        let error = read(&file).expect_err("is not there");
        assert!(error.contains("d.json: No such file"), "{error}");
        fs::write(&file, "{\n\"users\": oops}").expect("can be written");
        let error = read(&file).expect_err("is no JSON");
        assert!(error.contains("it is not JSON") && error.contains("line 2"), "{error}");
        fs::write(&file, "[]").expect("can be written");
        assert!(read(&file).expect_err("is no object").ends_with("it is not a JSON object"));
    }

    #[test]
    fn half_of_what_it_takes_is_an_error() {
        let half = DefinitionSettings { is_local: true, ..<_>::default() };
        assert!(Definitions::read(&half).is_err());
        let half = DefinitionSettings { local_path: Some("d".into()), ..<_>::default() };
        assert!(Definitions::read(&half).is_err());
        let none = Definitions::read(&DefinitionSettings::default());
        assert!(none.expect("is sound").is_none());
    }
}
