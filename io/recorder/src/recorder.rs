//! The recorder's side of the broker's thread.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use tracing::info;
use warren_core::{
    ConnectionId, DiskOp, DiskRequest, DiskResult, FileId, Input, Instant, OpId, Output, Peer,
    RecoveryOutput,
};

use crate::elide::Elider;
use crate::event::{Event, Outcome};
use crate::hash::OutputHash;
use crate::header::Header;
use crate::writer::{Chunk, Writer};
use crate::{file, number};

/// After this many inputs the hash of the outputs is recorded, and at least once in
/// [`HASH_INTERVAL`].
const INPUTS_PER_HASH: u32 = 64;
const HASH_INTERVAL: Duration = Duration::from_secs(1);

/// The writer gets what was recorded when it is so long, in bytes, or so old. A chunk that stays in
/// the processor's cache until it is handed over costs the broker least.
const CHUNK_LEN_MAX: usize = 256 << 10;
const AGE_MAX: Duration = Duration::from_millis(100);

/// So many chunks may wait for the writer; with more the recording ends.
const CHUNKS_MAX: usize = 256;

/// So many chunks that were written are kept for their room.
const SPARES_MAX: usize = 4;

/// How long a process that ends waits for the writer.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Is told of what the broker is told and says. One that is off, which is the default, does
/// nothing.
#[derive(Debug, Default)]
pub struct Recorder(Option<Box<Active>>);

#[derive(Debug)]
struct Active {
    shared: Arc<Shared>,
    hash: OutputHash,
    inputs: u32,
    hashed_at: Instant,
    now: Instant,
    /// Nothing went in or came out since the broker was last asked for outputs to the end.
    is_drained: bool,
    /// The broker was told to stop: every hash counts, as each may be the last.
    is_stopping: bool,
    /// What finds the bodies in what is read.
    elider: Elider,
    /// Files that were there before the start, and reads of them that are under way.
    old_files: BTreeSet<FileId>,
    old_reads: BTreeSet<OpId>,
}

/// What the broker's thread shares with the one that ends the process.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    buffer: Mutex<Buffer>,
    writer: SyncSender<Chunk>,
    is_over: Arc<AtomicBool>,
    is_behind: Arc<AtomicBool>,
    is_done: Mutex<Receiver<()>>,
}

#[derive(Debug, Default)]
struct Buffer {
    chunk: Chunk,
    began: Instant,
    /// Empty chunks that were written before; what is not there is allocated.
    spares: Option<Receiver<Chunk>>,
}

/// Ends a recording: from any thread, also from one that panics.
#[derive(Clone, Debug, Default)]
pub struct End(Option<Arc<Shared>>);

