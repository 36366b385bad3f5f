//! One connection with its pins, and the way to stop what runs on it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::Mutex;

/// Longest that a cancel may take to reach the database.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);

/// One pinned, read-only connection and the process that serves it.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    pid: i32,
    broken: bool,
}

impl Session {
    pub(super) fn new(connection: PgConnection, pid: i32) -> Self {
        Self { connection, pid, broken: false }
    }

    /// The connection, to run a statement on.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Process id of its backend, for [`Canceller::cancel`].
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Keeps the pool from lending this session again.
    pub fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Takes [`Session::mark_broken`] back.
    pub fn mark_sound(&mut self) {
        self.broken = false;
    }

    /// Whether it is closed instead of lent again.
    pub fn is_broken(&self) -> bool {
        self.broken
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
        self.ask("SELECT pg_catalog.pg_cancel_backend($1)", pid).await.map(drop)
    }

    /// Ends the backend `pid`, whose session the caller holds and gives up.
    ///
    /// # Errors
    /// As [`Canceller::cancel`].
    pub async fn terminate(&self, pid: i32) -> Result<(), CancelError> {
        self.ask("SELECT pg_catalog.pg_terminate_backend($1)", pid).await.map(drop)
    }

    /// Whether the backend `pid` is still there.
    ///
    /// # Errors
    /// As [`Canceller::cancel`].
    pub async fn is_alive(&self, pid: i32) -> Result<bool, CancelError> {
        self.ask("SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = $1)", pid).await
    }

    /// One yes or no about a backend, in a task of its own: a caller that is no longer polled, because its own caller is busy
    /// stopping it, must not be the one that holds the connection's lock.
    async fn ask(&self, question: &'static str, pid: i32) -> Result<bool, CancelError> {
        let control = Arc::clone(&self.0);
        tokio::spawn(async move { control.ask(question, pid).await }).await?
    }
}

impl Control {
    /// The second begins once the connection is free: waiting for others is not its fault, and each of them has a second.
    async fn ask(&self, question: &'static str, pid: i32) -> Result<bool, CancelError> {
        let mut kept = self.connection.lock().await;
        let answer = async {
            // Taken out while in use: a call that is given up half-way must not leave a connection in the middle of an answer.
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let mut answer = sqlx::query_scalar(question).bind(pid).fetch_one(&mut connection).await;
            // The kept connection may have died since; a fresh one gets one try.
            if answer.is_err() {
                connection = self.options.connect().await?;
                answer = sqlx::query_scalar(question).bind(pid).fetch_one(&mut connection).await;
            }
            *kept = Some(connection);
            Ok(answer?)
        };
        tokio::time::timeout(CANCEL_LIMIT, answer).await.unwrap_or(Err(CancelError::TimedOut))
    }
}
