//! The composition root: builds every part from the configuration and runs them until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use daemon::listener::{Listener, Service};
use metrics_exporter_prometheus::PrometheusHandle;
use sql_guard::{Guard, Limits};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::{Config, HttpConfig, TranslatorConfig};
use crate::http::{self, Parts};
use crate::mcp::behalf::{SHARED, TELL_CALLERS_APART};
use crate::mcp::catalogs::Catalogs;
use crate::mcp::client::Client;
use crate::mcp::link::Link;
use crate::mcp::sharing;
use crate::pipeline::Pipeline;
use crate::telemetry::metric;
use crate::translator::Translator;
use crate::translator::llm::Llm;
use crate::translator::offline::Offline;

/// How often the metrics recorder folds in what it gathered.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// The agent, listening but not yet answering.
pub struct App {
    listener: Listener,
    router: Router,
    http: HttpConfig,
    client: Client,
    stop_parts: CancellationToken,
    tasks: TaskTracker,
}

impl App {
    /// Builds all parts and takes the port. Needs no server and no database to be there.
    pub async fn bind(config: Config, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let listener = Listener::bind(config.http.address, "HTTP_HOST, HTTP_PORT").await?;
        let translator = translator(&config.translator)?;
        let (stop_parts, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(keep_up(metrics.clone(), stop_parts.clone()));
        let link = Link::start(&config.link, stop_parts.clone(), &tasks);
        let client = Client::new(link, &config.link);
        let catalogs = Catalogs::new(client.clone(), config.link.catalog_ttl, stop_parts.clone(), &tasks);
        let guard = Guard::new(Limits::default());
        let pipeline = Pipeline::new(client.clone(), catalogs.clone(), guard, translator.clone(), config.pipeline);
        info!(translator = translator.label(), "questions are translated by {}", translator.label());
        if config.http.keys.is_empty() {
            warn!("AGENT_API_KEY is not set: whoever reaches this port as localhost or HTTP_ALLOWED_HOSTS may ask");
        }
        let parts = Parts {
            pipeline: Arc::new(pipeline),
            client: client.clone(),
            catalogs,
            translator,
            metrics,
            max_rows: config.pipeline.max_rows,
        };
        let router = http::router(parts, &config.http);
        Ok(Self { listener, router, http: config.http, client, stop_parts, tasks })
    }

    /// Where it listens, with the port that was given.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Answers until `stop`, lets requests under way finish, and ends every task.
    ///
    /// # Errors
    /// Where callers must be told apart and mcp-server doesn't let them.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, router, http, client, stop_parts, tasks } = self;
        let address = listener.address();
        info!(address = %address, "listening on {address}");
        let service = Service {
            router,
            tls: http.tls,
            max_connections: http.max_connections,
            grace: http.shutdown_grace,
            gauge: metric::HTTP_CONNECTIONS,
        };
        let end = stop.child_token();
        let watch = async {
            // Without keys callers have no names, and there is nobody to tell apart.
            let watched = !http.keys.is_empty();
            let refused = watched && end.run_until_cancelled(sharing::watch_over(&client)).await.is_some();
            if refused {
                end.cancel();
            }
            refused
        };
        let (refused, ()) = tokio::join!(watch, listener.serve(service, end.clone()));
        stop_parts.cancel();
        tasks.close();
        tasks.wait().await;
        info!("stopped");
        if refused { bail!("{SHARED}, and REQUIRE_SUBJECT is true. {TELL_CALLERS_APART}") } else { Ok(()) }
    }
}

fn translator(config: &TranslatorConfig) -> anyhow::Result<Arc<dyn Translator>> {
    Ok(match config {
        TranslatorConfig::Offline => Arc::new(Offline::new()),
        TranslatorConfig::Llm(llm) => Arc::new(Llm::new(llm).context("set up the language model")?),
    })
}

/// Without this the recorder's memory would grow between two scrapes.
async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut tick = interval(METRICS_UPKEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}
