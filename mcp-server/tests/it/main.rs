//! mcp-server as its clients meet it: the real program, a real PostgreSQL, real sockets.
#![expect(clippy::unwrap_used, reason = "in a test, what doesn't hold ends it")]

mod audit;
mod cancellation;
mod catalog;
mod catalog_tools;
mod client;
mod clients;
mod command_line;
mod conformance;
mod corpus;
mod cost;
mod database_down;
mod databases;
mod effects;
mod every_setting;
mod extensions;
mod garbage;
mod handshake;
mod http_client;
mod indirect_reads;
mod keys;
mod legacy_sse;
mod limits;
mod logging;
mod messages;
mod news;
mod pages;
mod parity;
mod planned_code;
mod plans;
mod policy;
mod pooler;
mod port_tls;
mod prompts;
mod resources;
mod role;
mod rows;
mod run_sql;
mod runner;
mod samples;
mod sessions;
mod settings;
mod shutdown;
mod stdio;
mod streamable_http;
mod tenants;
mod tls;
mod traces;
mod types;
mod ways_around;

use std::sync::atomic::{AtomicU32, Ordering};

use harness::{McpServer, SHOP, ServerOptions, ThrowawayPostgres, shared_postgres};

/// A server over the shop, as the reader role.
async fn shop_server() -> McpServer {
    shop_server_with(&[]).await
}

/// The same with more environment variables.
async fn shop_server_with(env: &[(&str, &str)]) -> McpServer {
    let postgres = shared_postgres().await;
    let options = ServerOptions::new(postgres.reader_url(SHOP));
    let options = env.iter().fold(options, |options, (name, value)| options.with_env(name, *value));
    McpServer::start(options).await.unwrap()
}

/// A new database made by `sql`, which the reader role may read whole; its name.
async fn database_of(postgres: &ThrowawayPostgres, sql: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("it_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("database.sql");
    std::fs::write(&file, sql).unwrap();
    postgres.create_database(&name, &[&file]).await.unwrap();
    name
}
