//! The official SDKs for Python and TypeScript, of the first and the second generation: each holds the conversation that
//! `mcp-server/tests/clients/conversation.{py,js}` spells out, and prints what it understood.

use std::path::PathBuf;
use std::pin::pin;
use std::process::{Output, Stdio};

use harness::{McpServer, PATIENCE, SHOP, repository_file};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{catalog_uri, check_catalog, check_digits, check_refusal, check_tools, installed, stdio_server};
use crate::cancellation::{endless, runs};
use crate::client::until;
use crate::shop_server;

const NEWEST: &str = "2026-07-28";

#[tokio::test]
async fn the_python_sdk_works_over_websocket() {
    let server = shop_server().await;
    let mut client = of_server(python("PGMCP_PYTHON", "python_1.py"), &server);
    check(&converse(client.arg(server.ws_url()), "python_over_websocket").await, "2025-11-25");
}

#[tokio::test]
async fn the_python_sdk_works_over_http_and_sse() {
    let server = shop_server().await;
    let mut client = of_server(python("PGMCP_PYTHON", "python_1.py"), &server);
    check(&converse(client.arg(server.http_url("/sse")), "python_over_sse").await, "2025-11-25");
}

#[tokio::test]
async fn the_python_sdk_works_over_stdio() {
    let (program, env) = stdio_server().await;
    let mut client = python("PGMCP_PYTHON", "python_1.py");
    check(&converse(client.envs(env).arg(program).arg("stdio"), "python_over_stdio").await, "2025-11-25");
}

#[tokio::test]
async fn the_second_python_sdk_works_over_streamable_http() {
    let server = shop_server().await;
    for (mode, revision) in [("legacy", "2025-11-25"), ("auto", NEWEST)] {
        let mut client = of_server(python("PGMCP_PYTHON_2", "python_2.py"), &server);
        let seen = converse(client.arg(server.http_url("/mcp")).arg(mode), &format!("python_over_http_{mode}")).await;
        check(&seen, revision);
    }
}

#[tokio::test]
async fn the_typescript_sdk_works_over_websocket() {
    let server = shop_server().await;
    let mut client = of_server(node("typescript_1.js"), &server);
    check(&converse(client.arg(server.ws_url()), "typescript_over_websocket").await, "2025-11-25");
}

#[tokio::test]
async fn the_second_typescript_sdk_works_over_streamable_http() {
    let server = shop_server().await;
    for (mode, revision) in [("legacy", "2025-11-25"), ("auto", NEWEST)] {
        let mut client = of_server(node("typescript_2.js"), &server);
        let seen =
            converse(client.arg(server.http_url("/mcp")).arg(mode), &format!("typescript_over_http_{mode}")).await;
        check(&seen, revision);
    }
}

/// What a client understood of the server, whichever it is.
fn check(seen: &Value, revision: &str) {
    assert_eq!((&seen["server"], &seen["protocolVersion"]), (&json!("mcp-server"), &json!(revision)));
    check_tools(&strings(&seen["tools"]));
    check_digits(&seen["result"]);
    check_refusal(&seen["refused"]);
    assert_eq!(seen["pages"], json!([[1, 2], [3, 4]]), "a cursor leads on");
    assert!(strings(&seen["resources"]).contains(&catalog_uri().as_str()), "{}", seen["resources"]);
    check_catalog(&seen["catalog"]);
    assert!(strings(&seen["templates"]).contains(&"postgres://{database}/catalog{?cursor}"), "{}", seen["templates"]);
    assert_eq!(seen["rowsAfterCancel"], json!([{ "one": 1 }]));
    assert_eq!(seen["errors"], json!([]), "nothing that came was more than the SDK could take");
    // The newest revision pushes nothing that a client hasn't subscribed to.
    if revision < NEWEST {
        assert!(strings(&seen["notifications"]).contains(&"notifications/tools/list_changed"));
    }
    if let Some(prompts) = seen.get("prompts") {
        assert!(!strings(prompts).is_empty() && !seen["prompt"].as_array().unwrap().is_empty(), "{prompts}");
    }
    if let Some(completed) = seen.get("completed") {
        assert!(strings(completed).contains(&SHOP), "{completed}");
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

fn python(interpreter: &str, script: &str) -> Command {
    let mut command = Command::new(installed(interpreter));
    command.env_clear().env("PYTHONDONTWRITEBYTECODE", "1").arg(script_file(script));
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new(installed("PGMCP_NODE"));
    command.env_clear().env("NODE_PATH", installed("PGMCP_NODE_MODULES")).arg(script_file(script));
    command
}

fn script_file(name: &str) -> PathBuf {
    repository_file("mcp-server/tests/clients").join(name)
}

fn of_server(mut command: Command, server: &McpServer) -> Command {
    command.env("WS_API_KEY", server.api_key());
    command
}

/// Runs a client that makes a call with `marker` in its statement: once the statement runs the client is told to cancel
/// it, and once it is gone, to end the conversation. What the client then printed.
async fn converse(client: &mut Command, marker: &str) -> Value {
    // In a folder of its own, so that a server which it starts reads no `.env` of a developer.
    let folder = tempfile::tempdir().unwrap();
    client.env("LONG_QUERY", endless(marker)).current_dir(folder.path()).kill_on_drop(true);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut ended = pin!(child.wait_with_output());
    let cancelled = async {
        until("the statement runs", async || runs(marker).await).await;
        stdin.write_all(b"cancel\n").await.unwrap();
        until("the statement ends", async || !runs(marker).await).await;
        stdin.write_all(b"go on\n").await.unwrap();
    };
    tokio::select! {
        output = &mut ended => panic!("it ended before its call was cancelled: {}", report(&output.unwrap())),
        () = cancelled => {}
    }
    let output = tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time").unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", report(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn report(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
