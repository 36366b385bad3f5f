//! One database's catalog in memory: read once at a time, served stale while the database is down, read again when it is old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use daemon::log::Chain;
use moka::future::Cache;
use sql_guard::{Access, Guard, Rejection};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::changes::Changes;
use super::introspect;
use super::samples::Samples;
use super::sampling::{self, Judge};
use super::snapshot::Snapshot;
use super::visible::Visible;
use crate::databases::{AcquireError, ConnectError, Database, Frame, Session};
use crate::policy::Rules;
use crate::telemetry::metrics;

/// How soon after a load an unknown name may cause another.
const RELOAD_GAP: Duration = Duration::from_secs(10);

/// How often it is looked whether DDL has changed anything, while anybody asks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon after a load a change causes another: DDL often comes in rows.
const CHANGE_GAP: Duration = Duration::from_secs(2);

/// Longest that a load may take.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// Most views that are kept, each of a catalog under a caller's rules.
const MAX_VISIBLE: u64 = 256;

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

/// The catalog of one database, kept fresh. Clones share it.
#[derive(Clone)]
pub struct CatalogCache(Arc<Inner>);

struct Inner {
    database: Arc<Database>,
    guard: Guard,
    visible: Cache<Sight, Arc<Visible>>,
    /// What may be done, by snapshot and rules: it doesn't hang on the values of columns.
    accesses: Cache<(u64, u64), Arc<Access>>,
    ttl: Duration,
    current: ArcSwapOption<Snapshot>,
    /// Held while a load runs; says when the last one began.
    loading: Mutex<Option<Instant>>,
    /// Held while it is looked for changes; says when that was last.
    looking: Mutex<Option<Instant>>,
    /// How the last load ended.
    outcome: ArcSwapOption<Outcome>,
    /// Held while values of columns are read.
    sampling: Mutex<()>,
    /// Those that were read last.
    samples: ArcSwapOption<Samples>,
    /// Who is told of a new catalog. Where nobody is, nobody needs the values of its columns either.
    changes: Option<Changes>,
}

/// What a caller's view is made of, by their numbers: a snapshot, rules, and the values of columns, where there are any.
type Sight = (u64, u64, Option<u64>);

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Loaded,
    Failed,
    Refused,
}

/// How a database stands, as far as its catalog tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its catalog hasn't been read yet.
    Loading,
    /// Its catalog is there, and was read when it should be.
    Ready,
    /// Its catalog is there, but couldn't be read again.
    Stale,
    /// There is no catalog: it can't be reached, or can't be read.
    Unavailable,
    /// Its role is refused.
    Refused,
}

impl Status {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Stale => "stale",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

impl CatalogCache {
    /// An empty cache; catalogs older than `ttl` are read again.
    pub fn new(database: Arc<Database>, guard: Guard, ttl: Duration) -> Self {
        let visible = Cache::builder().max_capacity(MAX_VISIBLE).time_to_idle(2 * ttl).build();
        let accesses = Cache::builder().max_capacity(MAX_VISIBLE).time_to_idle(2 * ttl).build();
        Self(Arc::new(Inner {
            database,
            guard,
            visible,
            accesses,
            ttl,
            current: ArcSwapOption::empty(),
            loading: Mutex::default(),
            looking: Mutex::default(),
            outcome: ArcSwapOption::empty(),
            sampling: Mutex::default(),
            samples: ArcSwapOption::empty(),
            changes: None,
        }))
    }

    /// The same, which tells of each new catalog, and reads the values of its columns behind it.
    #[must_use]
    pub(super) fn with_changes(self, changes: Changes) -> Self {
        let inner = Arc::into_inner(self.0).expect("nobody else has a cache that was just made");
        Self(Arc::new(Inner { changes: Some(changes), ..inner }))
    }

    /// The database that it is of.
    pub fn database(&self) -> &Arc<Database> {
        &self.0.database
    }

    /// How the database stands.
    pub fn status(&self) -> Status {
        let outcome = self.0.outcome.load().as_deref().copied();
        match (outcome, self.0.current.load().is_some()) {
            (Some(Outcome::Refused), _) => Status::Refused,
            (Some(Outcome::Failed), true) => Status::Stale,
            (Some(Outcome::Failed), false) => Status::Unavailable,
            (_, true) => Status::Ready,
            (_, false) => Status::Loading,
        }
    }

    /// The catalog in memory, if there is one.
    pub fn held(&self) -> Option<Arc<Snapshot>> {
        self.0.current.load_full()
    }

