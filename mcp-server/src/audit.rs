//! The audit log (operations.md): one JSON line for each tool call, refused and failed ones too.
//!
//! A log that silently loses lines is worth nothing. So a call is begun only while its line has a place in memory and the log can be
//! written; while it can't, calls are refused, and the lines of those that ran wait and are written as soon as it can. One thread
//! of its own takes the values out of the statements and writes, so that neither keeps the runtime.

mod line;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use sql_guard::Guard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::error;

pub use line::Entry;
use writer::Writer;

/// Bytes of lines that may wait to be written, in units of [`UNIT`].
const WAITING_UNITS: u32 = 16 * 1024;

/// What is counted at a time.
const UNIT: usize = 1024;

/// Longest that a call waits for a place for its line.
const ROOM_LIMIT: Duration = Duration::from_secs(1);

/// Longest that the last lines may take when the server stops.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);

/// Where the log goes, and whether with values.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// Where it goes.
    pub target: Target,
    /// Whether with the statements as they came, and their parameters.
    pub values: bool,
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Among the program's own log.
    Stderr,
    /// At the end of a file.
    File(PathBuf),
}

/// The audit log, or none. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    values: bool,
    room: Arc<Semaphore>,
    queue: mpsc::UnboundedSender<Message>,
    state: Arc<State>,
}

/// What the log and its thread tell each other.
#[derive(Debug, Default)]
struct State {
    /// The last write failed, and those since have too.
    is_failing: AtomicBool,
    /// The file is to be opened anew.
    reopen: AtomicBool,
    /// The server stops: what can't be written now never will be.
    is_closing: AtomicBool,
    is_closed: AtomicBool,
}

enum Message {
    Line(Box<Finished>),
    /// Something in [`State`] has changed.
    Look,
}

/// A call that is over, with its place in memory until its line is written.
struct Finished {
    entry: Entry,
    _room: OwnedSemaphorePermit,
}

/// The log can't take a line, so the call isn't begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log can't be written, and without it no call is answered")]
pub struct CannotAudit;

/// The line of a call that runs. Dropped before it is finished, it says that the call was given up.
#[derive(Debug)]
pub struct Line(Option<Begun>);

#[derive(Debug)]
struct Begun {
    entry: Entry,
    started: Instant,
    room: OwnedSemaphorePermit,
    log: Arc<Open>,
}

impl Audit {
    /// Opens the log of `config`; `guard` takes the values out of statements. Must be called within a runtime.
    ///
    /// # Errors
    /// Where the file can't be opened.
    pub fn open(config: &AuditConfig, guard: Guard) -> anyhow::Result<Self> {
        let (queue, lines) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        let writer = Writer::open(&config.target, config.values, guard, Arc::clone(&state))?;
        std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || writer.run(lines))
            .context("start the thread of the audit log")?;
        let room = Arc::new(Semaphore::new(WAITING_UNITS as usize));
        Ok(Self(Some(Arc::new(Open { values: config.values, room, queue, state }))))
    }

    /// Whether there is a log, so that entries need be made.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it can't be written now, so that calls are refused.
    pub fn is_failing(&self) -> bool {
        self.0.as_ref().is_some_and(|log| log.state.is_failing.load(Ordering::Relaxed))
    }

    /// Begins the line of a call; without a log, one that goes nowhere.
    ///
    /// # Errors
    /// [`CannotAudit`], where the log can't be written now: the call must not run.
    pub async fn begin(&self, entry: impl FnOnce() -> Entry) -> Result<Line, CannotAudit> {
        let Some(log) = &self.0 else { return Ok(Line(None)) };
        if self.is_failing() {
            return Err(CannotAudit);
        }
        let mut entry = entry();
        if !log.values {
            entry.forget_values();
        }
        let units = u32::try_from(entry.bytes().div_ceil(UNIT)).unwrap_or(WAITING_UNITS).clamp(1, WAITING_UNITS);
        let room = tokio::time::timeout(ROOM_LIMIT, Arc::clone(&log.room).acquire_many_owned(units)).await;
        let Ok(Ok(room)) = room else { return Err(CannotAudit) };
        Ok(Line(Some(Begun { entry, started: Instant::now(), room, log: Arc::clone(log) })))
    }

    /// Opens the file anew: another program has moved it away.
    pub fn reopen(&self) {
        if let Some(log) = &self.0 {
            log.state.reopen.store(true, Ordering::Relaxed);
            // Where the thread is gone, so is the file.
            let _ = log.queue.send(Message::Look);
        }
    }

    /// Writes what is left, and closes the log. No call may be begun any more.
    pub async fn close(&self) {
        let Some(log) = &self.0 else { return };
        log.state.is_closing.store(true, Ordering::Relaxed);
        let _ = log.queue.send(Message::Look);
        let closed = async {
            while !log.state.is_closed.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(CLOSING_LIMIT, closed).await.is_err() {
            error!("the audit log could not be written to its end: lines are lost");
        }
    }
}

impl Line {
    /// The call is over.
    pub fn finish(mut self, outcome: &'static str, rows: u64, tables: Vec<String>) {
        if let Some(begun) = self.0.take() {
            begun.send(outcome, rows, tables);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(begun) = self.0.take() {
            begun.send("GIVEN_UP", 0, Vec::new());
        }
    }
}

impl Begun {
    fn send(self, outcome: &'static str, rows: u64, tables: Vec<String>) {
        let Self { mut entry, started, room, log } = self;
        entry.end(outcome, rows, tables, started.elapsed());
        // The thread ends after everything that could send.
        let _ = log.queue.send(Message::Line(Box::new(Finished { entry, _room: room })));
    }
}
