//! Requests that are refused before anything is asked, and the routes beside `/query`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::mcp::ScriptedMcp;
use crate::stack::{Agent, PATIENCE, answer, stack};

#[tokio::test]
async fn each_bad_request_is_named() {
    let (agent, _model, _server) = stack([], [], &[]).await;
    let check = async |method: &str, path: &str, kind: &str, body: String, status: u16, code: &str, words: &str| {
        let url = format!("{}{path}", agent.url);
        let request = agent.client.request(method.parse().unwrap(), url).header("content-type", kind).body(body);
        let (found, problem) = answer(request.header("x-request-id", "mine")).await;
        let said = format!("{} {}", problem["detail"], problem["suggestion"]);
        assert_eq!((found, problem["code"].as_str().unwrap()), (status, code), "{problem}");
        assert_eq!((&problem["status"], &problem["request_id"]), (&json!(status), &json!("mine")), "{problem}");
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    };
    let json = "application/json";
    let question = |text: &str| json!({ "question": text }).to_string();
    check("POST", "/query", json, "{".into(), 400, "MALFORMED_REQUEST", "not JSON").await;
    check("POST", "/query", json, "\u{0}".into(), 400, "MALFORMED_REQUEST", "not JSON").await;
    check("POST", "/query", json, question(""), 400, "QUESTION_EMPTY", "empty").await;
    check("POST", "/query", json, r#"{"question":"q","databse":"shop"}"#.into(), 400, "UNKNOWN_FIELD", "database")
        .await;
    check("POST", "/query", json, r#"{"question":"q","max_rows":"5"}"#.into(), 400, "INVALID_FIELD", "max_rows").await;
    check("POST", "/query", json, question(&"x".repeat(5000)), 413, "QUESTION_TOO_LONG", "4096").await;
    check("POST", "/query", json, question(&"x".repeat(2 << 20)), 413, "BODY_TOO_LARGE", "larger").await;
    check("POST", "/query", "text/csv", question("q"), 415, "UNSUPPORTED_MEDIA_TYPE", "application/json").await;
    check(
        "POST",
        "/query",
        json,
        r#"{"question":"q","database":"shpo"}"#.into(),
        404,
        "DATABASE_NOT_FOUND",
        "Did you mean shop?",
    )
    .await;
    check("GET", "/query", json, String::new(), 405, "METHOD_NOT_ALLOWED", "POST /query").await;
    check("GET", "/nothing", json, String::new(), 404, "NOT_FOUND", "/nothing").await;
    assert_eq!(agent.get("/health").await.0, 200);
}

#[tokio::test]
async fn the_agent_is_ready_when_all_parts_are() {
    let (agent, _model, _server) = stack([], [], &[]).await;
    let ready = async {
        while agent.get("/ready").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, ready).await.expect("it becomes ready");
    let (_, body) = agent.get("/ready").await;
    let policy = "the key's: without AGENT_API_KEY callers have no names";
    assert_eq!(body, json!({ "ready": true, "link": "ok", "database": "ok", "translator": "ok", "policy": policy }));
}

#[tokio::test]
async fn without_a_server_the_agent_lives_and_says_so() {
    let agent = Agent::start(&["--ws-url", "ws://127.0.0.1:9/mcp", "--llm-base-url", "http://127.0.0.1:9/v1"]).await;
    assert_eq!(agent.get("/health").await.0, 200);
    let (status, body) = agent.get("/ready").await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(body["link"], "mcp-server can't be reached");
    assert_eq!(body["translator"], "the language model's endpoint can't be reached");
    let (status, body) = agent.ask_for_users().await;
    assert_eq!((status, &body["code"]), (503, &json!("MCP_UNAVAILABLE")), "{body}");
}

#[tokio::test]
async fn data_routes_want_a_key_where_there_are_keys() {
    let server = ScriptedMcp::start([]).await;
    let key = "caller:abcdefghijklmnopqrstuv";
    let agent = Agent::start(&["--ws-url", &server.url(), "--agent-api-key", key]).await;
    let check = async |path: &str, header: Option<(&str, &str)>, status: u16| {
        let mut request = agent.client.get(format!("{}{path}", agent.url));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{path} {header:?}");
    };
    check("/health", None, 200).await;
    check("/metrics", None, 401).await;
    check("/metrics", Some(("x-api-key", "abcdefghijklmnopqrstuX")), 401).await;
    check("/metrics", Some(("x-api-key", "abcdefghijklmnopqrstuv")), 200).await;
    check("/metrics", Some(("authorization", "Bearer abcdefghijklmnopqrstuv")), 200).await;
    let refused = agent.client.post(format!("{}/query", agent.url)).json(&json!({})).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
}

#[tokio::test]
async fn public_metrics_want_no_key() {
    let key = "caller:abcdefghijklmnopqrstuv";
    let agent =
        Agent::start(&["--ws-url", "ws://127.0.0.1:9/mcp", "--agent-api-key", key, "--metrics-public", "true"]).await;
    let metrics = agent.client.get(format!("{}/metrics", agent.url)).send().await.unwrap();
    assert_eq!(metrics.status().as_u16(), 200);
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
}

#[tokio::test]
async fn a_strange_host_is_refused_where_there_are_no_keys() {
    let agent = Agent::start(&["--ws-url", "ws://127.0.0.1:9/mcp", "--http-allowed-hosts", "agent.example"]).await;
    let check = async |host: &str, path: &str, status: u16| {
        let request = agent.client.get(format!("{}{path}", agent.url)).header("host", host);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{host}{path}");
    };
    check("evil.example", "/metrics", 403).await;
    check("agent.example:80", "/metrics", 200).await;
    check("evil.example", "/health", 200).await;
    check("evil.example", "/ready", 503).await;
}

#[tokio::test]
async fn only_listed_origins_may_call_from_a_page() {
    let agent = Agent::start(&["--ws-url", "ws://127.0.0.1:9/mcp", "--cors-allow-origins", "https://ui.example"]).await;
    let allowed = async |origin: &str| {
        let request = agent.client.request(reqwest::Method::OPTIONS, format!("{}/query", agent.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let response = request.send().await.unwrap();
        response.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed("https://ui.example").await.as_deref(), Some("https://ui.example"));
    assert_eq!(allowed("https://evil.example").await, None);
}

#[tokio::test]
async fn an_unfit_request_id_is_replaced() {
    let agent = Agent::start(&["--ws-url", "ws://127.0.0.1:9/mcp"]).await;
    let (_, problem) =
        answer(agent.client.get(format!("{}/no", agent.url)).header("x-request-id", "x".repeat(300))).await;
    assert!(problem["request_id"].as_str().is_some_and(|id| id.len() == 36), "{problem}");
    assert!(problem.get("sql").is_none() && problem.get("attempts").is_none(), "{problem}");
    assert_eq!(problem["suggestion"].as_str().map(str::is_empty), Some(false));
    assert_ne!(problem["title"], Value::Null);
}
