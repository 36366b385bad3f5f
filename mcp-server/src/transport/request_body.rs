//! A message that comes as the body of a request: read within its limit and its time.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use hyper::body::Bytes;
use rmcp::model::ClientJsonRpcMessage;

use super::incoming::{self, Fault};

/// Longest that a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// A body that holds no message, as an answer.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is longer than messages may be.
    TooLong(usize),
    /// It didn't come whole in time.
    Cut,
    /// It is none.
    Fault(Fault),
}

impl IntoResponse for Unusable {
    fn into_response(self) -> Response {
        let (status, fault) = match self {
            Self::TooLong(limit) => (StatusCode::PAYLOAD_TOO_LARGE, Fault::too_long(limit)),
            Self::Cut => (StatusCode::REQUEST_TIMEOUT, Fault::cut()),
            Self::Fault(fault) => (StatusCode::BAD_REQUEST, fault),
        };
        (status, [(CONTENT_TYPE, "application/json")], fault.to_text()).into_response()
    }
}

/// The message in `body`, and its bytes as they came. No more than `limit` bytes are kept.
pub(super) async fn read(body: Body, limit: usize) -> Result<(ClientJsonRpcMessage, Bytes), Unusable> {
    read_within(BODY_LIMIT, body, limit).await
}

async fn read_within(time: Duration, body: Body, limit: usize) -> Result<(ClientJsonRpcMessage, Bytes), Unusable> {
    let whole = tokio::time::timeout(time, collect(body, limit)).await;
    let bytes = whole.unwrap_or(Err(Unusable::Cut))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Unusable::Fault(Fault::not_utf8()))?;
    let message = incoming::parse(text).map_err(Unusable::Fault)?;
    Ok((message, Bytes::from(bytes)))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, Unusable> {
    let mut whole = Vec::new();
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Unusable::Cut)?;
        if whole.len() + part.len() > limit {
            return Err(Unusable::TooLong(limit));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status_of(body: impl Into<Body>) -> Option<StatusCode> {
        read_within(Duration::from_millis(50), body.into(), 64)
            .await
            .err()
            .map(|unusable| unusable.into_response().status())
    }

    #[tokio::test]
    async fn every_unusable_body_has_its_status() {
        assert_eq!(status_of(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await, None);
        assert_eq!(status_of("[]").await, Some(StatusCode::BAD_REQUEST));
        assert_eq!(status_of(vec![b'"', 0xff, b'"']).await, Some(StatusCode::BAD_REQUEST));
        assert_eq!(status_of("x".repeat(65)).await, Some(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(status_of(never).await, Some(StatusCode::REQUEST_TIMEOUT));
    }
}
