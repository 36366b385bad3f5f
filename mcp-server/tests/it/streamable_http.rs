//! Streamable HTTP: sessions for the older revisions, none for the newest, and who may use which.

use std::time::Duration;

use harness::{McpServer, shared_postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::http_client::{Events, HttpClient};
use crate::{shop_server, shop_server_with};

const OTHER_KEY: &str = "another-key-of-22-or-more-characters";

/// The `_meta` that takes the place of a handshake in the newest revision.
pub(crate) fn newest_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Whether PostgreSQL runs a statement with this marker.
pub(crate) async fn runs(marker: &str) -> bool {
    let mut superuser = shared_postgres().await.superuser("postgres").await.unwrap();
    let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()";
    let count: i64 = sqlx::query_scalar(query).bind(marker).fetch_one(&mut superuser).await.unwrap();
    count > 0
}

pub(crate) fn endless(marker: &str) -> Value {
    let query = format!("SELECT count(*) AS {marker} FROM order_items a, order_items b, order_items c");
    json!({ "name": "run_sql", "arguments": { "query": query, "timeoutMs": 120_000 } })
}

async fn two_keys(more: &[(&str, &str)]) -> (McpServer, &'static str) {
    let first = "first-key-of-22-or-more-characters";
    let keys = format!("one:{first},two:{OTHER_KEY}");
    (shop_server_with(&[&[("WS_API_KEY", keys.as_str())], more].concat()).await, first)
}

#[tokio::test]
async fn every_older_revision_has_sessions() {
    let server = shop_server().await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = HttpClient::new(&server);
        let opened = client.initialize(revision).await;
        assert_eq!(opened.message()["result"]["protocolVersion"], revision, "{opened:?}");
        assert!(client.session.as_ref().is_some_and(|id| id.len() == 36), "{revision}");
        let answer = client.run("SELECT 1.10 AS a").await;
        assert!(answer.body.contains(r#""structuredContent":{"rows":[{"a":1.10}]"#), "{answer:?}");
        assert!(client.request("tools/list", json!({})).await.message()["result"]["tools"].is_array());
    }
}

#[tokio::test]
async fn the_newest_revision_has_none_and_is_answered_in_json() {
    let server = shop_server().await;
    let mut client = HttpClient::new(&server);
    let params = json!({ "name": "run_sql", "arguments": { "query": "SELECT 1.10 AS a" }, "_meta": newest_meta() });
    let text = client.message("tools/call", params);
    let request = client.posted(&text).header("mcp-protocol-version", "2026-07-28");
    let response = request.header("mcp-method", "tools/call").header("mcp-name", "run_sql").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(!response.headers().contains_key("mcp-session-id"));
    let body = response.text().await.unwrap();
    assert!(body.contains(r#""structuredContent":{"rows":[{"a":1.10}]"#), "{body}");

    let text = client.message("server/discover", json!({ "_meta": newest_meta() }));
    let request = client.posted(&text).header("mcp-protocol-version", "2026-07-28");
    let answer: Value = request.header("mcp-method", "server/discover").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-server", "{answer}");
}

#[tokio::test]
async fn without_sessions_every_request_stands_alone() {
    let server = shop_server_with(&[("HTTP_STATELESS", "true")]).await;
    let mut client = HttpClient::new(&server);
    assert_eq!(client.initialize("2025-06-18").await.content_type, "application/json");
    assert_eq!(client.session, None);
    let answer = client.run("SELECT 9223372036854775807 AS a").await;
    assert_eq!(answer.content_type, "application/json");
    assert!(answer.body.contains(r#"[{"a":9223372036854775807}]"#), "{answer:?}");
    assert_eq!(client.with_method(Method::GET).send().await.unwrap().status().as_u16(), 405);
    assert_eq!(client.with_method(Method::DELETE).send().await.unwrap().status().as_u16(), 405);
}

#[tokio::test]
async fn keys_hosts_and_origins_are_checked_as_for_a_websocket() {
    let server = shop_server_with(&[("WS_ALLOWED_ORIGINS", "https://app.example")]).await;
    let mut client = HttpClient::new(&server);
    let text = client.message("ping", json!({}));
    let mut stranger = HttpClient::with_key(&server, "x");
    assert_eq!(stranger.initialize("2025-11-25").await.status, 401);
    let status = async |name: &str, value: &str| {
        client.posted(&text).header(name, value).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("origin", "https://evil.example").await, 403);
    assert_eq!(status("host", "evil.example").await, 403);
    // Let in, and told that there is no session.
    assert_eq!(status("origin", "https://app.example").await, 400);
    let bearer = reqwest::Client::new().post(server.http_url("/mcp"));
    let bearer = bearer.bearer_auth(server.api_key()).header("content-type", "application/json").body(text.clone());
    let bearer = bearer.header("accept", "application/json, text/event-stream").send().await.unwrap();
    assert_eq!(bearer.status().as_u16(), 400);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_read_the_answers() {
    let server = shop_server_with(&[("WS_ALLOWED_ORIGINS", "https://app.example")]).await;
    let asked = async |origin: &str| {
        let request = reqwest::Client::new().request(Method::OPTIONS, server.http_url("/mcp")).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "content-type,x-api-key,mcp-session-id").send().await.unwrap()
    };
    let allowed = asked("https://app.example").await;
    assert_eq!(allowed.status().as_u16(), 200);
    let header = |name: &str| allowed.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "https://app.example");
    assert!(header("access-control-allow-headers").contains("x-api-key"));
    assert!(header("access-control-allow-methods").contains("POST"));
    assert!(!asked("https://evil.example").await.headers().contains_key("access-control-allow-origin"));

    let mut client = HttpClient::new(&server);
    let text = client.message(
        "initialize",
        json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "it", "version": "1" },
        }),
    );
    let answer = client.posted(&text).header("origin", "https://app.example").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(answer.headers()["access-control-expose-headers"], "mcp-session-id");
    // A page is told, too, what is wrong with its key.
    let mut stranger = HttpClient::with_key(&server, "x");
    let text = stranger.message("ping", json!({}));
    let refused = stranger.posted(&text).header("origin", "https://app.example").send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["access-control-allow-origin"]),
        (401, &"https://app.example".parse().unwrap())
    );
}

