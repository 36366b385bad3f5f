//! The link: keeps one connection to mcp-server up, and carries calls over whichever connection is up.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use daemon::log::Chain;
use jsonrpsee::core::client::async_client::PingConfig;
use jsonrpsee::core::client::{Client, ClientT, Error as RpcError};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::core::traits::ToRpcParams;
use metrics::{counter, gauge};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use shared_protocol::endpoint::meta;
use shared_protocol::envelope::{ErrorObjectOwned, PROTOCOL_VERSION, RegistryPush, ToolDescription, method};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::behalf::Behalf;
use super::in_flight::{Abandoned, InFlight};
use super::transport::{self, TransportError};
use crate::config::LinkConfig;
use crate::telemetry::metric;

/// Calls at once where the server doesn't say; its own bound for ordinary keys.
const DEFAULT_IN_FLIGHT: usize = 16;

/// Time to connect and to greet.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long a call waits for a link that is down before it fails.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection that stood this long was a good one: the next attempt to connect comes soon again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Pause between attempts while the server doesn't take our key: a person has to change something.
const KEY_REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// How much larger than a result a message may be.
const ENVELOPE_BYTES: usize = 1 << 20;

/// A handle to the link; clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    state: watch::Receiver<State>,
}

/// Where the link stands.
#[derive(Debug, Clone)]
pub enum State {
    /// Not tried yet, or trying again.
    Connecting,
    /// Calls go through.
    Up(Arc<Connection>),
    /// The last attempt failed, or the connection broke; it is tried again.
    Down(Arc<ConnectError>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket couldn't be had, or broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server didn't greet as MCP asks.
    #[error("mcp-server refused to start a session")]
    Greeting(#[source] RpcError),
    /// The server took longer than it may.
    #[error("mcp-server did not answer within {} s", CONNECT_DEADLINE.as_secs())]
    TimedOut,
    /// The connection stood, and then broke.
    #[error("the connection to mcp-server broke: {0}")]
    Broken(String),
}

impl ConnectError {
    /// What whoever runs the agent can do about it, in one sentence.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.way_out(),
            Self::Greeting(_) => "Check that WS_URL leads to an mcp-server, and that it is of the agent's version.",
            Self::TimedOut | Self::Broken(_) => "Check that mcp-server runs, and that WS_URL leads to it.",
        }
    }
}

/// Why a call over the link has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no connection.
    #[error("mcp-server can't be reached")]
    Down(#[source] Option<Arc<ConnectError>>),
    /// The answer didn't come in time; the call was cancelled.
    #[error("mcp-server did not answer in time")]
    TimedOut,
    /// What the server lets the key do for others is no longer what it was when the question came.
    #[error("mcp-server has just changed for whom it lets the agent ask")]
    BehalfChanged,
    /// The server refused the request itself.
    #[error("mcp-server refused the request: {} ({})", .0.message(), .0.code())]
    Refused(ErrorObjectOwned),
    /// The answer was not of the form that it must have.
    #[error("mcp-server answered in an unexpected form")]
    Malformed(#[source] Box<RpcError>),
}

/// One session with mcp-server.
#[derive(Debug)]
pub struct Connection {
    client: Client<InFlight>,
    registry: watch::Receiver<Option<RegistryPush>>,
    greeting: Greeting,
}

/// What the server says of itself when the session starts.
#[derive(Debug)]
struct Greeting {
    may_act_for: bool,
    /// The tools, where they weren't pushed.
    listed: Vec<ToolDescription>,
}

impl Connection {
    /// Names of the tools that this session may call.
    pub fn tools(&self) -> Vec<String> {
        match self.registry.borrow().as_ref() {
            Some(push) => push.tools.iter().map(|tool| tool.name.clone()).collect(),
            None => self.greeting.listed.iter().map(|tool| tool.name.clone()).collect(),
        }
    }

    /// Whether the key may act for others. A server that doesn't say so lets it not.
    pub fn may_act_for(&self) -> bool {
        let pushed = self.registry.borrow().as_ref().and_then(|push| may_act_for(&push.meta));
        pushed.unwrap_or(self.greeting.may_act_for)
    }
}

impl Link {
    /// Starts the task that keeps the link up, until `stop`. Connects in the background: a server that isn't there yet is
    /// no error.
    pub fn start(config: &LinkConfig, stop: CancellationToken, tasks: &TaskTracker) -> Self {
        let (publish, state) = watch::channel(State::Connecting);
        tasks.spawn(Supervisor { config: config.clone(), publish, stop }.run());
        Self { state }
    }

    /// Where the link stands now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Told of each change of state.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Told of each word of the server about itself.
    pub fn news(&self) -> News {
        News { state: self.state.clone(), current: None }
    }

    /// Calls `method` on behalf of that caller, whom `params` name, and waits for its answer until `deadline`.
    ///
    /// A call that was in flight when the connection broke is sent once more, over the next connection: all that the
    /// agent asks for is read-only. Dropping the future cancels the call at the server.
    pub async fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
        behalf: &Behalf,
        deadline: Instant,
    ) -> Result<R, LinkError> {
        let params = Params(to_raw_value(params).map_err(|error| LinkError::Malformed(Box::new(error.into())))?);
        let mut sent_before = false;
        loop {
            let connection = self.connection(deadline).await?;
            // Another server may stand behind a new connection, with another policy for this key.
            if !behalf.fits(connection.may_act_for()) {
                return Err(LinkError::BehalfChanged);
            }
            let call = connection.client.request::<R, _>(method, params.clone());
            match timeout_at(deadline, call).await {
                Err(_) | Ok(Err(RpcError::RequestTimeout)) => return Err(LinkError::TimedOut),
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(RpcError::Call(refusal))) => return Err(LinkError::Refused(refusal)),
                Ok(Err(RpcError::RestartNeeded(_) | RpcError::ServiceDisconnect)) if !sent_before => {
                    counter!(metric::LINK_RESENDS).increment(1);
                    sent_before = true;
                }
                Ok(Err(RpcError::RestartNeeded(_) | RpcError::ServiceDisconnect)) => {
                    return Err(LinkError::Down(None));
                }
                Ok(Err(other)) => return Err(LinkError::Malformed(Box::new(other))),
            }
        }
    }

    /// The connection that is up; waits a little for one.
    pub(super) async fn connection(&self, deadline: Instant) -> Result<Arc<Connection>, LinkError> {
        let mut state = self.state.clone();
        let usable = |state: &State| match state {
            State::Up(connection) => connection.client.is_connected(),
            State::Connecting => false,
            // Waiting won't help, and the caller should hear the reason.
            State::Down(error) => matches!(**error, ConnectError::Transport(TransportError::KeyRefused)),
        };
        let until = deadline.min(Instant::now() + PATIENCE);
        let found = match timeout_at(until, state.wait_for(usable)).await {
            Ok(Ok(found)) => Some(found.clone()),
            Ok(Err(_)) | Err(_) => None,
        };
        match found.unwrap_or_else(|| self.state()) {
            State::Up(connection) if connection.client.is_connected() => Ok(connection),
            State::Up(_) | State::Connecting => Err(LinkError::Down(None)),
            State::Down(error) => Err(LinkError::Down(Some(error))),
        }
    }
}

