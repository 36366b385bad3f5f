//! What a translator is shown of a database: plain data, below both translator and pipeline.

use chrono::NaiveDate;
use shared_protocol::catalog::{Table, TableKind};

/// The part of one database's catalog that a question is read against.
#[derive(Debug, Clone)]
pub struct SchemaContext {
    /// Our name of the database.
    pub database: String,
    /// The database's comment.
    pub description: Option<String>,
    /// Schemas in which unqualified names are looked up, in order.
    pub search_path: Vec<String>,
    /// The tables and views shown, by schema and name.
    pub tables: Vec<Table>,
    /// Time zone that times are read in.
    pub timezone: String,
    /// Today's date in that time zone.
    pub today: NaiveDate,
}

impl SchemaContext {
    /// The table of that name, looked up as PostgreSQL does: in `schema`, or along the search path.
    pub fn table(&self, schema: Option<&str>, name: &str) -> Option<&Table> {
        let within = |schema: &str| self.tables.iter().find(|t| t.schema_name == schema && t.table_name == name);
        match schema {
            Some(schema) => within(schema),
            None => self.search_path.iter().find_map(|schema| within(schema)),
        }
    }

    /// Whether an unqualified `table_name` means this very table.
    pub fn is_on_search_path(&self, table: &Table) -> bool {
        self.table(None, &table.table_name).is_some_and(|found| found.schema_name == table.schema_name)
    }

    /// Tables that hold rows of their own, views left out.
    pub fn base_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|t| !matches!(t.r#type, TableKind::View | TableKind::MaterializedView))
    }
}
