//! A catalog of one small shop, for the tests that need no more.

use std::sync::Arc;

use sql_guard::{Access, Catalog, Column, Guard, Policy, Relation, TypeName};

/// Tables `users`, `orders` and `order_items` in `public`, and nothing else.
pub(crate) struct Shop {
    search_path: Vec<String>,
    relations: Vec<Relation>,
}

const TABLES: &[(&str, &[&str])] = &[
    ("users", &["id", "name", "email", "created_at"]),
    ("orders", &["id", "user_id", "total", "status", "placed_at"]),
    ("order_items", &["order_id", "line", "quantity"]),
];

impl Shop {
    /// The shop as somebody with these rules sees it.
    pub(crate) async fn access(guard: &Guard, policy: Policy) -> Arc<Access> {
        Self::of(guard, policy, Self::tables()).await
    }

    /// What somebody with these rules sees of these tables.
    pub(crate) async fn of(guard: &Guard, policy: Policy, relations: Vec<Relation>) -> Arc<Access> {
        let shop = Self { search_path: vec!["public".to_string()], relations };
        guard.access(Arc::new(shop), Arc::new(policy)).await.expect("the guard has time")
    }

    /// Its tables.
    pub(crate) fn tables() -> Vec<Relation> {
        let table = |(name, columns): &(&str, &[&str])| {
            Relation::table("public", name, columns.iter().map(|name| Column::new(name, TypeName::text())))
        };
        TABLES.iter().map(table).collect()
    }
}

impl Catalog for Shop {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations().find(|relation| relation.name.schema == schema && relation.name.name == name)
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        Box::new(self.relations.iter())
    }
}
