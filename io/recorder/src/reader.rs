//! Reads a recording.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bytes::Bytes;

use crate::elide::Repeats;
use crate::event::Event;
use crate::file::MAGIC;
use crate::header::{FORMAT, Header};
use crate::number::take_as;

/// A recording, from its first event to its last.
#[derive(Debug)]
pub struct Recording {
    header: Header,
    source: BufReader<File>,
    events: Bytes,
    reads: Bytes,
    repeats: Repeats,
    is_cut: bool,
}

/// A part of what was read from a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it was.
    Plain(Bytes),
    /// So many bytes of a body.
    Body(usize),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Body(len) => *len,
        }
    }
}

/// Why a recording cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The operating system says so.
    System(io::Error),
    /// It is none.
    NoRecording,
    /// It was written by a version that writes another format than this one reads.
    OtherFormat,
    /// It is damaged.
    Damaged,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::NoRecording => f.write_str("it is no recording of warren's"),
            Self::OtherFormat => write!(f, "it has another format than {FORMAT}, which is known"),
            Self::Damaged => f.write_str("it is damaged"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let mut source = BufReader::new(File::open(path)?);
        if take(&mut source, MAGIC.len())?.is_none_or(|magic| magic[..] != MAGIC[..]) {
            return Err(ReadError::NoRecording);
        }
        let len = take_len(&mut source)?.ok_or(ReadError::Damaged)?;
        let mut head = take(&mut source, len)?.ok_or(ReadError::Damaged)?;
        let header = Header::take(&mut head).ok_or(ReadError::OtherFormat)?;
        let (events, reads) = (Bytes::new(), Bytes::new());
        let repeats = Repeats::default();
        Ok(Self { header, source, events, reads, repeats, is_cut: false })
    }

    /// What the broker was started with.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether it ends within a block, as it does when the broker's process ends without notice.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The next event; `None` behind the last. An [`Event::Read`] is to be followed by
    /// [`Self::pieces`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        while self.events.is_empty() {
            let Some((events, reads)) = self.block()? else { return Ok(None) };
            (self.events, self.reads) = (events, reads);
        }
        Event::take(&mut self.events).map(Some).ok_or(ReadError::Damaged)
    }

    /// What was read from the connection of this index, `len` bytes with bodies.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn pieces(&mut self, index: u32, len: u32) -> Result<Vec<Piece>, ReadError> {
        let mut pieces = Vec::new();
        let mut left = len as usize;
        while left > 0 {
            let piece = match pieces.len() % 2 {
                0 => self.repeats.take(&mut self.reads, index).map(Piece::Plain),
                _ => take_as(&mut self.reads).map(Piece::Body),
            };
            let piece = piece.ok_or(ReadError::Damaged)?;
            left = left.checked_sub(piece.len()).ok_or(ReadError::Damaged)?;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn block(&mut self) -> Result<Option<(Bytes, Bytes)>, ReadError> {
        let Some(events) = take_len(&mut self.source)? else { return Ok(None) };
        self.is_cut = true;
        let Some(reads) = take_len(&mut self.source)? else { return Ok(None) };
        let Some(events) = take(&mut self.source, events)? else { return Ok(None) };
        let Some(reads) = take(&mut self.source, reads)? else { return Ok(None) };
        self.is_cut = false;
        Ok(Some((events, reads)))
    }
}

/// So many bytes; `None` if there are fewer.
fn take(source: &mut impl Read, len: usize) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    source.by_ref().take(len as u64).read_to_end(&mut bytes)?;
    Ok((bytes.len() == len).then(|| bytes.into()))
}

fn take_len(source: &mut impl Read) -> io::Result<Option<usize>> {
    let bytes = take(source, 4)?;
    Ok(bytes.map(|bytes| u32::from_le_bytes(bytes[..].try_into().expect("four bytes")) as usize))
}
