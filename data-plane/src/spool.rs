//! The durable usage log of this data plane.
//!
//! What a request is about to do is written before it is done, what it was when it ends; both survive
//! the end of the process at once. A thread of its own waits for the disk every 50 ms, and only what
//! it waited for is reported. What the disk refuses is kept in memory and tried again, while new
//! requests are refused: nothing is lost.

mod disk;
mod frame;
mod log;
mod reader;
mod recover;
pub mod reporter;
mod upkeep;

use std::{
    collections::VecDeque,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use bitrouter_proto::v1;
use bitrouter_runtime::{Clock, Entropy, Timestamp};
use parking_lot::{Condvar, Mutex};
use prost::Message as _;
use tokio::sync::watch;
use uuid::Uuid;

use self::{
    disk::{Disk, Fs},
    log::{Log, Reach},
    upkeep::keep,
};

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// Where. Made if it is not there; readable by the owner only.
    pub directory: PathBuf,
    /// What may lie on the disk; when it is reached, new requests are refused.
    pub max_bytes: u64,
    /// After that many bytes a new segment is begun.
    pub segment_bytes: u64,
    /// For how long acknowledged segments are kept.
    pub keep: Duration,
    /// What a record survives.
    pub durability: Durability,
}

/// What a record survives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// The end of the process at once, the end of the machine after 50 ms.
    #[default]
    Process,
    /// The end of the machine, before anything is sent to a provider.
    Power,
}

/// A handle on the log. Cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    settings: SpoolSettings,
    clock: Clock,
    boot_id: Uuid,
    fs: Arc<dyn Fs>,
    state: Mutex<State>,
    /// Wakes the thread that waits for the disk.
    wake: Condvar,
    /// What lies on the medium.
    durable: watch::Sender<Reach>,
    /// The last entry that the control plane has stored.
    acked: watch::Sender<u64>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

struct State {
    log: Log,
    /// Records that the disk refused, the oldest first.
    refused: VecDeque<(Uuid, Vec<u8>)>,
    disk_trouble: Option<String>,
    report_trouble: Option<String>,
    /// Entries up to a number, and when they were there.
    ages: VecDeque<(u64, Timestamp)>,
    /// The acknowledged number as it was last noted, and when.
    noted: (u64, Timestamp),
    warned_of: WarnedOf,
    sync_at_once: bool,
    is_closing: bool,
}

/// What was said once and has not changed since.
#[derive(Clone, Copy, Debug, Default)]
struct WarnedOf {
    filling: bool,
    pruning: bool,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position(u64);

/// Why the log cannot take a record.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The cap is reached.
    #[error("the usage log is full: {bytes} of {max_bytes} bytes; is the control plane reachable?")]
    Full {
        /// On the disk.
        bytes: u64,
        /// Allowed.
        max_bytes: u64,
    },
    /// The disk refused a record, which is being tried again.
    #[error("the usage log cannot be written: {0}")]
    Trouble(String),
    /// The disk refuses.
    #[error("the usage log cannot be written")]
    Disk(#[from] io::Error),
    /// The log is closed.
    #[error("the usage log is closed")]
    Closed,
}

/// What is in the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SpoolStatus {
    /// On the disk.
    pub bytes: u64,
    /// Entries that are not acknowledged.
    pub unacked: u64,
    /// The age of the oldest of them.
    pub oldest_unacked_ms: u64,
    /// Requests under way.
    pub open: usize,
    /// Set while records cannot be written, or are no longer taken by the control plane.
    pub trouble: Option<String>,
}

impl SpoolSettings {
    /// The usual settings for a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_bytes: 4 << 30,
            segment_bytes: 16 << 20,
            keep: Duration::from_mins(10),
            durability: Durability::default(),
        }
    }
}

impl SpoolError {
    /// The stable code that clients see.
    pub const fn code(&self) -> &'static str {
        "spool_full"
    }
}

impl Spool {
    /// Opens the log, and closes what the last process left open. Blocks on the disk.
    pub fn open(
        settings: SpoolSettings,
        clock: Clock,
        entropy: &Entropy,
    ) -> Result<Self, SpoolError> {
        let disk = Disk::open(&settings.directory)?;
        Self::open_on(Arc::new(disk), settings, clock, entropy)
    }

    fn open_on(
        fs: Arc<dyn Fs>,
        settings: SpoolSettings,
        clock: Clock,
        entropy: &Entropy,
    ) -> Result<Self, SpoolError> {
        let now = clock.now();
        let recovered = recover::recover(&fs, settings.segment_bytes, entropy.uuid(now), now)?;
        if let Some(reason) = &recovered.renewed {
            tracing::warn!(%reason, "a new usage log was begun and the old one set aside");
        }
        if recovered.crashed > 0 {
            tracing::warn!(requests = recovered.crashed, "requests ended with the last process");
        }
        let reach = recovered.log.reach();
        let mut ages = VecDeque::new();
        if reach.seq > recovered.acked {
            ages.push_back((reach.seq, now));
        }
        let state = State {
            log: recovered.log,
            refused: VecDeque::new(),
            disk_trouble: None,
            report_trouble: None,
            ages,
            noted: (recovered.acked, now),
            warned_of: WarnedOf::default(),
            sync_at_once: false,
            is_closing: false,
        };
        let inner = Arc::new(Inner {
            settings,
            boot_id: entropy.uuid(now),
            fs,
            state: Mutex::new(state),
            wake: Condvar::new(),
            durable: watch::Sender::new(Reach::default()),
            acked: watch::Sender::new(recovered.acked),
            thread: Mutex::new(None),
            clock,
        });
        inner.sync()?;
        let weak = Arc::downgrade(&inner);
        let thread = thread::Builder::new().name("spool".to_owned()).spawn(move || keep(&weak))?;
        *inner.thread.lock() = Some(thread);
        Ok(Self(inner))
    }

