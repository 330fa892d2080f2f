//! The properties of a content, by name.

use super::method::Argument;
use super::value::{Cursor, Table, put_short_text, put_table};

/// Flag bit, name, and the width of a number (0: short text, 255: table).
const FIELDS: [(u8, &str, u8); 14] = [
    (15, "content-type", 0),
    (14, "content-encoding", 0),
    (13, "headers", 255),
    (12, "delivery-mode", 1),
    (11, "priority", 1),
    (10, "correlation-id", 0),
    (9, "reply-to", 0),
    (8, "expiration", 0),
    (7, "message-id", 0),
    (6, "timestamp", 8),
    (5, "type", 0),
    (4, "user-id", 0),
    (3, "app-id", 0),
    (2, "cluster-id", 0),
];

/// The properties that are set, in the order of the specification: where each stands in `FIELDS`,
/// and its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties(Vec<(usize, Argument)>);

impl Properties {
    /// Sets a property; numbers, texts and tables as the specification has them.
    ///
    /// # Panics
    /// When there is no such property.
    pub fn set(&mut self, name: &str, value: Argument) {
        let field = field(name).unwrap_or_else(|| panic!("no property is called {name}"));
        match self.0.binary_search_by_key(&field, |(field, _)| *field) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (field, value)),
        }
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| FIELDS[*field].1 != name);
    }

    /// The text of a property, if it is set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Argument::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of a property, if it is set.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            Some(Argument::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The headers, if they are set.
    #[must_use]
    pub fn headers(&self) -> Option<&Table> {
        match self.get("headers") {
            Some(Argument::Table(table)) => Some(table),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Argument> {
        let mut set = self.0.iter();
        set.find(|(field, _)| FIELDS[*field].1 == name).map(|(_, value)| value)
    }

    /// Reads flags and values, all of them; `None` when they do not agree.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { rest: payload };
        let flags = cursor.number(2)?;
        let mut properties = Vec::with_capacity(flags.count_ones() as usize);
        for (field, (bit, _, width)) in FIELDS.iter().enumerate() {
            if flags >> bit & 1 == 0 {
                continue;
            }
            let value = match width {
                0 => Argument::Text(cursor.short_text()?),
                255 => Argument::Table(cursor.table()?),
                width => Argument::Number(cursor.number((*width).into())?),
            };
            properties.push((field, value));
        }
        (cursor.rest.is_empty() && flags & 3 == 0).then_some(Self(properties))
    }

    /// Appends flags and values.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let flags: u16 = self.0.iter().map(|(field, _)| 1 << FIELDS[*field].0).sum();
        out.extend_from_slice(&flags.to_be_bytes());
        for (field, value) in &self.0 {
            match value {
                Argument::Bit(_) | Argument::Blob(_) => {}
                Argument::Text(text) => put_short_text(out, text),
                Argument::Table(table) => put_table(out, table),
                Argument::Number(number) => {
                    let width = usize::from(FIELDS[*field].2);
                    out.extend_from_slice(&number.to_be_bytes()[8 - width..]);
                }
            }
        }
    }
}

/// Where a property stands in `FIELDS`.
fn field(name: &str) -> Option<usize> {
    FIELDS.iter().position(|(_, field, _)| *field == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_they_were_written() {
        let mut properties = Properties::default();
        properties.set("message-id", Argument::Text("m1".into()));
        properties.set("delivery-mode", Argument::Number(2));
        properties.set("timestamp", Argument::Number(77));
        properties.set("headers", Argument::Table(vec![]));
        let mut bytes = Vec::new();
        properties.write(&mut bytes);
        assert_eq!(Properties::read(&bytes), Some(properties));
        bytes.push(0);
        assert_eq!(Properties::read(&bytes), None);
    }
}
