//! Why a client isn't let in, and how it is told.

use axum::response::{IntoResponse, Response};
use daemon::keys::Unknown;
use http::header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::handshake;

/// Why a client isn't let in.
#[derive(Debug)]
pub(super) enum Refusal {
    Host,
    Origin,
    Key(Unknown),
    Method,
    Handshake(handshake::Invalid),
    Full,
    Stopping,
    NoSession,
    Busy,
    NoSuchPath,
}

impl Refusal {
    /// The word in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Key(_) => "key",
            Self::Method => "method",
            Self::Handshake(_) => "handshake",
            Self::Full => "full",
            Self::Stopping => "stopping",
            Self::NoSession => "session",
            Self::Busy => "busy",
            Self::NoSuchPath => "path",
        }
    }

    fn parts(&self) -> (StatusCode, String, &'static str) {
        match self {
            Self::Host => {
                (StatusCode::FORBIDDEN, "this Host is not served".to_owned(), "Use a name that WS_ALLOWED_HOSTS lists.")
            }
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "this Origin may not connect".to_owned(),
                "Add the origin to WS_ALLOWED_ORIGINS.",
            ),
            Self::Key(unknown @ Unknown::Flooded) => {
                (StatusCode::TOO_MANY_REQUESTS, unknown.to_string(), "Try again in a few seconds, with the right key.")
            }
            Self::Key(unknown) => (
                StatusCode::UNAUTHORIZED,
                unknown.to_string(),
                "Send one of WS_API_KEY's keys in the header X-API-Key, or as Authorization: Bearer.",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "this method is not served here".to_owned(),
                "On /mcp open a WebSocket or speak Streamable HTTP; the older HTTP+SSE is GET /sse and POST /messages.",
            ),
            Self::Handshake(invalid) => (
                invalid.status(),
                invalid.to_string(),
                "Open a WebSocket: GET with Upgrade: websocket, version 13. For Streamable HTTP, accept text/event-stream.",
            ),
            Self::Stopping => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is shutting down".to_owned(),
                "Try again in a few seconds.",
            ),
            Self::NoSession => {
                (StatusCode::NOT_FOUND, "this key has no session with this id".to_owned(), "Open a session anew.")
            }
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the session does not take up what is posted".to_owned(),
                "Read the answers that wait on its stream.",
            ),
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "all places for connections are taken".to_owned(),
                "Try again in a few seconds.",
            ),
            Self::NoSuchPath => (
                StatusCode::NOT_FOUND,
                "there is nothing at this path".to_owned(),
                "The paths are /mcp (WebSocket and Streamable HTTP), /sse, /messages, /health, /ready and /metrics.",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message, suggestion) = self.parts();
        let mut response =
            (status, axum::Json(json!({ "error": { "message": message, "suggestion": suggestion } }))).into_response();
        let header = match self {
            Self::Key(Unknown::Flooded) | Self::Full | Self::Stopping | Self::Busy => {
                // Whoever comes back later keeps no place meanwhile.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                Some((RETRY_AFTER, "5"))
            }
            Self::Key(_) => Some((WWW_AUTHENTICATE, "Bearer realm=\"mcp\"")),
            Self::Method => Some((ALLOW, "GET, POST, DELETE")),
            Self::Handshake(handshake::Invalid::NoUpgrade) => Some((http::header::UPGRADE, "websocket")),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
