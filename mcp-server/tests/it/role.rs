//! A role that could do more than read is refused at the start.

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};
use serde_json::json;

use crate::client::Client;
use crate::database_of;

#[tokio::test]
async fn a_superuser_is_refused_unless_that_is_wanted() {
    let postgres = shared_postgres().await;
    let error =
        McpServer::start(ServerOptions::new(postgres.superuser_url(SHOP))).await.err().expect("it ends").to_string();
    assert!(error.contains("is a superuser") && error.contains("ALLOW_PRIVILEGED_ROLE"), "{error}");

    let allowed = ServerOptions::new(postgres.superuser_url(SHOP)).with_env("ALLOW_PRIVILEGED_ROLE", "true");
    let server = McpServer::start(allowed).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(client.rows("SELECT 1 AS one FROM users LIMIT 1", json!([])).await.row_count, 1);
    assert_eq!(client.error(json!({ "query": "DELETE FROM users" })).await["code"], "WRITE_OPERATION_DENIED");
}

#[tokio::test]
async fn a_role_that_can_write_is_refused() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int, note text);").await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    for (role, grant) in [
        ("writer", "GRANT INSERT ON notes TO writer"),
        ("column_writer", "GRANT UPDATE (note) ON notes TO column_writer"),
        ("owner", "ALTER TABLE notes OWNER TO owner"),
    ] {
        let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; {grant}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
        let url = format!("postgres://{role}:p@127.0.0.1:{}/{database}", postgres.port());
        let error = McpServer::start(ServerOptions::new(url)).await.err().expect("it ends").to_string();
        assert!(error.contains("public.notes"), "{role}: {error}");
    }
}

#[tokio::test]
async fn a_role_with_powers_beyond_tables_is_refused() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int);").await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    for (role, power, named) in [
        ("row_security_bypasser", "BYPASSRLS", "BYPASSRLS"),
        ("replicator", "REPLICATION", "REPLICATION"),
        ("database_maker", "CREATEDB", "CREATEDB"),
        ("role_maker", "CREATEROLE", "CREATEROLE"),
        ("file_reader", "IN ROLE pg_read_server_files", "pg_read_server_files"),
        ("file_writer", "IN ROLE pg_write_server_files", "pg_write_server_files"),
        ("program_runner", "IN ROLE pg_execute_server_program", "pg_execute_server_program"),
        ("data_writer", "IN ROLE pg_write_all_data", "pg_write_all_data"),
    ] {
        let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'p' {power}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
        let url = format!("postgres://{role}:p@127.0.0.1:{}/{database}", postgres.port());
        let error = McpServer::start(ServerOptions::new(url)).await.err().expect("it ends").to_string();
        assert!(error.contains(named) && error.contains("ALLOW_PRIVILEGED_ROLE"), "{role}: {error}");
    }
}
