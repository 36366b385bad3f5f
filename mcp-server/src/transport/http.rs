//! The router of the one port: /mcp, /sse, /messages, what is served beside them, and who may come in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use daemon::keys::Principal;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method};
use shared_protocol::endpoint::{API_KEY_HEADER, MCP_PATH};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use super::gate::Gate;
use super::handshake::Upgrade;
use super::legacy_sse::{self, MESSAGES_PATH, SSE_PATH};
use super::refusal::Refusal;
use super::{streamable_http, websocket};
use crate::mcp::host::Host;
use crate::telemetry::metrics;

/// How long a browser keeps what it was told it may send.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// The routes of the port: those of MCP, and what is served `beside` them.
pub fn router<H: Host>(gate: Gate<H>, beside: Router) -> Router {
    let cors = cors(&gate.config.allowed_origins);
    let sensitive = [HeaderName::from_static(API_KEY_HEADER), http::header::AUTHORIZATION];
    Router::new()
        .route(MCP_PATH, any(async |gate, request| enter::<H, _>(gate, request, mcp).await))
        .route(SSE_PATH, any(async |gate, request| enter::<H, _>(gate, request, legacy_sse::open).await))
        .route(MESSAGES_PATH, any(async |gate, request| enter::<H, _>(gate, request, legacy_sse::post).await))
        .layer(cors)
        .with_state(gate)
        .merge(beside)
        .fallback(async || Refusal::NoSuchPath.into_response())
        .layer(CatchPanicLayer::new())
        .layer(SetSensitiveRequestHeadersLayer::new(sensitive))
}

/// Lets pages of the allowed origins read answers, and send what clients send: browsers ask before they do. Who asks is looked at all
/// the same.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| origin.parse().ok());
    let sent = [
        HeaderName::from_static(API_KEY_HEADER),
        http::header::AUTHORIZATION,
        http::header::CONTENT_TYPE,
        http::header::ACCEPT,
        HeaderName::from_static("last-event-id"),
        HeaderName::from_static("mcp-method"),
        HeaderName::from_static("mcp-name"),
        HeaderName::from_static("mcp-protocol-version"),
        HeaderName::from_static(streamable_http::SESSION_ID),
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(sent)
        .expose_headers([HeaderName::from_static(streamable_http::SESSION_ID)])
        .max_age(PREFLIGHT)
}

/// Lets a request in to what it asks for, or says why not.
async fn enter<H: Host, F: Future<Output = Result<Response, Refusal>>>(
    State(gate): State<Gate<H>>,
    request: Request,
    within: impl FnOnce(Gate<H>, Principal, Request) -> F,
) -> Response {
    let answered = async {
        let (principal, request) = admit(&gate, request).await?;
        within(gate, principal, request).await
    };
    match answered.await {
        Ok(response) => response,
        Err(refusal) => {
            metrics::handshake_refused(refusal.reason());
            refusal.into_response()
        }
    }
}

/// Who asks; everything is checked before anything of the request is read or its connection upgraded.
async fn admit(gate: &Gate<impl Host>, request: Request) -> Result<(Principal, Request), Refusal> {
    check_host(request.headers(), gate.config.allowed_hosts.as_deref())?;
    check_origin(request.headers(), &gate.config.allowed_origins)?;
    let (parts, body) = request.into_parts();
    let principal = gate.authenticator.admit(&parts.headers, &parts.extensions).await.map_err(Refusal::Key)?;
    Ok((principal, Request::from_parts(parts, body)))
}

/// A GET that asks for it becomes a WebSocket; everything else is Streamable HTTP.
async fn mcp(gate: Gate<impl Host>, principal: Principal, request: Request) -> Result<Response, Refusal> {
    let is_get = request.method() == Method::GET;
    if !is_get || streamable_http::asks_for_events(request.headers()) {
        return streamable_http::answer(gate, principal, request).await;
    }
    let upgrade = Upgrade::of(request).map_err(Refusal::Handshake)?;
    let place = Arc::clone(&gate.places).try_acquire_owned().map_err(|_| Refusal::Full)?;
    let response = upgrade.response();
    let connections = gate.connections.clone();
    connections.spawn(async move {
        websocket::serve(upgrade, gate, principal).await;
        drop(place);
    });
    Ok(response)
}

fn check_host(headers: &HeaderMap, allowed: Option<&[String]>) -> Result<(), Refusal> {
    let Some(allowed) = allowed else { return Ok(()) };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let known = allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
    if known { Ok(()) } else { Err(Refusal::Host) }
}

/// Browsers send Origin; a page from anywhere else must not ride on what this machine can reach.
fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let known = origin.to_str().is_ok_and(|origin| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)));
    if known { Ok(()) } else { Err(Refusal::Origin) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_known_hosts_are_served() {
        let allowed = ["localhost".to_owned(), "[::1]".to_owned()];
        let check = |host: &'static str, served: bool| {
            assert_eq!(check_host(&headers(HOST, host), Some(&allowed)).is_ok(), served, "{host}");
        };
        check("localhost:9001", true);
        check("LOCALHOST", true);
        check("[::1]:9001", true);
        check("evil.example:9001", false);
        assert!(check_host(&HeaderMap::new(), None).is_ok());
    }

    #[test]
    fn web_pages_may_connect_only_from_known_origins() {
        let allowed = ["https://app.example".to_owned()];
        assert!(check_origin(&HeaderMap::new(), &allowed).is_ok());
        assert!(check_origin(&headers(ORIGIN, "https://app.example"), &allowed).is_ok());
        assert!(check_origin(&headers(ORIGIN, "https://evil.example"), &allowed).is_err());
        assert!(check_origin(&headers(ORIGIN, "null"), &[]).is_err());
    }
}
