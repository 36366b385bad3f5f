//! WebSocket as an rmcp transport: one task writes, rmcp reads, and both end when the client stalls, idles or leaves.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daemon::keys::Principal;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, GetExtensions, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::service::{RoleServer, serve_server_with_ct};
use rmcp::transport::Transport;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data as OpData, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::gate::Gate;
use super::handshake::Upgrade;
use super::in_flight::{InFlight, MAX_WAITING};
use super::incoming::{self, Fault};
use crate::mcp::handler::Session;
use crate::mcp::{error, push, wire};
use crate::telemetry::metrics;

/// How often a ping goes out.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Longest silence: three pings without an answer.
const IDLE_LIMIT: Duration = Duration::from_secs(65);

/// Longest that a client may take to open its session.
const OPENING_LIMIT: Duration = Duration::from_secs(30);

/// Longest that one message may take to leave, besides its share for size.
const WRITE_LIMIT: Duration = Duration::from_secs(3);

/// Bytes a second that even a slow client takes.
const SLOWEST_RATE: usize = 256 * 1024;

/// Bytes of a message that go into one frame. tungstenite copies a frame whole into a buffer that never shrinks, and moves what is
/// left of it with each write.
const FRAME_BYTES: usize = 128 * 1024;

/// Most bytes that may stand in that buffer; a write waits long before.
const WRITE_BUFFER: usize = 8 * FRAME_BYTES;

/// Messages that may wait to be written.
const OUTBOX: usize = 32;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves one client from the upgrade to the close.
pub(super) async fn serve(upgrade: Upgrade, gate: Gate, principal: Principal) {
    let socket = match upgrade.into_socket().await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "the upgrade came to nothing"),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(gate.config.max_message_bytes))
        .max_frame_size(Some(gate.config.max_message_bytes))
        .max_write_buffer_size(WRITE_BUFFER);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(socket), Role::Server, Some(config)).await;
    let (sink, stream) = socket.split();
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let gone = gate.kill.child_token();
    let ending = Ending::default();
    let writer = tokio::spawn(write(sink, messages, gone.clone(), ending.clone()));

    metrics::client_connections(1.0);
    info!(key = %principal.name, "client {} connected", principal.name);
    if gate.config.push_registry {
        let may_act_for = gate.service.tools.policies.may_act_for(&principal.name);
        let text = push::message(&gate.service.registry, gate.service.max_in_flight, may_act_for);
        // The writer is just starting and its queue is empty, so this can't fail.
        let _ = outbox.send(Outgoing { text, flushed: None }).await;
    }
    let transport = WebSocketTransport {
        stream,
        outbox,
        in_flight: InFlight::default(),
        waiting: VecDeque::new(),
        replies: VecDeque::new(),
        last_heard: Instant::now(),
        is_open: false,
        draining: gate.draining.clone(),
        gone: gone.clone(),
        ending,
    };
    let session = Session::new(gate.service, principal.clone(), gone.clone());
    let opening = tokio::time::timeout(OPENING_LIMIT, serve_server_with_ct(session, transport, gone.clone())).await;
    match opening {
        Ok(Ok(service)) => drop(service.waiting().await),
        Ok(Err(error)) => debug!(%error, "the session was not opened"),
        Err(_) => debug!("the session was not opened in time"),
    }
    // Whatever still runs for this client is cancelled on PostgreSQL.
    gone.cancel();
    if let Err(error) = writer.await {
        warn!(%error, "a connection's writer failed");
    }
    metrics::client_connections(-1.0);
    info!(key = %principal.name, "client {} disconnected", principal.name);
}

/// A message on its way out.
struct Outgoing {
    text: String,
    /// Told once the message is flushed.
    flushed: Option<oneshot::Sender<()>>,
}