/// What the server says of itself: at the start of each connection, and whenever it pushes its registry again.
#[derive(Debug)]
pub struct News {
    state: watch::Receiver<State>,
    current: Option<(Arc<Connection>, watch::Receiver<Option<RegistryPush>>)>,
}

impl News {
    /// The connection that there is news of; none once the link has come to its end.
    pub async fn next(&mut self) -> Option<Arc<Connection>> {
        loop {
            let pushed = async {
                match &mut self.current {
                    Some((_, registry)) => registry.changed().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                changed = self.state.changed() => changed.ok()?,
                // Fails with the connection, which the state tells.
                Ok(()) = pushed => return self.current.as_ref().map(|(connection, _)| Arc::clone(connection)),
            }
            self.current = match &*self.state.borrow_and_update() {
                State::Up(connection) => Some((Arc::clone(connection), connection.registry.clone())),
                State::Connecting | State::Down(_) => None,
            };
            if let Some((connection, registry)) = &mut self.current {
                // What was pushed so far is no further news.
                registry.mark_unchanged();
                return Some(Arc::clone(connection));
            }
        }
    }
}

/// JSON text as the parameters of a request.
#[derive(Clone)]
struct Params(Box<RawValue>);

impl ToRpcParams for Params {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(Some(self.0))
    }
}

