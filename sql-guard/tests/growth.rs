//! Statements whose cost could outgrow their text: each gets its verdict in good time, and the guard goes on to the next.

mod support;

use std::ops::Range;
use std::time::{Duration, Instant};

use shared_protocol::error::ErrorCode;
use sql_guard::{Guard, Limits, Policy};
use support::Shop;

/// Far more than any verdict here takes, even in a debug build on a busy machine.
const GOOD_TIME: Duration = Duration::from_secs(20);

/// `part` for each number of the range, which stands in it in place of `#`, and the number before it in place of `@`.
fn parts(numbers: Range<usize>, separator: &str, part: &str) -> String {
    let numbered =
        |number: usize| part.replace('#', &number.to_string()).replace('@', &number.saturating_sub(1).to_string());
    numbers.map(numbered).collect::<Vec<_>>().join(separator)
}

/// A WITH clause of as many queries, each over the one before; `t0` reads the users.
fn chain(length: usize, query: &str) -> String {
    format!("WITH t0 AS (SELECT * FROM users), {}", parts(1..length, ", ", query))
}

async fn check(guard: &Guard, text: &str) -> Result<(), ErrorCode> {
    assert!(text.len() <= 64 * 1024, "{} bytes: {text:.60}", text.len());
    let begun = Instant::now();
    let verdict = guard.check(text, &Shop::access(guard, Policy::default()).await).await;
    assert!(begun.elapsed() < GOOD_TIME, "{:?}: {text:.60}", begun.elapsed());
    verdict.map(drop).map_err(|rejection| rejection.code)
}

/// A guard whose deadline doesn't help it.
fn patient() -> Guard {
    Guard::new(Limits { deadline: Duration::from_secs(60), ..Limits::default() })
}

#[tokio::test]
async fn rows_wider_than_postgresql_allows_are_refused() {
    let guard = patient();
    let values = |width: usize| format!("SELECT 1 FROM (VALUES (1{})) v", ",1".repeat(width - 1));
    let aliased = |width: usize| format!("SELECT 1 FROM unnest(ARRAY[1]) AS g({})", parts(0..width, ",", "c#"));
    for text in [
        chain(24, "t# AS (SELECT * FROM t@ a, t@ b)") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT a.*, a.* FROM t@ a)") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT * FROM t@ a CROSS JOIN t@ b)") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT * FROM t@ a JOIN t@ b USING (id))") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT j.* FROM (t@ a CROSS JOIN t@ b) AS j)") + " SELECT 1 FROM t23",
        chain(24, "t#(x) AS (SELECT * FROM t@ a, t@ b(y))") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT * FROM t@ a, t@ b UNION SELECT * FROM t@ a, t@ b)") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT * FROM (SELECT * FROM t@ a, (TABLE t@) b) c)") + " SELECT 1 FROM t23",
        chain(24, "t# AS (SELECT * FROM t@ a, t@ b)").replace("WITH", "WITH RECURSIVE") + " SELECT 1 FROM t23",
        format!("SELECT {} FROM users", parts(0..417, ",", "users.*")),
        values(1665),
        aliased(1665),
        format!("SELECT 1 FROM json_to_record('{{}}') AS r({})", parts(0..1665, ",", "c# int")),
        format!("SELECT 1 FROM JSON_TABLE('[]', '$' COLUMNS ({})) j", parts(0..1665, ",", "c# int")),
    ] {
        assert_eq!(check(&guard, &text).await, Err(ErrorCode::QueryTooComplex), "{text:.200}");
    }
    for text in [
        chain(9, "t# AS (SELECT * FROM t@ a, t@ b)") + " SELECT 1 FROM t8",
        // Columns that are joined by are counted once.
        chain(24, "t# AS (SELECT * FROM t@ a NATURAL JOIN t@ b)") + " SELECT 1 FROM t23",
        chain(400, "t# AS (SELECT * FROM t@ a)") + " SELECT id, email FROM t399",
        format!("SELECT {} FROM users", parts(0..416, ",", "users.*")),
        values(1664),
        aliased(1664),
    ] {
        assert_eq!(check(&guard, &text).await, Ok(()), "{text:.200}");
    }
}

#[tokio::test]
async fn many_of_one_thing_by_many_of_another_end_in_good_time() {
    let guard = patient();
    let wide = chain(9, "t# AS (SELECT * FROM t@ a, t@ b)") + ", w AS (SELECT *, 1 AS y FROM t8)";
    for text in [
        // Items of FROM by references, found in the last item or in none.
        format!(
            "SELECT 1 FROM {}, orders WHERE 1 IN ({})",
            parts(0..3_000, ",", "users u#"),
            parts(0..4_000, ",", "total")
        ),
        format!("SELECT 1 FROM {} WHERE 1 IN ({})", parts(0..4_000, ",", "users a"), parts(0..4_000, ",", "a.id")),
        format!("SELECT 1 FROM {} WHERE 1 IN ({})", parts(0..3_000, ",", "users u#"), parts(0..3_000, ",", "u9.id")),
        format!("SELECT nothing FROM {}", parts(0..5_000, ",", "users u#")),
        format!(
            "{wide} SELECT 1 FROM {}, (SELECT 1 AS z) q WHERE 1 IN ({})",
            parts(0..5_000, ",", "w a#"),
            parts(0..7_000, ",", "z")
        ),
        format!("{wide} SELECT nothing FROM {}", parts(0..7_000, ",", "w a#")),
        // Lists of columns by aliases and by subqueries.
        format!("{wide} SELECT 1 FROM {}", parts(0..5_000, ",", "w a(b)")),
        format!("{wide} SELECT 1 FROM {}", parts(0..2_000, ",", "(SELECT *,1 FROM w) a")),
        format!("{wide}, {} SELECT 1", parts(0..2_000, ",", "c#(x) AS (TABLE w)")),
        format!("{wide} SELECT {}", parts(0..2_000, ",", "(SELECT 1 FROM w a(b))")),
        // Stars by items without known columns.
        format!("SELECT {} FROM {}", parts(0..3_500, ",", "f.*"), parts(0..3_500, ",", "now() f")),
        // WITH queries by references to them.
        format!("WITH {} SELECT 1 FROM {}", parts(0..2_500, ",", "c# AS (SELECT)"), parts(0..4_000, ",", "c0")),
        // Columns of USING by items on both sides.
        format!(
            "SELECT 1 FROM ({}) JOIN users USING ({})",
            parts(0..450, " CROSS JOIN ", "users"),
            parts(0..10_000, ",", "id")
        ),
        format!("SELECT {}", parts(1..1_664, ",", "$#")),
        format!("SELECT 1 WHERE 1 IN ({})", parts(1..9_000, ",", "$#")),
        format!("SELECT 1 WHERE 1 IN ({})", parts(0..4_000, ",", "(1).oid")),
        format!("SELECT 1 WHERE 1 IN ({})", parts(0..15_000, ",", "1")),
    ] {
        assert_ne!(check(&guard, &text).await, Err(ErrorCode::InternalError), "{text:.200}");
    }
    assert_eq!(check(&guard, "SELECT id FROM users").await, Ok(()));
}
