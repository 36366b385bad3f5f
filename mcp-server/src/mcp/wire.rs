//! Messages to text. Rows were written as JSON once, by the executor; here those bytes go into the message as they are.
//!
//! rmcp holds structured content as a `serde_json::Value`, which can't keep the digits of 1.10. So the handler puts the finished
//! text there, as a JSON string, and this file writes it in the string's place (mcp.md, "Exact digits"). Our results are
//! otherwise always objects, so a string can mean nothing else.

use rmcp::model::{CallToolResult, ContentBlock, JsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::executor::Copies;

/// A tool's result whose structured content is `json` itself, digit for digit.
pub fn tool_result(json: String, is_error: bool, copies: Copies) -> CallToolResult {
    let content = match copies {
        Copies::Structured => Vec::new(),
        Copies::StructuredAndText => vec![ContentBlock::text(json.clone())],
    };
    let mut result = if is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = Some(Value::String(json));
    result
}

/// The message as one line of JSON.
pub fn to_text(message: ServerJsonRpcMessage) -> String {
    match message {
        JsonRpcMessage::Response(response) => match response.result {
            ServerResult::CallToolResult(result) => spliced(result, &response.id),
            result => plain(&ServerJsonRpcMessage::response(result, response.id)),
        },
        message => plain(&message),
    }
}

fn plain(message: &ServerJsonRpcMessage) -> String {
    serde_json::to_string(message).expect("rmcp's messages are plain data")
}

fn spliced(mut result: CallToolResult, id: &RequestId) -> String {
    let structured = match result.structured_content.take() {
        Some(Value::String(json)) => json,
        other => {
            result.structured_content = other;
            return plain(&ServerJsonRpcMessage::response(ServerResult::CallToolResult(result), id.clone()));
        }
    };
    let rest = serde_json::to_string(&result).expect("rmcp's results are plain data");
    // Its text, which stands in `rest` now, may be big.
    drop(result);
    let rest = rest.strip_prefix('{').expect("a result is an object");
    let comma = if rest == "}" { "" } else { "," };
    let id = serde_json::to_string(id).expect("an id is a number or a string");
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"structuredContent\":{structured}{comma}{rest}}}")
}

/// A message that rmcp wrote itself, with the result in the place of the string that it stood in; nothing where it has none.
pub fn with_result_in_place(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        result: Outcome<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outcome<'a> {
        #[serde(borrow)]
        structured_content: &'a RawValue,
    }
    let Message { result } = serde_json::from_str(message).ok()?;
    let string = result.structured_content.get();
    let json: String = serde_json::from_str(string).ok()?;
    // It is borrowed from the message.
    let start = string.as_ptr().addr() - message.as_ptr().addr();
    Some([&message[..start], &json, &message[start + string.len()..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(result: CallToolResult) -> String {
        to_text(ServerJsonRpcMessage::response(ServerResult::CallToolResult(result), RequestId::Number(7)))
    }

    #[test]
    fn structured_content_keeps_its_digits() {
        let json = r#"{"rows":[{"a":1.10,"b":9223372036854775807,"c":12345678901234567890.12345678901234567890}]}"#;
        let mut result = tool_result(json.to_owned(), false, Copies::StructuredAndText);
        result.result_type = None;
        let text = text_of(result);
        assert!(text.contains(&format!("\"structuredContent\":{json},")), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["id"], 7);
        assert_eq!(value["result"]["isError"], false);
        assert_eq!(value["result"]["content"][0]["text"], json);
    }

    #[test]
    fn other_results_are_rmcps_own() {
        let mut result = CallToolResult::success(Vec::new());
        result.structured_content = Some(serde_json::json!({ "a": 1 }));
        let value: Value = serde_json::from_str(&text_of(result)).unwrap();
        assert_eq!(value["result"]["structuredContent"]["a"], 1);
    }
}
