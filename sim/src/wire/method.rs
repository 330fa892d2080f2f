//! A method with its arguments, accessed by the names of the specification.

use std::fmt;

use smol_str::SmolStr;

use super::spec::{Kind, METHODS, Spec};
use super::value::{Cursor, Table, put_long_bytes, put_short_text, put_table};

/// One argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A bit.
    Bit(bool),
    /// An octet, short, long or long long.
    Number(u64),
    /// A short string; few are so long that they need memory of their own.
    Text(SmolStr),
    /// A long string.
    Blob(Vec<u8>),
    /// A table.
    Table(Table),
}

/// A method and its arguments.
#[derive(Clone)]
pub struct Method {
    spec: &'static Spec,
    arguments: Vec<Argument>,
}

impl Method {
    /// The method of this name, every argument zero or empty.
    ///
    /// # Panics
    /// When there is no such method: names come from the program.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let spec = METHODS.iter().find(|spec| spec.name == name);
        let spec = spec.unwrap_or_else(|| panic!("no method is called {name}"));
        let arguments = spec.arguments.iter().map(|(_, kind)| empty(*kind)).collect();
        Self { spec, arguments }
    }

    /// Sets an argument; the builder of a method.
    ///
    /// # Panics
    /// When the method has no argument of this name and type.
    #[must_use]
    pub fn with(mut self, name: &str, argument: Argument) -> Self {
        let at = self.position(name);
        let same = std::mem::discriminant(&self.arguments[at]) == std::mem::discriminant(&argument);
        assert!(same, "{name} of {} has another type", self.spec.name);
        self.arguments[at] = argument;
        self
    }

    /// Sets a short string.
    #[must_use]
    pub fn with_text(self, name: &str, text: &str) -> Self {
        self.with(name, Argument::Text(text.into()))
    }

    /// Sets a bit.
    #[must_use]
    pub fn with_bit(self, name: &str, bit: bool) -> Self {
        self.with(name, Argument::Bit(bit))
    }

    /// Sets a number.
    #[must_use]
    pub fn with_number(self, name: &str, number: u64) -> Self {
        self.with(name, Argument::Number(number))
    }

    /// Sets a table.
    #[must_use]
    pub fn with_table(self, name: &str, table: Table) -> Self {
        self.with(name, Argument::Table(table))
    }

    /// Class and method number.
    #[must_use]
    pub fn id(&self) -> (u16, u16) {
        (self.spec.class, self.spec.method)
    }

    /// Such as `queue.declare`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Whether a content follows.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.spec.has_content
    }

    /// A short string's text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match &self.arguments[self.position(name)] {
            Argument::Text(text) => text,
            other => panic!("{name} of {} is {other:?}", self.spec.name),
        }
    }

    /// A bit.
    #[must_use]
    pub fn bit(&self, name: &str) -> bool {
        match &self.arguments[self.position(name)] {
            Argument::Bit(bit) => *bit,
            other => panic!("{name} of {} is {other:?}", self.spec.name),
        }
    }

    /// A number of any width.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        match &self.arguments[self.position(name)] {
            Argument::Number(number) => *number,
            other => panic!("{name} of {} is {other:?}", self.spec.name),
        }
    }

    /// A long string.
    #[must_use]
    pub fn blob(&self, name: &str) -> &[u8] {
        match &self.arguments[self.position(name)] {
            Argument::Blob(bytes) => bytes,
            other => panic!("{name} of {} is {other:?}", self.spec.name),
        }
    }

    /// A table.
    #[must_use]
    pub fn table(&self, name: &str) -> &Table {
        match &self.arguments[self.position(name)] {
            Argument::Table(table) => table,
            other => panic!("{name} of {} is {other:?}", self.spec.name),
        }
    }

    /// Reads the payload of a method frame, all of it.
    ///
    /// # Errors
    /// Class and method number, and whether the method is known.
    pub(super) fn read(payload: &[u8]) -> Result<Self, ReadError> {
        let mut cursor = Cursor { rest: payload };
        let (Some(class), Some(method)) = (cursor.number(2), cursor.number(2)) else {
            return Err(ReadError::NoId);
        };
        let id = (class as u16, method as u16);
        let spec = METHODS.binary_search_by_key(&id, |spec| (spec.class, spec.method));
        let Ok(spec) = spec.map(|at| &METHODS[at]) else {
            return Err(ReadError::Unknown(id.0, id.1));
        };
        read_arguments(spec, &mut cursor)
            .filter(|_| cursor.rest.is_empty())
            .map(|arguments| Self { spec, arguments })
            .ok_or(ReadError::Malformed(id.0, id.1))
    }

    /// Appends the payload of a method frame.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.spec.class.to_be_bytes());
        out.extend_from_slice(&self.spec.method.to_be_bytes());
        let mut bits = 0;
        for ((_, kind), argument) in self.spec.arguments.iter().zip(&self.arguments) {
            if *kind != Kind::Bit {
                bits = 0;
            }
            match argument {
                Argument::Bit(bit) => {
                    if bits % 8 == 0 {
                        out.push(0);
                    }
                    let octet = out.last_mut().expect("an octet for bits was pushed");
                    *octet |= u8::from(*bit) << (bits % 8);
                    bits += 1;
                }
                Argument::Number(number) => {
                    out.extend_from_slice(&number.to_be_bytes()[8 - width(*kind)..]);
                }
                Argument::Text(text) => put_short_text(out, text),
                Argument::Blob(bytes) => put_long_bytes(out, bytes),
                Argument::Table(table) => put_table(out, table),
            }
        }
    }

    fn position(&self, name: &str) -> usize {
        let position = self.spec.arguments.iter().position(|(field, _)| *field == name);
        position.unwrap_or_else(|| panic!("{} has no argument {name}", self.spec.name))
    }
}

