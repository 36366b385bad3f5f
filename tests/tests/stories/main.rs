//! The stories: both real programs on a real PostgreSQL, told from outside, over HTTP and WebSocket.

mod bad_weather;
mod callers;
mod command_line;
mod compose;
mod demo;
mod documents;
mod life_cycle;
mod llm;
mod query;
mod test_queries;
mod troubleshooting;

use harness::Agent;
use serde_json::{Value, json};

/// Status and body of a `POST /query`.
async fn ask(agent: &Agent, question: &str) -> (u16, Value) {
    post(agent, &json!({"question": question}).to_string()).await
}

/// Status and body of a `POST /query` with any body.
async fn post(agent: &Agent, body: &str) -> (u16, Value) {
    let request = client().post(agent.http_url("/query")).header("content-type", "application/json");
    let response = request.body(body.to_owned()).send().await.expect("the agent answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("the answer has a body");
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the answer {status}: {text}"));
    (status, body)
}

/// Status and text of a GET.
async fn get(url: &str) -> (u16, String) {
    let response = client().get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    (response.status().as_u16(), response.text().await.expect("the answer has a body"))
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a plain client can be built")
}
