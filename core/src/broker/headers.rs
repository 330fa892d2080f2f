//! The headers matcher: which messages a binding of a headers exchange takes (§3.1.3.4).

use alloc::format;
use alloc::vec::Vec;

use super::refusal::Refusal;
use crate::amqp::{FieldTable, FieldValue, ShortStr};

/// What a binding asks of a message's headers.
#[derive(Debug)]
pub(crate) struct HeaderPattern {
    all: bool,
    /// A void value asks only that the header is there.
    wanted: Vec<(ShortStr, FieldValue)>,
}

impl HeaderPattern {
    /// Reads a binding's arguments. `x-match` is `all` (the default), `any`, or either with
    /// `-with-x`, without which arguments whose names begin with `x-` do not count.
    ///
    /// # Errors
    /// When `x-match` is none of the four.
    pub(crate) fn new(arguments: &FieldTable) -> Result<Self, Refusal> {
        let (all, with_x) = match arguments.find("x-match") {
            None => (true, false),
            Some(FieldValue::LongStr(text)) => match &text[..] {
                b"all" => (true, false),
                b"any" => (false, false),
                b"all-with-x" => (true, true),
                b"any-with-x" => (false, true),
                other => {
                    return Err(Refusal::precondition(format!(
                        "Invalid x-match field value <<{:?}>>; expected all, any, all-with-x, or \
                         any-with-x",
                        alloc::string::String::from_utf8_lossy(other)
                    )));
                }
            },
            Some(_) => {
                return Err(Refusal::precondition(
                    "Invalid x-match field type (value); expected longstr",
                ));
            }
        };
        let counts = |name: &ShortStr| name != "x-match" && (with_x || !name.starts_with("x-"));
        let wanted = arguments.iter().filter(|(name, _)| counts(name)).cloned().collect();
        Ok(Self { all, wanted })
    }

    /// Whether a message with these headers is wanted.
    pub(crate) fn matches(&self, headers: &SortedHeaders<'_>) -> bool {
        let is_met = |(name, wanted): &(ShortStr, FieldValue)| {
            headers.find(name).is_some_and(|value| *wanted == FieldValue::Void || value == wanted)
        };
        if self.all { self.wanted.iter().all(is_met) } else { self.wanted.iter().any(is_met) }
    }
}

/// A message's headers by name: looking one up must not cost more with each that stands there, as
/// clients choose both the headers and what bindings ask of them.
#[derive(Debug)]
pub(crate) struct SortedHeaders<'a>(Vec<&'a (ShortStr, FieldValue)>);

impl<'a> SortedHeaders<'a> {
    pub(crate) fn new(headers: &'a FieldTable) -> Self {
        let mut sorted: Vec<_> = headers.iter().collect();
        // Stable, so that of two with one name the first counts.
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        sorted.dedup_by(|(b, _), (a, _)| a == b);
        Self(sorted)
    }

    fn find(&self, name: &ShortStr) -> Option<&'a FieldValue> {
        let at = self.0.binary_search_by(|(other, _)| other.cmp(name)).ok()?;
        Some(&self.0[at].1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        FieldTable::new(entries.iter().map(|(k, v)| ((*k).into(), v.clone())).collect())
    }

    fn matches(arguments: &[(&str, FieldValue)], headers: &[(&str, FieldValue)]) -> bool {
        let pattern = HeaderPattern::new(&table(arguments)).expect("a pattern");
        pattern.matches(&SortedHeaders::new(&table(headers)))
    }

    #[test]
    fn all_asks_for_each_and_any_for_one() {
        let wanted = vec![("a", FieldValue::I32(1)), ("b", FieldValue::text("x"))];
        let mut any = wanted.clone();
        any.push(("x-match", FieldValue::text("any")));
        let one = [("a", FieldValue::I32(1))];
        assert!(!matches(&wanted, &one));
        assert!(matches(&any, &one));
        assert!(matches(&wanted, &wanted));
    }

    #[test]
    fn no_arguments_take_everything_with_all_and_nothing_with_any() {
        assert!(matches(&[], &[]));
        assert!(!matches(&[("x-match", FieldValue::text("any"))], &[("a", FieldValue::Void)]));
    }

    #[test]
    fn a_void_value_asks_for_presence_only() {
        assert!(matches(&[("a", FieldValue::Void)], &[("a", FieldValue::I32(7))]));
        assert!(!matches(&[("a", FieldValue::Void)], &[("b", FieldValue::I32(7))]));
    }

    #[test]
    fn names_with_x_count_only_where_asked() {
        let headers = [("x-a", FieldValue::I32(2))];
        assert!(matches(&[("x-a", FieldValue::I32(1))], &headers));
        let with_x = [("x-a", FieldValue::I32(1)), ("x-match", FieldValue::text("all-with-x"))];
        assert!(!matches(&with_x, &headers));
    }

    #[test]
    fn types_are_compared_too() {
        assert!(!matches(&[("a", FieldValue::I32(1))], &[("a", FieldValue::I64(1))]));
    }
}
