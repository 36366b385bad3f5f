//! `POST /query`: a question in, its answer out.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use daemon::keys::Principal;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use shared_protocol::names::{closest, did_you_mean};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::Problem;
use crate::answer::Answer;
use crate::pipeline::{Pipeline, Question};

/// Longest question, in bytes.
const MAX_QUESTION_BYTES: usize = 4096;

/// Longest name of a database, in bytes; PostgreSQL's own names have 63.
const MAX_DATABASE_BYTES: usize = 128;

/// Rows fetched where the caller names no number.
const DEFAULT_MAX_ROWS: u64 = 100;

/// Time to send the body of a request.
const BODY_DEADLINE: Duration = Duration::from_secs(15);

/// What the route works with.
pub(super) struct Questions {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) max_rows: u64,
    pub(super) timeout: Duration,
}

/// Answers the question in the body. When the caller hangs up, this future is dropped, and with it all work under way.
pub(super) async fn query(State(questions): State<Arc<Questions>>, request: Request) -> Result<Json<Answer>, Problem> {
    let deadline = Instant::now() + questions.timeout;
    let request_id = super::request_id(request.extensions()).to_owned();
    let caller = request.extensions().get::<Principal>().map(|caller| Arc::clone(&caller.name));
    require_json(request.headers())?;
    let body = read(request).await?;
    let question = Question { caller, ..parse(&body, questions.max_rows, request_id, deadline)? };
    match timeout_at(deadline, questions.pipeline.answer(&question)).await {
        Ok(answer) => Ok(Json(answer?)),
        Err(_) => Err(Problem::out_of_time(questions.timeout)),
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail =
        if kind.is_empty() { "The body's type is not given.".to_owned() } else { format!("The body is {kind:?}.") };
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
        .suggest("Send JSON, with the header Content-Type: application/json."))
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    match timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::too_large()),
        Ok(Err(_)) => Err(malformed("The body could not be read to its end.")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "The body did not arrive in time.")),
    }
}

const FIELDS: [&str; 4] = ["question", "database", "max_rows", "explain"];

/// The question in a body, of nobody yet, or what is wrong with it, by field.
fn parse(body: &[u8], most_rows: u64, request_id: String, deadline: Instant) -> Result<Question, Problem> {
    let fields = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => return Err(malformed(format!("The body is {}, not an object.", kind_of(&other)))),
        Err(error) => return Err(malformed(format!("The body is not JSON: {error}."))),
    };
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(unknown_field(unknown));
    }
    let text = text(&fields, "question")?.map(str::trim).unwrap_or_default();
    if text.is_empty() {
        let detail = "The field \"question\" is missing or empty.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "QUESTION_EMPTY", detail).suggest(EXAMPLE));
    }
    if text.len() > MAX_QUESTION_BYTES {
        let detail = format!("The question has {} bytes, more than the {MAX_QUESTION_BYTES} accepted.", text.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "QUESTION_TOO_LONG", detail)
            .suggest("Ask for one thing at a time."));
    }
    let database = self::text(&fields, "database")?;
    if database.is_some_and(|name| name.len() > MAX_DATABASE_BYTES) {
        let detail = format!("The field \"database\" has more than {MAX_DATABASE_BYTES} bytes.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", detail)
            .suggest("Leave it out, or give a database's name."));
    }
    Ok(Question {
        text: text.to_owned(),
        caller: None,
        database: database.map(str::to_owned),
        max_rows: rows(&fields, most_rows)?,
        explain: flag(&fields, "explain")?,
        request_id,
        deadline,
    })
}

const EXAMPLE: &str = r#"Send a body such as {"question": "show last 5 users"}."#;

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", detail).suggest(EXAMPLE)
}

fn unknown_field(name: &str) -> Problem {
    let shown: String = name.chars().take(100).collect();
    let near = closest(&shown, FIELDS, 1);
    let accepted = format!("The fields are {}.", FIELDS.join(", "));
    let suggestion = did_you_mean(&near).map_or_else(|| accepted.clone(), |mean| format!("{mean} {accepted}"));
    Problem::new(StatusCode::BAD_REQUEST, "UNKNOWN_FIELD", format!("There is no field {shown:?}.")).suggest(suggestion)
}

/// A field that is text; `None` where it is missing or null.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Problem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(name, other, "a string")),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong_type(name, other, "true or false")),
    }
}

