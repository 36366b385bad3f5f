//! What the server was told wrongly is said at once, all of it, and without secrets.

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};

/// What the program says when it is started with these variables and ends.
async fn complaint(env: &[(&str, &str)]) -> String {
    let options = ServerOptions::new(shared_postgres().await.reader_url(SHOP));
    let options = env.iter().fold(options, |options, (name, value)| options.with_env(name, *value));
    McpServer::start(options).await.err().expect("it ends").to_string()
}

#[tokio::test]
async fn every_problem_is_reported_at_once() {
    let said =
        complaint(&[("POOL_SIZE", "0"), ("MAX_ROWS", "many"), ("WS_API_KEY", "short"), ("LOG_FORMAT", "xml")]).await;
    for expected in [
        "POOL_SIZE is \"0\": accepted is 1 to 100",
        "MAX_ROWS is \"many\"",
        "WS_API_KEY",
        "22",
        "LOG_FORMAT",
        "text or json",
    ] {
        assert!(said.contains(expected), "{expected} in: {said}");
    }
    assert!(!said.contains("short\""), "the key stays secret: {said}");
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_named_together() {
    let said = complaint(&[("STATEMENT_TIMEOUT_MS", "60000"), ("MAX_STATEMENT_TIMEOUT_MS", "30000")]).await;
    assert!(said.contains("STATEMENT_TIMEOUT_MS is 60000 and MAX_STATEMENT_TIMEOUT_MS is 30000"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = complaint(&[("WS_PORT", &port)]).await;
    assert!(said.contains(&port) && said.contains("WS_PORT"), "{said}");
}
