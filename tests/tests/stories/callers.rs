//! Who is asking: callers of the agent whose policies differ see different worlds, and what stands where mcp-server won't hear of
//! callers.

use std::path::PathBuf;
use std::process::ExitStatus;

use harness::{Agent, AgentOptions, McpServer, PATIENCE, Reply, ScriptedLlm, ServerOptions, Until, shared_postgres};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::troubleshooting::documented;
use crate::{client, get};

const ALICE: &str = "the-key-of-alice-0123456789";
const BOB: &str = "the-key-of-bob-0123456789ab";

/// What the callers see of differs: a table, a column, and the rows of a table.
const SQL: &str = "
    CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL);
    INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org'), (2, 'Ben', 'ben@example.org');
    CREATE TABLE salaries (id bigint PRIMARY KEY, amount numeric(10,2) NOT NULL);
    INSERT INTO salaries VALUES (1, 1000.50), (2, 2000.25);
    CREATE TABLE notes (id bigint PRIMARY KEY, tenant text NOT NULL);
    INSERT INTO notes VALUES (1, 'a'), (2, 'b'), (3, 'b');
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true));";

const POLICY: &str = r#"
    [keys.default]
    may_act_for = true
    [subjects.alice]
    deny_tables = ["public.salaries"]
    session = { "app.tenant" = "a" }
    [subjects.bob]
    mask_columns = ["public.customers.email"]
    session = { "app.tenant" = "b" }
"#;

/// The server's key may not act for others: what stands under subjects has no effect.
const SHARED_POLICY: &str = r#"
    [keys.default]
    mask_columns = ["public.customers.email"]
    session = { "app.tenant" = "a" }
    [subjects.alice]
    deny_tables = ["public.customers"]
"#;

/// A policy file, which is gone when dropped.
struct PolicyFile(tempfile::TempDir);

impl PolicyFile {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().expect("a folder can be made"));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("a file can be written");
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("policy.toml")
    }
}

/// A server under this policy, over the one database of these stories.
async fn server(policy: &PolicyFile) -> McpServer {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let (postgres, name) = (shared_postgres().await, "callers");
    let make = async {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("callers.sql");
        std::fs::write(&file, SQL).expect("a file can be written");
        postgres.create_database(name, &[&file]).await.expect("the database is made");
    };
    MADE.get_or_init(|| make).await;
    let path = policy.path().to_str().expect("a path in UTF-8").to_owned();
    let options = ServerOptions::new(postgres.reader_url(name)).with_env("POLICY_FILE", path);
    McpServer::start(options).await.expect("the server starts")
}

/// Options of an agent with two callers.
fn two_callers(server: &McpServer) -> AgentOptions {
    AgentOptions::new(server).with_env("AGENT_API_KEY", format!("alice:{ALICE},bob:{BOB}"))
}

async fn ask(agent: &Agent, key: &str, question: &str) -> (u16, Value) {
    let request = client().post(agent.http_url("/query")).header("x-api-key", key);
    let response = request.json(&json!({ "question": question })).send().await.expect("the agent answers");
    let status = response.status().as_u16();
    (status, response.json().await.expect("the answer is JSON"))
}

/// The rows that a question is answered with.
async fn rows(agent: &Agent, key: &str, question: &str) -> Value {
    let (status, answer) = ask(agent, key, question).await;
    assert_eq!(status, 200, "{question}: {answer}");
    answer["rows"].clone()
}

async fn ready(agent: &Agent) -> (u16, Value) {
    let (status, text) = get(&agent.http_url("/ready")).await;
    (status, serde_json::from_str(&text).expect("it is JSON"))
}

