//! All databases that are served, by their names: those of the settings, and those that are found on the default one's host.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sqlx::ConnectOptions;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connect::{SessionPins, connect_options};
use super::error::ConnectError;
use super::{Database, Host};
use crate::config::{Config, DatabaseConfig, is_database_name};

/// Longest that looking for databases may take.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(5);

/// How often idle connections are looked for.
const REAP_EVERY: Duration = Duration::from_secs(15);

/// The databases that are served. Clones share them.
#[derive(Debug, Clone)]
pub struct Databases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    default: Arc<Database>,
    /// Those of the settings, the default one among them.
    configured: BTreeMap<String, Arc<Database>>,
    /// What those that are found are like; nothing where none are looked for.
    template: Option<DatabaseConfig>,
    /// What those of the settings are called on their hosts, so that none is found a second time, outside of its policy: a host may
    /// have several names.
    own_names: Vec<String>,
    served: ArcSwap<BTreeMap<String, Arc<Database>>>,
    hosts: Hosts,
    pins: SessionPins,
}

/// The hosts by name and port.
#[derive(Debug)]
struct Hosts {
    most_connections: usize,
    known: Mutex<HashMap<(String, u16), Arc<Host>>>,
}

impl Hosts {
    fn of(&self, config: &DatabaseConfig) -> Arc<Host> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = known.entry((config.host.clone(), config.port));
        Arc::clone(host.or_insert_with(|| Host::new(self.most_connections)))
    }
}

/// Why it isn't known which databases there are.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The default database can't be asked.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// One that was found has the name of another.
    #[error(
        "the name {name} stands in DATABASES_FILE for one database, and another on the default host has it too: list the databases in \
         POSTGRES_DATABASES, each under a name of its own"
    )]
    Clash {
        /// The name.
        name: String,
    },
}

impl Databases {
    /// The databases in `config`. Nothing is connected yet, and none has been looked for.
    pub fn new(config: &Config) -> Self {
        let databases = &config.databases;
        let hosts = Hosts { most_connections: databases.max_server_connections, known: Mutex::default() };
        let pins = SessionPins::of(config);
        let made = |config: &DatabaseConfig| Database::new(config, pins.clone(), hosts.of(config));
        let default = made(&databases.default);
        let others = databases.others.iter().map(|config| (config.name.clone(), made(config)));
        let configured: BTreeMap<_, _> =
            [(databases.default.name.clone(), Arc::clone(&default))].into_iter().chain(others).collect();
        Self(Arc::new(Inner {
            default,
            served: ArcSwap::from_pointee(configured.clone()),
            configured,
            template: databases.discover.then(|| databases.default.clone()),
            own_names: databases.configured().map(|config| config.database.clone()).collect(),
            pins: pins.clone(),
            hosts,
        }))
    }

    /// The one that calls mean which name none.
    pub fn default(&self) -> &Arc<Database> {
        &self.0.default
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Database>> {
        self.0.served.load().get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Database>> {
        self.0.served.load().values().cloned().collect()
    }

    /// Their names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.served.load().keys().cloned().collect()
    }

    /// Looks for databases on the default one's host, where that is wanted: new ones are served from now on, those that are gone no
    /// more. Says whether anything changed.
    ///
    /// # Errors
    /// [`DiscoverError`]; what was known stays.
    pub async fn discover(&self) -> Result<bool, DiscoverError> {
        let Some(template) = &self.0.template else { return Ok(false) };
        let found = tokio::time::timeout(DISCOVERY_LIMIT, names_on_host(template));
        let found = found.await.unwrap_or(Err(ConnectError::TimedOut { limit: DISCOVERY_LIMIT }))?;
        let known = self.0.served.load_full();
        let mut served = self.0.configured.clone();
        for name in found {
            if self.0.own_names.contains(&name) {
                continue;
            }
            if served.contains_key(&name) {
                return Err(DiscoverError::Clash { name });
            }
            if !is_database_name(&name) {
                warn!(database = %name, "{name:?} is not served: list it in POSTGRES_DATABASES under another name");
                continue;
            }
            let config = template.sibling(&name);
            let database = known.get(&name).cloned();
            let database =
                database.unwrap_or_else(|| Database::new(&config, self.0.pins.clone(), self.0.hosts.of(&config)));
            served.insert(name, database);
        }
        let is_new = !served.keys().eq(known.keys());
        if is_new {
            let names = served.keys().cloned().collect::<Vec<_>>().join(", ");
            info!(databases = names, "databases that are served: {names}");
            for (_, gone) in known.iter().filter(|(name, _)| !served.contains_key(*name)) {
                gone.close();
            }
            self.0.served.store(Arc::new(served));
        }
        Ok(is_new)
    }

    /// Closes connections that have been idle for a minute, until `stop`; then all.
    pub async fn reap_idle(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(REAP_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => self.all().iter().for_each(|database| database.reap_idle()),
                () = stop.cancelled() => break,
            }
        }
        self.all().iter().for_each(|database| database.close());
    }
}

/// Names of the databases of a host that the role may connect to. Over a connection of its own: it is asked of the host, whatever the
/// role could do in the database that it happens to be asked in.
async fn names_on_host(config: &DatabaseConfig) -> Result<Vec<String>, ConnectError> {
    let mut connection = connect_options(config).connect().await?;
    let names = sqlx::query_scalar(include_str!("sql/databases.sql")).persistent(false).fetch_all(&mut connection);
    Ok(names.await?)
}
