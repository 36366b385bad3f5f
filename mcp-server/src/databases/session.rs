//! One connection with its pins, and the way to stop what runs on it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgStatement};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row, SqlStr};
use tokio::sync::Mutex;

use super::host::Place;
use super::setup::{Frame, Setup};
use crate::config::PostgresMode;

/// Longest that a cancel may take to reach the database, and that a session may take to be in order after its statement.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);

/// Takes back all that is prepared, for what the driver doesn't know the name of. A pooler that keeps statements of its own in the
/// backend notices (PgBouncer from 1.22 on), and prepares them anew.
const FORGET: &str = "DEALLOCATE ALL";

/// Most bytes of callers' statements that one session runs: a thousand usual ones.
const MOST_SERVED: usize = 256 << 10;

/// One pinned, read-only connection and the process that serves it.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    setup: Arc<Setup>,
    pid: i32,
    /// A statement's frame was begun and hasn't ended.
    open: bool,
    broken: bool,
    prepared: Prepared,
    /// Bytes of the callers' statements that it has run.
    served: usize,
    /// Given back to the host's others when the connection is gone.
    _place: Place,
}

/// What callers' statements may have left prepared in the backend: texts, plans and types, which take memory there for as long as
/// they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prepared {
    Nothing,
    /// Statements that the driver knows the names of.
    Known,
    /// Perhaps one besides that it doesn't know the name of: it failed after PostgreSQL had prepared it.
    Unknown,
}

impl Session {
    /// Pins `connection`, where it stays on one backend.
    pub(super) async fn open(connection: PgConnection, setup: Arc<Setup>, place: Place) -> Result<Self, sqlx::Error> {
        let mut session = Self {
            connection,
            setup,
            pid: 0,
            open: false,
            broken: false,
            prepared: Prepared::Nothing,
            served: 0,
            _place: place,
        };
        if session.setup.mode == PostgresMode::Direct {
            let pins = AssertSqlSafe(session.setup.pin());
            session.pid = sqlx::raw_sql(pins).fetch_one(&mut session.connection).await?.try_get("pid")?;
        }
        Ok(session)
    }