#[tokio::test]
async fn streams_take_places_and_leave_room_for_whoever_asks_how_the_server_is() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "3")]).await;
    let mut client = HttpClient::new(&server);
    let params = json!({ "notifications": { "resourcesListChanged": true }, "_meta": newest_meta() });
    let mut listen = async || {
        let text = client.message("subscriptions/listen", params.clone());
        let request = client.posted(&text).header("mcp-protocol-version", "2026-07-28");
        request.header("mcp-method", "subscriptions/listen").send().await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut events = Events::of(listen().await);
        assert_eq!(events.message().await["method"], "notifications/subscriptions/acknowledged");
        streams.push(events);
    }
    let full = listen().await;
    assert_eq!((full.status().as_u16(), full.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    assert_eq!(HttpClient::new(&server).initialize("2025-11-25").await.status, 503);
    let ready = reqwest::Client::new().get(server.http_url("/ready")).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 200);
    drop(streams);
    until("their places are free", async || listen().await.status().as_u16() == 200).await;
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_opened_it() {
    let (server, first) = two_keys(&[]).await;
    let mut owner = HttpClient::with_key(&server, first);
    owner.initialize("2025-11-25").await;
    let mut thief = HttpClient::with_key(&server, OTHER_KEY);
    thief.session.clone_from(&owner.session);
    assert_eq!(thief.run("SELECT 1").await.status, 404);
    assert_eq!(thief.with_method(Method::GET).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(thief.with_method(Method::DELETE).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(owner.run("SELECT 1").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_when_its_client_says_so() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "1")]).await;
    let mut client = HttpClient::open(&server).await;
    let full = HttpClient::new(&server).initialize("2025-11-25").await;
    assert_eq!(full.status, 503, "{full:?}");
    let ended = client.with_method(Method::DELETE).send().await.unwrap();
    assert_eq!(ended.status().as_u16(), 204);
    until("the session is gone", async || {
        client.post(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#).await.status == 404
    })
    .await;
    assert_eq!(client.run("SELECT 1").await.status, 404);
    until("its place is free", async || HttpClient::new(&server).initialize("2025-11-25").await.status == 200).await;
}

#[tokio::test]
async fn the_stream_of_a_session_begins_with_the_registry() {
    let server = shop_server().await;
    let client = HttpClient::open(&server).await;
    let mut events = Events::of(client.with_method(Method::GET).send().await.unwrap());
    let push = events.message().await;
    assert_eq!(push["method"], "notifications/tools/list_changed");
    assert!(push["params"]["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "run_sql"), "{push}");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_statement_with_a_session_and_without() {
    for stateless in ["false", "true"] {
        let server = shop_server_with(&[("HTTP_STATELESS", stateless)]).await;
        let mut client = HttpClient::new(&server);
        client.initialize("2025-11-25").await;
        let marker = if stateless == "true" { "left_without_session" } else { "left_a_session" };
        let text = client.message("tools/call", endless(marker));
        let waiting = tokio::spawn(client.posted(&text).send());
        until("the statement runs", async || runs(marker).await).await;
        // With a session the answer's head is there, and its body is dropped with it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        waiting.abort();
        drop(waiting.await);
        until("the statement ends", async || !runs(marker).await).await;
        assert_eq!(client.run("SELECT 1").await.status, 200);
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_its_statement() {
    let server = shop_server().await;
    let mut client = HttpClient::open(&server).await;
    let text = client.message("tools/call", endless("cancelled_over_http"));
    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].clone();
    let waiting = tokio::spawn(client.posted(&text).send());
    until("the statement runs", async || runs("cancelled_over_http").await).await;
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    assert_eq!(client.post(&cancelled.to_string()).await.status, 202);
    until("the statement ends", async || !runs("cancelled_over_http").await).await;
    waiting.abort();
    assert_eq!(client.run("SELECT 1").await.status, 200);
}

#[tokio::test]
async fn calls_of_one_session_wait_for_their_places_and_ids_are_used_once() {
    let server = shop_server().await;
    let mut client = HttpClient::open(&server).await;
    let slow = json!({ "name": "run_sql", "arguments": { "query": "SELECT count(*) FROM order_items a, order_items b", "timeoutMs": 2000 } });
    let texts: Vec<String> = (0..100).map(|_| client.message("tools/call", slow.clone())).collect();
    let answers = texts.iter().map(|text| client.post(text));
    let answers = futures_util::future::join_all(answers).await;
    let code = |answer: &crate::http_client::Answered| {
        answer.message()["result"]["structuredContent"]["error"]["code"].clone()
    };
    assert!(answers.iter().all(|answer| answer.message()["result"].is_object()));
    assert!(answers.iter().any(|answer| code(answer) == "SERVER_BUSY"), "past the queue calls are refused");

    let text = client.message("tools/call", slow);
    let (first, second) = tokio::join!(client.post(&text), client.post(&text));
    let faults = [&first, &second].iter().filter(|answer| answer.message()["error"]["code"] == -32600).count();
    assert_eq!(faults, 1, "{first:?} {second:?}");
}

#[tokio::test]
async fn what_runs_is_answered_before_the_server_stops() {
    for stateless in ["false", "true"] {
        let mut server = shop_server_with(&[("HTTP_STATELESS", stateless)]).await;
        let mut client = HttpClient::new(&server);
        client.initialize("2025-11-25").await;
        let marker = if stateless == "true" { "drained_without" } else { "drained_session" };
        let query = format!("SELECT count(*) AS {marker} FROM order_items a, generate_series(1, 2000) b");
        let text = client.message("tools/call", json!({ "name": "run_sql", "arguments": { "query": query } }));
        let answer = tokio::spawn(async move { client.post(&text).await });
        until("the statement runs", async || runs(marker).await).await;
        assert!(server.terminate().await.unwrap().success());
        let answer = answer.await.unwrap();
        assert_eq!(answer.message()["result"]["isError"], false, "{answer:?}");
    }
}

#[tokio::test]
async fn websockets_and_requests_share_the_path() {
    let server = shop_server().await;
    let mut socket = Client::open(&server).await;
    let mut http = HttpClient::open(&server).await;
    assert_eq!(socket.rows("SELECT 1", json!([])).await.row_count, 1);
    assert_eq!(http.run("SELECT 1").await.message()["result"]["isError"], false);
}
