//! Errors as callers see them: RFC 9457 problems. The one place that knows every kind of failure.

use std::any::Any;
use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use daemon::log::Chain;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use problem_details::ProblemDetails;
use serde::Serialize;
use shared_protocol::error::{ErrorCode, ErrorDetail};
use shared_protocol::names::did_you_mean;
use tracing::{error, warn};

use crate::mcp::behalf::{SHARED, TELL_CALLERS_APART};
use crate::mcp::client::Error as McpError;
use crate::mcp::link::LinkError;
use crate::pipeline::{Failure, Reason};
use crate::translator::{Abstention, TranslateError};

/// Seconds after which a caller may try again where nobody said so.
const RETRY_AFTER_S: u64 = 5;

/// What went wrong, ready to be told. As a response it is rendered by [`render`], which knows the request's id.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    suggestion: Option<String>,
    more: Box<More>,
}

/// What only some problems have.
#[derive(Debug, Clone, Default)]
struct More {
    sql: Option<String>,
    attempts: Option<u32>,
    questions: Option<Vec<String>>,
    retry_after_s: Option<u64>,
}

/// The members beside RFC 9457's own.
#[derive(Debug, Serialize)]
struct Members {
    code: Cow<'static, str>,
    suggestion: Option<String>,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    questions: Option<Vec<String>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), suggestion: None, more: Box::default() }
    }

    pub(super) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.more.retry_after_s = Some(seconds);
        self
    }

    pub(super) fn too_large() -> Self {
        let detail = "The body is larger than is accepted.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail)
            .suggest("A question has at most 4096 bytes; MAX_MESSAGE_BYTES bounds the whole body.")
    }

    pub(super) fn out_of_time(limit: Duration) -> Self {
        let detail = format!("The question was not answered within {} ms.", limit.as_millis());
        Self::new(StatusCode::GATEWAY_TIMEOUT, "REQUEST_TIMEOUT", detail)
            .suggest("Ask for less at once, or raise REQUEST_TIMEOUT_MS.")
    }

    fn internal() -> Self {
        let detail = "A fault of ours. The log has it under the id of this request.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", detail)
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    #[cfg(test)]
    pub(super) fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    fn into_rendered(self, request_id: String) -> Response {
        let members = Members {
            code: self.code,
            suggestion: self.suggestion,
            request_id,
            sql: self.more.sql,
            attempts: self.more.attempts,
            questions: self.more.questions,
        };
        let title = self.status.canonical_reason().unwrap_or("Error");
        let details = ProblemDetails::new()
            .with_type(http::Uri::from_static("about:blank"))
            .with_title(title)
            .with_status(self.status)
            .with_detail(self.detail)
            .with_extensions(members);
        let mut response = details.into_response();
        if let Some(seconds) = self.more.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every error its body: the handler's own problem, or for what a layer answered, one made from the status.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let request_id = super::request_id(request.extensions()).to_owned();
    let line = format!("{} {}", request.method(), request.uri().path());
    let mut response = next.run(request).await;
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    // `/ready` has a body of its own also when it answers 503.
    if !is_error || response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        return response;
    }
    let problem = response.extensions_mut().remove().unwrap_or_else(|| of_status(response.status(), &line));
    let mut rendered = problem.into_rendered(request_id);
    let (kept, _) = response.into_parts();
    for (name, value) in &kept.headers {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH && !rendered.headers().contains_key(name) {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

fn of_status(status: StatusCode, line: &str) -> Problem {
    let routes = "The routes are POST /query, GET /health, GET /ready and GET /metrics.";
    match status {
        StatusCode::NOT_FOUND => {
            Problem::new(status, "NOT_FOUND", format!("There is no route {line}.")).suggest(routes)
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(status, "METHOD_NOT_ALLOWED", format!("{line} is not answered.")).suggest(routes)
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        StatusCode::GATEWAY_TIMEOUT => Problem::new(status, "REQUEST_TIMEOUT", "The request took too long."),
        status if status.is_client_error() => {
            Problem::new(status, "MALFORMED_REQUEST", "The request could not be read.").suggest(routes)
        }
        _ => Problem::internal(),
    }
}

/// The fallback route.
pub(super) async fn no_route() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// What a panic becomes; its words go to the log alone.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> http::Response<Body> {
    let words = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    error!("a request handler panicked: {}", words.unwrap_or("without a message"));
    Problem::internal().into_response()
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let mut problem = of_reason(&failure.reason);
        problem.more.sql = failure.sql;
        problem.more.attempts = (failure.attempts > 0).then_some(failure.attempts);
        if problem.status.is_server_error() {
            warn!(code = %problem.code, error = %Chain(&failure.reason), "a question was not answered: {}", failure.reason);
        }
        problem
    }
}

fn of_reason(reason: &Reason) -> Problem {
    match reason {
        Reason::UnknownDatabase { asked, known } => {
            let problem = Problem::new(
                StatusCode::NOT_FOUND,
                ErrorCode::DatabaseNotFound.as_str(),
                format!("There is no database {asked:?}."),
            );
            match did_you_mean(known) {
                Some(suggestion) => problem.suggest(suggestion),
                None => problem.suggest("Leave \"database\" out to ask the only one."),
            }
        }
        Reason::DatabaseNotNamed { known } => {
            let detail = "There are several databases, and the question names none.";
            Problem::new(StatusCode::BAD_REQUEST, "DATABASE_NOT_NAMED", detail)
                .suggest(format!("Give \"database\" as one of {}.", known.join(", ")))
        }
        Reason::NoDatabase => unavailable("NO_DATABASE", "mcp-server offers no database at the moment."),
        Reason::Mcp(error) => of_mcp(error),
        Reason::Translate(error) => of_translation(error),
        Reason::Refused(refusal) => {
            let problem = Problem::new(status_of(refusal.code), refusal.code.as_str(), refusal.message.clone());
            Problem { suggestion: refusal.suggestion.clone(), ..problem }
        }
    }
}

fn unavailable(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_S)
}

