//! Catalogs of the databases: read once, kept a while, read again when they turn out to be out of date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use shared_protocol::catalog::{CatalogPage, Table};
use sql_guard::{Relation, RelationName, UserType};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::client::{Client, Error};
use super::link::State;

/// A catalog that turned out to lack a name is read again at most this often.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// Most databases whose catalogs are kept at once.
const MAX_CATALOGS: u64 = 1000;

/// What the agent knows of the databases; clones share it.
#[derive(Debug, Clone)]
pub struct Catalogs {
    client: Client,
    names: Cache<(), Arc<[String]>>,
    catalogs: Cache<String, Arc<Catalog>>,
    refreshed: Cache<String, ()>,
}

impl Catalogs {
    /// Keeps what it reads for `ttl`, and no longer than a connection lasts: behind the next one may be another server.
    pub fn new(client: Client, ttl: Duration, stop: CancellationToken, tasks: &TaskTracker) -> Self {
        let catalogs = Self {
            names: Cache::builder().max_capacity(1).time_to_live(ttl).build(),
            catalogs: Cache::builder().max_capacity(MAX_CATALOGS).time_to_live(ttl).build(),
            refreshed: Cache::builder().max_capacity(MAX_CATALOGS).time_to_live(REFRESH_PAUSE).build(),
            client,
        };
        tasks.spawn(catalogs.clone().forget_on_reconnect(stop));
        catalogs
    }

    /// Our names of the databases.
    pub async fn databases(&self) -> Result<Arc<[String]>, Arc<Error>> {
        self.names.try_get_with((), async { self.client.databases().await.map(Arc::from) }).await
    }

    /// The catalog of one database. However many ask at once, it is read once.
    pub async fn catalog(&self, database: &str) -> Result<Arc<Catalog>, Arc<Error>> {
        self.catalogs.try_get_with_by_ref(database, self.read(database)).await
    }

    /// The names again, for when one that was asked for isn't among them; at most every ten seconds.
    pub async fn refresh_databases(&self) {
        // No database has the empty name.
        if self.may_refresh("").await {
            self.names.invalidate(&()).await;
        }
    }

    /// Forgets one catalog, for when a statement's name wasn't found; at most every ten seconds. Tells whether it did.
    pub async fn refresh(&self, database: &str) -> bool {
        let may = self.may_refresh(database).await;
        if may {
            debug!(database, "reading the catalog of {database} again");
            self.catalogs.invalidate(database).await;
        }
        may
    }

    async fn may_refresh(&self, name: &str) -> bool {
        self.refreshed.entry_by_ref(name).or_insert(()).await.is_fresh()
    }

    async fn read(&self, database: &str) -> Result<Arc<Catalog>, Error> {
        let page = match self.client.catalog(database).await {
            // It changed between two pages: the second try starts on the new one.
            Err(Error::CatalogChanged) => self.client.catalog(database).await?,
            other => other?,
        };
        Ok(Arc::new(Catalog::new(page)))
    }

    async fn forget_on_reconnect(self, stop: CancellationToken) {
        let mut state = self.client.link().watch();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = state.changed() => if changed.is_err() { return },
            }
            if matches!(*state.borrow_and_update(), State::Up(_)) {
                self.names.invalidate_all();
                self.catalogs.invalidate_all();
            }
        }
    }
}

/// The catalog of one database, with its tables found by name.
#[derive(Debug)]
pub struct Catalog {
    page: CatalogPage,
    tables: HashMap<RelationName, usize>,
}

impl Catalog {
    fn new(page: CatalogPage) -> Self {
        let names = page.tables.iter().map(name_of);
        let tables = names.enumerate().map(|(at, name)| (name, at)).collect();
        Self { page, tables }
    }

    /// All of it, as the server gave it.
    pub fn page(&self) -> &CatalogPage {
        &self.page
    }
}

impl sql_guard::Catalog for Catalog {
    fn search_path(&self) -> &[String] {
        &self.page.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        let name = RelationName { schema: schema.to_owned(), name: name.to_owned() };
        let table = &self.page.tables[*self.tables.get(&name)?];
        Some(Relation { columns: table.columns.iter().map(|column| column.name.clone()).collect(), name })
    }

    fn relation_names(&self) -> Vec<RelationName> {
        self.page.tables.iter().map(name_of).collect()
    }

    fn has_function(&self, name: &str) -> bool {
        self.page.functions.iter().any(|function| function.name == name)
    }

    /// The catalog doesn't list operators; the server judges them.
    fn has_operator(&self, _name: &str) -> bool {
        false
    }

    /// The catalog doesn't list types; the server judges them.
    fn user_type(&self, _schema: &str, _name: &str) -> Option<UserType> {
        Some(UserType::Plain)
    }
}

fn name_of(table: &Table) -> RelationName {
    RelationName { schema: table.schema_name.clone(), name: table.table_name.clone() }
}
