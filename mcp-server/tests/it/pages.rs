//! Results page by page: cursors, what they are good for, and what had come when the time was over.

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::client::Client;
use crate::{database_of, shop_server, shop_server_with};

/// All pages of a statement with `arguments`, each as it came.
async fn pages(client: &mut Client, mut arguments: Value) -> Vec<Value> {
    let mut pages = Vec::new();
    loop {
        let page = client.answer(arguments.clone()).await;
        assert!(page["error"].is_null(), "{page}");
        let next = page["nextCursor"].clone();
        pages.push(page);
        assert!(pages.len() < 50, "the pages come to an end");
        match next {
            Value::Null => return pages,
            cursor => arguments["cursor"] = cursor,
        }
    }
}

fn rows(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(|page| page["rows"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn pages_together_are_the_whole_result() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    for (query, params) in [
        ("SELECT id, email FROM users ORDER BY id", json!([])),
        ("SELECT id FROM orders WHERE id > $1 ORDER BY id DESC -- newest first", json!([1850])),
        ("VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')", json!([])),
        ("SELECT id, created_at, ARRAY[id, 2] AS list, ROW(id, 'x') AS pair FROM users ORDER BY 1;", json!([])),
    ] {
        let whole = client.rows(query, params.clone()).await;
        let whole: Vec<Value> = serde_json::from_str(whole.rows.get()).unwrap();
        let most = whole.len() / 3 + 1;
        let paged = pages(&mut client, json!({ "query": query, "params": params, "maxRows": most })).await;
        assert_eq!(rows(&paged), whole, "{query}");
        assert_eq!(paged.len(), whole.len().div_ceil(most), "{query}");
        let (last, others) = paged.split_last().unwrap();
        assert!(others.iter().all(|page| page["truncated"] == true && page["columns"] == last["columns"]), "{query}");
        assert_eq!(last["truncated"], false, "{query}");
    }
}

#[tokio::test]
async fn a_page_that_is_full_of_bytes_goes_on_too() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let query = "SELECT n, repeat('x', 300000) AS text FROM generate_series(1, 7) AS n ORDER BY n";
    let paged = pages(&mut client, json!({ "query": query })).await;
    let numbers: Vec<Value> = rows(&paged).iter().map(|row| row["n"].clone()).collect();
    assert_eq!(Value::from(numbers), json!([1, 2, 3, 4, 5, 6, 7]));
    assert!(paged.len() > 2, "{} pages", paged.len());
}

#[tokio::test]
async fn pages_without_an_order_are_warned_of() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let page = client.answer(json!({ "query": "SELECT id FROM users", "maxRows": 2 })).await;
    assert!(page["warnings"][0].as_str().unwrap().contains("ORDER BY"), "{page}");
    for query in ["SELECT id FROM users ORDER BY id", "SELECT id FROM users LIMIT 1"] {
        let page = client.answer(json!({ "query": query, "maxRows": 2 })).await;
        assert!(page["warnings"].is_null(), "{page}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_statement_and_its_caller_alone() {
    let keys = "web:web-key-of-22-characters.,app:app-key-of-22-characters.";
    let server = shop_server_with(&[("WS_API_KEY", keys)]).await;
    let mut client = Client::open_with_key(&server, "web-key-of-22-characters.").await;
    let arguments = json!({ "query": "SELECT id FROM users WHERE id > $1 ORDER BY id", "params": [1], "maxRows": 2 });
    let cursor = client.answer(arguments.clone()).await["nextCursor"].as_str().unwrap().to_owned();
    let with = |cursor: &str, query: &str, from: i64| json!({ "query": query, "params": [from], "maxRows": 2, "cursor": cursor });
    let query = "SELECT id FROM users WHERE id > $1 ORDER BY id";
    assert_eq!(client.answer(with(&cursor, query, 1)).await["rowCount"], 2);
    for (wrong, why) in [
        (with(&cursor, query, 2), "another statement"),
        (with(&cursor, "SELECT id FROM users WHERE id > $1 ORDER BY email", 1), "another statement"),
        (with("nonsense", query, 1), "not one that this server gave"),
        (with(&cursor.replacen(|_| true, "z", 1), query, 1), "not one that this server gave"),
    ] {
        let error = client.error(wrong).await;
        assert_eq!(error["code"], "PARAMETER_ERROR");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
        assert!(error["suggestion"].is_string(), "{error}");
    }
    let error = Client::open_with_key(&server, "app-key-of-22-characters.").await.error(with(&cursor, query, 1)).await;
    assert!(error["message"].as_str().unwrap().contains("another caller"), "{error}");
    // Another instance with the same keys takes it; the shop's catalog is the same one.
    let other = shop_server_with(&[("WS_API_KEY", keys)]).await;
    let mut client = Client::open_with_key(&other, "web-key-of-22-characters.").await;
    assert_eq!(client.answer(with(&cursor, query, 1)).await["rowCount"], 2);
}

#[tokio::test]
async fn a_cursor_is_past_when_the_catalog_has_changed() {
    let postgres = shared_postgres().await;
    let name = database_of(
        postgres,
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 9) AS n; GRANT SELECT ON t TO PUBLIC;",
    )
    .await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&name))).await.unwrap();
    let mut client = Client::open(&server).await;
    let mut arguments = json!({ "query": "SELECT n FROM t ORDER BY n", "maxRows": 4 });
    arguments["cursor"] = client.answer(arguments.clone()).await["nextCursor"].clone();
    let mut superuser = postgres.superuser(&name).await.unwrap();
    sqlx::raw_sql("ALTER TABLE t ADD COLUMN more integer").execute(&mut superuser).await.unwrap();
    // PostgreSQL 14 counts what a session has just done with its next statement, or at its end.
    superuser.close().await.unwrap();
    crate::client::until("the change is noticed", async || {
        let answer = client.answer(arguments.clone()).await;
        answer["error"]["message"].as_str().is_some_and(|message| message.contains("catalog has changed"))
    })
    .await;
}

