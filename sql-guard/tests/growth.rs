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

/// As many subqueries, each of a column that is `part` of the one before.
fn nested(depth: usize, part: &str) -> String {
    (0..depth)
        .fold("SELECT total AS n FROM orders".to_owned(), |inner, _| format!("SELECT {part} AS n FROM ({inner}) AS q"))
}

#[tokio::test]
async fn what_would_stand_for_too_much_of_itself_is_refused() {
    let guard = patient();
    let chained = |query: &str| format!("WITH t0 AS (SELECT total AS n FROM orders), {}", parts(1..30, ", ", query));
    for text in [
        nested(20, "n + n"),
        nested(20, "q.n + q.n"),
        nested(24, "CASE WHEN n > 1 THEN n END"),
        nested(20, "(SELECT n + n)"),
        nested(20, "ARRAY(SELECT n + q.n)"),
        nested(20, "ROW(q, q)"),
        nested(20, "coalesce(to_jsonb(q), to_jsonb(q))"),
        nested(20, "n BETWEEN n AND 1"),
        // What stands left of these is there more than once.
        nested(13, "CASE WHEN n IN (n, 1) THEN 1 END"),
        nested(16, "CASE WHEN n BETWEEN 1 AND 2 THEN 1 END"),
        nested(10, "CASE WHEN n BETWEEN SYMMETRIC 1 AND 2 THEN 1 END"),
        format!("SELECT {}total{} FROM orders", "(".repeat(60), " BETWEEN 1 AND 2)::int".repeat(60)),
        format!("SELECT {}total{} FROM orders", "(".repeat(60), " IN (id, user_id))::int".repeat(60)),
        format!("SELECT 1 FROM orders WHERE {} IN ({})", parts(0..400, " + ", "total"), parts(0..1_000, ", ", "id")),
        // Fields that only PostgreSQL knows.
        nested(20, "(SELECT n + n)").replace("AS n FROM", "AS n, (ROW(1)).* FROM"),
        (0..20).fold("SELECT total AS f1 FROM orders".to_owned(), |inner, _| {
            format!("SELECT (ROW(f1 + f1)).* FROM ({inner}) AS q")
        }),
        format!("SELECT 1 FROM ({}) AS q WHERE n > 1", nested(18, "n + n")),
        format!("SELECT 1 FROM ({}) AS q GROUP BY n + 1", nested(18, "n + n")),
        format!("SELECT 1 FROM ({}) AS q JOIN orders ON n = total", nested(18, "n + n")),
        format!("SELECT 1 FROM ({}) AS q JOIN ({}) AS r USING (n)", nested(18, "n + n"), nested(2, "n")),
        format!("SELECT {} FROM ({}) AS q", parts(0..1_000, ", ", "q.*"), nested(12, "n + n")),
        chained("t#(n) AS (SELECT n + n FROM t@)") + " SELECT n FROM t29",
        chained("t# AS (SELECT a.n + a.n AS n FROM t@ AS a(n))") + " SELECT n FROM t29",
        chained("t# AS (SELECT n FROM t@ AS a FULL JOIN (SELECT n + 1 AS n FROM t@) AS b USING (n))")
            + " SELECT n FROM t29",
        chained("t# AS NOT MATERIALIZED (SELECT 1 AS n FROM t@ AS a, t@ AS b)") + " SELECT n FROM t29",
        format!(
            "SELECT 1 FROM (SELECT total AS n FROM orders) AS q0, {}",
            parts(1..24, ", ", "LATERAL (VALUES (q@.n + q@.n)) AS q#(n)")
        ),
    ] {
        assert_eq!(check(&guard, &text).await, Err(ErrorCode::QueryTooComplex), "{text:.300}");
    }
    for text in [
        nested(10, "n + n"),
        nested(200, "n"),
        nested(100, "n + 1"),
        format!("SELECT id FROM orders WHERE id IN ({})", parts(0..10_000, ",", "#")),
        format!("SELECT id FROM orders WHERE (id, total) IN ({})", parts(0..4_000, ",", "(#, 1)")),
        format!("SELECT id FROM orders WHERE {}", parts(0..400, " OR ", "total BETWEEN # AND @")),
        format!("SELECT {} FROM orders", parts(0..300, ", ", "(SELECT count(*) FROM users WHERE id = #)")),
        chained("t# AS MATERIALIZED (SELECT n + n AS n FROM t@)") + " SELECT n FROM t29",
        chained("t# AS (SELECT n + n AS n FROM t@ LIMIT 10)") + " SELECT n FROM t29",
        chained("t# AS (SELECT * FROM t@ AS a NATURAL JOIN t@ AS b)") + " SELECT n FROM t29",
        format!("SELECT {} FROM ({}) AS q", parts(0..500, ", ", "n"), nested(5, "n + n")),
        format!("SELECT {} FROM users", parts(0..1_000, ", ", "to_jsonb(users)")),
    ] {
        assert_eq!(check(&guard, &text).await, Ok(()), "{text:.300}");
    }
}

#[tokio::test]
async fn weights_are_reckoned_in_good_time() {
    let guard = patient();
    let wide = format!("(SELECT {} FROM users)", parts(0..1_600, ",", "id+# c#"));
    for text in [
        format!("SELECT {} FROM {wide} AS q", parts(0..1_600, ", ", "c#")),
        format!("SELECT {} FROM {wide} AS q", parts(0..1_600, ", ", "q.c#")),
        format!("WITH w AS {wide} SELECT {} FROM w", parts(0..800, ", ", "(SELECT c# FROM w AS v)")),
        format!("WITH w AS {wide} SELECT 1 FROM {}", parts(0..3_000, ", ", "w AS a#")),
        format!(
            "WITH w AS {wide} SELECT 1 FROM {} WHERE {}",
            parts(0..1_000, ", ", "w AS a#"),
            parts(0..1_000, " AND ", "a#.c1 > 1")
        ),
    ] {
        assert_ne!(check(&guard, &text).await, Err(ErrorCode::InternalError), "{text:.200}");
    }
}