/// How a connection ends: the first reason given stands in the close frame.
#[derive(Debug, Clone, Default)]
struct Ending(Arc<OnceLock<(CloseCode, &'static str)>>);

impl Ending {
    fn because(&self, code: CloseCode, reason: &'static str) {
        // A reason that came before is nearer to the cause.
        let _ = self.0.set((code, reason));
    }

    fn frame(&self) -> CloseFrame {
        let (code, reason) = *self.0.get().unwrap_or(&(CloseCode::Normal, ""));
        CloseFrame { code, reason: reason.into() }
    }
}

/// Writes messages and pings until the outbox closes or the connection is gone, then says goodbye.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut messages: mpsc::Receiver<Outgoing>,
    gone: CancellationToken,
    ending: Ending,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let (message, flushed) = tokio::select! {
            biased;
            next = messages.recv() => match next {
                Some(Outgoing { text, flushed }) => (Message::text(text), flushed),
                None => break,
            },
            _ = ping.tick() => (Message::Ping(Vec::new().into()), None),
            () = gone.cancelled() => break,
        };
        let share = Duration::from_secs((message.len() / SLOWEST_RATE) as u64);
        match tokio::time::timeout(WRITE_LIMIT + share, send(&mut sink, message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(%error, "a message could not be written");
                break;
            }
            Err(_) => {
                info!("a client does not read; its connection is dropped");
                break;
            }
        }
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
    gone.cancel();
    let goodbye = async {
        let _ = sink.send(Message::Close(Some(ending.frame()))).await;
        let _ = sink.close().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
}

/// Sends a message, a long text in several frames, and waits until all of it is with the system.
async fn send(sink: &mut SplitSink<Socket, Message>, message: Message) -> Result<(), SocketError> {
    let text = match message {
        Message::Text(text) if text.len() > FRAME_BYTES => text,
        message => return sink.send(message).await,
    };
    let bytes = Bytes::from(text.clone());
    let mut start = 0;
    while start < text.len() {
        // Some clients look at each frame's text by itself.
        let end = text.floor_char_boundary(start + FRAME_BYTES);
        let kind = if start == 0 { OpData::Text } else { OpData::Continue };
        let frame = Frame::message(bytes.slice(start..end), OpCode::Data(kind), end == text.len());
        sink.feed(Message::Frame(frame)).await?;
        start = end;
    }
    sink.flush().await
}

/// The connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
struct Closed;

/// The reading half, and the way to the writing one.
struct WebSocketTransport {
    stream: SplitStream<Socket>,
    outbox: mpsc::Sender<Outgoing>,
    in_flight: InFlight,
    /// Requests that came while all places were taken.
    waiting: VecDeque<ClientJsonRpcMessage>,
    /// Answers of the transport's own, to what isn't a message.
    replies: VecDeque<String>,
    last_heard: Instant,
    /// Whether a request came yet: rmcp drops the connection on a notification before the first.
    is_open: bool,
    draining: CancellationToken,
    gone: CancellationToken,
    ending: Ending,
}

impl Transport<RoleServer> for WebSocketTransport {
    type Error = Closed;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let outbox = self.outbox.clone();
        let in_flight = self.in_flight.clone();
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        if let Some(id) = &answered {
            in_flight.answered(id);
        }
        async move {
            let (told, flushed) = oneshot::channel();
            let outgoing = Outgoing { text: wire::to_text(message), flushed: Some(told) };
            let sent = match outbox.send(outgoing).await {
                Ok(()) => flushed.await.map_err(|_| Closed),
                Err(_) => Err(Closed),
            };
            if let Some(id) = answered {
                in_flight.release(&id);
            }
            sent
        }
    }

    /// The next message. Safe to be dropped between polls: rmcp waits for other things beside it.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Some(request) = self.next_waiting() {
                return Some(request);
            }
            if self.draining.is_cancelled() && self.in_flight.is_empty() && self.waiting.is_empty() {
                self.ending.because(CloseCode::Away, "the server is shutting down");
                return None;
            }
            let outbox = self.outbox.clone();
            tokio::select! {
                permit = outbox.reserve(), if !self.replies.is_empty() => {
                    let Ok(permit) = permit else { return self.leave() };
                    if let Some(text) = self.replies.pop_front() {
                        permit.send(Outgoing { text, flushed: None });
                    }
                }
                // Nothing more is read while answers of our own wait: they can't pile up.
                frame = self.stream.next(), if self.replies.is_empty() => {
                    self.last_heard = Instant::now();
                    match self.take(frame) {
                        Taken::Message(message) => return Some(*message),
                        Taken::Nothing => {}
                        Taken::End => return self.leave(),
                    }
                }
                () = self.in_flight.freed() => {}
                () = self.draining.cancelled(), if !self.draining.is_cancelled() => {}
                () = self.gone.cancelled() => return self.leave(),
                () = tokio::time::sleep_until(self.last_heard + IDLE_LIMIT) => {
                    self.ending.because(CloseCode::Policy, "no answer to pings");
                    return self.leave();
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Closed> {
        Ok(())
    }
}

/// What a frame came to.
enum Taken {
    Message(Box<ClientJsonRpcMessage>),
    Nothing,
    End,
}

impl WebSocketTransport {
    /// The connection is over: calls that still run are stopped at once, not after rmcp's five seconds.
    fn leave(&self) -> Option<ClientJsonRpcMessage> {
        self.gone.cancel();
        None
    }

    fn next_waiting(&mut self) -> Option<ClientJsonRpcMessage> {
        if let JsonRpcMessage::Request(request) = self.waiting.front_mut()? {
            let held = self.in_flight.admit(&request.id)?;
            request.request.extensions_mut().insert(held);
        }
        self.waiting.pop_front()
    }

    fn take(&mut self, frame: Option<Result<Message, SocketError>>) -> Taken {
        match frame {
            Some(Ok(Message::Text(text))) => match incoming::parse(&text) {
                Ok(message) => self.admit(message),
                Err(fault) => self.answer(&fault),
            },
            Some(Ok(Message::Binary(_))) => {
                self.ending.because(CloseCode::Unsupported, "messages are text");
                Taken::End
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Taken::Nothing,
            Some(Ok(Message::Close(_))) | None => Taken::End,
            Some(Err(error)) => {
                match &error {
                    SocketError::Capacity(CapacityError::MessageTooLong { .. }) => {
                        self.ending.because(CloseCode::Size, "the message is longer than MAX_MESSAGE_BYTES");
                    }
                    SocketError::Utf8(_) => self.ending.because(CloseCode::Invalid, "text must be UTF-8"),
                    _ => self.ending.because(CloseCode::Protocol, "a frame is malformed"),
                }
                debug!(%error, "a frame could not be read");
                Taken::End
            }
        }
    }

    /// Lets a message through, now or when a place is free.
    fn admit(&mut self, mut message: ClientJsonRpcMessage) -> Taken {
        match &mut message {
            JsonRpcMessage::Request(request) => {
                self.is_open = true;
                let id = request.id.clone();
                if self.in_flight.holds(&id) || self.waits(&id) {
                    return self.answer(&Fault::id_in_use(&id));
                }
                if self.draining.is_cancelled() {
                    return self.refuse(&id, &request.request, "the server is shutting down");
                }
                if self.waiting.is_empty()
                    && let Some(held) = self.in_flight.admit(&id)
                {
                    request.request.extensions_mut().insert(held);
                    return Taken::Message(Box::new(message));
                }
                if self.waiting.len() == MAX_WAITING {
                    return self.refuse(&id, &request.request, "too many calls of this connection are waiting");
                }
                self.waiting.push_back(message);
                Taken::Nothing
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.cancel(id);
                }
                if self.is_open { Taken::Message(Box::new(message)) } else { Taken::Nothing }
            }
            _ if self.is_open => Taken::Message(Box::new(message)),
            _ => Taken::Nothing,
        }
    }

    /// A cancelled call gets no answer, so its place is given back here; one that only waited is forgotten.
    fn cancel(&mut self, id: &RequestId) {
        self.waiting.retain(|waiting| !is_request(waiting, id));
        self.in_flight.cancel(id);
    }

    fn waits(&self, id: &RequestId) -> bool {
        self.waiting.iter().any(|waiting| is_request(waiting, id))
    }

    fn refuse(&mut self, id: &RequestId, request: &ClientRequest, why: &str) -> Taken {
        self.replies.push_back(wire::to_text(error::busy_answer(id.clone(), request, why)));
        Taken::Nothing
    }

    fn answer(&mut self, fault: &Fault) -> Taken {
        self.replies.push_back(fault.to_text());
        Taken::Nothing
    }
}

fn is_request(message: &ClientJsonRpcMessage, id: &RequestId) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if request.id == *id)
}
