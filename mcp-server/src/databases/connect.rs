//! How a session comes to be: TLS, pins, and on the first connection a look at what the role could do.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use daemon::log::Chain;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use recloser::{AsyncRecloser, Recloser};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, PgConnection, Row};
use tracing::{debug, info, warn};

use super::error::ConnectError;
use super::host::{Host, Place};
use super::role::RoleReport;
use super::session::Session;
use super::setup::{Setting, Setup};
use crate::config::{Config, Credentials, DatabaseConfig, PostgresMode};

/// Longest that a statement waits for a lock: another session's DDL must not hold a slot for the whole statement time.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest that a transaction of ours may idle; we never leave one open, so this only catches a lost process.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How often PostgreSQL looks whether we are still there while a statement runs.
const CLIENT_CHECK: &str = "2s";

/// From how many relations on PostgreSQL plans joins by trying some orders rather than all: eleven relations of a comma list that are
/// equal in one column take 300 MB of its planner, and a short statement has room for many such lists.
const SEARCHED_WHOLE: &str = "8";

/// Tries of which half must fail before a database is left alone.
const FAILURES: usize = 4;

/// How long it is left alone before the next try.
const REST: Duration = Duration::from_secs(1);

/// Settings that every session has, besides the fixed ones.
#[derive(Debug, Clone)]
pub struct SessionPins {
    /// TimeZone.
    pub timezone: String,
    /// `statement_timeout`: the ceiling of what a call may ask; shorter limits are kept by our own clock.
    pub statement_timeout: Duration,
    /// Whether a privileged role is served all the same.
    pub allow_privileged_role: bool,
}

impl SessionPins {
    /// As the settings say.
    pub fn of(config: &Config) -> Self {
        let database = &config.databases.default;
        Self {
            timezone: database.timezone.clone(),
            statement_timeout: config.limits.max_statement_timeout,
            allow_privileged_role: database.allow_privileged_role,
        }
    }
}

/// What the first connection found.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Schemas in which unqualified names are looked up, in order.
    pub search_path: Vec<String>,
    /// What the role could do.
    pub role: RoleReport,
}

impl Profile {
    /// The search_path for queries of our own: PostgreSQL's operators come before any of the same name in the user's schemas,
    /// which otherwise keep their order.
    pub fn own_search_path(&self) -> String {
        let path = self.search_path.iter().filter(|schema| *schema != "pg_catalog").map(|schema| quoted(schema));
        let path = ["pg_catalog".to_owned()].into_iter().chain(path).chain(["pg_temp".to_owned()]);
        path.collect::<Vec<_>>().join(", ")
    }
}

/// Makes sessions for the pool.
#[derive(Debug)]
pub struct SessionManager {
    name: String,
    mode: PostgresMode,
    options: PgConnectOptions,
    pins: SessionPins,
    /// The databases file's; the role's own unless given.
    search_path: Option<Vec<String>>,
    host: Arc<Host>,
    patience: Duration,
    breaker: AsyncRecloser,
    /// What can be done about the last failure.
    way_out: Mutex<&'static str>,
    known: ArcSwapOption<Known>,
}

/// A database that was accepted.
#[derive(Debug)]
struct Known {
    profile: Arc<Profile>,
    setup: Arc<Setup>,
}

impl SessionManager {
    pub(super) fn new(config: &DatabaseConfig, pins: SessionPins, host: Arc<Host>) -> Self {
        let breaker = Recloser::custom().error_rate(0.5).closed_len(FAILURES).half_open_len(1).open_wait(REST).build();
        Self {
            name: config.name.clone(),
            mode: config.mode,
            options: connect_options(config),
            pins,
            search_path: config.search_path.clone(),
            host,
            patience: config.pool_timeout,
            breaker: AsyncRecloser::from(breaker),
            way_out: Mutex::default(),
            known: ArcSwapOption::empty(),
        }
    }

