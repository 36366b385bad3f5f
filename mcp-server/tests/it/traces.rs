//! Nothing that a statement did to its session outlives it. Views are the way: the guard lets them through, and what they call
//! is a user's own function.

use std::time::Duration;

use harness::{ThrowawayPostgres, shared_postgres};
use mcp_server::executor::{CostLimits, ExecuteError, RunLimits};
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::database_of;
use crate::runner::{Runner, limits};

/// Name, and what the function behind the view of that name does.
const TRACES: &[(&str, &str)] = &[
    ("set_setting", "PERFORM set_config('work_mem', '77MB', false)"),
    ("set_custom", "PERFORM set_config('app.left_behind', 'here', false)"),
    ("unset_pins", "RESET ALL"),
    ("set_zone", "SET TimeZone = 'Asia/Tokyo'"),
    ("set_path", "PERFORM set_config('search_path', 'theirs, public', false)"),
    ("set_timeout", "PERFORM set_config('statement_timeout', '0', false)"),
    ("set_writing", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
    ("set_row_security", "SET row_security = off"),
    ("lock", "PERFORM pg_advisory_lock(4711)"),
    ("share_lock", "PERFORM pg_advisory_lock_shared(4711)"),
    ("listen", "LISTEN somebody"),
    ("hold", "EXECUTE 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1'"),
    ("deallocate", "DEALLOCATE ALL"),
    ("prepare", "EXECUTE 'PREPARE left_behind AS SELECT 1'"),
];

/// What else they try. It fails, or comes to nothing.
const DEEDS: &[(&str, &str)] = &[
    ("write", "INSERT INTO log VALUES ('written')"),
    ("make_temp", "CREATE TEMP TABLE left_behind (id int)"),
    ("write_after_all", "SET TRANSACTION READ WRITE; INSERT INTO log VALUES ('written')"),
    (
        "write_by_setting",
        "PERFORM set_config('transaction_read_only', 'off', true); INSERT INTO log VALUES ('written')",
    ),
    ("notify", "NOTIFY somebody"),
    ("make_large_object", "PERFORM lo_create(0)"),
    ("seed", "PERFORM setseed(0.5)"),
];

/// Only a superuser may.
const SUPERUSERS: &[(&str, &str)] = &[
    ("become", "SET ROLE pg_monitor"),
    ("log_in_as", "SET SESSION AUTHORIZATION pg_monitor"),
    ("load", "LOAD 'auto_explain'"),
];

/// Name and definition of views that call no function of the database's own, but PostgreSQL's behind something that is.
const BEHIND: &[(&str, &str)] = &[
    ("behind_domain", "SELECT a::locks AS a FROM w"),
    ("behind_field", "SELECT (ROW(a)::holds_lock).a AS a FROM w"),
    ("behind_array", "SELECT (ARRAY[a]::locks[])[1] AS a FROM w"),
    ("behind_json", "SELECT (jsonb_populate_record(NULL::holds_lock, jsonb_build_object('a', a))).a AS a FROM w"),
    ("behind_view", "SELECT a FROM behind_domain"),
    ("behind_domain_in_domain", "SELECT a::around AS a FROM w"),
    ("behind_operator", "SELECT (!@! (a::bigint + 100))::int AS a FROM w"),
    ("behind_negator", "SELECT (NOT (a::bigint =!= 300))::int AS a FROM w"),
    ("behind_operator_in_domain", "SELECT a::computes AS a FROM w"),
    ("behind_cast", "SELECT (a::bigint + 200)::circle::text AS a FROM w"),
    ("behind_cast_in_domain", "SELECT a::casts AS a FROM w"),
    ("behind_zone", "SELECT a::zoned AS a FROM w"),
    ("behind_writing", "SELECT a::writes AS a FROM w"),
    ("behind_object", "SELECT a::stores AS a FROM w"),
];

const BEHIND_THEM: &str = "
    CREATE TABLE w (a int); INSERT INTO w VALUES (1), (2);
    CREATE TABLE log (text text);
    CREATE DOMAIN locks AS int CHECK (pg_try_advisory_lock(4712) IS NOT NULL);
    CREATE TYPE holds_lock AS (a locks);
    CREATE DOMAIN around AS int CHECK ((VALUE::locks) > 0);
    CREATE OPERATOR !@! (RIGHTARG = bigint, FUNCTION = pg_try_advisory_lock);
    CREATE FUNCTION differ(bigint, bigint) RETURNS bool LANGUAGE internal IMMUTABLE AS 'int8ne';
    CREATE OPERATOR =!= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = int8eq, NEGATOR = <!>);
    CREATE OPERATOR <!> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = differ, NEGATOR = =!=);
    CREATE DOMAIN computes AS int CHECK ((!@! (VALUE::bigint + 400)) IS NOT NULL);
    CREATE FUNCTION circled(bigint) RETURNS circle LANGUAGE sql AS
        $$SELECT CASE WHEN pg_try_advisory_lock($1) THEN circle '((0,0),1)' END$$;
    CREATE CAST (bigint AS circle) WITH FUNCTION circled(bigint);
    CREATE DOMAIN casts AS int CHECK ((VALUE::bigint)::circle IS NOT NULL);
    CREATE DOMAIN zoned AS int CHECK (set_config('TimeZone', 'Asia/Tokyo', false) IS NOT NULL);
    CREATE DOMAIN writes AS int CHECK (set_config('default_transaction_read_only', 'off', false) IS NOT NULL);
    CREATE DOMAIN stores AS int CHECK (lo_from_bytea(0, 'by a view') > 0);";

