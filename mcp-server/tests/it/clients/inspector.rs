//! The Inspector's command line: a new connection for each request.

use harness::PATIENCE;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{QUERY, catalog_uri, check_catalog, check_digits, check_refusal, check_tools, installed, stdio_server};
use crate::shop_server;

/// Its exit code where a tool answers with an error.
const TOOL_FAILED: i32 = 5;

/// The Inspector, with the arguments that name the server.
struct Inspector {
    server: Vec<String>,
    /// Where it keeps its settings, and where a server that it starts finds no `.env` of a developer.
    home: tempfile::TempDir,
}

#[tokio::test]
async fn the_inspector_works_over_stdio() {
    let (program, env) = stdio_server().await;
    // The server's log isn't the Inspector's.
    let mut server = vec![program.display().to_string(), "stdio".to_owned(), "--quiet".to_owned()];
    server.extend(env.iter().flat_map(|(name, value)| ["-e".to_owned(), format!("{name}={value}")]));
    check(&Inspector::of(server)).await;
}

#[tokio::test]
async fn the_inspector_works_over_streamable_http() {
    let server = shop_server().await;
    for era in ["legacy", "modern"] {
        let key = format!("X-API-Key: {}", server.api_key());
        let server = [&server.http_url("/mcp"), "--header", &key, "--protocol-era", era].map(str::to_owned);
        check(&Inspector::of(server.to_vec())).await;
    }
}

async fn check(inspector: &Inspector) {
    // It ends with another code where it finds a fault in a tool's schemas.
    let tools = inspector.ask("tools/list", &["--strict"]).await["tools"].clone();
    check_tools(&tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>());
    check_digits(&inspector.run_sql(QUERY, 0).await);
    check_refusal(&inspector.run_sql("DROP TABLE users", TOOL_FAILED).await);
    let resources = inspector.ask("resources/list", &[]).await;
    assert!(resources["resources"].as_array().unwrap().iter().any(|resource| resource["uri"] == catalog_uri()));
    check_catalog(&inspector.ask("resources/read", &["--uri", &catalog_uri()]).await["contents"][0]);
    let templates = inspector.ask("resources/templates/list", &[]).await;
    assert!(!templates["resourceTemplates"].as_array().unwrap().is_empty());
}

impl Inspector {
    fn of(server: Vec<String>) -> Self {
        Self { server, home: tempfile::tempdir().unwrap() }
    }

    async fn run_sql(&self, query: &str, code: i32) -> Value {
        let arguments = json!({ "query": query }).to_string();
        self.end_with(code, "tools/call", &["--tool-name", "run_sql", "--tool-args-json", &arguments]).await
    }

    async fn ask(&self, method: &str, arguments: &[&str]) -> Value {
        self.end_with(0, method, arguments).await
    }

    /// The result of a request, for which the Inspector must end with this code.
    async fn end_with(&self, code: i32, method: &str, arguments: &[&str]) -> Value {
        let launcher = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";
        let mut command = Command::new(installed("PGMCP_NODE"));
        command.env_clear().env("HOME", self.home.path()).current_dir(self.home.path()).kill_on_drop(true);
        command.arg(installed("PGMCP_NODE_MODULES").join(launcher)).arg("--cli").args(&self.server);
        command.args(["--format", "json", "--method", method]).args(arguments);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{method}: {told}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["result"].clone()
    }
}
