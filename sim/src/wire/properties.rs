//! The properties of a content, by name.

use std::collections::BTreeMap;

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

/// The properties that are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties(BTreeMap<&'static str, Argument>);

impl Properties {
    /// Sets a property; numbers, texts and tables as the specification has them.
    ///
    /// # Panics
    /// When there is no such property.
    pub fn set(&mut self, name: &str, value: Argument) {
        let field = FIELDS.iter().find(|(_, field, _)| *field == name);
        let field = field.unwrap_or_else(|| panic!("no property is called {name}"));
        self.0.insert(field.1, value);
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The text of a property, if it is set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Argument::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of a property, if it is set.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Argument::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The headers, if they are set.
    #[must_use]
    pub fn headers(&self) -> Option<&Table> {
        match self.0.get("headers") {
            Some(Argument::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// Reads flags and values, all of them; `None` when they do not agree.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { rest: payload };
        let flags = cursor.number(2)?;
        let mut properties = Self::default();
        for (bit, name, width) in FIELDS {
            if flags >> bit & 1 == 0 {
                continue;
            }
            let value = match width {
                0 => Argument::Text(cursor.short_text()?),
                255 => Argument::Table(cursor.table()?),
                width => Argument::Number(cursor.number(width.into())?),
            };
            properties.0.insert(name, value);
        }
        (cursor.rest.is_empty() && flags & 3 == 0).then_some(properties)
    }

    /// Appends flags and values.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let set = |name: &str| self.0.contains_key(name);
        let bits = FIELDS.iter().filter(|(_, name, _)| set(name)).map(|(bit, ..)| 1u16 << bit);
        out.extend_from_slice(&bits.sum::<u16>().to_be_bytes());
        for (_, name, width) in FIELDS {
            match self.0.get(name) {
                None | Some(Argument::Bit(_) | Argument::Blob(_)) => {}
                Some(Argument::Text(text)) => put_short_text(out, text),
                Some(Argument::Table(table)) => put_table(out, table),
                Some(Argument::Number(number)) => {
                    out.extend_from_slice(&number.to_be_bytes()[8 - usize::from(width)..]);
                }
            }
        }
    }
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