/// A database with a view for each of them; its name.
async fn trap(postgres: &ThrowawayPostgres) -> String {
    let mut sql = "CREATE TABLE log (text text); CREATE SCHEMA theirs;".to_owned();
    for (name, deed) in TRACES.iter().chain(DEEDS).chain(SUPERUSERS) {
        sql += &format!(
            "CREATE FUNCTION do_{name}() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {deed}; RETURN 1; END $$;
             CREATE VIEW {name} AS SELECT do_{name}() AS done;"
        );
    }
    database_of(postgres, &sql).await
}

/// Everything about a session that a later statement could notice, but its backend and that it has loaded PL/pgSQL.
async fn state(connection: &mut PgConnection) -> Value {
    let sql = "SELECT jsonb_build_object(
        'user', current_user, 'login', session_user,
        'settings', (SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE name NOT LIKE 'plpgsql.%'),
        'custom', current_setting('app.left_behind', true),
        'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
        'channels', ARRAY(SELECT pg_listening_channels()),
        'cursors', (SELECT count(*) FROM pg_cursors WHERE name <> ''),
        'prepared', (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
        'temporary', pg_my_temp_schema()::int
    )";
    sqlx::query_scalar(sql).persistent(false).fetch_one(connection).await.unwrap()
}

/// What differs between two states, and their settings, by name.
fn changes(fresh: &Value, found: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, value) in found.as_object().unwrap() {
        if name == "settings" {
            changes.extend(changes_of_settings(&fresh[name], value));
        } else if value != &fresh[name] {
            changes.push(format!("{name}: {} became {value}", fresh[name]));
        }
    }
    changes
}

fn changes_of_settings(fresh: &Value, found: &Value) -> Vec<String> {
    let settings = found.as_object().unwrap().iter().filter(|(name, value)| **value != fresh[*name]);
    settings.map(|(name, value)| format!("{name}: {} became {value}", fresh[name])).collect()
}

async fn backend(runner: &Runner) -> i32 {
    runner.database.session().await.unwrap().pid()
}

/// Runs each view on a pool of one connection and compares what the next call finds with a session that is new.
async fn check_traces(url: &str, traces: &[(&str, &str)]) {
    let fresh = state(Runner::new(url, &[]).database.session().await.unwrap().connection()).await;
    let runner = Runner::new(url, &["--pool-size", "1"]);
    for (name, deed) in traces {
        let rows = runner.rows(&format!("SELECT done FROM {name}"), &[]).await;
        assert_eq!(rows, json!([{ "done": 1 }]), "{name}");
        let mut session = runner.database.session().await.unwrap();
        let mut found = state(session.connection()).await;
        // A setting of that name is known from now on, and empty.
        if found["custom"] == "" {
            found["custom"] = Value::Null;
        }
        assert_eq!(changes(&fresh, &found), Vec::<String>::new(), "{name}: {deed}");
        drop(session);
        assert_eq!(runner.rows("SELECT count(*) AS rows FROM log", &[]).await, json!([{ "rows": 0 }]), "{name}");
    }
}

#[tokio::test]
async fn nothing_that_a_function_does_to_its_session_outlives_the_statement() {
    let postgres = shared_postgres().await;
    let name = trap(postgres).await;
    check_traces(&postgres.reader_url(&name), TRACES).await;
    check_traces(&postgres.superuser_url(&name), TRACES).await;
    check_traces(&postgres.superuser_url(&name), SUPERUSERS).await;
}