/// Owner of the connection.
struct Supervisor {
    config: LinkConfig,
    publish: watch::Sender<State>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self) {
        let mut pauses = pauses();
        let mut said = String::new();
        loop {
            let attempt = tokio::select! {
                () = self.stop.cancelled() => return,
                attempt = timeout(CONNECT_DEADLINE, self.connect()) => attempt.unwrap_or(Err(ConnectError::TimedOut)),
            };
            let error = match attempt {
                Ok((connection, abandoned)) => {
                    let since = Instant::now();
                    self.up(&connection);
                    said.clear();
                    let Some(why) = self.drive(&connection, abandoned).await else { return };
                    if since.elapsed() >= STABLE_AFTER {
                        pauses = self::pauses();
                    }
                    ConnectError::Broken(why)
                }
                Err(error) => error,
            };
            let pause = match error {
                ConnectError::Transport(TransportError::KeyRefused) => KEY_REFUSED_PAUSE,
                _ => pauses.next().unwrap_or(KEY_REFUSED_PAUSE),
            };
            said = self.down(error, pause, said);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    async fn connect(&self) -> Result<(Arc<Connection>, mpsc::Receiver<Abandoned>), ConnectError> {
        let limit = self.config.max_result_bytes + ENVELOPE_BYTES;
        let transport = transport::connect(&self.config.url, &self.config.key, limit).await?;
        let pushed = transport.registry.borrow().clone();
        let places = pushed.as_ref().and_then(max_in_flight).unwrap_or(DEFAULT_IN_FLIGHT);
        let (abandon, abandoned) = mpsc::channel(places);
        let semaphore = Arc::new(Semaphore::new(places));
        let client = Client::builder()
            .request_timeout(self.config.call_timeout + CONNECT_DEADLINE)
            .max_concurrent_requests(places)
            .enable_ws_ping(PingConfig::new().ping_interval(Duration::from_secs(20)))
            .set_rpc_middleware(
                RpcServiceBuilder::new()
                    .layer_fn(move |inner| InFlight::new(inner, semaphore.clone(), abandon.clone())),
            )
            .build_with_tokio(transport.sender, transport.receiver);
        let greeting = greet(&client, pushed.is_some()).await.map_err(ConnectError::Greeting)?;
        Ok((Arc::new(Connection { client, registry: transport.registry, greeting }), abandoned))
    }

    /// Tells the server of calls that were given up, until the connection breaks, and says why; or until we are to stop.
    async fn drive(&self, connection: &Connection, mut abandoned: mpsc::Receiver<Abandoned>) -> Option<String> {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                reason = connection.client.on_disconnect() => return Some(in_words(&reason)),
                Some(call) = abandoned.recv() => {
                    counter!(metric::LINK_CANCELS).increment(1);
                    let params = json!({ "requestId": call.id, "reason": "the answer is no longer wanted" });
                    if let Ok(params) = to_raw_value(&params) {
                        // Fails only with the connection, which the next turn sees.
                        let _ = connection.client.notification(method::CANCELLED, Params(params)).await;
                    }
                }
            }
        }
    }

    fn up(&self, connection: &Arc<Connection>) {
        gauge!(metric::LINK_UP).set(1);
        counter!(metric::LINK_CONNECTS).increment(1);
        let tools = connection.tools();
        info!(url = %self.config.url, tools = tools.len(), "connected to mcp-server at {}", self.config.url);
        self.publish.send_replace(State::Up(connection.clone()));
    }

    /// A reason that was `said` before is not said again, however often the attempt is made. Gives the reason.
    fn down(&self, error: ConnectError, pause: Duration, said: String) -> String {
        gauge!(metric::LINK_UP).set(0);
        let url = &self.config.url;
        let reason = Chain(&error).to_string();
        let retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        if reason == said {
            debug!(url, retry_ms, "still no link to mcp-server at {url}: {reason}");
        } else {
            warn!(url, retry_ms, "no link to mcp-server at {url}, trying again: {reason}. {}", error.way_out());
        }
        self.publish.send_replace(State::Down(Arc::new(error)));
        reason
    }
}

/// Pauses between attempts: 0.1 s, doubling up to 5 s, each with up to as much again by chance.
fn pauses() -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .build()
}

/// Why a connection ended. jsonrpsee's own errors hold the message that it couldn't read, and so rows: they stay unsaid.
fn in_words(reason: &RpcError) -> String {
    match reason {
        RpcError::RestartNeeded(inner) => in_words(inner),
        RpcError::Transport(error) => Chain(error.as_ref()).to_string(),
        _ => "a message was not understood, or nothing was heard for too long".to_owned(),
    }
}

fn max_in_flight(push: &RegistryPush) -> Option<usize> {
    push.meta.get(meta::MAX_IN_FLIGHT).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
}

fn may_act_for(meta: &Map<String, Value>) -> Option<bool> {
    meta.get(meta::MAY_ACT_FOR).and_then(Value::as_bool)
}

/// The MCP handshake.
async fn greet(client: &Client<InFlight>, registry_known: bool) -> Result<Greeting, RpcError> {
    let hello = json!({
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
    });
    let answer: Initialized = client.request(method::INITIALIZE, Params(to_raw_value(&hello)?)).await?;
    let mut greeting = Greeting { may_act_for: may_act_for(&answer.meta).unwrap_or(false), listed: Vec::new() };
    client.notification(method::INITIALIZED, Params(to_raw_value(&json!({}))?)).await?;
    if registry_known {
        return Ok(greeting);
    }
    let mut cursor: Option<String> = None;
    loop {
        let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
        let page: ToolPage = client.request(method::TOOLS_LIST, Params(to_raw_value(&params)?)).await?;
        greeting.listed.extend(page.tools);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(greeting);
        }
    }
}

#[derive(serde::Deserialize)]
struct Initialized {
    #[serde(rename = "_meta", default)]
    meta: Map<String, Value>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolPage {
    tools: Vec<ToolDescription>,
    #[serde(default)]
    next_cursor: Option<String>,
}
