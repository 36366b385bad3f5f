//! How a session comes to be: TLS, pins, and on the first connection a look at what the role could do.

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use daemon::log::Chain;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row};
use tracing::{debug, info, warn};

use super::role::RoleReport;
use super::session::Session;
use crate::config::{Credentials, DatabaseConfig};

/// Longest that a statement waits for a lock: another session's DDL must not hold a slot for the whole statement time.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest that a transaction of ours may idle; we never leave one open, so this only catches a lost process.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How often PostgreSQL looks whether we are still there while a statement runs.
const CLIENT_CHECK: &str = "2s";

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

/// What the first connection found.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Schemas in which unqualified names are looked up, in order.
    pub search_path: Vec<String>,
    /// What the role could do.
    pub role: RoleReport,
}

/// Why a session couldn't be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network, the login or the set-up failed.
    #[error("the database can't be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The two sides can't agree on TLS, or a certificate isn't trusted.
    #[error("the TLS handshake with the database failed")]
    Tls(#[source] sqlx::Error),
    /// Nothing came back in time.
    #[error("the database did not answer within {} ms", .limit.as_millis())]
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The role could do harm, and nobody said that this is wanted.
    #[error("the database role is refused: {}", .0.refusals())]
    Refused(RoleReport),
}

impl From<sqlx::Error> for ConnectError {
    fn from(error: sqlx::Error) -> Self {
        let is_tls = match &error {
            sqlx::Error::Tls(_) => true,
            // What rustls finds wrong arrives as what went wrong while reading.
            sqlx::Error::Io(io) => io.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>),
            _ => false,
        };
        if is_tls { Self::Tls(error) } else { Self::Unreachable(error) }
    }
}

impl ConnectError {
    /// What whoever runs the server can do about it, in one sentence.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::Refused(_) => {
                "Use a role that can only SELECT, or set ALLOW_PRIVILEGED_ROLE=true to serve it all the same."
            }
            Self::TimedOut { .. } => "Check that PostgreSQL is up, then try again.",
            Self::Tls(_) => "Check POSTGRES_SSLMODE and POSTGRES_SSLROOTCERT.",
            Self::Unreachable(sqlx::Error::Database(cause)) => match cause.code().as_deref() {
                Some("28P01" | "28000") => "PostgreSQL refused the login: check POSTGRES_USER and POSTGRES_PASSWORD.",
                Some("3D000") => "PostgreSQL has no such database: check POSTGRES_DB.",
                _ => "PostgreSQL refused the connection; try again in a few seconds.",
            },
            Self::Unreachable(_) => "Check POSTGRES_HOST and POSTGRES_PORT, and that PostgreSQL is up.",
        }
    }
}

/// Makes sessions for the pool.
#[derive(Debug)]
pub struct SessionManager {
    name: String,
    options: PgConnectOptions,
    pins: SessionPins,
    profile: ArcSwapOption<Profile>,
}

impl SessionManager {
    pub(super) fn new(config: &DatabaseConfig, pins: SessionPins) -> Self {
        Self { name: config.name.clone(), options: connect_options(config), pins, profile: ArcSwapOption::empty() }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(super) fn profile(&self) -> Option<Arc<Profile>> {
        self.profile.load_full()
    }

    /// The profile of the database, from its first accepted connection. A refused one is looked at again each time, so that a
    /// mended role is served without a restart.
    async fn accept(&self, connection: &mut PgConnection) -> Result<Arc<Profile>, ConnectError> {
        if let Some(profile) = self.profile.load_full() {
            return Ok(profile);
        }
        let role = RoleReport::of(connection).await?;
        if role.is_refused() && !self.pins.allow_privileged_role {
            return Err(ConnectError::Refused(role));
        }
        let search_path = search_path(connection, &role).await?;
        for finding in role.findings() {
            warn!(database = %self.name, grade = finding.grade.as_str(), "role of {}: {}", self.name, finding.text);
        }
        info!(database = %self.name, search_path = search_path.join(", "), "connected to {}", self.name);
        let profile = Arc::new(Profile { search_path, role });
        self.profile.store(Some(Arc::clone(&profile)));
        Ok(profile)
    }

    /// Sets the pins and returns the backend's process id, in one round trip.
    async fn pin(&self, connection: &mut PgConnection, profile: &Profile) -> Result<i32, sqlx::Error> {
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        // pg_temp last: looked up first otherwise, and a temporary table could stand before a real one.
        let path = profile.search_path.iter().map(|schema| quoted(schema)).chain(["pg_temp".to_owned()]);
        sqlx::query_scalar(include_str!("sql/pin.sql"))
            .bind(&self.pins.timezone)
            .bind(path.collect::<Vec<_>>().join(", "))
            .bind(milliseconds(self.pins.statement_timeout))
            .bind(milliseconds(LOCK_TIMEOUT))
            .bind(milliseconds(IDLE_IN_TRANSACTION_TIMEOUT))
            .persistent(false)
            .fetch_one(connection)
            .await
    }
}

impl Manager for SessionManager {
    type Type = Session;
    type Error = ConnectError;

    async fn create(&self) -> Result<Session, ConnectError> {
        let mut connection = self.options.connect().await?;
        let profile = self.accept(&mut connection).await?;
        let pid = self.pin(&mut connection, &profile).await?;
        watch_client(&mut connection).await?;
        Ok(Session::new(connection, pid))
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<ConnectError> {
        if session.is_broken() {
            return Err(RecycleError::message("the connection is no longer usable"));
        }
        Ok(())
    }
}

/// Has PostgreSQL look now and then whether we are still there, so that a killed server leaves no statement running. Servers
/// older than 14, and some systems, can't: theirs end at `statement_timeout`.
async fn watch_client(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let set = "SELECT pg_catalog.set_config('client_connection_check_interval', $1, false)";
    match sqlx::query(set).bind(CLIENT_CHECK).persistent(false).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error @ sqlx::Error::Database(_)) => {
            debug!(error = %Chain(&error), "PostgreSQL does not watch for clients that are gone");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Connection options: read-only from the first byte, statements never logged by the driver (they hold literals).
fn connect_options(config: &DatabaseConfig) -> PgConnectOptions {
    let base = match &config.credentials {
        Credentials::Url(url) => PgConnectOptions::from_str(url.expose_secret()).expect("config accepted this URL"),
        Credentials::Password(password) => PgConnectOptions::new_without_pgpass().password(password.expose_secret()),
        Credentials::None => PgConnectOptions::new(),
    };
    let options = base
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .database(&config.name)
        .ssl_mode(config.tls)
        .application_name("pgmcp")
        .extra_float_digits(1)
        .options([("default_transaction_read_only", "on")])
        .disable_statement_logging();
    match &config.tls_root {
        Some(path) => options.ssl_root_cert(path),
        None => options,
    }
}

/// The schemas that the role's own session looks names up in, less those in which it could create: nothing that the role
/// made may stand in for something else. A privileged role can create everywhere, so there the list stays whole.
async fn search_path(connection: &mut PgConnection, role: &RoleReport) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(include_str!("sql/search_path.sql")).persistent(false).fetch_all(connection).await?;
    let keeps = |row: &sqlx::postgres::PgRow| role.is_refused() || !row.get::<bool, _>("may_create");
    Ok(rows.iter().filter(|row| keeps(row)).map(|row| row.get("name")).collect())
}

/// `name` as a quoted identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
