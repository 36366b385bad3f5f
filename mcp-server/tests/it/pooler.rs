//! Behind PgBouncer in transaction mode: each statement may come to another session, which others have next.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use harness::{McpServer, PgBouncer, SHOP, ServerOptions, ThrowawayPostgres, Until, shared_postgres};
use serde_json::json;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, until};
use crate::database_of;
use crate::runner::Runner;

const ENDLESS: &str = "SELECT count(*) AS endless FROM generate_series(1, 100000) a, generate_series(1, 100000) b";

/// Backends of `database` that run a statement with this text.
async fn running(superuser: &mut PgConnection, database: &str, text: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = $1 AND state = 'active' AND query LIKE '%' || $2 || '%' AND pid <> pg_backend_pid()";
    sqlx::query_scalar(sql).bind(database).bind(text).fetch_one(superuser).await.unwrap()
}

async fn runner(postgres: &ThrowawayPostgres, database: &str, backends: usize) -> Option<(PgBouncer, Runner)> {
    let pgbouncer = PgBouncer::start(&postgres.reader_url(database), backends).await.unwrap()?;
    let runner = Runner::new(pgbouncer.url(), &["--postgres-mode", "pooler", "--pool-size", "10"]);
    Some((pgbouncer, runner))
}

#[tokio::test]
async fn the_server_answers_through_a_pooler() {
    let postgres = shared_postgres().await;
    let Some(pgbouncer) = PgBouncer::start(&postgres.reader_url(SHOP), 3).await.unwrap() else { return };
    let options = ServerOptions::new(pgbouncer.url()).with_env("POSTGRES_MODE", "pooler");
    let server = McpServer::start(options).await.unwrap();
    let calls = (0..10).map(|task| {
        let server = &server;
        async move {
            let mut client = Client::open(server).await;
            for call in 0..50 {
                let number = task * 100 + call;
                // Some of them alike, so that a statement prepared elsewhere would be noticed; types that have to be looked up.
                let query = format!("SELECT $1::int + {} AS n, status FROM orders LIMIT 1", call % 7);
                let rows = client.rows(&query, json!([number])).await;
                assert_eq!(serde_json::to_value(&rows.rows).unwrap()[0]["n"], number + call % 7);
            }
        }
    });
    join_all(calls).await;
    let mut client = Client::open(&server).await;
    // The driver can't describe a multirange.
    let query = "SELECT '{[1,3)}'::int4multirange AS ranges";
    for _ in 0..4 {
        let rows = client.rows(query, json!([])).await;
        assert_eq!(serde_json::to_value(&rows.rows).unwrap()[0]["ranges"], "{[1,3)}");
    }
    assert_eq!(client.error(json!({ "query": "SELECT 1 / 0" })).await["code"], "EXECUTION_ERROR");
}

#[tokio::test]
async fn a_session_that_others_share_is_left_as_it_was() {
    let postgres = shared_postgres().await;
    let database = database_of(
        postgres,
        "CREATE FUNCTION hold() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_advisory_lock(4711), set_config('work_mem', '77MB', false); RETURN 1; END $$;
         CREATE VIEW held AS SELECT hold();
         CREATE FUNCTION prepare() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
             EXECUTE 'PREPARE left_behind AS SELECT 1'; RETURN 1; END $$;
         CREATE VIEW prepared AS SELECT prepare();
         CREATE TYPE mood AS ENUM ('good'); CREATE TABLE moods AS SELECT 'good'::mood AS mood;",
    )
    .await;
    // One session there, so that the stranger has the very one that the statements had.
    let Some((pgbouncer, runner)) = runner(postgres, &database, 1).await else { return };
    let state = "SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('search_path'), current_setting('work_mem'), \
                 current_setting('statement_timeout'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), \
                 (SELECT count(*) FROM pg_prepared_statements))";
    let stranger = async || {
        use sqlx::ConnectOptions;
        let options: sqlx::postgres::PgConnectOptions = pgbouncer.url().parse().unwrap();
        let mut connection = options.extra_float_digits(None).connect().await.unwrap();
        let row = sqlx::raw_sql(state).fetch_one(&mut connection).await.unwrap();
        sqlx::Row::get::<String, _>(&row, 0)
    };
    let untouched = stranger().await;
    // What can't be undone costs the connection, and nothing else does. The rows don't wait for it to be closed.
    for (query, kept) in [
        ("SELECT mood FROM moods", 1),
        ("SELECT * FROM held", 1),
        ("SELECT * FROM prepared", 0),
        ("SELECT '{[1,3)}'::int4multirange AS ranges", 1),
    ] {
        runner.run(query, &[]).await.unwrap();
        until(&format!("{kept} connection(s) after {query}"), async || runner.database.connections().0 == kept).await;
        assert_eq!(stranger().await, untouched, "after {query}");
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_statement_behind_the_pooler() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE t (id int);").await;
    let Some((_pgbouncer, runner)) = runner(postgres, &database, 3).await else { return };
    let mut superuser = postgres.superuser(&database).await.unwrap();
    for _ in 0..3 {
        let cancel = CancellationToken::new();
        let run = tokio::spawn({
            let (runner, cancel) = (runner.clone(), cancel.clone());
            async move { runner.run_until(ENDLESS, &[], &cancel).await.map(drop).unwrap_err().to_string() }
        });
        while running(&mut superuser, &database, "AS endless").await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
        assert_eq!(run.await.unwrap(), "the statement was cancelled");
        assert_eq!(running(&mut superuser, &database, "AS endless").await, 0);
        assert_eq!(runner.rows("SELECT 1 AS one", &[]).await, json!([{ "one": 1 }]));
    }
}

#[tokio::test]
async fn a_pooler_without_a_session_to_spare_still_ends_what_nobody_waits_for() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE t (id int);").await;
    let Some((_pgbouncer, runner)) = runner(postgres, &database, 1).await else { return };
    let superuser = Arc::new(tokio::sync::Mutex::new(postgres.superuser(&database).await.unwrap()));
    let cancel = CancellationToken::new();
    let run = tokio::spawn({
        let (runner, cancel) = (runner.clone(), cancel.clone());
        async move { runner.run_until(ENDLESS, &[], &cancel).await.map(drop).unwrap_err().to_string() }
    });
    let runs = async || running(&mut *superuser.lock().await, &database, "AS endless").await > 0;
    until("it runs", runs).await;
    cancel.cancel();
    assert_eq!(run.await.unwrap(), "the statement was cancelled");
    until("it ends", async || !runs().await).await;
    assert_eq!(runner.rows("SELECT 1 AS one", &[]).await, json!([{ "one": 1 }]));
}

#[tokio::test]
async fn a_pooler_that_was_not_announced_is_named() {
    let postgres = shared_postgres().await;
    let Some(pgbouncer) = PgBouncer::start(&postgres.reader_url(SHOP), 3).await.unwrap() else { return };
    let server = McpServer::start(ServerOptions::new(pgbouncer.url()).until(Until::Listening)).await.unwrap();
    let error = Client::open(&server).await.error(json!({ "query": "SELECT 1 AS one" })).await;
    assert_eq!(error["code"], "CONNECTION_ERROR", "{error}");
    assert!(error["suggestion"].as_str().unwrap().contains("POSTGRES_MODE=pooler"), "{error}");
}
