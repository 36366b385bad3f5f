//! The WebSocket handshake (RFC 6455, section 4.2): HTTP's side of it is axum's, the frames are tokio-tungstenite's.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use shared_protocol::endpoint::SUBPROTOCOL;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request that asks, correctly, to become a WebSocket.
#[derive(Debug)]
pub(super) struct Upgrade {
    accept: HeaderValue,
    offers_subprotocol: bool,
    on_upgrade: OnUpgrade,
}

/// What is wrong with a handshake.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    /// It doesn't ask for one.
    #[error("this path speaks WebSocket")]
    NoUpgrade,
    /// Another version than 13.
    #[error("only WebSocket version 13 is spoken")]
    Version,
    /// No key.
    #[error("the header Sec-WebSocket-Key is missing or malformed")]
    Key,
}

impl Invalid {
    /// The HTTP status that says so.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }
}

impl Upgrade {
    /// The upgrade that `request` asks for.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong with it.
    pub(super) fn of(mut request: Request) -> Result<Self, Invalid> {
        let headers = request.headers();
        if !lists(headers, &CONNECTION, "upgrade") || !lists(headers, &UPGRADE, "websocket") {
            return Err(Invalid::NoUpgrade);
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Invalid::Version);
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24).ok_or(Invalid::Key)?;
        let accept = derive_accept_key(key.as_bytes()).parse().map_err(|_| Invalid::Key)?;
        let offers_subprotocol = lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Invalid::NoUpgrade)?;
        Ok(Self { accept, offers_subprotocol, on_upgrade })
    }

    /// The answer that says yes. The subprotocol is echoed only when it was offered.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if self.offers_subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }

    /// The socket, once the answer is sent.
    pub(super) fn into_socket(self) -> OnUpgrade {
        self.on_upgrade
    }
}

/// Whether a header's comma lists hold `word`.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}
