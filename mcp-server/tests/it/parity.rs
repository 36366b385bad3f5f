//! One script of calls on every transport: the same bytes of structured content, whichever brings them.

use serde_json::{Value, json};
use shared_protocol::envelope::{Response, ToolResult};

use crate::client::Client;
use crate::http_client::HttpClient;
use crate::legacy_sse::SseClient;
use crate::stdio::Program;
use crate::streamable_http::newest_meta;
use crate::{shop_server, shop_server_with};

/// Calls whose answers say nothing of time: digits that no float holds, text to escape, errors with their suggestions.
fn script() -> Vec<Value> {
    let run = |arguments: Value| json!({ "name": "run_sql", "arguments": arguments });
    vec![
        run(
            json!({ "query": "SELECT 12345678901234567890123456789012345678.12345678901234567890::numeric(60,20) AS a" }),
        ),
        run(json!({ "query": "SELECT 1.10 AS a, 9223372036854775807 AS b, '{\"z\":1e40,\"a\":[1.0]}'::json AS c" })),
        run(
            json!({ "query": "SELECT E'\"quoted\\\\ \\n\\t data: \\u2028 \\U0001F600' AS a, NULL AS b, ''::text AS c" }),
        ),
        run(json!({ "query": "SELECT id, email FROM users WHERE id = $1", "params": [1] })),
        run(json!({ "query": "SELECT nowhere FROM users" })),
        run(json!({ "query": "DROP TABLE users" })),
        run(json!({ "query": "SELECT 1", "nothing": true })),
    ]
}

/// The structured content of an answer, byte for byte, but the time that it took.
fn structured(answer: &str) -> String {
    let answer: Response<'_, ToolResult> =
        serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let jsonrpsee_types::ResponsePayload::Success(result) = answer.payload else { panic!("a result") };
    let content = result.structured_content.as_ref().expect("a tool's answer is structured").get();
    let Some((before, time)) = content.split_once("\"executionTimeMs\":") else { return content.to_owned() };
    let end = time.find([',', '}']).expect("something follows");
    format!("{before}\"executionTimeMs\":0{}", &time[end..])
}

async fn over_websocket() -> Vec<String> {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let mut answers = Vec::new();
    for call in script() {
        answers.push(structured(&client.request_text("tools/call", call).await));
    }
    answers
}

async fn over_stdio() -> Vec<String> {
    let mut program = Program::open(&[]).await;
    let mut answers = Vec::new();
    for call in script() {
        program.start_request("tools/call", call).await;
        answers.push(structured(&program.receive_line().await));
    }
    answers
}

async fn over_http(stateless: bool) -> Vec<String> {
    let server = shop_server_with(&[("HTTP_STATELESS", if stateless { "true" } else { "false" })]).await;
    let mut client = HttpClient::open(&server).await;
    let mut answers = Vec::new();
    for call in script() {
        let answer = client.request("tools/call", call).await;
        answers.push(structured(answer.messages().last().unwrap()));
    }
    answers
}

async fn over_http_in_the_newest_revision() -> Vec<String> {
    let server = shop_server().await;
    let mut client = HttpClient::new(&server);
    let mut answers = Vec::new();
    for mut call in script() {
        call["_meta"] = newest_meta();
        let text = client.message("tools/call", call);
        let request = client.posted(&text).header("mcp-protocol-version", "2026-07-28");
        let response = request.header("mcp-method", "tools/call").header("mcp-name", "run_sql").send().await.unwrap();
        answers.push(structured(&response.text().await.unwrap()));
    }
    answers
}

async fn over_sse() -> Vec<String> {
    let server = shop_server().await;
    let mut client = SseClient::open(&server).await;
    let mut answers = Vec::new();
    for call in script() {
        client.start("tools/call", call).await;
        answers.push(structured(&client.events.next().await.unwrap()));
    }
    answers
}

#[tokio::test]
async fn every_transport_brings_the_same_bytes() {
    let expected = over_websocket().await;
    let digits = r#""rows":[{"a":12345678901234567890123456789012345678.12345678901234567890}]"#;
    assert!(expected[0].contains(digits), "{}", expected[0]);
    assert!(expected[1].contains(r#"{"a":1.10,"b":9223372036854775807,"c":{"z":1e40,"a":[1.0]}}"#), "{}", expected[1]);
    assert_eq!(over_stdio().await, expected, "stdio");
    assert_eq!(over_http(false).await, expected, "Streamable HTTP with a session");
    assert_eq!(over_http(true).await, expected, "Streamable HTTP without sessions");
    assert_eq!(over_http_in_the_newest_revision().await, expected, "Streamable HTTP, 2026-07-28");
    assert_eq!(over_sse().await, expected, "HTTP+SSE");
}
