//! Many databases: found or listed, each by itself, and one that is down is nobody else's trouble.

use harness::postgres::READER;
use harness::{McpServer, SHOP, ServerOptions, ThrowawayPostgres, Until, shared_postgres};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::client::{Client, until};
use crate::database_of;

/// A cluster with the shop, and a database of this name with one table that has this number in it.
async fn cluster(name: &str, number: i32) -> ThrowawayPostgres {
    let postgres = ThrowawayPostgres::start().await.unwrap();
    postgres.load_shop().await.unwrap();
    with_number(&postgres, name, number).await;
    postgres
}

async fn with_number(postgres: &ThrowawayPostgres, name: &str, number: i32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numbers.sql");
    std::fs::write(&file, format!("CREATE TABLE numbers (number integer); INSERT INTO numbers VALUES ({number});"))
        .unwrap();
    postgres.create_database(name, &[&file]).await.unwrap();
}

async fn execute(postgres: &ThrowawayPostgres, sql: &str) {
    let mut superuser = postgres.superuser("postgres").await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut superuser).await.unwrap();
}

/// The databases that a client is told of.
async fn told(client: &mut Client) -> Vec<String> {
    let list = client.request("resources/list", json!({})).await;
    let uris = list["result"]["resources"].as_array().unwrap().iter().map(|resource| resource["uri"].as_str().unwrap());
    let of_catalog = |uri: &str| Some(uri.strip_prefix("postgres://")?.strip_suffix("/catalog")?.to_owned());
    uris.filter_map(of_catalog).collect()
}

async fn number_in(client: &mut Client, database: &str) -> Value {
    let arguments = json!({ "query": "SELECT number FROM numbers", "database": database });
    client.answer(arguments).await
}

#[tokio::test]
async fn all_databases_that_the_role_may_connect_to_are_found() {
    let postgres = cluster("stock", 7).await;
    execute(&postgres, "CREATE DATABASE closed").await;
    execute(&postgres, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC").await;
    let options =
        ServerOptions::new(postgres.reader_url(SHOP)).with_env("POSTGRES_DATABASES", "").with_env("CATALOG_TTL_S", "1");
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(told(&mut client).await, [SHOP, "stock"]);
    assert_eq!(number_in(&mut client, "stock").await["rows"], json!([{ "number": 7 }]));
    let error = client.error(json!({ "query": "SELECT 1", "database": "stok" })).await;
    assert_eq!(error["code"], "DATABASE_NOT_FOUND");
    assert!(error["suggestion"].as_str().unwrap().starts_with("Did you mean stock?"), "{error}");
    // The default one is the URL's.
    assert_eq!(client.error(json!({ "query": "SELECT number FROM numbers" })).await["code"], "TABLE_NOT_FOUND");

    with_number(&postgres, "later", 8).await;
    until("a new database is found", async || told(&mut client).await.contains(&"later".to_owned())).await;
    assert_eq!(number_in(&mut client, "later").await["rows"], json!([{ "number": 8 }]));
    execute(&postgres, "DROP DATABASE later WITH (FORCE)").await;
    until("a database that is gone is no longer told of", async || told(&mut client).await == [SHOP, "stock"]).await;
    let error = client.error(json!({ "query": "SELECT 1", "database": "later" })).await;
    assert_eq!(error["code"], "DATABASE_NOT_FOUND");
}

#[tokio::test]
async fn a_database_that_is_down_does_not_hold_up_the_others() {
    let near = cluster("stock", 1).await;
    let far = cluster("stock", 2).await;
    far.stop_server().await.unwrap();
    let list = format!("{SHOP}, stock, far={}", far.reader_url("stock"));
    let options =
        ServerOptions::new(near.reader_url(SHOP)).with_env("POSTGRES_DATABASES", list).until(Until::Listening);
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(told(&mut client).await, [SHOP, "far", "stock"]);
    assert_eq!(number_in(&mut client, "stock").await["rows"], json!([{ "number": 1 }]));
    assert_eq!(number_in(&mut client, "far").await["error"]["code"], "CONNECTION_ERROR");
    let ready = reqwest::get(server.http_url("/ready")).await.unwrap();
    assert_eq!(ready.status(), 200);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["status"], &ready["database"]), (&json!("partly"), &json!("partly")), "{ready}");

    far.start_server().await.unwrap();
    until("the other is back", async || number_in(&mut client, "far").await["rows"] == json!([{ "number": 2 }])).await;
    assert_eq!(number_in(&mut client, "stock").await["rows"], json!([{ "number": 1 }]));
}

