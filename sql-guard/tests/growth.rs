//! Statements whose cost could outgrow their text: each gets its verdict in good time, and the guard goes on to the next.

mod support;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared_protocol::error::ErrorCode;
use sql_guard::{Access, Guard, Limits, Policy, Rejection, Relation};
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
    let shop = Shop::access(guard, Policy::default()).await;
    judge(guard, text, &shop).await.map_err(|rejection| rejection.code)
}

async fn judge(guard: &Guard, text: &str, access: &Arc<Access>) -> Result<(), Rejection> {
    assert!(text.len() <= 64 * 1024, "{} bytes: {text:.60}", text.len());
    let begun = Instant::now();
    let verdict = guard.check(text, access).await;
    assert!(begun.elapsed() < GOOD_TIME, "{:?}: {text:.60}", begun.elapsed());
    verdict.map(drop)
}

/// Whether a statement is refused for what PostgreSQL would make of it; it is for nothing else.
async fn stands_for_too_much(guard: &Guard, text: &str, access: &Arc<Access>) -> bool {
    match judge(guard, text, access).await {
        Ok(()) => false,
        Err(rejection) => {
            assert!(rejection.message.starts_with("The statement stands for too much"), "{rejection:?}: {text:.300}");
            true
        }
    }
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
    let shop = Shop::access(&guard, Policy::default()).await;
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
        assert!(stands_for_too_much(&guard, &text, &shop).await, "{text:.300}");
    }
    for text in [
        nested(10, "n + n"),
        // Five layers of buckets, each over the one before.
        nested(5, &format!("CASE {} ELSE 10 END", parts(1..10, " ", "WHEN n < # THEN #"))),
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
        assert!(!stands_for_too_much(&guard, &text, &shop).await, "{text:.300}");
    }
}

/// A union of as many of one SELECT.
fn union(length: usize, select: &str) -> String {
    parts(0..length, " UNION ALL ", select)
}

#[tokio::test]
async fn what_would_be_copied_to_too_many_selects_of_a_union_is_refused() {
    let guard = patient();
    let shop = Shop::access(&guard, Policy::default()).await;
    let over = |union: &str, rest: &str| format!("SELECT 1 FROM ({union}) AS u {rest}");
    let of_orders = |length| union(length, "SELECT id,total FROM orders");
    for text in [
        over(&of_orders(400), &format!("WHERE {}", parts(0..500, " OR ", "id=#"))),
        over(&of_orders(400), &format!("WHERE {}", parts(0..500, " AND ", "id+total<>#"))),
        over(&of_orders(400), &format!("WHERE id IN (0{})", ",random()::int".repeat(1_000))),
        over(&of_orders(400), &format!("WHERE {}>0", parts(0..400, "+", "u.id"))),
        over(&of_orders(400), &format!("WHERE {}", parts(0..500, " OR ", "u.*::text='#'"))),
        over(&of_orders(400), &format!("JOIN users AS t ON {}", parts(0..500, " OR ", "u.id=t.id+#"))),
        over(&of_orders(400), &format!("GROUP BY u.id HAVING {}", parts(0..500, " OR ", "u.id=#"))),
        over(&of_orders(400), &format!("ORDER BY {}", parts(0..1_000, ",", "id+#"))),
        over(&of_orders(400), &format!("GROUP BY {}", parts(0..1_000, ",", "id+#"))),
        format!(
            "SELECT {} FROM ({}) AS u ORDER BY {}",
            parts(0..1_000, ",", "id+#"),
            of_orders(400),
            parts(1..1_000, ",", "#")
        ),
        format!("SELECT {} FROM ({}) AS u", parts(0..500, ",", "sum(id) OVER (ORDER BY id+#)"), of_orders(400)),
        format!("SELECT DISTINCT {} FROM ({}) AS u", parts(0..1_000, ",", "id+#"), of_orders(400)),
        // Behind further queries.
        format!(
            "WITH u AS ({}), v AS (SELECT id+total AS n FROM u) SELECT 1 FROM v AS w WHERE {}",
            of_orders(400),
            parts(0..500, " OR ", "n=#")
        ),
        format!(
            "SELECT 1 FROM (SELECT (SELECT u.id) AS n FROM ({}) AS u) AS v WHERE {}",
            of_orders(400),
            parts(0..1_000, " OR ", "n=#")
        ),
        format!(
            "SELECT 1 FROM {} WHERE {}",
            parts(0..60, ",", &format!("({}) AS u#", union(15, "SELECT id FROM orders"))),
            parts(0..60, "+", "u#.id*7*7*7*7*7") + &parts(0..100, "", "*#") + ">0"
        ),
        format!(
            "WITH u AS NOT MATERIALIZED ({}) SELECT 1 FROM {} WHERE {}>0",
            union(50, "SELECT id FROM orders"),
            parts(0..50, ",", "u AS u#"),
            parts(0..50, "+", "u#.id+1+1+1+1+1+1")
        ),
        // The SELECTs of a union are expressions of one another; whichever stands for most counts.
        (0..18).fold("SELECT total AS n FROM orders".to_owned(), |inner, _| {
            format!("SELECT 0 AS n UNION ALL SELECT n+n FROM ({inner}) AS q")
        }),
        (0..18).fold("SELECT total AS n FROM orders".to_owned(), |inner, _| {
            format!("SELECT n FROM (SELECT n+n AS n FROM ({inner}) AS q UNION SELECT 0) AS r")
        }),
        format!(
            "SELECT 0 UNION ALL SELECT n FROM ({}) AS q",
            (0..12).fold(union(400, "SELECT id AS n FROM orders"), |inner, _| {
                format!("SELECT n+n AS n FROM ({inner}) AS q")
            })
        ),
    ] {
        assert!(stands_for_too_much(&guard, &text, &shop).await, "{text:.100} … {}", &text[text.len() - 90..]);
    }
    for text in [
        // Months, each a table, under a report's conditions.
        over(&of_orders(60), &format!("WHERE {}", parts(0..100, " AND ", "(id<># OR total>@)"))),
        over(&of_orders(60), &format!("WHERE id IN ({}) GROUP BY id ORDER BY id", parts(0..5_000, ",", "#"))),
        over(&of_orders(365), &format!("WHERE {}", parts(0..50, " AND ", "id<>#"))),
        over(&of_orders(365), &format!("WHERE total BETWEEN 1 AND 9 AND id IN ({})", parts(0..500, ",", "#"))),
        over(
            &of_orders(365),
            "JOIN users AS t USING (id) WHERE EXISTS (SELECT 1 FROM orders AS o WHERE o.id = u.total)",
        ),
        format!("SELECT {} FROM ({}) AS u", parts(0..200, ",", "id+#"), of_orders(365)),
        // A list of constants.
        format!("SELECT o.* FROM orders AS o JOIN ({}) AS u ON o.id=u.a AND u.b>0", union(450, "SELECT # AS a,1 AS b")),
        // What is computed once has no conditions moved into it.
        format!("WITH u AS MATERIALIZED ({}) SELECT 1 FROM u WHERE {}", of_orders(400), parts(0..500, " OR ", "id=#")),
        format!("SELECT 1 FROM (({}) LIMIT 9) AS u WHERE {}", of_orders(400), parts(0..500, " OR ", "id=#")),
    ] {
        assert!(!stands_for_too_much(&guard, &text, &shop).await, "{text:.100} … {}", &text[text.len() - 90..]);
    }
}

