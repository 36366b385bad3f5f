//! What the server was told: plain data, checked whole before anything binds. Only this folder reads the environment.

mod database;
mod databases;
mod variables;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use daemon::address::TrustedProxies;
use daemon::keys::Keys;
use daemon::log::LogConfig;
use daemon::rate_limit;
use daemon::settings::{SettingsError, Source};
use daemon::tls::ServerTls;
use sql_guard::Limits;

use crate::audit::{AuditConfig, Target};

pub use database::{Credentials, DatabaseConfig, PostgresMode};
pub use databases::{DatabasesConfig, is_name as is_database_name};
pub use variables::VARIABLES;

/// The name that stands for the client on stdio, as those of WS_API_KEY stand for theirs.
pub const STDIO_KEY: &str = "stdio";

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The databases that are served.
    pub databases: DatabasesConfig,
    /// What one statement may take.
    pub limits: LimitsConfig,
    /// Tool calls of each caller's a minute; 0 is as many as they like.
    pub rate_limit_per_minute: u32,
    /// Where each call is written down; nowhere where `None`.
    pub audit: Option<AuditConfig>,
    /// How long a catalog is served before it is read again.
    pub catalog_ttl: Duration,
    /// Where and to whom the server listens.
    pub listener: ListenerConfig,
    /// What the guard lets through.
    pub guard: Limits,
    /// The policy file.
    pub policy_file: Option<PathBuf>,
    /// The folder of saved queries.
    pub queries_dir: Option<PathBuf>,
    /// Time that running calls have after SIGTERM.
    pub shutdown_grace: Duration,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// Bounds of a statement and its result.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// Time that a statement has when the call names none.
    pub statement_timeout: Duration,
    /// Most time that a call may ask for.
    pub max_statement_timeout: Duration,
    /// Most rows of one result.
    pub max_rows: u64,
    /// Most bytes of one page unless the call asks for more.
    pub max_page_bytes: usize,
    /// Most bytes of one page, whatever the call asks for.
    pub max_result_bytes: usize,
    /// Most bytes of all results that are in memory at once.
    pub max_total_result_bytes: usize,
    /// Statements that run at once.
    pub max_concurrent_queries: usize,
}

/// The network side.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Where to listen; port 0 picks a free one.
    pub address: SocketAddr,
    /// What the port shows to prove who it is; plain HTTP and WebSocket without.
    pub tls: Option<ServerTls>,
    /// Keys that clients present.
    pub keys: Keys,
    /// Whether the registry is pushed on connect.
    pub push_registry: bool,
    /// Web origins that may connect.
    pub allowed_origins: Vec<String>,
    /// Host names that requests may carry; `None` is any.
    pub allowed_hosts: Option<Vec<String>>,
    /// Proxies whose word on where a request comes from is taken.
    pub trusted_proxies: TrustedProxies,
    /// Whether /metrics is served without a key.
    pub metrics_public: bool,
    /// Whether Streamable HTTP keeps no sessions.
    pub http_stateless: bool,
    /// Client connections at once.
    pub max_connections: usize,
    /// Longest message that a client may send, in bytes.
    pub max_message_bytes: usize,
}

impl Config {
    /// The configuration in `source`.
    ///
    /// # Errors
    /// Lists every problem at once.
    pub fn from_source(mut source: Source) -> Result<Self, SettingsError> {
        let databases = DatabasesConfig::read(&mut source);
        let limits = LimitsConfig::read(&mut source);
        let listener = ListenerConfig::read(&mut source);
        let log = LogConfig::read(&mut source);
        let catalog_ttl = Duration::from_secs(source.number("CATALOG_TTL_S", 1..=86_400));
        let audit = read_audit(&mut source);
        let rate_limit_per_minute = rate_limit::read(&mut source);
        let shutdown_grace = source.milliseconds("SHUTDOWN_GRACE_MS", 0..=600_000);
        let guard = Limits {
            strict_comments: source.flag("GUARD_STRICT_COMMENTS"),
            require_parameters: source.flag("REQUIRE_PARAMETERS"),
            ..Limits::default()
        };
        let policy_file = source.text("POLICY_FILE").map(PathBuf::from);
        let queries_dir = source.text("QUERIES_DIR").map(PathBuf::from);
        source.finish()?;
        Ok(Self {
            databases,
            limits,
            rate_limit_per_minute,
            audit,
            catalog_ttl,
            listener,
            guard,
            policy_file,
            queries_dir,
            shutdown_grace,
            log,
        })
    }
}

