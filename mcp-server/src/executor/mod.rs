//! Runs a checked statement: bound, bounded, streamed into JSON once, and stopped on PostgreSQL when nobody waits any more.

mod bind;
mod cancel;
mod cursor;
mod describe;
mod encode;
mod error;
mod explain;
mod limits;
mod results;
mod run;
mod slots;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use serde_json::Value;
use shared_protocol::tool::run_sql::ResultColumn;
use sql_guard::{CheckedQuery, Restriction};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use cursor::{Binding, CursorError, Cursors};
pub use error::{DatabaseFault, ExecuteError};
pub use explain::{CostLimits, Explain, OverLimit};
pub use limits::{Copies, PageLimit};
pub use results::{Held, MemoryFull, Reservation, ResultMemory};
pub use slots::Turn;

use crate::caller::Caller;
use crate::databases::{Database, Frame, PooledSession, Setting};
use crate::telemetry::metrics;
use slots::{Full, Slots};

/// How often a backend that doesn't stop is looked after.
const BACKEND_WATCH: Duration = Duration::from_secs(1);

/// When a call that found the line full may find a place in it.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// What PostgreSQL names by number, as the caller's catalog has it.
pub trait Directory: Send + Sync {
    /// `pg_type.typname`, where the type is known.
    fn type_name(&self, oid: u32) -> Option<String>;

    /// What the caller may do with a column by its relation's number and its own, where both are known.
    fn restriction(&self, relation: u32, column: i16) -> Option<Restriction>;
}

/// What one run may take.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Most rows.
    pub max_rows: u64,
    /// Most bytes of the page that the rows go into.
    pub page: PageLimit,
    /// Most time, from the call to the last row.
    pub timeout: Duration,
    /// Most that the planner may expect it to cost.
    pub cost: CostLimits,
}

/// One statement to be run, with all that goes with it.
#[derive(Debug)]
pub struct Run {
    /// The statement. Unguarded SQL doesn't compile: only sql-guard makes a [`CheckedQuery`].
    pub query: CheckedQuery,
    /// A value for each of its placeholders.
    pub params: Vec<Value>,
    /// How many of its rows come before the first that is wanted.
    pub offset: u64,
    /// How PostgreSQL would run it, or ran it, in place of its rows: the plan as JSON, in a row of its own.
    pub explain: Option<Explain>,
    /// Whether what the planner expects of it may be told, where that is over a limit.
    pub tells_estimates: bool,
    /// Settings of its transaction, for row-level security; the statement can't change them.
    pub settings: Vec<Setting>,
    /// What it may take.
    pub limits: RunLimits,
}

/// The rows of one run.
#[derive(Debug)]
pub struct RowSet {
    /// A JSON array of one object a row.
    pub json: String,
    /// Number of rows.
    pub row_count: u64,
    /// The columns in order, named as in `json`.
    pub columns: Vec<ResultColumn>,
    /// Each column's type by its number, where PostgreSQL told it.
    pub types: Vec<Option<u32>>,
    /// Whether a cap cut the rows, or the time was over.
    pub truncated: bool,
    /// The time was over before all rows had come.
    pub timed_out: bool,
    /// From the call to the last row.
    pub elapsed: Duration,
    /// What they have of the memory for results; to be kept as long as they are.
    pub memory: Reservation,
}

/// Runs statements on one database, so many at once.
#[derive(Debug, Clone)]
pub struct Executor {
    slots: Slots,
    slot_wait: Duration,
    memory: ResultMemory,
    zone: Option<Tz>,
    tasks: TaskTracker,
}

impl Executor {
    /// An executor with `slots` statements at once, handed out fairly over the callers; a call waits at most `slot_wait` for its
    /// turn. All results together take `memory`. Parameters without an offset are read in `zone`, the sessions' own.
    pub fn new(slots: usize, slot_wait: Duration, memory: ResultMemory, zone: Option<Tz>) -> Self {
        Self { slots: Slots::new(slots), slot_wait, memory, zone, tasks: TaskTracker::new() }
    }

