//! Which files there are to read, and what stands in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::syntax::{self, Line};
use super::{ConfigError, Setting, Source};

/// How deep files may include others.
const DEPTH_MAX: usize = 8;

/// Reads files, and those of directories that end in `.conf`, by name; says which these are, and
/// those that they include.
pub(super) fn read(
    paths: &[PathBuf],
    errors: &mut Vec<ConfigError>,
) -> (Vec<Setting>, Vec<PathBuf>) {
    let mut reader = Reader { settings: Vec::new(), files: Vec::new(), errors, depth: 0 };
    for path in paths {
        reader.read_path(path);
    }
    (reader.settings, reader.files)
}

struct Reader<'a> {
    settings: Vec<Setting>,
    files: Vec<PathBuf>,
    errors: &'a mut Vec<ConfigError>,
    depth: usize,
}

impl Reader<'_> {
    fn read_path(&mut self, path: &Path) {
        let mut with_end = path.as_os_str().to_owned();
        with_end.push(".conf");
        let with_end = Path::new(&with_end);
        if path.is_dir() {
            self.read_matching(&path.join("*.conf"));
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains('*')) {
            self.read_matching(path);
        } else if !path.exists() && with_end.exists() {
            // RabbitMQ's variable may name a file without its end.
            self.read_file(with_end);
        } else {
            self.read_file(path);
        }
    }

    /// Reads all files of a directory whose names are like the last part of the path, by name.
    /// None is none too few.
    fn read_matching(&mut self, pattern: &Path) {
        let dir = pattern.parent().unwrap_or(Path::new(""));
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let name = pattern.file_name().unwrap_or_default().to_string_lossy();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.fail(dir.into(), 0, format!("cannot be read: {error}")),
        };
        let files = entries.filter_map(Result::ok).map(|entry| entry.path());
        let is_like = |path: &PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            is_like(&file, &name) && path.is_file()
        };
        let mut files: Vec<_> = files.filter(is_like).collect();
        files.sort();
        for file in files {
            self.read_file(&file);
        }
    }

    fn read_file(&mut self, path: &Path) {
        let place: Rc<Path> = path.into();
        if path.extension().is_some_and(|end| end == "config") {
            let text = "is in Erlang's format, which is not read; write it as `key = value`";
            return self.fail(place, 0, text.into());
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.fail(place, 0, format!("cannot be read: {error}")),
        };
        self.files.push(path.into());
        let parsed = syntax::parse(&text);
        for (line, error) in parsed.errors {
            self.fail(Rc::clone(&place), line, error);
        }
        for (line, said) in parsed.lines {
            match said {
                Line::Setting { key, value } => self.set(&place, line, key, value),
                Line::Include(included) if self.depth < DEPTH_MAX => {
                    self.depth += 1;
                    self.read_path(&beside(path, &included));
                    self.depth -= 1;
                }
                Line::Include(_) => {
                    let text = "files include each other too deeply, or in a circle";
                    self.fail(Rc::clone(&place), line, text.into());
                }
            }
        }
    }

    fn set(&mut self, place: &Rc<Path>, line: usize, words: Vec<String>, value: String) {
        let file = value.strip_prefix("$(<").and_then(|rest| rest.strip_suffix(')'));
        let content =
            file.map(|file| (file.trim(), fs::read_to_string(beside(place, file.trim()))));
        let (value, is_literal) = match content {
            None => (value, false),
            Some((_, Ok(text))) => (without_end(&text).to_owned(), true),
            Some((file, Err(error))) => {
                let text = format!("`{file}` cannot be read: {error}");
                return self.fail(Rc::clone(place), line, text);
            }
        };
        let source = Source::File(Rc::clone(place), line);
        self.settings.push(Setting { words, value, is_literal, source });
    }

    fn fail(&mut self, path: Rc<Path>, line: usize, text: String) {
        self.errors.push(ConfigError { source: Source::File(path, line), text });
    }
}

/// A path as a file has it: from where that file is.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// A text without the end of its last line.
pub(super) fn without_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Whether a name is like a pattern, in which a `*` stands for anything.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut name) = name.strip_prefix(begin) else { return false };
    loop {
        if is_like(name, rest) {
            return true;
        }
        let Some(character) = name.chars().next() else { return false };
        name = &name[character.len_utf8()..];
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_are_read_in_order_and_those_of_directories_by_name() {
        let dir = with_files(&[
            ("main.conf", "a = 1\ninclude more/*.conf\nb = 2\n"),
            ("more/2.conf", "d = 4\n"),
            ("more/1.conf", "c = 3\n"),
            ("more/3.txt", "no = 0\n"),
            ("conf.d/z.conf", "e = 5\n"),
        ]);
        let at = |name: &str| dir.path().join(name);
        let mut errors = Vec::new();
        let paths = [at("main"), at("conf.d"), at("none.d/*.conf"), at("con*.d")];
        let (settings, files) = read(&paths, &mut errors);
        assert!(errors.is_empty(), "{errors:?}");
        let told: Vec<_> =
            settings.iter().map(|s| format!("{} {} {}", s.words[0], s.value, s.source)).collect();
        let expected = [
            ("a 1", "main.conf:1"),
            ("c 3", "more/1.conf:1"),
            ("d 4", "more/2.conf:1"),
            ("b 2", "main.conf:3"),
            ("e 5", "conf.d/z.conf:1"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(said, place)| format!("{said} {}/{place}", dir.path().display()))
            .collect();
        assert_eq!(told, expected);
        let names = ["main.conf", "more/1.conf", "more/2.conf", "conf.d/z.conf"];
        assert_eq!(files, names.map(at));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let dir = with_files(&[
            ("circle.conf", "include circle.conf\n"),
            ("rabbitmq.config", "[]."),
            ("missing.conf", "a = $(<nothing)\n"),
        ]);
        let at = |name: &str| dir.path().join(name);
        let errors = |path: PathBuf| {
            let mut errors = Vec::new();
            assert!(read(&[path], &mut errors).0.is_empty());
            let [error] = &errors[..] else { panic!("{errors:?}") };
            format!("{}: {}", error.source, error.text)
        };
        assert!(errors(at("none.conf")).contains("none.conf: cannot be read: "));
        assert!(errors(at("circle.conf")).ends_with("too deeply, or in a circle"));
        assert!(errors(at("rabbitmq.config")).contains("is in Erlang's format"));
        assert!(errors(at("missing.conf")).contains("missing.conf:1: `nothing` cannot be read"));
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (name, pattern) in [("a.conf", "*.conf"), ("a.conf", "*"), ("abc", "a*b*c"), ("a", "a")]
        {
            assert!(is_like(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [("a.conf~", "*.conf"), ("ab", "a*b*c"), ("", "a*")] {
            assert!(!is_like(name, pattern), "{name} {pattern}");
        }
    }

    fn with_files(files: &[(&str, &str)]) -> TempDir {
        let dir = TempDir::new().expect("a temporary directory");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("is below")).expect("can be made");
            fs::write(path, text).expect("can be written");
        }
        dir
    }
}