/// The shop, with orders in as many partitions.
async fn partitioned(guard: &Guard, partitions: usize) -> Arc<Access> {
    let mut tables = Shop::tables();
    let orders = tables.iter_mut().find(|table| table.name.name == "orders").expect("the shop has orders");
    let of = |number: usize| {
        let columns = orders.columns.clone();
        Relation {
            parents: vec![orders.name.clone()],
            ..Relation::table("public", &format!("orders_{number}"), columns)
        }
    };
    let parts: Vec<Relation> = (0..partitions).map(of).collect();
    orders.children = parts.iter().map(|part| part.name.clone()).collect();
    Shop::of(guard, Policy::default(), tables.into_iter().chain(parts).collect()).await
}

#[tokio::test]
async fn what_would_be_copied_to_too_many_partitions_is_refused() {
    let guard = patient();
    let of_orders = |condition: String| format!("SELECT count(*) FROM orders WHERE {condition}");
    for (partitions, text) in [
        (400, of_orders(format!("id IN (0{})", ",random()::int".repeat(3_000)))),
        (400, of_orders(parts(0..2_000, " OR ", "total=#"))),
        (3_000, of_orders(parts(0..300, " OR ", "total=#"))),
        (3_000, format!("SELECT 1 FROM orders AS a JOIN orders AS b ON {}", parts(0..100, " OR ", "a.id=b.id+#"))),
    ] {
        let shop = partitioned(&guard, partitions).await;
        assert!(stands_for_too_much(&guard, &text, &shop).await, "{partitions}: {text:.100}");
        let shop = Shop::access(&guard, Policy::default()).await;
        assert!(!stands_for_too_much(&guard, &text, &shop).await, "{text:.100}");
    }
    for (partitions, text) in [
        (100, of_orders(parts(0..1_000, " OR ", "total=#"))),
        (3_000, of_orders(format!("id IN ({}) AND placed_at > now()", parts(0..1_000, ",", "#")))),
        (3_000, of_orders(parts(0..40, " AND ", "total<>#"))),
        (3_000, format!("WITH o AS (SELECT {} FROM orders) SELECT * FROM o", parts(0..60, ",", "id+#+total*2 AS c#"))),
        (3_000, "SELECT status, count(*) FROM orders JOIN users USING (id) GROUP BY 1 ORDER BY 2".to_owned()),
    ] {
        let shop = partitioned(&guard, partitions).await;
        assert!(!stands_for_too_much(&guard, &text, &shop).await, "{partitions}: {text:.100}");
    }
}

