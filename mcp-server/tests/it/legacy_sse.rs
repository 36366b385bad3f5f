//! HTTP+SSE, the transport before Streamable HTTP.

use harness::{McpServer, shared_postgres};
use serde_json::{Value, json};

use crate::client::until;
use crate::http_client::Events;
use crate::{shop_server, shop_server_with};

/// An open stream, and where its messages go.
pub(crate) struct SseClient {
    http: reqwest::Client,
    pub(crate) events: Events,
    pub(crate) endpoint: String,
    key: String,
    next_id: i64,
}

impl SseClient {
    pub(crate) async fn connect(server: &McpServer) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let stream = http.get(server.http_url("/sse")).header("x-api-key", server.api_key());
        let mut events = Events::of(stream.send().await.unwrap());
        let endpoint = events.next().await.unwrap();
        assert!(endpoint.starts_with("/messages?sessionId="), "{endpoint}");
        let push: Value = events.message().await;
        assert_eq!(push["method"], "notifications/tools/list_changed");
        Self { http, events, endpoint: server.http_url(&endpoint), key: server.api_key().to_owned(), next_id: 1 }
    }

    pub(crate) async fn open(server: &McpServer) -> Self {
        let mut client = Self::connect(server).await;
        let params = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "it", "version": "1" } });
        client.start("initialize", params).await;
        assert_eq!(client.events.message().await["result"]["protocolVersion"], "2024-11-05");
        client.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string()).await;
        client.events.hears_news = false;
        client
    }

    /// Status and body of a POST of this text.
    pub(crate) async fn post(&self, text: &str) -> (u16, String) {
        let post = self.http.post(&self.endpoint).header("x-api-key", &self.key);
        let response = post.header("content-type", "application/json").body(text.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn start(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        let text = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        assert_eq!(self.post(&text).await.0, 202);
        id
    }
}

#[tokio::test]
async fn answers_come_as_events_with_every_digit() {
    let server = shop_server().await;
    let mut client = SseClient::open(&server).await;
    let arguments = json!({ "query": "SELECT 1.10 AS a, 9223372036854775807 AS b" });
    client.start("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
    let answer = client.events.next().await.unwrap();
    assert!(answer.contains(r#""structuredContent":{"rows":[{"a":1.10,"b":9223372036854775807}]"#), "{answer}");
}

#[tokio::test]
async fn messages_go_only_where_their_key_has_a_stream() {
    let other = "another-key-of-22-or-more-characters";
    let keys = format!("one:first-key-of-22-or-more-characters,two:{other}");
    let server = shop_server_with(&[("WS_API_KEY", keys.as_str())]).await;
    let http = reqwest::Client::new();
    let open = async |key: &str| http.get(server.http_url("/sse")).header("x-api-key", key).send().await.unwrap();
    assert_eq!(open("wrong").await.status().as_u16(), 401);
    let mut events = Events::of(open("first-key-of-22-or-more-characters").await);
    let endpoint = server.http_url(&events.next().await.unwrap());
    let post = async |url: &str, key: &str| {
        let post = http.post(url).header("x-api-key", key).body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        post.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(&endpoint, other).await, 404);
    assert_eq!(post(&server.http_url("/messages?sessionId=1"), other).await, 404);
    assert_eq!(post(&endpoint, "wrong").await, 401);
    assert_eq!(post(&endpoint, "first-key-of-22-or-more-characters").await, 202);
}

#[tokio::test]
async fn what_is_no_message_is_refused_where_it_is_posted() {
    let server = shop_server_with(&[("MAX_MESSAGE_BYTES", "2000")]).await;
    let mut client = SseClient::open(&server).await;
    for (text, status, code) in
        [("nonsense", 400, -32700), ("[]", 400, -32600), ("x".repeat(3000).as_str(), 413, -32600)]
    {
        let (answered, body) = client.post(text).await;
        let fault: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((answered, &fault["error"]["code"]), (status, &json!(code)), "{fault}");
    }
    client.start("ping", json!({})).await;
    assert_eq!(client.events.message().await["result"], json!({}));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_statement_and_frees_its_place() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "2")]).await;
    let mut client = SseClient::open(&server).await;
    let query = "SELECT count(*) AS left_a_stream FROM order_items a, order_items b, order_items c";
    client
        .start("tools/call", json!({ "name": "run_sql", "arguments": { "query": query, "timeoutMs": 120_000 } }))
        .await;
    let runs = async || {
        let mut superuser = shared_postgres().await.superuser("postgres").await.unwrap();
        let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%left_a_stream%' AND pid <> pg_backend_pid()";
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut superuser).await.unwrap();
        count > 0
    };
    until("the statement runs", runs).await;
    let endpoint = client.endpoint.clone();
    drop(client);
    until("the statement ends", async || !runs().await).await;
    let post = reqwest::Client::new().post(&endpoint).header("x-api-key", server.api_key());
    assert_eq!(post.body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await.unwrap().status().as_u16(), 404);
}
