//! One database's catalog at one moment, indexed for the guard and the executor.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use shared_protocol::catalog::{self, Table};
use sql_guard::{Function, FunctionRef, ObjectId, Operator, Relation, UserType};

use super::facts::Facts;
use crate::executor::TypeNames;

/// What introspection read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) description: Option<String>,
    pub(super) server_version: String,
    pub(super) timezone: String,
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<catalog::Function>,
    pub(super) types: Vec<TypeName>,
    pub(super) facts: Facts,
}

/// A type by its number.
#[derive(Debug)]
pub(super) struct TypeName {
    pub(super) oid: u32,
    pub(super) name: String,
}

/// A catalog, never changed: a newer one takes its place whole.
#[derive(Debug)]
pub struct Snapshot {
    serial: u64,
    pub(super) database: String,
    pub(super) fingerprint: String,
    pub(super) description: Option<String>,
    pub(super) server_version: String,
    pub(super) timezone: String,
    pub(super) search_path: Vec<String>,
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<catalog::Function>,
    type_names: HashMap<u32, String>,
    facts: Facts,
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
    functions: &'a [catalog::Function],
}

impl Snapshot {
    pub(super) fn new(database: &str, search_path: Vec<String>, draft: Draft) -> Self {
        let Draft { description, server_version, timezone, tables, functions, types, facts } = draft;
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
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            database: database.to_owned(),
            fingerprint,
            type_names: types.into_iter().map(|of| (of.oid, of.name)).collect(),
            facts,
            description,
            server_version,
            timezone,
            search_path,
            tables,
            functions,
            loaded_at: Instant::now(),
        }
    }

    /// Tells it from every other snapshot of the process.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Changes when anything that anybody sees changes.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Number of tables and views listed.
    pub fn table_count(&self) -> usize {
        self.tables.len()
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

    fn operators(&self, name: &str) -> &[Operator] {
        self.facts.operators.get(name).map_or(&[], Vec::as_slice)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        self.facts.types.get(schema)?.get(name)
    }

    fn casts_to(&self, built_in: &str) -> &[FunctionRef] {
        self.facts.casts.get(built_in).map_or(&[], Vec::as_slice)
    }
}