impl Recorder {
    /// Begins a recording in this directory, which is to take no more than `max` bytes with all
    /// recordings in it; see [`file`](mod@file).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(dir: &Path, max: u64, header: &Header) -> io::Result<Self> {
        let limits = file::prepare(dir, max)?;
        let mut file = file::create(&limits.path)?;
        let mut head = Vec::new();
        header.put(&mut head);
        let mut bytes = file::MAGIC.to_vec();
        bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&head);
        file.write_all(&bytes)?;
        info!("recording to {}", limits.path.display());

        let (chunks, for_writer) = sync_channel(CHUNKS_MAX);
        let (spent, spares) = sync_channel(SPARES_MAX);
        let (done, is_done) = channel();
        let [is_over, is_behind] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let path = limits.path.clone();
        let writer = Writer {
            file,
            path: limits.path,
            written: bytes.len() as u64,
            len_max: limits.len_max,
            spent,
            is_over: Arc::clone(&is_over),
            is_behind: Arc::clone(&is_behind),
        };
        let work = move || writer.run(&for_writer, done);
        thread::Builder::new().name("recorder".into()).spawn(work)?;
        let shared = Shared {
            path,
            buffer: Mutex::new(Buffer { spares: Some(spares), ..Buffer::default() }),
            writer: chunks,
            is_over,
            is_behind,
            is_done: Mutex::new(is_done),
        };
        Ok(Self(Some(Box::new(Active {
            shared: Arc::new(shared),
            hash: OutputHash::default(),
            inputs: 0,
            hashed_at: Instant::default(),
            now: Instant::default(),
            is_drained: true,
            is_stopping: false,
            elider: Elider::default(),
            old_files: BTreeSet::new(),
            old_reads: BTreeSet::new(),
        }))))
    }

    /// What ends the recording.
    #[must_use]
    pub fn end(&self) -> End {
        End(self.0.as_ref().map(|active| Arc::clone(&active.shared)))
    }

    /// What is being recorded, unless the recording is over.
    fn active(&mut self) -> Option<&mut Active> {
        self.0.as_deref_mut().filter(|active| !active.shared.is_over.load(Ordering::Relaxed))
    }

    /// Recovery is to be told what came of a request.
    pub fn recovery_result(&mut self, id: OpId, result: &DiskResult) {
        let Some(active) = self.active() else { return };
        if let DiskResult::Files(files) = result {
            active.old_files.extend(files.iter().map(|(file, _)| *file));
        }
        active.disk(active.now, id, result);
    }

    /// Recovery wants this.
    pub fn recovery_output(&mut self, output: &RecoveryOutput) {
        let Some(active) = self.active() else { return };
        active.is_drained = false;
        active.hash.add_recovery(output);
        if let RecoveryOutput::Disk(request) = output {
            active.requested(request);
        }
    }

    /// The broker is there.
    pub fn started(&mut self) {
        let Some(active) = self.active() else { return };
        active.note(active.now, &Event::Started);
    }

    /// A client is connected, and this is its connection.
    pub fn connected(&mut self, now: Instant, id: ConnectionId, peer: &Peer) {
        let Some(active) = self.active() else { return };
        let index = index(id);
        active.elider.begin(index);
        active.input(now, &Event::Connected { index, peer: peer.clone() });
    }

    /// This was read, and is fed to the decoder.
    pub fn read(&mut self, now: Instant, id: ConnectionId, bytes: &[u8]) {
        let Some(active) = self.active() else { return };
        let (index, len) = (index(id), bytes.len() as u32);
        active.put(now, &Event::Read { index, len }, Some((index, bytes)));
    }

    /// The broker is to get what the decoder gave: one frame, or all that it has.
    pub fn frames(&mut self, now: Instant, id: ConnectionId, is_all: bool) {
        let Some(active) = self.active() else { return };
        let index = index(id);
        let event = if is_all { Event::Frames(index) } else { Event::Frame(index) };
        active.input(now, &event);
    }

    /// The broker is to get this, which is not about a frame.
    pub fn input(&mut self, now: Instant, input: &Input) {
        let Some(active) = self.active() else { return };
        let event = match input {
            Input::EgressLen(id, len) => Event::EgressLen(index(*id), *len as u64),
            Input::Closed(id) => Event::Closed(index(*id)),
            Input::Disk(id, result) => return active.disk(now, *id, result),
            Input::DiskFree(free) => Event::DiskFree(*free),
            Input::Command(id, command) => Event::Command(id.0, (**command).clone()),
            Input::Verified(id, is_right) => Event::Verified(index(*id), *is_right),
            Input::Tick => Event::Tick,
            Input::Shutdown(text) => {
                active.is_stopping = true;
                Event::Shutdown(text.clone())
            }
            Input::Frame(..) | Input::Malformed(..) | Input::Received(_) => return,
        };
        active.input(now, &event);
    }

    /// The broker said this.
    pub fn output(&mut self, output: &Output) {
        let Some(active) = self.active() else { return };
        active.is_drained = false;
        active.hash.add(output);
        match output {
            Output::Disk(request) => active.requested(request),
            Output::Halt(_) => {
                // The last that it says.
                active.is_stopping = true;
                self.drained();
            }
            _ => (),
        }
    }

    /// The broker, or its recovery, has nothing more to say for now.
    pub fn drained(&mut self) {
        let Some(active) = self.active() else { return };
        if active.is_drained {
            return;
        }
        active.note(active.now, &Event::Drained);
        active.is_drained = true;
        let is_due = active.now.since(active.hashed_at) >= HASH_INTERVAL || active.is_stopping;
        if is_due || active.inputs >= INPUTS_PER_HASH {
            active.inputs = 0;
            active.hashed_at = active.now;
            active.note(active.now, &Event::Hash(active.hash.get()));
        }
    }
}

