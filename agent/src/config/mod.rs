//! Settings: one plain struct per subsystem, checked whole before anything starts. Only this folder reads the environment.

mod variables;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use daemon::address::TrustedProxies;
use daemon::keys::Keys;
use daemon::log::LogConfig;
use daemon::rate_limit;
use daemon::settings::{SettingsError, Source};
use daemon::tls::ServerTls;
use secrecy::{ExposeSecret, SecretString};
use shared_protocol::endpoint::MAX_SUBJECT_CHARS;

pub use variables::VARIABLES;

/// All settings of the agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP side.
    pub http: HttpConfig,
    /// The connection to mcp-server.
    pub link: LinkConfig,
    /// How questions become SQL.
    pub translator: TranslatorConfig,
    /// The bounds of one question.
    pub pipeline: PipelineConfig,
    /// The log.
    pub log: LogConfig,
}

/// The HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
    /// What the port shows to prove who it is; plain HTTP without.
    pub tls: Option<ServerTls>,
    /// Host names that are answered beside loopback's while there are no keys, lower case.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call; empty for none.
    pub cors_origins: Vec<String>,
    /// Keys that callers need; empty for none.
    pub keys: Keys,
    /// Proxies whose word on where a request comes from is taken.
    pub trusted_proxies: TrustedProxies,
    /// Questions of each caller's a minute; 0 is as many as they like.
    pub rate_limit_per_minute: u32,
    /// Whether `/metrics` is open to all.
    pub metrics_public: bool,
    /// Most connections at once.
    pub max_connections: usize,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Time for one request.
    pub request_timeout: Duration,
    /// Time to finish after SIGTERM.
    pub shutdown_grace: Duration,
}

/// The connection to mcp-server.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// `ws://` or `wss://` address of the MCP endpoint.
    pub url: String,
    /// Key sent with the handshake.
    pub key: SecretString,
    /// Time for one call.
    pub call_timeout: Duration,
    /// Largest result, in bytes; a message may be 1 MiB more.
    pub max_result_bytes: usize,
    /// How long a catalog is kept.
    pub catalog_ttl: Duration,
    /// Whether the server must be told which caller asks.
    pub require_subject: bool,
}

/// How questions become SQL.
#[derive(Debug, Clone)]
pub enum TranslatorConfig {
    /// The rules that need no model.
    Offline,
    /// A language model.
    Llm(LlmConfig),
}

/// The language model.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// Its key; without one no Authorization header is sent.
    pub key: Option<SecretString>,
    /// OpenAI-compatible endpoint, without a slash at the end.
    pub base_url: String,
    /// Which model.
    pub model: String,
    /// Time for one answer.
    pub timeout: Duration,
    /// Tokens that the schema may take.
    pub context_tokens: usize,
}

/// The bounds of one question.
#[derive(Debug, Clone, Copy)]
pub struct PipelineConfig {
    /// Most statements tried.
    pub max_attempts: u32,
    /// Most rows that may be asked for.
    pub max_rows: u64,
}

impl Config {
    /// The settings in `source`.
    ///
    /// # Errors
    /// Lists every problem at once.
    pub fn from_source(mut source: Source) -> Result<Self, SettingsError> {
        let config = Self {
            http: HttpConfig::read(&mut source),
            link: LinkConfig::read(&mut source),
            translator: TranslatorConfig::read(&mut source),
            pipeline: PipelineConfig {
                max_attempts: source.number("MAX_ATTEMPTS", 1..=10),
                max_rows: source.number("MAX_ROWS", 1..=1_000_000),
            },
            log: LogConfig::read(&mut source),
        };
        if config.link.require_subject && config.http.keys.is_empty() {
            source
                .problem("REQUIRE_SUBJECT is true, but callers have no names: set AGENT_API_KEY, with a name for each");
        }
        source.finish()?;
        Ok(config)
    }
}

/// The command line, to which every variable adds its flag.
pub fn command() -> clap::Command {
    clap::Command::new("agent").version(env!("CARGO_PKG_VERSION")).about(
        "Asks PostgreSQL in plain words: a question goes in, SQL is written and run through mcp-server, rows come out",
    )
}

