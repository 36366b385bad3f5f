//! SIGTERM: what runs may end, what doesn't end in time is cancelled, and nothing is left behind.

use std::time::Instant;

use harness::shared_postgres;
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Client, until};
use crate::shop_server_with;

#[tokio::test]
async fn an_idle_connection_is_closed_with_going_away() {
    let mut server = shop_server_with(&[]).await;
    let mut client = Client::open(&server).await;
    let ended = tokio::spawn(async move { client.close_code().await });
    let status = server.terminate().await.unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(ended.await.unwrap(), Some(CloseCode::Away));
}

#[tokio::test]
async fn a_call_that_runs_is_answered_first() {
    let mut server = shop_server_with(&[]).await;
    let mut client = Client::open(&server).await;
    // About a second of work, and never cancelled: its answer says so.
    let query = "SELECT count(*) AS drained FROM order_items a, generate_series(1, 2000) b";
    let id = client.start("tools/call", json!({ "name": "run_sql", "arguments": { "query": query } })).await;
    until("the statement runs", async || active("drained").await > 0).await;
    let answer = tokio::spawn(async move { client.receive().await });
    assert!(server.terminate().await.unwrap().success());
    let answer = answer.await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(id), &json!(false)), "{answer}");
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cancelled_on_postgresql() {
    let mut server = shop_server_with(&[("SHUTDOWN_GRACE_MS", "200")]).await;
    let mut client = Client::open(&server).await;
    let query = "SELECT count(*) AS never_ends FROM order_items a, order_items b, order_items c";
    client.start("tools/call", json!({ "name": "run_sql", "arguments": { "query": query } })).await;
    until("the statement runs", async || active("never_ends").await > 0).await;
    let started = Instant::now();
    assert!(server.terminate().await.unwrap().success());
    until("the statement ends", async || active("never_ends").await == 0).await;
    assert!(started.elapsed() < harness::PATIENCE);
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_statement_running() {
    let mut server = shop_server_with(&[]).await;
    let mut client = Client::open(&server).await;
    let query = "SELECT count(*) AS orphaned FROM order_items a, order_items b, order_items c";
    client.start("tools/call", json!({ "name": "run_sql", "arguments": { "query": query } })).await;
    until("the statement runs", async || active("orphaned").await > 0).await;
    server.process().signal("KILL").unwrap();
    until("PostgreSQL ends the statement", async || active("orphaned").await == 0).await;
}

async fn active(marker: &str) -> i64 {
    let mut superuser = shared_postgres().await.superuser("postgres").await.unwrap();
    let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()";
    sqlx::query_scalar(query).bind(marker).fetch_one(&mut superuser).await.unwrap()
}