    /// The catalog, read again now.
    ///
    /// # Errors
    /// [`LoadError`]; the old one stays.
    pub async fn reload(&self) -> Result<Arc<Snapshot>, LoadError> {
        self.read_after(Instant::now()).await
    }

    /// What of a catalog is left to a caller under these rules. Found out once, however many ask.
    ///
    /// # Errors
    /// SERVER_BUSY where the guard has no time for it.
    pub async fn visible(&self, snapshot: &Arc<Snapshot>, rules: &Rules) -> Result<Arc<Visible>, Arc<Rejection>> {
        let samples = snapshot.samples();
        let sight: Sight = (snapshot.serial(), rules.id, samples.as_ref().map(|samples| samples.serial()));
        let made = async {
            let catalog: Arc<Snapshot> = Arc::clone(snapshot);
            let access = self.0.guard.access(catalog, Arc::clone(&rules.policy));
            let access = self.0.accesses.try_get_with((snapshot.serial(), rules.id), access).await;
            let access = access.map_err(|rejection| Rejection::clone(&rejection))?;
            Ok(Arc::new(Visible::new(Arc::clone(snapshot), samples.as_deref(), access, &rules.policy)))
        };
        self.0.visible.try_get_with(sight, made).await
    }

    /// The catalog. One in memory is given at once, and read again behind the caller's back where it is old or DDL has changed
    /// something since; only the first is waited for.
    ///
    /// # Errors
    /// [`LoadError`] where there is none in memory and it can't be read.
    pub async fn current(&self) -> Result<Arc<Snapshot>, LoadError> {
        let Some(snapshot) = self.0.current.load_full() else { return self.0.newer_than(None).await };
        let inner = Arc::clone(&self.0);
        // Both are owned by their deadlines; a second one ends at once while the first is still at it.
        if snapshot.loaded_at.elapsed() >= self.0.ttl {
            tokio::spawn(async move { inner.refresh(RELOAD_GAP.min(inner.ttl)).await });
        } else if self.0.looking.try_lock().is_ok_and(|last| last.is_none_or(|last| last.elapsed() >= LOOK_EVERY)) {
            let known = Arc::clone(&snapshot);
            tokio::spawn(async move { inner.look(&known).await });
        }
        Ok(snapshot)
    }

    /// The catalog after a name that `known` lacks: read again, unless that was tried within ten seconds.
    ///
    /// # Errors
    /// As [`CatalogCache::current`].
    pub async fn after_unknown_name(&self, known: &Arc<Snapshot>) -> Result<Arc<Snapshot>, LoadError> {
        if known.loaded_at.elapsed() < RELOAD_GAP {
            return Ok(Arc::clone(known));
        }
        self.0.newer_than(Some(known)).await
    }

    /// The catalog as it is after `moment`, when it turned out that a table had changed: read again, unless somebody else has
    /// done so since.
    ///
    /// # Errors
    /// As [`CatalogCache::current`].
    pub async fn read_after(&self, moment: Instant) -> Result<Arc<Snapshot>, LoadError> {
        let mut last = self.0.loading.lock().await;
        match self.0.current.load_full() {
            Some(current) if last.is_some_and(|begun| begun > moment) => Ok(current),
            _ => self.0.load(&mut last).await,
        }
    }
}

impl Inner {
    /// Reads the catalog again where DDL has changed anything since `known` was read.
    async fn look(self: &Arc<Self>, known: &Snapshot) {
        let Ok(mut last) = self.looking.try_lock() else { return };
        *last = Some(Instant::now());
        let changes = self.changes().await;
        if changes.is_some() && changes != known.changes {
            self.refresh(CHANGE_GAP).await;
        }
    }

    /// Reads the catalog again, unless that is under way or was tried within `gap`.
    async fn refresh(self: &Arc<Self>, gap: Duration) {
        let Ok(mut last) = self.loading.try_lock() else { return };
        if last.is_none_or(|last| last.elapsed() >= gap) {
            // A failure is logged, and the old one stays.
            let _ = self.load(&mut last).await;
        }
    }

    /// A catalog that isn't `known`: one that somebody else has just loaded, or one loaded now; `known` where loading fails.
    async fn newer_than(self: &Arc<Self>, known: Option<&Arc<Snapshot>>) -> Result<Arc<Snapshot>, LoadError> {
        let mut last = self.loading.lock().await;
        match (self.current.load_full(), known) {
            (Some(current), Some(known)) if !Arc::ptr_eq(&current, known) => return Ok(current),
            (Some(current), None) => return Ok(current),
            _ => {}
        }
        if let Some(known) = known
            && last.is_some_and(|last| last.elapsed() < RELOAD_GAP)
        {
            return Ok(Arc::clone(known));
        }
        match (self.load(&mut last).await, known) {
            (Ok(snapshot), _) => Ok(snapshot),
            (Err(_), Some(known)) => Ok(Arc::clone(known)),
            (Err(error), None) => Err(error),
        }
    }

