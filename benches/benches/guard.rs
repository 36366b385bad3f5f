//! What the guard costs, beside what parsing the same text alone costs in the same run.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use sql_guard::{Catalog, Guard, Limits, Relation, RelationName, UserType};

/// A usual query of about 230 bytes.
const USUAL: &str = "SELECT u.name, count(o.id) AS orders, sum(o.total) AS spent FROM users AS u JOIN orders AS o ON o.user_id = u.id \
                     WHERE o.created_at >= $1 AND o.status = $2 GROUP BY u.id, u.name ORDER BY spent DESC NULLS LAST LIMIT $3";

struct Shop(Vec<String>);

impl Catalog for Shop {
    fn search_path(&self) -> &[String] {
        &self.0
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        let columns: &[&str] = match name {
            "users" => &["id", "name"],
            "orders" => &["id", "user_id", "total", "status", "created_at"],
            _ => return None,
        };
        let name = RelationName { schema: schema.to_owned(), name: name.to_owned() };
        Some(Relation { name, columns: columns.iter().map(|column| (*column).to_owned()).collect() })
    }

    fn relation_names(&self) -> Vec<RelationName> {
        Vec::new()
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

fn guard(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let guard = Guard::new(Limits::default());
    let shop: Arc<dyn Catalog> = Arc::new(Shop(vec!["public".to_owned()]));
    let mut group = criterion.benchmark_group("a usual query");
    group.bench_function("parsed alone", |bencher| {
        bencher.iter(|| pg_query::parse(black_box(USUAL), 0).expect("it parses"));
    });
    group.bench_function("judged", |bencher| {
        bencher.iter(|| runtime.block_on(guard.check(black_box(USUAL), Arc::clone(&shop))).expect("it passes"));
    });
    group.finish();
}

criterion_group!(benches, guard);
criterion_main!(benches);
