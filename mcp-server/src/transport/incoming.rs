//! Text to message, or the right JSON-RPC fault for text that is none.

use rmcp::model::{ClientJsonRpcMessage, RequestId};
use serde_json::{Value, json};
use shared_protocol::envelope::fault;

/// A message that can't be taken, ready to be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    id: Value,
    code: i32,
    message: String,
}

impl Fault {
    fn new(id: Value, code: i32, message: impl Into<String>) -> Self {
        Self { id, code, message: message.into() }
    }

    /// A message of more than `limit` bytes.
    pub(super) fn too_long(limit: usize) -> Self {
        let message = format!("the message is longer than {limit} bytes (MAX_MESSAGE_BYTES)");
        Self::new(Value::Null, fault::INVALID_REQUEST, message)
    }

    /// A message that ended before it was whole, or took too long.
    pub(super) fn cut() -> Self {
        Self::new(Value::Null, fault::INVALID_REQUEST, "the message did not come whole in time")
    }

    /// A message that isn't even text.
    pub(super) fn not_utf8() -> Self {
        Self::new(Value::Null, fault::PARSE, "the message is not UTF-8")
    }

    /// The answer as one line of JSON; its id is null where none could be read.
    pub(super) fn to_text(&self) -> String {
        let error = json!({ "code": self.code, "message": self.message });
        json!({ "jsonrpc": "2.0", "id": self.id, "error": error }).to_string()
    }
}

/// The message in `text`.
pub(super) fn parse(text: &str) -> Result<ClientJsonRpcMessage, Fault> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Fault::new(Value::Null, fault::PARSE, format!("the message is not JSON (line {line}, column {column})"))
    })?;
    let Value::Object(fields) = &value else {
        let what = if value.is_array() { "a batch; send its messages one by one" } else { "not an object" };
        return Err(Fault::new(Value::Null, fault::INVALID_REQUEST, format!("the message is {what}")));
    };
    let id = match fields.get("id") {
        Some(id @ (Value::Number(_) | Value::String(_))) => id.clone(),
        _ => Value::Null,
    };
    let invalid = |message: &str| Fault::new(id.clone(), fault::INVALID_REQUEST, message);
    if fields.get("jsonrpc").is_none_or(|version| version != "2.0") {
        return Err(invalid("\"jsonrpc\" must be \"2.0\""));
    }
    if fields.contains_key("id") && serde_json::from_value::<RequestId>(fields["id"].clone()).is_err() {
        return Err(invalid("\"id\" must be a string or a whole number"));
    }
    match fields.get("method") {
        Some(Value::String(_)) => {}
        Some(_) => return Err(invalid("\"method\" must be a string")),
        None if fields.contains_key("result") || fields.contains_key("error") => {}
        None => return Err(invalid("\"method\" is missing")),
    }
    if fields.get("params").is_some_and(|params| !params.is_object() && !params.is_array() && !params.is_null()) {
        return Err(Fault::new(id.clone(), fault::INVALID_PARAMS, "\"params\" must be an object"));
    }
    serde_json::from_value(value)
        .map_err(|_| invalid("the message is not a JSON-RPC request, notification or response"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unusable_message_gets_its_code_and_its_id() {
        let check = |text: &str, code: i32, id: Value| {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.code, &fault.id), (code, &id), "{text}: {}", fault.message);
        };
        check("", fault::PARSE, Value::Null);
        check("{\"jsonrpc\":", fault::PARSE, Value::Null);
        check("[]", fault::INVALID_REQUEST, Value::Null);
        check("3", fault::INVALID_REQUEST, Value::Null);
        check(r#"{"id":1,"method":"ping"}"#, fault::INVALID_REQUEST, json!(1));
        check(r#"{"jsonrpc":"2.0","id":"a"}"#, fault::INVALID_REQUEST, json!("a"));
        check(r#"{"jsonrpc":"2.0","id":2,"method":5}"#, fault::INVALID_REQUEST, json!(2));
        check(r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#, fault::INVALID_REQUEST, Value::Null);
        check(r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":3}"#, fault::INVALID_PARAMS, json!(2));
    }

    #[test]
    fn requests_notifications_and_responses_pass() {
        let check = |text: &str| assert!(parse(text).is_ok(), "{text}");
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        check(r#"{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{}}"#);
        check(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        check(r#"{"jsonrpc":"2.0","id":1,"method":"no/such/method"}"#);
        check(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#);
    }
}
