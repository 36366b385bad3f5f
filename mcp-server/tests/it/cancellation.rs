//! A statement that nobody waits for is cancelled on PostgreSQL, seen in pg_stat_activity.

use harness::{McpServer, PgBouncer, SHOP, ServerOptions, shared_postgres};
use serde_json::json;

use crate::client::{Client, until};
use crate::shop_server;

/// Minutes of work that only a cancel ends early; `marker` finds it among the others.
pub(crate) fn endless(marker: &str) -> String {
    format!("SELECT count(*) AS {marker} FROM order_items a, order_items b, order_items c")
}

/// Whether PostgreSQL runs a statement with this marker.
pub(crate) async fn runs(marker: &str) -> bool {
    let mut superuser = shared_postgres().await.superuser("postgres").await.unwrap();
    let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()";
    let count: i64 = sqlx::query_scalar(query).bind(marker).fetch_one(&mut superuser).await.unwrap();
    count > 0
}

async fn start(client: &mut Client, marker: &str) -> i64 {
    let arguments = json!({ "query": endless(marker), "timeoutMs": 120_000 });
    let id = client.start("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
    until("the statement runs", async || runs(marker).await).await;
    id
}

#[tokio::test]
async fn a_cancelled_call_ends_its_statement() {
    check_cancelled_call(&shop_server().await, "cancelled_by_client").await;
}

async fn check_cancelled_call(server: &McpServer, marker: &str) {
    let mut client = Client::open(server).await;
    let id = start(&mut client, marker).await;
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id, "reason": "test" } });
    client.send(&cancelled.to_string()).await;
    until("the statement ends", async || !runs(marker).await).await;
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_statements() {
    check_lost_client(&shop_server().await, "client_went_away").await;
}

async fn check_lost_client(server: &McpServer, marker: &str) {
    let mut client = Client::open(server).await;
    start(&mut client, marker).await;
    drop(client);
    until("the statement ends", async || !runs(marker).await).await;
}

#[tokio::test]
async fn other_calls_go_on_while_one_is_cancelled() {
    let server = shop_server().await;
    let mut one = Client::open(&server).await;
    let mut other = Client::open(&server).await;
    let id = start(&mut one, "cancelled_alone").await;
    start(&mut other, "goes_on").await;
    one.send(
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }).to_string(),
    )
    .await;
    until("the statement ends", async || !runs("cancelled_alone").await).await;
    assert!(runs("goes_on").await);
    drop(other);
    until("the other ends, too", async || !runs("goes_on").await).await;
}

#[tokio::test]
async fn a_cancel_is_not_lost_whenever_it_comes() {
    let server = crate::shop_server_with(&[("POOL_SIZE", "2")]).await;
    let mut client = Client::open(&server).await;
    // At every moment of a call: before its session, while it is prepared, as it starts, and when it runs.
    for moment in 0..40 {
        let arguments = json!({ "query": endless("cancelled_at_any_time"), "timeoutMs": 120_000 });
        let id = client.start("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
        tokio::time::sleep(std::time::Duration::from_micros(moment * 250)).await;
        client
            .send(
                &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } })
                    .to_string(),
            )
            .await;
    }
    until("all statements end", async || !runs("cancelled_at_any_time").await).await;
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn a_cancel_while_a_cap_is_cutting_blocks_nobody() {
    let server = crate::shop_server_with(&[("POOL_SIZE", "2")]).await;
    let mut client = Client::open(&server).await;
    // The cap cancels the statement, and then its caller does.
    let arguments = json!({ "query": "SELECT a.id FROM order_items a, order_items b", "maxRows": 2 });
    for moment in 0..100 {
        let id = client.start("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
        tokio::time::sleep(std::time::Duration::from_micros(moment * 150)).await;
        client
            .send(
                &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } })
                    .to_string(),
            )
            .await;
    }
    let rows = client.rows("SELECT a.id FROM users a, users b LIMIT 1", json!([])).await;
    assert_eq!(rows.row_count, 1);
    let (content, is_error) = client.run(arguments).await;
    assert!(!is_error, "{content}");
}

/// What makes its calls end early by bytes, too, with one connection for all of them.
const NARROW: [(&str, &str); 2] = [("POOL_SIZE", "1"), ("MAX_PAGE_BYTES", "2048")];

#[tokio::test]
async fn whatever_ends_a_call_early_ends_its_statement() {
    check_early_ends(&crate::shop_server_with(&NARROW).await, "ended").await;
}

async fn check_early_ends(server: &McpServer, marker: &str) {
    let mut client = Client::open(server).await;
    let rows = format!("SELECT a.id AS {marker} FROM order_items a, order_items b, order_items c");
    for (arguments, fails) in [
        (json!({ "query": endless(marker), "timeoutMs": 300 }), true),
        (json!({ "query": rows, "maxRows": 2 }), false),
        (json!({ "query": rows }), false),
    ] {
        let (content, is_error) = client.run(arguments).await;
        assert_eq!(is_error, fails, "{content}");
        until("the statement has ended", async || !runs(marker).await).await;
        assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    }
}

#[tokio::test]
async fn through_a_pooler_the_same_ends_end_the_statement() {
    let url = shared_postgres().await.reader_url(SHOP);
    let Some(pgbouncer) = PgBouncer::start(&url, 3).await.unwrap() else { return };
    let options = ServerOptions::new(pgbouncer.url()).with_env("POSTGRES_MODE", "pooler");
    let options = NARROW.iter().fold(options, |options, (name, value)| options.with_env(name, *value));
    let server = McpServer::start(options).await.unwrap();
    check_cancelled_call(&server, "pooled_and_cancelled").await;
    check_lost_client(&server, "pooled_and_lost").await;
    check_early_ends(&server, "pooled_and_ended").await;
}
