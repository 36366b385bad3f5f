//! The body of an answer: what rmcp wrote, with rows as the executor wrote them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::ready;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::executor::Held;
use crate::mcp::wire;

/// A body of rmcp's on its way out: one JSON message, or an event for each.
pub(super) struct Answer {
    body: BoxBody<Bytes, Infallible>,
    held: Held,
    /// Kept until the answer has left.
    _answering: Option<TaskTrackerToken>,
}

/// A body that keeps a place until it has left.
pub(super) struct Kept {
    pub(super) body: axum::body::Body,
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

impl Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer, which keep the memory that they were counted with until the last of them is with the system.
struct Leaving {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Leaving {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Answer {
    pub(super) fn new(body: BoxBody<Bytes, Infallible>, held: Held, answering: Option<TaskTrackerToken>) -> Self {
        Self { body, held, _answering: answering }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let held = &self.held;
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| leaving(&data, held)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

fn leaving(data: &Bytes, held: &Held) -> Bytes {
    match mended(data) {
        Some(bytes) => Bytes::from_owner(Leaving { bytes, _held: held.clone() }),
        None => data.clone(),
    }
}

/// A message or an event with a result that stands in it as a string, which now is the result itself; nothing where it has none.
fn mended(data: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(data).ok()?;
    if text.starts_with('{') {
        return wire::with_result_in_place(text).map(String::into_bytes);
    }
    // rmcp writes an event at a time, and a message within one line of it.
    let start = if text.starts_with("data:") { 5 } else { text.find("\ndata:")? + 6 };
    let line = text[start..].split('\n').next()?;
    let message = wire::with_result_in_place(line.trim_start())?;
    Some([&text[..start], " ", &message, &text[start + line.len()..]].concat().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESCAPED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":"{\"a\":1.10,\"b\":\"\\n\"}","isError":false}}"#;
    const IN_PLACE: &str =
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"a":1.10,"b":"\n"},"isError":false}}"#;

    fn check(written: &str, sent: Option<&str>) {
        let mended = mended(written.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(mended.as_deref(), sent, "{written}");
    }

    #[test]
    fn results_stand_in_place_in_messages_and_in_events() {
        check(ESCAPED, Some(IN_PLACE));
        check(&format!("data: {ESCAPED}\n\n"), Some(&format!("data: {IN_PLACE}\n\n")));
        check(&format!("id: 0/1\ndata:{ESCAPED}\n\n"), Some(&format!("id: 0/1\ndata: {IN_PLACE}\n\n")));
    }

    #[test]
    fn whatever_else_is_written_stays_as_it_is() {
        check(IN_PLACE, None);
        check(":\n\n", None);
        check("data:\n\n", None);
        check(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"structuredContent"}}"#, None);
        check("Not Found: Session not found", None);
    }
}