#[tokio::test]
async fn nothing_that_stands_behind_a_domain_an_operator_or_a_cast_of_a_view_outlives_the_statement() {
    let postgres = shared_postgres().await;
    let views = BEHIND.iter().map(|(name, definition)| format!("CREATE VIEW {name} AS {definition};"));
    let name = database_of(postgres, &format!("{BEHIND_THEM}{}", views.collect::<String>())).await;
    let url = postgres.superuser_url(&name);
    for mode in ["direct", "pooler"] {
        let flags = ["--pool-size", "1", "--postgres-mode", mode];
        let fresh = state(Runner::new(&url, &flags).database.session().await.unwrap().connection()).await;
        let runner = Runner::new(&url, &flags);
        for (name, definition) in BEHIND {
            // From PostgreSQL 16 on, a large object can't be made there.
            let _ = runner.run(&format!("SELECT a FROM {name}"), &[]).await;
            let found = state(runner.database.session().await.unwrap().connection()).await;
            assert_eq!(changes(&fresh, &found), Vec::<String>::new(), "{mode} {name}: {definition}");
        }
    }
    let mut superuser = postgres.superuser(&name).await.unwrap();
    let objects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_largeobject_metadata").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(objects, 0);
}

#[tokio::test]
async fn a_session_is_kept_unless_something_can_not_be_undone() {
    let postgres = shared_postgres().await;
    let name = trap(postgres).await;
    let runner = Runner::new(&postgres.reader_url(&name), &["--pool-size", "1"]);
    let first = backend(&runner).await;
    for (name, kept) in [("set_setting", true), ("lock", true), ("deallocate", true), ("prepare", false)] {
        let before = backend(&runner).await;
        runner.run(&format!("SELECT done FROM {name}"), &[]).await.unwrap();
        assert_eq!(backend(&runner).await == before, kept, "{name}");
    }
    assert_ne!(backend(&runner).await, first);
}

#[tokio::test]
async fn a_session_makes_room_for_another_once_it_has_run_much() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE t (id int);").await;
    let runner = Runner::new(&postgres.reader_url(&database), &["--pool-size", "1"]);
    let first = backend(&runner).await;
    for number in 0..3 {
        runner.rows(&format!("SELECT {number} AS n, '{}' AS word FROM t", "x".repeat(10_000)), &[]).await;
    }
    assert_eq!(backend(&runner).await, first);
    // PostgreSQL keeps the type of every row that it made.
    for number in 0..30 {
        runner.rows(&format!("SELECT {number} AS n, '{}' AS word FROM t", "x".repeat(10_000)), &[]).await;
    }
    assert_ne!(backend(&runner).await, first);
}

#[tokio::test]
async fn a_function_can_neither_write_nor_be_heard() {
    let postgres = shared_postgres().await;
    let name = trap(postgres).await;
    let mut listener = PgListener::connect(&postgres.superuser_url(&name)).await.unwrap();
    listener.listen("somebody").await.unwrap();
    for url in [postgres.reader_url(&name), postgres.superuser_url(&name)] {
        let runner = Runner::new(&url, &["--pool-size", "1"]);
        for (name, state) in
            [("write", "25006"), ("make_temp", "25006"), ("write_after_all", "25001"), ("write_by_setting", "25001")]
        {
            let error = runner.run(&format!("SELECT done FROM {name}"), &[]).await.unwrap_err();
            let ExecuteError::Database(fault) = &error else { panic!("{name}: {error}") };
            assert_eq!(fault.sqlstate, state, "{name}: {error}");
        }
        runner.run("SELECT done FROM notify", &[]).await.unwrap();
        // Before PostgreSQL 16 that could be done in a read-only transaction; now it is an error.
        let _ = runner.run("SELECT done FROM make_large_object", &[]).await;
    }
    let mut superuser = postgres.superuser(&name).await.unwrap();
    sqlx::raw_sql("NOTIFY somebody, 'the only one'").execute(&mut superuser).await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "the only one");
    for table in ["log", "pg_largeobject_metadata"] {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut superuser).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn random_numbers_stay_unforeseeable() {
    let postgres = shared_postgres().await;
    let name = trap(postgres).await;
    let runner = Runner::new(&postgres.reader_url(&name), &["--pool-size", "1"]);
    let mut numbers = Vec::new();
    for _ in 0..2 {
        runner.run("SELECT done FROM seed", &[]).await.unwrap();
        let mut session = runner.database.session().await.unwrap();
        let number: f64 = sqlx::query_scalar("SELECT random()").fetch_one(session.connection()).await.unwrap();
        numbers.push(number.to_bits());
    }
    assert_ne!(numbers[0], numbers[1]);
}

