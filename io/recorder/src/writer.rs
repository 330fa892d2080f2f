//! The thread that writes a recording.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use tracing::{info, warn};

use crate::event::Event;

/// Room for the last word.
const LAST_LEN: u64 = 256;

/// What was recorded since the last time.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Events, as they are written.
    pub(crate) events: Vec<u8>,
    /// What was read, in the order of its events and without bodies, as it is written.
    pub(crate) reads: Vec<u8>,
    /// Nothing comes behind it.
    pub(crate) is_last: bool,
}

impl Chunk {
    /// How long it is, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.reads.len()
    }

    /// Forgets what is in it; its room stays.
    fn clear(&mut self) {
        self.events.clear();
        self.reads.clear();
    }
}

/// Writes chunks to a file.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) written: u64,
    pub(crate) len_max: u64,
    /// Where chunks go that are written, for their room: what is fresh from the allocator costs
    /// the broker's thread more than it takes to fill it.
    pub(crate) spent: SyncSender<Chunk>,
    /// Set when nothing more is to be recorded.
    pub(crate) is_over: Arc<AtomicBool>,
    /// Set when something was not recorded, because this thread is too far behind.
    pub(crate) is_behind: Arc<AtomicBool>,
}

impl Writer {
    /// The life of the thread. Whoever waits for the other end of `done` learns when it is over.
    pub(crate) fn run(mut self, chunks: &Receiver<Chunk>, done: Sender<()>) {
        if let Err(error) = self.write_all(chunks) {
            warn!(%error, "cannot write to the recording {}: it ends", self.path.display());
        }
        self.is_over.store(true, Ordering::Relaxed);
        drop(done);
    }

    fn write_all(&mut self, chunks: &Receiver<Chunk>) -> io::Result<()> {
        while let Ok(chunk) = chunks.recv() {
            let is_last = chunk.is_last;
            if !self.write(&chunk)? {
                info!("the recording {} is as long as it may be: it ends", self.path.display());
                return self.end("it is as long as it may be");
            }
            if is_last {
                return Ok(());
            }
            self.give_back(chunk);
            if self.is_behind.load(Ordering::Relaxed) {
                warn!("the recording {} ends: its disk is too slow", self.path.display());
                // What waits was recorded in time.
                while let Ok(chunk) = chunks.try_recv()
                    && self.write(&chunk)?
                {}
                return self.end("its disk was too slow");
            }
        }
        Ok(())
    }

    /// Writes a chunk; `false` if there was no room for it.
    fn write(&mut self, chunk: &Chunk) -> io::Result<bool> {
        let len = 8 + chunk.len() as u64;
        let has_room = self.written + len + LAST_LEN <= self.len_max;
        if has_room {
            self.block(&chunk.events, &chunk.reads)?;
        }
        Ok(has_room)
    }

    /// If there is enough of it already, the room goes.
    fn give_back(&self, mut chunk: Chunk) {
        chunk.clear();
        let _ = self.spent.try_send(chunk);
    }

    fn end(&mut self, reason: &str) -> io::Result<()> {
        let mut last = Vec::new();
        Event::Ended(reason.to_owned()).put(&mut last);
        self.block(&last, &[])
    }

    fn block(&mut self, events: &[u8], reads: &[u8]) -> io::Result<()> {
        let mut lens = [0; 8];
        lens[..4].copy_from_slice(&(events.len() as u32).to_le_bytes());
        lens[4..].copy_from_slice(&(reads.len() as u32).to_le_bytes());
        self.written += (lens.len() + events.len() + reads.len()) as u64;
        for part in [&lens, events, reads] {
            self.file.write_all(part)?;
        }
        Ok(())
    }
}
