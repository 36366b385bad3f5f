//! The link over a real socket, against a server that does what each test says, message by message.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::behalf::Behalf;
use super::catalogs::{Catalog, Catalogs};
use super::client::{Client, Error, LinkStatus};
use super::link::{Link, LinkError};
use crate::config::LinkConfig;

const KEY: &str = "0123456789abcdefghijkl";

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// An address, and the connections that are made to it.
struct Server {
    listener: TcpListener,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    async fn start() -> (Self, Client) {
        Self::start_with_key(KEY).await
    }

    async fn start_with_key(key: &str) -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = LinkConfig {
            url: format!("ws://{}/mcp", listener.local_addr().unwrap()),
            key: SecretString::from(key),
            call_timeout: Duration::from_secs(10),
            max_result_bytes: 1 << 20,
            catalog_ttl: Duration::from_secs(300),
            require_subject: false,
        };
        let stop = CancellationToken::new();
        let link = Link::start(&config, stop.clone(), &TaskTracker::new());
        (Self { listener, stop }, Client::new(link, &config))
    }

    /// The next connection, once it has shown the key.
    async fn accept(&self) -> Peer {
        let (socket, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a connection comes").unwrap();
        let check = |request: &Request, mut response: Response| {
            if request.headers().get("x-api-key").is_none_or(|key| key != KEY) {
                let mut refusal = ErrorResponse::new(None);
                *refusal.status_mut() = http::StatusCode::UNAUTHORIZED;
                return Err(refusal);
            }
            assert_eq!(request.headers()["sec-websocket-protocol"], "mcp");
            response.headers_mut().insert("sec-websocket-protocol", http::HeaderValue::from_static("mcp"));
            Ok(response)
        };
        Peer(accept_hdr_async(socket, check).await.ok())
    }

    /// The next connection, greeted as an MCP server does.
    async fn session(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet(16).await;
        peer
    }
}

/// The server's end of one connection; none where the handshake was refused.
struct Peer(Option<WebSocketStream<TcpStream>>);

impl Peer {
    fn socket(&mut self) -> &mut WebSocketStream<TcpStream> {
        self.0.as_mut().expect("the handshake was accepted")
    }

    async fn send(&mut self, message: Value) {
        self.send_text(message.to_string()).await;
    }

    async fn send_text(&mut self, text: String) {
        self.socket().send(Message::text(text)).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        timeout(PATIENCE, self.next_text()).await.expect("a message comes")
    }

    /// Nothing is said for a while, but for pings.
    async fn expect_silence(&mut self) {
        let message = timeout(Duration::from_millis(300), self.next_text()).await;
        assert!(message.is_err(), "{message:?}");
    }

    async fn next_text(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket().next().await.unwrap().unwrap() {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }

    async fn greet(&mut self, max_in_flight: u64) {
        self.push(json!({ "pgmcp/maxInFlight": max_in_flight })).await;
        self.initialize().await;
    }

    /// The registry, with this beside it.
    async fn push(&mut self, meta: Value) {
        let params = json!({ "tools": [{ "name": "run_sql", "inputSchema": {} }], "_meta": meta });
        self.send(json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": params })).await;
    }

    async fn initialize(&mut self) {
        let hello = self.receive().await;
        assert_eq!(hello["method"], "initialize");
        assert_eq!(hello["params"]["protocolVersion"], "2025-11-25");
        self.send(json!({ "jsonrpc": "2.0", "id": hello["id"], "result": { "protocolVersion": "2025-11-25" } })).await;
        assert_eq!(self.receive().await["method"], "notifications/initialized");
    }

    /// Takes a run_sql call and gives its id and arguments.
    async fn call(&mut self) -> (Value, Value) {
        let call = self.receive().await;
        assert_eq!((&call["method"], &call["params"]["name"]), (&json!("tools/call"), &json!("run_sql")), "{call}");
        (call["id"].clone(), call["params"].clone())
    }

    async fn answer(&mut self, id: &Value, rows: &str) {
        self.send_text(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"structuredContent":{{"rows":{rows},"rowCount":1,"executionTimeMs":0.5,"columns":[],"truncated":false}},"isError":false}}}}"#
        ))
        .await;
    }
}

async fn run(client: &Client, query: &str) -> Result<String, Error> {
    let deadline = Instant::now() + Duration::from_secs(10);
    client.run_sql("shop", query, &[], 10, &Behalf::Nobody, deadline).await.map(|output| output.rows.get().to_owned())
}

