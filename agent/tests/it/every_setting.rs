//! Each variable of the agent is changed, and something else happens: no setting is decoration.

use std::time::Duration;

use agent::config::VARIABLES;
use futures_util::{StreamExt, stream};
use harness::process::Process;
use harness::{AgentOptions, Until, free_port};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::mcp::{Outcome, ScriptedMcp};
use crate::stack::{Agent, PATIENCE, stack, submit};

const KEY: &str = "a-key-of-22-characters";
const USERS: &str = "SELECT id FROM users";
const NOBODY: &str = "ws://127.0.0.1:9/mcp";

#[tokio::test]
async fn each_setting_has_its_effect() {
    stream::iter(VARIABLES).for_each_concurrent(4, |variable| effect_of(variable.name)).await;
}

async fn effect_of(variable: &str) {
    match variable {
        "HTTP_HOST" => assert!(program("HTTP_HOST", "0.0.0.0").await.address.ip().is_unspecified()),
        "HTTP_PORT" => it_listens_on_its_port().await,
        name @ ("HTTP_TLS_CERT" | "HTTP_TLS_KEY") => one_without_the_other_is_refused(name).await,
        "HTTP_ALLOWED_HOSTS" => {
            assert_eq!(metrics_of("agent.example", &["--http-allowed-hosts", "agent.example"]).await, 200);
        }
        "CORS_ALLOW_ORIGINS" => listed_pages_may_call().await,
        "AGENT_API_KEY" => assert_eq!(metrics_of("localhost", &["--agent-api-key", KEY]).await, 401),
        "TRUSTED_PROXIES" => proxies_are_believed().await,
        "REQUIRE_SUBJECT" => callers_must_be_told_apart().await,
        "METRICS_PUBLIC" => {
            assert_eq!(metrics_of("localhost", &["--agent-api-key", KEY, "--metrics-public", "true"]).await, 200);
        }
        "RATE_LIMIT_PER_MINUTE" => questions_are_counted_by_the_minute().await,
        "MAX_CONNECTIONS" => connections_wait_for_a_place().await,
        "MAX_MESSAGE_BYTES" => bodies_are_measured().await,
        "REQUEST_TIMEOUT_MS" => questions_have_their_time("--request-timeout-ms", "1000").await,
        "MCP_CALL_TIMEOUT_MS" => questions_have_their_time("--mcp-call-timeout-ms", "2000").await,
        "SHUTDOWN_GRACE_MS" => the_grace_ends().await,
        "WS_URL" => assert!(handshake("/elsewhere").await.starts_with("GET /elsewhere HTTP/1.1")),
        "WS_API_KEY" => assert!(handshake("/mcp").await.contains(KEY)),
        "MAX_RESULT_BYTES" => results_are_bounded().await,
        "CATALOG_TTL_S" => a_catalog_ages().await,
        "TRANSLATOR" => the_translator_is_chosen().await,
        "MAX_ATTEMPTS" => attempts_are_counted().await,
        "MAX_ROWS" => rows_are_bounded().await,
        "LLM_API_KEY" => assert_eq!(request_with("--llm-api-key", "sk-1").await.0, "Bearer sk-1"),
        "LLM_MODEL" => assert_eq!(request_with("--llm-model", "large").await.1["model"], "large"),
        "LLM_BASE_URL" => the_model_is_asked_where_it_is().await,
        "LLM_TIMEOUT_MS" => the_model_has_its_time().await,
        "LLM_CONTEXT_TOKENS" => prompts_are_bounded().await,
        "LOG_FORMAT" => {
            let log = log_of_a_start("LOG_FORMAT", "text").await;
            assert!(log.contains("listening on") && !log.starts_with('{'), "{log}");
        }
        "LOG_LEVEL" => {
            assert_eq!(log_of_a_start("LOG_LEVEL", "error").await, "");
            assert!(log_of_a_start("LOG_LEVEL", "info").await.contains("listening on"));
        }
        unknown => panic!("nothing is known that {unknown} changes: add its effect here"),
    }
}

/// The program itself, with one variable changed and nobody to talk to.
async fn program(name: &str, value: &str) -> harness::Agent {
    let options = AgentOptions { ws_url: NOBODY.into(), api_key: KEY.into(), env: Vec::new(), until: Until::Listening };
    harness::Agent::start(options.with_env(name, value)).await.unwrap()
}

async fn one_without_the_other_is_refused(name: &str) {
    let options = AgentOptions { ws_url: NOBODY.into(), api_key: KEY.into(), env: Vec::new(), until: Until::Listening };
    let said = harness::Agent::start(options.with_env(name, "/etc/hosts")).await.err().expect("TLS needs both");
    assert!(said.to_string().contains(&format!("{name} is given and HTTP_TLS_")), "{said}");
}

