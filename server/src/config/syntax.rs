//! The text of a configuration file: RabbitMQ's `key = value`, as its parser (cuttlefish) reads it.
//!
//! A key is words with dots between them; `\.` is a dot within a word. A value ends with its line,
//! or with a `#`, which begins a comment. In single quotes it may have any character but those; in
//! three of them on either side it may be of several lines. Double quotes are characters like any
//! other. `include PATH` stands for the lines of other files.

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `key = value`.
    Setting { key: Vec<String>, value: String },
    /// `include PATH`, where the last part of the path may have a `*`.
    Include(String),
}

/// What a file says, and what of it cannot be read, each with the number of its line.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) lines: Vec<(usize, Line)>,
    pub(super) errors: Vec<(usize, String)>,
}

/// Reads all of it: what is wrong with one line says nothing of the next.
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let (mut rest, mut number) = (text.strip_prefix('\u{feff}').unwrap_or(text), 1);
    while !rest.is_empty() {
        let len = match read_line(rest) {
            Ok((line, len)) => {
                parsed.lines.extend(line.map(|line| (number, line)));
                len
            }
            Err(error) => {
                parsed.errors.push((number, error));
                0
            }
        };
        // Up to the end of the line that the value ended on.
        let len = len + line_len(&rest[len..]);
        number += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    parsed
}

/// The key that stands for these words, as a file has it.
pub(super) fn written(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.replace('.', "\\.")).collect();
    words.join(".")
}

/// The words of a key.
pub(super) fn words(key: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let mut characters = key.chars();
    while let Some(character) = characters.next() {
        let word = words.last_mut().expect("has one from the start");
        match character {
            '.' => words.push(String::new()),
            '\\' if characters.as_str().starts_with('.') => {
                characters.next();
                word.push('.');
            }
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => word.push(character),
            _ => return Err(format!("`{key}` is no key: {character:?} cannot be in one")),
        }
    }
    match words.iter().any(String::is_empty) {
        true => Err(format!("`{key}` is no key: there is nothing where a word should be")),
        false => Ok(words),
    }
}

