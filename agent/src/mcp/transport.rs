//! tokio-tungstenite under jsonrpsee's client: frames in, frames out, and nothing that would kill the client.
//!
//! jsonrpsee ends a connection on a response whose id it doesn't wait for, has no answer to a server's request and
//! loses a notification that nobody has subscribed to yet. So the receiver here hands it answers to open requests only,
//! and deals with the rest itself.

use std::borrow::Cow;
use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use jsonrpsee::core::client::{ReceivedMessage, TransportReceiverT, TransportSenderT};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared_protocol::endpoint::{API_KEY_HEADER, SUBPROTOCOL};
use shared_protocol::envelope::{RegistryPush, fault, method};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tracing::{debug, warn};

/// A write that the peer doesn't take within this time breaks the connection.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long the registry push is waited for; a server may have it switched off.
const PUSH_DEADLINE: Duration = Duration::from_secs(2);

/// Room for cancelled requests on their way from sender to receiver, which takes them at once.
const SETTLED_QUEUE: usize = 64;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What goes wrong with a connection.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The server doesn't accept our key.
    #[error("mcp-server does not accept the key: WS_API_KEY must be one of the server's")]
    KeyRefused,
    /// The address answers, but not as an MCP endpoint.
    #[error("mcp-server answered the handshake with HTTP status {0}")]
    HandshakeRefused(u16),
    /// There is no connection to be had, or it broke.
    #[error("the connection to mcp-server failed")]
    Socket(#[from] WsError),
    /// The server closed the connection.
    #[error("mcp-server closed the connection ({0})")]
    Closed(String),
    /// The server didn't read what we wrote.
    #[error("mcp-server took nothing for {} s", WRITE_DEADLINE.as_secs())]
    Stalled,
}

impl TransportError {
    /// What whoever runs the agent can do about it, in one sentence.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::KeyRefused => "Give agent and mcp-server the same WS_API_KEY.",
            Self::HandshakeRefused(403) => "Use a host name in WS_URL that mcp-server's WS_ALLOWED_HOSTS lists.",
            Self::HandshakeRefused(_) => {
                "Check that WS_URL ends in /mcp, and that a proxy in between passes WebSocket upgrades on."
            }
            Self::Socket(error) if is_tls(error) => {
                "Check that WS_URL begins with the right one of ws:// and wss://, and that this machine trusts the \
                 certificate's authority (SSL_CERT_FILE names others)."
            }
            Self::Socket(_) | Self::Closed(_) | Self::Stalled => {
                "Check that mcp-server runs, and that WS_URL leads to it."
            }
        }
    }
}

fn is_tls(error: &WsError) -> bool {
    match error {
        WsError::Tls(_) => true,
        // What rustls finds wrong arrives as what went wrong while reading.
        WsError::Io(io) => io.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>),
        _ => false,
    }
}

/// Both halves of a connection, and the registry as it is pushed.
pub(super) struct Transport {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) registry: watch::Receiver<Option<RegistryPush>>,
}

/// Connects, and waits a little for the push that opens every session. No answer may be over `max_message_bytes`.
pub(super) async fn connect(
    url: &str,
    key: &SecretString,
    max_message_bytes: usize,
) -> Result<Transport, TransportError> {
    let mut request = url.into_client_request()?;
    let mut key = HeaderValue::from_str(key.expose_secret()).map_err(|error| WsError::HttpFormat(error.into()))?;
    key.set_sensitive(true);
    request.headers_mut().insert(API_KEY_HEADER, key);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let mut limits = WebSocketConfig::default();
    limits.max_message_size = Some(max_message_bytes);
    limits.max_frame_size = Some(max_message_bytes);
    let (socket, _) = connect_async_with_config(request, Some(limits), true).await.map_err(handshake_error)?;

    let (sink, stream) = socket.split();
    let shared = Arc::new(Shared { sink: tokio::sync::Mutex::new(sink), open: Mutex::default() });
    let (settle, settled) = mpsc::channel(SETTLED_QUEUE);
    let (publish, registry) = watch::channel(None);
    let mut receiver = Receiver { shared: shared.clone(), stream, settled, registry: publish };
    // Nothing was asked yet, so all that can come before jsonrpsee takes over is the push.
    if timeout(PUSH_DEADLINE, receiver.read_push()).await.unwrap_or(Ok(())).is_err() {
        return Err(TransportError::Closed("before it said anything".to_owned()));
    }
    Ok(Transport { sender: Sender { shared, settle }, receiver, registry })
}

fn handshake_error(error: WsError) -> TransportError {
    match error {
        WsError::Http(response) => match response.status().as_u16() {
            401 => TransportError::KeyRefused,
            status => TransportError::HandshakeRefused(status),
        },
        other => other.into(),
    }
}

struct Shared {
    /// The receiver writes too: it answers the server's requests.
    sink: tokio::sync::Mutex<SplitSink<Socket, Message>>,
    /// Ids of requests that were sent and not yet answered. jsonrpsee knows each of them.
    open: Mutex<HashSet<u64>>,
}