fn of_mcp(error: &McpError) -> Problem {
    match error {
        McpError::Link(LinkError::Down(cause)) => {
            let problem = unavailable("MCP_UNAVAILABLE", "mcp-server can't be reached at the moment.");
            match cause {
                Some(cause) => problem.suggest(cause.way_out()),
                None => problem.suggest("Ask again in a second: the agent has just started."),
            }
        }
        McpError::Link(LinkError::BehalfChanged) => {
            unavailable("POLICY_CHANGED", "mcp-server has just changed for whom it lets the agent ask.")
                .suggest("Ask again.")
                .retry_after(1)
        }
        McpError::SubjectRequired => unavailable("SUBJECT_REQUIRED", format!("{SHARED}, and REQUIRE_SUBJECT is true."))
            .suggest(TELL_CALLERS_APART),
        McpError::Link(LinkError::TimedOut) => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "MCP_TIMEOUT", "mcp-server did not answer in time.")
                .suggest("Ask for less at once.")
        }
        McpError::Failed(detail) => of_failed_call(detail),
        McpError::UnknownDatabase => {
            Problem::new(StatusCode::NOT_FOUND, ErrorCode::DatabaseNotFound.as_str(), "There is no such database.")
        }
        McpError::CatalogChanged => unavailable("CATALOG_CHANGED", "The database's schema is just being changed."),
        McpError::Link(LinkError::Refused(_) | LinkError::Malformed(_)) | McpError::Malformed(_) => Problem::internal(),
    }
}

fn of_failed_call(detail: &ErrorDetail) -> Problem {
    let status = status_of(detail.code);
    let mut problem = Problem::new(status, detail.code.as_str(), detail.message.clone());
    problem.suggestion = detail.suggestion.clone();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let retry_after_ms = detail.context.as_ref().and_then(|context| context.retry_after_ms);
        problem.more.retry_after_s = Some(retry_after_ms.map_or(RETRY_AFTER_S, |ms| ms.div_ceil(1000)));
    }
    problem
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::DatabaseNotFound => StatusCode::NOT_FOUND,
        ErrorCode::QueryTimeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::ConnectionError | ErrorCode::RateLimited | ErrorCode::ServerBusy => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn of_translation(error: &TranslateError) -> Problem {
    match error {
        TranslateError::Abstained(abstention) => of_abstention(abstention),
        TranslateError::Unusable(_) => {
            let detail = "The language model gave no usable answer, also when asked again.";
            Problem::new(StatusCode::BAD_GATEWAY, "LLM_UNUSABLE_ANSWER", detail)
                .suggest("Ask again or in other words, or choose a model that can call tools.")
        }
        TranslateError::Unavailable { retry_after_s, .. } => {
            unavailable("LLM_UNAVAILABLE", "The language model is not available at the moment.")
                .suggest("Ask again later. If it stays so, check LLM_BASE_URL, LLM_API_KEY and LLM_MODEL.")
                .retry_after(retry_after_s.unwrap_or(RETRY_AFTER_S))
        }
        TranslateError::TimedOut { limit_ms } => {
            let detail = format!("The language model did not answer within {limit_ms} ms.");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "LLM_TIMEOUT", detail)
                .suggest("Ask again, or raise LLM_TIMEOUT_MS.")
        }
    }
}

