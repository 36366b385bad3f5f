//! Catalogs of the databases, for each caller the one that the server lets that caller see: read once, kept a while, read again when
//! they turn out to be out of date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use shared_protocol::catalog::{CatalogPage, Table};
use sql_guard::{Column, Relation, TypeName};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::behalf::Behalf;
use super::client::{Client, Error};

/// A catalog that turned out to lack a name is read again at most this often.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// Most catalogs that are kept at once.
const MAX_CATALOGS: u64 = 1000;

/// Whose view of something it is; `None` is that of the agent's key.
type Subject = Option<Arc<str>>;

/// What the agent knows of the databases; clones share it.
#[derive(Debug, Clone)]
pub struct Catalogs {
    client: Client,
    names: Cache<Subject, Arc<[String]>>,
    catalogs: Cache<(String, Subject), Arc<Catalog>>,
    refreshed: Cache<(String, Subject), ()>,
}

impl Catalogs {
    /// Keeps what it reads for `ttl`, and no longer than until the server says anew what it offers: that may be another server, or
    /// the same under another policy.
    pub fn new(client: Client, ttl: Duration, stop: CancellationToken, tasks: &TaskTracker) -> Self {
        let catalogs = Self {
            names: Cache::builder().max_capacity(MAX_CATALOGS).time_to_live(ttl).build(),
            catalogs: Cache::builder().max_capacity(MAX_CATALOGS).time_to_live(ttl).build(),
            refreshed: Cache::builder().max_capacity(MAX_CATALOGS).time_to_live(REFRESH_PAUSE).build(),
            client,
        };
        tasks.spawn(catalogs.clone().forget_on_news(stop));
        catalogs
    }

    /// Our names of the databases, for this caller.
    pub async fn databases(&self, behalf: &Behalf) -> Result<Arc<[String]>, Arc<Error>> {
        let read = async { self.client.databases(behalf).await.map(Arc::from) };
        self.names.try_get_with(behalf.subject().cloned(), read).await
    }

    /// The catalog of one database, for this caller. However many ask at once, it is read once.
    pub async fn catalog(&self, database: &str, behalf: &Behalf) -> Result<Arc<Catalog>, Arc<Error>> {
        self.catalogs.try_get_with(key(database, behalf), self.read(database, behalf)).await
    }

    /// The names again, for when one that was asked for isn't among them; at most every ten seconds.
    pub async fn refresh_databases(&self, behalf: &Behalf) {
        // No database has the empty name.
        if self.may_refresh(key("", behalf)).await {
            self.names.invalidate(&behalf.subject().cloned()).await;
        }
    }

    /// Forgets one catalog, for when a statement didn't fit what is there; at most every ten seconds. Tells whether it did.
    pub async fn refresh(&self, database: &str, behalf: &Behalf) -> bool {
        let key = key(database, behalf);
        let may = self.may_refresh(key.clone()).await;
        if may {
            debug!(database, "reading the catalog of {database} again");
            self.catalogs.invalidate(&key).await;
        }
        may
    }

    async fn may_refresh(&self, key: (String, Subject)) -> bool {
        self.refreshed.entry(key).or_insert(()).await.is_fresh()
    }

    async fn read(&self, database: &str, behalf: &Behalf) -> Result<Arc<Catalog>, Error> {
        let page = match self.client.catalog(database, behalf).await {
            // It changed between two pages: the second try starts on the new one.
            Err(Error::CatalogChanged) => self.client.catalog(database, behalf).await?,
            other => other?,
        };
        Ok(Arc::new(Catalog::new(page)))
    }

    async fn forget_on_news(self, stop: CancellationToken) {
        let mut news = self.client.link().news();
        while let Some(Some(_)) = stop.run_until_cancelled(news.next()).await {
            self.names.invalidate_all();
            self.catalogs.invalidate_all();
        }
    }
}

/// One caller's view of a database.
fn key(database: &str, behalf: &Behalf) -> (String, Subject) {
    (database.to_owned(), behalf.subject().cloned())
}

/// The catalog of one database, with its tables found by name.
#[derive(Debug)]
pub struct Catalog {
    page: CatalogPage,
    relations: HashMap<String, HashMap<String, Relation>>,
}

impl Catalog {
    fn new(page: CatalogPage) -> Self {
        let mut relations: HashMap<String, HashMap<String, Relation>> = HashMap::new();
        for table in &page.tables {
            relations.entry(table.schema_name.clone()).or_default().insert(table.table_name.clone(), relation(table));
        }
        Self { page, relations }
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

    fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.get(schema)?.get(name)
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        Box::new(self.relations.values().flat_map(HashMap::values))
    }
}

/// A table as the guard's advice wants it: its columns by name; types are the server's to judge.
fn relation(table: &Table) -> Relation {
    let columns = table.columns.iter().map(|column| Column::new(&column.name, TypeName::text()));
    Relation::table(&table.schema_name, &table.table_name, columns)
}
