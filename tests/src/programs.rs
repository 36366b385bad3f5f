//! Both programs as the stories use them: started on ports of their own, asked over HTTP and WebSocket, restarted and
//! ended as an operator would.

use std::net::SocketAddr;
use std::process::ExitStatus;

use anyhow::Result;
use shared_protocol::endpoint::MCP_PATH;

use crate::process::Process;
use crate::{SHOP, ThrowawayPostgres, random_secret};

/// How far a program is to be before `start` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// `/ready` answers 200: everything that it needs is there.
    #[default]
    Ready,
    /// It listens, and may still wait for what it needs.
    Listening,
}

/// How an [`McpServer`] is started.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The default database.
    pub database_url: String,
    /// The one key, at least 22 characters.
    pub api_key: String,
    /// More variables, over those that the harness sets.
    pub env: Vec<(String, String)>,
    /// When `start` returns.
    pub until: Until,
}

impl ServerOptions {
    /// A server for this database with a fresh key.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self { database_url: database_url.into(), api_key: random_secret(), env: Vec::new(), until: Until::default() }
    }

    /// The same with one more environment variable.
    #[must_use]
    pub fn with_env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// Name of the default database; empty where none is given.
    fn database(&self) -> String {
        let given = |wanted: &str| self.env.iter().rfind(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let url = given("DATABASE_URL").unwrap_or(&self.database_url);
        let of_url = url::Url::parse(url).ok().map(|url| url.path().trim_start_matches('/').to_owned());
        of_url.or_else(|| given("POSTGRES_DB").map(str::to_owned)).unwrap_or_default()
    }

    /// The same, but `start` returns at this point.
    #[must_use]
    pub fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }
}

/// A running mcp-server.
pub struct McpServer {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    process: Process,
    options: ServerOptions,
}

impl McpServer {
    /// Starts the program on a free port of loopback.
    ///
    /// # Errors
    /// When it isn't built, ends, or isn't ready in time; the message has its log.
    pub async fn start(options: ServerOptions) -> Result<Self> {
        let (process, address) = Self::launch(&options, 0).await?;
        Ok(Self { address, process, options })
    }

    /// Ends it with SIGTERM and starts it anew on the same port with the same options.
    ///
    /// # Errors
    /// As [`McpServer::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process.terminate().await?;
        (self.process, self.address) = Self::launch(&self.options, self.address.port()).await?;
        Ok(())
    }

    async fn launch(options: &ServerOptions, port: u16) -> Result<(Process, SocketAddr)> {
        let name = options.database();
        let env = environment(
            &[
                ("DATABASE_URL", &options.database_url),
                // That one alone: the cluster has those of all tests.
                ("POSTGRES_DATABASES", &name),
                ("POSTGRES_SSLMODE", "disable"),
                ("WS_HOST", "127.0.0.1"),
                ("WS_PORT", &port.to_string()),
                ("WS_API_KEY", &options.api_key),
            ],
            &options.env,
        );
        launch("mcp-server", &env, options.until).await
    }

    /// The MCP endpoint, as a WebSocket URL.
    pub fn ws_url(&self) -> String {
        format!("ws://{}{MCP_PATH}", self.address)
    }

    /// URL of a plain HTTP route: `http_url("/ready")`.
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The key that it accepts.
    pub fn api_key(&self) -> &str {
        &self.options.api_key
    }

    /// The process, for its id, its log and signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything that it has logged since it was last started.
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// Waits until `/ready` answers 200.
    ///
    /// # Errors
    /// When it doesn't in time; the message has the log.
    pub async fn ready(&mut self) -> Result<()> {
        let url = self.http_url("/ready");
        self.process.answers(&url).await
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate().await
    }
}

/// How an [`Agent`] is started.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The server's MCP endpoint.
    pub ws_url: String,
    /// The server's key.
    pub api_key: String,
    /// More variables, over those that the harness sets.
    pub env: Vec<(String, String)>,
    /// When `start` returns.
    pub until: Until,
}

impl AgentOptions {
    /// An agent of this server, with the offline translator.
    pub fn new(server: &McpServer) -> Self {
        Self { ws_url: server.ws_url(), api_key: server.api_key().to_owned(), env: Vec::new(), until: Until::default() }
    }

    /// The same with one more environment variable.
    #[must_use]
    pub fn with_env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// The same with the language model at this base URL as its only translator.
    #[must_use]
    pub fn with_llm(self, base_url: &str) -> Self {
        self.with_env("TRANSLATOR", "llm").with_env("LLM_BASE_URL", base_url).with_env("LLM_MODEL", "scripted")
    }

    /// The same, but `start` returns at this point.
    #[must_use]
    pub fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }
}

/// A running agent.
pub struct Agent {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    process: Process,
}

impl Agent {
    /// Starts the program on a free port of loopback.
    ///
    /// # Errors
    /// When it isn't built, ends, or isn't ready in time; the message has its log.
    pub async fn start(options: AgentOptions) -> Result<Self> {
        let env = environment(
            &[
                ("WS_URL", &options.ws_url),
                ("WS_API_KEY", &options.api_key),
                ("HTTP_HOST", "127.0.0.1"),
                ("HTTP_PORT", "0"),
                ("TRANSLATOR", "offline"),
            ],
            &options.env,
        );
        let (process, address) = launch("agent", &env, options.until).await?;
        Ok(Self { address, process })
    }

    /// URL of a route: `http_url("/query")`.
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process, for its id, its log and signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything that it has logged.
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// Waits until `/ready` answers 200.
    ///
    /// # Errors
    /// When it doesn't in time; the message has the log.
    pub async fn ready(&mut self) -> Result<()> {
        let url = self.http_url("/ready");
        self.process.answers(&url).await
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate().await
    }
}

/// Both programs, the agent connected to the server.
pub struct Stack {
    /// The upper tier.
    pub agent: Agent,
    /// The lower tier.
    pub server: McpServer,
}

impl Stack {
    /// Both programs on the shop, as the reader role, with the offline translator.
    ///
    /// # Errors
    /// When either doesn't get ready; the message has its log.
    pub async fn start(postgres: &ThrowawayPostgres) -> Result<Self> {
        Self::start_with(postgres, |options| options).await
    }

    /// The same with other options for the agent.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub async fn start_with(
        postgres: &ThrowawayPostgres,
        agent: impl FnOnce(AgentOptions) -> AgentOptions,
    ) -> Result<Self> {
        let server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP))).await?;
        let agent = Agent::start(agent(AgentOptions::new(&server))).await?;
        Ok(Self { agent, server })
    }
}

/// What every program gets, then what this kind gets, then what the test wants: later ones win.
fn environment(own: &[(&str, &str)], more: &[(String, String)]) -> Vec<(String, String)> {
    let common = [("LOG_FORMAT", "json"), ("SHUTDOWN_GRACE_MS", "5000"), ("RUST_BACKTRACE", "1")];
    let given = common.iter().chain(own).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    given.chain(more.iter().cloned()).collect()
}

async fn launch(name: &'static str, env: &[(String, String)], until: Until) -> Result<(Process, SocketAddr)> {
    let mut process = Process::start(name, env)?;
    let address = process.listening().await?;
    if until == Until::Ready {
        process.answers(&format!("http://{address}/ready")).await?;
    }
    Ok((process, address))
}
