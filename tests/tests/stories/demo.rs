//! `make demo` as whoever tries it first sees it: an answer, a line to try next, and nothing left behind.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use harness::process::Process;
use harness::{PATIENCE, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client;

/// A running demo on ports of its own, with a folder of its own for temporary files.
struct Demo {
    process: Process,
    ports: [u16; 2],
    temporary: TempDir,
}

impl Demo {
    /// Started, and past its first answer.
    async fn start() -> Self {
        let temporary = tempfile::tempdir().expect("make a folder");
        // The cluster may run as another user.
        std::fs::set_permissions(temporary.path(), Permissions::from_mode(0o1777)).expect("open the folder");
        let ports = [free_port(), free_port()];
        let environment = [
            ("WS_PORT", ports[0].to_string()),
            ("HTTP_PORT", ports[1].to_string()),
            ("TMPDIR", temporary.path().display().to_string()),
            ("PG_BIN", std::env::var("PG_BIN").unwrap_or_default()),
            ("HOME", std::env::var("HOME").unwrap_or_default()),
            // Somebody's own set-up must not get in.
            ("POSTGRES_HOST", "db.example".to_owned()),
            ("AGENT_API_KEY", "a-key-of-22-characters".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let mut process = Process::start("demo", &environment).expect("it is built");
        let hint = |line: &str| line.contains("Ctrl-C ends it").then_some(());
        process.logged("how to end it", hint).await.expect("it answers its question");
        Self { process, ports, temporary }
    }

    /// Whether nothing of it is left: no open port, no file.
    fn is_gone(&self) -> bool {
        let is_closed = |port: &u16| std::net::TcpStream::connect(("127.0.0.1", *port)).is_err();
        self.ports.iter().all(is_closed) && is_empty(self.temporary.path())
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("the folder is there").next().is_none()
}

#[tokio::test]
async fn it_answers_and_leaves_nothing_behind() {
    let mut demo = Demo::start().await;
    let said = demo.process.logs();
    assert!(said.contains("show last 5 users") && said.contains("5 rows in"), "{said}");

    // The line that it says to try.
    let line = said.lines().find(|line| line.contains("curl -s ")).expect("a line to try");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("its address");
    let body = line.split('\'').nth(3).expect("its body");
    let body: Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body, json!({ "question": "how many orders per status" }));
    let response = client().post(url).json(&body).send().await.expect("it answers");
    assert_eq!(response.status().as_u16(), 200);

    demo.process.signal("INT").expect("it is told");
    let status = demo.process.terminate().await.expect("it ends");
    assert!(status.success(), "{status}: {}", demo.process.logs());
    assert!(demo.is_gone(), "something is left in {}", demo.temporary.path().display());
}

#[tokio::test]
async fn a_demo_that_is_killed_leaves_nothing_behind_either() {
    let mut demo = Demo::start().await;
    demo.process.signal("KILL").expect("it is killed");
    let gone = async {
        while !demo.is_gone() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("its programs, ports and files go with it");
}
