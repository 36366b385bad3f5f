//! News: a client is told when what it may see has changed, whatever brings its messages, and nobody else is.

use std::time::Duration;

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::database_of;
use crate::http_client::{Events, HttpClient};
use crate::streamable_http::newest_meta;

const ONE_KEY: &str = "first-key-of-22-characters-or-more";
const TWO_KEY: &str = "second-key-of-22-characters-or-more";

struct Shop {
    database: String,
    server: McpServer,
    policy: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

/// A server over two tables, with two keys and a policy file.
async fn shop() -> Shop {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE one (id int); CREATE TABLE two (id int); ANALYZE;").await;
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "").unwrap();
    let options = ServerOptions::new(postgres.reader_url(&database))
        .with_env("POLICY_FILE", policy.to_str().unwrap())
        .with_env("WS_API_KEY", format!("one:{ONE_KEY},two:{TWO_KEY}"));
    let server = McpServer::start(options).await.unwrap();
    Shop { database, server, policy, _folder: folder }
}

impl Shop {
    async fn change(&self, sql: &str) {
        let mut owner = shared_postgres().await.superuser(&self.database).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut owner).await.unwrap();
    }

    fn uri(&self, part: &str) -> String {
        format!("postgres://{}/{part}", self.database)
    }

    /// Has the values of columns read before anything is waited for, and lets what is told of them pass.
    async fn settle(&self, client: &mut Client) {
        until("the values of columns are read", async || {
            let answer = client.request("resources/read", json!({ "uri": self.uri("catalog") })).await;
            answer["result"]["contents"][0]["text"].as_str().unwrap().contains(r#""samples":"complete""#)
        })
        .await;
        rest(client).await;
    }
}

/// The next message that is no answer, with this method.
async fn news(client: &mut Client, method: &str) -> Value {
    loop {
        let message = client.receive().await;
        if message["method"] == method {
            return message;
        }
        assert!(message["method"].as_str().is_some_and(|of| of.ends_with("list_changed")), "{message}");
    }
}

/// Whatever still comes to a client until it is quiet for longer than news are gathered.
async fn rest(client: &mut Client) -> Vec<Value> {
    let mut heard = Vec::new();
    while let Ok(message) = tokio::time::timeout(Duration::from_millis(400), client.receive()).await {
        heard.push(message);
    }
    heard
}

