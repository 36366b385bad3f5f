//! Statements run by the server's own parts, without the program around them, so that a test can look into the session next.

use std::sync::Arc;
use std::time::Duration;

use daemon::settings::Source;
use mcp_server::caller::Caller;
use mcp_server::catalog::{CatalogCache, Visible};
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::databases::{Database, SessionPins, Setting};
use mcp_server::executor::{
    Copies, CostLimits, ExecuteError, Executor, PageLimit, ResultMemory, RowSet, Run, RunLimits,
};
use mcp_server::policy::{Known, Policies};
use serde_json::Value;
use sql_guard::{CheckedQuery, Guard, Limits};
use tokio_util::sync::CancellationToken;

/// The database at `url` with more flags; any role may serve it.
pub(crate) fn database(url: &str, flags: &[&str]) -> Arc<Database> {
    let key = "0123456789abcdefghijkl";
    let own = ["mcp-server", "--ws-api-key", key, "--postgres-sslmode", "disable", "--database-url", url];
    let flags = own.iter().chain(flags).copied();
    let config = Config::from_source(Source::from_parts(command(), VARIABLES, flags, |_| None).unwrap()).unwrap();
    let pins = SessionPins { allow_privileged_role: true, ..SessionPins::of(&config) };
    Database::alone(&config.databases.default, pins)
}

/// A statement that may run, and the catalog by which it may.
pub(crate) struct Judged {
    query: CheckedQuery,
    visible: Arc<Visible>,
}

/// Limits that no test's statement comes near, unless it sets its own.
pub(crate) fn limits() -> RunLimits {
    RunLimits {
        max_rows: 1000,
        page: PageLimit { bytes: 1 << 20, copies: Copies::Structured },
        timeout: Duration::from_secs(60),
        cost: CostLimits::default(),
    }
}

/// One database with what is needed to run statements on it.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) database: Arc<Database>,
    catalogs: CatalogCache,
    guard: Guard,
    executor: Executor,
}

impl Runner {
    /// For the database at `url`, with more flags.
    pub(crate) fn new(url: &str, flags: &[&str]) -> Self {
        let database = database(url, flags);
        let guard = Guard::new(Limits::default());
        let memory = ResultMemory::new(64 << 20, 4, Duration::from_secs(5));
        Self {
            catalogs: CatalogCache::new(Arc::clone(&database), guard.clone(), Duration::from_secs(300)),
            guard,
            executor: Executor::new(16, Duration::from_secs(30), memory, None),
            database,
        }
    }

    /// The rows of a statement with these settings bound for its transaction.
    pub(crate) async fn run(&self, text: &str, settings: &[(&str, &str)]) -> Result<RowSet, ExecuteError> {
        self.run_until(text, settings, &CancellationToken::new()).await
    }

    /// The same, to be cancelled.
    pub(crate) async fn run_until(
        &self,
        text: &str,
        settings: &[(&str, &str)],
        cancel: &CancellationToken,
    ) -> Result<RowSet, ExecuteError> {
        let settings = settings.iter().map(|(name, value)| -> Setting { ((*name).into(), (*value).into()) }).collect();
        self.run_judged(self.judged(text).await, Vec::new(), settings, limits(), cancel).await
    }

    /// The rows of a statement with parameters, within these limits.
    pub(crate) async fn run_within(
        &self,
        text: &str,
        params: Vec<Value>,
        limits: RunLimits,
    ) -> Result<RowSet, ExecuteError> {
        self.run_judged(self.judged(text).await, params, Vec::new(), limits, &CancellationToken::new()).await
    }

    /// A statement as it is judged now, without a policy.
    pub(crate) async fn judged(&self, text: &str) -> Judged {
        let rules = Policies::load(None, Known::default()).unwrap().rules(self.database.name(), &Caller::default());
        let visible = self.catalogs.visible(&self.catalogs.current().await.unwrap(), &rules).await.unwrap();
        Judged { query: self.guard.check(text, visible.access()).await.unwrap(), visible }
    }

    /// The rows of a statement that was judged before.
    pub(crate) async fn run_judged(
        &self,
        judged: Judged,
        params: Vec<Value>,
        settings: Vec<Setting>,
        limits: RunLimits,
        cancel: &CancellationToken,
    ) -> Result<RowSet, ExecuteError> {
        let Judged { query, visible } = judged;
        let run = Run { query, params, offset: 0, explain: None, tells_estimates: true, settings, limits };
        let turn = self.executor.turn(&Caller::of_key("web"), None).await?;
        self.executor.run(turn, &self.database, run, visible, cancel).await
    }

    /// The same as JSON rows.
    pub(crate) async fn rows(&self, text: &str, settings: &[(&str, &str)]) -> Value {
        serde_json::from_str(&self.run(text, settings).await.unwrap().json).unwrap()
    }
}