/// Why a method could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    NoId,
    Unknown(u16, u16),
    Malformed(u16, u16),
}

fn read_arguments(spec: &Spec, cursor: &mut Cursor<'_>) -> Option<Vec<Argument>> {
    let mut arguments = Vec::with_capacity(spec.arguments.len());
    let mut bits = (0, 0);
    for (_, kind) in spec.arguments {
        if *kind != Kind::Bit {
            bits = (0, 0);
        }
        arguments.push(match kind {
            Kind::Bit => {
                if bits.1 % 8 == 0 {
                    bits.0 = cursor.number(1)?;
                }
                bits.1 += 1;
                Argument::Bit(bits.0 >> ((bits.1 - 1) % 8) & 1 == 1)
            }
            Kind::Text => Argument::Text(cursor.short_text()?),
            Kind::Blob => Argument::Blob(cursor.long_bytes()?),
            Kind::Table => Argument::Table(cursor.table()?),
            Kind::Octet => Argument::Number(cursor.number(1)?),
            Kind::Short => Argument::Number(cursor.number(2)?),
            Kind::Long => Argument::Number(cursor.number(4)?),
            Kind::LongLong => Argument::Number(cursor.number(8)?),
        });
    }
    Some(arguments)
}

fn empty(kind: Kind) -> Argument {
    match kind {
        Kind::Bit => Argument::Bit(false),
        Kind::Text => Argument::Text(SmolStr::default()),
        Kind::Blob => Argument::Blob(Vec::new()),
        Kind::Table => Argument::Table(Table::new()),
        Kind::Octet | Kind::Short | Kind::Long | Kind::LongLong => Argument::Number(0),
    }
}

fn width(kind: Kind) -> usize {
    match kind {
        Kind::Octet => 1,
        Kind::Short => 2,
        Kind::Long => 4,
        _ => 8,
    }
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.arguments == other.arguments
    }
}

/// The name, and those arguments that say something.
impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec.name)?;
        for ((name, _), argument) in self.spec.arguments.iter().zip(&self.arguments) {
            match argument {
                Argument::Bit(true) => write!(f, " {name}")?,
                Argument::Number(number) if *number != 0 => write!(f, " {name}={number}")?,
                Argument::Text(text) if !text.is_empty() => write!(f, " {name}={text}")?,
                Argument::Blob(blob) if !blob.is_empty() => {
                    write!(f, " {name}={}", String::from_utf8_lossy(blob).escape_debug())?;
                }
                Argument::Table(table) if !table.is_empty() => write!(f, " {name}={table:?}")?,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_stand_in_the_order_of_their_numbers() {
        assert!(METHODS.is_sorted_by_key(|spec| (spec.class, spec.method)));
    }

    #[test]
    fn every_method_is_read_as_it_was_written() {
        for spec in METHODS {
            let mut method = Method::new(spec.name);
            for (at, (_, kind)) in spec.arguments.iter().enumerate() {
                method.arguments[at] = match kind {
                    Kind::Bit => Argument::Bit(at % 2 == 0),
                    Kind::Text => Argument::Text(format!("text {at}").into()),
                    Kind::Blob => Argument::Blob(vec![at as u8; 3]),
                    Kind::Table => Argument::Table(Table::new()),
                    _ => Argument::Number(at as u64),
                };
            }
            let mut payload = Vec::new();
            method.write(&mut payload);
            assert_eq!(Method::read(&payload), Ok(method));
            payload.push(0);
            assert_eq!(Method::read(&payload), Err(ReadError::Malformed(spec.class, spec.method)));
        }
    }
}