#[tokio::test]
async fn ddl_is_told_with_the_registry_and_to_whom_it_concerns() {
    let shop = shop().await;
    let mut client = Client::open_with_key(&shop.server, ONE_KEY).await.hearing_news();
    shop.settle(&mut client).await;
    for part in ["public/one", "public/two", "schema"] {
        let answer = client.request("resources/subscribe", json!({ "uri": shop.uri(part) })).await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    let answer = client.request("resources/subscribe", json!({ "uri": shop.uri("public/three") })).await;
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
    client.request("resources/unsubscribe", json!({ "uri": shop.uri("schema") })).await;

    shop.change("ALTER TABLE one ADD COLUMN name text").await;
    client.start("tools/call", json!({ "name": "refresh_schema", "arguments": {} })).await;
    let (mut push, mut list, mut updated) = (None, None, Vec::new());
    while push.is_none() || list.is_none() || updated.is_empty() {
        let message = client.receive().await;
        match message["method"].as_str() {
            Some("notifications/tools/list_changed") => push = Some(message),
            Some("notifications/resources/list_changed") => list = Some(message),
            Some("notifications/resources/updated") => updated.push(message["params"]["uri"].clone()),
            _ => assert!(message["result"].is_object(), "{message}"),
        }
    }
    let push = push.unwrap();
    assert!(push["params"]["tools"].as_array().is_some_and(|tools| tools.len() == 12), "{push}");
    assert_eq!(push["params"]["_meta"]["pgmcp/maxInFlight"], 16);
    let updates = rest(&mut client).await.into_iter().filter(|of| of["method"] == "notifications/resources/updated");
    updated.extend(updates.map(|message| message["params"]["uri"].clone()));
    assert_eq!(updated, [json!(shop.uri("public/one"))], "the other table is as it was");
}

#[tokio::test]
async fn a_new_policy_is_told_to_those_whom_it_touches() {
    let shop = shop().await;
    let mut one = Client::open_with_key(&shop.server, ONE_KEY).await.hearing_news();
    let mut two = Client::open_with_key(&shop.server, TWO_KEY).await.hearing_news();
    shop.settle(&mut one).await;
    shop.settle(&mut two).await;
    one.request("resources/subscribe", json!({ "uri": shop.uri("public/two") })).await;

    std::fs::write(&shop.policy, "[keys.one]\ndeny_tables = [\"public.two\"]\n").unwrap();
    news(&mut one, "notifications/tools/list_changed").await;
    let updated = news(&mut one, "notifications/resources/updated").await;
    assert_eq!(updated["params"]["uri"], shop.uri("public/two"), "it is gone");
    assert_eq!(rest(&mut two).await, Vec::<Value>::new(), "nothing that two sees is another");

    // One that acts for others is told of every policy: it may touch those.
    std::fs::write(&shop.policy, "[keys.two]\nmay_act_for = true\n").unwrap();
    let push = news(&mut two, "notifications/tools/list_changed").await;
    assert_eq!(push["params"]["_meta"]["pgmcp/mayActFor"], true);
    std::fs::write(&shop.policy, "[keys.two]\nmay_act_for = true\n[subjects.alice]\ndeny_tables = [\"public.one\"]\n")
        .unwrap();
    news(&mut two, "notifications/tools/list_changed").await;
}

#[tokio::test]
async fn sessions_over_http_hear_news_on_their_stream() {
    let shop = shop().await;
    let mut client = HttpClient::with_key(&shop.server, ONE_KEY);
    client.initialize("2025-11-25").await;
    let mut events = Events::of(client.with_method(reqwest::Method::GET).send().await.unwrap());
    let push: Value = serde_json::from_str(&events.next().await.unwrap()).unwrap();
    assert_eq!(push["method"], "notifications/tools/list_changed");
    let answer = client.request("resources/subscribe", json!({ "uri": shop.uri("public/one") })).await;
    assert!(answer.message()["result"].is_object(), "{answer:?}");
    shop.change("ALTER TABLE one ADD COLUMN name text").await;
    client.request("tools/call", json!({ "name": "refresh_schema", "arguments": {} })).await;
    loop {
        let message: Value = serde_json::from_str(&events.next().await.unwrap()).unwrap();
        if message["method"] == "notifications/resources/updated" {
            assert_eq!(message["params"]["uri"], shop.uri("public/one"));
            break;
        }
        assert!(message["method"].as_str().unwrap().ends_with("list_changed"), "{message}");
    }
}

#[tokio::test]
async fn in_the_newest_revision_a_request_listens_for_what_it_names() {
    let shop = shop().await;
    let mut client = Client::connect_with_key(&shop.server, ONE_KEY).await;
    client.receive().await;
    let filter = json!({ "resourcesListChanged": true, "resourceSubscriptions": [shop.uri("public/one")] });
    let params = json!({ "notifications": filter, "_meta": newest_meta() });
    let id = client.start("subscriptions/listen", params.clone()).await;
    let acknowledged = client.receive().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
    shop.change("ALTER TABLE one ADD COLUMN name text").await;
    let refresh = json!({ "name": "refresh_schema", "arguments": {}, "_meta": newest_meta() });
    client.start("tools/call", refresh.clone()).await;
    let mut seen = Vec::new();
    while !seen.contains(&"notifications/resources/updated".to_owned()) {
        let message = client.receive().await;
        if let Some(method) = message["method"].as_str() {
            seen.push(method.to_owned());
        }
    }
    assert!(seen.contains(&"notifications/resources/list_changed".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"notifications/tools/list_changed".to_owned()), "nobody asked for it: {seen:?}");
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    client.send(&cancel.to_string()).await;
    client.request("tools/list", json!({ "_meta": newest_meta() })).await;
    shop.change("ALTER TABLE one ADD COLUMN other text").await;
    client.request("tools/call", refresh.clone()).await;
    assert_eq!(rest(&mut client).await, Vec::<Value>::new(), "it is cancelled");

    // Over HTTP the answer to the request is a stream of them.
    let mut http = HttpClient::with_key(&shop.server, ONE_KEY);
    let text = http.message("subscriptions/listen", params);
    let request = http.posted(&text).header("mcp-protocol-version", "2026-07-28");
    let response = request.header("mcp-method", "subscriptions/listen").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = Events::of(response);
    let acknowledged: Value = serde_json::from_str(&events.next().await.unwrap()).unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
    shop.change("ALTER TABLE one ADD COLUMN more text").await;
    client.start("tools/call", refresh).await;
    loop {
        let message: Value = serde_json::from_str(&events.next().await.unwrap()).unwrap();
        if message["method"] == "notifications/resources/updated" {
            break;
        }
    }
}

#[tokio::test]
async fn what_no_stream_could_take_is_told_on_the_next() {
    let shop = shop().await;
    let mut client = HttpClient::with_key(&shop.server, ONE_KEY);
    client.initialize("2025-11-25").await;
    let answer = client.request("resources/subscribe", json!({ "uri": shop.uri("public/one") })).await;
    assert!(answer.message()["result"].is_object(), "{answer:?}");
    // Nobody listens here to the first change; another session shows that it was told.
    let mut other = Client::open_with_key(&shop.server, ONE_KEY).await.hearing_news();
    shop.change("ALTER TABLE one ADD COLUMN name text").await;
    client.request("tools/call", json!({ "name": "refresh_schema", "arguments": {} })).await;
    news(&mut other, "notifications/resources/list_changed").await;
    let mut events = Events::of(client.with_method(reqwest::Method::GET).send().await.unwrap());
    shop.change("ALTER TABLE two ADD COLUMN name text").await;
    client.request("tools/call", json!({ "name": "refresh_schema", "arguments": {} })).await;
    loop {
        let message = events.message().await;
        if message["method"] == "notifications/resources/updated" {
            assert_eq!(message["params"]["uri"], shop.uri("public/one"), "of the first change");
            break;
        }
    }
}

#[tokio::test]
async fn ddl_is_told_to_a_client_that_only_listens() {
    let shop = shop().await;
    let mut client = Client::open_with_key(&shop.server, ONE_KEY).await.hearing_news();
    shop.settle(&mut client).await;
    client.request("resources/subscribe", json!({ "uri": shop.uri("public/one") })).await;
    shop.change("ALTER TABLE one ADD COLUMN name text").await;
    let updated = news(&mut client, "notifications/resources/updated").await;
    assert_eq!(updated["params"]["uri"], shop.uri("public/one"));
}
