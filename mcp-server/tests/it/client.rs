//! A plain WebSocket client: shows every frame as it came, so that tests see digits and order.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use harness::{McpServer, PATIENCE};
use jsonschema::Validator;
use serde_json::{Value, json};
use shared_protocol::tool::run_sql::RunSqlOutput;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A connection, opened or not.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: i64,
    schemas: HashMap<String, Validator>,
    hears_news: bool,
}

/// The handshake with these headers.
pub(crate) async fn handshake(
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, Response), Error> {
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request).await
}

impl Client {
    /// A connection with the server's key and the session opened.
    pub(crate) async fn open(server: &McpServer) -> Self {
        let mut client = Self::connect(server).await;
        let push = client.receive().await;
        assert_eq!(push["method"], "notifications/tools/list_changed", "the registry comes first");
        client.initialize("2025-11-25").await;
        client
    }

    /// A connection with another key that the server knows, and the session opened.
    pub(crate) async fn open_with_key(server: &McpServer, key: &str) -> Self {
        let mut client = Self::connect_with_key(server, key).await;
        client.receive().await;
        client.initialize("2025-11-25").await;
        client
    }

    /// The same, but for news of what there is to see, which an opened connection passes over otherwise: they come when they come.
    pub(crate) fn hearing_news(self) -> Self {
        Self { hears_news: true, ..self }
    }

    /// A connection with another key that the server knows, nothing received yet.
    pub(crate) async fn connect_with_key(server: &McpServer, key: &str) -> Self {
        let (socket, _) = handshake(&server.ws_url(), &[("x-api-key", key)]).await.unwrap();
        Self { socket, next_id: 1, schemas: HashMap::new(), hears_news: true }
    }

    /// A connection with the server's key, nothing received yet.
    pub(crate) async fn connect(server: &McpServer) -> Self {
        let (socket, _) = handshake(&server.ws_url(), &[("x-api-key", server.api_key())]).await.unwrap();
        Self { socket, next_id: 1, schemas: HashMap::new(), hears_news: true }
    }

    /// Opens the session at this revision; what the server answered. News of what there is to see are passed over from then on.
    pub(crate) async fn initialize(&mut self, revision: &str) -> Value {
        let params =
            json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "it", "version": "1" } });
        let answer = self.request("initialize", params).await;
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string()).await;
        // From now on they come when they come.
        self.hears_news = false;
        answer
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends any frame; a connection that the server has closed meanwhile is no failure.
    pub(crate) async fn send_frame(&mut self, frame: Message) {
        let _ = self.socket.send(frame).await;
    }

    /// Sends a request without waiting for its answer; its id.
    pub(crate) async fn start(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()).await;
        id
    }

    /// The text of the answer to a request.
    pub(crate) async fn request_text(&mut self, method: &str, params: Value) -> String {
        let id = self.start(method, params).await;
        loop {
            let text = self.receive_text().await;
            if serde_json::from_str::<Value>(&text).unwrap()["id"] == id {
                return text;
            }
        }
    }

    /// The answer to a request.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        serde_json::from_str(&self.request_text(method, params).await).unwrap()
    }

    /// A tool as the server lists it.
    pub(crate) async fn tool(&mut self, name: &str) -> Value {
        let list = self.request("tools/list", json!({})).await;
        let tools = list["result"]["tools"].as_array().unwrap();
        tools.iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("{name} in {list}")).clone()
    }

    /// The result of `run_sql` with these arguments, structured content alone: its text, and whether it is an error.
    pub(crate) async fn run(&mut self, arguments: Value) -> (String, bool) {
        self.run_tool("run_sql", arguments).await
    }

    /// What a tool answers, structured content alone, be it an error or not.
    pub(crate) async fn use_tool(&mut self, name: &str, arguments: Value) -> Value {
        serde_json::from_str(&self.run_tool(name, arguments).await.0).unwrap()
    }

    async fn run_tool(&mut self, name: &str, arguments: Value) -> (String, bool) {
        let params = json!({ "name": name, "arguments": arguments, "_meta": { "pgmcp/structuredOnly": true } });
        let text = self.request_text("tools/call", params).await;
        let answer: shared_protocol::envelope::Response<'_, shared_protocol::envelope::ToolResult> =
            serde_json::from_str(&text).unwrap();
        match answer.payload {
            jsonrpsee_types::ResponsePayload::Success(result) => {
                let content = result.structured_content.as_ref().unwrap().get().to_owned();
                (content, result.is_error)
            }
            jsonrpsee_types::ResponsePayload::Error(error) => panic!("{error:?}"),
        }
    }

    /// The same as a value, whichever it is.
    pub(crate) async fn answer(&mut self, arguments: Value) -> Value {
        serde_json::from_str(&self.run(arguments).await.0).unwrap()
    }

    /// What a tool answers, and whether that is an error; in either case as the tool's own output schema has it.
    pub(crate) async fn try_call(&mut self, name: &str, arguments: Value) -> (Value, bool) {
        if !self.schemas.contains_key(name) {
            let schema = jsonschema::validator_for(&self.tool(name).await["outputSchema"]).unwrap();
            self.schemas.insert(name.to_owned(), schema);
        }
        let answer = self.request("tools/call", json!({ "name": name, "arguments": arguments })).await;
        let content = answer["result"]["structuredContent"].clone();
        let wrong: Vec<String> = self.schemas[name].iter_errors(&content).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{name} {arguments}: {answer}: {wrong:?}");
        (content, answer["result"]["isError"] == true)
    }

    /// What a tool answers that must succeed.
    pub(crate) async fn call(&mut self, name: &str, arguments: Value) -> Value {
        let (content, is_error) = self.try_call(name, arguments.clone()).await;
        assert!(!is_error, "{name} {arguments}: {content}");
        content
    }

    /// The rows of a statement that must succeed.
    pub(crate) async fn rows(&mut self, query: &str, params: Value) -> RunSqlOutput {
        let (content, is_error) = self.run(json!({ "query": query, "params": params })).await;
        assert!(!is_error, "{query}: {content}");
        serde_json::from_str(&content).unwrap()
    }

    /// The error of a statement that must fail.
    pub(crate) async fn error(&mut self, arguments: Value) -> Value {
        let (content, is_error) = self.run(arguments.clone()).await;
        assert!(is_error, "{arguments}: {content}");
        serde_json::from_str::<Value>(&content).unwrap()["error"].clone()
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.receive_text().await).unwrap()
    }

    /// The text of the next message.
    pub(crate) async fn receive_text(&mut self) -> String {
        loop {
            match self.next_frame().await {
                Some(Ok(Message::Text(text))) if !self.hears_news && is_news(&text) => {}
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// Reads to the end of the connection; the code it was closed with.
    pub(crate) async fn close_code(&mut self) -> Option<CloseCode> {
        loop {
            match self.next_frame().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn next_frame(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the server says something in time")
    }
}

/// Whether a message says that there is something else to see than before.
pub(crate) fn is_news(text: &str) -> bool {
    let is_it = |message: Value| message["method"].as_str().is_some_and(|method| method.ends_with("/list_changed"));
    text.contains("list_changed") && serde_json::from_str(text).is_ok_and(is_it)
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what} in time"));
}