#[tokio::test]
async fn rows_that_had_come_when_the_time_was_over_are_kept() {
    // No cap is to come before the clock.
    let server = shop_server_with(&[("MAX_PAGE_BYTES", "16777216")]).await;
    let mut client = Client::open(&server).await;
    // Each row takes a while and is wide enough to be sent at once.
    let slow = "SELECT n, repeat('x', 10000) AS text, (SELECT count(*) FROM generate_series(1, 300000 + n)) AS work \
                FROM generate_series(1, 100000) AS n";
    let page = client.answer(json!({ "query": slow, "timeoutMs": 5000 })).await;
    assert!(page["error"].is_null(), "{page:.300}");
    assert_eq!((&page["truncated"], &page["nextCursor"]), (&json!(true), &Value::Null));
    assert!(page["rowCount"].as_u64().unwrap() > 0);
    assert!(page["warnings"][0].as_str().unwrap().starts_with("QUERY_TIMEOUT"), "{}", page["warnings"]);
    // The connection is in order.
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    let endless = "SELECT count(*) FROM order_items a, order_items b, order_items c";
    let error = client.error(json!({ "query": endless, "timeoutMs": 300 })).await;
    assert_eq!(error["code"], "QUERY_TIMEOUT");
    assert!(error["suggestion"].as_str().unwrap().contains("timeoutMs"), "{error}");
}

#[tokio::test]
async fn more_time_is_suggested_only_while_there_is_room() {
    let server = shop_server_with(&[("MAX_STATEMENT_TIMEOUT_MS", "1000"), ("STATEMENT_TIMEOUT_MS", "1000")]).await;
    let endless = json!({ "query": "SELECT count(*) FROM order_items a, order_items b, order_items c" });
    let error = Client::open(&server).await.error(endless).await;
    assert_eq!((&error["code"], &error["suggestion"]), (&json!("QUERY_TIMEOUT"), &json!("Filter or aggregate more.")));
}

#[tokio::test]
async fn execute_query_pages_and_knows_a_statement_again() {
    let postgres = shared_postgres().await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP))).await.unwrap();
    let mut client = Client::open(&server).await;
    let first = client
        .use_tool("execute_query", json!({ "sql": "SELECT id, total FROM orders ORDER BY id", "limit": 2 }))
        .await;
    assert_eq!(
        (&first["row_count"], &first["has_more"], &first["warnings"]),
        (&json!(2), &json!(true), &Value::Null),
        "{first}"
    );
    assert_eq!(
        first["columns"],
        json!([{ "name": "id", "data_type": "bigint" }, { "name": "total", "data_type": "numeric" }])
    );
    let again =
        json!({ "sql": "SELECT id, total FROM orders ORDER BY id", "limit": 2, "cursor": first["next_cursor"] });
    let second = client.use_tool("execute_query", again).await;
    assert_eq!(second["rows"][0]["id"].as_i64().unwrap(), first["rows"][1]["id"].as_i64().unwrap() + 1);
    let hash = |sql: &'static str| json!({ "sql": sql, "limit": 1 });
    let one = client.use_tool("execute_query", hash("SELECT id FROM users WHERE id = 1")).await;
    let other = client.use_tool("execute_query", hash("select id /* who */ from users where id = 2")).await;
    assert_eq!(one["query_hash"], other["query_hash"]);
    let error = client.use_tool("execute_query", json!({ "sql": "SELECT 1", "limit": 10_001 })).await;
    assert_eq!(error["error"]["code"], "PARAMETER_ERROR");
    assert!(error["error"]["message"].as_str().unwrap().contains("from 1 to 10000"), "{error}");
}
