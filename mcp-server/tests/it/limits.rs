//! Limits that hold over all callers: slots handed out fairly, and memory that stays bounded whoever reads or doesn't.

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::{shop_server, shop_server_with};

/// Minutes of work.
const ENDLESS: &str = "SELECT count(*) FROM order_items a, order_items b, order_items c";

const GREEDY: &str = "greedy-0123456789abcdefghijkl";
const MODEST: &str = "modest-0123456789abcdefghijkl";

pub(crate) const MIB: u64 = 1 << 20;

/// A server over the shop with two keys.
async fn server_with_two_keys(env: &[(&str, &str)]) -> McpServer {
    let keys = format!("greedy:{GREEDY},modest:{MODEST}");
    let options = ServerOptions { api_key: keys, ..ServerOptions::new(shared_postgres().await.reader_url(SHOP)) };
    let options = env.iter().fold(options, |options, (name, value)| options.with_env(name, *value));
    McpServer::start(options).await.unwrap()
}

/// Parameters of a call of `run_sql`, with pages as big as the server allows.
fn call(arguments: Value) -> Value {
    json!({
        "name": "run_sql",
        "arguments": arguments,
        "_meta": { "pgmcp/structuredOnly": true, "pgmcp/maxPageBytes": 1 << 30 },
    })
}

/// Answers so far of `run_sql` with this outcome, or with any.
async fn outcomes(server: &McpServer, key: &str, outcome: Option<&str>) -> u64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = client.get(server.http_url("/metrics")).header("x-api-key", key).send().await.unwrap();
    let label = outcome.map(|outcome| format!("outcome=\"{outcome}\"")).unwrap_or_default();
    let text = metrics.text().await.unwrap();
    let counts = text.lines().filter(|line| line.starts_with("pgmcp_tool_calls_total{") && line.contains(&label));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// The most memory that a process has had so far, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn one_callers_many_calls_do_not_keep_anothers_waiting() {
    let server = server_with_two_keys(&[("MAX_CONCURRENT_QUERIES", "2"), ("POOL_TIMEOUT_MS", "60000")]).await;
    let mut greedy = Client::open_with_key(&server, GREEDY).await;
    let mut modest = Client::open_with_key(&server, MODEST).await;
    for _ in 0..16 {
        let arguments = json!({ "query": "SELECT count(*) FROM generate_series(1, 3000000)", "timeoutMs": 120_000 });
        greedy.start("tools/call", call(arguments)).await;
    }
    until("the first statement has ended", async || outcomes(&server, MODEST, Some("ok")).await > 0).await;
    modest.rows("SELECT 1", json!([])).await;
    let done = outcomes(&server, MODEST, Some("ok")).await;
    assert!(done < 12, "{done} of 17 calls were answered first, the other caller's all before");
}

#[tokio::test]
async fn a_full_line_is_said_at_once() {
    let server = shop_server_with(&[("MAX_CONCURRENT_QUERIES", "1"), ("POOL_TIMEOUT_MS", "60000")]).await;
    let mut clients = [Client::open(&server).await, Client::open(&server).await];
    for client in &mut clients {
        for _ in 0..16 {
            client.start("tools/call", call(json!({ "query": ENDLESS, "timeoutMs": 120_000 }))).await;
        }
    }
    // One runs and sixteen wait.
    until("fifteen are refused", async || outcomes(&server, server.api_key(), Some("SERVER_BUSY")).await == 15).await;
    let error = Client::open(&server).await.error(json!({ "query": "SELECT 1" })).await;
    assert_eq!((&error["code"], &error["context"]["retry_after_ms"]), (&json!("SERVER_BUSY"), &json!(1000)), "{error}");
}

