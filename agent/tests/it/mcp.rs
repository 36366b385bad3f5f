//! An mcp-server that reads a script: a real WebSocket server with one database, whose `run_sql` answers what a test says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// What `run_sql` answers.
pub(crate) enum Outcome {
    /// These rows, as JSON text.
    Rows(&'static str),
    /// A failure with this code and message.
    Failure(&'static str, &'static str),
    /// Nothing, ever.
    Silence,
}

/// A running server; it stops when dropped.
pub(crate) struct ScriptedMcp {
    address: SocketAddr,
    script: Arc<Mutex<VecDeque<Outcome>>>,
    catalog_reads: Arc<AtomicUsize>,
    said: mpsc::UnboundedReceiver<Value>,
    server: JoinHandle<()>,
}

impl ScriptedMcp {
    pub(crate) async fn start(script: impl IntoIterator<Item = Outcome>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let catalog_reads = Arc::new(AtomicUsize::new(0));
        let (say, said) = mpsc::unbounded_channel();
        let server = tokio::spawn({
            let (script, catalog_reads) = (Arc::clone(&script), Arc::clone(&catalog_reads));
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let session = Session {
                        script: Arc::clone(&script),
                        catalog_reads: Arc::clone(&catalog_reads),
                        say: say.clone(),
                    };
                    tokio::spawn(session.run(socket));
                }
            }
        });
        Self { address, script, catalog_reads, said, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/mcp", self.address)
    }

    /// Outcomes that no call has taken yet.
    pub(crate) fn remaining(&self) -> usize {
        self.script.lock().unwrap().len()
    }

    /// How often the catalog was read.
    pub(crate) fn catalog_reads(&self) -> usize {
        self.catalog_reads.load(Ordering::SeqCst)
    }

    /// The next `run_sql` call or cancellation that the agent sent.
    pub(crate) async fn next(&mut self) -> Value {
        let wait = tokio::time::timeout(crate::stack::PATIENCE, self.said.recv());
        wait.await.expect("the agent says something").expect("the server runs")
    }
}

impl Drop for ScriptedMcp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Session {
    script: Arc<Mutex<VecDeque<Outcome>>>,
    catalog_reads: Arc<AtomicUsize>,
    say: mpsc::UnboundedSender<Value>,
}

impl Session {
    async fn run(self, socket: TcpStream) {
        let echo = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            response.headers_mut().insert("sec-websocket-protocol", http::HeaderValue::from_static("mcp"));
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(socket, echo).await else { return };
        let tools = json!([{ "name": "run_sql", "inputSchema": { "type": "object" } }]);
        let push =
            json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": { "tools": tools } });
        send(&mut socket, push.to_string()).await;
        while let Some(Ok(frame)) = socket.next().await {
            let Message::Text(text) = frame else { continue };
            let message: Value = serde_json::from_str(text.as_str()).unwrap();
            if let Some(result) = self.result(&message) {
                send(&mut socket, format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, message["id"])).await;
            }
        }
    }

    fn result(&self, message: &Value) -> Option<String> {
        match message["method"].as_str()? {
            "initialize" => Some(json!({ "protocolVersion": message["params"]["protocolVersion"] }).to_string()),
            "resources/list" => {
                Some(json!({ "resources": [{ "uri": "postgres://shop/catalog", "name": "shop" }] }).to_string())
            }
            "resources/read" => {
                self.catalog_reads.fetch_add(1, Ordering::SeqCst);
                Some(json!({ "contents": [{ "uri": "", "text": catalog().to_string() }] }).to_string())
            }
            "notifications/cancelled" => {
                let _ = self.say.send(message.clone());
                None
            }
            "tools/call" if message["params"]["arguments"]["query"] == "SELECT 1" => {
                Some(success(r#"[{"?column?":1}]"#))
            }
            "tools/call" => {
                let _ = self.say.send(message.clone());
                match self.script.lock().unwrap().pop_front().expect("the script has an outcome left") {
                    Outcome::Rows(rows) => Some(success(rows)),
                    Outcome::Failure(code, message) => Some(failure(code, message)),
                    Outcome::Silence => None,
                }
            }
            _ => None,
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, text: String) {
    // Fails when the agent has gone, and then nobody minds.
    let _ = socket.send(Message::text(text)).await;
}

fn success(rows: &str) -> String {
    let count = serde_json::from_str::<Vec<Value>>(rows).unwrap().len();
    format!(
        r#"{{"content":[],"structuredContent":{{"rows":{rows},"rowCount":{count},"executionTimeMs":1.5,"columns":[{{"name":"id","type":"int8"}}],"truncated":false}},"isError":false}}"#
    )
}

fn failure(code: &str, message: &str) -> String {
    let error = json!({ "code": code, "message": message, "suggestion": "Do it otherwise.", "context": null });
    let failure = json!({ "error": error, "tool_name": "run_sql", "input_received": {} });
    json!({ "content": [], "structuredContent": failure, "isError": true }).to_string()
}

fn catalog() -> Value {
    let column = |name: &str, data_type: &str| {
        json!({
            "name": name, "data_type": data_type, "type_definition": null, "is_nullable": false, "default_value": null,
            "description": null, "is_primary_key": name == "id", "is_unique": false, "enum_values": null,
            "is_generated": false, "is_identity": false,
        })
    };
    json!({
        "fingerprint": "f1", "database": "shop", "description": null, "server_version": "15.0", "timezone": "UTC",
        "search_path": ["public"], "samples": "complete", "functions": [], "next_cursor": null,
        "tables": [{
            // Longer than the smallest budget of a prompt.
            "table_name": "users", "schema_name": "public", "type": "table", "description": "Whoever buys. ".repeat(50),
            "columns": [column("id", "bigint"), column("name", "text")], "indexes": [], "constraints": [],
            "foreign_keys": [], "estimated_row_count": 3, "partition_count": null,
        }],
    })
}