fn read_audit(source: &mut Source) -> Option<AuditConfig> {
    let values = source.flag("AUDIT_VALUES");
    let Some(target) = source.text("AUDIT_LOG") else {
        if values {
            source.problem("AUDIT_VALUES is true, but there is no AUDIT_LOG for them to stand in");
        }
        return None;
    };
    let target = if target == "stderr" { Target::Stderr } else { Target::File(target.into()) };
    Some(AuditConfig { target, values })
}

/// The command line, to which every variable adds its flag.
pub fn command() -> clap::Command {
    clap::Command::new("mcp-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs validated, read-only SQL on PostgreSQL for MCP clients: WebSocket on /mcp, X-API-Key")
}

impl LimitsConfig {
    fn read(source: &mut Source) -> Self {
        let limits = Self {
            statement_timeout: source.milliseconds("STATEMENT_TIMEOUT_MS", 1000..=3_600_000),
            max_statement_timeout: source.milliseconds("MAX_STATEMENT_TIMEOUT_MS", 1000..=3_600_000),
            max_rows: source.number("MAX_ROWS", 1..=1_000_000),
            max_page_bytes: source.number("MAX_PAGE_BYTES", 1024..=1 << 30),
            max_result_bytes: source.number("MAX_RESULT_BYTES", 1024..=1 << 30),
            max_total_result_bytes: source.number("MAX_TOTAL_RESULT_BYTES", 4 << 20..=64 << 30),
            max_concurrent_queries: source.number("MAX_CONCURRENT_QUERIES", 1..=1000),
        };
        if limits.statement_timeout > limits.max_statement_timeout {
            source.problem(format!(
                "STATEMENT_TIMEOUT_MS is {} and MAX_STATEMENT_TIMEOUT_MS is {}: the first may not exceed the second",
                limits.statement_timeout.as_millis(),
                limits.max_statement_timeout.as_millis()
            ));
        }
        if limits.max_page_bytes > limits.max_result_bytes {
            source.problem(format!(
                "MAX_PAGE_BYTES is {} and MAX_RESULT_BYTES is {}: the first may not exceed the second",
                limits.max_page_bytes, limits.max_result_bytes
            ));
        }
        if limits.max_result_bytes > limits.max_total_result_bytes / 2 {
            source.problem(format!(
                "MAX_RESULT_BYTES is {} and MAX_TOTAL_RESULT_BYTES is {}: the first may be at most half of the second",
                limits.max_result_bytes, limits.max_total_result_bytes
            ));
        }
        limits
    }
}

impl ListenerConfig {
    /// What `source` says of the network side. What is wrong with it, `source` keeps.
    pub fn read(source: &mut Source) -> Self {
        let host = source.value("WS_HOST", |_| true).unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let allowed_hosts = match source.list("WS_ALLOWED_HOSTS") {
            hosts if hosts.iter().any(|host| host == "*") => None,
            hosts if !hosts.is_empty() => Some(hosts),
            _ if host.is_loopback() => Some(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into()),
            _ => None,
        };
        Self {
            address: SocketAddr::new(host, source.number("WS_PORT", 0..=u16::MAX)),
            tls: ServerTls::read(source, "WS_TLS_CERT", "WS_TLS_KEY"),
            // Those jobs let nobody in.
            keys: match source.subcommand() {
                Some("check" | "role-sql" | "stdio" | "tools") => Keys::read(source, "WS_API_KEY"),
                _ => Keys::read_required(source, "WS_API_KEY"),
            },
            push_registry: source.flag("WS_PUSH_REGISTRY"),
            allowed_origins: source.list("WS_ALLOWED_ORIGINS"),
            allowed_hosts,
            trusted_proxies: TrustedProxies::read(source),
            metrics_public: source.flag("METRICS_PUBLIC"),
            http_stateless: source.flag("HTTP_STATELESS"),
            max_connections: source.number("MAX_CONNECTIONS", 1..=100_000),
            max_message_bytes: source.number("MAX_MESSAGE_BYTES", 1024..=16 << 20),
        }
    }
}

#[cfg(test)]
mod tests;
