//! Each case of docs/troubleshooting.md is provoked for real, and what the programs then say stands there word for word.

use harness::{
    Agent, AgentOptions, McpServer, Reply, SHOP, ScriptedLlm, ServerOptions, Until, repository_file, shared_postgres,
};
use serde_json::{Value, json};
use url::Url;

use crate::{ask, client, get};

/// Fails unless the document says this, wherever its lines break.
pub(crate) fn documented(words: &str) {
    let document = std::fs::read_to_string(repository_file("docs/troubleshooting.md")).expect("the document is there");
    let document = document.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(document.contains(words), "docs/troubleshooting.md does not say: {words}");
}

fn suggestion(answer: &Value) -> &str {
    answer["suggestion"].as_str().unwrap_or_else(|| panic!("no suggestion in {answer}"))
}

/// An agent with this server, asked once; it fails with this status and code, and its suggestion is documented.
async fn check(options: AgentOptions, status: u16, code: &str, says: &str) {
    let agent = Agent::start(options.until(Until::Listening)).await.expect("it listens");
    // The first attempt to connect may still be under way.
    let answered = async {
        loop {
            let (found, problem) = ask(&agent, "how many users").await;
            if found == status && !suggestion(&problem).contains("has just started") {
                return problem;
            }
        }
    };
    let problem = tokio::time::timeout(harness::PATIENCE, answered).await.expect("the answer of the case");
    assert_eq!(problem["code"], code, "{problem}");
    assert!(suggestion(&problem).contains(says), "{says} in {problem}");
    documented(code);
    documented(suggestion(&problem));
}

/// Options of an agent that connects here.
fn agent_of(server: &McpServer, ws_url: String) -> AgentOptions {
    AgentOptions { ws_url, ..AgentOptions::new(server) }
}

async fn shop_server(changed: &[(&str, &str)]) -> McpServer {
    let options = ServerOptions::new(shared_postgres().await.reader_url(SHOP)).until(Until::Listening);
    let options = changed.iter().fold(options, |options, (name, value)| options.with_env(name, *value));
    McpServer::start(options).await.expect("it listens")
}