#[tokio::test]
async fn connections_of_a_host_are_shared_by_its_databases() {
    let postgres = cluster("stock", 3).await;
    let options = ServerOptions::new(postgres.reader_url(SHOP))
        .with_env("POSTGRES_DATABASES", format!("{SHOP},stock"))
        .with_env("MAX_SERVER_CONNECTIONS", "1")
        .with_env("POOL_TIMEOUT_MS", "1000");
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    for _ in 0..3 {
        assert_eq!(number_in(&mut client, "stock").await["rows"], json!([{ "number": 3 }]));
        assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    }
    let mut busy = Client::open(&server).await;
    let endless = json!({ "query": "SELECT count(*) FROM order_items a, order_items b, order_items c" });
    busy.start("tools/call", json!({ "name": "run_sql", "arguments": endless })).await;
    let mut superuser = postgres.superuser("postgres").await.unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%order_items a%' AND pid <> pg_backend_pid()";
    until("the statement runs", async || {
        sqlx::query_scalar::<_, i64>(running).fetch_one(&mut superuser).await.unwrap() == 1
    })
    .await;
    let error = number_in(&mut client, "stock").await["error"].clone();
    assert_eq!(error["code"], "SERVER_BUSY", "{error}");
    assert!(error["message"].as_str().unwrap().contains("all 1 connections"), "{error}");
}

#[tokio::test]
async fn a_databases_file_says_what_each_is_like() {
    let postgres = shared_postgres().await;
    let schema = "CREATE SCHEMA first; CREATE SCHEMA second; CREATE TABLE first.t AS SELECT 1 AS n; CREATE TABLE second.t AS SELECT 2 AS n;
        GRANT USAGE ON SCHEMA first, second TO PUBLIC; GRANT SELECT ON first.t, second.t TO PUBLIC;";
    let name = database_of(postgres, schema).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("databases.toml");
    let text = format!(
        "[databases.one]\nurl = \"{url}\"\nsearch_path = [\"first\"]\n\n[databases.two]\nhost = \"127.0.0.1\"\nport = {port}\n\
         database = \"{name}\"\nuser = \"{READER}\"\npassword_env = \"READER_PASSWORD_OF_TWO\"\nsearch_path = [\"second\", \"first\"]\n",
        url = postgres.reader_url(&name),
        port = postgres.port(),
    );
    std::fs::write(&file, text).unwrap();
    let url: url::Url = postgres.reader_url(SHOP).parse().unwrap();
    let options = ServerOptions::new(url.as_str())
        .with_env("DATABASES_FILE", file.to_str().unwrap())
        .with_env("READER_PASSWORD_OF_TWO", url.password().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    for (database, n) in [("one", 1), ("two", 2)] {
        let found = client.answer(json!({ "query": "SELECT n FROM t", "database": database })).await;
        assert_eq!(found["rows"], json!([{ "n": n }]), "{database}: {found}");
    }
}

#[tokio::test]
async fn policy_holds_for_each_database_by_itself() {
    let postgres = cluster("stock", 4).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "[databases.stock]\ndeny_tables = [\"public.numbers\"]\n").unwrap();
    let options = ServerOptions::new(postgres.reader_url(SHOP))
        .with_env("POSTGRES_DATABASES", "")
        .with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options.clone()).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(number_in(&mut client, "stock").await["error"]["code"], "TABLE_NOT_FOUND");
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);

    std::fs::write(&file, "[databases.stok]\ndeny_tables = [\"public.numbers\"]\n").unwrap();
    let refused = McpServer::start(options).await.err().unwrap().to_string();
    assert!(refused.contains("[databases.stok] is for stok, and no such database is served"), "{refused}");
}
