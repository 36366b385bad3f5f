//! What a caller sees of a database, and the names in it: found, or told which are nearest.

use std::sync::Arc;

use shared_protocol::catalog::Table;
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean, shortened};
use sql_guard::Rejection;

use super::{Call, ToolContext, ToolError};
use crate::caller::Caller;
use crate::catalog::{CatalogCache, Snapshot, Visible};
use crate::databases::Database;
use crate::policy::Rules;

/// How many names are offered in the place of one that isn't there.
const OFFERED: usize = 5;

/// What a caller sees of one database.
#[derive(Debug, Clone)]
pub struct View {
    /// The database.
    pub database: Arc<Database>,
    /// The caller's rules there.
    pub rules: Arc<Rules>,
    /// What of the catalog they leave.
    pub visible: Arc<Visible>,
}

/// A name, or a way, that leads the caller nowhere: nothing is there, or nothing that may be looked into.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NotFound {
    /// What isn't there.
    pub code: ErrorCode,
    /// The same in a sentence.
    pub message: String,
    /// What there is.
    pub suggestion: String,
    /// The closest schemas, tables or columns that the caller may see, nearest first.
    pub similar: Vec<String>,
    /// Number of joins of the shortest path, where it is longer than what was asked for.
    pub nearest_depth: Option<usize>,
}

impl ToolContext {
    /// The catalog of the database that a call means: the default one where it names none.
    ///
    /// # Errors
    /// [`ToolError::UnknownDatabase`] where there is none of that name.
    pub fn catalog(&self, wanted: Option<&str>) -> Result<CatalogCache, ToolError> {
        let database = match wanted {
            None => Some(Arc::clone(self.databases.default())),
            Some(wanted) => self.databases.get(wanted),
        };
        database.map(|database| self.catalogs.of(&database)).ok_or_else(|| ToolError::UnknownDatabase {
            wanted: wanted.unwrap_or_default().to_owned(),
            known: self.databases.names(),
        })
    }

    /// What a caller sees of a database, by default the default one.
    ///
    /// # Errors
    /// [`ToolError::UnknownDatabase`]; [`ToolError::Catalog`] where there is no catalog; [`ToolError::Rejected`] where the guard is too
    /// busy to judge it.
    pub async fn view(&self, database: Option<&str>, caller: &Caller) -> Result<View, ToolError> {
        let catalog = self.catalog(database)?;
        let snapshot = catalog.current().await?;
        self.view_of(&catalog, &snapshot, caller).await
    }

    /// The same of a catalog that is at hand.
    ///
    /// # Errors
    /// [`ToolError::Rejected`] where the guard is too busy to judge it.
    pub async fn view_of(
        &self,
        catalog: &CatalogCache,
        snapshot: &Arc<Snapshot>,
        caller: &Caller,
    ) -> Result<View, ToolError> {
        let rules = self.policies.rules(catalog.database().name(), caller);
        let visible = catalog.visible(snapshot, &rules).await;
        let visible = visible.map_err(|rejection| ToolError::Rejected(Rejection::clone(&rejection)))?;
        Ok(View { database: Arc::clone(catalog.database()), rules, visible })
    }

    /// The same after a name that `known` lacks, from a catalog that was read again where that is worth while.
    ///
    /// # Errors
    /// As [`ToolContext::view`].
    async fn view_after_unknown_name(
        &self,
        database: Option<&str>,
        caller: &Caller,
        known: &View,
    ) -> Result<View, ToolError> {
        let catalog = self.catalog(database)?;
        let snapshot = catalog.after_unknown_name(known.visible.snapshot()).await?;
        self.view_of(&catalog, &snapshot, caller).await
    }

    /// What `find` finds in a caller's view of a database, and that view. A name that isn't there is looked for once more in a fresh
    /// catalog.
    ///
    /// # Errors
    /// As [`ToolContext::view`], and those of `find`.
    pub(crate) async fn find<T>(
        &self,
        database: Option<&str>,
        call: &Call,
        find: impl Fn(&View) -> Result<T, NotFound>,
    ) -> Result<(View, T), ToolError> {
        let looked = async {
            let view = self.view(database, &call.caller).await?;
            let missing = match find(&view) {
                Ok(found) => return Ok((view, found)),
                // That it is closed no newer catalog changes.
                Err(closed) if closed.code == ErrorCode::AccessDenied => return Err(closed.into()),
                Err(missing) => missing,
            };
            let newer = self.view_after_unknown_name(database, &call.caller, &view).await?;
            match Arc::ptr_eq(newer.visible.snapshot(), view.visible.snapshot()) {
                true => Err(missing.into()),
                false => find(&newer).map(|found| (newer, found)).map_err(ToolError::NotFound),
            }
        };
        call.within(self.limits.statement_timeout, looked).await?
    }
}

