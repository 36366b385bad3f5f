//! What is told of the databases and the policy, at start and whenever they turn out to be different.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use daemon::log::Chain;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::caller::Caller;
use crate::catalog::{CatalogCache, LoadError, Snapshot};
use crate::databases::{AcquireError, ConnectError, Database, DiscoverError, Grade, RoleReport};
use crate::tools::ToolContext;

/// Catalogs that are read at once.
const LOADS_AT_ONCE: usize = 4;

/// How often it is looked for changes that somebody waits for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// In which round of those a catalog is tried that couldn't be read so far.
const UNREAD_ROUNDS: u32 = 15;

/// How soon it is looked again for databases where that failed.
const RETRY: Duration = Duration::from_secs(5);

impl ToolContext {
    /// Finds the databases and reads their catalogs. One that is down doesn't stop the start: it is read when it is up.
    ///
    /// # Errors
    /// Where the role is refused in all of them, or a name stands for two.
    pub(crate) async fn first_look(self: &Arc<Self>) -> anyhow::Result<()> {
        match self.databases.discover().await {
            Ok(_) => self.must_be_served()?,
            Err(clash @ DiscoverError::Clash { .. }) => bail!("{clash}"),
            Err(DiscoverError::Connect(cause)) => warn!(
                error = %Chain(&cause),
                "the databases of the host can't be listed; it is tried again. {}",
                cause.way_out()
            ),
        }
        for name in self.queries.databases().filter(|name| self.databases.get(name).is_none()) {
            warn!(database = name, "QUERIES_DIR has queries for {name}, and there is no database of that name yet");
        }
        let (default, others): (Vec<_>, Vec<_>) =
            self.databases.all().into_iter().partition(|database| Arc::ptr_eq(database, self.databases.default()));
        let looks = |databases: Vec<Arc<Database>>| {
            let tools = Arc::clone(self);
            let catalogs = databases.into_iter().map(move |database| tools.catalogs.of(&database));
            let tools = Arc::clone(self);
            let look = move |catalog| Arc::clone(&tools).look_at(catalog);
            stream::iter(catalogs).map(look).buffer_unordered(LOADS_AT_ONCE).collect::<Vec<Option<String>>>()
        };
        let of_default = looks(default).await;
        let rest = tokio::spawn(looks(others));
        // One that is served is enough to begin with; the others don't hold it up.
        let Some(Some(refused)) = of_default.into_iter().next() else { return Ok(()) };
        let rest: Option<Vec<String>> = rest.await.context("look at the databases")?.into_iter().collect();
        match rest {
            Some(rest) => bail!("{}", [vec![refused], rest].concat().join("\n")),
            None => Ok(()),
        }
    }

    /// Reads one catalog, and says how that went. Gives why the database is refused, where it is.
    async fn look_at(self: Arc<Self>, catalog: CatalogCache) -> Option<String> {
        let name = catalog.database().name();
        match catalog.current().await {
            Ok(snapshot) => {
                self.tell_of_policy(&catalog, &snapshot).await;
                None
            }
            Err(LoadError::Acquire(AcquireError::Connect(refused @ ConnectError::Refused(_)))) => {
                let ConnectError::Refused(report) = &refused else { unreachable!("matched just now") };
                tell_of_role(name, report);
                Some(format!("database {name} is refused: {}. {}", report.refusals(), refused.way_out()))
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
                None
            }
        }
    }

    /// Looks at the catalogs while anybody wants to hear of changes, until `stop`: DDL is looked for where somebody asks for a catalog,
    /// and whoever waits for news asks for none. One that couldn't be read is tried less often.
    pub(crate) async fn look_for_changes(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = 0_u32;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            rounds = rounds.wrapping_add(1);
            if !self.catalogs.changes().is_heard() {
                continue;
            }
            let catalogs = self.databases.all().into_iter().map(|database| self.catalogs.of(&database));
            let due = catalogs.filter(|catalog| catalog.held().is_some() || rounds.is_multiple_of(UNREAD_ROUNDS));
            let look = |catalog: CatalogCache| async move {
                // What goes wrong is logged where it is read.
                let _ = catalog.current().await;
            };
            stop.run_until_cancelled(stream::iter(due).for_each_concurrent(LOADS_AT_ONCE, look)).await;
        }
    }

    /// Looks for databases now and then, until `stop`.
    pub(crate) async fn look_out(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        let mut pause = every;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = match self.databases.discover().await {
                Ok(is_new) => {
                    if is_new {
                        self.catalogs.keep(&self.databases.all());
                        self.catalogs.changes().tell();
                        for problem in self.policies.unserved(&self.databases.names()) {
                            error!("policy: {problem}");
                        }
                    }
                    every
                }
                Err(error) => {
                    warn!(error = %Chain(&error), "the databases of the host can't be listed");
                    RETRY.min(every)
                }
            };
        }
    }

    /// Has a changed policy file take effect, and says what it comes to.
    pub(crate) async fn watch_policy(self: Arc<Self>, stop: CancellationToken) {
        let changed = Notify::new();
        let tell = async {
            loop {
                changed.notified().await;
                self.catalogs.changes().tell();
                for database in self.databases.all() {
                    let catalog = self.catalogs.of(&database);
                    if let Some(snapshot) = catalog.held() {
                        self.tell_of_policy(&catalog, &snapshot).await;
                    }
                }
            }
        };
        tokio::select! {
            () = self.policies.clone().watch(stop, &changed) => {}
            () = tell => {}
        }
    }

    /// That the policy speaks of no database that isn't there: its rules would hold for nothing.
    fn must_be_served(&self) -> anyhow::Result<()> {
        let problems = self.policies.unserved(&self.databases.names());
        match problems.is_empty() {
            true => Ok(()),
            false => bail!(
                "the policy file: {}; the databases are {}",
                problems.join("; "),
                self.databases.names().join(", ")
            ),
        }
    }

    /// Says what of the policy comes to nothing, and which columns a caller without rules of their own sees as `***`.
    async fn tell_of_policy(&self, catalog: &CatalogCache, snapshot: &Arc<Snapshot>) {
        let name = catalog.database().name();
        for problem in self.policies.unmatched(name, snapshot.as_ref()) {
            warn!(database = name, "policy: {problem}");
        }
        // Made now, so that the first call needn't wait for it. A guard too busy for it makes it then.
        let Ok(view) = self.view_of(catalog, snapshot, &Caller::default()).await else { return };
        for hook in view.visible.access().denied_hooks() {
            warn!(
                database = name,
                "{name}: {hook}, and may do so where no statement names it: what could lead there is refused"
            );
        }
        for query in self.queries.of(name, Arc::ptr_eq(catalog.database(), self.databases.default())) {
            if let Err(rejection) = self.guard.check(&query.sql, view.visible.access()).await {
                let query = &query.name;
                warn!(database = name, query, "the saved query {query} of {name} is not offered: {rejection}");
            }
        }
        let masked = view.visible.masked();
        if !masked.is_empty() {
            let columns = masked.join(", ");
            info!(database = name, columns, "columns of {name} shown as ***: {columns}");
        }
    }
}

fn tell_of_role(name: &str, report: &RoleReport) {
    for finding in report.findings() {
        match finding.grade {
            Grade::Refused => error!(database = name, grade = "refused", "role of {name}: {}", finding.text),
            Grade::Warned => warn!(database = name, grade = "warned", "role of {name}: {}", finding.text),
        }
    }
}
