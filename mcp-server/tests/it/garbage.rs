//! Bad input on every transport: it gets the right answer, takes no memory to speak of, and harms nobody else.

use std::time::Duration;

use harness::McpServer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::client::{Client, until};
use crate::http_client::HttpClient;
use crate::legacy_sse::SseClient;
use crate::limits::{MIB, peak_memory};
use crate::stdio::Program;
use crate::{shop_server, shop_server_with};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// How often nonsense is said.
const MANY: usize = 10_000;

/// What a server may have in memory while a client doesn't read.
const MOST_MEMORY: u64 = 120 * MIB;

/// A new client gets an answer, whatever became of the others.
async fn still_serves(server: &McpServer) {
    assert_eq!(Client::open(server).await.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

/// Nonsense of many kinds; each deserves an answer.
fn nonsense(number: usize) -> &'static str {
    ["nonsense", "{", "[]", "null", "{\"jsonrpc\":\"1.0\"}", "{\"jsonrpc\":\"2.0\",\"id\":1}", "[[[[[[[["][number % 7]
}

/// A call whose answer is some 200 KB.
fn big_call() -> Value {
    json!({ "name": "run_sql", "arguments": { "query": "SELECT repeat('x', 190000) AS x" }, "_meta": { "pgmcp/structuredOnly": true } })
}

#[tokio::test]
async fn much_nonsense_over_websocket_is_answered_piece_by_piece() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let mut other = Client::open(&server).await;
    other.rows("SELECT 1", json!([])).await;
    let before = peak_memory(server.pid());
    for round in 0..MANY / 100 {
        for number in 0..100 {
            client.send(nonsense(round * 100 + number)).await;
        }
        for _ in 0..100 {
            assert!(client.receive().await["error"]["code"].as_i64().is_some_and(|code| code <= -32600));
        }
    }
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    assert_eq!(other.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    assert!(peak_memory(server.pid()) < before + 8 * MIB);
}

#[tokio::test]
async fn much_nonsense_over_stdio_is_answered_piece_by_piece() {
    let mut program = Program::open(&[]).await;
    for round in 0..MANY / 100 {
        for number in 0..100 {
            program.send(nonsense(round * 100 + number)).await;
        }
        for _ in 0..100 {
            assert!(program.receive().await["error"]["code"].as_i64().is_some_and(|code| code <= -32600));
        }
    }
    assert_eq!(program.request("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn much_nonsense_over_http_is_answered_piece_by_piece() {
    let server = shop_server().await;
    let mut client = HttpClient::open(&server).await;
    client.run("SELECT 1").await;
    let before = peak_memory(server.pid());
    for number in 0..MANY {
        let answer = client.post(nonsense(number)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.message()["error"]["code"].as_i64().is_some_and(|code| code <= -32600), "{answer:?}");
    }
    assert_eq!(client.run("SELECT 1").await.message()["result"]["isError"], false);
    assert!(peak_memory(server.pid()) < before + 8 * MIB);
}

#[tokio::test]
async fn bodies_over_http_are_measured_and_must_be_text() {
    let server = shop_server_with(&[("MAX_MESSAGE_BYTES", "2000")]).await;
    let mut client = HttpClient::open(&server).await;
    let long = client.message("ping", json!({ "x": "x".repeat(3000) }));
    assert_eq!(client.post(&long).await.status, 413);
    // Nobody says how long this one is.
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("x".repeat(3000))]);
    let endless = client.posted("").body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(endless.status().as_u16(), 413);
    let binary = client.posted("").body(vec![b'{', 0xff, b'}']).send().await.unwrap();
    assert_eq!(binary.status().as_u16(), 400);
    let fault: Value = binary.json().await.unwrap();
    assert_eq!(fault["error"]["code"], -32700);
    let other_type = reqwest::Client::new().post(server.http_url("/mcp")).header("x-api-key", server.api_key());
    let other_type = other_type.header("accept", "application/json, text/event-stream").body(PING);
    assert_eq!(other_type.header("content-type", "text/plain").send().await.unwrap().status().as_u16(), 415);
    assert_eq!(client.run("SELECT 1").await.status, 200);
}

#[tokio::test]
async fn text_that_is_not_utf8_ends_its_websocket_and_no_other() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    client.send_frame(Message::Frame(frame)).await;
    assert_eq!(client.close_code().await, Some(CloseCode::Invalid));
    still_serves(&server).await;
}