#[tokio::test]
async fn rows_arrive_digit_for_digit() {
    let (server, client) = Server::start().await;
    let rows = r#"[{"a":1.10,"b":9223372036854775807,"c":0.12345678901234567890123456789}]"#;
    let mut peer = server.session().await;
    let (answer, ()) = tokio::join!(run(&client, "SELECT 1"), async {
        let (id, params) = peer.call().await;
        assert_eq!(params["arguments"]["query"], "SELECT 1");
        assert_eq!(params["arguments"]["database"], "shop");
        assert_eq!(params["arguments"]["timeoutMs"].as_u64().unwrap() / 1000, 3, "{params}");
        assert_eq!(params["_meta"]["pgmcp/structuredOnly"], true);
        peer.answer(&id, rows).await;
    });
    assert_eq!(answer.unwrap(), rows);
    assert_eq!(client.status(), LinkStatus::Up);
}

#[tokio::test]
async fn stray_messages_do_not_end_the_connection() {
    let (server, client) = Server::start().await;
    let mut peer = server.session().await;
    let (answer, ()) = tokio::join!(run(&client, "SELECT 1"), async {
        let (id, _) = peer.call().await;
        peer.send(json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "?" } })).await;
        peer.send(json!({ "jsonrpc": "2.0", "id": 999_999, "result": {} })).await;
        peer.send(json!({ "jsonrpc": "2.0", "id": "text", "result": {} })).await;
        peer.send(json!([1, 2])).await;
        peer.send_text("not JSON".to_owned()).await;
        peer.send(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} })).await;
        peer.send(json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" })).await;
        assert_eq!(peer.receive().await, json!({ "jsonrpc": "2.0", "id": 7, "result": {} }));
        peer.send(json!({ "jsonrpc": "2.0", "id": 8, "method": "sampling/createMessage" })).await;
        assert_eq!(peer.receive().await["error"]["code"], -32601);
        peer.socket().send(Message::Ping(vec![1].into())).await.unwrap();
        peer.answer(&id, "[1]").await;
        peer.answer(&id, "[2]").await;
    });
    assert_eq!(answer.unwrap(), "[1]");
    let (answer, ()) = tokio::join!(run(&client, "SELECT 2"), async {
        let (id, _) = peer.call().await;
        peer.answer(&id, "[3]").await;
    });
    assert_eq!(answer.unwrap(), "[3]");
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let (server, client) = Server::start().await;
    let mut peer = server.session().await;
    let call = {
        let client = client.clone();
        tokio::spawn(async move { run(&client, "SELECT pg_sleep(60)").await })
    };
    let (id, _) = peer.call().await;
    call.abort();
    let cancelled = peer.receive().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], id);
    // The server's answer crosses the cancellation, and is nobody's.
    peer.answer(&id, "[0]").await;
    let (answer, ()) = tokio::join!(run(&client, "SELECT 2"), async {
        let (id, _) = peer.call().await;
        peer.answer(&id, "[2]").await;
    });
    assert_eq!(answer.unwrap(), "[2]");
}

#[tokio::test]
async fn a_call_past_its_deadline_is_cancelled() {
    let (server, client) = Server::start().await;
    let mut peer = server.session().await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let (answer, ()) = tokio::join!(client.run_sql("shop", "SELECT 1", &[], 1, &Behalf::Nobody, deadline), async {
        let (id, _) = peer.call().await;
        assert_eq!(peer.receive().await["params"]["requestId"], id);
    });
    assert!(matches!(answer, Err(Error::Link(LinkError::TimedOut))), "{answer:?}");
}

#[tokio::test]
async fn a_call_in_flight_when_the_link_breaks_is_sent_once_more() {
    let (server, client) = Server::start().await;
    let mut first = server.session().await;
    let (answer, ()) = tokio::join!(run(&client, "SELECT 1"), async {
        first.call().await;
        drop(first);
        let mut second = server.session().await;
        second.call().await;
        drop(second);
        // Not a third time.
        let mut third = server.session().await;
        third.expect_silence().await;
    });
    assert!(matches!(answer, Err(Error::Link(LinkError::Down(_)))), "{answer:?}");
}

