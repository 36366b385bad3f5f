//! Clients that nobody here wrote: the Python SDK's WebSocket client, and rmcp's.

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt, future};
use harness::repository_file;
use rmcp::model::{CallToolRequestParams, ServerJsonRpcMessage};
use rmcp::serve_client;
use rmcp::service::{RoleClient, TxJsonRpcMessage};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::handshake;
use crate::shop_server;

#[tokio::test]
async fn the_python_sdk_lists_the_tools_and_calls_run_sql() {
    let server = shop_server().await;
    let python = std::env::var("PGMCP_PYTHON")
        .expect("PGMCP_PYTHON names a Python with the MCP SDK: `scripts/setup --tests` makes one");
    let output = tokio::process::Command::new(python)
        .arg(repository_file("mcp-server/tests/clients/python_websocket.py"))
        .arg(server.ws_url())
        .env("WS_API_KEY", server.api_key())
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["first_frame_method"], "notifications/tools/list_changed");
    assert!(seen["tools"].as_array().unwrap().contains(&json!("run_sql")), "{seen}");
    assert_eq!(seen["is_error"], false);
    let digits = r#""rows":[{"a":1.10,"b":9223372036854775807}]"#;
    assert!(seen["frame"].as_str().unwrap().contains(digits), "{seen}");
    assert!(seen["text"].as_str().unwrap().contains(digits), "{seen}");
    assert_eq!(seen["refused_is_error"], true);
    assert_eq!(seen["refused"]["error"]["code"], "WRITE_OPERATION_DENIED");
}

#[tokio::test]
async fn the_rmcp_client_lists_the_tools_and_calls_run_sql() {
    let server = shop_server().await;
    let (socket, _) = handshake(&server.ws_url(), &[("x-api-key", server.api_key())]).await.unwrap();
    let (sink, stream) = socket.split();
    let sink = sink.with(|message: TxJsonRpcMessage<RoleClient>| {
        future::ready(serde_json::to_string(&message).map(Message::text).map_err(|error| Error::Io(error.into())))
    });
    let stream = stream.filter_map(|frame| {
        let message = match frame {
            Ok(Message::Text(text)) => Some(serde_json::from_str::<ServerJsonRpcMessage>(&text).unwrap()),
            _ => None,
        };
        future::ready(message)
    });
    let client = serve_client((), (sink, Box::pin(stream))).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "run_sql"), "{tools:?}");
    let Value::Object(arguments) = json!({ "query": "SELECT 9223372036854775807 AS b" }) else { unreachable!() };
    let result = client.call_tool(CallToolRequestParams::new("run_sql").with_arguments(arguments)).await.unwrap();
    assert_eq!(result.structured_content.unwrap()["rows"], json!([{ "b": 9_223_372_036_854_775_807_i64 }]));
    client.cancel().await.unwrap();
}