#[tokio::test]
async fn requests_before_initialize_are_told_what_is_missing() {
    let server = shop_server().await;
    let code = |answer: &Value| answer["error"]["code"].clone();
    let mut socket = Client::connect(&server).await;
    socket.receive().await;
    assert_eq!(code(&socket.request("tools/list", json!({})).await), -32602);
    socket.initialize("2025-11-25").await;
    let mut sse = SseClient::connect(&server).await;
    sse.start("tools/list", json!({})).await;
    assert_eq!(code(&sse.events.message().await), -32602);
    let mut http = HttpClient::new(&server);
    let answer = http.request("tools/list", json!({})).await;
    assert_eq!((answer.status, answer.body.as_str()), (400, "Bad Request: Session ID is required"));
}

#[tokio::test]
async fn an_unknown_revision_gets_the_newest_that_is_known() {
    let server = shop_server().await;
    let mut socket = Client::connect(&server).await;
    socket.receive().await;
    assert_eq!(socket.initialize("1999-01-01").await["result"]["protocolVersion"], "2025-11-25");
    let opened = HttpClient::new(&server).initialize("1999-01-01").await;
    assert_eq!(opened.message()["result"]["protocolVersion"], "2025-11-25", "{opened:?}");
    let client = HttpClient::open(&server).await;
    let ping = client.posted(PING).header("mcp-protocol-version", "1999-01-01");
    assert_eq!(ping.send().await.unwrap().status().as_u16(), 400);
}

#[tokio::test]
async fn connections_that_say_half_of_something_are_ended() {
    let server = shop_server().await;
    let key = server.api_key();
    let head = format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n");
    let rest =
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let halves = ["GET /mc".to_owned(), head.clone(), head + rest];
    let mut sockets = Vec::new();
    for half in halves {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(half.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    still_serves(&server).await;
    for mut socket in sockets {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(45), socket.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "it is ended, also where nothing is said");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_client_that_floods_and_never_reads_takes_little_memory_over_websocket() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    for _ in 0..200 {
        client.start("tools/call", big_call()).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    stays_small(&server).await;
}

#[tokio::test]
async fn a_client_that_floods_and_never_reads_takes_little_memory_over_sse() {
    let server = shop_server().await;
    let client = SseClient::open(&server).await;
    let call = json!({ "jsonrpc": "2.0", "method": "tools/call", "params": big_call() });
    for id in 0..200 {
        let mut call = call.clone();
        call["id"] = json!(id + 1000);
        // Once the stream stands still, so does what is posted; then it is gone.
        let post = tokio::time::timeout(Duration::from_secs(1), client.post(&call.to_string())).await;
        if post.is_err() {
            break;
        }
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    stays_small(&server).await;
    until("the stream is ended", async || client.post(PING).await.0 == 404).await;
}

#[tokio::test]
async fn a_client_that_floods_and_never_reads_takes_little_memory_over_http() {
    let server = shop_server().await;
    let mut client = HttpClient::open(&server).await;
    let session = client.session.clone().unwrap();
    let mut sockets = Vec::new();
    for _ in 0..200 {
        let body = client.message("tools/call", big_call());
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {}\r\nMcp-Session-Id: {session}\r\n\
             Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            server.api_key(),
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    stays_small(&server).await;
    drop(sockets);
}

/// The server has little in memory, and others are served.
async fn stays_small(server: &McpServer) {
    let peak = peak_memory(server.pid());
    eprintln!("the server's memory was {} MiB at most", peak / MIB);
    assert!(peak < MOST_MEMORY, "{} MiB", peak / MIB);
    still_serves(server).await;
    let mut http = HttpClient::open(server).await;
    assert_eq!(http.run("SELECT 1").await.message()["result"]["isError"], false);
}

#[tokio::test]
async fn a_reader_that_stands_still_loses_its_connection() {
    let server = shop_server().await;
    let mut client = HttpClient::open(&server).await;
    let call = json!({
        "name": "run_sql", "arguments": { "query": "SELECT repeat('x', 15000000) AS x" },
        "_meta": { "pgmcp/structuredOnly": true, "pgmcp/maxPageBytes": 16_000_000 },
    });
    let body = client.message("tools/call", call);
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {}\r\nMcp-Session-Id: {}\r\n\
         Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.api_key(),
        client.session.as_ref().unwrap(),
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    // Its own connection would be closed, too, for idling.
    drop(client);
    let connections = async || {
        let metrics = reqwest::Client::new().get(server.http_url("/metrics")).header("x-api-key", server.api_key());
        let metrics = metrics.header("connection", "close").send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("pgmcp_http_connections ")).unwrap().to_owned();
        line.parse::<f64>().unwrap()
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let open = connections().await;
    until("the connection is dropped", async || connections().await < open).await;
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(rest.len() < 15_000_000, "{} bytes", rest.len());
}
