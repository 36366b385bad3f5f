//! A database by its name: its pool of pinned sessions, what its role may do, and whether it answers.

mod connect;
mod role;
mod session;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, Timeouts};
use tokio_util::sync::CancellationToken;

pub use connect::{ConnectError, Profile, SessionManager, SessionPins};
pub use role::{Finding, Grade, RoleReport};
pub use session::{CancelError, Canceller, Session};
pub use setup::{Frame, Setting};

use crate::config::DatabaseConfig;

/// A session on loan; it goes back to its pool when dropped.
pub type PooledSession = Object<SessionManager>;

/// Longest that an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How often idle connections are looked for.
const REAP_EVERY: Duration = Duration::from_secs(15);

/// Longest that a health check waits.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

/// One database that is served.
#[derive(Debug)]
pub struct Database {
    name: String,
    pool: Pool<SessionManager>,
    canceller: Canceller,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// All sessions are busy and stayed so.
    #[error("all {size} connections to the database stayed busy for {} ms", .waited.as_millis())]
    Busy {
        /// Number of sessions.
        size: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// A new session couldn't be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl Database {
    /// The database in `config`. Nothing is connected yet.
    pub fn new(config: &DatabaseConfig, pins: SessionPins) -> Arc<Self> {
        let manager = SessionManager::new(config, pins);
        let canceller = Canceller::new(manager.options().clone());
        let timeouts = Timeouts {
            wait: Some(config.pool_timeout),
            create: Some(config.pool_timeout),
            recycle: Some(config.pool_timeout),
        };
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .expect("a runtime is given, so that timeouts work");
        Arc::new(Self { name: config.name.clone(), pool, canceller })
    }

    /// Our name of it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A pinned, read-only session, new or used. Statements stand between its [`Session::begin`] and [`Session::end`].
    ///
    /// # Errors
    /// [`AcquireError::Busy`] after `POOL_TIMEOUT_MS`; [`AcquireError::Connect`] where the database is down, or its role is refused.
    pub async fn session(&self) -> Result<PooledSession, AcquireError> {
        let waited = self.patience();
        self.canceller.open().await;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => AcquireError::Connect(error),
            PoolError::Timeout(deadpool::managed::TimeoutType::Create) => {
                AcquireError::Connect(ConnectError::TimedOut { limit: waited })
            }
            _ => AcquireError::Busy { size: self.pool.status().max_size, waited },
        })
    }

    /// Closes every connection that nobody uses: one was lost, so the others may be dead too.
    pub fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// What was found at the first connection that was made; `None` before.
    pub fn profile(&self) -> Option<Arc<Profile>> {
        self.pool.manager().profile()
    }

    /// The way to stop a running statement.
    pub fn canceller(&self) -> &Canceller {
        &self.canceller
    }

    /// Whether the database answers within two seconds.
    ///
    /// # Errors
    /// As [`Database::session`].
    pub async fn check_health(&self) -> Result<(), AcquireError> {
        let check = async {
            let mut session = self.session().await?;
            session.ping().await.map_err(|error| AcquireError::Connect(error.into()))
        };
        let timed_out = AcquireError::Connect(ConnectError::TimedOut { limit: HEALTH_LIMIT });
        tokio::time::timeout(HEALTH_LIMIT, check).await.unwrap_or(Err(timed_out))
    }

    /// Longest that a connection is waited for.
    pub fn patience(&self) -> Duration {
        self.pool.timeouts().wait.unwrap_or_default()
    }

    /// Connections open and most there can be.
    pub fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.max_size)
    }

    /// Closes connections that have been idle for a minute, until `stop`; then all.
    pub async fn reap_idle(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(REAP_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.pool.retain(|session, usage| !session.is_broken() && usage.last_used() < IDLE);
                }
                () = stop.cancelled() => break,
            }
        }
        self.pool.close();
    }
}
