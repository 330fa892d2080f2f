//! What a recording is a row of.

use bytes::Bytes;
use warren_core::{Command, DiskError, DiskResult, FileId, Peer};

use crate::command;
use crate::number::{put, put_bytes, take, take_as, take_bytes, take_text, take_u64};

/// Something that went into the broker, or was looked at while it was recorded. Connections go by
/// their [index](warren_core::ConnectionId::index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many nanoseconds have passed since what came before.
    Passed(u64),
    /// Recovery is over; what follows is for the broker.
    Started,
    /// A client connected, and got this index.
    Connected {
        /// The index.
        index: u32,
        /// Who that is.
        peer: Peer,
    },
    /// So many bytes were read, and fed to the decoder.
    Read {
        /// The connection.
        index: u32,
        /// How many.
        len: u32,
    },
    /// The decoder was asked once, and the broker was handed what it gave: a frame, an error, or
    /// that no frame is complete.
    Frame(u32),
    /// The same again and again, until the broker wanted no more of the client or the decoder had
    /// no frame; that none is complete is only told if there was none at all.
    Frames(u32),
    /// So many bytes wait for the socket.
    EgressLen(u32, u64),
    /// The connection is gone.
    Closed(u32),
    /// What came of a request to the disk, by its number.
    Disk(u64, Outcome),
    /// So many bytes are free on the disk.
    DiskFree(u64),
    /// Whether the password that a client gave is the right one.
    Verified(u32, bool),
    /// A command, under this number.
    Command(u64, Command),
    /// A timer.
    Tick,
    /// The broker is to stop, with this text.
    Shutdown(String),
    /// The broker was asked for outputs until it had none.
    Drained,
    /// The hash of all outputs so far.
    Hash(u64),
    /// The recording ends here, for this reason.
    Ended(String),
}

/// What came of a request to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or the disk gave what the broker has written.
    Fine,
    /// The disk gave this, which was there before the start.
    Data(Bytes),
    /// These files are there.
    Files(Vec<(FileId, u64)>),
    /// It failed.
    Failed(DiskError),
}

impl Outcome {
    /// What came of a request; `keeps_data` if what was read was there before the start.
    pub(crate) fn of(result: &DiskResult, keeps_data: bool) -> Self {
        match result {
            DiskResult::Data(data) if keeps_data => Self::Data(data.clone()),
            DiskResult::Done | DiskResult::Data(_) => Self::Fine,
            DiskResult::Files(files) => Self::Files(files.clone()),
            DiskResult::Failed(error) => Self::Failed(error.clone()),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fine => out.push(0),
            Self::Data(data) => {
                // A segment ends with zeros that nothing was written to yet.
                let zeros = data.iter().rev().take_while(|byte| **byte == 0).count();
                out.push(1);
                put_bytes(out, &data[..data.len() - zeros]);
                put(out, zeros as u64);
            }
            Self::Files(files) => {
                out.push(2);
                put(out, files.len() as u64);
                for (file, len) in files {
                    put_bytes(out, file.to_string().as_bytes());
                    put(out, *len);
                }
            }
            Self::Failed(DiskError { is_full, text }) => {
                out.push(3 + u8::from(*is_full));
                put_bytes(out, text.as_bytes());
            }
        }
    }

    fn take(from: &mut Bytes) -> Option<Self> {
        Some(match take(from)? {
            0 => Self::Fine,
            1 => {
                let mut data = Vec::from(take_bytes(from)?);
                data.resize(data.len().checked_add(take_as(from)?)?, 0);
                Self::Data(data.into())
            }
            2 => {
                let file =
                    |from: &mut Bytes| Some((FileId::from_name(&take_text(from)?)?, take(from)?));
                let count = take(from)?;
                Self::Files((0..count).map(|_| file(from)).collect::<Option<_>>()?)
            }
            kind @ 3..=4 => Self::Failed(DiskError { is_full: kind == 4, text: take_text(from)? }),
            _ => return None,
        })
    }
}

