//! What the scripted language model answers: a tool call, prose, an HTTP error, or bytes that are no answer at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// One reply of a script.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    delay: Duration,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Message { text: Option<String>, calls: Vec<(String, String)> },
    Bytes(Vec<u8>),
}

impl Reply {
    /// Calls one tool with these arguments.
    pub fn tool_call(name: &str, arguments: Value) -> Self {
        Self::tool_calls([(name, arguments)])
    }

    /// Calls several tools in one message.
    pub fn tool_calls<'a>(calls: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let calls = calls.into_iter().map(|(name, arguments)| (name.to_owned(), arguments.to_string())).collect();
        Self::new(StatusCode::OK, Content::Message { text: None, calls })
    }

    /// Calls one tool with arguments that needn't be JSON: models do that.
    pub fn raw_tool_call(name: &str, arguments: &str) -> Self {
        let calls = vec![(name.to_owned(), arguments.to_owned())];
        Self::new(StatusCode::OK, Content::Message { text: None, calls })
    }

    /// Answers in prose, without a tool call.
    pub fn text(text: &str) -> Self {
        Self::new(StatusCode::OK, Content::Message { text: Some(text.to_owned()), calls: Vec::new() })
    }

    /// Fails with an HTTP status (100–999) and an error body as OpenAI sends it.
    ///
    /// # Panics
    /// When there is no such status.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
        let message = status.canonical_reason().unwrap_or("failed");
        let body = json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}});
        Self::new(status, Content::Bytes(body.to_string().into_bytes()))
    }

    /// Answers 200 with these bytes.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(StatusCode::OK, Content::Bytes(bytes.into()))
    }

    /// The same with a header.
    ///
    /// # Panics
    /// When it is no valid header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        self.headers.push((name, HeaderValue::try_from(value).expect("a header value")));
        self
    }

    /// The same, sent only after this time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn new(status: StatusCode, content: Content) -> Self {
        Self { status, headers: Vec::new(), delay: Duration::ZERO, content }
    }

    pub(super) async fn into_response(self, model: &str, prompt_chars: usize) -> Response<Body> {
        tokio::time::sleep(self.delay).await;
        let body = match self.content {
            Content::Bytes(bytes) => Body::from(bytes),
            Content::Message { text, calls } => Body::from(completion(model, prompt_chars, text, calls).to_string()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A whole `chat.completion`. Tokens are counted as four characters each, which is near enough to test with.
fn completion(model: &str, prompt_chars: usize, text: Option<String>, calls: Vec<(String, String)>) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let answer_chars = text.as_ref().map_or(0, |text| text.chars().count())
        + calls.iter().map(|(name, arguments)| name.chars().count() + arguments.chars().count()).sum::<usize>();
    let (prompt, answer) = (prompt_chars.div_ceil(4), answer_chars.div_ceil(4));

    let mut message = json!({"role": "assistant", "content": text, "refusal": null});
    let finish_reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    if !calls.is_empty() {
        let calls = calls.into_iter().enumerate().map(|(position, (name, arguments))| {
            json!({"id": format!("call_{number}_{position}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        message["tool_calls"] = calls.collect();
    }
    json!({
        "id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": 1_735_689_600, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
    })
}
