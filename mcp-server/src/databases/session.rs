//! One connection with its pins, and the way to stop what runs on it.

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

    /// Whether it is closed instead of lent again.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// One round trip. After a cancel it takes up a signal that came late, which would otherwise hit the next statement.
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
}

/// Stops running statements over a connection of its own, kept open: sqlx has no cancel of its own.
#[derive(Debug)]
pub struct Canceller {
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
}

impl Canceller {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, connection: Mutex::new(None) }
    }

    /// Cancels what the backend `pid` runs. The caller must hold that backend's session, so that nothing else can be hit, and
    /// call this at most once a statement.
    ///
    /// # Errors
    /// Where the database can't be reached within a second.
    pub async fn cancel(&self, pid: i32) -> Result<(), CancelError> {
        tokio::time::timeout(CANCEL_LIMIT, self.send(pid)).await.unwrap_or(Err(CancelError::TimedOut))
    }

    async fn send(&self, pid: i32) -> Result<(), CancelError> {
        let mut kept = self.connection.lock().await;
        // Taken out while in use: a call that is given up half-way must not leave a connection in the middle of an answer.
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let sent = cancel(&mut connection, pid).await;
        // The kept connection may have died since; a fresh one gets one try.
        if sent.is_err() {
            connection = self.options.connect().await?;
            cancel(&mut connection, pid).await?;
        }
        *kept = Some(connection);
        Ok(())
    }
}

async fn cancel(connection: &mut PgConnection, pid: i32) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_catalog.pg_cancel_backend($1)").bind(pid).execute(connection).await.map(drop)
}
