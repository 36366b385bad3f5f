//! rmcp's client over WebSocket.

use futures_util::{SinkExt, StreamExt, future};
use rmcp::model::{CallToolRequestParams, ServerJsonRpcMessage};
use rmcp::serve_client;
use rmcp::service::{RoleClient, TxJsonRpcMessage};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::handshake;
use crate::shop_server;

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
