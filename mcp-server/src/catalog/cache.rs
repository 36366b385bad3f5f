//! The catalogs in memory: read once at a time, served stale while the database is down, read again when they are old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use sqlx::Connection;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::introspect;
use super::snapshot::Snapshot;
use crate::databases::{AcquireError, ConnectError, Database};
use crate::telemetry::metrics;

/// How soon after a load an unknown name may cause another.
const RELOAD_GAP: Duration = Duration::from_secs(10);

/// Longest that a load may take.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No session.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A query of ours failed.
    #[error("the catalog can't be read")]
    Query(#[source] sqlx::Error),
    /// It took too long.
    #[error("reading the catalog took longer than {} s", LOAD_LIMIT.as_secs())]
    TimedOut,
}

/// The catalog of one database, kept fresh.
#[derive(Debug)]
pub struct Catalogs {
    database: Arc<Database>,
    ttl: Duration,
    current: ArcSwapOption<Snapshot>,
    loading: Mutex<()>,
}

impl Catalogs {
    /// An empty cache; catalogs older than `ttl` are read again.
    pub fn new(database: Arc<Database>, ttl: Duration) -> Self {
        Self { database, ttl, current: ArcSwapOption::empty(), loading: Mutex::new(()) }
    }

    /// The catalog: from memory where it is young enough, else read; an old one where it can't be read.
    ///
    /// # Errors
    /// [`LoadError`] where there is none in memory and it can't be read.
    pub async fn current(&self) -> Result<Arc<Snapshot>, LoadError> {
        self.younger_than(self.ttl).await
    }

    /// The catalog after an unknown name: read again, unless that was done within ten seconds.
    ///
    /// # Errors
    /// As [`Catalogs::current`].
    pub async fn after_unknown_name(&self) -> Result<Arc<Snapshot>, LoadError> {
        self.younger_than(RELOAD_GAP).await
    }

    /// The catalog in memory, whatever its age.
    pub fn in_memory(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    async fn younger_than(&self, age: Duration) -> Result<Arc<Snapshot>, LoadError> {
        let kept = |age: Duration| self.current.load_full().filter(|snapshot| snapshot.loaded_at.elapsed() < age);
        if let Some(snapshot) = kept(age) {
            return Ok(snapshot);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(snapshot) = kept(age) {
            return Ok(snapshot);
        }
        match (self.load().await, self.current.load_full()) {
            (Ok(snapshot), _) => {
                let snapshot = Arc::new(snapshot);
                self.current.store(Some(Arc::clone(&snapshot)));
                Ok(snapshot)
            }
            (Err(error), Some(stale)) => {
                let database = self.database.name();
                warn!(
                    database,
                    error = &error as &dyn std::error::Error,
                    "catalog of {database} could not be read again; the old one stays"
                );
                Ok(stale)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn load(&self) -> Result<Snapshot, LoadError> {
        let started = Instant::now();
        let loaded = tokio::time::timeout(LOAD_LIMIT, self.read()).await.unwrap_or(Err(LoadError::TimedOut));
        let database = self.database.name();
        metrics::catalog_load(database, loaded.is_ok());
        if let Ok(snapshot) = &loaded {
            let (tables, duration_ms) = (snapshot.table_count(), started.elapsed().as_millis());
            info!(database, tables, duration_ms, fingerprint = snapshot.fingerprint(), "catalog of {database} loaded");
        }
        loaded
    }

    async fn read(&self) -> Result<Snapshot, LoadError> {
        let mut session = self.database.session().await?;
        let draft = match introspect_at_once(session.connection()).await {
            Ok(draft) => draft,
            Err(error) => {
                session.mark_broken();
                return Err(LoadError::Query(error));
            }
        };
        let profile = self
            .database
            .profile()
            .ok_or(LoadError::Acquire(AcquireError::Connect(ConnectError::TimedOut { limit: LOAD_LIMIT })))?;
        Ok(Snapshot::new(self.database.name(), profile.search_path.clone(), draft))
    }
}

/// Reads within one transaction, so that DDL in the middle can't tear the catalog.
async fn introspect_at_once(connection: &mut sqlx::PgConnection) -> Result<super::snapshot::Draft, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let draft = introspect::read(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(draft)
}
