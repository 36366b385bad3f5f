//! The composition root: makes the parts, joins them, and takes them down in order.

use std::sync::Arc;

use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use sql_guard::{Guard, Limits};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::admin::Admin;
use crate::auth::Authenticator;
use crate::catalog::{Catalogs, LoadError};
use crate::config::Config;
use crate::databases::{AcquireError, ConnectError, Database, SessionPins};
use crate::executor::Executor;
use crate::mcp::handler::Service;
use crate::tools::{Registry, ToolContext};
use crate::transport::{Gate, Listener, MAX_IN_FLIGHT, router};

/// Runs the server until SIGTERM or Ctrl-C, and drains it.
///
/// # Errors
/// Where the port can't be bound, or the database's role is refused at start.
pub async fn run(config: Config, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let stop = Stop::default();
    let tools = tools(&config);
    let reaper = tokio::spawn(Arc::clone(&tools.database).reap_idle(stop.kill.clone()));
    warn_of_exposure(&config);
    first_look(&tools).await?;

    let listener = Listener::bind(config.listener.host, config.listener.port).await?;
    let address = listener.address();
    let authenticator = Authenticator::new(&config.listener.keys);
    let admin = Admin {
        database: Arc::clone(&tools.database),
        metrics,
        authenticator: authenticator.clone(),
        metrics_public: config.listener.metrics_public,
        draining: stop.draining.clone(),
    };
    let connections = TaskTracker::new();
    let gate = Gate {
        service: Service { tools: Arc::clone(&tools), registry: Registry::default(), max_in_flight: MAX_IN_FLIGHT },
        authenticator,
        places: Arc::new(Semaphore::new(config.listener.max_connections)),
        config: Arc::new(config.listener),
        max_result_bytes: config.limits.max_result_bytes,
        connections: connections.clone(),
        draining: stop.draining.clone(),
        kill: stop.kill.clone(),
    };
    let server = tokio::spawn(listener.serve(router(gate, admin), stop.draining.clone()));
    info!(%address, "listening on {address}");

    stop_signal().await?;
    let grace_ms = config.shutdown_grace.as_millis();
    info!(grace_ms, "stopping: calls that run have {grace_ms} ms");
    stop.draining.cancel();
    connections.close();
    if tokio::time::timeout(config.shutdown_grace, connections.wait()).await.is_err() {
        warn!("calls still run after {grace_ms} ms; they are cancelled");
    }
    stop.kill.cancel();
    connections.wait().await;
    tools.executor.drain().await;
    for (part, task) in [("listener", server), ("pool", reaper)] {
        task.await.with_context(|| format!("stop the {part}"))?;
    }
    info!("stopped");
    Ok(())
}

/// Two steps of stopping: no new calls, then no calls.
#[derive(Default)]
struct Stop {
    draining: CancellationToken,
    kill: CancellationToken,
}

fn tools(config: &Config) -> Arc<ToolContext> {
    let pins = SessionPins {
        timezone: config.database.timezone.clone(),
        statement_timeout: config.limits.max_statement_timeout,
        allow_privileged_role: config.database.allow_privileged_role,
    };
    let database = Database::new(&config.database, pins);
    Arc::new(ToolContext {
        catalogs: Arc::new(Catalogs::new(Arc::clone(&database), config.catalog_ttl)),
        executor: Executor::new(config.limits.max_concurrent_queries, config.database.pool_timeout),
        guard: Guard::new(Limits::default()),
        limits: config.limits,
        database,
    })
}

fn warn_of_exposure(config: &Config) {
    if config.database.is_exposed() {
        let mode = config.database.tls;
        warn!(
            ?mode,
            "POSTGRES_SSLMODE={mode:?} off loopback: the connection could be read or redirected; use verify-full"
        );
    }
    if !config.listener.host.is_loopback() {
        warn!("WebSocket clients connect without TLS; off loopback, put a TLS proxy before this port");
    }
}

/// Reads the catalog once, so that a refused role stops the start. A database that is down doesn't: it is read when it is up.
async fn first_look(tools: &ToolContext) -> anyhow::Result<()> {
    let name = tools.database.name();
    match tools.catalogs.current().await {
        Ok(_) => Ok(()),
        Err(LoadError::Acquire(AcquireError::Connect(ConnectError::Refused(report)))) => {
            for finding in report.findings() {
                error!(database = name, grade = finding.grade.as_str(), "role of {name}: {}", finding.text);
            }
            bail!(
                "database {name} is refused: {}. Use a role that can only SELECT, or set ALLOW_PRIVILEGED_ROLE=true",
                report.refusals()
            )
        }
        Err(error) => {
            warn!(
                database = name,
                error = &error as &dyn std::error::Error,
                "database {name} is not ready; it is tried again with each call"
            );
            Ok(())
        }
    }
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for Ctrl-C"),
    }
}
