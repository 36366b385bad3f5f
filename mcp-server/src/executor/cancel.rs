//! When a statement has to stop, and stopping it so that its connection can be used again.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use daemon::log::Chain;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ExecuteError;
use crate::databases::Canceller;

/// Pauses between cancels of one statement. A cancel that comes before the backend has taken up the statement is lost, so one
/// may not be enough; nothing else runs on that backend meanwhile.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(300), Duration::from_millis(500)];

/// The two reasons to stop: the clock and the caller.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    deadline: Instant,
    limit: Duration,
    token: CancellationToken,
}

/// A statement that was stopped.
#[derive(Debug)]
pub(super) struct Stopped<T> {
    /// Why, for the caller.
    pub(super) reason: ExecuteError,
    /// What it came to all the same; nothing where it didn't end, so that its connection isn't in order.
    pub(super) output: Option<T>,
}

impl Stop {
    pub(super) fn new(deadline: Instant, limit: Duration, token: CancellationToken) -> Self {
        Self { deadline, limit, token }
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Nothing, or why nothing more may be started.
    pub(super) fn check(&self) -> Result<(), ExecuteError> {
        match (self.token.is_cancelled(), self.deadline <= Instant::now()) {
            (true, _) => Err(ExecuteError::Cancelled),
            (_, true) => Err(ExecuteError::TimedOut { limit: self.limit }),
            _ => Ok(()),
        }
    }

    /// `work`, unless its caller or the clock says stop first. For waits that nothing on PostgreSQL hangs on.
    pub(super) async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, ExecuteError> {
        tokio::select! {
            output = work => Ok(output),
            error = self.reached() => Err(error),
        }
    }

    /// `work`, which runs a statement on the backend `pid`. On a stop the statement is cancelled there, and `work` is given a
    /// second to come to its end, so that the connection isn't left in the middle of an answer. After that the backend itself
    /// is ended.
    pub(super) async fn or_cancel<T>(
        &self,
        canceller: &Canceller,
        pid: i32,
        work: impl Future<Output = T>,
    ) -> Result<T, Stopped<T>> {
        let mut work = pin!(work);
        let reason = tokio::select! {
            output = &mut work => return Ok(output),
            reason = self.reached() => reason,
        };
        let output = settle(canceller, pid, work).await;
        Err(Stopped { reason, output })
    }

    async fn reached(&self) -> ExecuteError {
        tokio::select! {
            () = self.token.cancelled() => ExecuteError::Cancelled,
            () = tokio::time::sleep_until(self.deadline.into()) => ExecuteError::TimedOut { limit: self.limit },
        }
    }
}

/// Cancels what the backend `pid` runs until `end` comes, for a second; then ends the backend, and there is nothing.
pub(super) async fn settle<T>(canceller: &Canceller, pid: i32, end: impl Future<Output = T>) -> Option<T> {
    let mut end = pin!(end);
    for pause in PAUSES {
        let mut cancel = pin!(canceller.cancel(pid));
        // Both at once: what is being ended may itself wait for a cancel of its own.
        let (sent, ended) = tokio::select! {
            // First of all the cancel goes out: until it has come, rows may keep the other one busy.
            biased;
            sent = &mut cancel => (sent, None),
            // The cancel is waited for all the same: it must not reach the backend's next statement.
            output = &mut end => (cancel.await, Some(output)),
        };
        if let Err(error) = sent {
            warn!(pid, error = %Chain(&error), "a cancel of backend {pid} failed");
        }
        if ended.is_some() {
            return ended;
        }
        if let Ok(output) = tokio::time::timeout(pause, &mut end).await {
            return Some(output);
        }
    }
    warn!(pid, "backend {pid} did not stop within a second; it is ended");
    if let Err(error) = canceller.terminate(pid).await {
        warn!(pid, error = %Chain(&error), "backend {pid} could not be ended");
    }
    None
}