    /// Begins what `frame` asks for; nothing where the statement may stand by itself, which saves two round trips. Until
    /// [`Session::end`] the session counts as broken, so that one that is given up in between isn't lent again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin(&mut self, frame: &Frame) -> Result<(), sqlx::Error> {
        if self.setup.needs_transaction(frame) {
            self.open = true;
            let begin = AssertSqlSafe(self.setup.begin(frame));
            self.pid = sqlx::raw_sql(begin).fetch_one(&mut self.connection).await?.try_get("pid")?;
        }
        Ok(())
    }

    /// Undoes what [`Session::begin`] and the statement left in the session. Where that fails, takes over a second, or leaves something
    /// behind that nothing undoes, the session stays broken.
    pub async fn end(&mut self, frame: &Frame) {
        if !self.open || self.broken {
            return;
        }
        let mut end = self.setup.end(frame);
        if self.prepared == Prepared::Unknown {
            end = format!("{end}; {FORGET}");
        }
        let in_order = async {
            if self.setup.mode == PostgresMode::Pooler {
                // They are prepared on a backend that somebody else has next, who may use the same names.
                self.connection.clear_cached_statements().await?;
            }
            let rows = sqlx::raw_sql(AssertSqlSafe(end)).fetch_all(&mut self.connection).await?;
            rows.last().map_or(Ok(false), |row| row.try_get("keeps_state"))
        };
        let keeps_state: Result<Result<bool, sqlx::Error>, _> = tokio::time::timeout(CANCEL_LIMIT, in_order).await;
        self.open = !matches!(keeps_state, Ok(Ok(false)));
        if !self.open && self.prepared != Prepared::Nothing {
            // What the backend has forgotten the driver still knows, but behind a pooler, where it was told before.
            self.prepared = if self.is_pooled() { Prepared::Nothing } else { Prepared::Known };
        }
        // No statement of ours runs there any more: it is somebody else's next, or about to go.
        if self.setup.mode == PostgresMode::Pooler || matches!(keeps_state, Ok(Ok(true))) {
            self.pid = 0;
        }
    }

    /// Has PostgreSQL prepare a caller's statement, which the connection then runs by its text. Until
    /// [`Session::forget_statements`] the session counts as broken.
    ///
    /// # Errors
    /// Where PostgreSQL refuses it, or the driver can't read what it says of it.
    pub async fn prepare(&mut self, sql: SqlStr) -> Result<PgStatement, sqlx::Error> {
        // Also for one that is given up before it has come to its end.
        let before = std::mem::replace(&mut self.prepared, Prepared::Unknown);
        self.served = self.served.saturating_add(sql.as_str().len());
        let statement = self.connection.prepare(sql).await?;
        if before != Prepared::Unknown {
            self.prepared = Prepared::Known;
        }
        Ok(statement)
    }

    /// Throws away what callers' statements have left prepared, in PostgreSQL and in the driver. Where that fails or takes over a
    /// second, the session stays broken.
    pub async fn forget_statements(&mut self) {
        if self.broken || self.open || self.prepared == Prepared::Nothing {
            return;
        }
        let forgotten = async {
            self.connection.clear_cached_statements().await?;
            if self.prepared == Prepared::Unknown {
                sqlx::raw_sql(FORGET).execute(&mut self.connection).await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        if matches!(tokio::time::timeout(CANCEL_LIMIT, forgotten).await, Ok(Ok(()))) {
            self.prepared = Prepared::Nothing;
        }
    }

    /// Whether statements of one session may run on different backends.
    pub fn is_pooled(&self) -> bool {
        self.setup.mode == PostgresMode::Pooler
    }

    /// The connection, to run a statement on.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Process id of its backend, for [`Canceller::cancel`]; 0, which is nobody's, where there is none to be stopped: behind a
    /// pooler outside of [`Session::begin`] and [`Session::end`], and when the session is about to be closed.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Keeps the pool from lending this session again.
    pub fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Whether it has run so much that another is to take its place. A backend keeps the type of every row that a statement made, some
    /// 100 bytes for each of its columns, until it ends.
    pub(super) fn is_worn(&self) -> bool {
        self.served > MOST_SERVED
    }

    /// Whether it is closed instead of lent again.
    pub fn is_broken(&self) -> bool {
        self.broken || self.open || self.prepared != Prepared::Nothing
    }

    /// One round trip.
    ///
    /// # Errors
    /// Where the connection is lost; the session is then marked broken.
    pub async fn ping(&mut self) -> Result<(), sqlx::Error> {
        let answer = self.connection.ping().await;
        if answer.is_err() {
            self.broken = true;
        }
        answer
    }

    /// A round trip after a cancel: takes up a signal that came late, which would otherwise hit the next statement.
    ///
    /// # Errors
    /// Where the connection isn't in order within a second.
    pub async fn settle(&mut self) -> Result<(), CancelError> {
        let twice = async {
            match self.connection.ping().await {
                Ok(()) => Ok(()),
                // The late signal itself.
                Err(sqlx::Error::Database(_)) => self.connection.ping().await,
                Err(error) => Err(error),
            }
        };
        Ok(tokio::time::timeout(CANCEL_LIMIT, twice).await.map_err(|_| CancelError::TimedOut)??)
    }
}

/// Stops running statements over a connection of its own, kept open: sqlx has no cancel of its own.
#[derive(Debug)]
pub struct Canceller(Arc<Control>);

/// What can be asked over it.
trait Answer: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + 'static {}

impl Answer for bool {}
impl Answer for Option<i64> {}

/// The connection, and how to open it.
#[derive(Debug)]
struct Control {
    options: PgConnectOptions,
    connection: Mutex<Option<PgConnection>>,
}

/// Why a cancel didn't reach the database.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The connection failed.
    #[error("the cancel could not be sent")]
    Database(#[from] sqlx::Error),
    /// It took over a second.
    #[error("the cancel took over a second")]
    TimedOut,
    /// Its task ended early.
    #[error("the cancel was given up")]
    GivenUp(#[from] tokio::task::JoinError),
}

impl Canceller {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(Control { options, connection: Mutex::new(None) }))
    }

    /// Opens its connection, where it isn't open: later, when it is needed, all of the role's connections may be taken.
    pub async fn open(&self) {
        let mut kept = self.0.connection.lock().await;
        if kept.is_none() {
            // Without it a cancel tries again, and says why where it can't.
            *kept = tokio::time::timeout(CANCEL_LIMIT, self.0.options.connect()).await.ok().and_then(Result::ok);
        }
    }

    /// Cancels what the backend `pid` runs. The caller must hold that backend's session, so that nothing else can be hit.
    ///
    /// # Errors
    /// Where the database can't be reached within a second.
    pub async fn cancel(&self, pid: i32) -> Result<(), CancelError> {
        self.ask::<bool>(format!("SELECT pg_catalog.pg_cancel_backend({pid})")).await.map(drop)
    }

    /// Ends the backend `pid`, whose session the caller holds and gives up.
    ///
    /// # Errors
    /// As [`Canceller::cancel`].
    pub async fn terminate(&self, pid: i32) -> Result<(), CancelError> {
        self.ask::<bool>(format!("SELECT pg_catalog.pg_terminate_backend({pid})")).await.map(drop)
    }

    /// Whether the backend `pid` is still there.
    ///
    /// # Errors
    /// As [`Canceller::cancel`].
    pub async fn is_alive(&self, pid: i32) -> Result<bool, CancelError> {
        self.ask(format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = {pid})")).await
    }

    /// A number that DDL in this database makes another; nothing where the database keeps no such count. It is asked here, because it
    /// must neither wait for a session nor take one away.
    ///
    /// # Errors
    /// As [`Canceller::cancel`].
    pub async fn changes(&self) -> Result<Option<i64>, CancelError> {
        self.ask(include_str!("sql/changes.sql").to_owned()).await
    }

    /// One answer, in a task of its own: a caller that is no longer polled, because its own caller is busy stopping it, must not be
    /// the one that holds the connection's lock.
    async fn ask<T: Answer>(&self, question: String) -> Result<T, CancelError> {
        let control = Arc::clone(&self.0);
        tokio::spawn(async move { control.ask(&question).await }).await?
    }
}

impl Control {
    /// The second begins once the connection is free: waiting for others is not its fault, and each of them has a second.
    ///
    /// Over the simple protocol, in one round trip: behind a pooler the parts of the extended one could come to different
    /// backends. What stands in the text is a number.
    async fn ask<T: Answer>(&self, question: &str) -> Result<T, CancelError> {
        let mut kept = self.connection.lock().await;
        let answer = async {
            // Taken out while in use: a call that is given up half-way must not leave a connection in the middle of an answer.
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let mut answer = sqlx::raw_sql(AssertSqlSafe(question)).fetch_one(&mut connection).await;
            // The kept connection may have died since; a fresh one gets one try.
            if answer.is_err() {
                connection = self.options.connect().await?;
                answer = sqlx::raw_sql(AssertSqlSafe(question)).fetch_one(&mut connection).await;
            }
            *kept = Some(connection);
            Ok(answer?.try_get(0)?)
        };
        tokio::time::timeout(CANCEL_LIMIT, answer).await.unwrap_or(Err(CancelError::TimedOut))
    }
}
