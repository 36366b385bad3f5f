//! One database's catalog at one moment, indexed for the guard and the executor.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_protocol::catalog::{self, Table};
use sql_guard::{Function, FunctionRef, Hook, ObjectId, Operator, Relation, RelationName, TypeName, UserType};

use super::facts::Facts;
use super::samples::Samples;

/// What introspection read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) own_name: String,
    pub(super) description: Option<String>,
    pub(super) server_version: String,
    pub(super) timezone: String,
    pub(super) is_utf8: bool,
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<catalog::Function>,
    pub(super) schemas: Vec<Schema>,
    pub(super) types: Vec<NumberedType>,
    pub(super) facts: Facts,
}

/// A schema that the role may look into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) owner: Option<String>,
    pub(super) description: Option<String>,
    /// Whether it is PostgreSQL's own.
    pub(super) is_system: bool,
    /// Number of tables and views, where it is.
    pub(super) system_tables: usize,
}

/// A type by its number.
#[derive(Debug)]
pub(super) struct NumberedType {
    pub(super) oid: u32,
    pub(super) name: String,
    /// As SQL is written with it.
    pub(super) written: String,
}

/// A catalog, never changed but for its samples, which come later: a newer one takes its place whole.
#[derive(Debug)]
pub struct Snapshot {
    serial: u64,
    pub(super) database: String,
    /// What PostgreSQL calls it.
    own_name: String,
    pub(super) description: Option<String>,
    pub(super) server_version: String,
    pub(super) timezone: String,
    is_utf8: bool,
    pub(super) search_path: Vec<String>,
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<catalog::Function>,
    types: HashMap<u32, NumberedType>,
    pub(super) schemas: Vec<Schema>,
    facts: Facts,
    samples: ArcSwapOption<Samples>,
    /// Another number where DDL has changed something; nothing where that can't be told.
    pub(super) changes: Option<i64>,
    /// When it was read.
    pub loaded_at: Instant,
    /// The same by the clock on the wall.
    pub loaded_on: DateTime<Utc>,
}

impl Snapshot {
    pub(super) fn new(database: &str, search_path: Vec<String>, changes: Option<i64>, draft: Draft) -> Self {
        let Draft {
            own_name,
            description,
            server_version,
            timezone,
            is_utf8,
            tables,
            functions,
            schemas,
            types,
            facts,
        } = draft;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            database: database.to_owned(),
            own_name,
            types: types.into_iter().map(|of| (of.oid, of)).collect(),
            facts,
            description,
            server_version,
            timezone,
            is_utf8,
            search_path,
            tables,
            functions,
            schemas,
            samples: ArcSwapOption::empty(),
            changes,
            loaded_at: Instant::now(),
            loaded_on: Utc::now(),
        }
    }

    /// Tells it from every other snapshot of the process.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The values of its columns, once they have been read.
    pub(super) fn samples(&self) -> Option<Arc<Samples>> {
        self.samples.load_full()
    }

    /// Takes these for the values of its columns.
    pub(super) fn take_samples(&self, samples: Arc<Samples>) {
        self.samples.store(Some(samples));
    }

    /// Whether a relation has row-level security, so that its rows depend on who asks.
    pub(super) fn has_row_security(&self, schema: &str, name: &str) -> bool {
        let relation: Option<&Relation> = sql_guard::Catalog::relation(self, schema, name);
        relation.is_some_and(|relation| relation.runs_code)
    }

    /// The type of that number.
    pub(super) fn numbered_type(&self, oid: u32) -> Option<&NumberedType> {
        self.types.get(&oid)
    }

    /// A relation by its number, and the place of one of its columns by that column's.
    pub(super) fn numbered(&self, relation: u32, column: i16) -> Option<(&RelationName, usize)> {
        let (name, columns) = self.facts.numbered.get(&relation)?;
        Some((name, columns.iter().position(|number| *number == column)?))
    }

    /// The database's comment.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Number of tables and views listed.
    pub fn table_count(&self) -> usize {
        self.tables.len()
    }
}

impl sql_guard::Catalog for Snapshot {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.facts.relations.get(schema)?.get(name)
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        Box::new(self.facts.relations.values().flat_map(HashMap::values))
    }

    fn functions(&self, name: &str) -> &[Function] {
        self.facts.functions.get(name).map_or(&[], Vec::as_slice)
    }

    fn function(&self, id: ObjectId) -> Option<&Function> {
        self.facts.function(id)
    }

    fn database(&self) -> Option<&str> {
        Some(&self.own_name)
    }

    fn operators(&self, name: &str) -> &[Operator] {
        self.facts.operators.get(name).map_or(&[], Vec::as_slice)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        self.facts.types.get(schema)?.get(name)
    }

    fn casts_to(&self, built_in: &str) -> &[FunctionRef] {
        self.facts.casts.get(built_in).map_or(&[], Vec::as_slice)
    }

    fn casts_of_built_ins(&self) -> &[(Arc<str>, FunctionRef)] {
        &self.facts.casts_of_built_ins
    }

    fn hooks(&self) -> &[Hook] {
        &self.facts.hooks
    }

    fn function_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.facts.functions.keys().map(String::as_str))
    }

    fn all_operators(&self) -> Box<dyn Iterator<Item = &Operator> + '_> {
        Box::new(self.facts.operators.values().flatten())
    }

    fn user_types(&self) -> Box<dyn Iterator<Item = (TypeName, &UserType)> + '_> {
        Box::new(self.facts.types.iter().flat_map(|(schema, types)| {
            let schema: Arc<str> = schema.as_str().into();
            types
                .iter()
                .map(move |(name, known)| (TypeName { schema: Arc::clone(&schema), name: name.as_str().into() }, known))
        }))
    }

    fn is_utf8(&self) -> bool {
        self.is_utf8
    }
}