fn rows(fields: &Map<String, Value>, most: u64) -> Result<u64, Problem> {
    let accepted = format!("a whole number from 1 to {most}");
    match fields.get("max_rows") {
        None | Some(Value::Null) => Ok(DEFAULT_MAX_ROWS.min(most)),
        Some(Value::Number(number)) => match number.as_u64().filter(|n| (1..=most).contains(n)) {
            Some(rows) => Ok(rows),
            None => Err(out_of_bounds(number, &accepted)),
        },
        Some(other) => Err(wrong_type("max_rows", other, &accepted)),
    }
}

fn out_of_bounds(number: &serde_json::Number, accepted: &str) -> Problem {
    let detail = format!("The field \"max_rows\" is {number}.");
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", detail).suggest(format!("It must be {accepted}."))
}

fn wrong_type(name: &str, found: &Value, accepted: &str) -> Problem {
    let detail = format!("The field {name:?} is {}.", kind_of(found));
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", detail).suggest(format!("It must be {accepted}."))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<Question, Problem> {
        parse(body.as_bytes(), 1000, "id".into(), Instant::now())
    }

    #[tokio::test]
    async fn a_question_needs_no_more_than_words() {
        let question = parsed(r#"{"question": "  show last 5 users ", "database": null}"#).unwrap();
        assert_eq!(question.text, "show last 5 users");
        assert_eq!((question.database, question.max_rows, question.explain), (None, 100, false));
        let question = parsed(r#"{"question": "q", "database": "shop", "max_rows": 1000, "explain": true}"#).unwrap();
        assert_eq!((question.database.as_deref(), question.max_rows, question.explain), (Some("shop"), 1000, true));
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        let long = format!(r#"{{"question": "{}"}}"#, "x".repeat(4097));
        let named = format!(r#"{{"question": "q", "database": "{}"}}"#, "x".repeat(129));
        let check = |body: &str, status: u16, code: &str, words: &str| {
            let problem = parsed(body).expect_err(body);
            let text = format!("{} {}", problem.detail(), problem.suggestion().unwrap_or_default());
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code), "{body}");
            assert!(text.contains(words), "{words:?} is missing in {text:?}");
        };
        check("", 400, "MALFORMED_REQUEST", "not JSON");
        check("{\"question\": \"a\"", 400, "MALFORMED_REQUEST", "line 1");
        check("[1]", 400, "MALFORMED_REQUEST", "an array");
        check("{}", 400, "QUESTION_EMPTY", "question");
        check(r#"{"question": "  "}"#, 400, "QUESTION_EMPTY", "empty");
        check(r#"{"question": 5}"#, 400, "INVALID_FIELD", "\"question\" is a number");
        check(r#"{"question": "q", "maxrows": 5}"#, 400, "UNKNOWN_FIELD", "Did you mean max_rows?");
        check(r#"{"question": "q", "stream": true}"#, 400, "UNKNOWN_FIELD", "no field \"stream\"");
        check(r#"{"question": "q", "max_rows": 0}"#, 400, "INVALID_FIELD", "1 to 1000");
        check(r#"{"question": "q", "max_rows": 1001}"#, 400, "INVALID_FIELD", "1 to 1000");
        check(r#"{"question": "q", "max_rows": 1.5}"#, 400, "INVALID_FIELD", "max_rows");
        check(r#"{"question": "q", "max_rows": "5"}"#, 400, "INVALID_FIELD", "a string");
        check(r#"{"question": "q", "explain": 1}"#, 400, "INVALID_FIELD", "true or false");
        check(&named, 400, "INVALID_FIELD", "\"database\" has more than 128 bytes");
        check(&long, 413, "QUESTION_TOO_LONG", "4096");
    }

    #[test]
    fn only_json_is_read() {
        let check = |kind: Option<&'static str>, accepted: bool| {
            let headers = kind.map(|kind| (CONTENT_TYPE, http::HeaderValue::from_static(kind)));
            assert_eq!(require_json(&HeaderMap::from_iter(headers)).is_ok(), accepted, "{kind:?}");
        };
        check(Some("application/json"), true);
        check(Some("Application/JSON; charset=utf-8"), true);
        check(Some("text/plain"), false);
        check(Some("application/x-www-form-urlencoded"), false);
        check(None, false);
    }
}
