//! Every metric of the server: its name, its meaning, and the one place that records it.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const TOOL_CALLS: &str = "pgmcp_tool_calls_total";
const TOOL_SECONDS: &str = "pgmcp_tool_duration_seconds";
const RESULT_ROWS: &str = "pgmcp_result_rows_total";
const RUNNING_STATEMENTS: &str = "pgmcp_statements_running";
const CONNECTIONS: &str = "pgmcp_client_connections";
/// Gauge of open HTTP connections, upgraded ones left out.
pub const HTTP_CONNECTIONS: &str = "pgmcp_http_connections";
const HANDSHAKES_REFUSED: &str = "pgmcp_handshakes_refused_total";
const CATALOG_LOADS: &str = "pgmcp_catalog_loads_total";
const POLICY_FILE_OK: &str = "pgmcp_policy_file_ok";
const POOL_CONNECTIONS: &str = "pgmcp_pool_connections";

/// Upper bounds of the duration histogram's buckets, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0];

/// Starts recording; the handle renders what /metrics answers.
///
/// # Errors
/// Where a recorder was installed before.
pub fn start() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(TOOL_SECONDS.to_owned()), &BUCKETS)?;
    let handle = builder.install_recorder()?;
    describe_counter!(TOOL_CALLS, "Tool calls by tool and outcome (ok or the error's code)");
    describe_histogram!(TOOL_SECONDS, "Seconds that a tool call took, by tool");
    describe_counter!(RESULT_ROWS, "Rows returned by tool");
    describe_gauge!(RUNNING_STATEMENTS, "Statements running now");
    describe_gauge!(CONNECTIONS, "Client connections open now");
    describe_gauge!(HTTP_CONNECTIONS, "HTTP connections open now");
    describe_counter!(HANDSHAKES_REFUSED, "Handshakes refused, by reason");
    describe_counter!(CATALOG_LOADS, "Catalog loads by database and outcome");
    describe_gauge!(POLICY_FILE_OK, "1 while the policy file as it stands is in force, 0 while an older one is");
    describe_gauge!(POOL_CONNECTIONS, "Database connections open now, by database");
    Ok(handle)
}

/// Counts one tool call.
pub fn tool_call(tool: &'static str, outcome: &'static str, took: Duration, rows: u64) {
    counter!(TOOL_CALLS, "tool" => tool, "outcome" => outcome).increment(1);
    histogram!(TOOL_SECONDS, "tool" => tool).record(took.as_secs_f64());
    counter!(RESULT_ROWS, "tool" => tool).increment(rows);
}

/// One statement more or fewer is running.
pub fn running_statements(change: f64) {
    gauge!(RUNNING_STATEMENTS).increment(change);
}

/// One client more or fewer is connected.
pub fn client_connections(change: f64) {
    gauge!(CONNECTIONS).increment(change);
}

/// A handshake was refused.
pub fn handshake_refused(reason: &'static str) {
    counter!(HANDSHAKES_REFUSED, "reason" => reason).increment(1);
}

/// A catalog was loaded, or wasn't.
pub fn catalog_load(database: &str, loaded: bool) {
    counter!(CATALOG_LOADS, "database" => database.to_owned(), "outcome" => if loaded { "ok" } else { "failed" })
        .increment(1);
}

/// The policy file could be used when it was looked at last, or couldn't.
pub fn policy_file(is_ok: bool) {
    gauge!(POLICY_FILE_OK).set(if is_ok { 1.0 } else { 0.0 });
}

/// So many connections to the database are open.
pub fn pool_connections(database: &str, open: usize) {
    gauge!(POOL_CONNECTIONS, "database" => database.to_owned()).set(open as f64);
}