/// The length of the first line, with its end.
fn line_len(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// Reads what begins here, and gives its length too: the end of its last line may not be in it.
fn read_line(text: &str) -> Result<(Option<Line>, usize), String> {
    let line = text[..line_len(text)].trim_end_matches(['\r', '\n']);
    let content = line.trim_matches(BLANKS);
    if content.is_empty() || content.starts_with('#') {
        return Ok((None, line.len()));
    }
    if let Some(path) = content.strip_prefix("include").filter(|path| path.starts_with(BLANKS)) {
        let path = before_comment(path).trim_matches(BLANKS);
        return match path {
            "" => Err("`include` says of no file what to include".into()),
            path => Ok((Some(Line::Include(path.into())), line.len())),
        };
    }
    let Some(equals) = line.find('=') else {
        return Err(format!("`{content}` is no setting: it has no `=`"));
    };
    let key = words(line[..equals].trim_matches(BLANKS))?;
    let (value, len) = read_value(&text[equals + 1..])?;
    Ok((Some(Line::Setting { key, value }), equals + 1 + len))
}

/// Reads a value, and gives the length of the text that it took.
fn read_value(text: &str) -> Result<(String, usize), String> {
    let start = text.len() - text.trim_start_matches(BLANKS).len();
    for quote in [LONG_QUOTE, QUOTE] {
        if let Some(quoted) = text[start..].strip_prefix(quote) {
            let len =
                quoted.find(quote).filter(|&end| quote == LONG_QUOTE || end < line_len(quoted));
            let Some(len) = len else {
                return Err(format!("the value begins with {quote} and does not end with it"));
            };
            let end = start + 2 * quote.len() + len;
            let behind = &text[end..end + line_len(&text[end..])];
            if !before_comment(behind).trim().is_empty() {
                return Err(format!("there is something behind the {quote} that ends the value"));
            }
            let value = &quoted[..len];
            let value = if quote == LONG_QUOTE { value.trim_matches(LINE_ENDS) } else { value };
            return Ok((value.to_owned(), end));
        }
    }
    let line = text[..line_len(text)].trim_end_matches(LINE_ENDS);
    match before_comment(line).trim_matches(BLANKS) {
        "" => Err("the key has no value (an empty one is written '')".into()),
        value => Ok((value.to_owned(), line.len())),
    }
}

fn before_comment(text: &str) -> &str {
    text.split('#').next().unwrap_or(text)
}

const BLANKS: [char; 2] = [' ', '\t'];
const LINE_ENDS: [char; 2] = ['\r', '\n'];
const QUOTE: &str = "'";
const LONG_QUOTE: &str = "'''";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_the_numbers_of_their_lines() {
        let text = "\u{feff}## a comment\n\nheartbeat = 30\r\n  log.console\t=\ttrue # why\n\
                    include conf.d/*.conf # more\nlast=1";
        let parsed = parse(text);
        assert_eq!(parsed.errors, []);
        let expected = [
            (3, setting(&["heartbeat"], "30")),
            (4, setting(&["log", "console"], "true")),
            (5, Line::Include("conf.d/*.conf".into())),
            (6, setting(&["last"], "1")),
        ];
        assert_eq!(parsed.lines, expected);
    }

    #[test]
    fn a_value_is_taken_as_rabbitmq_takes_it() {
        let values = [
            ("guest", "guest"),
            ("two words  ", "two words"),
            ("a=b", "a=b"),
            ("hunter#2", "hunter"),
            ("'hunter#2' # quoted", "hunter#2"),
            ("''", ""),
            ("'  '", "  "),
            ("it's", "it's"),
            ("\"in double quotes\"", "\"in double quotes\""),
            ("$(HOME)", "$(HOME)"),
        ];
        for (text, value) in values {
            let parsed = parse(&format!("a.b = {text}\n"));
            assert_eq!(parsed.lines, [(1, setting(&["a", "b"], value))], "{text}");
        }
    }

    #[test]
    fn a_value_in_three_quotes_has_several_lines() {
        let parsed = parse("a = '''\none # no comment\ntwo\n''' # done\nb = 1\n");
        assert_eq!(parsed.errors, []);
        let expected = [(1, setting(&["a"], "one # no comment\ntwo")), (5, setting(&["b"], "1"))];
        assert_eq!(parsed.lines, expected);
    }

    #[test]
    fn a_dot_in_a_word_is_written_with_a_backslash() {
        let key = "loopback_users.some\\.user";
        let parsed = words(key).expect("is a key");
        assert_eq!(parsed, ["loopback_users", "some.user"]);
        assert_eq!(written(&parsed), key);
    }

    #[test]
    fn what_is_wrong_is_told_line_by_line() {
        let text = "heartbeat\n[section]\na..b = 1\nä = 1\nempty =\nopen = 'x\n\
                    more = 'x' y\ninclude\ninclude # nothing\ngood = 1\n";
        let parsed = parse(text);
        assert_eq!(parsed.lines, [(10, setting(&["good"], "1"))]);
        let expected = [
            (1, "`heartbeat` is no setting: it has no `=`"),
            (2, "`[section]` is no setting: it has no `=`"),
            (3, "`a..b` is no key: there is nothing where a word should be"),
            (4, "`ä` is no key: 'ä' cannot be in one"),
            (5, "the key has no value (an empty one is written '')"),
            (6, "the value begins with ' and does not end with it"),
            (7, "there is something behind the ' that ends the value"),
            (8, "`include` is no setting: it has no `=`"),
            (9, "`include` says of no file what to include"),
        ];
        let errors: Vec<_> = parsed.errors.iter().map(|(n, text)| (*n, text.as_str())).collect();
        assert_eq!(errors, expected);
    }

    fn setting(key: &[&str], value: &str) -> Line {
        let key = key.iter().map(|&word| word.to_owned()).collect();
        Line::Setting { key, value: value.to_owned() }
    }
}
