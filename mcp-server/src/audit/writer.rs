//! The thread that writes: lines in the order in which calls ended, whole, and again and again until they are there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use shared_protocol::error::ErrorCode;
use sql_guard::Guard;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{error, info};

use super::{Finished, Message, State, Target};

/// How often a write that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Bytes written at once, where so much waits.
const BATCH_BYTES: usize = 256 * 1024;

/// How often, and after what pause, the guard is asked again while too many texts wait for it.
const GUARD_RETRIES: usize = 20;
const GUARD_PAUSE: Duration = Duration::from_millis(50);

/// Most bytes of statements whose form without values is remembered.
const REMEMBERED_BYTES: usize = 4 << 20;

/// What one that is remembered takes besides its text.
const ENTRY_BYTES: usize = 100;

/// The thread's own.
pub(super) struct Writer {
    target: Target,
    /// `None` is stderr.
    file: Option<File>,
    values: bool,
    forms: Forms,
    state: Arc<State>,
    /// Whole lines, of which the first `written` bytes are there already.
    lines: Vec<u8>,
    written: usize,
    /// Their places in memory.
    finished: Vec<Finished>,
}

impl Writer {
    /// Opens `target`.
    pub(super) fn open(target: &Target, values: bool, guard: Guard, state: Arc<State>) -> anyhow::Result<Self> {
        let file = match target {
            Target::Stderr => None,
            Target::File(path) => Some(open(path).with_context(|| format!("open AUDIT_LOG {}", path.display()))?),
        };
        let forms = Forms { guard, runtime: Handle::current(), known: HashMap::new(), bytes: 0 };
        Ok(Self {
            target: target.clone(),
            file,
            values,
            forms,
            state,
            lines: Vec::new(),
            written: 0,
            finished: Vec::new(),
        })
    }

    /// Writes what comes through `queue`, until the log is closed.
    pub(super) fn run(mut self, mut queue: UnboundedReceiver<Message>) {
        while let Some(message) = queue.blocking_recv() {
            self.take(message);
            while self.lines.len() < BATCH_BYTES {
                let Ok(message) = queue.try_recv() else { break };
                self.take(message);
            }
            self.write();
            if self.state.is_closing.load(Ordering::Relaxed) && queue.is_empty() {
                break;
            }
        }
        self.state.is_closed.store(true, Ordering::Release);
    }

    fn take(&mut self, message: Message) {
        let Message::Line(finished) = message else { return };
        let sql = finished.entry.statement().and_then(|(text, hash)| self.forms.of(text, hash));
        finished.entry.write(sql.as_deref(), self.values, &mut self.lines);
        self.finished.push(*finished);
    }

    /// Writes the lines, however long it takes; gives up only where the server stops.
    fn write(&mut self) {
        loop {
            if self.state.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
            let Err(cause) = self.try_write() else { break };
            if !self.state.is_failing.swap(true, Ordering::Relaxed) {
                error!(error = %cause, "the audit log can't be written: calls are refused until it can");
            }
            if self.state.is_closing.load(Ordering::Relaxed) {
                let lost = self.lines[self.written..].iter().filter(|byte| **byte == b'\n').count();
                error!(lost, "the audit log could not be written: {lost} lines are lost");
                break;
            }
            std::thread::sleep(RETRY_EVERY);
        }
        if self.written == self.lines.len() && self.state.is_failing.swap(false, Ordering::Relaxed) {
            info!("the audit log can be written again");
        }
        self.lines.clear();
        self.written = 0;
        self.finished.clear();
    }

    /// What is written stays written: a line that was cut is gone on with where it was.
    fn try_write(&mut self) -> io::Result<()> {
        while self.written < self.lines.len() {
            let rest = &self.lines[self.written..];
            let sent = match &mut self.file {
                Some(file) => file.write(rest),
                None => io::stderr().write(rest),
            };
            match sent {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        let Target::File(path) = &self.target else { return };
        match open(path) {
            Ok(file) => {
                self.file = Some(file);
                // A line that was cut begins anew in the new file.
                self.written =
                    self.lines[..self.written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                info!("the audit log is opened anew");
            }
            Err(error) => error!(%error, "the audit log can't be opened anew; the old file is written on"),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Statements without their values.
struct Forms {
    guard: Guard,
    runtime: Handle,
    /// By the text's hash; nothing where it can't be read.
    known: HashMap<[u8; 32], Option<String>>,
    bytes: usize,
}

impl Forms {
    fn of(&mut self, text: &str, hash: [u8; 32]) -> Option<String> {
        if let Some(form) = self.known.get(&hash) {
            return form.clone();
        }
        for _ in 0..GUARD_RETRIES {
            match self.runtime.block_on(self.guard.normalize(text)) {
                Err(rejection) if rejection.code == ErrorCode::ServerBusy => std::thread::sleep(GUARD_PAUSE),
                judged => return self.remember(hash, judged.ok()),
            }
        }
        None
    }

    fn remember(&mut self, hash: [u8; 32], form: Option<String>) -> Option<String> {
        if self.bytes > REMEMBERED_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += form.as_ref().map_or(0, String::len) + ENTRY_BYTES;
        self.known.insert(hash, form.clone());
        form
    }
}