#[tokio::test]
async fn the_link_heals() {
    let (server, client) = Server::start().await;
    for round in 0..3 {
        let mut peer = server.session().await;
        let (answer, ()) = tokio::join!(run(&client, "SELECT 1"), async {
            let (id, _) = peer.call().await;
            peer.answer(&id, &format!("[{round}]")).await;
        });
        assert_eq!(answer.unwrap(), format!("[{round}]"));
    }
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_the_server_takes() {
    let (server, client) = Server::start().await;
    let mut peer = server.accept().await;
    peer.greet(1).await;
    let start = |query: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { run(&client, query).await })
    };
    let first = start("SELECT 1");
    let (first_id, params) = peer.call().await;
    assert_eq!(params["arguments"]["query"], "SELECT 1");
    let second = start("SELECT 2");
    peer.expect_silence().await;
    first.abort();
    assert_eq!(peer.receive().await["params"]["requestId"], first_id);
    let (second_id, params) = peer.call().await;
    assert_eq!(params["arguments"]["query"], "SELECT 2");
    peer.answer(&second_id, "[2]").await;
    assert_eq!(second.await.unwrap().unwrap(), "[2]");
}

#[tokio::test]
async fn without_a_push_the_tools_are_asked_for() {
    let (server, client) = Server::start().await;
    let mut peer = server.accept().await;
    peer.initialize().await;
    for (cursor, name, next) in [(Value::Null, "other", json!("2")), (json!("2"), "run_sql", Value::Null)] {
        let list = peer.receive().await;
        assert_eq!((&list["method"], &list["params"]["cursor"]), (&json!("tools/list"), &cursor));
        let mut result = json!({ "tools": [{ "name": name, "inputSchema": {} }] });
        if !next.is_null() {
            result["nextCursor"] = next;
        }
        peer.send(json!({ "jsonrpc": "2.0", "id": list["id"], "result": result })).await;
    }
    await_status(&client, LinkStatus::Up).await;
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let (server, client) = Server::start().await;
    let mut peer = server.accept().await;
    peer.send(json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": { "tools": [] } }))
        .await;
    peer.initialize().await;
    await_status(&client, LinkStatus::ToolsMissing(vec!["run_sql".to_owned()])).await;
}

#[tokio::test]
async fn a_refused_key_is_known_as_such() {
    let (server, client) = Server::start_with_key("another-key-of-enough-length").await;
    server.accept().await;
    await_status(&client, LinkStatus::KeyRefused).await;
    let started = Instant::now();
    let answer = run(&client, "SELECT 1").await;
    assert!(matches!(answer, Err(Error::Link(LinkError::Down(Some(_))))), "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(1), "waiting for a key to become right is of no use");
}

#[tokio::test]
async fn a_failed_call_carries_the_servers_words() {
    let (server, client) = Server::start().await;
    let mut peer = server.session().await;
    let (answer, ()) = tokio::join!(run(&client, "SELECT 1"), async {
        let (id, _) = peer.call().await;
        let error = json!({ "code": "TABLE_NOT_FOUND", "message": "no table", "suggestion": "Did you mean users?", "context": null });
        let failure = json!({ "error": error, "tool_name": "run_sql", "input_received": {} });
        peer.send(json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [], "structuredContent": failure, "isError": true } })).await;
    });
    let Err(Error::Failed(detail)) = answer else { panic!("{answer:?}") };
    assert_eq!(detail.code.as_str(), "TABLE_NOT_FOUND");
    assert_eq!(detail.suggestion.as_deref(), Some("Did you mean users?"));
}

#[tokio::test]
async fn a_catalog_is_read_once_and_again_after_a_reconnect() {
    let (server, client) = Server::start().await;
    let catalogs = Catalogs::new(client, Duration::from_secs(300), server.stop.clone(), &TaskTracker::new());
    let mut peer = server.session().await;
    let pages = [
        ("postgres://shop/catalog", page("a", json!("2"))),
        ("postgres://shop/catalog?cursor=2", page("b", Value::Null)),
    ];
    let (one, other, ()) = tokio::join!(
        catalogs.catalog("shop", &Behalf::Nobody),
        catalogs.catalog("shop", &Behalf::Nobody),
        serve(&mut peer, &pages)
    );
    assert_eq!(names(&one.unwrap()), ["a", "b"]);
    assert_eq!(names(&other.unwrap()), ["a", "b"]);
    assert_eq!(names(&catalogs.catalog("shop", &Behalf::Nobody).await.unwrap()), ["a", "b"]);

    drop(peer);
    let mut peer = server.session().await;
    let pages = [("postgres://shop/catalog", page("c", Value::Null))];
    let ((), ()) = tokio::join!(forgets(&catalogs, &["a", "b"]), serve(&mut peer, &pages));
    assert_eq!(names(&catalogs.catalog("shop", &Behalf::Nobody).await.unwrap()), ["c"]);
}

