//! A catalog of one small shop, for the tests that need no more.

use sql_guard::{Catalog, Relation, RelationName, UserType};

/// Tables `users`, `orders` and `order_items` in `public`, and nothing else.
pub(crate) struct Shop {
    search_path: Vec<String>,
}

const TABLES: &[(&str, &[&str])] = &[
    ("users", &["id", "name", "email", "created_at"]),
    ("orders", &["id", "user_id", "total", "status", "placed_at"]),
    ("order_items", &["order_id", "line", "quantity"]),
];

impl Shop {
    pub(crate) fn new() -> Self {
        Self { search_path: vec!["public".to_string()] }
    }
}

impl Catalog for Shop {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        let (_, columns) = TABLES.iter().find(|(table, _)| schema == "public" && *table == name)?;
        let name = RelationName { schema: schema.to_string(), name: name.to_string() };
        Some(Relation { name, columns: columns.iter().map(ToString::to_string).collect() })
    }

    fn relation_names(&self) -> Vec<RelationName> {
        TABLES.iter().map(|(name, _)| RelationName { schema: "public".to_string(), name: name.to_string() }).collect()
    }

    fn has_function(&self, _: &str) -> bool {
        false
    }

    fn has_operator(&self, _: &str) -> bool {
        false
    }

    fn user_type(&self, _: &str, _: &str) -> Option<UserType> {
        None
    }
}
