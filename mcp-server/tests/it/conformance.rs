//! The conformance suite of the MCP project: against an example server that has what its scenarios name, and against mcp-server.
//!
//! What fails is listed in `mcp-server/tests/conformance/`, with a reason for each line. The suite fails for whatever fails and isn't
//! listed, and for whatever is listed and passes.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use harness::process::Process;
use harness::{random_secret, repository_file};
use http::HeaderValue;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared_protocol::endpoint::{API_KEY_HEADER, MCP_PATH};
use tokio::net::{TcpListener, TcpStream};

use crate::clients::installed;
use crate::http_client::{Events, HttpClient};
use crate::shop_server_with;

/// All scenarios for servers that there are.
const SCENARIOS: usize = 32;

/// Longest that they may take together.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn the_transports_conform_with_a_server_that_has_everything() {
    let door = Door::open().await;
    let (_server, address, key) = example(&door.origin()).await;
    conforms(&door.to(address, &key), "transports.yml").await;
}

#[tokio::test]
async fn mcp_server_conforms_with_what_it_has() {
    let door = Door::open().await;
    let server = shop_server_with(&[("WS_ALLOWED_ORIGINS", &door.origin())]).await;
    let url = door.to(server.address, server.api_key());
    conforms(&url, "mcp-server.yml").await;
}

#[tokio::test]
async fn what_a_call_asks_and_tells_reaches_a_client_that_has_no_other_stream() {
    let (_server, address, key) = example("").await;
    let mut client = HttpClient::at(format!("http://{address}{MCP_PATH}"), &key);
    client.initialize("2025-11-25").await;

    let call = json!({ "name": "test_sampling", "arguments": { "prompt": "Who is there?" } });
    let call = client.message("tools/call", call);
    let mut events = Events::of(client.posted(&call).send().await.unwrap());
    let asked = events.message().await;
    assert_eq!(asked["method"], "sampling/createMessage", "{asked}");
    let said = json!({ "role": "assistant", "content": { "type": "text", "text": "A model." }, "model": "test" });
    let said = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": said });
    assert_eq!(client.post(&said.to_string()).await.status, 202);
    let result = events.message().await;
    assert!(result["result"]["content"][0]["text"].as_str().unwrap().contains("A model."), "{result}");

    let logged = client.request("tools/call", json!({ "name": "test_tool_with_logging" })).await;
    let messages: Vec<Value> = logged.messages().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let methods: Vec<_> = messages.iter().map(|message| message["method"].as_str()).collect();
    let log = Some("notifications/message");
    assert_eq!(methods, [log, log, log, None], "{logged:?}");
}

/// The example server for clients of this origin: its process, its address and its key.
async fn example(origin: &str) -> (Process, SocketAddr, String) {
    let key = random_secret();
    let env = [
        ("LOG_FORMAT", "json"),
        ("WS_HOST", "127.0.0.1"),
        ("WS_PORT", "0"),
        ("WS_API_KEY", &key),
        ("WS_ALLOWED_ORIGINS", origin),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut server = Process::start("examples/conformance", &env).unwrap();
    let address = server.listening().await.unwrap();
    (server, address, key)
}

/// Runs the suite, which fails but for what `expected_failures` lists.
async fn conforms(url: &str, expected_failures: &str) {
    let suite = installed("PGMCP_NODE_MODULES").join("@modelcontextprotocol/conformance/dist/index.js");
    let run = tokio::process::Command::new(installed("PGMCP_NODE"))
        .arg(suite)
        .args(["server", "--suite", "all", "--url", url, "--expected-failures"])
        .arg(repository_file("mcp-server/tests/conformance").join(expected_failures))
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.expect("the suite ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{}", output.status);
    let ran = said.lines().filter(|line| line.starts_with("=== Running scenario: ")).count();
    assert_eq!(ran, SCENARIOS, "the suite has other scenarios now");
}

/// The suite can't show a key: it comes through here, where its requests get one.
struct Door(TcpListener);

/// Where requests go, and with which key.
#[derive(Clone)]
struct Behind {
    address: SocketAddr,
    key: HeaderValue,
}

impl Door {
    async fn open() -> Self {
        Self(TcpListener::bind(("127.0.0.1", 0)).await.unwrap())
    }

    /// The origin that a web page from here would have.
    fn origin(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// The MCP endpoint at `address`, as it is reached through the door.
    fn to(self, address: SocketAddr, key: &str) -> String {
        let url = format!("{}{MCP_PATH}", self.origin());
        let router = Router::new().fallback(pass).with_state(Behind { address, key: key.parse().unwrap() });
        tokio::spawn(axum::serve(self.0, router).into_future());
        url
    }
}

/// Passes a request on with everything that it came with, and its answer back as it comes.
async fn pass(State(behind): State<Behind>, mut request: Request) -> Response {
    request.headers_mut().insert(API_KEY_HEADER, behind.key);
    let socket = TcpStream::connect(behind.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap().map(Body::new)
}
