//! What the program's work runs on: the log, the metrics, TLS, and the threads.

use std::future::Future;

use metrics_exporter_prometheus::PrometheusHandle;
use sql_guard::IN_PLACE_STACK;

use crate::config::Config;
use crate::telemetry;

/// Stack of each thread that answers calls: the guard judges short statements there, above what the call itself needs. Only what
/// is used of it takes memory.
const STACK_BYTES: usize = IN_PLACE_STACK + (8 << 20);

/// Does `work` with this configuration until it ends.
///
/// # Errors
/// What `work` says, or why it could not begin.
pub fn run<F: Future<Output = anyhow::Result<()>>>(
    config: Config,
    work: impl FnOnce(Config, PrometheusHandle) -> F,
) -> anyhow::Result<()> {
    daemon::log::start(&config.log, telemetry::QUIET)?;
    let metrics = telemetry::metrics::start()?;
    // One TLS provider in the process: two side by side panic at run time.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_stack_size(STACK_BYTES).build()?.block_on(work(config, metrics))
}
