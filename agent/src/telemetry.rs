//! The metrics, and which libraries must not log.

use anyhow::Context;
use daemon::log::Quiet;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Names of the metrics.
pub mod metric {
    /// Counter of HTTP requests by `route`, `method` and `status`.
    pub const HTTP_REQUESTS: &str = "agent_http_requests_total";
    /// Histogram of HTTP requests' seconds by `route`.
    pub const HTTP_SECONDS: &str = "agent_http_request_duration_seconds";
    /// Gauge of open HTTP connections.
    pub const HTTP_CONNECTIONS: &str = "agent_http_connections";
    /// Histogram of pipeline stages' seconds by `stage` and `outcome`.
    pub const STAGE_SECONDS: &str = "agent_stage_duration_seconds";
    /// Counter of statements that didn't stand, by `code`.
    pub const REFUSALS: &str = "agent_refused_statements_total";
    /// Gauge: 1 while the link to mcp-server is up, else 0.
    pub const LINK_UP: &str = "agent_link_up";
    /// Counter of connections made to mcp-server.
    pub const LINK_CONNECTS: &str = "agent_link_connects_total";
    /// Counter of calls sent a second time because the link broke.
    pub const LINK_RESENDS: &str = "agent_link_resends_total";
    /// Counter of calls cancelled at mcp-server.
    pub const LINK_CANCELS: &str = "agent_link_cancels_total";
    /// Counter of tokens by `kind` (`prompt`, `completion`).
    pub const LLM_TOKENS: &str = "agent_llm_tokens_total";
    /// Counter of calls to the language model by `outcome`.
    pub const LLM_CALLS: &str = "agent_llm_calls_total";
}

/// Upper bounds of the histograms' buckets, in seconds.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 180.0];

/// Libraries that log whole messages, with rows, questions and answers in them: they stay quiet whatever `LOG_LEVEL` says.
pub const QUIET: &[Quiet] = &[
    Quiet::off("jsonrpsee-client"),
    Quiet::off("async_openai"),
    Quiet::warn("tungstenite"),
    Quiet::warn("tokio_tungstenite"),
    Quiet::warn("hyper"),
    Quiet::warn("reqwest"),
    Quiet::warn("rustls"),
    Quiet::warn("h2"),
];

/// Starts the metrics of the whole process; the handle renders what /metrics answers.
///
/// # Errors
/// Where a recorder was installed before.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .context("choose histogram buckets")?
        .install_recorder()
        .context("install the metrics recorder")?;
    describe();
    Ok(metrics)
}

fn describe() {
    describe_counter!(metric::HTTP_REQUESTS, "HTTP requests");
    describe_histogram!(metric::HTTP_SECONDS, Unit::Seconds, "Time to answer HTTP requests");
    describe_gauge!(metric::HTTP_CONNECTIONS, "Open HTTP connections");
    describe_histogram!(metric::STAGE_SECONDS, Unit::Seconds, "Time of one pipeline stage");
    describe_counter!(metric::REFUSALS, "Statements that the guard or the server refused, or that failed");
    describe_gauge!(metric::LINK_UP, "1 while the link to mcp-server is up");
    describe_counter!(metric::LINK_CONNECTS, "Connections made to mcp-server");
    describe_counter!(metric::LINK_RESENDS, "Calls sent a second time because the link broke");
    describe_counter!(metric::LINK_CANCELS, "Calls cancelled at mcp-server");
    describe_counter!(metric::LLM_TOKENS, "Tokens that the language model took");
    describe_counter!(metric::LLM_CALLS, "Calls to the language model");
}
