//! The programs as they are called by hand or by a container's health check: `ready`, flags, and `.env`.

use std::process::{Command, Output};

use harness::process::binary;
use harness::{AgentOptions, SHOP, ServerOptions, Stack, Until, shared_postgres};

/// Runs a program to its end with these arguments, in a folder of its own with this `.env`, and nothing else in its
/// environment.
fn run(program: &str, arguments: &[&str], dotenv: &str) -> Output {
    let folder = tempfile::tempdir().expect("make a folder");
    std::fs::write(folder.path().join(".env"), dotenv).expect("write .env");
    let mut command = Command::new(binary(program).expect("it is built"));
    command.args(arguments).current_dir(folder.path()).env_clear();
    if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
        command.env("LLVM_PROFILE_FILE", profile);
    }
    command.output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_by_its_exit_code() {
    let mut stack = Stack::start(shared_postgres().await).await.expect("both start");
    let key = "WS_API_KEY=a-key-of-22-characters\n";
    let of_server =
        format!("{key}DATABASE_URL=postgres://nobody@localhost/nothing\nWS_PORT={}\n", stack.server.address.port());
    let of_agent = format!("{key}HTTP_PORT={}\n", stack.agent.address.port());
    for (program, dotenv) in [("mcp-server", &of_server), ("agent", &of_agent)] {
        let output = run(program, &["ready"], dotenv);
        assert_eq!(output.status.code(), Some(0), "{program}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("ok"), "{}", text(&output.stdout));
    }

    // The agent lives on without its server, but isn't ready; nothing at all answers for the server.
    stack.server.terminate().await.expect("it ends");
    let seen = || run("agent", &["ready"], &of_agent);
    let down = async {
        while seen().status.success() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(harness::PATIENCE, down).await.expect("the agent sees that its server is gone");
    for (program, dotenv, says) in
        [("agent", &of_agent, "mcp-server can't be reached"), ("mcp-server", &of_server, "it can't be reached")]
    {
        let output = run(program, &["ready"], dotenv);
        assert_eq!(output.status.code(), Some(1), "{program}");
        assert!(text(&output.stderr).contains(says), "{program}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{program}: {}", text(&output.stdout));
    }
}

#[test]
fn a_flag_wins_over_dotenv() {
    for (program, needed) in [("mcp-server", "DATABASE_URL=postgres://a@localhost/b\n"), ("agent", "")] {
        let dotenv = format!("WS_API_KEY=a-key-of-22-characters\nLOG_LEVEL=loud\n{needed}");
        let output = run(program, &["ready"], &dotenv);
        assert_eq!(output.status.code(), Some(2), "{program}: .env is read");
        assert!(text(&output.stderr).contains("LOG_LEVEL is \"loud\""), "{}", text(&output.stderr));
        let port = if program == "agent" { "--http-port" } else { "--ws-port" };
        let output = run(program, &["ready", "--log-level", "info", port, "1"], &dotenv);
        assert_eq!(output.status.code(), Some(1), "{program}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("127.0.0.1:1 is not ready"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_broken_dotenv_is_named_without_its_words() {
    let output = run("agent", &["ready"], "WS_API_KEY=a secret with spaces\n");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(".env can't be read") && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_taken_port_of_the_agent_is_named_with_its_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let server = harness::McpServer::start(ServerOptions::new(shared_postgres().await.reader_url(SHOP))).await;
    let options = AgentOptions::new(&server.expect("it starts")).with_env("HTTP_PORT", &port).until(Until::Listening);
    let said = harness::Agent::start(options).await.err().expect("the port is taken").to_string();
    assert!(said.contains(&port) && said.contains("HTTP_PORT"), "{said}");
}
