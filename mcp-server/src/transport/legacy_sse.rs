//! HTTP+SSE, the transport before Streamable HTTP: GET /sse opens a stream of events, whose first says where to POST messages; their
//! answers come as events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use daemon::keys::Principal;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, Method, StatusCode};
use hyper::body::{Bytes, Frame};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{self, Arrival};
use super::gate::Gate;
use super::outgoing::{self, Outgoing};
use super::refusal::Refusal;
use super::request_body;
use crate::mcp::host::Host;

/// Where a stream is opened.
pub(super) const SSE_PATH: &str = "/sse";

/// Where messages are posted.
pub(super) const MESSAGES_PATH: &str = "/messages";

/// Messages that were posted and not taken up yet.
const INBOX: usize = 4;

/// Longest that a POST waits for a session to take its message up.
const TAKE_LIMIT: Duration = Duration::from_secs(5);

/// How often a stream on which nothing happens says that it is alive; a client that is gone is found out that way.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Opens a stream, which is a connection until either side ends it.
pub(super) async fn open(gate: Gate<impl Host>, principal: Principal, request: Request) -> Result<Response, Refusal> {
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    if gate.draining.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let place = Arc::clone(&gate.places).try_acquire_owned().map_err(|_| Refusal::Full)?;
    let (inbox, arrivals) = mpsc::channel(INBOX);
    let (outbox, messages) = outgoing::queue();
    let terms = gate.terms(principal.clone());
    let id = gate.streams.insert(principal, inbox);
    let events = Events::new(&id, messages, terms.gone.clone());
    let connections = gate.connections.clone();
    connections.spawn(async move {
        connection::serve(&gate.host, terms, arrivals, outbox).await;
        gate.streams.remove(&id);
        drop(place);
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
        // Some proxies gather answers otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::new(events)).into_response())
}

/// Takes a message to the session that its address names; the answer comes as an event there.
pub(super) async fn post(gate: Gate<impl Host>, principal: Principal, request: Request) -> Result<Response, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::Method);
    }
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let id = query.split('&').find_map(|pair| pair.strip_prefix("sessionId=")).unwrap_or_default();
    let inbox = gate.streams.find(id, &principal).ok_or(Refusal::NoSession)?;
    let message = match request_body::read(body, gate.config.max_message_bytes).await {
        Ok((message, _)) => message,
        Err(unusable) => return Ok(unusable.into_response()),
    };
    let arrival = Arrival::Message(Ok(Box::new(message)));
    match inbox.send_timeout(arrival, TAKE_LIMIT).await {
        Ok(()) => Ok(StatusCode::ACCEPTED.into_response()),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Refusal::Busy),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Refusal::NoSession),
    }
}

/// The body of a stream. When it is dropped the client is gone.
struct Events {
    /// The event that says where to post, until it is sent.
    endpoint: Option<Bytes>,
    messages: mpsc::Receiver<Outgoing>,
    keep_alive: Interval,
    _gone: DropGuard,
}

impl Events {
    fn new(id: &str, messages: mpsc::Receiver<Outgoing>, gone: CancellationToken) -> Self {
        let endpoint = format!("event: endpoint\ndata: {MESSAGES_PATH}?sessionId={id}\n\n");
        let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        Self { endpoint: Some(endpoint.into()), messages, keep_alive, _gone: gone.drop_guard() }
    }
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = if let Some(endpoint) = self.endpoint.take() {
            endpoint
        } else if let Poll::Ready(message) = self.messages.poll_recv(context) {
            let Some(message) = message else { return Poll::Ready(None) };
            self.keep_alive.reset();
            Bytes::from_owner(Event::from(message))
        } else if self.keep_alive.poll_tick(context).is_ready() {
            Bytes::from_static(b":\n\n")
        } else {
            return Poll::Pending;
        };
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

/// One message as an event. Its last byte has left when it is dropped, or never will.
struct Event {
    text: String,
    flushed: Option<oneshot::Sender<()>>,
}

impl From<Outgoing> for Event {
    fn from(Outgoing { payload, flushed }: Outgoing) -> Self {
        Self { text: format!("event: message\ndata: {}\n\n", payload.into_text()), flushed }
    }
}

impl AsRef<[u8]> for Event {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(flushed) = self.flushed.take() {
            let _ = flushed.send(());
        }
    }
}
