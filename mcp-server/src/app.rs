//! The composition root: makes the parts, joins them, and takes them down in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon::keys::Authenticator;
use daemon::listener::Listener;
use daemon::rate_limit::RateLimit;
use metrics_exporter_prometheus::PrometheusHandle;
use sql_guard::Guard;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::audit::Audit;
use crate::catalog::Catalogs;
use crate::config::{Config, ListenerConfig};
use crate::databases::Databases;
use crate::executor::{Cursors, Executor, ResultMemory};
use crate::mcp::service::Service;
use crate::policy::{Known, Policies};
use crate::queries::SavedQueries;
use crate::telemetry::metrics;
use crate::tools::{Registry, ToolContext};
use crate::transport::{Gate, router, stdio};

/// Connections besides those that clients keep open, at least: for health checks, short requests, and to be told that all is taken.
const SPARE_CONNECTIONS: usize = 16;

/// Longest that cancelled statements may take to end when the server stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// Runs the server until SIGTERM or Ctrl-C, and drains it.
///
/// # Errors
/// Where the port can't be bound, or the database's role is refused at start.
pub async fn run(config: Config, recorder: PrometheusHandle) -> anyhow::Result<()> {
    let stop = Stop::on_signal()?;
    let tools = tools(&config)?;
    let audit = audit(&config, &tools.guard, &stop)?;
    let upkeep = upkeep(&tools, &config, &stop);
    warn_of_exposure(&config);
    tools.first_look().await?;

    let listener = Listener::bind(config.listener.address, "WS_HOST, WS_PORT").await?;
    let address = listener.address();
    let trusted = config.listener.trusted_proxies.clone();
    let authenticator = Authenticator::new(&config.listener.keys, trusted, config.listener.max_connections);
    let admin = Admin {
        databases: tools.databases.clone(),
        catalogs: tools.catalogs.clone(),
        metrics: recorder,
        authenticator: authenticator.clone(),
        metrics_public: config.listener.metrics_public,
        audit: audit.clone(),
        draining: stop.draining.clone(),
    };
    let connections = TaskTracker::new();
    let (max_connections, tls) = (config.listener.max_connections, config.listener.tls.clone());
    let service = service(&config, &tools, &audit, &stop);
    let ends = (stop.draining.clone(), stop.kill.clone());
    let gate = Gate::new(service, authenticator, config.listener, connections.clone(), ends);
    let service = daemon::listener::Service {
        tls,
        max_connections: max_connections + (max_connections / 4).max(SPARE_CONNECTIONS),
        router: router(gate, admin::routes(admin)),
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
    audit.close().await;
    for (part, task) in [("listener", server)].into_iter().chain(upkeep) {
        task.await.with_context(|| format!("stop the {part}"))?;
    }
    info!("stopped");
    Ok(())
}

/// Longest that cancelled statements may take to end when the client on stdio has left.
const STDIO_DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// Serves the client on stdin and stdout until it leaves or a signal comes. Either cancels what runs.
///
/// # Errors
/// Where the database's role is refused at start.
pub async fn run_stdio(config: Config) -> anyhow::Result<()> {
    let stop = Stop::on_signal()?;
    let tools = tools(&config)?;
    let audit = audit(&config, &tools.guard, &stop)?;
    upkeep(&tools, &config, &stop);
    let service = service(&config, &tools, &audit, &stop);
    let ListenerConfig { max_message_bytes, .. } = config.listener;
    let served = async {
        tools.first_look().await?;
        stdio::serve(service, max_message_bytes, &stop.kill).await.context("serve stdio")
    };
    let signalled = async {
        stop.signal.cancelled().await;
        stop.kill.cancel();
        // The client's connection ends now that its token has fired; a look at the database is not waited for.
        tokio::time::sleep(STDIO_DRAIN_LIMIT).await;
    };
    let outcome = tokio::select! {
        outcome = served => outcome,
        () = signalled => Ok(()),
    };
    stop.draining.cancel();
    stop.kill.cancel();
    tools.executor.drain(STDIO_DRAIN_LIMIT).await;
    audit.close().await;
    outcome
}

/// The tasks that keep what is served fresh, by the part that each is of.
fn upkeep(tools: &Arc<ToolContext>, config: &Config, stop: &Stop) -> [(&'static str, JoinHandle<()>); 4] {
    let draining = || stop.draining.clone();
    [
        ("policy", tokio::spawn(Arc::clone(tools).watch_policy(draining()))),
        ("databases", tokio::spawn(Arc::clone(tools).look_out(config.catalog_ttl, draining()))),
        ("changes", tokio::spawn(Arc::clone(tools).look_for_changes(draining()))),
        ("pools", tokio::spawn(tools.databases.clone().reap_idle(stop.kill.clone()))),
    ]
}

/// What every session offers.
fn service(config: &Config, tools: &Arc<ToolContext>, audit: &Audit, stop: &Stop) -> Service {
    Service {
        tools: Arc::clone(tools),
        registry: Registry::default(),
        rate_limit: RateLimit::new(config.rate_limit_per_minute),
        audit: audit.clone(),
        push_registry: config.listener.push_registry,
        draining: stop.draining.clone(),
    }
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

/// The audit log, opened anew on each SIGHUP, as log rotation asks for.
fn audit(config: &Config, guard: &Guard, stop: &Stop) -> anyhow::Result<Audit> {
    let Some(config) = &config.audit else { return Ok(Audit::default()) };
    let audit = Audit::open(config, guard.clone())?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let (reopened, kill) = (audit.clone(), stop.kill.clone());
    tokio::spawn(async move {
        while let Some(Some(())) = kill.run_until_cancelled(hangup.recv()).await {
            reopened.reopen();
        }
    });
    Ok(audit)
}

fn tools(config: &Config) -> anyhow::Result<Arc<ToolContext>> {
    let limits = config.limits;
    let patience = config.databases.default.pool_timeout;
    // Half of the slots at most stand still for want of memory.
    let waiters = (limits.max_concurrent_queries / 2).max(1);
    let memory = ResultMemory::new(limits.max_total_result_bytes, waiters, patience);
    let guard = Guard::new(config.guard.clone());
    let policies = Policies::load(config.policy_file.clone(), Known::of(config)).context("load POLICY_FILE")?;
    let queries = config.queries_dir.as_deref().map(SavedQueries::load).transpose().context("load QUERIES_DIR")?;
    let zone = config.databases.default.timezone.parse().ok();
    Ok(Arc::new(ToolContext {
        databases: Databases::new(config),
        catalogs: Catalogs::new(guard.clone(), config.catalog_ttl),
        policies,
        executor: Executor::new(limits.max_concurrent_queries, patience, memory, zone),
        cursors: Cursors::new(&config.listener.keys),
        guard,
        limits,
        queries: queries.unwrap_or_default(),
    }))
}

fn warn_of_exposure(config: &Config) {
    for database in config.databases.configured().filter(|database| database.is_exposed()) {
        let (name, mode) = (&database.name, database.tls);
        warn!(
            database = name,
            ?mode,
            "{name} is off loopback with sslmode {mode:?}: the connection could be read or redirected; use verify-full"
        );
    }
    if config.listener.tls.is_none() && !config.listener.address.ip().is_loopback() {
        warn!(
            "clients connect without TLS; off loopback, set WS_TLS_CERT and WS_TLS_KEY or put a TLS proxy before this port"
        );
    }
}
