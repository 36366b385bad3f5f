//! Parts that go down and come back: each is told of in words while it lasts, and healed from without a restart.

use std::time::{Duration, Instant};

use harness::{
    Agent, AgentOptions, McpServer, PATIENCE, SHOP, ServerOptions, Stack, ThrowawayPostgres, Until, shared_postgres,
};
use serde_json::Value;

use crate::{ask, get};

/// Asks again until the question is answered with this status, and gives the body.
async fn until_status(agent: &Agent, question: &str, wanted: u16) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, body) = ask(agent, question).await;
        if status == wanted {
            return body;
        }
        assert!(Instant::now() < deadline, "still {status} instead of {wanted}: {body}\n{}", agent.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn own_postgres() -> ThrowawayPostgres {
    let postgres = ThrowawayPostgres::start().await.expect("PostgreSQL starts");
    postgres.load_shop().await.expect("the shop loads");
    postgres
}

#[tokio::test]
async fn the_agent_finds_a_restarted_server_again() {
    let mut stack = Stack::start(shared_postgres().await).await.unwrap();
    assert_eq!(ask(&stack.agent, "how many users").await.0, 200);
    stack.server.restart().await.unwrap();
    until_status(&stack.agent, "how many users", 200).await;
    stack.agent.ready().await.unwrap();
}

#[tokio::test]
async fn the_agent_says_that_the_server_is_away() {
    let mut stack = Stack::start(shared_postgres().await).await.unwrap();
    stack.server.terminate().await.unwrap();
    let problem = until_status(&stack.agent, "how many users", 503).await;
    assert_eq!(problem["status"], 503, "{problem}");
    assert_eq!(get(&stack.agent.http_url("/health")).await.0, 200, "alive, though not ready");
    let (status, body) = get(&stack.agent.http_url("/ready")).await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test]
async fn the_agent_may_start_before_the_server() {
    let postgres = shared_postgres().await;
    // A server that was there shows which port is free now.
    let mut server = McpServer::start(ServerOptions::new(postgres.reader_url(SHOP))).await.unwrap();
    server.terminate().await.unwrap();
    let mut agent = Agent::start(AgentOptions::new(&server).until(Until::Listening)).await.unwrap();
    assert_eq!(ask(&agent, "how many users").await.0, 503);
    server.restart().await.unwrap();
    agent.ready().await.unwrap();
    until_status(&agent, "how many users", 200).await;
}

#[tokio::test]
async fn a_database_that_goes_down_is_named_and_healed_from() {
    let postgres = own_postgres().await;
    let mut stack = Stack::start(&postgres).await.unwrap();
    assert_eq!(ask(&stack.agent, "how many users").await.0, 200);

    postgres.stop_server().await.unwrap();
    let problem = until_status(&stack.agent, "how many users", 503).await;
    assert_eq!(problem["code"], "CONNECTION_ERROR", "{problem}");
    assert!(!problem.to_string().contains(&postgres.port().to_string()), "no database internals: {problem}");
    assert_eq!(get(&stack.server.http_url("/ready")).await.0, 503);

    postgres.start_server().await.unwrap();
    until_status(&stack.agent, "how many users", 200).await;
    stack.server.ready().await.unwrap();
}

#[tokio::test]
async fn the_server_may_start_before_the_database() {
    let postgres = own_postgres().await;
    postgres.stop_server().await.unwrap();
    let options = ServerOptions::new(postgres.reader_url(SHOP)).until(Until::Listening);
    let mut server = McpServer::start(options).await.unwrap();
    assert_eq!(get(&server.http_url("/health")).await.0, 200);
    assert_eq!(get(&server.http_url("/ready")).await.0, 503);
    postgres.start_server().await.unwrap();
    server.ready().await.unwrap();
}

#[tokio::test]
async fn a_role_that_could_write_is_refused_at_start() {
    let postgres = shared_postgres().await;
    let options = ServerOptions::new(postgres.superuser_url(SHOP));
    let Err(error) = McpServer::start(options.clone()).await else { panic!("started as a superuser") };
    let report = format!("{error:#}");
    assert!(report.contains("superuser") && report.contains("ALLOW_PRIVILEGED_ROLE"), "{report}");

    McpServer::start(options.with_env("ALLOW_PRIVILEGED_ROLE", "true")).await.unwrap();
}