impl Event {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let mut kind = |kind: u8| out.push(kind);
        match self {
            Self::Passed(nanos) => {
                kind(0);
                put(out, *nanos);
            }
            Self::Started => kind(1),
            Self::Connected { index, peer } => {
                kind(2);
                put(out, u64::from(*index));
                put_peer(out, peer);
            }
            Self::Read { index, len } => {
                kind(3);
                put(out, u64::from(*index));
                put(out, u64::from(*len));
            }
            Self::Frame(index) => {
                kind(4);
                put(out, u64::from(*index));
            }
            Self::Frames(index) => {
                kind(5);
                put(out, u64::from(*index));
            }
            Self::EgressLen(index, len) => {
                kind(6);
                put(out, u64::from(*index));
                put(out, *len);
            }
            Self::Closed(index) => {
                kind(7);
                put(out, u64::from(*index));
            }
            Self::Disk(op, outcome) => {
                kind(8);
                put(out, *op);
                outcome.put(out);
            }
            Self::DiskFree(free) => {
                kind(9);
                put(out, *free);
            }
            Self::Command(number, command) => {
                kind(15);
                put(out, *number);
                command::put(out, command);
            }
            Self::Verified(index, is_right) => {
                kind(16);
                put(out, u64::from(*index));
                out.push(u8::from(*is_right));
            }
            Self::Tick => kind(10),
            Self::Shutdown(text) => {
                kind(11);
                put_bytes(out, text.as_bytes());
            }
            Self::Drained => kind(12),
            Self::Hash(hash) => {
                kind(13);
                out.extend_from_slice(&hash.to_le_bytes());
            }
            Self::Ended(reason) => {
                kind(14);
                put_bytes(out, reason.as_bytes());
            }
        }
    }

    /// `None` when this is none.
    pub(crate) fn take(from: &mut Bytes) -> Option<Self> {
        Some(match take(from)? {
            0 => Self::Passed(take(from)?),
            1 => Self::Started,
            2 => Self::Connected { index: take_as(from)?, peer: take_peer(from)? },
            3 => Self::Read { index: take_as(from)?, len: take_as(from)? },
            4 => Self::Frame(take_as(from)?),
            5 => Self::Frames(take_as(from)?),
            6 => Self::EgressLen(take_as(from)?, take(from)?),
            7 => Self::Closed(take_as(from)?),
            8 => Self::Disk(take(from)?, Outcome::take(from)?),
            9 => Self::DiskFree(take(from)?),
            10 => Self::Tick,
            11 => Self::Shutdown(take_text(from)?),
            12 => Self::Drained,
            13 => Self::Hash(take_u64(from)?),
            14 => Self::Ended(take_text(from)?),
            15 => Self::Command(take(from)?, command::take(from)?),
            16 => Self::Verified(take_as(from)?, take(from)? != 0),
            _ => return None,
        })
    }

    /// Whether the broker, or its recovery, was told something by it.
    #[must_use]
    pub fn is_input(&self) -> bool {
        !matches!(
            self,
            Self::Passed(_)
                | Self::Started
                | Self::Read { .. }
                | Self::Drained
                | Self::Hash(_)
                | Self::Ended(_)
        )
    }
}

fn put_peer(out: &mut Vec<u8>, peer: &Peer) {
    let Peer { name, is_loopback, is_inside, address, external, is_operator } = peer;
    put_bytes(out, name.as_bytes());
    put_bytes(out, address.as_bytes());
    let flags = [*is_loopback, *is_operator, *is_inside].map(u8::from);
    out.push(flags[0] | flags[1] << 1 | flags[2] << 2);
    out.push(u8::from(external.is_some()));
    external.iter().for_each(|user| put_bytes(out, user.as_bytes()));
}

fn take_peer(from: &mut Bytes) -> Option<Peer> {
    let (name, address) = (take_text(from)?, take_text(from)?);
    let place = take(from)?;
    let [is_loopback, is_operator, is_inside] = [1, 2, 4].map(|flag| place & flag != 0);
    let external = if take(from)? != 0 { Some(take_text(from)?) } else { None };
    Some(Peer { name, is_loopback, is_inside, address, external, is_operator })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(external: Option<String>) -> Peer {
        let is_operator = external.is_some();
        let (name, address) = ("a -> b".into(), "a".into());
        Peer { name, is_loopback: true, is_inside: true, address, external, is_operator }
    }

    #[test]
    fn events_are_read_as_they_were_written() {
        let failed = DiskError { is_full: true, text: "no space".into() };
        let events = [
            Event::Passed(1_000_000),
            Event::Started,
            Event::Connected { index: 300, peer: peer(None) },
            Event::Connected { index: 301, peer: peer(Some("alice".into())) },
            Event::Verified(302, true),
            Event::Read { index: 1, len: 70_000 },
            Event::Frame(2),
            Event::Frames(3),
            Event::EgressLen(4, 1 << 40),
            Event::Closed(5),
            Event::Disk(6, Outcome::Fine),
            Event::Disk(7, Outcome::Data(Bytes::from_static(b"\0data\0\0"))),
            Event::Disk(8, Outcome::Files(vec![(FileId::Segment(1), 10)])),
            Event::Disk(9, Outcome::Failed(failed)),
            Event::DiskFree(u64::MAX),
            Event::Tick,
            Event::Shutdown("bye".into()),
            Event::Drained,
            Event::Hash(u64::MAX),
            Event::Ended("it is full".into()),
        ];
        let commands = (1..).zip(command::tests::all());
        let commands = commands.map(|(number, command)| Event::Command(number, command));
        let events: Vec<Event> = events.into_iter().chain(commands).collect();
        let mut out = Vec::new();
        events.iter().for_each(|event| event.put(&mut out));
        let mut from = Bytes::from(out);
        events.iter().for_each(|event| assert_eq!(Event::take(&mut from).as_ref(), Some(event)));
        assert_eq!(Event::take(&mut from), None);
    }
}