async fn ended(agent: &mut Agent) -> ExitStatus {
    let end = async {
        loop {
            match agent.process().exited().expect("the system knows") {
                Some(status) => return status,
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.expect("the agent ends")
}

#[tokio::test]
async fn each_caller_has_answers_under_its_own_policy() {
    let policy = PolicyFile::new(POLICY);
    let server = server(&policy).await;
    let agent = Agent::start(two_callers(&server)).await.unwrap();
    assert_eq!(ready(&agent).await.1["policy"], "each caller's");

    // A table that is hidden is not there, in answers and in what is offered instead.
    let (status, problem) = ask(&agent, ALICE, "how many salaries are there").await;
    assert_eq!((status, &problem["code"]), (422, &json!("CANNOT_ANSWER")), "{problem}");
    assert!(!problem["questions"].to_string().contains("salaries"), "{problem}");
    assert_eq!(rows(&agent, BOB, "how many salaries are there").await, json!([{ "salaries_count": 2 }]));

    // A masked column is put out as it comes, and nothing else is done with it.
    let question = "names and emails of customers";
    let emails = json!([{ "name": "Ann", "email": "ann@example.org" }, { "name": "Ben", "email": "ben@example.org" }]);
    let (_, of_alice) = ask(&agent, ALICE, question).await;
    assert_eq!(of_alice["rows"], emails, "{of_alice}");
    assert_eq!(of_alice["columns"][1].get("masked"), None, "{of_alice}");
    let (_, of_bob) = ask(&agent, BOB, question).await;
    assert_eq!(
        of_bob["rows"],
        json!([{ "name": "Ann", "email": "***" }, { "name": "Ben", "email": "***" }]),
        "{of_bob}"
    );
    assert_eq!(of_bob["columns"][1], json!({ "name": "email", "type": "text", "masked": true }), "{of_bob}");
    assert_eq!(of_bob["columns"][0].get("masked"), None, "{of_bob}");
    let question = "how many customers have the email 'ann@example.org'";
    assert_eq!(rows(&agent, ALICE, question).await, json!([{ "customers_count": 1 }]));
    let (status, problem) = ask(&agent, BOB, question).await;
    assert_eq!((status, &problem["code"]), (422, &json!("CANNOT_ANSWER")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().starts_with("customers.email is masked"), "{problem}");

    // Rows are each one's own.
    assert_eq!(rows(&agent, ALICE, "ids of notes").await, json!([{ "id": 1 }]));
    assert_eq!(rows(&agent, BOB, "ids of notes").await, json!([{ "id": 2 }, { "id": 3 }]));
}

#[tokio::test]
async fn callers_at_once_never_get_each_others_answers() {
    let policy = PolicyFile::new(POLICY);
    let server = server(&policy).await;
    // Catalogs age, so that they are read again while questions are asked.
    let agent = Agent::start(two_callers(&server).with_env("CATALOG_TTL_S", "1")).await.unwrap();
    let started = std::time::Instant::now();
    let mut rounds = 0;
    while rounds < 20 || started.elapsed().as_secs() < 3 {
        let (notes_of_alice, notes_of_bob, emails_of_alice, emails_of_bob, hidden, salaries) = tokio::join!(
            rows(&agent, ALICE, "ids of notes"),
            rows(&agent, BOB, "ids of notes"),
            rows(&agent, ALICE, "emails of customers"),
            rows(&agent, BOB, "emails of customers"),
            ask(&agent, ALICE, "how many salaries are there"),
            rows(&agent, BOB, "how many salaries are there"),
        );
        assert_eq!(notes_of_alice, json!([{ "id": 1 }]), "round {rounds}");
        assert_eq!(notes_of_bob, json!([{ "id": 2 }, { "id": 3 }]), "round {rounds}");
        assert_eq!(emails_of_alice, json!([{ "email": "ann@example.org" }, { "email": "ben@example.org" }]));
        assert_eq!(emails_of_bob, json!([{ "email": "***" }, { "email": "***" }]), "round {rounds}");
        // With another's catalog it would be the server that refuses, by another code.
        assert_eq!((hidden.0, &hidden.1["code"]), (422, &json!("CANNOT_ANSWER")), "{}", hidden.1);
        assert_eq!(salaries, json!([{ "salaries_count": 2 }]), "round {rounds}");
        rounds += 1;
    }
}

#[tokio::test]
async fn a_model_is_shown_what_its_caller_may_see() {
    let policy = PolicyFile::new(POLICY);
    let server = server(&policy).await;
    let llm = ScriptedLlm::start().await;
    let submit =
        |sql: &str| Reply::tool_call("submit_sql", json!({ "sql": sql, "params": [], "explanation": "as asked" }));
    let sql = "SELECT sum(amount) AS total FROM salaries";
    let agent =
        Agent::start(two_callers(&server).with_llm(&llm.base_url()).with_env("MAX_ATTEMPTS", "1")).await.unwrap();

    llm.push(submit(sql));
    let (status, problem) = ask(&agent, ALICE, "what is earned in all").await;
    assert_eq!((status, &problem["code"]), (422, &json!("TABLE_NOT_FOUND")), "{problem}");
    llm.push(submit(sql));
    assert_eq!(rows(&agent, BOB, "what is earned in all").await, json!([{ "total": 3000.75 }]));
    llm.push(submit("SELECT email FROM customers ORDER BY email"));
    let (status, problem) = ask(&agent, BOB, "emails in order").await;
    assert_eq!((status, &problem["code"]), (422, &json!("ACCESS_DENIED")), "{problem}");

    let prompts: Vec<String> = llm.requests().iter().map(|request| request.contents("system").concat()).collect();
    assert!(!prompts[0].contains("salaries") && !prompts[0].contains("MASKED"), "{}", prompts[0]);
    assert!(prompts[1].contains("TABLE salaries") && prompts[1].contains("email text MASKED"), "{}", prompts[1]);
}

#[tokio::test]
async fn where_the_key_may_act_for_nobody_callers_share_its_policy_until_it_may() {
    let policy = PolicyFile::new(SHARED_POLICY);
    let mut server = server(&policy).await;
    let mut agent = Agent::start(two_callers(&server)).await.unwrap();
    let (status, body) = ready(&agent).await;
    assert_eq!(status, 200, "{body}");
    let shared = "the key's, for all callers: mcp-server lets the agent's key act for nobody";
    assert_eq!(body["policy"], shared, "{body}");
    documented(shared);
    let masked = json!([{ "email": "***" }, { "email": "***" }]);
    for key in [ALICE, BOB] {
        assert_eq!(rows(&agent, key, "emails of customers").await, masked);
        assert_eq!(rows(&agent, key, "ids of notes").await, json!([{ "id": 1 }]));
    }
    let told = "all callers share the key's policy";
    agent.process().logged(told, |line| line.contains(told).then_some(())).await.unwrap();

    policy.write(POLICY);
    server.restart().await.unwrap();
    let by_caller = async { while ready(&agent).await.1["policy"] != "each caller's" {} };
    tokio::time::timeout(PATIENCE, by_caller).await.expect("the agent hears of it");
    assert_eq!(rows(&agent, BOB, "emails of customers").await, masked);
    let open = json!([{ "email": "ann@example.org" }, { "email": "ben@example.org" }]);
    assert_eq!(rows(&agent, ALICE, "emails of customers").await, open, "nothing is left of the shared catalog");
    assert_eq!(rows(&agent, BOB, "ids of notes").await, json!([{ "id": 2 }, { "id": 3 }]));
    assert_eq!(agent.logs().matches(told).count(), 1, "it is said once");
}

#[tokio::test]
async fn callers_without_names_are_not_spoken_of() {
    let policy = PolicyFile::new(POLICY);
    let server = server(&policy).await;
    let agent = Agent::start(AgentOptions::new(&server)).await.unwrap();
    let nameless = "the key's: without AGENT_API_KEY callers have no names";
    assert_eq!(ready(&agent).await.1["policy"], nameless);
    documented(nameless);
    let (status, answer) = crate::ask(&agent, "how many salaries are there").await;
    assert_eq!((status, &answer["rows"]), (200, &json!([{ "salaries_count": 2 }])), "{answer}");
    // No section of the key's sets the tenant.
    assert_eq!(crate::ask(&agent, "ids of notes").await.1["rows"], json!([]));
}

#[tokio::test]
async fn an_agent_that_must_tell_callers_apart_ends_where_it_can_not() {
    let policy = PolicyFile::new(SHARED_POLICY);
    let mut server = server(&policy).await;
    server.terminate().await.unwrap();
    let strict = two_callers(&server).with_env("REQUIRE_SUBJECT", "true");
    let mut agent = Agent::start(strict.clone().until(Until::Listening)).await.unwrap();

    // As long as nobody knows, nothing is answered.
    let (status, body) = ready(&agent).await;
    assert_eq!((status, &body["policy"]), (503, &json!("unknown")), "{body}");
    let (status, problem) = ask(&agent, ALICE, "how many customers").await;
    assert_eq!((status, &problem["code"]), (503, &json!("MCP_UNAVAILABLE")), "{problem}");

    server.restart().await.unwrap();
    assert_eq!(ended(&mut agent).await.code(), Some(1), "{}", agent.logs());
    let last_words = "agent: mcp-server lets the agent's key act for nobody, and REQUIRE_SUBJECT is true. \
                      Set may_act_for = true for the agent's key in mcp-server's POLICY_FILE, or REQUIRE_SUBJECT=false.";
    assert!(agent.logs().contains(last_words), "{}", agent.logs());
    let (what_is_said, way_out) = last_words["agent: ".len()..].split_once(" Set").expect("two sentences");
    documented(what_is_said);
    documented(&format!("Set{way_out}"));

    policy.write(POLICY);
    server.restart().await.unwrap();
    let agent = Agent::start(strict).await.unwrap();
    assert_eq!(rows(&agent, ALICE, "ids of notes").await, json!([{ "id": 1 }]));
}
