//! The composition root: makes the parts, joins them, and takes them down in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use daemon::keys::Authenticator;
use daemon::listener::Listener;
use daemon::log::Chain;
use metrics_exporter_prometheus::PrometheusHandle;
use sql_guard::{Guard, Limits};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::admin::Admin;
use crate::catalog::{Catalogs, LoadError};
use crate::config::Config;
use crate::databases::{AcquireError, ConnectError, Database, Grade, SessionPins};
use crate::executor::Executor;
use crate::mcp::handler::Service;
use crate::telemetry::metrics;
use crate::tools::{Registry, ToolContext};
use crate::transport::{Gate, MAX_IN_FLIGHT, router};

/// Longest that cancelled statements may take to end when the server stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// Runs the server until SIGTERM or Ctrl-C, and drains it.
///
/// # Errors
/// Where the port can't be bound, or the database's role is refused at start.
pub async fn run(config: Config, recorder: PrometheusHandle) -> anyhow::Result<()> {
    let stop = Stop::on_signal()?;
    let tools = tools(&config);
    let reaper = tokio::spawn(Arc::clone(&tools.database).reap_idle(stop.kill.clone()));
    warn_of_exposure(&config);
    first_look(&tools).await?;

    let listener = Listener::bind(config.listener.address, "WS_HOST, WS_PORT").await?;
    let address = listener.address();
    let authenticator = Authenticator::new(&config.listener.keys);
    let admin = Admin {
        database: Arc::clone(&tools.database),
        metrics: recorder,
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
    let service = daemon::listener::Service {
        max_connections: gate.config.max_connections,
        router: router(gate, admin),
        grace: config.shutdown_grace,
        gauge: metrics::HTTP_CONNECTIONS,
    };
    let server = tokio::spawn(listener.serve(service, stop.draining.clone()));
    info!(%address, "listening on {address}");

    stop.signal.cancelled().await;
    let grace_ms = config.shutdown_grace.as_millis();
    info!(grace_ms, "stopping: calls that run have {grace_ms} ms");
    stop.draining.cancel();
    connections.close();
    if tokio::time::timeout(config.shutdown_grace, connections.wait()).await.is_err() {
        warn!("calls still run after {grace_ms} ms; they are cancelled");
    }
    stop.kill.cancel();
    connections.wait().await;
    tools.executor.drain(DRAIN_LIMIT).await;
    for (part, task) in [("listener", server), ("pool", reaper)] {
        task.await.with_context(|| format!("stop the {part}"))?;
    }
    info!("stopped");
    Ok(())
}

/// Stopping: somebody asks for it, then no new calls, then no calls.
struct Stop {
    signal: CancellationToken,
    draining: CancellationToken,
    kill: CancellationToken,
}

impl Stop {
    fn on_signal() -> anyhow::Result<Self> {
        let signal = daemon::shutdown::on_signal().context("listen for signals")?;
        Ok(Self { signal, draining: CancellationToken::new(), kill: CancellationToken::new() })
    }
}

fn tools(config: &Config) -> Arc<ToolContext> {
    let pins = SessionPins {
        timezone: config.database.timezone.clone(),
        statement_timeout: config.limits.max_statement_timeout,
        allow_privileged_role: config.database.allow_privileged_role,
    };
    let database = Database::new(&config.database, pins);
    Arc::new(ToolContext {
        catalogs: Catalogs::new(Arc::clone(&database), config.catalog_ttl),
        executor: Executor::new(
            config.limits.max_concurrent_queries,
            config.database.pool_timeout,
            config.database.timezone.parse().ok(),
        ),
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
    if !config.listener.address.ip().is_loopback() {
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
                match finding.grade {
                    Grade::Refused => error!(database = name, grade = "refused", "role of {name}: {}", finding.text),
                    Grade::Warned => warn!(database = name, grade = "warned", "role of {name}: {}", finding.text),
                }
            }
            bail!(
                "database {name} is refused: {}. Use a role that can only SELECT, or set ALLOW_PRIVILEGED_ROLE=true",
                report.refusals()
            )
        }
        Err(error) => {
            let way_out = match &error {
                LoadError::Acquire(AcquireError::Connect(cause)) => cause.way_out(),
                _ => "",
            };
            warn!(
                database = name,
                error = %Chain(&error),
                "database {name} is not ready; it is tried again with each call. {way_out}"
            );
            Ok(())
        }
    }
}
