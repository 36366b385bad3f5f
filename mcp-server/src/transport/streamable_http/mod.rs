//! Streamable HTTP: a POST for each message. rmcp's service speaks it; here stands who may, for how long, and with whose session.
//!
//! The revisions before 2026-07-28 have sessions, opened by `initialize` and named in the header Mcp-Session-Id. The newest, and all
//! of them where HTTP_STATELESS=true, are answered request by request.

mod answer;
mod routes;
pub(super) mod session;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use daemon::keys::Principal;
use http::request::Parts;
use http::{Method, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use self::answer::{Answer, Kept};
use self::visit::Visit;
use super::gate::Gate;
use super::refusal::Refusal;
use super::request_body;
use crate::executor::Held;
use crate::mcp::host::Host;

/// The header that names a session.
pub(super) const SESSION_ID: &str = "mcp-session-id";

/// How often a stream on which nothing happens says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers one request of `principal`.
pub(super) async fn answer(gate: Gate<impl Host>, principal: Principal, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::POST => post(gate, principal, parts, body).await,
        // rmcp says yes to whatever is to be deleted.
        Method::DELETE if !gate.config.http_stateless && !owns(&gate, &principal, &parts) => Err(Refusal::NoSession),
        Method::GET | Method::DELETE => {
            let ends = parts.method == Method::DELETE;
            let visit = Visit::new(gate.clone(), principal, None);
            let mut response = hand_over(&gate, visit, parts, Bytes::new()).await;
            if ends && response.status() == StatusCode::ACCEPTED {
                // The Python SDK takes 200 and 204 for an end, and warns of rmcp's 202.
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
            Ok(response)
        }
        _ => Err(Refusal::Method),
    }
}

async fn post(gate: Gate<impl Host>, principal: Principal, parts: Parts, body: Body) -> Result<Response, Refusal> {
    if gate.draining.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let (message, bytes) = match request_body::read(body, gate.config.max_message_bytes).await {
        Ok(read) => read,
        Err(unusable) => return Ok(unusable.into_response()),
    };
    let place = || Arc::clone(&gate.places).try_acquire_owned().map_err(|_| Refusal::Full);
    let of_session = (opens_session(&message) && !gate.config.http_stateless).then(place).transpose()?;
    // It stays as long as a connection does.
    let of_stream = listens(&message).then(place).transpose()?;
    // rmcp reads it once more; this one was only looked at.
    drop(message);
    let visit = Visit::new(gate.clone(), principal, of_session);
    let response = hand_over(&gate, visit, parts, bytes).await;
    Ok(response.map(|body| Body::new(Kept { body, _place: of_stream })))
}

/// Lets rmcp answer, and sees to it that rows leave with their digits and that their memory is counted until they have.
async fn hand_over<H: Host>(gate: &Gate<H>, visit: Visit<H>, mut parts: Parts, body: Bytes) -> Response {
    let held = Held::default();
    parts.extensions.insert(held.clone());
    let (host, terms) = (gate.host.clone(), visit.terms());
    let session = move || Ok(host.session(&terms.principal, &terms.gone));
    let mut config = StreamableHttpServerConfig::default();
    config.sse_keep_alive = Some(KEEP_ALIVE);
    // Nothing is kept for clients that come back: an answer whose stream is gone is cancelled.
    config.sse_retry = None;
    config.legacy_session_mode = !gate.config.http_stateless;
    config.json_response = true;
    config.cancellation_token = gate.kill.clone();
    // Host and Origin were looked at before.
    let config = config.disable_allowed_hosts();
    // A stream of notifications ends with its session; a call that is being answered is waited for when the server stops.
    let answering = (parts.method == Method::POST).then(|| gate.connections.token());
    let rmcp = StreamableHttpService::new(session, Arc::new(visit), config);
    let response = rmcp.handle(http::Request::from_parts(parts, Full::new(body))).await;
    response.map(|body| Body::new(Answer::new(body, held, answering)))
}

fn opens_session(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::InitializeRequest(_)))
}

fn listens(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::SubscriptionsListenRequest(_)))
}

fn owns(gate: &Gate<impl Host>, principal: &Principal, parts: &Parts) -> bool {
    let id = parts.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
    // Where none is named, rmcp says so.
    id.is_none_or(|id| gate.sessions.find(id, principal).is_some())
}

/// Whether a GET asks for a stream of events.
pub(super) fn asks_for_events(headers: &http::HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|part| part.trim().starts_with("text/event-stream"))
}