impl View {
    /// The schema of that name, by default the first in which names are looked up.
    ///
    /// # Errors
    /// SCHEMA_NOT_FOUND with the closest names.
    pub(crate) fn schema(&self, wanted: Option<&str>) -> Result<String, NotFound> {
        let is_system = |name: &str| name.starts_with("pg_") || name == "information_schema";
        let on_path = || self.visible.search_path().iter().map(String::as_str).find(|name| !is_system(name));
        let Some(wanted) = wanted.or_else(|| self.database.default_schema()).or_else(on_path) else {
            return Err(self.no_schema("there is no schema in which names are looked up".to_owned(), ""));
        };
        let schemas = self.visible.schemas();
        match schemas.iter().find(|schema| schema.name == wanted) {
            Some(schema) if schema.is_system => Err(NotFound {
                code: ErrorCode::AccessDenied,
                message: format!("{wanted} is PostgreSQL's own, and its tables may not be read"),
                suggestion: "The tools list_schemas, list_tables and describe_table tell what stands in it.".to_owned(),
                similar: Vec::new(),
                nearest_depth: None,
            }),
            Some(schema) => Ok(schema.name.clone()),
            None => Err(self.no_schema(format!("there is no schema {:?}", shortened(wanted)), wanted)),
        }
    }

    fn no_schema(&self, message: String, wanted: &str) -> NotFound {
        let schemas = self.visible.schemas().iter().filter(|schema| !schema.is_system);
        let names: Vec<&str> = schemas.map(|schema| schema.name.as_str()).collect();
        let similar =
            closest(wanted, names.iter().copied(), OFFERED).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let list = || match names.is_empty() {
            true => "There are no schemas that you may see.".to_owned(),
            false => format!("The schemas are: {}.", names.iter().take(30).copied().collect::<Vec<_>>().join(", ")),
        };
        NotFound {
            code: ErrorCode::SchemaNotFound,
            message,
            suggestion: did_you_mean(&similar).unwrap_or_else(list),
            similar,
            nearest_depth: None,
        }
    }

    /// The table or view of that name in that schema, by default the first in which names are looked up.
    ///
    /// # Errors
    /// SCHEMA_NOT_FOUND, or TABLE_NOT_FOUND with the closest names: those of the same schema as they are, others with their schema.
    pub(crate) fn table(&self, schema: Option<&str>, name: &str) -> Result<Table, NotFound> {
        let schema = self.schema(schema)?;
        if let Some(table) = self.visible.table(&schema, name) {
            return Ok(table.clone());
        }
        let own = self.visible.tables_of(&schema).iter().map(|table| table.table_name.as_str());
        let mut similar: Vec<String> = closest(name, own, OFFERED).into_iter().map(str::to_owned).collect();
        let others = self.visible.tables().iter().filter(|table| table.schema_name != schema);
        let near = closest(name, others.clone().map(|table| table.table_name.as_str()), OFFERED);
        let elsewhere = near.iter().flat_map(|near| others.clone().filter(move |table| table.table_name == *near));
        for table in elsewhere {
            let qualified = format!("{}.{}", table.schema_name, table.table_name);
            // The very name in another schema is nearer than a like one in this.
            let place = if table.table_name == name { 0 } else { similar.len() };
            if !similar.contains(&qualified) {
                similar.insert(place, qualified);
            }
        }
        similar.truncate(OFFERED);
        let list = || format!("Call list_tables with schema_name {schema:?} to see what there is.");
        Err(NotFound {
            code: ErrorCode::TableNotFound,
            message: format!("there is no table {:?} in schema {schema:?}", shortened(name)),
            suggestion: did_you_mean(&similar).unwrap_or_else(list),
            similar,
            nearest_depth: None,
        })
    }
}
