//! The protocol: revisions, listings, and every message that is not what it should be.

use harness::McpServer;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Client, until};
use crate::{shop_server, shop_server_with};

/// A new client gets an answer, whatever became of the others.
async fn still_serves(server: &McpServer) {
    let rows = Client::open(server).await.rows("SELECT 1 AS one", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"one":1}]"#);
}

#[tokio::test]
async fn every_revision_with_a_handshake_is_spoken() {
    let server = shop_server().await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = Client::connect(&server).await;
        client.receive().await;
        let answer = client.initialize(revision).await;
        assert_eq!(answer["result"]["protocolVersion"], revision);
        assert_eq!(answer["result"]["_meta"]["pgmcp/server"], "mcp-server");
        assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    }
}

#[tokio::test]
async fn the_revision_without_a_handshake_is_spoken() {
    let server = shop_server().await;
    let mut client = Client::connect(&server).await;
    client.receive().await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let answer = client.request("server/discover", json!({ "_meta": meta })).await;
    assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-server", "{answer}");
    let arguments = json!({ "query": "SELECT 1.10 AS a" });
    let text =
        client.request_text("tools/call", json!({ "name": "run_sql", "arguments": arguments, "_meta": meta })).await;
    assert!(text.contains(r#""structuredContent":{"rows":[{"a":1.10}]"#), "{text}");
}

#[tokio::test]
async fn ping_is_answered_before_and_after_the_session_is_opened() {
    let server = shop_server().await;
    let mut client = Client::connect(&server).await;
    client.receive().await;
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
    client.initialize("2025-11-25").await;
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn the_list_of_tools_has_one_form() {
    let server = shop_server().await;
    let tools = Client::open(&server).await.request("tools/list", json!({})).await;
    insta::assert_json_snapshot!("tools_list", tools["result"]);
}

#[tokio::test]
async fn what_run_sql_answers_is_what_its_output_schema_says() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let schema = jsonschema::validator_for(&client.tool("run_sql").await["outputSchema"]).unwrap();
    for query in [
        "SELECT 1 AS one, 'a' AS two",
        "SELECT * FROM users LIMIT 3",
        "SELECT",
        "DROP TABLE users",
        "SELECT * FROM nowhere",
    ] {
        let (content, _) = client.run(json!({ "query": query })).await;
        let content: Value = serde_json::from_str(&content).unwrap();
        assert!(schema.is_valid(&content), "{query}: {content}");
    }
}

#[tokio::test]
async fn text_content_is_a_copy_of_the_structured_content() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    for query in ["SELECT 1.10 AS a", "SELECT nowhere"] {
        let params = json!({ "name": "run_sql", "arguments": { "query": query } });
        let text = client.request_text("tools/call", params).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        let copy = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(&format!("\"structuredContent\":{copy}")), "{text}");
    }
}

