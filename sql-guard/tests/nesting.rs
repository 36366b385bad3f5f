//! Deep statements: what people write passes, 32,000 levels of anything are refused, and the process lives.

mod support;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use shared_protocol::error::ErrorCode;
use sql_guard::{CheckedQuery, Guard, IN_PLACE_STACK, Limits, Policy, Rejection};
use support::Shop;

/// One way to nest: what stands before, and how each level opens and closes around the innermost.
struct Nesting {
    head: &'static str,
    open: &'static str,
    innermost: &'static str,
    close: &'static str,
    tail: &'static str,
}

const fn nesting(open: &'static str, innermost: &'static str, close: &'static str) -> Nesting {
    Nesting { head: "SELECT ", open, innermost, close, tail: "" }
}

impl Nesting {
    fn text(&self, levels: usize) -> String {
        let (open, close) = (self.open.repeat(levels), self.close.repeat(levels));
        [self.head, &open, self.innermost, &close, self.tail].concat()
    }
}

const NESTINGS: &[Nesting] = &[
    nesting("", "1", "+1"),
    nesting("", "1", "||'a'"),
    nesting("", "true", " AND true"),
    nesting("", "true", " OR false"),
    nesting("true AND (", "false", " OR true)"),
    nesting("(", "1", ")"),
    nesting("- ", "id", ""),
    nesting("NOT ", "true", ""),
    nesting("", "1", "::int"),
    nesting("CAST(", "1", " AS int)"),
    nesting("", "'a'", " COLLATE \"C\""),
    nesting("", "now()", " AT TIME ZONE 'UTC'"),
    nesting("", "now()", " AT LOCAL"),
    nesting("", "true", " IS TRUE"),
    nesting("", "1", " IN (1)"),
    nesting("abs(", "1", ")"),
    nesting("coalesce(", "1", ")"),
    nesting("greatest(", "1", ")"),
    nesting("CASE WHEN ", "true", " THEN true END"),
    nesting("CASE 1 WHEN 2 THEN 3 ELSE ", "4", " END"),
    nesting("ARRAY[", "1", "]"),
    nesting("ROW(1,", "1", ")"),
    nesting("(ARRAY[1])[", "1", "]"),
    nesting("", "('{}'::int[])", "[1]"),
    nesting("(", "1", ").a"),
    nesting("(SELECT ", "1", ")"),
    nesting("EXISTS (SELECT ", "1", ")"),
    nesting("ARRAY(SELECT ", "1", ")"),
    nesting("1 IN (SELECT ", "1", ")"),
    nesting("xmlelement(name a, ", "'b'", ")"),
    nesting("JSON_ARRAY(", "1", ")"),
    nesting("JSON_OBJECT('a': ", "1", ")"),
    nesting("sum(1) FILTER (WHERE ", "true", ")"),
    Nesting { head: "", open: "SELECT * FROM (", innermost: "SELECT 1", close: ") q", tail: "" },
    Nesting { head: "", open: "SELECT 1 FROM LATERAL (", innermost: "SELECT 1", close: ") q", tail: "" },
    Nesting { head: "", open: "WITH a AS (", innermost: "SELECT 1", close: ") SELECT 1", tail: "" },
    Nesting { head: "", open: "(", innermost: "SELECT 1", close: ")", tail: "" },
    Nesting { head: "", open: "(", innermost: "SELECT 1", close: " LIMIT 1)", tail: "" },
    Nesting { head: "", open: "", innermost: "SELECT 1", close: " UNION SELECT 1", tail: "" },
    Nesting { head: "", open: "(SELECT 1 UNION ", innermost: "SELECT 1", close: ")", tail: "" },
    Nesting { head: "SELECT 1 FROM users", open: "", innermost: "", close: " CROSS JOIN users", tail: "" },
    Nesting { head: "SELECT 1 FROM ", open: "(", innermost: "users CROSS JOIN users", close: ")", tail: "" },
    Nesting {
        head: "SELECT 1 FROM ",
        open: "users JOIN (",
        innermost: "users",
        close: " JOIN users ON true) ON true",
        tail: "",
    },
    Nesting { head: "SELECT 1 FROM users GROUP BY ", open: "GROUPING SETS (", innermost: "id", close: ")", tail: "" },
    Nesting { head: "SELECT 1 ORDER BY ", open: "abs(", innermost: "1", close: ")", tail: "" },
    Nesting { head: "VALUES (", open: "abs(", innermost: "1", close: ")", tail: ")" },
    Nesting { head: "SELECT 1::", open: "", innermost: "int", close: "[]", tail: "" },
    Nesting { head: "", open: "EXPLAIN ", innermost: "SELECT 1", close: "", tail: "" },
    Nesting { head: "", open: "/*", innermost: "", close: "*/", tail: " SELECT 1" },
    Nesting { head: "", open: "/* ", innermost: "", close: " */", tail: " SELECT 1" },
];

/// These make no deep tree, so only their length is against them.
const FLAT: &[Nesting] = &[
    nesting("", "true", " AND true"),
    nesting("", "true", " OR false"),
    nesting("", "('{}'::int[])", "[1]"),
    Nesting { head: "SELECT 1::", open: "", innermost: "int", close: "[]", tail: "" },
];

