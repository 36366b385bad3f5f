//! Who is let in, and what the first bytes are.

use harness::{McpServer, PATIENCE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Client, handshake, until};
use crate::{shop_server, shop_server_with};

/// The HTTP status and body of a handshake that must fail.
async fn refused(url: &str, headers: &[(&'static str, &str)]) -> (u16, Value) {
    match handshake(url, headers).await {
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice(body).unwrap_or(Value::Null))
        }
        other => panic!("expected a refusal, got {:?}", other.map(|(_, response)| response)),
    }
}

#[tokio::test]
async fn a_key_is_wanted_before_the_upgrade() {
    let server = shop_server().await;
    let url = server.ws_url();
    let (status, body) = refused(&url, &[]).await;
    assert_eq!(status, 401);
    assert!(body["error"]["suggestion"].as_str().unwrap().contains("X-API-Key"), "{body}");
    let wrong = "x".repeat(server.api_key().len());
    assert_eq!(refused(&url, &[("x-api-key", &wrong)]).await.0, 401);
    assert_eq!(refused(&url, &[("authorization", "Basic abc")]).await.0, 401);

    let bearer = format!("Bearer {}", server.api_key());
    assert!(handshake(&url, &[("authorization", &bearer)]).await.is_ok());
    assert!(handshake(&url, &[("x-api-key", server.api_key())]).await.is_ok());
}

#[tokio::test]
async fn each_of_several_keys_opens() {
    let second = "second-key-of-22-or-more-characters";
    let server =
        shop_server_with(&[("WS_API_KEY", &format!("one:first-key-of-22-or-more-characters,two:{second}"))]).await;
    assert!(handshake(&server.ws_url(), &[("x-api-key", second)]).await.is_ok());
    assert_eq!(refused(&server.ws_url(), &[("x-api-key", &format!("two:{second}"))]).await.0, 401);
}

#[tokio::test]
async fn the_subprotocol_is_echoed_only_when_it_is_offered() {
    let server = shop_server().await;
    let key = ("x-api-key", server.api_key());
    let echoed = |response: tokio_tungstenite::tungstenite::handshake::client::Response| {
        response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned())
    };
    let (_, response) = handshake(&server.ws_url(), &[key, ("sec-websocket-protocol", "mcp")]).await.unwrap();
    assert_eq!(echoed(response).as_deref(), Some("mcp"));
    let (_, response) = handshake(&server.ws_url(), &[key]).await.unwrap();
    assert_eq!(echoed(response), None);
}

#[tokio::test]
async fn web_pages_from_elsewhere_are_kept_out() {
    let server =
        shop_server_with(&[("WS_ALLOWED_ORIGINS", "https://app.example"), ("WS_ALLOWED_HOSTS", "127.0.0.1")]).await;
    let key = ("x-api-key", server.api_key());
    assert_eq!(refused(&server.ws_url(), &[key, ("origin", "https://evil.example")]).await.0, 403);
    assert!(handshake(&server.ws_url(), &[key, ("origin", "https://app.example")]).await.is_ok());
    assert_eq!(refused(&server.ws_url(), &[key, ("host", "evil.example")]).await.0, 403);
}

#[tokio::test]
async fn plain_http_is_told_what_is_served() {
    let server = shop_server().await;
    let http = reqwest::Client::new();
    let status = async |path: &str, post: bool| {
        let request = if post { http.post(server.http_url(path)) } else { http.get(server.http_url(path)) };
        request.header("x-api-key", server.api_key()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/mcp", false).await, 426);
    assert_eq!(status("/mcp", true).await, 400);
    assert_eq!(status("/sse", true).await, 405);
    assert_eq!(status("/messages", true).await, 404);
    assert_eq!(status("/nothing", false).await, 404);
    assert_eq!(status("/health", false).await, 200);
    assert_eq!(status("/ready", false).await, 200);
    assert_eq!(status("/metrics", false).await, 200);
    let open = http.get(server.http_url("/metrics")).send().await.unwrap();
    assert_eq!(open.status().as_u16(), 401);
}

#[tokio::test]
async fn connections_past_the_limit_are_told_to_come_back() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "1")]).await;
    let _first = Client::open(&server).await;
    assert_eq!(refused(&server.ws_url(), &[("x-api-key", server.api_key())]).await.0, 503);
}

#[tokio::test]
async fn a_place_is_free_again_when_its_connection_ends() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "1")]).await;
    let key = ("x-api-key", server.api_key());
    let first = Client::open(&server).await;
    let Err(Error::Http(full)) = handshake(&server.ws_url(), &[key]).await else { panic!("a second one got in") };
    assert_eq!((full.status().as_u16(), &full.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    drop(first);
    until("the place is free", async || handshake(&server.ws_url(), &[key]).await.is_ok()).await;
}

/// All that comes over a connection on which this is sent, up to its end.
async fn whole_answer(server: &McpServer, sent: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("it ends").unwrap();
    answer
}

#[tokio::test]
async fn whoever_is_told_to_come_back_keeps_no_connection_meanwhile() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "1")]).await;
    let _first = Client::open(&server).await;
    let headers = format!("Host: localhost\r\nX-API-Key: {}\r\n", server.api_key());
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = whole_answer(&server, &format!("GET /mcp HTTP/1.1\r\n{headers}{upgrade}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("all places for connections are taken"), "{answer}");
}

#[tokio::test]
async fn connections_that_say_nothing_make_room_for_those_that_ask() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "1")]).await;
    let mut client = Client::open(&server).await;
    let mut silent = Vec::new();
    for number in 0..100 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let sent = ["", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /health HTTP/1.1\r\nHo"][number % 3];
        socket.write_all(sent.as_bytes()).await.unwrap();
        silent.push(socket);
    }
    // Each of them has fifteen seconds to send a request, and there is room for sixteen.
    let health = reqwest::Client::new().get(server.http_url("/health")).timeout(PATIENCE).send().await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn a_malformed_handshake_is_refused_and_named() {
    let server = shop_server().await;
    let key = ("x-api-key", server.api_key());
    let (status, body) = refused(&server.ws_url(), &[key, ("sec-websocket-version", "8")]).await;
    assert_eq!(status, 426, "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("version 13"), "{body}");
    let (status, body) = refused(&server.ws_url(), &[key, ("sec-websocket-key", "short")]).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("Sec-WebSocket-Key"), "{body}");
}

#[tokio::test]
async fn the_registry_is_pushed_first_unless_that_is_switched_off() {
    let server = shop_server().await;
    let push = Client::connect(&server).await.receive().await;
    assert_eq!(push["method"], "notifications/tools/list_changed");
    let tools = push["params"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "run_sql"), "{push}");
    assert_eq!(push["params"]["_meta"]["pgmcp/maxInFlight"], 16);

    let quiet: McpServer = shop_server_with(&[("WS_PUSH_REGISTRY", "false")]).await;
    let mut client = Client::connect(&quiet).await;
    let id = client.start("ping", json!({})).await;
    assert_eq!(client.receive().await["id"], id);
}
