//! Which PostgreSQL, as whom, and over what kind of connection.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use daemon::settings::Source;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The one database that is served.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Our name of it in tools and resources: the database's own.
    pub name: String,
    /// Where it is.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// How the role proves itself.
    pub credentials: Credentials,
    /// What stands between us and it.
    pub mode: PostgresMode,
    /// TLS.
    pub tls: PgSslMode,
    /// Certificate authority that is trusted.
    pub tls_root: Option<PathBuf>,
    /// Most connections.
    pub pool_size: usize,
    /// Longest wait for a free one.
    pub pool_timeout: Duration,
    /// Time zone of every session.
    pub timezone: String,
    /// Whether a superuser or a role that can write is served all the same.
    pub allow_privileged_role: bool,
}

/// What stands between us and PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresMode {
    /// Nothing that mixes sessions: what is set in one stays.
    Direct,
    /// A pooler that may run each transaction on another session, such as PgBouncer in transaction mode.
    Pooler,
}

impl FromStr for PostgresMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "direct" => Ok(Self::Direct),
            "pooler" => Ok(Self::Pooler),
            _ => Err(()),
        }
    }
}

/// Where the password stands.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Within a URL, with whatever else it says.
    Url(SecretString),
    /// By itself.
    Password(SecretString),
    /// Nowhere: the server trusts us, or ~/.pgpass knows it.
    None,
}

impl DatabaseConfig {
    pub(super) fn read(source: &mut Source) -> Self {
        let target = match source.secret("DATABASE_URL") {
            Some(url) => Target::from_url(source, url),
            None => Target::from_parts(source),
        };
        let given: Option<PgSslMode> = source.value("POSTGRES_SSLMODE", |_| true);
        let usual = if is_loopback(&target.host) { PgSslMode::Prefer } else { PgSslMode::VerifyFull };
        Self {
            name: target.database,
            host: target.host,
            port: target.port,
            user: target.user,
            credentials: target.credentials,
            mode: source.value("POSTGRES_MODE", |_| true).unwrap_or(PostgresMode::Direct),
            tls: given.or(target.tls).unwrap_or(usual),
            tls_root: readable_file(source, "POSTGRES_SSLROOTCERT"),
            pool_size: source.number("POOL_SIZE", 1..=100),
            pool_timeout: Duration::from_millis(source.number("POOL_TIMEOUT_MS", 1..=600_000)),
            timezone: source.text("TIMEZONE").expect("the time zone has a default"),
            allow_privileged_role: source.flag("ALLOW_PRIVILEGED_ROLE"),
        }
    }

    /// Whether the connection could be read or redirected by somebody between us and the database.
    pub fn is_exposed(&self) -> bool {
        !is_loopback(&self.host) && !matches!(self.tls, PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    }
}

/// What a URL or the POSTGRES_ variables name.
struct Target {
    host: String,
    port: u16,
    database: String,
    user: String,
    credentials: Credentials,
    tls: Option<PgSslMode>,
}

impl Target {
    fn from_parts(source: &mut Source) -> Self {
        let user = source.text("POSTGRES_USER").unwrap_or_else(|| {
            source.problem("POSTGRES_USER is missing: accepted is a role name (or set DATABASE_URL)");
            String::new()
        });
        Self {
            host: source.text("POSTGRES_HOST").expect("the host has a default"),
            port: source.number("POSTGRES_PORT", 1..=u16::MAX),
            database: source.text("POSTGRES_DB").expect("the database has a default"),
            user,
            credentials: source.password("POSTGRES_PASSWORD").map_or(Credentials::None, Credentials::Password),
            tls: None,
        }
    }

    /// The parts of a URL; sqlx reads it, so that its escapes and defaults are the usual ones.
    fn from_url(source: &mut Source, url: SecretString) -> Self {
        let text = url.expose_secret();
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let parsed = if is_postgres { PgConnectOptions::from_str(text).ok() } else { None };
        // An @ or / of a password that isn't escaped cuts the URL elsewhere: the rest of it would pass for the name.
        let parsed =
            parsed.filter(|options| !options.get_database().is_some_and(|name| name.contains(['@', '/', ':'])));
        let Some(options) = parsed else {
            source.reject("DATABASE_URL");
            let nothing = String::new;
            return Self {
                host: nothing(),
                port: 0,
                database: nothing(),
                user: nothing(),
                credentials: Credentials::None,
                tls: None,
            };
        };
        let user = options.get_username().to_owned();
        Self {
            host: options.get_host().to_owned(),
            port: options.get_port(),
            database: options.get_database().unwrap_or(&user).to_owned(),
            user,
            tls: (text.contains("sslmode=") || text.contains("ssl-mode=")).then(|| options.get_ssl_mode()),
            credentials: Credentials::Url(url),
        }
    }
}

/// The path in `name`, which must be of a file that can be read: the driver would find out only at the first connection.
fn readable_file(source: &mut Source, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(source.text(name)?);
    let is_readable = File::open(&path).and_then(|file| file.metadata()).is_ok_and(|file| file.is_file());
    if !is_readable {
        source.reject(name);
    }
    Some(path)
}

fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || host.starts_with('/') || address.is_some_and(|ip| ip.is_loopback())
}
