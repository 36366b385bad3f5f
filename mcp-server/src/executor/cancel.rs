//! When a statement has to stop, and stopping it so that its connection can be used again.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ExecuteError;
use crate::databases::Canceller;

/// Longest that a connection may take to be ready again after its statement was cancelled; then it is closed.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// The two reasons to stop: the clock and the caller.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    deadline: Instant,
    limit: Duration,
    token: CancellationToken,
}

/// A statement that was stopped.
#[derive(Debug)]
pub(super) struct Stopped {
    /// Why, for the caller.
    pub(super) reason: ExecuteError,
    /// Whether its connection is in order again.
    pub(super) settled: bool,
}

impl Stop {
    pub(super) fn new(deadline: Instant, limit: Duration, token: CancellationToken) -> Self {
        Self { deadline, limit, token }
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// `work`, unless its caller or the clock says stop first. For waits that nothing on PostgreSQL hangs on.
    pub(super) async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, ExecuteError> {
        tokio::select! {
            output = work => Ok(output),
            error = self.reached() => Err(error),
        }
    }

    /// `work`, which runs a statement on the backend `pid`. On a stop the statement is cancelled there, and `work` is given a
    /// second to come to its end, so that the connection isn't left in the middle of an answer.
    pub(super) async fn or_cancel<T>(
        &self,
        canceller: &Canceller,
        pid: i32,
        work: impl Future<Output = T>,
    ) -> Result<T, Stopped> {
        let mut work = pin!(work);
        let reason = tokio::select! {
            output = &mut work => return Ok(output),
            reason = self.reached() => reason,
        };
        if let Err(error) = canceller.cancel(pid).await {
            warn!(
                pid,
                error = &error as &dyn std::error::Error,
                "cancel of backend {pid} failed; its connection is closed"
            );
            return Err(Stopped { reason, settled: false });
        }
        let settled = tokio::time::timeout(SETTLE_LIMIT, work).await.is_ok();
        Err(Stopped { reason, settled })
    }

    async fn reached(&self) -> ExecuteError {
        tokio::select! {
            () = self.token.cancelled() => ExecuteError::Cancelled,
            () = tokio::time::sleep_until(self.deadline.into()) => ExecuteError::TimedOut { limit: self.limit },
        }
    }
}