impl Shared {
    async fn write(&self, message: Message) -> Result<(), TransportError> {
        let write = async { self.sink.lock().await.send(message).await };
        Ok(timeout(WRITE_DEADLINE, write).await.map_err(|_| TransportError::Stalled)??)
    }

    fn opened(&self, id: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Whether `id` was open; it no longer is. True once only, so that each request is answered once.
    fn close(&self, id: u64) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

/// The parts of a message that say what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

impl Head<'_> {
    fn number(&self) -> Option<u64> {
        self.id.and_then(|id| id.get().parse().ok())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    request_id: u64,
}

/// Writes what jsonrpsee sends.
pub(super) struct Sender {
    shared: Arc<Shared>,
    settle: mpsc::Sender<u64>,
}

impl TransportSenderT for Sender {
    type Error = TransportError;

    /// Writes a message. A cancellation also settles the request in jsonrpsee, which would otherwise wait for an answer
    /// that never comes; one for a request that was never sent, or is already answered, goes nowhere.
    ///
    /// jsonrpsee's queue keeps the order, so a request always passes here before its cancellation.
    async fn send(&mut self, message: String) -> Result<(), TransportError> {
        if let Ok(head) = serde_json::from_str::<Head<'_>>(&message) {
            if head.method.as_deref() == Some(method::CANCELLED) {
                let of = head.params.and_then(|params| serde_json::from_str::<Cancelled>(params.get()).ok());
                let Some(Cancelled { request_id }) = of.filter(|c| self.shared.close(c.request_id)) else {
                    return Ok(());
                };
                // Fails only where the receiver is gone, and the connection with it.
                let _ = self.settle.send(request_id).await;
            } else if let Some(id) = head.number() {
                self.shared.opened(id);
            }
        }
        self.shared.write(Message::text(message)).await
    }

    async fn send_ping(&mut self) -> Result<(), TransportError> {
        self.shared.write(Message::Ping(Default::default())).await
    }

    async fn close(&mut self) -> Result<(), TransportError> {
        self.shared.write(Message::Close(None)).await
    }
}

/// Reads for jsonrpsee.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    stream: SplitStream<Socket>,
    settled: mpsc::Receiver<u64>,
    registry: watch::Sender<Option<RegistryPush>>,
}

impl TransportReceiverT for Receiver {
    type Error = TransportError;

    async fn receive(&mut self) -> Result<ReceivedMessage, TransportError> {
        loop {
            tokio::select! {
                Some(id) = self.settled.recv() => {
                    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32800,"message":"cancelled"}}}}"#);
                    return Ok(ReceivedMessage::Text(answer));
                }
                frame = self.stream.next() => {
                    if let Some(message) = self.take(frame).await? {
                        return Ok(message);
                    }
                }
            }
        }
    }
}

impl Receiver {
    async fn read_push(&mut self) -> Result<(), TransportError> {
        loop {
            let frame = self.stream.next().await;
            self.take(frame).await?;
            if self.registry.borrow().is_some() {
                return Ok(());
            }
        }
    }

    /// What of a frame is for jsonrpsee. tungstenite answers pings itself, at the next read.
    async fn take(
        &mut self,
        frame: Option<Result<Message, WsError>>,
    ) -> Result<Option<ReceivedMessage>, TransportError> {
        match frame {
            Some(Ok(Message::Text(text))) => self.sort(text.as_str().to_owned()).await,
            Some(Ok(Message::Pong(_))) => Ok(Some(ReceivedMessage::Pong)),
            Some(Ok(Message::Close(frame))) => {
                let why = frame.map_or_else(|| "without a reason".to_owned(), |f| format!("{} {}", f.code, f.reason));
                Err(TransportError::Closed(why))
            }
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Frame(_))) => Ok(None),
            Some(Err(error)) => Err(error.into()),
            None => Err(TransportError::Closed("without a word".to_owned())),
        }
    }

    async fn sort(&mut self, text: String) -> Result<Option<ReceivedMessage>, TransportError> {
        let Ok(head) = serde_json::from_str::<Head<'_>>(&text) else {
            warn!(bytes = text.len(), "dropped a message from mcp-server that is not JSON-RPC");
            return Ok(None);
        };
        match (&head.method, head.id) {
            (Some(method), Some(id)) => {
                let answer = answer_to(method, id);
                self.shared.write(Message::text(answer)).await?;
                Ok(None)
            }
            (Some(name), None) => {
                if name == method::TOOLS_LIST_CHANGED
                    && let Some(push) = head.params.and_then(|params| serde_json::from_str(params.get()).ok())
                {
                    self.registry.send_replace(Some(push));
                }
                Ok(None)
            }
            (None, _) => match head.number() {
                Some(id) if self.shared.close(id) => Ok(Some(ReceivedMessage::Text(text))),
                _ => {
                    debug!("dropped an answer from mcp-server that nobody waits for");
                    Ok(None)
                }
            },
        }
    }
}

fn answer_to(method: &str, id: &RawValue) -> String {
    if method == method::PING {
        return format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    }
    let code = fault::METHOD_NOT_FOUND;
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"the agent offers no methods"}}}}"#)
}