    /// Loads, within a deadline, and takes what came as the current one.
    async fn load(self: &Arc<Self>, last: &mut Option<Instant>) -> Result<Arc<Snapshot>, LoadError> {
        let started = Instant::now();
        *last = Some(started);
        let loaded = tokio::time::timeout(LOAD_LIMIT, self.read()).await.unwrap_or(Err(LoadError::TimedOut));
        let database = self.database.name();
        metrics::catalog_load(database, loaded.is_ok());
        match loaded {
            Ok(snapshot) => {
                let (tables, duration_ms) = (snapshot.table_count(), started.elapsed().as_secs_f64() * 1000.0);
                info!(database, tables, duration_ms, "catalog of {database} loaded");
                let snapshot = Arc::new(snapshot);
                if let Some(samples) = self.samples.load_full() {
                    // They are more likely right than wrong until they are read again.
                    snapshot.take_samples(samples);
                }
                self.current.store(Some(Arc::clone(&snapshot)));
                // Whoever works with the catalog before holds what they need of it.
                self.visible.invalidate_all();
                self.accesses.invalidate_all();
                self.outcome.store(Some(Arc::new(Outcome::Loaded)));
                if let Some(changes) = self.changes.clone() {
                    changes.tell();
                    // It has a deadline.
                    tokio::spawn(Arc::clone(self).sample(Arc::clone(&snapshot), changes));
                }
                Ok(snapshot)
            }
            Err(error) => {
                let is_refused = matches!(error, LoadError::Acquire(AcquireError::Connect(ConnectError::Refused(_))));
                let outcome = if is_refused { Outcome::Refused } else { Outcome::Failed };
                self.outcome.store(Some(Arc::new(outcome)));
                warn!(database, error = %Chain(&error), "catalog of {database} could not be read");
                Err(error)
            }
        }
    }

    /// Reads the values of a catalog's columns, unless a newer one has taken its place.
    async fn sample(self: Arc<Self>, snapshot: Arc<Snapshot>, changes: Changes) {
        let _turn = self.sampling.lock().await;
        if !self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, &snapshot)) {
            return;
        }
        let catalog: Arc<Snapshot> = Arc::clone(&snapshot);
        // A guard too busy for it is asked again after the next load.
        let Ok(access) = self.guard.access(catalog, Arc::default()).await else { return };
        let judge = Judge { guard: self.guard.clone(), access };
        let before = self.samples.load_full();
        let Some(samples) = sampling::read(&self.database, &snapshot, &judge, before.as_deref()).await else { return };
        let (samples, is_new) = match &before {
            Some(before) => samples.after(before),
            None => (samples, true),
        };
        let samples = Arc::new(samples);
        self.samples.store(Some(Arc::clone(&samples)));
        // It may be a newer one by now, and has nothing newer.
        if let Some(current) = self.current.load_full() {
            current.take_samples(samples);
        }
        if is_new {
            changes.tell();
        }
    }

    /// A number that DDL makes another, where that can be told.
    async fn changes(&self) -> Option<i64> {
        let changes = self.database.canceller().changes().await;
        changes.inspect_err(|error| debug!(error = %Chain(error), "changes can't be looked for")).ok().flatten()
    }

    async fn read(&self) -> Result<Snapshot, LoadError> {
        let mut session = self.database.session().await?;
        let profile = self.database.profile().expect("a session was made, so its profile is known");
        let search_path = profile.own_search_path();
        // Before anything else is read: what changes meanwhile is seen the next time.
        let changes = self.changes().await;
        let draft = introspect_at_once(&mut session, search_path).await.map_err(LoadError::Query)?;
        Ok(Snapshot::new(self.database.name(), profile.search_path.clone(), changes, draft))
    }
}

/// Reads within one transaction, so that DDL in the middle can't tear the catalog.
async fn introspect_at_once(session: &mut Session, search_path: String) -> Result<super::snapshot::Draft, sqlx::Error> {
    let settings = vec![("search_path".to_owned(), search_path)];
    let frame = Frame { snapshot: true, settings, ..Frame::default() };
    session.begin(&frame).await?;
    let draft = introspect::read(session.connection()).await?;
    session.end(&frame).await;
    Ok(draft)
}
