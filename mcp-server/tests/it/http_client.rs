//! A plain client of Streamable HTTP: shows every status, header and byte as it came.

use std::time::Duration;

use harness::{McpServer, PATIENCE};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::client::is_news;

/// A client with a key, and a session once it has opened one.
pub(crate) struct HttpClient {
    http: reqwest::Client,
    url: String,
    key: String,
    pub(crate) session: Option<String>,
    next_id: i64,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answered {
    /// The messages in it: the body itself, or each event's data.
    pub(crate) fn messages(&self) -> Vec<&str> {
        match self.content_type.starts_with("text/event-stream") {
            true => self.body.lines().filter_map(data).collect(),
            false => vec![&self.body],
        }
    }

    /// The last message.
    pub(crate) fn message(&self) -> Value {
        let last = self.messages().pop().unwrap_or_else(|| panic!("a message in {self:?}"));
        serde_json::from_str(last).unwrap_or_else(|_| panic!("a message in {self:?}"))
    }
}

/// What an event's line carries, where it carries anything.
pub(crate) fn data(line: &str) -> Option<&str> {
    line.strip_prefix("data:").map(str::trim_start).filter(|data| !data.is_empty())
}

impl HttpClient {
    /// With the server's key.
    pub(crate) fn new(server: &McpServer) -> Self {
        Self::with_key(server, server.api_key())
    }

    /// With another key.
    pub(crate) fn with_key(server: &McpServer, key: &str) -> Self {
        Self::at(server.http_url("/mcp"), key)
    }

    /// Of another server.
    pub(crate) fn at(url: String, key: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, url, key: key.to_owned(), session: None, next_id: 1 }
    }

    /// The same with the session opened.
    pub(crate) async fn open(server: &McpServer) -> Self {
        let mut client = Self::new(server);
        client.initialize("2025-11-25").await;
        client
    }

    /// Opens a session where the server keeps any; what it answered.
    pub(crate) async fn initialize(&mut self, revision: &str) -> Answered {
        let client = json!({ "name": "it", "version": "1" });
        let params = json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client });
        let text = self.message("initialize", params);
        let response = self.posted(&text).send().await.unwrap();
        self.session = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let answered = whole(response).await;
        if answered.status == 200 {
            let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
            assert_eq!(self.post(&initialized).await.status, 202);
        }
        answered
    }

    /// A POST of this text with the headers that belong to it, not sent yet.
    pub(crate) fn posted(&self, text: &str) -> RequestBuilder {
        let request = self.with_headers(self.http.post(&self.url));
        request.header("content-type", "application/json").body(text.to_owned())
    }

    /// A GET or DELETE with the headers that belong to it, not sent yet.
    pub(crate) fn with_method(&self, method: reqwest::Method) -> RequestBuilder {
        self.with_headers(self.http.request(method, &self.url))
    }

    fn with_headers(&self, request: RequestBuilder) -> RequestBuilder {
        let accept = "application/json, text/event-stream";
        let request = request.header("accept", accept).header("x-api-key", &self.key);
        match &self.session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        }
    }

    /// Posts text as it is.
    pub(crate) async fn post(&self, text: &str) -> Answered {
        whole(self.posted(text).send().await.unwrap()).await
    }

    /// A request with an id of its own.
    pub(crate) fn message(&mut self, method: &str, params: Value) -> String {
        let id = self.next_id;
        self.next_id += 1;
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    }

    /// The answer to a request.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Answered {
        let text = self.message(method, params);
        self.post(&text).await
    }

    /// The answer to a call of `run_sql`.
    pub(crate) async fn run(&mut self, query: &str) -> Answered {
        self.request("tools/call", json!({ "name": "run_sql", "arguments": { "query": query } })).await
    }
}

async fn whole(response: Response) -> Answered {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    Answered { status, content_type: content_type.unwrap_or_default(), body: response.text().await.unwrap() }
}

/// The events of an open stream, one by one.
pub(crate) struct Events {
    response: Response,
    text: String,
    /// Whether news of what there is to see are passed on: they come when they come.
    pub(crate) hears_news: bool,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status().as_u16(), 200);
        Self { response, text: String::new(), hears_news: true }
    }

    /// What the next event carries; nothing where the stream ends.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let next = async {
            loop {
                while let Some(end) = self.text.find('\n') {
                    let line: String = self.text.drain(..=end).collect();
                    if let Some(data) = data(line.trim_end()).filter(|data| self.hears_news || !is_news(data)) {
                        return Some(data.to_owned());
                    }
                }
                let chunk = self.response.chunk().await.ok()??;
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("an event in time")
    }

    /// The next event's message.
    pub(crate) async fn message(&mut self) -> Value {
        serde_json::from_str(&self.next().await.expect("the stream goes on")).unwrap()
    }
}