#[tokio::test]
async fn a_catalog_is_read_again_when_the_server_says_anew_what_it_offers() {
    let (server, client) = Server::start().await;
    let catalogs = Catalogs::new(client, Duration::from_secs(300), server.stop.clone(), &TaskTracker::new());
    let mut peer = server.session().await;
    let pages = [("postgres://shop/catalog", page("c", Value::Null))];
    let (read, ()) = tokio::join!(catalogs.catalog("shop", &Behalf::Nobody), serve(&mut peer, &pages));
    assert_eq!(names(&read.unwrap()), ["c"]);
    peer.push(json!({})).await;
    let pages = [("postgres://shop/catalog", page("d", Value::Null))];
    let ((), ()) = tokio::join!(forgets(&catalogs, &["c"]), serve(&mut peer, &pages));
    assert_eq!(names(&catalogs.catalog("shop", &Behalf::Nobody).await.unwrap()), ["d"]);
}

/// Answers reads of these resources, in this order, with these pages.
async fn serve(peer: &mut Peer, pages: &[(&str, Value)]) {
    for (uri, page) in pages {
        let read = peer.receive().await;
        assert_eq!((&read["method"], &read["params"]["uri"]), (&json!("resources/read"), &json!(uri)));
        let contents = json!([{ "uri": uri, "text": page.to_string() }]);
        peer.send(json!({ "jsonrpc": "2.0", "id": read["id"], "result": { "contents": contents } })).await;
    }
}