#[tokio::test]
async fn results_that_nobody_reads_stay_within_their_bound() {
    let bound = 32 * MIB;
    let server = shop_server_with(&[
        ("MAX_TOTAL_RESULT_BYTES", &bound.to_string()),
        ("MAX_RESULT_BYTES", "8388608"),
        ("POOL_TIMEOUT_MS", "3000"),
    ])
    .await;
    let mut reading = Client::open(&server).await;
    reading.rows("SELECT 1", json!([])).await;
    let before = peak_memory(server.pid());

    let big = call(json!({ "query": "SELECT repeat('x', 100000) FROM generate_series(1, 75)" }));
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut client = Client::open(&server).await;
        for _ in 0..16 {
            client.start("tools/call", big.clone()).await;
        }
        silent.push(client);
    }
    until("all calls are answered or refused", async || outcomes(&server, server.api_key(), None).await > 64).await;
    // Small answers still come, and another big one is told when to come back.
    for _ in 0..20 {
        reading.rows("SELECT 1", json!([])).await;
    }
    let busy = reading.request("tools/call", big.clone()).await;
    let error = &busy["result"]["structuredContent"]["error"];
    assert_eq!((&error["code"], &error["context"]["retry_after_ms"]), (&json!("SERVER_BUSY"), &json!(3000)), "{busy}");

    let more = peak_memory(server.pid()) - before;
    eprintln!("64 unread results of 7 MiB each took {} MiB", more / MIB);
    assert!(more < bound + 64 * MIB, "{} MiB more than before", more / MIB);
    drop(silent);
    while reading.request("tools/call", big.clone()).await["result"]["isError"] == true {}
    // Each that is read makes room for the next.
    for _ in 0..8 {
        assert_eq!(reading.request("tools/call", big.clone()).await["result"]["isError"], false);
    }
}

#[tokio::test]
async fn millions_of_rows_take_no_more_than_a_page() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    client.rows("SELECT 1", json!([])).await;
    let before = peak_memory(server.pid());
    let arguments =
        json!({ "query": "SELECT n, md5(n::text) FROM generate_series(1, 3000000) AS n", "maxRows": 1_000_000 });
    let answer = client.request("tools/call", call(arguments)).await;
    assert_eq!(answer["result"]["structuredContent"]["truncated"], true);
    let more = peak_memory(server.pid()) - before;
    eprintln!("3 million rows took {} MiB", more / MIB);
    assert!(more < 32 * MIB, "{} MiB more than before", more / MIB);
}

#[tokio::test]
async fn a_huge_value_is_not_copied_and_never_sent() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    client.rows("SELECT 1", json!([])).await;
    let before = peak_memory(server.pid());
    let answer = client.request("tools/call", call(json!({ "query": "SELECT repeat('x', 100000000)" }))).await;
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "RESULT_TOO_LARGE", "{answer}");
    let more = peak_memory(server.pid()) - before;
    eprintln!("a value of 95 MiB took {} MiB", more / MIB);
    // The database's driver has it twice while it reads; nothing of ours copies it once more.
    assert!(more < 240 * MIB, "{} MiB more than before", more / MIB);
}

#[tokio::test]
async fn a_caller_who_calls_too_often_is_told_when_to_come_back() {
    let server = server_with_two_keys(&[("RATE_LIMIT_PER_MINUTE", "60")]).await;
    let mut greedy = [Client::open_with_key(&server, GREEDY).await, Client::open_with_key(&server, GREEDY).await];
    let mut refused = 0;
    for number in 0..80 {
        // Over two connections: it is the caller who is counted.
        let answer = greedy[number % 2].request("tools/call", call(json!({ "query": "SELECT 1" }))).await;
        let error = &answer["result"]["structuredContent"]["error"];
        if error["code"] == "RATE_LIMITED" {
            refused += 1;
            let wait = error["context"]["retry_after_ms"].as_u64().unwrap();
            assert!((1..=1001).contains(&wait), "{wait}");
        }
    }
    // While these were sent, one more was free each second.
    assert!((1..=20).contains(&refused), "{refused} of 80 calls were refused");
    Client::open_with_key(&server, MODEST).await.rows("SELECT 1", json!([])).await;
}