fn of_abstention(abstention: &Abstention) -> Problem {
    let mut sentences = Vec::new();
    if !abstention.readings.is_empty() {
        sentences.push(format!("It could mean: {}.", abstention.readings.join("; or ")));
    }
    if !abstention.questions.is_empty() {
        sentences.push("Ask one of the questions given here, or one like them.".to_owned());
    }
    let mut detail = abstention.reason.clone();
    let unplaced = abstention.unexplained.iter().filter(|word| !detail.contains(word.as_str()));
    let unplaced: Vec<String> = unplaced.map(|word| format!("{word:?}")).collect();
    if !unplaced.is_empty() {
        detail.push_str(&format!(" Not understood: {}.", unplaced.join(", ")));
    }
    let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "CANNOT_ANSWER", detail);
    problem.suggestion = (!sentences.is_empty()).then(|| sentences.join(" "));
    problem.more.questions = (!abstention.questions.is_empty()).then(|| abstention.questions.clone());
    problem
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mcp::link::ConnectError;
    use crate::mcp::transport::TransportError;

    fn detail(code: ErrorCode) -> ErrorDetail {
        ErrorDetail { code, message: "m".into(), suggestion: Some("s".into()), context: None }
    }

    #[test]
    fn each_failure_has_its_status_and_code() {
        let check = |reason: Reason, status: u16, code: &str, retry: bool| {
            let problem = Problem::from(Failure { reason, sql: None, attempts: 0 });
            assert_eq!((problem.status.as_u16(), problem.code.as_ref()), (status, code));
            assert_eq!(problem.more.retry_after_s.is_some(), retry, "{code}");
        };
        let failed = |code| Reason::from(McpError::Failed(Box::new(detail(code))));
        check(failed(ErrorCode::QueryTimeout), 504, "QUERY_TIMEOUT", false);
        check(failed(ErrorCode::ConnectionError), 503, "CONNECTION_ERROR", true);
        check(failed(ErrorCode::ServerBusy), 503, "SERVER_BUSY", true);
        check(failed(ErrorCode::RateLimited), 503, "RATE_LIMITED", true);
        check(failed(ErrorCode::DatabaseNotFound), 404, "DATABASE_NOT_FOUND", false);
        check(failed(ErrorCode::InternalError), 500, "INTERNAL_ERROR", false);
        check(failed(ErrorCode::QueryCancelled), 422, "QUERY_CANCELLED", false);
        check(McpError::Link(LinkError::Down(None)).into(), 503, "MCP_UNAVAILABLE", true);
        check(McpError::Link(LinkError::BehalfChanged).into(), 503, "POLICY_CHANGED", true);
        check(McpError::SubjectRequired.into(), 503, "SUBJECT_REQUIRED", true);
        check(McpError::Link(LinkError::TimedOut).into(), 504, "MCP_TIMEOUT", false);
        check(McpError::Malformed(anyhow::anyhow!("x")).into(), 500, "INTERNAL_ERROR", false);
        check(TranslateError::Unusable("x".into()).into(), 502, "LLM_UNUSABLE_ANSWER", false);
        check(TranslateError::TimedOut { limit_ms: 1 }.into(), 504, "LLM_TIMEOUT", false);
        check(TranslateError::Abstained(Abstention::default()).into(), 422, "CANNOT_ANSWER", false);
        let unavailable = TranslateError::Unavailable { message: "x".into(), retry_after_s: None, source: None };
        check(unavailable.into(), 503, "LLM_UNAVAILABLE", true);
        check(Reason::Refused(detail(ErrorCode::TableNotFound).into()), 422, "TABLE_NOT_FOUND", false);
        check(Reason::DatabaseNotNamed { known: vec!["a".into(), "b".into()] }, 400, "DATABASE_NOT_NAMED", false);
        check(Reason::NoDatabase, 503, "NO_DATABASE", true);
    }

    #[test]
    fn an_unknown_database_offers_the_closest() {
        let reason = Reason::UnknownDatabase { asked: "shpo".into(), known: vec!["shop".into()] };
        assert_eq!(of_reason(&reason).suggestion.as_deref(), Some("Did you mean shop?"));
    }

    #[test]
    fn a_refused_key_says_what_to_do_and_shows_none() {
        let down = LinkError::Down(Some(Arc::new(ConnectError::Transport(TransportError::KeyRefused))));
        assert!(of_mcp(&McpError::Link(down)).suggestion.unwrap().contains("WS_API_KEY"));
    }

    #[tokio::test]
    async fn a_problem_has_the_members_of_the_contract() {
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "CANNOT_ANSWER", "No.").retry_after(3);
        problem.more.sql = Some("SELECT 1".into());
        problem.more.attempts = Some(2);
        problem.more.questions = Some(vec!["how many users".into()]);
        let response = problem.into_rendered("r-1".into());
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "3");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "No.",
                "code": "CANNOT_ANSWER", "suggestion": null, "request_id": "r-1", "sql": "SELECT 1", "attempts": 2,
                "questions": ["how many users"],
            })
        );
    }
}
