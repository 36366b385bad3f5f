//! PostgreSQL away, at the start and in the middle: said clearly, and healed without a restart.

use harness::{McpServer, SHOP, ServerOptions, ThrowawayPostgres, Until};
use serde_json::json;

use crate::client::{Client, until};

async fn status(server: &McpServer, path: &str) -> u16 {
    reqwest::get(server.http_url(path)).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_is_served_again() {
    let postgres = ThrowawayPostgres::start().await.unwrap();
    postgres.load_shop().await.unwrap();
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP))).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);

    postgres.stop_server().await.unwrap();
    let error = client.error(json!({ "query": "SELECT 1 AS one" })).await;
    assert_eq!(error["code"], "CONNECTION_ERROR", "{error}");
    assert!(error["suggestion"].is_string(), "{error}");
    assert_eq!(status(&server, "/health").await, 200);
    assert_eq!(status(&server, "/ready").await, 503);

    postgres.start_server().await.unwrap();
    until("the server is ready again", async || status(&server, "/ready").await == 200).await;
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn a_server_starts_without_its_database_and_heals() {
    let postgres = ThrowawayPostgres::start().await.unwrap();
    postgres.load_shop().await.unwrap();
    postgres.stop_server().await.unwrap();
    let options = ServerOptions::new(postgres.reader_url(SHOP)).until(Until::Listening);
    let server = McpServer::start(options).await.unwrap();
    assert_eq!(status(&server, "/ready").await, 503);
    let mut client = Client::open(&server).await;
    assert_eq!(client.error(json!({ "query": "SELECT 1 AS one" })).await["code"], "CONNECTION_ERROR");

    postgres.start_server().await.unwrap();
    until("the server is ready", async || status(&server, "/ready").await == 200).await;
    assert_eq!(client.rows("SELECT count(*) AS n FROM users", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn a_wrong_password_is_said_without_showing_it() {
    let postgres = harness::shared_postgres().await;
    let url = postgres.reader_url(SHOP);
    let (head, tail) = url.split_once('@').unwrap();
    let user = head.rsplit_once(':').unwrap().0;
    let options = ServerOptions::new(format!("{user}:not-the-password@{tail}")).until(Until::Listening);
    let server = McpServer::start(options).await.unwrap();
    let error = Client::open(&server).await.error(json!({ "query": "SELECT 1 AS one" })).await;
    assert_eq!(
        (&error["code"], &error["context"]["sqlstate"]),
        (&json!("CONNECTION_ERROR"), &json!("28P01")),
        "{error}"
    );
    assert!(error["suggestion"].as_str().unwrap().contains("POSTGRES_PASSWORD"), "{error}");
    assert!(!error.to_string().contains("not-the-password") && !server.logs().contains("not-the-password"));
}

#[tokio::test]
async fn connections_that_died_while_idle_cost_no_call() {
    let postgres = harness::shared_postgres().await;
    let database = crate::database_of(postgres, "CREATE TABLE things (id int);").await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'pgmcp'";
    let ended: i64 = sqlx::query_scalar(query).bind(&database).fetch_one(&mut superuser).await.unwrap();
    assert!(ended > 0);
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}