impl Active {
    fn disk(&mut self, now: Instant, id: OpId, result: &DiskResult) {
        let is_old = self.old_reads.remove(&id);
        self.input(now, &Event::Disk(id.0, Outcome::of(result, is_old)));
    }

    fn requested(&mut self, request: &DiskRequest) {
        if let DiskOp::Read { file, .. } = &request.op
            && self.old_files.contains(file)
        {
            self.old_reads.insert(request.id);
        }
    }

    fn input(&mut self, now: Instant, event: &Event) {
        self.inputs += 1;
        self.is_drained = false;
        self.note(now, event);
    }

    fn note(&mut self, now: Instant, event: &Event) {
        self.put(now, event, None);
    }

    /// Appends an event, and what was read from a connection if it is about that.
    fn put(&mut self, now: Instant, event: &Event, read: Option<(u32, &[u8])>) {
        let mut buffer = self.shared.buffer.lock().expect("no holder panics");
        let events = &mut buffer.chunk.events;
        if now > self.now {
            let passed = now.as_nanos() - self.now.as_nanos();
            events.push(0);
            number::put(events, passed);
            self.now = now;
        }
        event.put(events);
        if let Some((index, bytes)) = read {
            self.elider.put(&mut buffer.chunk.reads, index, bytes);
        }
        let is_long = buffer.chunk.len() >= CHUNK_LEN_MAX;
        if is_long || now.since(buffer.began) >= AGE_MAX {
            let chunk = buffer.take(now);
            drop(buffer);
            self.shared.hand_over(chunk);
        }
    }
}

impl Buffer {
    fn take(&mut self, now: Instant) -> Chunk {
        self.began = now;
        let spare = self.spares.as_ref().and_then(|spares| spares.try_recv().ok());
        std::mem::replace(&mut self.chunk, spare.unwrap_or_default())
    }
}

impl Shared {
    /// Gives the writer a chunk; if it is too far behind, the recording is over.
    fn hand_over(&self, chunk: Chunk) {
        if let Err(TrySendError::Full(_)) = self.writer.try_send(chunk) {
            self.is_behind.store(true, Ordering::Relaxed);
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Gives the writer what is the last of it, and waits until it is written.
    fn end(&self, chunk: Chunk, reason: &str) {
        let mut chunk = Chunk { is_last: true, ..chunk };
        Event::Ended(reason.to_owned()).put(&mut chunk.events);
        if self.writer.send(chunk).is_ok()
            && let Ok(is_done) = self.is_done.lock()
        {
            // An error is the end that is waited for: nothing is ever sent.
            let _ = is_done.recv_timeout(END_TIMEOUT);
        }
    }
}

impl End {
    /// The file of the recording, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|shared| &*shared.path)
    }

    /// Whether nothing is recorded, or not any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.is_over.load(Ordering::Relaxed))
    }

    /// Ends the recording of a broker that lives on, for this reason, and waits until it is
    /// written, some seconds at most. Nothing that was recorded before is left out.
    pub fn stop(&self, reason: &str) {
        let Some(shared) = &self.0 else { return };
        if shared.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        // The broker's thread lets go of it soon.
        let chunk = match shared.buffer.lock() {
            Ok(mut buffer) => buffer.take(Instant::default()),
            Err(poisoned) => poisoned.into_inner().take(Instant::default()),
        };
        shared.end(chunk, reason);
    }

    /// Ends the recording for this reason, and waits until it is written, some seconds at most.
    pub fn now(&self, reason: &str) {
        let Some(shared) = &self.0 else { return };
        if shared.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        let chunk = match shared.buffer.try_lock() {
            Ok(mut buffer) => buffer.take(Instant::default()),
            Err(TryLockError::Poisoned(buffer)) => buffer.into_inner().take(Instant::default()),
            // Held by the thread that panics, or by one that does not come back from it.
            Err(TryLockError::WouldBlock) => Chunk::default(),
        };
        shared.end(chunk, reason);
    }
}

fn index(id: ConnectionId) -> u32 {
    id.index() as u32
}
