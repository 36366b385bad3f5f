//! A catalog under another search_path than its sessions have.

use std::sync::Arc;

use sql_guard::{Catalog, Function, FunctionRef, Hook, ObjectId, Operator, Relation, TypeName, UserType};

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

    fn database(&self) -> Option<&str> {
        self.snapshot.database()
    }

    fn operators(&self, name: &str) -> &[Operator] {
        self.snapshot.operators(name)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        self.snapshot.user_type(schema, name)
    }

    fn casts_to(&self, built_in: &str) -> &[FunctionRef] {
        self.snapshot.casts_to(built_in)
    }

    fn casts_of_built_ins(&self) -> &[(Arc<str>, FunctionRef)] {
        self.snapshot.casts_of_built_ins()
    }

    fn hooks(&self) -> &[Hook] {
        self.snapshot.hooks()
    }

    fn function_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        self.snapshot.function_names()
    }

    fn all_operators(&self) -> Box<dyn Iterator<Item = &Operator> + '_> {
        self.snapshot.all_operators()
    }

    fn user_types(&self) -> Box<dyn Iterator<Item = (TypeName, &UserType)> + '_> {
        self.snapshot.user_types()
    }

    fn is_utf8(&self) -> bool {
        self.snapshot.is_utf8()
    }
}