/// Everything that is logged until it answers, which the harness can't read for itself in this form.
async fn log_of_a_start(name: &str, value: &str) -> String {
    let port = free_port();
    let environment = [
        ("WS_URL", NOBODY),
        ("WS_API_KEY", KEY),
        ("AGENT_API_KEY", KEY),
        ("HTTP_HOST", "127.0.0.1"),
        ("HTTP_PORT", &port.to_string()),
        (name, value),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut process = Process::start("agent", &environment).unwrap();
    process.answers(&format!("http://127.0.0.1:{port}/health")).await.unwrap();
    process.terminate().await.unwrap();
    process.logs()
}

/// Status of `/metrics` for a caller who uses this host name and shows no key.
async fn metrics_of(host: &str, flags: &[&str]) -> u16 {
    let agent = Agent::start(&[&["--ws-url", NOBODY], flags].concat()).await;
    let request = agent.client.get(format!("{}/metrics", agent.url)).header("host", host);
    request.send().await.unwrap().status().as_u16()
}

/// Callers have questions of their own, and what isn't a question isn't counted.
async fn questions_are_counted_by_the_minute() {
    let keys = format!("ada:{KEY},bo:another-{KEY}");
    let own = ["--ws-url", NOBODY, "--agent-api-key", &keys, "--rate-limit-per-minute", "2"];
    let agent = Agent::start(&own).await;
    let ask = async |key: &str| {
        let request = agent.client.post(format!("{}/query", agent.url)).header("x-api-key", key);
        request.json(&json!({ "question": "" })).send().await.unwrap()
    };
    for status in [400, 400, 429] {
        let answer = ask(KEY).await;
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 429);
    }
    assert_eq!(ask(&format!("another-{KEY}")).await.status().as_u16(), 400);
    let metrics = agent.client.get(format!("{}/metrics", agent.url)).header("x-api-key", KEY);
    assert_eq!(metrics.send().await.unwrap().status().as_u16(), 200);
}

/// Many wrong keys at once, each from an address of its own if the proxy is believed; else all from one, and too many.
async fn proxies_are_believed() {
    for (flags, flooded) in [(&["--trusted-proxies", "127.0.0.0/8"][..], false), (&[], true)] {
        let own = ["--ws-url", NOBODY, "--agent-api-key", KEY, "--max-connections", "16"];
        let agent = Agent::start(&[&own, flags].concat()).await;
        let attempts = (0..24).map(|number| {
            let request =
                agent.client.get(format!("{}/metrics", agent.url)).header("x-api-key", "a-wrong-key-of-22-or-more");
            request.header("x-forwarded-for", format!("192.0.2.{number}")).header("connection", "close").send()
        });
        let statuses: Vec<u16> = futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .map(|response| response.unwrap().status().as_u16())
            .collect();
        assert_eq!(statuses.contains(&429), flooded, "{flags:?}: {statuses:?}");
    }
}

/// The head of the handshake that an agent sends to the server at this path.
async fn handshake(path: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}{path}", listener.local_addr().unwrap());
    let options = AgentOptions { ws_url: url, api_key: KEY.into(), env: Vec::new(), until: Until::Listening };
    let (_agent, accepted) = tokio::join!(harness::Agent::start(options), listener.accept());
    let mut lines = BufReader::new(accepted.unwrap().0).lines();
    let mut head = String::new();
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().filter(|line| !line.is_empty())
    {
        head += &format!("{line}\n");
    }
    head
}

/// The Authorization header and the body that the model is sent.
async fn request_with(flag: &str, value: &str) -> (String, Value) {
    let model = harness::ScriptedLlm::start().await;
    model.push(submit(USERS, json!([])));
    let server = ScriptedMcp::start([Outcome::Rows("[]")]).await;
    let agent = Agent::start(&["--llm-base-url", &model.base_url(), "--ws-url", &server.url(), flag, value]).await;
    assert_eq!(agent.ask_for_users().await.0, 200);
    let request = model.requests().remove(0);
    let key = request.headers.get("authorization").map(|key| key.to_str().unwrap().to_owned());
    (key.unwrap_or_default(), request.body)
}

async fn it_listens_on_its_port() {
    let port = free_port();
    assert_eq!(program("HTTP_PORT", &port.to_string()).await.address.port(), port);
}

async fn listed_pages_may_call() {
    let page = "https://page.example";
    let agent = Agent::start(&["--ws-url", NOBODY, "--cors-allow-origins", page]).await;
    let response = agent.client.get(format!("{}/health", agent.url)).header("origin", page).send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], page);
}

/// The server of these tests lets nobody act for others.
async fn callers_must_be_told_apart() {
    let server = ScriptedMcp::start([]).await;
    let flags = ["--ws-url", &server.url(), "--agent-api-key", KEY, "--require-subject"];
    let agent = Agent::start(&[&flags[..], &["true"]].concat()).await;
    let said = agent.ended().await.unwrap_err().to_string();
    assert!(said.contains("may_act_for = true") && said.contains("REQUIRE_SUBJECT"), "{said}");

    let agent = Agent::start(&[&flags[..], &["false"]].concat()).await;
    let ready = async {
        while agent.get("/ready").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, ready).await.expect("it is ready all the same");
}

