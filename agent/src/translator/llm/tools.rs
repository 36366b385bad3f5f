//! The two tools that a model must answer by, and the reading of its calls.

use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::Message;

const SUBMIT_SQL: &str = "submit_sql";
const CANNOT_ANSWER: &str = "cannot_answer";

/// What a model decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    SubmitSql(Submitted),
    CannotAnswer { reason: String, missing: Vec<String> },
}

/// The arguments of `submit_sql`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Submitted {
    pub(super) sql: String,
    #[serde(default)]
    pub(super) params: Vec<Value>,
    #[serde(default)]
    pub(super) explanation: Option<String>,
    #[serde(default)]
    pub(super) assumptions: Vec<String>,
    #[serde(default)]
    pub(super) confidence: Option<f64>,
}

#[derive(Deserialize)]
struct Refused {
    reason: String,
    #[serde(default)]
    missing: Vec<String>,
}

/// The tools as the chat API takes them.
pub(super) fn definitions() -> Value {
    json!([
        {
            "type": "function",
            "function": {
                "name": SUBMIT_SQL,
                "description": "Submits the statement that answers the question.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "sql": { "type": "string", "description": "One read-only PostgreSQL statement, with $1, $2 … for the parameters." },
                        "params": {
                            "type": "array",
                            "items": { "type": ["string", "number", "boolean", "null"] },
                            "description": "The values of $1, $2 …, in order; empty if there are none.",
                        },
                        "explanation": { "type": "string", "description": "One sentence that says what the rows are." },
                        "assumptions": { "type": "array", "items": { "type": "string" }, "description": "What was taken for granted." },
                        "confidence": { "type": "integer", "minimum": 0, "maximum": 10, "description": "How sure you are." },
                    },
                    "required": ["sql", "params", "explanation"],
                    "additionalProperties": false,
                },
            },
        },
        {
            "type": "function",
            "function": {
                "name": CANNOT_ANSWER,
                "description": "Says that the question can't be answered from this database.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "reason": { "type": "string", "description": "Why not, in one sentence, in the language of the question." },
                        "missing": { "type": "array", "items": { "type": "string" }, "description": "The things that the database doesn't hold." },
                    },
                    "required": ["reason"],
                    "additionalProperties": false,
                },
            },
        },
    ])
}

/// An earlier statement as the call that it came in.
pub(super) fn as_message(id: &str, sql: &str) -> Value {
    let arguments = json!({ "sql": sql }).to_string();
    let call = json!({ "id": id, "type": "function", "function": { "name": SUBMIT_SQL, "arguments": arguments } });
    json!({ "role": "assistant", "content": null, "tool_calls": [call] })
}

/// The first call of a message that is one of ours and whole; else, in a few words, what is wrong with the message.
///
/// Text beside a call is passed over. Text instead of one is no answer, even where it holds a call's JSON.
pub(super) fn read(message: &Message) -> Result<Call, String> {
    let mut problem = "there was no tool call".to_owned();
    for call in message.calls() {
        let arguments = arguments(&call.function.arguments);
        let read = match call.function.name.as_str() {
            SUBMIT_SQL => arguments.and_then(submitted),
            CANNOT_ANSWER => arguments.and_then(refused),
            _ => Err("there is no such tool".to_owned()),
        };
        match read {
            Ok(call) => return Ok(call),
            Err(why) => problem = why,
        }
    }
    Err(problem)
}

/// Arguments are JSON in a string; some servers send them as an object.
fn arguments(given: &Value) -> Result<Value, String> {
    match given {
        Value::String(text) => serde_json::from_str(text).map_err(|_| "the arguments were not JSON".to_owned()),
        other => Ok(other.clone()),
    }
}

fn submitted(arguments: Value) -> Result<Call, String> {
    let submitted: Submitted = serde_json::from_value(arguments)
        .map_err(|error| format!("the arguments of {SUBMIT_SQL} were wrong: {error}"))?;
    if submitted.sql.trim().is_empty() {
        return Err("sql was empty".to_owned());
    }
    Ok(Call::SubmitSql(submitted))
}

fn refused(arguments: Value) -> Result<Call, String> {
    let refused: Refused = serde_json::from_value(arguments)
        .map_err(|error| format!("the arguments of {CANNOT_ANSWER} were wrong: {error}"))?;
    if refused.reason.trim().is_empty() {
        return Err("reason was empty".to_owned());
    }
    Ok(Call::CannotAnswer { reason: refused.reason, missing: refused.missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_call_of_ours_counts() {
        let check = |message: Value, expected: &str| {
            let message: Message = serde_json::from_value(message).unwrap();
            let found = match read(&message) {
                Ok(Call::SubmitSql(submitted)) => format!("{} {:?}", submitted.sql, submitted.params),
                Ok(Call::CannotAnswer { reason, missing }) => format!("no: {reason} {missing:?}"),
                Err(problem) => problem,
            };
            assert!(found.contains(expected), "{expected:?} is not in {found:?}");
        };
        let call = |name: &str, arguments: Value| json!({ "content": "stray words", "tool_calls": [{ "id": "1", "type": "function", "function": { "name": name, "arguments": arguments } }] });
        check(call("submit_sql", json!(r#"{"sql": "SELECT $1", "params": [5]}"#)), "SELECT $1 [Number(5)]");
        check(call("submit_sql", json!({ "sql": "SELECT 1" })), "SELECT 1 []");
        check(call("cannot_answer", json!(r#"{"reason": "no wine here"}"#)), "no: no wine here []");
        check(call("submit_sql", json!("{\"sql\": ")), "not JSON");
        check(call("submit_sql", json!("{}")), "missing field `sql`");
        check(call("submit_sql", json!(r#"{"sql": " "}"#)), "sql was empty");
        check(call("drop_table", json!("{}")), "no such tool");
        check(json!({ "content": "```json\n{\"sql\": \"SELECT 1\"}\n```" }), "no tool call");
        check(json!({ "content": null, "tool_calls": null }), "no tool call");
    }
}
