//! The agent within the test's own process, on a port of its own.

use std::time::Duration;

use agent::app::App;
use agent::config::{Config, VARIABLES, command};
use daemon::settings::Source;
use harness::{Reply, ScriptedLlm};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::mcp::{Outcome, ScriptedMcp};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent.
pub(crate) struct Agent {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Agent {
    /// Starts it with these flags, on a free port of loopback.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let fixed = ["agent", "--ws-api-key", "0123456789abcdefghijkl", "--http-host", "127.0.0.1", "--http-port", "0"];
        let source = Source::from_parts(command(), VARIABLES, fixed.iter().chain(flags), |_| None).unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let app = App::bind(Config::from_source(source).unwrap(), metrics).await.unwrap();
        let url = format!("http://{}", app.address());
        let stop = CancellationToken::new();
        let run = tokio::spawn(app.run(stop.clone()));
        Self { url, client: reqwest::Client::builder().no_proxy().build().unwrap(), stop, run }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn ask(&self, body: Value) -> (u16, Value) {
        answer(self.client.post(format!("{}/query", self.url)).json(&body)).await
    }

    pub(crate) async fn ask_for_users(&self) -> (u16, Value) {
        self.ask(json!({ "question": "show all users" })).await
    }

    /// Tells it to stop, as SIGTERM does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped, as it should.
    pub(crate) async fn stopped(self) {
        self.ended().await.unwrap();
    }

    /// Waits until it has ended, for good or for bad.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        timeout(PATIENCE, self.run).await.expect("the agent stops").unwrap()
    }
}

/// Status and JSON body.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = timeout(PATIENCE, request.send()).await.expect("an answer comes").unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let expected = if status < 400 { "application/json" } else { "application/problem+json" };
    let body: Value = response.json().await.unwrap();
    if body.get("ready").is_none() {
        assert_eq!(kind, expected, "{body}");
    }
    (status, body)
}

/// A model's call of `submit_sql`.
pub(crate) fn submit(sql: &str, params: Value) -> Reply {
    Reply::tool_call("submit_sql", json!({ "sql": sql, "params": params, "explanation": "Users." }))
}

/// An agent between a model that says `replies` and a server that answers `outcomes`.
pub(crate) async fn stack(
    replies: impl IntoIterator<Item = Reply>,
    outcomes: impl IntoIterator<Item = Outcome>,
    flags: &[&str],
) -> (Agent, ScriptedLlm, ScriptedMcp) {
    let model = ScriptedLlm::start().await;
    for reply in replies {
        model.push(reply);
    }
    let server = ScriptedMcp::start(outcomes).await;
    let (base_url, ws_url) = (model.base_url(), server.url());
    let mut all = vec!["--llm-base-url", &base_url, "--llm-model", "m", "--ws-url", &ws_url];
    all.extend(flags);
    (Agent::start(&all).await, model, server)
}
