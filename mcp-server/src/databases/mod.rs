//! The databases by their names: each one's pool of pinned sessions, what its role may do, and whether it answers.

mod collection;
mod connect;
mod error;
mod host;
mod role;
mod session;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, Timeouts};

pub use collection::{Databases, DiscoverError};
pub use connect::{Profile, SessionManager, SessionPins};
pub use error::{AcquireError, ConnectError};
pub use host::Host;
pub use role::{Finding, Grade, RoleReport};
pub use session::{CancelError, Canceller, Session};
pub use setup::{Frame, Setting};

use crate::config::DatabaseConfig;

/// A session on loan; it goes back to its pool when dropped.
pub type PooledSession = Object<SessionManager>;

/// Longest that an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Longest that a health check waits.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

/// One database that is served.
#[derive(Debug)]
pub struct Database {
    name: String,
    description: Option<String>,
    default_schema: Option<String>,
    pool: Pool<SessionManager>,
    canceller: Canceller,
}

impl Database {
    /// The database in `config`, one of those at `host`. Nothing is connected yet.
    pub fn new(config: &DatabaseConfig, pins: SessionPins, host: Arc<Host>) -> Arc<Self> {
        let manager = SessionManager::new(config, pins, Arc::clone(&host));
        let canceller = Canceller::new(manager.options().clone());
        // A new session has limits of its own.
        let timeouts = Timeouts { wait: Some(config.pool_timeout), create: None, recycle: Some(config.pool_timeout) };
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .expect("a runtime is given, so that timeouts work");
        let database = Arc::new(Self {
            name: config.name.clone(),
            description: config.description.clone(),
            default_schema: config.default_schema.clone(),
            pool,
            canceller,
        });
        host.join(&database);
        database
    }

    /// The same with its host for itself.
    pub fn alone(config: &DatabaseConfig, pins: SessionPins) -> Arc<Self> {
        // Its pool and the one connection that may be about to go.
        Self::new(config, pins, Host::new(config.pool_size + 1))
    }

    /// Our name of it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds, where the operator says so.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The schema that tools mean where a call names none, where the operator says so.
    pub fn default_schema(&self) -> Option<&str> {
        self.default_schema.as_deref()
    }

    /// A pinned, read-only session, new or used. Statements stand between its [`Session::begin`] and [`Session::end`].
    ///
    /// # Errors
    /// [`AcquireError::Busy`] after `POOL_TIMEOUT_MS`; [`AcquireError::Connect`] where the database is down, or its role is refused.
    pub async fn session(&self) -> Result<PooledSession, AcquireError> {
        let waited = self.patience();
        self.canceller.open().await;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(ConnectError::HostFull { most, waited }) => AcquireError::Busy { size: most, waited },
            PoolError::Backend(error) => AcquireError::Connect(error),
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

    /// Closes connections that have been idle for a minute.
    fn reap_idle(&self) {
        self.pool.retain(|session, usage| !session.is_broken() && usage.last_used() < IDLE);
    }

    /// Closes every connection; those in use when they are given back.
    fn close(&self) {
        self.pool.close();
    }
}
