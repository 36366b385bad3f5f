//! Whatever the text, the guard answers, and what it passes is what came.

mod support;

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use shared_protocol::error::ErrorCode;
use sql_guard::{Access, Guard, Limits, Pattern, Policy};
use support::Shop;

static GUARD: LazyLock<Guard> = LazyLock::new(|| Guard::new(Limits::default()));

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("the runtime starts"));

/// The shop as different callers see it: with no rules, and with each kind of rule.
static ACCESSES: LazyLock<Vec<Arc<Access>>> = LazyLock::new(|| {
    let none = Policy::default();
    let policies = [
        none.clone(),
        Policy { deny_tables: vec![pattern("public.orders")], ..none.clone() },
        Policy { allow_tables: vec![vec![pattern("public.user?"), pattern("public.order_items")]], ..none.clone() },
        Policy { deny_columns: vec![pattern("public.users.id"), pattern("*.orders.total")], ..none.clone() },
        Policy { mask_columns: vec![pattern("*.*.id"), pattern("public.users.name")], ..none.clone() },
        Policy {
            deny_columns: vec![pattern("public.users.email")],
            mask_columns: vec![pattern("public.*.*")],
            allow_functions: vec![vec![pattern("pg_catalog.pg_get_viewdef")]],
            ..none
        },
    ];
    policies.into_iter().map(|policy| RUNTIME.block_on(Shop::access(&GUARD, policy))).collect()
});

fn pattern<const PARTS: usize>(text: &str) -> Pattern<PARTS> {
    text.parse().expect("a pattern")
}

const ACCEPTED: &[&str] = &[
    "SELECT u.name, count(*) FROM users u JOIN orders o ON o.user_id = u.id GROUP BY 1 HAVING count(*) > $1 ORDER BY 2 DESC LIMIT 5",
    "WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT sum(n) FROM r",
    "SELECT '{\"a\": 1}'::jsonb ->> 'a', E'it\\'s', $$dollar$$, U&'d\\0061t' -- done",
    "SELECT sum(total) OVER (PARTITION BY user_id ORDER BY placed_at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders",
    "SELECT * FROM json_to_recordset('[]') AS x(a int, b text), LATERAL (SELECT x.a) y /* and /* more */ */;",
    "SELECT CASE WHEN id IN (1, 2) THEN ARRAY[id] ELSE ARRAY(SELECT id FROM orders) END FROM users WHERE NOT name ILIKE '%x%'",
    "SELECT * FROM xmltable('/a' PASSING ('<a/>'::xml) COLUMNS x int PATH 'x') t",
    "SELECT JSON_OBJECT('a': id), extract(year FROM created_at AT TIME ZONE 'UTC') FROM users TABLESAMPLE system (10)",
];

/// Pieces that change what surrounds them.
const PIECES: &[&str] = &[
    "(",
    ")",
    "'",
    "\"",
    "/*",
    "*/",
    "--",
    "\n",
    ";",
    ",",
    ".",
    "*",
    "::",
    "$1",
    "$$",
    "E'",
    "U&\"",
    "SELECT",
    "FROM",
    "WITH x AS (",
    "DELETE FROM users",
    "INTO evil",
    "FOR UPDATE",
    "pg_sleep(1)",
    "::regclass",
    "pg_class",
    "UNION",
    "NOT",
    "[1]",
    "OPERATOR(a.+)",
    "\u{e9}",
    "\u{1f600}",
    "\\",
    "0x1g",
    "ROWS FROM (",
    "JSON_TABLE(",
    "users",
    "orders o",
    "id",
    "u.*",
    "(users).name",
    "NATURAL JOIN users",
    "JOIN orders USING (id)",
    "AS users (id, name)",
    "LATERAL (SELECT",
    "GROUP BY 1",
    "DISTINCT",
    "count(email)",
    "RECURSIVE",
];

fn judge(text: &str) {
    for access in ACCESSES.iter() {
        match RUNTIME.block_on(GUARD.check(text, access)) {
            Ok(query) => {
                assert!(text.starts_with(query.text()), "{text:?}");
                assert!(query.masked().iter().all(|at| query.width().is_none_or(|width| *at < width)), "{text:?}");
            }
            Err(rejection) => {
                assert_ne!(rejection.code, ErrorCode::InternalError, "{text:?} under {access:?}");
                assert!(rejection.suggestion.is_some(), "{text:?} under {access:?}: {rejection}");
            }
        }
    }
    let advice = RUNTIME.block_on(GUARD.advise(text, None, None));
    if let Err(rejection) = advice {
        assert_ne!(rejection.code, ErrorCode::InternalError, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_gets_an_answer(text in any::<String>()) {
        judge(&text);
    }

    #[test]
    fn arbitrary_pieces_get_an_answer(pieces in prop::collection::vec(prop::sample::select(PIECES), 1..24)) {
        judge(&pieces.join(" "));
    }

    #[test]
    fn mutated_statements_get_an_answer(
        which in prop::sample::select(ACCEPTED),
        at in any::<prop::sample::Index>(),
        cut in 0..6_usize,
        piece in prop::sample::select(PIECES),
    ) {
        let characters: Vec<char> = which.chars().collect();
        let at = at.index(characters.len());
        let rest = characters.iter().skip(at + cut);
        let text: String = characters.iter().take(at).copied().chain(piece.chars()).chain(rest.copied()).collect();
        judge(&text);
    }
}

#[test]
fn the_statements_that_are_mutated_pass() {
    for text in ACCEPTED {
        let verdict = RUNTIME.block_on(GUARD.check(text, &ACCESSES[0]));
        verdict.unwrap_or_else(|rejection| panic!("{text}: {rejection}"));
    }
}