#[tokio::test]
async fn what_would_be_copied_or_compared_too_often_is_refused() {
    let guard = patient();
    let shop = Shop::access(&guard, Policy::default()).await;
    let wide = |columns: usize| format!("w AS MATERIALIZED (SELECT {})", parts(0..columns, ",", "1 AS c#"));
    let within = |depth: usize, columns: usize| {
        let (open, close) = ("(SELECT * FROM ".repeat(depth), " LIMIT 9) AS q".repeat(depth));
        format!("WITH {} SELECT 1 FROM {open}w{close} WHERE q IS NOT NULL", wide(columns))
    };
    let of_rows = |levels: usize| {
        let row = "SELECT orders AS r, id, total FROM orders".to_owned();
        let rows = (0..levels).fold(row, |inner, level| {
            format!(
                "SELECT CASE WHEN id={level} THEN r WHEN total={level} THEN r END AS r, id, total FROM ({inner}) AS q"
            )
        });
        format!("SELECT (r).* FROM ({rows}) AS q")
    };
    let windows = |count: usize, window: &str| {
        format!(
            "SELECT ARRAY[{}] FROM orders WINDOW w AS (ORDER BY id)",
            parts(0..count, ",", &format!("sum(id) OVER {window}"))
        )
    };
    for text in [
        format!("WITH {} SELECT 1 FROM w {}", wide(1_600), parts(0..60, " ", "NATURAL JOIN w AS a#")),
        format!("WITH {} SELECT 1 FROM w {}", wide(200), parts(0..20, " ", "NATURAL LEFT JOIN w AS a#")),
        format!(
            "WITH {} SELECT 1 FROM w {}",
            wide(200),
            parts(0..20, " ", &format!("JOIN w AS a# USING ({})", parts(0..200, ",", "c#")))
        ),
        // Each is copied with all that is inside it.
        within(200, 800),
        within(100, 1_600),
        within(200, 800).replace("LIMIT 9", "ORDER BY c1"),
        format!(
            "WITH t0 AS ({}), {} SELECT * FROM t199",
            parts(0..800, ",", "1 AS c#").replacen('1', "SELECT 1", 1),
            parts(1..200, ", ", "t# AS (SELECT * FROM t@)")
        ),
        format!("WITH {} SELECT 1 FROM ({}) AS q", wide(1_500), union(150, "TABLE w")),
        of_rows(12),
        (0..5).fold(
            "SELECT ROW(id,total,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20) AS r FROM orders".to_owned(),
            |inner, _| format!("SELECT ROW((q.r).*) AS r FROM ({inner}) AS q"),
        ),
        (0..5).fold("SELECT ROW(id,total) AS r FROM orders".to_owned(), |inner, _| {
            format!("SELECT v AS r FROM ({inner}) AS q, LATERAL (VALUES ((q.r).*)) AS v")
        }),
        // Planned twice at each level.
        format!(
            "SELECT {}1=1{} FROM orders AS x0",
            parts(1..15, "", "EXISTS (SELECT 1 FROM orders AS x# WHERE x#.id=x@.id AND ("),
            " OR id=1))".repeat(14)
        ),
        // Each of as many as there are others.
        format!("SELECT 1 FROM {}", parts(0..1_000, ",", "orders AS a#")),
        format!(
            "SELECT 1 FROM orders WHERE {} AND ({})",
            parts(0..1_500, " AND ", "id<#"),
            parts(0..1_500, " OR ", "id=#")
        ),
        windows(1_000, "(ORDER BY id+#)"),
    ] {
        assert!(stands_for_too_much(&guard, &text, &shop).await, "{text:.200}");
    }
    for text in [
        format!("WITH {} SELECT 1 FROM w {}", wide(100), parts(0..10, " ", "NATURAL JOIN w AS a#")),
        format!("SELECT 1 FROM orders {}", parts(0..150, " ", "JOIN orders AS a# USING (id, user_id)")),
        within(30, 400),
        within(200, 20),
        format!("SELECT {}1{}", "(SELECT 1+".repeat(150), ")".repeat(150)),
        format!("WITH {} SELECT 1 FROM ({}) AS q", wide(60), union(365, "TABLE w")),
        of_rows(3),
        format!(
            "SELECT EXISTS (SELECT 1 FROM users WHERE {}) FROM orders AS o",
            "EXISTS (SELECT 1 FROM order_items WHERE order_id=o.id) OR name=''"
        ),
        format!(
            "SELECT 1 FROM orders WHERE {} AND ({})",
            parts(0..100, " AND ", "id<#"),
            parts(0..1_000, " OR ", "id=#")
        ),
        "SELECT (jsonb_each(to_jsonb(o))).*, (json_each_text(to_json(o))).* FROM orders AS o".to_owned(),
        windows(100, "(ORDER BY id+#)"),
        windows(1_500, "w"),
        format!(
            "SELECT ARRAY[{}] FROM orders GROUP BY CUBE (id, user_id, total, status, placed_at)",
            parts(0..100, ",", "sum(id+#)")
        ),
    ] {
        assert!(!stands_for_too_much(&guard, &text, &shop).await, "{text:.200}");
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