#[tokio::test]
async fn messages_that_are_none_get_the_right_fault_and_harm_nobody() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let cases = [
        ("{\"jsonrpc\":", -32700, Value::Null),
        ("nonsense", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"{"id":7,"method":"ping"}"#, -32600, json!(7)),
        (r#"{"jsonrpc":"2.0","id":"x"}"#, -32600, json!("x")),
        (r#"{"jsonrpc":"2.0","id":8,"method":"tools/burn"}"#, -32601, json!(8)),
        (r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{}}"#, -32602, json!(9)),
        (
            r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"run_sql","arguments":"x"}}"#,
            -32602,
            json!(10),
        ),
        (
            r#"{"jsonrpc":"2.0","id":11,"method":"tools/call","params":{"name":"run_sqll","arguments":{}}}"#,
            -32602,
            json!(11),
        ),
        (
            r#"{"jsonrpc":"2.0","id":12,"method":"resources/read","params":{"uri":"postgres://nowhere/catalog"}}"#,
            -32002,
            json!(12),
        ),
    ];
    for (text, code, id) in cases {
        client.send(text).await;
        let answer = client.receive().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{text}: {answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn an_unknown_method_or_tool_is_answered_with_the_closest() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let message = |answer: Value| answer["error"]["message"].as_str().unwrap().to_owned();
    assert!(message(client.request("tools/cal", json!({})).await).contains("Did you mean tools/call?"));
    assert!(message(client.request("tools/call", json!({ "name": "runsql" })).await).contains("Did you mean run_sql?"));
}

#[tokio::test]
async fn an_over_long_message_ends_its_connection_and_no_other() {
    let server = shop_server_with(&[("MAX_MESSAGE_BYTES", "4096")]).await;
    let mut client = Client::open(&server).await;
    client.send_frame(Message::text("x".repeat(5000))).await;
    assert_eq!(client.close_code().await, Some(CloseCode::Size));
    still_serves(&server).await;
}

#[tokio::test]
async fn binary_frames_end_their_connection_and_no_other() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    client.send_frame(Message::binary(vec![0, 1, 2])).await;
    assert_eq!(client.close_code().await, Some(CloseCode::Unsupported));
    still_serves(&server).await;
}

#[tokio::test]
async fn a_notification_before_the_first_request_is_passed_over() {
    let server = shop_server().await;
    let mut client = Client::connect(&server).await;
    client.receive().await;
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn more_calls_than_run_at_once_wait_and_more_than_that_come_back_later() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let arguments = json!({ "query": "SELECT count(*) FROM order_items a, order_items b", "timeoutMs": 2000 });
    let call = json!({ "name": "run_sql", "arguments": arguments });
    let calls = 120;
    for _ in 0..calls {
        client.start("tools/call", call.clone()).await;
    }
    let mut busy = 0;
    for _ in 0..calls {
        let answer = client.receive().await;
        assert!(answer["result"].is_object(), "a tool's failure is a result: {answer}");
        let error = &answer["result"]["structuredContent"]["error"];
        if error["code"] == "SERVER_BUSY" {
            assert!(error["context"]["retry_after_ms"].is_u64(), "{answer}");
            busy += 1;
        }
    }
    assert!(busy > 0, "past the queue calls are refused, not kept");
    still_serves(&server).await;
}

#[tokio::test]
async fn a_key_that_may_act_for_others_has_more_places() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "[keys.default]\nmay_act_for = true\n").unwrap();
    let server = shop_server_with(&[("POLICY_FILE", policy.to_str().unwrap())]).await;
    let mut client = Client::connect(&server).await;
    let push = client.receive().await;
    assert_eq!(push["params"]["_meta"]["pgmcp/maxInFlight"], 128, "{push}");
    assert_eq!(push["params"]["_meta"]["pgmcp/mayActFor"], true);
    let opened = client.initialize("2025-11-25").await;
    assert_eq!(opened["result"]["_meta"]["pgmcp/maxInFlight"], 128, "{opened}");
    // As many as would be too many for any other connection. None is told that its connection has no room.
    let calls = 150;
    for _ in 0..calls {
        client
            .start(
                "tools/call",
                json!({ "name": "run_sql", "arguments": { "query": "SELECT count(*) FROM order_items" } }),
            )
            .await;
    }
    for _ in 0..calls {
        let answer = client.receive().await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_connection() {
    let server = shop_server_with(&[("METRICS_PUBLIC", "true")]).await;
    let mut client = Client::open(&server).await;
    // Some 12 MB of answers, more than the buffers between the two hold; each small enough for the shortest write limit.
    let call = json!({
        "name": "run_sql", "arguments": { "query": "SELECT repeat('x', 190000) AS x" },
        "_meta": { "pgmcp/structuredOnly": true },
    });
    for _ in 0..64 {
        client.start("tools/call", call.clone()).await;
    }
    until("the connection is dropped", async || {
        let metrics = reqwest::get(server.http_url("/metrics")).await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line == "pgmcp_client_connections 0")
    })
    .await;
    assert!(server.logs().contains("a client does not read"), "{}", server.logs());
    still_serves(&server).await;
}

#[tokio::test]
async fn an_id_that_is_in_use_is_refused() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let arguments = json!({ "query": "SELECT count(*) FROM order_items a, order_items b", "timeoutMs": 1500 });
    let call = json!({ "jsonrpc": "2.0", "id": "same", "method": "tools/call", "params": { "name": "run_sql", "arguments": arguments } });
    client.send(&call.to_string()).await;
    client.send(&call.to_string()).await;
    let second = client.receive().await;
    assert_eq!((&second["id"], &second["error"]["code"]), (&json!("same"), &json!(-32600)), "{second}");
    let first = client.receive().await;
    assert!(first["result"].is_object(), "{first}");
}

#[tokio::test]
async fn a_failure_is_short_however_long_its_arguments_are() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let long = "\"".repeat(200_000);
    let cases = [
        json!({ "query": "SELECT id FROM users WHERE id = $1", "params": [long] }),
        json!({ "query": "SELECT 1", "params": [[long]] }),
        json!({ "query": "SELECT 1", "database": long }),
        json!({ "query": "SELECT 1", long: 1 }),
    ];
    for arguments in cases {
        let text = client.request_text("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
        assert!(text.len() < 32 * 1024, "{} bytes", text.len());
    }
}
