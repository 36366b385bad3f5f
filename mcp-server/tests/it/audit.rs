//! The audit log: every call is a line, nothing of it is lost, and no value or key stands in it unasked.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use harness::{McpServer, SHOP};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client::{Client, until};
use crate::shop_server_with;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The lines of a log.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

async fn server_with_log(file: &Path) -> McpServer {
    shop_server_with(&[("AUDIT_LOG", file.to_str().unwrap())]).await
}

#[tokio::test]
async fn every_call_is_a_line_whatever_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut server = server_with_log(&file).await;
    let mut client = Client::open(&server).await;
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let query = "SELECT id, email FROM users WHERE id < 4 AND email <> 'secret' AND id > $1 -- hush";
    let arguments = json!({ "query": query, "params": [0] });
    let meta = json!({ "traceparent": traceparent });
    client.request("tools/call", json!({ "name": "run_sql", "arguments": arguments, "_meta": meta })).await;
    client.error(json!({ "query": "DELETE FROM users WHERE email = 'secret'" })).await;
    client.error(json!({ "query": "SELEC 'secret'" })).await;
    client.error(json!({ "query": "SELECT 'secret'::text::int FROM users" })).await;
    client.error(json!({ "query": "SELECT 1", "database": "nowhere" })).await;
    client.error(json!({ "queri": "SELECT 'secret'" })).await;
    client.request("tools/call", json!({ "name": "run_sq", "arguments": {} })).await;
    client.request("tools/call", json!({ "name": "run_sql", "_meta": { "pgmcp/structuredOnly": "secret" } })).await;
    let key = server.api_key().to_owned();
    assert!(server.terminate().await.unwrap().success());

    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["secret", "hush", &key] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let lines = lines(&file);
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    let expected = [
        "ok",
        "WRITE_OPERATION_DENIED",
        "INVALID_SQL",
        "EXECUTION_ERROR",
        "DATABASE_NOT_FOUND",
        "PARAMETER_ERROR",
        "INVALID_PARAMS",
        "INVALID_PARAMS",
    ];
    assert_eq!(outcomes, expected);

    let first = &lines[0];
    let sql = "SELECT id, email FROM users WHERE id < $2 AND email <> $3 AND id > $1";
    assert_eq!((&first["sql"], &first["rows"], &first["tables"]), (&json!(sql), &json!(3), &json!(["public.users"])));
    assert_eq!(
        (&first["key"], &first["subject"], &first["tool"]),
        (&json!("default"), &Value::Null, &json!("run_sql"))
    );
    assert_eq!((&first["database"], &first["trace_id"]), (&json!(SHOP), &json!(TRACE)));
    let hash: String = Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(first["sql_sha256"], hash);
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0 && first["time"].as_str().unwrap().ends_with('Z'), "{first}");
    assert_eq!(lines[1]["sql"], "DELETE FROM users WHERE email = $1");
    // What can't be read has neither: its hash could be that of a short secret.
    assert_eq!((&lines[2]["sql"], &lines[2]["sql_sha256"]), (&Value::Null, &Value::Null));
    assert_eq!((&lines[3]["tables"], &lines[4]["database"]), (&json!(["public.users"]), &json!("nowhere")));
    assert_eq!((&lines[5]["sql_sha256"], &lines[6]["tool"]), (&Value::Null, &json!("run_sq")));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_last_lines_are_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut server = server_with_log(&file).await;
    let mut clients = [Client::open(&server).await, Client::open(&server).await];
    for number in 0..60 {
        // Each is another text, which has to be read before its line can be written.
        let arguments = json!({ "query": format!("SELECT {number} AS n_{number}, count(*) FROM users") });
        clients[number % 2].start("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
    }
    for client in &mut clients {
        for _ in 0..30 {
            client.receive().await;
        }
    }
    assert!(server.terminate().await.unwrap().success());
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in lines(&file) {
        *counts.entry(line["sql"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!((counts.len(), counts.values().all(|count| *count == 1)), (60, true), "{counts:?}");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (file, moved) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let mut server = server_with_log(&file).await;
    let mut client = Client::open(&server).await;
    client.rows("SELECT 1", json!([])).await;
    until("the first line", async || lines(&file).len() == 1).await;
    std::fs::rename(&file, &moved).unwrap();
    server.process().signal("HUP").unwrap();
    until("a new file", async || file.exists()).await;
    client.rows("SELECT 2", json!([])).await;
    until("the second line", async || lines(&file).len() == 1).await;
    assert_eq!(lines(&moved).len(), 1);
}

#[tokio::test]
async fn calls_are_refused_while_the_log_cannot_be_written_and_no_line_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (link, file) = (folder.path().join("link"), folder.path().join("audit.jsonl"));
    symlink("/dev/full", &link).unwrap();
    let mut server = server_with_log(&link).await;
    let mut client = Client::open(&server).await;
    let mut answered = 0;
    let error = loop {
        // The first find out; what they did is written later.
        let (content, is_error) = client.run(json!({ "query": "SELECT 1" })).await;
        if is_error {
            break serde_json::from_str::<Value>(&content).unwrap()["error"].clone();
        }
        answered += 1;
    };
    assert_eq!((&error["code"], &error["context"]["retry_after_ms"]), (&json!("SERVER_BUSY"), &json!(1000)), "{error}");
    assert!(error["message"].as_str().unwrap().contains("audit log"), "{error}");
    let told = |server: &McpServer| server.logs().matches("the audit log can't be written").count();
    until("the log says so", async || told(&server) > 0).await;
    assert_eq!(told(&server), 1, "{}", server.logs());

    assert_eq!(
        readiness(&server).await,
        (503, json!({ "status": "degraded", "database": "ok", "audit_log": "failing" }))
    );

    std::fs::remove_file(&link).unwrap();
    symlink(&file, &link).unwrap();
    server.process().signal("HUP").unwrap();
    until("the lines are there", async || lines(&file).len() == answered).await;
    until("calls are answered", async || {
        Client::open(&server).await.run(json!({ "query": "SELECT 1" })).await.1.eq(&false)
    })
    .await;
    assert_eq!(readiness(&server).await, (200, json!({ "status": "ok", "database": "ok", "audit_log": "ok" })));
}

/// What `/ready` says.
async fn readiness(server: &McpServer) -> (u16, Value) {
    let answer = reqwest::get(server.http_url("/ready")).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_log_that_can_not_be_opened_stops_the_start() {
    let options = harness::ServerOptions::new("postgres://nobody@127.0.0.1:1/nowhere")
        .with_env("AUDIT_LOG", "/no/such/folder/audit.jsonl");
    let said = McpServer::start(options).await.err().expect("there is no such folder").to_string();
    assert!(said.contains("open AUDIT_LOG /no/such/folder/audit.jsonl"), "{said}");
}
