//! Which PostgreSQL, as whom, and over what kind of connection.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use daemon::settings::Source;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// One database that is served.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Our name of it in tools, resources and policy.
    pub name: String,
    /// What it holds, in words; what PostgreSQL's own comment says unless given.
    pub description: Option<String>,
    /// Where it is.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// Its name there.
    pub database: String,
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
    /// Schemas in which unqualified names are looked up; the role's own unless given.
    pub search_path: Option<Vec<String>>,
    /// Schema that tools mean where a call names none; the first of the search_path unless given.
    pub default_schema: Option<String>,
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
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Within a URL, with whatever else it says.
    Url(SecretString),
    /// By itself.
    Password(SecretString),
    /// Nowhere: the server trusts us, or ~/.pgpass knows it.
    #[default]
    None,
}

impl DatabaseConfig {
    /// The default database: that of DATABASE_URL, or of the POSTGRES_ variables.
    pub(super) fn read(source: &mut Source) -> Self {
        let target = match source.secret("DATABASE_URL") {
            Some(url) => Target::from_url(&url).unwrap_or_else(|| {
                source.reject("DATABASE_URL");
                Target::default()
            }),
            None => Target::from_parts(source),
        };
        let given: Option<PgSslMode> = source.value("POSTGRES_SSLMODE", |_| true);
        let tls = given.or(target.tls).unwrap_or(usual_tls(&target.host));
        Self {
            name: target.database.clone(),
            description: None,
            host: target.host,
            port: target.port,
            database: target.database,
            user: target.user,
            credentials: target.credentials,
            mode: source.value("POSTGRES_MODE", |_| true).unwrap_or(PostgresMode::Direct),
            tls,
            tls_root: readable_file(source, "POSTGRES_SSLROOTCERT"),
            search_path: None,
            default_schema: source.text("POSTGRES_DEFAULT_SCHEMA"),
            pool_size: source.number("POOL_SIZE", 1..=100),
            pool_timeout: Duration::from_millis(source.number("POOL_TIMEOUT_MS", 1..=600_000)),
            timezone: source.text("TIMEZONE").expect("the time zone has a default"),
            allow_privileged_role: source.flag("ALLOW_PRIVILEGED_ROLE"),
        }
    }

    /// Another database on the same host, as the same role.
    pub fn sibling(&self, database: &str) -> Self {
        Self { name: database.to_owned(), database: database.to_owned(), description: None, ..self.clone() }
    }

    /// The database of `url`, with what the URL leaves out as it is here; nothing where it is no PostgreSQL URL.
    pub(super) fn at(&self, name: &str, url: SecretString) -> Option<Self> {
        let parts = Given::of(&url)?;
        let target = Target::from_url(&url)?;
        let same_host = !parts.host || target.host == self.host;
        let tls = if same_host { self.tls } else { usual_tls(&target.host) };
        Some(Self {
            name: name.to_owned(),
            description: None,
            host: if parts.host { target.host } else { self.host.clone() },
            port: if parts.port { target.port } else { self.port },
            database: if parts.database { target.database } else { name.to_owned() },
            user: if parts.user { target.user } else { self.user.clone() },
            credentials: if parts.password { Credentials::Url(url) } else { self.credentials.clone() },
            tls: target.tls.unwrap_or(tls),
            ..self.clone()
        })
    }

    /// Whether the connection could be read or redirected by somebody between us and the database.
    pub fn is_exposed(&self) -> bool {
        !is_loopback(&self.host) && !matches!(self.tls, PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    }
}

/// What of TLS is asked for where nothing is said.
pub(super) fn usual_tls(host: &str) -> PgSslMode {
    if is_loopback(host) { PgSslMode::Prefer } else { PgSslMode::VerifyFull }
}

/// Which parts a URL names, rather than leaves to a default.
struct Given {
    host: bool,
    port: bool,
    user: bool,
    password: bool,
    database: bool,
}

impl Given {
    fn of(url: &SecretString) -> Option<Self> {
        let text = url.expose_secret();
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let names = |key: &str| query.split('&').any(|pair| pair.starts_with(key) && pair.len() > key.len());
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        // An IPv6 address has colons of its own, within brackets.
        let after_host = place.rsplit_once(']').map_or(place, |(_, after)| after);
        Some(Self {
            host: !place.is_empty() && !place.starts_with(':') || names("host="),
            port: after_host.contains(':') || names("port="),
            user: !user.is_empty() || names("user="),
            password: !password.is_empty() || names("password="),
            database: !database.is_empty() || names("dbname="),
        })
    }
}

/// What a URL or the POSTGRES_ variables name.
#[derive(Default)]
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

    /// The parts of a URL; sqlx reads it, so that its escapes and defaults are the usual ones. Nothing where it is none.
    fn from_url(url: &SecretString) -> Option<Self> {
        let text = url.expose_secret();
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let options = if is_postgres { PgConnectOptions::from_str(text).ok()? } else { return None };
        // An @ or / of a password that isn't escaped cuts the URL elsewhere: the rest of it would pass for the name.
        if options.get_database().is_some_and(|name| name.contains(['@', '/', ':'])) {
            return None;
        }
        let user = options.get_username().to_owned();
        Some(Self {
            host: options.get_host().to_owned(),
            port: options.get_port(),
            database: options.get_database().unwrap_or(&user).to_owned(),
            user,
            tls: (text.contains("sslmode=") || text.contains("ssl-mode=")).then(|| options.get_ssl_mode()),
            credentials: Credentials::Url(url.clone()),
        })
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