    /// A turn for `caller`, who has at most `most` at once; `None` is as many as there are.
    ///
    /// # Errors
    /// [`ExecuteError::Busy`] where it doesn't come in time, or too many wait.
    pub async fn turn(&self, caller: &Caller, most: Option<usize>) -> Result<Turn, ExecuteError> {
        match tokio::time::timeout(self.slot_wait, self.slots.take(caller, most)).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(Full)) => Err(ExecuteError::Busy { retry_after: FULL_RETRY }),
            Err(_) => Err(ExecuteError::Busy { retry_after: self.slot_wait }),
        }
    }

    /// The memory for results, of which answers that are no rows take their part too.
    pub fn memory(&self) -> &ResultMemory {
        &self.memory
    }

    /// Runs a statement on `database` in its caller's turn; its columns stand in their `directory`.
    ///
    /// Cancelling `cancel`, or dropping the returned future, cancels the statement on PostgreSQL.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn run(
        &self,
        turn: Turn,
        database: &Arc<Database>,
        run: Run,
        directory: Arc<dyn Directory>,
        cancel: &CancellationToken,
    ) -> Result<RowSet, ExecuteError> {
        let Run { query, params, offset, explain, tells_estimates, settings, limits } = run;
        let started = Instant::now();
        let stop = cancel::Stop::new(started + limits.timeout, limits.timeout, cancel.child_token());
        // Fires when this future is dropped: the task below then cancels on PostgreSQL and ends by itself.
        let _abandoned = stop.token().clone().drop_guard();

        let session = stop.unless(database.session()).await??;
        let frame = Frame { settings, runs_user_code: query.runs_user_code(), snapshot: false };
        let job = run::Job {
            database: Arc::clone(database),
            query,
            frame,
            params,
            offset,
            explain,
            tells_estimates,
            limits,
            memory: self.memory.clone(),
            directory,
            zone: self.zone,
            started,
        };
        // A task of its own, because the statement has to be stopped and its connection cleaned also when the caller is gone.
        let task = self.tasks.spawn(drive(job, session, turn, stop.clone(), self.tasks.clone()));
        task.await.map_err(|error| ExecuteError::Internal(error.into()))?
    }

    /// Waits until every statement has ended, at most `limit`: a backend that can't be stopped must not keep us. None may be
    /// started any more.
    pub async fn drain(&self, limit: Duration) {
        self.tasks.close();
        // What is left is PostgreSQL's own to end: its connection is closed.
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
    }
}

/// Runs the job, on a second session where the first turns out to be dead. The session goes back to its pool once nothing is left
/// prepared there. A backend that doesn't stop keeps its turn until it
/// is gone, so that no caller can pile them up.
async fn drive(
    job: run::Job,
    mut session: PooledSession,
    turn: Turn,
    stop: cancel::Stop,
    tasks: TaskTracker,
) -> Result<RowSet, ExecuteError> {
    metrics::running_statements(1.0);
    let mut outcome = job.run(&mut session, &stop).await;
    if outcome.as_ref().is_err_and(ExecuteError::is_connection_lost) && stop.check().is_ok() {
        job.database.forget_idle();
        if let Ok(Ok(second)) = stop.unless(job.database.session()).await {
            let first = std::mem::replace(&mut session, second);
            drop(PooledSession::take(first));
            outcome = job.run(&mut session, &stop).await;
        }
    }
    metrics::running_statements(-1.0);
    // The rows needn't wait for it. The turn does: until then there is no session for the next.
    tasks.spawn(async move {
        session.forget_statements().await;
        if session.is_broken() {
            let pid = session.pid();
            drop(PooledSession::take(session));
            outlast(&job.database, pid).await;
        } else {
            drop(session);
        }
        drop(turn);
    });
    outcome
}

/// Waits until a backend is gone, or nobody can tell any more.
async fn outlast(database: &Database, pid: i32) {
    while let Ok(true) = database.canceller().is_alive(pid).await {
        tokio::time::sleep(BACKEND_WATCH).await;
    }
}