#[tokio::test]
async fn what_the_driver_can_not_describe_is_not_left_prepared() {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, "CREATE TABLE t (id int);").await;
    let runner = Runner::new(&postgres.reader_url(&name), &["--pool-size", "1"]);
    let query = "SELECT '{[1,3)}'::int4multirange AS ranges";
    let before = backend(&runner).await;
    for _ in 0..3 {
        runner.run(query, &[]).await.unwrap();
    }
    let mut session = runner.database.session().await.unwrap();
    assert_eq!(session.pid(), before, "the connection is kept");
    let count = "SELECT count(*) FROM pg_prepared_statements WHERE statement = $1";
    let left: i64 = sqlx::query_scalar(count).bind(query).fetch_one(session.connection()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_failed_after_the_driver_could_not_describe_it_is_not_left_prepared() {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, "CREATE TABLE t (id int);").await;
    let runner = Runner::new(&postgres.reader_url(&name), &["--pool-size", "1"]);
    let query = "SELECT '{[1,3)}'::int4multirange AS ranges, 1 / 0 AS never";
    for _ in 0..2 {
        let error = runner.run(query, &[]).await.unwrap_err();
        assert!(error.to_string().contains("division by zero"), "{error}");
    }
    let mut session = runner.database.session().await.unwrap();
    let count = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%multirange%' AND statement <> $1";
    let left: i64 = sqlx::query_scalar(count).bind(count).fetch_one(session.connection()).await.unwrap();
    assert_eq!(left, 0);
}

/// The texts that a session has prepared and that hold this word.
async fn prepared(runner: &Runner, word: &str) -> Vec<String> {
    let mut session = runner.database.session().await.unwrap();
    let texts = "SELECT statement FROM pg_prepared_statements WHERE strpos(statement, $1) > 0";
    sqlx::query_scalar(texts).bind(word).persistent(false).fetch_all(session.connection()).await.unwrap()
}

#[tokio::test]
async fn no_statement_stays_prepared_however_it_ended() {
    let postgres = shared_postgres().await;
    let sql = "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (id int, mood mood, note text);
        CREATE FUNCTION own() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';";
    let name = database_of(postgres, sql).await;
    for mode in ["direct", "pooler"] {
        let runner = Runner::new(&postgres.reader_url(&name), &["--pool-size", "1", "--postgres-mode", mode]);
        for query in [
            "SELECT 1 AS marked",
            "SELECT id, mood AS marked FROM t",
            "SELECT own() AS marked",
            "SELECT '{[1,3)}'::int4multirange AS marked",
            "SELECT '10.0.0.1'::inet AS marked",
        ] {
            runner.run(query, &[]).await.unwrap();
            runner.run(query, &[("app.tenant", "a")]).await.unwrap();
            assert_eq!(prepared(&runner, "marked").await, [""; 0], "{mode}: {query}");
        }
        for query in [
            "SELECT 1 / 0 AS marked",
            "SELECT 'a'::int AS marked",
            "SELECT '{[1,3)}'::int4multirange AS marked, 1 / 0",
            "SELECT note AS marked FROM t WHERE id = $1",
        ] {
            runner.run(query, &[]).await.unwrap_err();
            assert_eq!(prepared(&runner, "marked").await, [""; 0], "{mode}: {query}");
        }
        let cost = CostLimits { max_cost: Some(1.0), ..CostLimits::default() };
        let all = runner.run_within("SELECT id AS marked FROM t", Vec::new(), RunLimits { cost, ..limits() }).await;
        assert!(matches!(all, Err(ExecuteError::OverLimit(_))), "{all:?}");
        let timeout = Duration::from_millis(200);
        let endless = "SELECT count(*) AS marked FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
        let late = runner.run_within(endless, Vec::new(), RunLimits { timeout, ..limits() }).await;
        assert!(matches!(late, Err(ExecuteError::TimedOut { .. })), "{late:?}");
        let cut = RunLimits { max_rows: 1, ..limits() };
        runner.run_within("SELECT generate_series(1, 9) AS marked", Vec::new(), cut).await.unwrap();
        assert_eq!(prepared(&runner, "marked").await, [""; 0], "{mode}");

        let judged = runner.judged("SELECT note AS marked FROM t").await;
        let mut superuser = postgres.superuser(&name).await.unwrap();
        let anew = "ALTER TABLE t DROP COLUMN note; ALTER TABLE t ADD COLUMN note text";
        sqlx::raw_sql(anew).execute(&mut superuser).await.unwrap();
        let stale = runner.run_judged(judged, Vec::new(), Vec::new(), limits(), &CancellationToken::new()).await;
        assert!(matches!(stale, Err(ExecuteError::StaleCatalog)), "{stale:?}");
        assert_eq!(prepared(&runner, "marked").await, [""; 0], "{mode}: stale");
    }
}