/// Asks until the catalog with these tables is forgotten: what the server has sent the agent comes to know of a little later.
async fn forgets(catalogs: &Catalogs, tables: &[&str]) {
    while names(&catalogs.catalog("shop", &Behalf::Nobody).await.unwrap()) == tables {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A page of a catalog with this one table.
fn page(table: &str, next: Value) -> Value {
    json!({
        "fingerprint": "f", "database": "shop", "description": null, "server_version": "15", "timezone": "UTC",
        "search_path": ["public"], "samples": "complete", "functions": [], "next_cursor": next,
        "tables": [{
            "table_name": table, "schema_name": "public", "type": "table", "description": null, "columns": [],
            "indexes": [], "constraints": [], "foreign_keys": [], "estimated_row_count": null, "partition_count": null,
        }],
    })
}

fn names(catalog: &Catalog) -> Vec<String> {
    catalog.page().tables.iter().map(|table| table.table_name.clone()).collect()
}

async fn behalf_of(client: &Client, caller: &str) -> Result<Behalf, Error> {
    client.behalf_of(Some(&caller.into()), Instant::now() + PATIENCE).await
}

#[tokio::test]
async fn the_caller_is_named_with_every_call() {
    let (server, client) = Server::start().await;
    let mut peer = server.accept().await;
    peer.push(json!({ "pgmcp/mayActFor": true })).await;
    peer.initialize().await;
    let alice = behalf_of(&client, "alice").await.unwrap();
    assert_eq!(alice, Behalf::Subject("alice".into()));
    let deadline = Instant::now() + PATIENCE;
    let asked = async {
        (
            client.databases(&alice).await.unwrap(),
            client.catalog("shop", &alice).await.unwrap(),
            client.run_sql("shop", "SELECT 1", &[], 1, &alice, deadline).await.unwrap(),
        )
    };
    let (_, ()) = tokio::join!(asked, async {
        let contents = json!([{ "uri": "", "text": page("users", Value::Null).to_string() }]);
        let rows = json!({ "rows": [], "rowCount": 0, "executionTimeMs": 0.5, "columns": [], "truncated": false });
        for (method, result) in [
            ("resources/list", json!({ "resources": [] })),
            ("resources/read", json!({ "contents": contents })),
            ("tools/call", json!({ "structuredContent": rows })),
        ] {
            let request = peer.receive().await;
            assert_eq!((&request["method"], subject(&request)), (&json!(method), &json!("alice")), "{request}");
            peer.send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).await;
        }
    });
    let nobody = client.behalf_of(None, deadline).await.unwrap();
    assert_eq!(nobody, Behalf::Nobody);
    let (answer, ()) = tokio::join!(run(&client, "SELECT 1"), async {
        let (id, params) = peer.call().await;
        assert_eq!(params["_meta"].get("pgmcp/subject"), None);
        peer.answer(&id, "[1]").await;
    });
    assert_eq!(answer.unwrap(), "[1]");
}

#[tokio::test]
async fn a_caller_is_not_asked_for_under_another_policy_than_the_question_came_under() {
    let (server, client) = Server::start().await;
    let mut peer = server.session().await;
    let unsaid = behalf_of(&client, "alice").await.unwrap();
    assert_eq!(unsaid, Behalf::Unsaid);
    peer.push(json!({ "pgmcp/mayActFor": true })).await;
    let taken = async {
        while client.may_act_for() != Some(true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, taken).await.expect("the push is taken");
    let refused = client.databases(&unsaid).await;
    assert!(matches!(refused, Err(Error::Link(LinkError::BehalfChanged))), "{refused:?}");
    let alice = behalf_of(&client, "alice").await.unwrap();

    // The server is restarted with another policy.
    drop(peer);
    let mut peer = server.session().await;
    let refused = timeout(PATIENCE, client.databases(&alice)).await.expect("an answer");
    assert!(matches!(refused, Err(Error::Link(LinkError::BehalfChanged))), "{refused:?}");
    peer.expect_silence().await;
    assert_eq!(behalf_of(&client, "alice").await.unwrap(), Behalf::Unsaid);
}

#[tokio::test]
async fn what_the_key_may_do_for_others_is_also_heard_in_the_greeting() {
    let (server, client) = Server::start().await;
    let mut peer = server.accept().await;
    assert_eq!(client.may_act_for(), None);
    let hello = peer.receive().await;
    let result = json!({ "protocolVersion": "2025-11-25", "_meta": { "pgmcp/mayActFor": true } });
    peer.send(json!({ "jsonrpc": "2.0", "id": hello["id"], "result": result })).await;
    assert_eq!(peer.receive().await["method"], "notifications/initialized");
    let list = peer.receive().await;
    let tools = json!([{ "name": "run_sql", "inputSchema": {} }]);
    peer.send(json!({ "jsonrpc": "2.0", "id": list["id"], "result": { "tools": tools } })).await;
    assert_eq!(behalf_of(&client, "alice").await.unwrap(), Behalf::Subject("alice".into()));
}

#[tokio::test]
async fn each_caller_has_a_catalog_of_its_own() {
    let (server, client) = Server::start().await;
    let catalogs = Catalogs::new(client, Duration::from_secs(300), server.stop.clone(), &TaskTracker::new());
    let mut peer = server.accept().await;
    peer.push(json!({ "pgmcp/mayActFor": true })).await;
    peer.initialize().await;
    let [alice, bob] = ["alice", "bob"].map(|name| Behalf::Subject(name.into()));
    let serve = async {
        for _ in 0..2 {
            let read = peer.receive().await;
            let table = format!("seen_by_{}", subject(&read).as_str().unwrap());
            let contents = json!([{ "uri": "", "text": page(&table, Value::Null).to_string() }]);
            peer.send(json!({ "jsonrpc": "2.0", "id": read["id"], "result": { "contents": contents } })).await;
        }
    };
    let (of_alice, of_bob, ()) = tokio::join!(catalogs.catalog("shop", &alice), catalogs.catalog("shop", &bob), serve);
    assert_eq!(names(&of_alice.unwrap()), ["seen_by_alice"]);
    assert_eq!(names(&of_bob.unwrap()), ["seen_by_bob"]);
    // Both are kept.
    for (behalf, table) in [(&alice, "seen_by_alice"), (&bob, "seen_by_bob")] {
        assert_eq!(names(&catalogs.catalog("shop", behalf).await.unwrap()), [table]);
    }
    // One caller's is read again, and the other's stays.
    assert!(catalogs.refresh("shop", &alice).await);
    assert_eq!(names(&catalogs.catalog("shop", &bob).await.unwrap()), ["seen_by_bob"]);
    peer.expect_silence().await;
}

/// The caller whom a request names.
fn subject(request: &Value) -> &Value {
    &request["params"]["_meta"]["pgmcp/subject"]
}

async fn await_status(client: &Client, expected: LinkStatus) {
    let mut state = client.link().watch();
    let reached = async {
        while client.status() != expected {
            state.changed().await.expect("the link is kept up");
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("the link is {:?}, not {expected:?}", client.status()));
}
