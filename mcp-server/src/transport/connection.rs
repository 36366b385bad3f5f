//! One connection under rmcp, whatever frames its messages: what comes is admitted, what goes is queued for its writer, and it ends
//! when the client idles or leaves and when the server stops.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daemon::keys::Principal;
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::{RoleServer, serve_server_with_ct};
use rmcp::transport::Transport;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::calls::Calls;
use super::incoming::Fault;
use super::outgoing::{Outgoing, Payload};
use crate::mcp::host::Host;
use crate::telemetry::metrics;

/// What one way of framing messages brings.
pub(super) trait Framing: Send + 'static {
    /// What came next. Safe to be dropped between polls.
    fn next(&mut self) -> impl Future<Output = Arrival> + Send;
}

/// What came.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A message, or what should have been one.
    Message(Result<Box<ClientJsonRpcMessage>, Fault>),
    /// A sign of life.
    Alive,
    /// The client is gone.
    End,
}

/// Why a connection ends; the first reason given is the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    ShuttingDown,
    Silent,
    TooLong,
    NotText,
    NotUtf8,
    Malformed,
}

/// The first reason that was given for the end. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<OnceLock<Reason>>);

impl Ending {
    pub(super) fn because(&self, reason: Reason) {
        // A reason that came before is nearer to the cause.
        let _ = self.0.set(reason);
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.0.get().copied()
    }
}

/// Whom a connection serves, and when it ends.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) principal: Principal,
    /// Calls that may run at once.
    pub(super) max_in_flight: usize,
    /// Longest that a client may take to open its session.
    pub(super) opening_limit: Option<Duration>,
    /// Longest silence.
    pub(super) idle_limit: Option<Duration>,
    /// No new calls; the connection ends when those there are answered.
    pub(super) draining: CancellationToken,
    /// The connection is over, and so is what runs for it.
    pub(super) gone: CancellationToken,
    pub(super) ending: Ending,
}

/// Serves one client until it leaves, idles or is told to. What still runs for it then is cancelled on PostgreSQL, and `gone` has
/// fired.
pub(super) async fn serve<F: Framing>(host: &impl Host, terms: Terms, framing: F, outbox: mpsc::Sender<Outgoing>) {
    let (gone, opening_limit) = (terms.gone.clone(), terms.opening_limit);
    if let Some(greeting) = host.greeting(&terms.principal) {
        // The writer is just starting and its queue has room, so this can't fail.
        let _ = outbox.send(Outgoing { payload: Payload::from(greeting), flushed: None }).await;
    }
    let session = host.session(&terms.principal, &gone);
    let opened = serve_server_with_ct(session, Connection::new(terms, framing, outbox), gone.clone());
    let opened = match opening_limit {
        Some(limit) => tokio::time::timeout(limit, opened).await.ok(),
        None => Some(opened.await),
    };
    match opened {
        Some(Ok(service)) => drop(service.waiting().await),
        Some(Err(error)) => debug!(%error, "the session was not opened"),
        None => debug!("the session was not opened in time"),
    }
    gone.cancel();
}

/// The connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
pub(super) struct Closed;

/// The reading half, and the way to the writing one. Dropping it ends whatever runs for its client.
pub(super) struct Connection<F> {
    framing: F,
    outbox: mpsc::Sender<Outgoing>,
    calls: Calls,
    last_heard: Instant,
    terms: Terms,
}

impl<F: Framing> Transport<RoleServer> for Connection<F> {
    type Error = Closed;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let outbox = self.outbox.clone();
        let in_flight = self.calls.in_flight().clone();
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
            let outgoing = Outgoing { payload: Payload::from(message), flushed: Some(told) };
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
            if let Some(request) = self.calls.next_waiting() {
                return Some(request);
            }
            if self.terms.draining.is_cancelled() && self.calls.is_empty() && !self.calls.has_replies() {
                self.terms.ending.because(Reason::ShuttingDown);
                return None;
            }
            let outbox = self.outbox.clone();
            let in_flight = self.calls.in_flight().clone();
            let silence = silence(self.last_heard, self.terms.idle_limit);
            tokio::select! {
                permit = outbox.reserve(), if self.calls.has_replies() => {
                    let Ok(permit) = permit else { return self.leave() };
                    if let Some(payload) = self.calls.next_reply() {
                        permit.send(Outgoing { payload, flushed: None });
                    }
                }
                arrival = self.framing.next(), if !self.calls.has_replies() => {
                    self.last_heard = Instant::now();
                    match arrival {
                        Arrival::Message(Ok(message)) => {
                            if let Some(message) = self.calls.admit(*message, self.terms.draining.is_cancelled()) {
                                return Some(message);
                            }
                        }
                        Arrival::Message(Err(fault)) => self.calls.answer(&fault),
                        Arrival::Alive => {}
                        Arrival::End => return self.leave(),
                    }
                }
                () = in_flight.freed() => {}
                () = self.terms.draining.cancelled(), if !self.terms.draining.is_cancelled() => {}
                () = self.terms.gone.cancelled() => return self.leave(),
                () = silence => {
                    self.terms.ending.because(Reason::Silent);
                    return self.leave();
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Closed> {
        Ok(())
    }
}

impl<F> Connection<F> {
    /// A connection whose messages `framing` brings, and a writer takes from `outbox`.
    pub(super) fn new(terms: Terms, framing: F, outbox: mpsc::Sender<Outgoing>) -> Self {
        metrics::client_connections(1.0);
        info!(key = %terms.principal.name, "client {} connected", terms.principal.name);
        Self { framing, outbox, calls: Calls::new(terms.max_in_flight), last_heard: Instant::now(), terms }
    }

    /// The connection is over: calls that still run are stopped at once, not after rmcp's five seconds.
    fn leave(&self) -> Option<ClientJsonRpcMessage> {
        self.terms.gone.cancel();
        None
    }
}

impl<F> Drop for Connection<F> {
    fn drop(&mut self) {
        self.terms.gone.cancel();
        metrics::client_connections(-1.0);
        info!(key = %self.terms.principal.name, "client {} disconnected", self.terms.principal.name);
    }
}

/// Messages that another task frames.
impl Framing for mpsc::Receiver<Arrival> {
    async fn next(&mut self) -> Arrival {
        self.recv().await.unwrap_or(Arrival::End)
    }
}

/// Waits until nothing was heard for as long as is borne.
async fn silence(last_heard: Instant, limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep_until(last_heard + limit).await,
        None => std::future::pending().await,
    }
}