    /// The clock that records are timed by.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Names the log, to the control plane.
    pub fn log_id(&self) -> Uuid {
        self.0.state.lock().log.log_id()
    }

    /// Names this start of the process, to the control plane.
    pub fn boot_id(&self) -> Uuid {
        self.0.boot_id
    }

    /// Whether a new request can be recorded: to be asked before anything else is done for it.
    pub fn check(&self) -> Result<(), SpoolError> {
        self.0.check(&self.0.state.lock())
    }

    /// Writes down what a request is about to do.
    pub fn intend(&self, id: Uuid, draft: &v1::Usage) -> Result<Position, SpoolError> {
        let draft = draft.encode_to_vec();
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        self.0.check(&state)?;
        Ok(Position(state.log.intend(id, &draft, now)?))
    }

    /// Waits until what was written is as durable as the settings want it.
    pub async fn durable(&self, position: Position) -> Result<(), SpoolError> {
        if self.0.settings.durability == Durability::Process {
            return Ok(());
        }
        self.flush(position).await
    }

    /// Waits until everything that has been written lies on the medium.
    pub async fn flushed(&self) -> Result<(), SpoolError> {
        let position = Position(self.0.state.lock().log.reach().position);
        self.flush(position).await
    }

    async fn flush(&self, position: Position) -> Result<(), SpoolError> {
        let mut durable = self.0.durable.subscribe();
        self.0.state.lock().sync_at_once = true;
        self.0.wake.notify_one();
        while durable.borrow_and_update().position < position.0 {
            if let Some(trouble) = &self.0.state.lock().disk_trouble {
                return Err(SpoolError::Trouble(trouble.clone()));
            }
            durable.changed().await.map_err(|_| SpoolError::Closed)?;
        }
        Ok(())
    }

    /// Waits until the control plane has stored everything that has been written.
    pub async fn acknowledged(&self) {
        let seq = self.0.state.lock().log.reach().seq;
        let mut acked = self.0.acked.subscribe();
        // The sender lives in here.
        let _ = acked.wait_for(|acked| *acked >= seq).await;
    }

    /// Writes what a request was, did and cost. Never fails: what the disk refuses is kept and tried
    /// again, while new requests are refused.
    pub fn commit(&self, id: Uuid, usage: &v1::Usage) {
        let usage = usage.encode_to_vec();
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        if state.refused.is_empty() {
            let Err(error) = state.log.commit(id, &usage, now) else { return };
            tracing::error!(%error, "a usage record cannot be written, it is kept in memory");
            state.disk_trouble = Some(error.to_string());
        }
        state.refused.push_back((id, usage));
    }

    /// What is in the log.
    pub fn status(&self) -> SpoolStatus {
        let now = self.0.clock.now();
        let acked = *self.0.acked.borrow();
        let state = self.0.state.lock();
        let oldest = state.ages.front().map_or(Duration::ZERO, |(_, since)| now.since(*since));
        SpoolStatus {
            bytes: state.log.bytes(),
            unacked: state.log.reach().seq.saturating_sub(acked),
            oldest_unacked_ms: u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX),
            open: state.log.open_intents(),
            trouble: state.disk_trouble.clone().or_else(|| state.report_trouble.clone()),
        }
    }

    /// Ends the thread that waits for the disk, after one last time. Blocks.
    pub fn close(&self) {
        self.0.state.lock().is_closing = true;
        self.0.wake.notify_one();
        if let Some(thread) = self.0.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the usage log's thread has panicked");
        }
    }
}

/// Lets the next start on this directory begin a new log, for a control plane that has forgotten what
/// it took of the old one. Whatever is still readable is reported again. Without a log nothing is done.
pub fn begin_anew(directory: &Path, reason: &str) -> io::Result<()> {
    if directory.is_dir() { recover::wish_renewal(&Disk::open(directory)?, reason) } else { Ok(()) }
}

impl Inner {
    fn check(&self, state: &State) -> Result<(), SpoolError> {
        if let Some(trouble) = &state.disk_trouble {
            return Err(SpoolError::Trouble(trouble.clone()));
        }
        let (bytes, max_bytes) = (state.log.bytes(), self.settings.max_bytes);
        if bytes >= max_bytes { Err(SpoolError::Full { bytes, max_bytes }) } else { Ok(()) }
    }

    /// Takes note of what the control plane has stored.
    fn acknowledge(&self, seq: u64) {
        let mut state = self.state.lock();
        while state.ages.front().is_some_and(|(last, _)| *last <= seq) {
            state.ages.pop_front();
        }
        state.report_trouble = None;
        drop(state);
        self.acked.send_if_modified(|acked| {
            let is_new = seq > *acked;
            *acked = seq.max(*acked);
            is_new
        });
    }

    /// Notes that the control plane takes nothing more of this log; the next start begins a new one.
    fn stop_reporting(&self, reason: &str) {
        tracing::error!(reason, "usage is no longer reported; restart to begin a new usage log");
        if let Err(error) = recover::wish_renewal(&*self.fs, reason) {
            tracing::error!(%error, "the wish for a new usage log cannot be written");
        }
        self.state.lock().report_trouble = Some(reason.to_owned());
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spool").field(&self.0.settings.directory).finish()
    }
}

#[cfg(test)]
mod tests;
