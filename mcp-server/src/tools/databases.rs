//! The databases of the server as one caller sees them, and their catalogs read anew.

use std::sync::Arc;
use std::time::Instant;

use daemon::log::Chain;
use futures_util::{StreamExt, stream};
use shared_protocol::tool::list_databases::DatabaseStatus;
use tracing::warn;

use super::{Call, ToolContext, ToolError, View};
use crate::caller::Caller;
use crate::catalog::{CatalogCache, Size, size_of_database};
use crate::databases::{AcquireError, ConnectError, Database};

/// Databases that are looked at at once.
const LOOKS_AT_ONCE: usize = 4;

/// A database as one caller sees it.
#[derive(Debug)]
pub(super) struct KnownDatabase {
    pub(super) name: String,
    /// Where the operator says what it holds.
    pub(super) description: Option<String>,
    pub(super) is_default: bool,
    pub(super) status: DatabaseStatus,
    /// Nothing where its catalog was never read.
    pub(super) view: Option<View>,
    /// Nothing where it can't be told.
    pub(super) size: Option<Size>,
}

/// A database whose catalog was read anew.
#[derive(Debug)]
pub(super) struct Refreshed {
    pub(super) name: String,
    /// What the caller saw before, if anything.
    pub(super) before: Option<View>,
    pub(super) after: View,
    pub(super) took_ms: f64,
}

impl ToolContext {
    /// All databases, by name.
    pub(super) async fn known_databases(&self, call: &Call) -> Result<Vec<KnownDatabase>, ToolError> {
        let known = self.databases.all().into_iter().map(|database| self.known(database, &call.caller));
        let looked = stream::iter(known).buffered(LOOKS_AT_ONCE).collect();
        Ok(call.within(self.limits.statement_timeout, looked).await?)
    }

    async fn known(&self, database: Arc<Database>, caller: &Caller) -> KnownDatabase {
        let catalog = self.catalogs.of(&database);
        let status = status_of(&database).await;
        let (view, size) = match (status, catalog.held()) {
            (DatabaseStatus::Available, _) => {
                (self.view(Some(database.name()), caller).await.ok(), size_of_database(&database).await)
            }
            (_, Some(snapshot)) => (self.view_of(&catalog, &snapshot, caller).await.ok(), None),
            (_, None) => (None, None),
        };
        let is_default = Arc::ptr_eq(&database, self.databases.default());
        let (name, description) = (database.name().to_owned(), database.description().map(str::to_owned));
        KnownDatabase { name, description, is_default, status, view, size }
    }

    /// Reads the catalog of one database anew, or of all that can be read; all are looked for anew, too.
    ///
    /// # Errors
    /// As [`ToolContext::view`], where one database is named.
    pub(super) async fn refresh(&self, database: Option<&str>, call: &Call) -> Result<Vec<Refreshed>, ToolError> {
        let refreshed = async {
            if let Some(name) = database {
                return Ok(vec![self.refresh_one(self.catalog(Some(name))?, &call.caller).await?]);
            }
            if let Err(error) = self.databases.discover().await {
                warn!(error = %Chain(&error), "the databases of the host can't be listed");
            }
            self.catalogs.keep(&self.databases.all());
            let all = self.databases.all().into_iter().map(|database| self.catalogs.of(&database));
            let all = all.map(|catalog| self.refresh_one(catalog, &call.caller));
            let all: Vec<Result<Refreshed, ToolError>> = stream::iter(all).buffered(LOOKS_AT_ONCE).collect().await;
            // One that is down is no reason not to tell of the others, unless it is the only one.
            match all.iter().any(Result::is_ok) {
                true => Ok(all.into_iter().filter_map(Result::ok).collect()),
                false => all.into_iter().collect(),
            }
        };
        call.within(self.limits.max_statement_timeout, refreshed).await?
    }

    async fn refresh_one(&self, catalog: CatalogCache, caller: &Caller) -> Result<Refreshed, ToolError> {
        let name = catalog.database().name().to_owned();
        let before = match catalog.held() {
            Some(snapshot) => self.view_of(&catalog, &snapshot, caller).await.ok(),
            None => None,
        };
        let started = Instant::now();
        let snapshot = catalog.reload().await?;
        let took_ms = started.elapsed().as_secs_f64() * 1000.0;
        Ok(Refreshed { name, before, after: self.view_of(&catalog, &snapshot, caller).await?, took_ms })
    }
}

async fn status_of(database: &Arc<Database>) -> DatabaseStatus {
    match database.check_health().await {
        Ok(()) => DatabaseStatus::Available,
        Err(AcquireError::Connect(ConnectError::Refused(_))) => DatabaseStatus::Refused,
        // All connections are busy: it answers.
        Err(AcquireError::Busy { .. }) => DatabaseStatus::Available,
        Err(AcquireError::Connect(_)) => DatabaseStatus::Unavailable,
    }
}