impl HttpConfig {
    fn read(source: &mut Source) -> Self {
        let host = source.value("HTTP_HOST", |_| true).unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let cors_origins = source.list("CORS_ALLOW_ORIGINS");
        if !cors_origins.iter().all(|origin| is_origin(origin)) {
            source.reject("CORS_ALLOW_ORIGINS");
        }
        let keys = Keys::read(source, "AGENT_API_KEY");
        for name in keys.names().filter(|name| !is_subject(name)) {
            source.problem(format!(
                "AGENT_API_KEY: the name {name:?} can't be told to mcp-server; accepted are 1 to {MAX_SUBJECT_CHARS} printable characters"
            ));
        }
        Self {
            address: SocketAddr::new(host, source.number("HTTP_PORT", 0..=u16::MAX)),
            tls: ServerTls::read(source, "HTTP_TLS_CERT", "HTTP_TLS_KEY"),
            allowed_hosts: source.list("HTTP_ALLOWED_HOSTS").into_iter().map(|host| host.to_lowercase()).collect(),
            cors_origins,
            keys,
            trusted_proxies: TrustedProxies::read(source),
            metrics_public: source.flag("METRICS_PUBLIC"),
            rate_limit_per_minute: rate_limit::read(source),
            max_connections: source.number("MAX_CONNECTIONS", 1..=100_000),
            max_body_bytes: source.number("MAX_MESSAGE_BYTES", 1024..=16 << 20),
            request_timeout: source.milliseconds("REQUEST_TIMEOUT_MS", 1000..=3_600_000),
            shutdown_grace: source.milliseconds("SHUTDOWN_GRACE_MS", 0..=600_000),
        }
    }
}

impl LinkConfig {
    fn read(source: &mut Source) -> Self {
        let keys = Keys::read_required(source, "WS_API_KEY");
        Self {
            url: address(source, "WS_URL", &["ws", "wss"]),
            key: keys.iter().next().map(|first| first.key.clone()).unwrap_or_default(),
            call_timeout: source.milliseconds("MCP_CALL_TIMEOUT_MS", 2000..=3_600_000),
            max_result_bytes: source.number("MAX_RESULT_BYTES", 1024..=1 << 30),
            catalog_ttl: Duration::from_secs(source.number("CATALOG_TTL_S", 1..=86_400)),
            require_subject: source.flag("REQUIRE_SUBJECT"),
        }
    }
}

impl TranslatorConfig {
    /// The model's settings are checked even where the offline translator is chosen: a mistake should show now, not on the day
    /// that it is switched.
    fn read(source: &mut Source) -> Self {
        let llm = LlmConfig {
            key: source.secret("LLM_API_KEY"),
            base_url: address(source, "LLM_BASE_URL", &["http", "https"]).trim_end_matches('/').to_owned(),
            model: source.text("LLM_MODEL").expect("the model has a default"),
            timeout: source.milliseconds("LLM_TIMEOUT_MS", 1000..=3_600_000),
            context_tokens: source.number("LLM_CONTEXT_TOKENS", 200..=1_000_000),
        };
        if llm.key.as_ref().is_some_and(|key| http::HeaderValue::from_str(key.expose_secret()).is_err()) {
            source.reject("LLM_API_KEY");
        }
        let is_reachable = source.is_given("LLM_API_KEY") || source.is_given("LLM_BASE_URL");
        let kinds = [("auto", Kind::Auto), ("llm", Kind::Llm), ("offline", Kind::Offline)];
        match source.choice("TRANSLATOR", &kinds) {
            Some(Kind::Llm) if !is_reachable => {
                source.problem("TRANSLATOR is llm, but there is no model: set LLM_API_KEY, LLM_BASE_URL or both, or TRANSLATOR=offline");
                Self::Offline
            }
            Some(Kind::Llm | Kind::Auto) if is_reachable => Self::Llm(llm),
            _ => Self::Offline,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Auto,
    Llm,
    Offline,
}

/// The address in `name`, of one of these schemes. One with a user or password in it is refused, and not repeated.
fn address(source: &mut Source, name: &str, schemes: &[&str]) -> String {
    let text = source.text(name).unwrap_or_default();
    if text.contains('@') {
        source.problem(format!("{name} holds a user or a password: give an address without them"));
        return text;
    }
    let is_address = http::Uri::try_from(text.as_str()).is_ok_and(|uri| {
        uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !is_address {
        source.reject(name);
    }
    text
}

/// Whether mcp-server takes a caller of this name. That it has none is a problem told elsewhere.
fn is_subject(name: &str) -> bool {
    name.chars().count() <= MAX_SUBJECT_CHARS && !name.chars().any(char::is_control)
}

fn is_origin(text: &str) -> bool {
    let uri = http::Uri::try_from(text);
    !text.ends_with('/')
        && http::HeaderValue::from_str(text).is_ok()
        && uri.is_ok_and(|uri| {
            uri.scheme().is_some() && uri.host().is_some() && uri.path() == "/" && uri.query().is_none()
        })
}

#[cfg(test)]
mod tests;