async fn connections_wait_for_a_place() {
    let agent = Agent::start(&["--ws-url", NOBODY, "--max-connections", "1"]).await;
    let only = tokio::net::TcpStream::connect(agent.url.trim_start_matches("http://")).await.unwrap();
    let health = || agent.client.get(format!("{}/health", agent.url));
    let early = health().timeout(Duration::from_millis(300)).send().await;
    assert!(early.unwrap_err().is_timeout(), "there was a place");
    drop(only);
    assert!(health().timeout(PATIENCE).send().await.unwrap().status().is_success());
}

async fn bodies_are_measured() {
    let agent = Agent::start(&["--ws-url", NOBODY, "--max-message-bytes", "1024"]).await;
    let (status, body) = agent.ask(json!({ "question": "x".repeat(2000) })).await;
    assert_eq!((status, &body["code"]), (413, &json!("BODY_TOO_LARGE")), "{body}");
}

/// Without the setting, a silent server is waited for longer than the test's patience.
async fn questions_have_their_time(flag: &str, value: &str) {
    let (agent, _model, _server) = stack([submit(USERS, json!([]))], [Outcome::Silence], &[flag, value]).await;
    let (status, body) = agent.ask_for_users().await;
    assert_eq!(status, 504, "{body}");
}

async fn the_grace_ends() {
    let flags = ["--shutdown-grace-ms", "100"];
    let (agent, _model, mut server) = stack([submit(USERS, json!([]))], [Outcome::Silence], &flags).await;
    let request = agent.client.post(format!("{}/query", agent.url)).json(&json!({ "question": "show all users" }));
    let under_way = tokio::spawn(request.send());
    server.next().await;
    agent.stop();
    agent.stopped().await;
    assert!(under_way.await.unwrap().is_err(), "the connection is cut");
}

async fn results_are_bounded() {
    let flags = ["--max-result-bytes", "70000"];
    let (agent, _model, mut server) = stack([submit(USERS, json!([]))], [Outcome::Rows("[]")], &flags).await;
    assert_eq!(agent.ask_for_users().await.0, 200);
    assert_eq!(server.next().await["params"]["_meta"]["pgmcp/maxPageBytes"], 70_000);
}

async fn a_catalog_ages() {
    let server = ScriptedMcp::start((0..1000).map(|_| Outcome::Rows("[]"))).await;
    let agent = Agent::start(&["--ws-url", &server.url(), "--catalog-ttl-s", "1"]).await;
    let read_again = async {
        while server.catalog_reads() < 2 {
            assert_eq!(agent.ask_for_users().await.0, 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, read_again).await.expect("the catalog is read again");
}

async fn the_translator_is_chosen() {
    let (agent, model, _server) = stack([], [Outcome::Rows("[]")], &["--translator", "offline"]).await;
    assert_eq!(agent.ask_for_users().await.1["translator"], "offline");
    assert!(model.requests().is_empty());
}

async fn attempts_are_counted() {
    let outcomes = [Outcome::Failure("INVALID_SQL", "no"), Outcome::Rows("[]")];
    let replies = [submit(USERS, json!([])), submit("SELECT name FROM users", json!([]))];
    let (agent, _model, server) = stack(replies, outcomes, &["--max-attempts", "1"]).await;
    let (status, body) = agent.ask_for_users().await;
    assert_eq!((status, &body["attempts"], server.remaining()), (422, &json!(1), 1), "{body}");
}

async fn rows_are_bounded() {
    let (agent, _model, _server) = stack([], [], &["--max-rows", "5"]).await;
    let (status, body) = agent.ask(json!({ "question": "show all users", "max_rows": 6 })).await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_FIELD")), "{body}");
}

async fn the_model_is_asked_where_it_is() {
    let (agent, model, _server) = stack([submit(USERS, json!([]))], [Outcome::Rows("[]")], &[]).await;
    assert_eq!(agent.ask_for_users().await.1["translator"], "llm:m");
    assert_eq!(model.requests().len(), 1);
}

async fn the_model_has_its_time() {
    let slow = || submit(USERS, json!([])).after(PATIENCE);
    let (agent, _model, _server) = stack([slow(), slow(), slow()], [], &["--llm-timeout-ms", "1000"]).await;
    let (status, body) = agent.ask_for_users().await;
    assert_eq!((status, &body["code"]), (504, &json!("LLM_TIMEOUT")), "{body}");
}

async fn prompts_are_bounded() {
    let with_comment = request_with("--llm-context-tokens", "8000").await.1.to_string();
    let without = request_with("--llm-context-tokens", "200").await.1.to_string();
    assert!(with_comment.contains("Whoever buys.") && !without.contains("Whoever buys."), "{without}");
}