    /// A session on a new connection, which has its place at the host.
    async fn connect(&self, place: Place) -> Result<Session, ConnectError> {
        let opened = async {
            let mut connection = self.options.connect().await?;
            let setup = self.accept(&mut connection).await?;
            Ok(Session::open(connection, setup, place).await?)
        };
        let limit = self.patience;
        tokio::time::timeout(limit, opened).await.unwrap_or(Err(ConnectError::TimedOut { limit }))
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(super) fn profile(&self) -> Option<Arc<Profile>> {
        self.known.load().as_ref().map(|known| Arc::clone(&known.profile))
    }

    /// How sessions are set up, from the first accepted connection. A refused one is looked at again each time, so that a
    /// mended role is served without a restart.
    async fn accept(&self, connection: &mut PgConnection) -> Result<Arc<Setup>, ConnectError> {
        if let Some(known) = &*self.known.load() {
            return Ok(Arc::clone(&known.setup));
        }
        let found = Found::of(connection, self.search_path.as_deref()).await?;
        if found.role.is_refused() && !self.pins.allow_privileged_role {
            return Err(ConnectError::Refused(found.role));
        }
        for finding in found.role.findings() {
            warn!(database = %self.name, grade = finding.grade.as_str(), "role of {}: {}", self.name, finding.text);
        }
        if !found.left_out.is_empty() {
            let (name, schemas) = (&self.name, found.left_out.join(", "));
            warn!(
                database = %name,
                schemas,
                "role of {name}: names without a schema are not looked up in {schemas}, where it may create objects; revoke that right"
            );
        }
        let search_path = found.search_path.join(", ");
        info!(database = %self.name, search_path, "connected to {}", self.name);
        let setup = Arc::new(Setup {
            mode: self.mode,
            pins: self.settings(&found),
            always_transaction: found.works_against_pins,
        });
        let profile = Arc::new(Profile { search_path: found.search_path, role: found.role });
        self.known.store(Some(Arc::new(Known { profile, setup: Arc::clone(&setup) })));
        Ok(setup)
    }

    /// The settings of safety.md, wall 2.
    fn settings(&self, found: &Found) -> Vec<Setting> {
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        // pg_temp last: looked up first otherwise, and a temporary table could stand before a real one.
        let path = found.search_path.iter().map(|schema| quoted(schema)).chain(["pg_temp".to_owned()]);
        // A SQL_ASCII database knows no encoding: its bytes come as they are, so that we can say which column isn't UTF-8.
        let encoding = if found.server_encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
        let mut settings = vec![
            ("TimeZone", self.pins.timezone.clone()),
            ("search_path", path.collect::<Vec<_>>().join(", ")),
            ("statement_timeout", milliseconds(self.pins.statement_timeout)),
            ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
            ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION_TIMEOUT)),
            ("DateStyle", "ISO".to_owned()),
            ("IntervalStyle", "postgres".to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("extra_float_digits", "1".to_owned()),
            ("client_encoding", encoding.to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            ("row_security", "on".to_owned()),
            ("default_transaction_read_only", "on".to_owned()),
        ];
        if found.has_geqo {
            settings.push(("geqo", "on".to_owned()));
            settings.push(("geqo_threshold", SEARCHED_WHOLE.to_owned()));
        }
        if found.has_jit {
            // Compiling expressions takes time in which nothing can be cancelled, and memory: a statement of 1 KB may have gigabytes.
            settings.push(("jit", "off".to_owned()));
        }
        if found.watches_clients {
            settings.push(("client_connection_check_interval", CLIENT_CHECK.to_owned()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What a look at a database's first connection found.
struct Found {
    role: RoleReport,
    search_path: Vec<String>,
    /// The schemas of the role's own search_path that it does without.
    left_out: Vec<String>,
    server_encoding: String,
    works_against_pins: bool,
    has_geqo: bool,
    has_jit: bool,
    watches_clients: bool,
}

impl Found {
    /// Within one transaction, so that all of it is asked of the same backend.
    async fn of(connection: &mut PgConnection, wanted: Option<&[String]>) -> Result<Self, sqlx::Error> {
        sqlx::raw_sql("BEGIN READ ONLY").execute(&mut *connection).await?;
        if let Some(wanted) = wanted {
            let path: Vec<String> = wanted.iter().map(|schema| quoted(schema)).collect();
            let set = "SELECT pg_catalog.set_config('search_path', $1, true)";
            sqlx::query(set).bind(path.join(", ")).persistent(false).execute(&mut *connection).await?;
        }
        let path =
            sqlx::query(include_str!("sql/search_path.sql")).persistent(false).fetch_all(&mut *connection).await?;
        // Nothing that stands in the role's schemas may pass for what we ask with.
        sqlx::raw_sql("SET LOCAL search_path TO pg_catalog, pg_temp").execute(&mut *connection).await?;
        let profile =
            sqlx::query(include_str!("sql/profile.sql")).persistent(false).fetch_one(&mut *connection).await?;
        let role = RoleReport::of(connection).await?;
        // Last, because it ends the transaction where it fails.
        let watches_clients = watch_client(connection).await?;
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        let (search_path, left_out) = search_path(&path, &role);
        Ok(Self {
            search_path,
            left_out,
            role,
            server_encoding: profile.get("server_encoding"),
            works_against_pins: profile.get("works_against_pins"),
            has_geqo: profile.get("has_geqo"),
            has_jit: profile.get("has_jit"),
            watches_clients,
        })
    }
}

impl Manager for SessionManager {
    type Type = Session;
    type Error = ConnectError;

    /// A database that can't be reached is left alone for a moment after a few tries, so that the calls that wait for it don't
    /// keep others from their turns.
    async fn create(&self) -> Result<Session, ConnectError> {
        let place = self.host.place(self.patience).await?;
        let is_down = |error: &ConnectError| !matches!(error, ConnectError::Refused(_));
        let outcome = self.breaker.call_with(is_down, self.connect(place)).await;
        let mut way_out = self.way_out.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.map_err(|error| match error {
            recloser::Error::Inner(error) => {
                *way_out = error.way_out();
                error
            }
            recloser::Error::Rejected => ConnectError::Resting { way_out: *way_out },
        })
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<ConnectError> {
        if session.is_broken() || session.is_worn() {
            return Err(RecycleError::message("the connection is no longer usable"));
        }
        Ok(())
    }
}

/// Whether PostgreSQL can look now and then whether we are still there, so that a killed server leaves no statement running.
/// Servers older than 14, and some systems, can't: theirs end at `statement_timeout`.
async fn watch_client(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let set = "SELECT pg_catalog.set_config('client_connection_check_interval', $1, true)";
    match sqlx::query(set).bind(CLIENT_CHECK).persistent(false).execute(connection).await {
        Ok(_) => Ok(true),
        Err(error @ sqlx::Error::Database(_)) => {
            debug!(error = %Chain(&error), "PostgreSQL does not watch for clients that are gone");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Connection options: read-only from the first byte, statements never logged by the driver (they hold literals). A pooler
/// refuses what it can't keep for each client, or drops it; there each transaction says it all.
pub(super) fn connect_options(config: &DatabaseConfig) -> PgConnectOptions {
    let base = match &config.credentials {
        Credentials::Url(url) => PgConnectOptions::from_str(url.expose_secret()).expect("config accepted this URL"),
        Credentials::Password(password) => PgConnectOptions::new_without_pgpass().password(password.expose_secret()),
        Credentials::None => PgConnectOptions::new(),
    };
    let options = base
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .database(&config.database)
        .ssl_mode(config.tls)
        .application_name("pgmcp")
        .disable_statement_logging();
    let options = match config.mode {
        PostgresMode::Direct => options.extra_float_digits(1).options([("default_transaction_read_only", "on")]),
        PostgresMode::Pooler => options.extra_float_digits(None),
    };
    match &config.tls_root {
        Some(path) => options.ssl_root_cert(path),
        None => options,
    }
}

/// The schemas that the role's own session looks names up in, less those in which it could create: nothing that the role
/// made may stand in for something else; and those. A privileged role can create everywhere, so there the list stays whole.
fn search_path(rows: &[PgRow], role: &RoleReport) -> (Vec<String>, Vec<String>) {
    let keeps = |row: &&PgRow| role.is_refused() || !row.get::<bool, _>("may_create");
    let (kept, left_out): (Vec<&PgRow>, Vec<&PgRow>) = rows.iter().partition(keeps);
    let names = |rows: Vec<&PgRow>| rows.into_iter().map(|row| row.get("name")).collect();
    (names(kept), names(left_out))
}

/// `name` as a quoted identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
