//! A language model that reads a script: a real HTTP server that speaks the part of OpenAI's chat API which the agent
//! uses, checks what it is sent, answers with the next reply of the script, and keeps every request for the test.

mod reply;
mod request;

pub use reply::Reply;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running stand-in for a language model. It stops when dropped.
pub struct ScriptedLlm {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    server: JoinHandle<()>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null where it wasn't JSON.
    pub body: Value,
    /// Why it was refused, if it was: no chat request, or nothing left in the script.
    pub refusal: Option<String>,
}

impl RecordedRequest {
    /// Contents of the messages of one role (`system`, `user`, `assistant`, `tool`), in order; those without text are
    /// left out.
    pub fn contents(&self, role: &str) -> Vec<&str> {
        let messages = self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        messages
            .iter()
            .filter(|message| message["role"] == role)
            .filter_map(|message| message["content"].as_str())
            .collect()
    }

    /// Names of the tools that were offered.
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        tools.iter().filter_map(|tool| tool["function"]["name"].as_str()).collect()
    }
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    requests: Vec<RecordedRequest>,
}

impl ScriptedLlm {
    /// Starts it on a free port of loopback, with an empty script.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&script));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the scripted language model stopped: {error}");
            }
        });
        Self { address, script, server }
    }

    /// What `LLM_BASE_URL` is set to: `http://127.0.0.1:port/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a reply to the end of the script. Each request takes one.
    pub fn push(&self, reply: Reply) {
        lock(&self.script).replies.push_back(reply);
    }

    /// Every request so far, oldest first, the refused ones too.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.script).requests.clone()
    }

    /// Replies that no request has taken yet.
    pub fn remaining(&self) -> usize {
        lock(&self.script).replies.len()
    }
}

impl Drop for ScriptedLlm {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn complete(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: Bytes) -> Response {
    let (body, checked) = match serde_json::from_slice::<Value>(&body) {
        Ok(body) => (body.clone(), request::check(&body)),
        Err(cause) => (Value::Null, Err(format!("the body is not JSON: {cause}"))),
    };
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let prompt_chars = body["messages"].to_string().chars().count();
    let reply = lock(&script).take_reply(headers, body, checked);
    match reply {
        Ok(reply) => reply.into_response(&model, prompt_chars).await,
        Err((status, why)) => error(status, &why),
    }
}

impl Script {
    /// The next reply for a good request, else status and reason; the request is kept either way.
    fn take_reply(
        &mut self,
        headers: HeaderMap,
        body: Value,
        checked: Result<(), String>,
    ) -> Result<Reply, (StatusCode, String)> {
        let reply = match checked {
            Err(why) => Err((StatusCode::BAD_REQUEST, why)),
            Ok(()) => self
                .replies
                .pop_front()
                .ok_or_else(|| (StatusCode::INTERNAL_SERVER_ERROR, "the script has no reply left".to_owned())),
        };
        let refusal = reply.as_ref().err().map(|(_, why)| why.clone());
        self.requests.push(RecordedRequest { headers, body, refusal });
        reply
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}});
    (status, axum::Json(body)).into_response()
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(llm: &ScriptedLlm, body: &str) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/chat/completions", llm.base_url());
        let response = client.post(url).body(body.to_owned()).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
    }

    fn question() -> String {
        let tool = json!({"type": "function", "function": {"name": "submit_sql", "parameters": {"type": "object"}}});
        let user = json!({"role": "user", "content": "how many?"});
        json!({"model": "m", "messages": [user], "tools": [tool], "tool_choice": "required"}).to_string()
    }

    #[tokio::test]
    async fn answers_from_the_script_and_says_when_it_ran_dry() {
        let llm = ScriptedLlm::start().await;
        llm.push(Reply::tool_call("submit_sql", json!({"sql": "SELECT 1"})));
        llm.push(Reply::text("I'd rather talk."));
        llm.push(Reply::status(429).with_header("retry-after", "1"));

        let (status, body) = ask(&llm, &question()).await;
        let call = &body["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(
            (status, &call["name"], &call["arguments"]),
            (200, &json!("submit_sql"), &json!(r#"{"sql":"SELECT 1"}"#))
        );
        assert_eq!(ask(&llm, &question()).await.1["choices"][0]["message"]["content"], "I'd rather talk.");
        assert_eq!(ask(&llm, &question()).await.0, 429);
        assert_eq!(llm.remaining(), 0);

        let (status, body) = ask(&llm, &question()).await;
        assert_eq!((status, &body["error"]["message"]), (500, &json!("the script has no reply left")));
        let requests = llm.requests();
        assert_eq!(
            (requests.len(), requests[0].contents("user"), requests[0].tools()),
            (4, vec!["how many?"], vec!["submit_sql"])
        );
        assert_eq!(requests[0].refusal, None);
        assert_eq!(requests[3].refusal.as_deref(), Some("the script has no reply left"));
    }

    #[tokio::test]
    async fn refuses_what_is_no_chat_request_and_keeps_the_script() {
        let llm = ScriptedLlm::start().await;
        llm.push(Reply::text("hello"));
        assert_eq!(ask(&llm, "{").await.0, 400);
        assert_eq!(ask(&llm, r#"{"model": "m"}"#).await.0, 400);
        assert_eq!((llm.remaining(), llm.requests().len()), (1, 2));
    }
}