#[tokio::test]
async fn settings_that_are_wrong() {
    let options = ServerOptions::new(shared_postgres().await.reader_url(SHOP)).with_env("POOL_SIZE", "none");
    let said = McpServer::start(options).await.err().expect("it doesn't start").to_string();
    assert!(said.contains("one setting is wrong:") && said.contains("POOL_SIZE"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let options = ServerOptions::new(shared_postgres().await.reader_url(SHOP)).with_env("WS_PORT", &port);
    let said = McpServer::start(options).await.err().expect("the port is taken").to_string();
    let as_documented = said.replace(&port, "9001");
    let line = as_documented.lines().find_map(|line| line.strip_prefix("mcp-server: "));
    let line = line.unwrap_or_else(|| panic!("no last words in {said}"));
    documented(line.split(" (os error").next().unwrap_or(line));
}

#[tokio::test]
async fn a_role_that_is_refused() {
    let options = ServerOptions::new(shared_postgres().await.superuser_url(SHOP));
    let said = McpServer::start(options).await.err().expect("it doesn't start").to_string();
    let way_out = "Use a role that can only SELECT, for which `mcp-server role-sql` prints the SQL, \
                   or set ALLOW_PRIVILEGED_ROLE=true";
    assert!(said.contains(way_out), "{said}");
    documented(way_out);
}

#[tokio::test]
async fn a_database_that_is_not_reached() {
    let right: Url = shared_postgres().await.reader_url(SHOP).parse().expect("it is a URL");
    let wrong = |change: &dyn Fn(&mut Url)| {
        let mut url = right.clone();
        change(&mut url);
        url.to_string()
    };
    for (url, says) in [
        (wrong(&|url| url.set_port(Some(1)).expect("a host has a port")), "POSTGRES_HOST and POSTGRES_PORT"),
        (wrong(&|url| url.set_password(Some("wrong")).expect("a role has a password")), "POSTGRES_PASSWORD"),
        (wrong(&|url| url.set_path("no_such_database")), "POSTGRES_DB"),
        (wrong(&|url| url.set_query(Some("sslmode=require"))), "POSTGRES_SSLMODE"),
    ] {
        let server = shop_server(&[("DATABASE_URL", &url), ("POSTGRES_SSLMODE", "")]).await;
        check(AgentOptions::new(&server), 503, "CONNECTION_ERROR", says).await;
        assert_eq!(get(&server.http_url("/ready")).await.0, 503);
    }
}

#[tokio::test]
async fn a_server_that_is_silent() {
    let server = shop_server(&[]).await;
    for (ws_url, says) in [
        ("ws://127.0.0.1:9/mcp".to_owned(), "that mcp-server runs"),
        (format!("ws://{}/", server.address), "WS_URL ends in /mcp"),
        (server.ws_url().replace("ws://", "wss://"), "ws:// and wss://"),
    ] {
        check(agent_of(&server, ws_url), 503, "MCP_UNAVAILABLE", says).await;
    }
    let choosy = shop_server(&[("WS_ALLOWED_HOSTS", "mcp.example")]).await;
    check(AgentOptions::new(&choosy), 503, "MCP_UNAVAILABLE", "WS_ALLOWED_HOSTS").await;
}

#[tokio::test]
async fn a_key_that_is_refused() {
    let server = shop_server(&[]).await;
    let wrong = AgentOptions { api_key: "not-the-key-of-the-server".to_owned(), ..AgentOptions::new(&server) };
    check(wrong.clone(), 503, "MCP_UNAVAILABLE", "WS_API_KEY").await;
    let agent = Agent::start(wrong.until(Until::Listening)).await.expect("it listens");
    let told =
        async { while !get(&agent.http_url("/ready")).await.1.contains("mcp-server does not accept WS_API_KEY") {} };
    tokio::time::timeout(harness::PATIENCE, told).await.expect("/ready names the key");
    documented("mcp-server does not accept WS_API_KEY");

    let (status, body) = get(&server.http_url("/mcp")).await;
    let body: Value = serde_json::from_str(&body).expect("the refusal is JSON");
    assert_eq!(status, 401, "{body}");
    documented(suggestion(&body["error"]));
}

#[tokio::test]
async fn callers_of_the_agent_who_are_refused() {
    let server = shop_server(&[]).await;
    let keyed = Agent::start(AgentOptions::new(&server).with_env("AGENT_API_KEY", "a-key-of-22-characters")).await;
    let open = Agent::start(AgentOptions::new(&server)).await;
    for (agent, host, status, code) in
        [(keyed, "localhost", 401, "KEY_MISSING"), (open, "evil.example", 403, "HOST_REFUSED")]
    {
        let agent = agent.expect("it starts");
        let request = client().post(agent.http_url("/query")).header("host", host).json(&json!({ "question": "?" }));
        let response = request.send().await.expect("it answers");
        assert_eq!(response.status().as_u16(), status);
        let problem: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("it is JSON");
        assert_eq!(problem["code"], code);
        documented(code);
        documented(suggestion(&problem));
    }
}

#[tokio::test]
async fn a_proxy_that_passes_no_upgrade_on() {
    let server = shop_server(&[]).await;
    let request = client().get(server.http_url("/mcp")).header("x-api-key", server.api_key());
    let response = request.send().await.expect("it answers");
    assert_eq!(response.status().as_u16(), 426);
    let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("it is JSON");
    documented(body["error"]["message"].as_str().expect("a message"));
}

#[tokio::test]
async fn a_model_that_chooses_no_tool() {
    let llm = ScriptedLlm::start().await;
    let server = shop_server(&[]).await;
    let options = || AgentOptions::new(&server).with_llm(&llm.base_url());
    llm.push(Reply::text("SELECT count(*) FROM users"));
    llm.push(Reply::text("I said: SELECT count(*) FROM users"));
    check(options(), 502, "LLM_UNUSABLE_ANSWER", "choose a model that can call tools").await;

    for _ in 0..3 {
        llm.push(Reply::text("SELECT 1").after(harness::PATIENCE));
    }
    check(options().with_env("LLM_TIMEOUT_MS", "1000"), 504, "LLM_TIMEOUT", "LLM_TIMEOUT_MS").await;

    let nowhere = AgentOptions::new(&server).with_llm("http://127.0.0.1:9/v1");
    check(nowhere, 503, "LLM_UNAVAILABLE", "LLM_BASE_URL").await;
}

#[tokio::test]
async fn questions_that_fail() {
    let llm = ScriptedLlm::start().await;
    let endless = "SELECT count(*) FROM order_items a, order_items b, order_items c";
    let impatient = [("STATEMENT_TIMEOUT_MS", "1000"), ("MAX_STATEMENT_TIMEOUT_MS", "1000")];
    for (sql, settings, code) in
        [("SELECT repeat('x', 20000000)", &[][..], "RESULT_TOO_LARGE"), (endless, &impatient[..], "QUERY_TIMEOUT")]
    {
        let server = shop_server(settings).await;
        let options = AgentOptions::new(&server).with_llm(&llm.base_url()).with_env("MAX_ATTEMPTS", "1");
        let agent = Agent::start(options).await.expect("it starts");
        llm.push(Reply::tool_call("submit_sql", json!({ "sql": sql, "params": [], "explanation": "A try." })));
        let problem = ask(&agent, "how many users").await.1;
        assert_eq!(problem["code"], code, "{problem}");
        documented(code);
        documented(suggestion(&problem));
    }
}
