//! What the guard costs, beside what parsing the same text alone costs in the same run.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group};
use sql_guard::{Access, Catalog, Column, Guard, IN_PLACE_STACK, Limits, Policy, Relation, TypeName};

/// A usual query of about 230 bytes.
const USUAL: &str = "SELECT u.name, count(o.id) AS orders, sum(o.total) AS spent FROM users AS u JOIN orders AS o ON o.user_id = u.id \
                     WHERE o.created_at >= $1 AND o.status = $2 GROUP BY u.id, u.name ORDER BY spent DESC NULLS LAST LIMIT $3";

/// How many texts that differ a little are judged in turn: so many that none is still remembered when its turn comes again.
const TEXTS: usize = 100_000;

/// Stack of the thread that judges, as the server's are: with room for what the benchmark itself needs.
const STACK_BYTES: usize = IN_PLACE_STACK + (8 << 20);

struct Shop {
    search_path: Vec<String>,
    relations: Vec<Relation>,
}

impl Shop {
    fn new() -> Self {
        let table = |name: &str, columns: &[&str]| {
            Relation::table("public", name, columns.iter().map(|name| Column::new(name, TypeName::text())))
        };
        let tables = [
            table("users", &["id", "name", "password"]),
            table("orders", &["id", "user_id", "total", "status", "created_at"]),
        ];
        Self { search_path: vec!["public".to_owned()], relations: tables.into() }
    }
}

impl Catalog for Shop {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.name.schema == schema && relation.name.name == name)
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        Box::new(self.relations.iter())
    }
}

fn guard(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let guard = Guard::new(Limits::default());
    let access: Arc<Access> = runtime
        .block_on(guard.access(Arc::new(Shop::new()), Arc::new(Policy::default())))
        .expect("the guard has time for it");
    let texts: Vec<String> = (0..TEXTS).map(|number| format!("{USUAL} OFFSET {number}")).collect();
    let mut group = criterion.benchmark_group("a usual query");
    let mut next = texts.iter().cycle();
    group.bench_function("parsed alone", |bencher| {
        bencher.iter(|| {
            let text = next.next().expect("it never ends");
            pg_query::parse(black_box(text), 0).expect("it parses")
        });
    });
    group.bench_function("judged", |bencher| {
        bencher.iter(|| {
            let text = next.next().expect("it never ends");
            runtime.block_on(guard.check(black_box(text), &access)).expect("it passes")
        });
    });
    group.bench_function("judged again", |bencher| {
        bencher.iter(|| runtime.block_on(guard.check(black_box(USUAL), &access)).expect("it passes"));
    });
    group.finish();
}

criterion_group!(benches, guard);

/// Judges on a thread like the server's, whose stack has room for short texts.
fn main() {
    let measure = || {
        benches();
        Criterion::default().configure_from_args().final_summary();
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(measure);
    thread.expect("a thread starts").join().expect("the bench runs to its end");
}
