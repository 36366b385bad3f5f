//! Start, watch, stop: configuration that is refused whole, health and metrics, and an orderly end on SIGTERM.

use harness::process::Process;
use harness::{Agent, AgentOptions, McpServer, SHOP, ServerOptions, Stack, shared_postgres};
use serde_json::json;

use crate::{ask, client, get};

#[tokio::test]
async fn both_say_that_they_are_well() {
    let stack = Stack::start(shared_postgres().await).await.unwrap();
    assert_eq!(ask(&stack.agent, "how many users").await.0, 200);
    for url in [stack.agent.http_url("/health"), stack.server.http_url("/health")] {
        assert_eq!(get(&url).await.0, 200, "{url}");
    }
    for url in [stack.agent.http_url("/ready"), stack.server.http_url("/ready")] {
        assert_eq!(get(&url).await.0, 200, "{url}");
    }
}

#[tokio::test]
async fn metrics_want_a_key_unless_they_are_public() {
    let postgres = shared_postgres().await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP))).await.unwrap();
    let url = server.http_url("/metrics");
    assert_eq!(get(&url).await.0, 401);
    let answer = client().get(&url).header("x-api-key", server.api_key()).send().await.unwrap();
    assert_eq!(answer.status(), 200);

    let options = ServerOptions::new(postgres.reader_url(SHOP)).with_env("METRICS_PUBLIC", "true");
    let public = McpServer::start(options).await.unwrap();
    let (status, text) = get(&public.http_url("/metrics")).await;
    assert_eq!(status, 200);
    assert!(text.contains("# TYPE"), "{text}");
}

#[tokio::test]
async fn metrics_count_what_was_asked() {
    let postgres = shared_postgres().await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP)).with_env("METRICS_PUBLIC", "true"));
    let server = server.await.unwrap();
    let agent = Agent::start(AgentOptions::new(&server)).await.unwrap();
    assert_eq!(ask(&agent, "how many users").await.0, 200);
    let check = async |url: String, expected: &[&str]| {
        let (_, text) = get(&url).await;
        for line in expected {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in {text}");
        }
    };
    let of_agent = [
        "agent_http_requests_total{route=\"/query\",method=\"POST\",status=\"200\"} 1",
        "agent_stage_duration_seconds_count{stage=\"execute\",outcome=\"ok\"} 1",
        "agent_link_up 1",
    ];
    check(agent.http_url("/metrics"), &of_agent).await;
    let of_server = [
        "pgmcp_tool_calls_total{tool=\"run_sql\",outcome=\"ok\"} ",
        "pgmcp_tool_duration_seconds_count{tool=\"run_sql\"} ",
        "pgmcp_client_connections 1",
        "pgmcp_catalog_loads_total{database=\"db_pg_mcp_small\",outcome=\"ok\"} 1",
    ];
    check(server.http_url("/metrics"), &of_server).await;
}

#[tokio::test]
async fn no_value_and_no_key_is_logged_however_much_is() {
    let postgres = shared_postgres().await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP)).with_env("LOG_LEVEL", "trace"));
    let mut server = server.await.unwrap();
    let key = server.api_key().to_owned();
    let mut agent = Agent::start(AgentOptions::new(&server).with_env("LOG_LEVEL", "trace")).await.unwrap();
    let (status, answer) = ask(&agent, "emails of users from Berlin").await;
    assert_eq!((status, &answer["params"]), (200, &json!(["Berlin"])), "{answer}");
    let email = answer["rows"][0]["email"].as_str().unwrap();
    for (program, process, said) in [
        ("agent", agent.process(), "POST /query answered 200"),
        ("mcp-server", server.process(), "run_sql answered ok"),
    ] {
        // The line of a request is written after its answer.
        let found = |line: &str| line.contains(said).then_some(());
        process.logged(said, found).await.unwrap();
        let log = process.logs();
        for secret in ["Berlin", email, &key] {
            assert!(!log.contains(secret), "{program} logs {secret}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_the_upgrade() {
    let server = McpServer::start(ServerOptions::new(shared_postgres().await.reader_url(SHOP))).await.unwrap();
    let connect = async |key: Option<&str>| {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = server.ws_url().into_client_request().unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("x-api-key", key.parse().unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((_, response)) => response.status().as_u16(),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(connect(None).await, 401);
    assert_eq!(connect(Some("not-the-key-but-long-enough")).await, 401);
    assert_eq!(connect(Some(server.api_key())).await, 101);
}

#[tokio::test]
async fn every_bad_setting_is_reported_at_once() {
    let check = async |program: &'static str, settings: &[(&str, &str)]| {
        let env: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut process = Process::start(program, &env).unwrap();
        let Err(error) = process.listening().await else { panic!("{program} started with {settings:?}") };
        let report = error.to_string();
        for (name, _) in settings {
            assert!(report.contains(name), "{program} doesn't name {name}: {report}");
        }
        assert_eq!(process.exited().unwrap().and_then(|status| status.code()), Some(2), "{report}");
        assert!(!report.contains("tooshort"), "a secret in the report: {report}");
    };
    check("mcp-server", &[("WS_API_KEY", "tooshort"), ("POOL_SIZE", "0"), ("MAX_ROWS", "many")]).await;
    check("agent", &[("WS_API_KEY", "tooshort"), ("HTTP_PORT", "99999"), ("TRANSLATOR", "oracle")]).await;
}

#[tokio::test]
async fn sigterm_ends_both_with_success() {
    let mut stack = Stack::start(shared_postgres().await).await.unwrap();
    assert_eq!(ask(&stack.agent, "how many users").await.0, 200);
    let status = stack.agent.terminate().await.unwrap();
    assert!(status.success(), "{status}: {}", stack.agent.logs());
    let status = stack.server.terminate().await.unwrap();
    assert!(status.success(), "{status}: {}", stack.server.logs());
}
