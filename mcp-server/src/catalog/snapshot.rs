//! One database's catalog at one moment, indexed for the guard and the executor.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use shared_protocol::catalog::{Function, Table};
use sql_guard::{Relation, RelationName, UserType};

use crate::executor::TypeNames;

/// What introspection read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) description: Option<String>,
    pub(super) server_version: String,
    pub(super) timezone: String,
    pub(super) tables: Vec<Table>,
    pub(super) partitions: Vec<Table>,
    pub(super) functions: Vec<Function>,
    pub(super) types: Vec<TypeName>,
    pub(super) callables: Vec<Callable>,
}

/// The name of functions or operators outside pg_catalog.
#[derive(Debug)]
pub(super) struct Callable {
    pub(super) name: String,
    pub(super) is_operator: bool,
}

/// A type by its number.
#[derive(Debug)]
pub(super) struct TypeName {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) is_plain: bool,
    pub(super) is_row_type: bool,
}

/// A catalog, never changed: a newer one takes its place whole.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) database: String,
    pub(super) fingerprint: String,
    pub(super) description: Option<String>,
    pub(super) server_version: String,
    pub(super) timezone: String,
    pub(super) search_path: Vec<String>,
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<Function>,
    relations: HashMap<RelationName, Vec<String>>,
    type_names: HashMap<u32, String>,
    user_types: HashMap<(String, String), UserType>,
    user_functions: HashSet<String>,
    user_operators: HashSet<String>,
    /// When it was read.
    pub loaded_at: Instant,
}

/// What the fingerprint is taken over: all that a caller sees.
#[derive(Serialize)]
struct Seen<'a> {
    database: &'a str,
    description: &'a Option<String>,
    server_version: &'a str,
    timezone: &'a str,
    search_path: &'a [String],
    tables: &'a [Table],
    functions: &'a [Function],
}

impl Snapshot {
    pub(super) fn new(database: &str, search_path: Vec<String>, draft: Draft) -> Self {
        let Draft { description, server_version, timezone, tables, partitions, functions, types, callables } = draft;
        let seen = Seen {
            database,
            description: &description,
            server_version: &server_version,
            timezone: &timezone,
            search_path: &search_path,
            tables: &tables,
            functions: &functions,
        };
        let text = serde_json::to_vec(&seen).expect("a catalog is plain data");
        let fingerprint = Sha256::digest(&text)[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        let relations = tables.iter().chain(&partitions).map(|table| {
            let name = RelationName { schema: table.schema_name.clone(), name: table.table_name.clone() };
            (name, table.columns.iter().map(|column| column.name.clone()).collect())
        });
        Self {
            database: database.to_owned(),
            fingerprint,
            relations: relations.collect(),
            type_names: types.iter().map(|of| (of.oid, of.name.clone())).collect(),
            user_types: types
                .into_iter()
                .filter(|of| of.schema != "pg_catalog" && !of.is_row_type)
                .map(user_type)
                .collect(),
            user_functions: callables.iter().filter(|of| !of.is_operator).map(|of| of.name.clone()).collect(),
            user_operators: callables.into_iter().filter(|of| of.is_operator).map(|of| of.name).collect(),
            description,
            server_version,
            timezone,
            search_path,
            tables,
            functions,
            loaded_at: Instant::now(),
        }
    }

    /// Changes when anything that a caller sees changes.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Number of tables and views listed.
    pub fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// The columns of the relations named, for suggestions.
    pub fn columns_of<'a>(&'a self, relations: &'a [RelationName]) -> impl Iterator<Item = &'a str> {
        relations.iter().filter_map(|name| self.relations.get(name)).flatten().map(String::as_str)
    }
}

impl TypeNames for Snapshot {
    fn type_name(&self, oid: u32) -> Option<String> {
        self.type_names.get(&oid).cloned()
    }
}

impl sql_guard::Catalog for Snapshot {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        let name = RelationName { schema: schema.to_owned(), name: name.to_owned() };
        let columns = self.relations.get(&name)?.clone();
        Some(Relation { name, columns })
    }

    fn relation_names(&self) -> Vec<RelationName> {
        let mut names: Vec<RelationName> = self.relations.keys().cloned().collect();
        names.sort();
        names
    }

    fn has_function(&self, name: &str) -> bool {
        self.user_functions.contains(name)
    }

    fn has_operator(&self, name: &str) -> bool {
        self.user_operators.contains(name)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<UserType> {
        self.user_types.get(&(schema.to_owned(), name.to_owned())).copied()
    }
}

fn user_type(of: TypeName) -> ((String, String), UserType) {
    ((of.schema, of.name), if of.is_plain { UserType::Plain } else { UserType::Guarded })
}