async fn check(guard: &Guard, text: &str) -> Result<CheckedQuery, Rejection> {
    guard.check(text, &Shop::access(guard, Policy::default()).await).await
}

#[tokio::test]
async fn thirty_two_thousand_levels_of_anything_are_refused() {
    let usual = Guard::new(Limits::default());
    // Where a text is too long, the bounds before the parser are lifted, so that the parser and the walker are tried too.
    let lifted = Limits {
        max_bytes: 16 << 20,
        max_tokens: usize::MAX,
        max_comment_depth: 32,
        deadline: Duration::from_secs(60),
        ..Limits::default()
    };
    let parser_alone = Guard::new(lifted);
    for nesting in NESTINGS {
        let text = nesting.text(32_000);
        assert!(check(&usual, &text).await.is_err(), "passes: {text:.80}");
        let flat = FLAT.iter().any(|one| one.text(1) == nesting.text(1));
        assert!(check(&parser_alone, &text).await.is_err() || flat, "passes: {text:.80}");
        assert!(check(&usual, "SELECT 1").await.is_ok(), "the guard lives after {text:.80}");
    }
}

#[tokio::test]
async fn every_depth_up_to_what_the_parser_takes_is_survived() {
    let guard = Guard::new(Limits { deadline: Duration::from_secs(60), ..Limits::default() });
    for nesting in NESTINGS {
        for levels in [10, 100, 400, 499, 501, 700, 1_000, 1_500, 2_000, 4_000, 8_000] {
            let text = nesting.text(levels);
            let verdict = check(&guard, &text).await;
            if let Err(rejection) = verdict {
                assert_ne!(rejection.code, ErrorCode::InternalError, "{levels} of {text:.80}");
            }
        }
    }
}

/// Longest text that is judged on its caller's own thread.
const IN_PLACE_BYTES: usize = 1024;

/// What stands on the stack below the guard: the thread's start and the test.
const CALLERS_STACK: usize = 64 << 10;

/// Texts of at most `IN_PLACE_BYTES`, nested as deep as they can be: each construct alone, and each within each.
fn deepest_in_place() -> Vec<String> {
    let deepest = |text: &dyn Fn(usize) -> String| {
        let levels = (1..=IN_PLACE_BYTES).take_while(|levels| text(*levels).len() <= IN_PLACE_BYTES).last();
        levels.map(text)
    };
    let alone = NESTINGS.iter().filter_map(|nesting| deepest(&|levels| nesting.text(levels)));
    let mixed = NESTINGS.iter().flat_map(|outer| {
        let within = move |inner: &'static Nesting| {
            deepest(&|levels| {
                let open = [outer.open, inner.open].concat().repeat(levels);
                let close = [inner.close, outer.close].concat().repeat(levels);
                [outer.head, &open, inner.innermost, &close, outer.tail].concat()
            })
        };
        NESTINGS.iter().filter_map(within)
    });
    alone.chain(mixed).collect()
}

/// The verdict of a judgement that waits for no other thread.
fn in_place<T>(judgement: impl Future<Output = T>) -> T {
    match pin!(judgement).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => panic!("a short text is judged in place"),
    }
}

#[test]
fn a_short_text_is_judged_in_place_on_just_the_stack_that_it_wants() {
    let guard = Guard::new(Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("the runtime starts");
    let access = runtime.block_on(Shop::access(&guard, Policy::default()));
    // Without a runtime on its thread, a text that is handed to another thread ends the test.
    let judge = move || {
        for text in deepest_in_place() {
            let begun = Instant::now();
            if let Err(rejection) = in_place(guard.check(&text, &access)) {
                assert_ne!(rejection.code, ErrorCode::InternalError, "{rejection}: {text:.80}");
            }
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(2), "{took:?} for {text:.80}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(IN_PLACE_STACK + CALLERS_STACK);
    thread.spawn(judge).expect("the system has room for a thread").join().expect("every text gets a verdict");
}

#[tokio::test]
async fn what_people_write_is_not_too_deep() {
    let guard = Guard::new(Limits::default());
    let joins: String =
        (0..60).map(|number| format!(" JOIN orders o{number} ON o{number}.user_id = users.id")).collect();
    let passes = [
        format!("SELECT 1 FROM users{joins}"),
        format!("SELECT ''{}", " || name".repeat(100)) + " FROM users",
        format!("SELECT 1 {}", "+ 1".repeat(400)),
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(20), ") q".repeat(20)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(100)),
        format!("SELECT id FROM users WHERE id IN (1{})", ",23".repeat(10_000)),
        // Each column that a join merges was once looked for in the whole text.
        format!("SELECT 1 FROM users u{}", " JOIN users USING (id, name, email, created_at)".repeat(300)),
    ];
    for text in passes {
        check(&guard, &text).await.unwrap_or_else(|rejection| panic!("{text:.80}: {rejection}"));
    }
}

#[tokio::test]
async fn too_deep_a_tree_is_told_so() {
    let guard = Guard::new(Limits::default());
    for text in [format!("SELECT 1{}", "+1".repeat(600)), format!("SELECT 1{}", "+1".repeat(20_000))] {
        let rejection = check(&guard, &text).await.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::QueryTooComplex, "{rejection}");
        assert!(rejection.suggestion.is_some());
    }
}
