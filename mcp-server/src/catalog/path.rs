//! A catalog under another search_path than its sessions have.

use std::sync::Arc;

use sql_guard::{Cast, Catalog, Function, ObjectId, Operator, Relation, UserType};

use super::Snapshot;

/// A snapshot in which unqualified names are looked up elsewhere.
#[derive(Debug, Clone)]
pub struct OnPath {
    /// The catalog.
    pub snapshot: Arc<Snapshot>,
    /// The schemas, in order.
    pub search_path: Vec<String>,
}

impl Catalog for OnPath {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.snapshot.relation(schema, name)
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        self.snapshot.relations()
    }

    fn functions(&self, name: &str) -> &[Function] {
        self.snapshot.functions(name)
    }

    fn function(&self, id: ObjectId) -> Option<&Function> {
        self.snapshot.function(id)
    }

    fn operators(&self, name: &str) -> &[Operator] {
        self.snapshot.operators(name)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        self.snapshot.user_type(schema, name)
    }

    fn casts(&self) -> &[Cast] {
        self.snapshot.casts()
    }
}
