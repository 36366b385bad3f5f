//! stdio: the program as a desktop client starts it, with nothing between the two but pipes.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harness::process::binary;
use harness::{PATIENCE, SHOP, shared_postgres};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::client::{is_news, until};

/// A running program and both of its pipes.
pub(crate) struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    log: ChildStderr,
    _folder: tempfile::TempDir,
    next_id: i64,
    hears_news: bool,
}

impl Program {
    /// Over the shop as the reader role, without any key.
    async fn start(env: &[(&str, &str)]) -> Self {
        let url = shared_postgres().await.reader_url(SHOP);
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary("mcp-server").unwrap());
        command.env_clear().current_dir(folder.path()).arg("stdio").envs(env.iter().copied());
        command
            .env("DATABASE_URL", url)
            .env("POSTGRES_DATABASES", SHOP)
            .env("POSTGRES_SSLMODE", "disable")
            .kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, log) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output, log, _folder: folder, next_id: 1, hears_news: true }
    }

    /// The same with the session opened.
    pub(crate) async fn open(env: &[(&str, &str)]) -> Self {
        let mut program = Self::start(env).await;
        assert_eq!(program.receive().await["method"], "notifications/tools/list_changed");
        let client = json!({ "name": "it", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        let answer = program.request("initialize", params).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        program.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string()).await;
        // They come when they come.
        program.hears_news = false;
        program
    }

    pub(crate) async fn send(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn start_call(&mut self, query: &str) -> i64 {
        let arguments = json!({ "query": query, "timeoutMs": 120_000 });
        self.start_request("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await
    }

    pub(crate) async fn start_request(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()).await;
        id
    }

    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start_request(method, params).await;
        loop {
            let answer = self.receive().await;
            if answer["id"] == id {
                return answer;
            }
        }
    }

    pub(crate) async fn receive_line(&mut self) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await.expect("a line in time");
            let line = line.unwrap().expect("the program still writes");
            if self.hears_news || !is_news(&line) {
                return line;
            }
        }
    }

    pub(crate) async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.receive_line().await).unwrap()
    }

    /// Closes stdin; how long the program took to end, how it ended, and its log.
    async fn leave(self) -> (Duration, ExitStatus, String) {
        let Self { mut child, input, mut log, .. } = self;
        drop(input);
        ended(&mut child, &mut log).await
    }
}

async fn ended(child: &mut Child, log: &mut ChildStderr) -> (Duration, ExitStatus, String) {
    let from = Instant::now();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends in time").unwrap();
    let took = from.elapsed();
    let mut text = String::new();
    log.read_to_string(&mut text).await.unwrap();
    (took, status, text)
}

/// Whether PostgreSQL runs a statement with this marker.
async fn runs(marker: &str) -> bool {
    let mut superuser = shared_postgres().await.superuser("postgres").await.unwrap();
    let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()";
    let count: i64 = sqlx::query_scalar(query).bind(marker).fetch_one(&mut superuser).await.unwrap();
    count > 0
}

fn endless(marker: &str) -> String {
    format!("SELECT count(*) AS {marker} FROM order_items a, order_items b, order_items c")
}

#[tokio::test]
async fn calls_are_answered_with_every_digit_and_the_log_stays_out_of_the_way() {
    let mut program = Program::open(&[]).await;
    let query = "SELECT 1.10 AS a, 9223372036854775807 AS b";
    program.start_call(query).await;
    let line = program.receive_line().await;
    assert!(line.contains(r#""structuredContent":{"rows":[{"a":1.10,"b":9223372036854775807}]"#), "{line}");
    let (took, status, log) = program.leave().await;
    assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}");
    assert!(log.contains("client stdio connected"), "{log}");
}

#[tokio::test]
async fn the_end_of_stdin_cancels_what_runs() {
    let mut program = Program::open(&[]).await;
    // What would be told of the call's end has nobody to take it.
    program.start_request("logging/setLevel", json!({ "level": "debug" })).await;
    program.receive_line().await;
    program.start_call(&endless("left_on_stdio")).await;
    until("the statement runs", async || runs("left_on_stdio").await).await;
    let (took, status, log) = program.leave().await;
    assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}: {log}");
    until("the statement ends", async || !runs("left_on_stdio").await).await;
}

#[tokio::test]
async fn a_signal_ends_it_too() {
    let mut program = Program::open(&[]).await;
    program.start_call(&endless("terminated_on_stdio")).await;
    until("the statement runs", async || runs("terminated_on_stdio").await).await;
    let pid = program.child.id().unwrap().to_string();
    assert!(Command::new("/bin/sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status().await.unwrap().success());
    let (took, status, log) = ended(&mut program.child, &mut program.log).await;
    assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}: {log}");
    until("the statement ends", async || !runs("terminated_on_stdio").await).await;
}

#[tokio::test]
async fn lines_that_are_no_messages_get_the_right_fault() {
    let mut program = Program::open(&[("MAX_MESSAGE_BYTES", "2000")]).await;
    let long = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "x".repeat(3000) } }).to_string();
    for (line, code) in [("nonsense", -32700), ("[]", -32600), (long.as_str(), -32600)] {
        program.send(line).await;
        let answer = program.receive().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(code)), "{answer}");
    }
    program.input.write_all(b"{\"\xff\":1}\n").await.unwrap();
    assert_eq!(program.receive().await["error"]["code"], -32700);
    assert_eq!(program.request("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn its_key_is_called_stdio() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "[keys.stdio]\ndeny_tables = [\"public.users\"]\n").unwrap();
    let mut program = Program::open(&[("POLICY_FILE", file.to_str().unwrap())]).await;
    let call = |query: &str| json!({ "name": "run_sql", "arguments": { "query": query } });
    let answer = program.request("tools/call", call("SELECT id FROM users")).await;
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "TABLE_NOT_FOUND", "{answer}");
    let answer = program.request("tools/call", call("SELECT id FROM orders LIMIT 1")).await;
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}
