//! The LLM translator over real HTTP, against a model that reads a script.

use std::time::Duration;

use chrono::NaiveDate;
use harness::{Reply, ScriptedLlm};
use secrecy::SecretString;
use shared_protocol::catalog::{Column, ForeignKey, Table, TableKind};

use super::*;
use crate::schema_context::SchemaContext;
use crate::translator::Feedback;

const KEY: &str = "sk-secret-of-the-test";

fn llm(base_url: String, key: Option<&str>, timeout: Duration) -> Llm {
    let key = key.map(SecretString::from);
    let config = LlmConfig { key, base_url, model: "m".into(), timeout, context_tokens: 8000 };
    Llm::new(&config).expect("an HTTP client")
}

async fn ask(llm: &Llm, feedback: &[Feedback]) -> Result<Candidate, TranslateError> {
    let context = shop();
    let request = TranslationRequest { question: "show last 5 users", context: &context, max_rows: 100, feedback };
    llm.translate(&request).await
}

async fn scripted(replies: impl IntoIterator<Item = Reply>) -> (ScriptedLlm, Llm) {
    let model = ScriptedLlm::start().await;
    for reply in replies {
        model.push(reply);
    }
    let llm = llm(model.base_url(), Some(KEY), Duration::from_secs(10));
    (model, llm)
}

fn submitted() -> Reply {
    let arguments = json!({
        "sql": "SELECT id FROM users LIMIT $1", "params": [5], "explanation": "The newest users.",
        "assumptions": ["newest by id"], "confidence": 8,
    });
    Reply::tool_call("submit_sql", arguments)
}

#[tokio::test]
async fn a_submitted_statement_becomes_a_candidate() {
    let (model, llm) = scripted([submitted()]).await;
    let candidate = ask(&llm, &[]).await.unwrap();
    assert_eq!((candidate.sql.as_str(), &candidate.params), ("SELECT id FROM users LIMIT $1", &vec![json!(5)]));
    assert_eq!(candidate.summary.as_deref(), Some("The newest users."));
    assert_eq!(candidate.assumptions, ["newest by id"]);
    assert_eq!(candidate.usage.tool_calls, 1);
    assert!(candidate.usage.prompt_tokens > 0 && candidate.usage.completion_tokens > 0);

    let request = &model.requests()[0];
    assert_eq!((&request.body["model"], &request.body["tool_choice"]), (&json!("m"), &json!("required")));
    assert_eq!(request.tools(), ["submit_sql", "cannot_answer"]);
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert!(request.contents("system")[0].contains("TABLE users"), "{:?}", request.contents("system"));
    let question = request.contents("user")[0];
    assert!(question.contains("show last 5 users") && question.contains("2025-11-01 (Europe/Berlin)"), "{question}");
}

#[tokio::test]
async fn no_key_means_no_authorization_header() {
    let model = ScriptedLlm::start().await;
    model.push(submitted());
    let llm = llm(model.base_url(), None, Duration::from_secs(10));
    ask(&llm, &[]).await.unwrap();
    assert!(!model.requests()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_refusal_is_an_abstention() {
    let arguments = json!({ "reason": "There is no weather here.", "missing": ["weather"] });
    let (_model, llm) = scripted([Reply::tool_call("cannot_answer", arguments)]).await;
    let Err(TranslateError::Abstained(abstention)) = ask(&llm, &[]).await else { panic!("not an abstention") };
    assert_eq!(
        (abstention.reason.as_str(), abstention.unexplained),
        ("There is no weather here.", vec!["weather".into()])
    );
}

#[tokio::test]
async fn prose_is_asked_about_once_more() {
    for useless in [
        Reply::text("SELECT id FROM users"),
        Reply::text("```json\n{\"name\": \"submit_sql\", \"arguments\": {\"sql\": \"SELECT 1\"}}\n```"),
        Reply::raw_tool_call("submit_sql", "{\"sql\": "),
        Reply::tool_call("submit_sql", json!({})),
        Reply::tool_call("drop_table", json!({})),
        Reply::garbage("<html>"),
        Reply::garbage("{\"choices\": []}"),
    ] {
        let shown = format!("{useless:?}");
        let (model, llm) = scripted([useless.clone(), submitted()]).await;
        let candidate = ask(&llm, &[]).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(candidate.sql, "SELECT id FROM users LIMIT $1", "{shown}");
        let again = &model.requests()[1];
        assert!(again.contents("user")[1].contains("Call submit_sql or cannot_answer"), "{shown}");

        let (model, llm) = scripted([useless.clone(), useless, submitted()]).await;
        let answer = ask(&llm, &[]).await;
        assert!(matches!(answer, Err(TranslateError::Unusable(_))), "{shown}: {answer:?}");
        assert_eq!(model.remaining(), 1, "{shown}: asked a third time");
    }
}

#[tokio::test]
async fn usage_is_summed_over_both_answers() {
    let (_model, once) = scripted([submitted()]).await;
    let (_other, twice) = scripted([Reply::text("well"), submitted()]).await;
    let (once, twice) = (ask(&once, &[]).await.unwrap().usage, ask(&twice, &[]).await.unwrap().usage);
    assert!(twice.prompt_tokens > 2 * once.prompt_tokens, "{once:?} {twice:?}");
    assert_eq!(twice.tool_calls, 1);
}

#[tokio::test]
async fn a_failing_endpoint_is_tried_again() {
    for failure in [Reply::status(500), Reply::status(429).with_header("retry-after", "0"), Reply::status(503)] {
        let (model, llm) = scripted([failure.clone(), failure, submitted()]).await;
        ask(&llm, &[]).await.expect("the third try is answered");
        assert_eq!(model.remaining(), 0);
    }
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_unavailable() {
    let check = async |replies: Vec<Reply>, tries: usize, words: &str, retry_after: Option<u64>| {
        let (model, llm) = scripted(replies).await;
        let Err(TranslateError::Unavailable { message, retry_after_s, source }) = ask(&llm, &[]).await else {
            panic!("{words}: not unavailable");
        };
        assert!(message.contains(words), "{words:?} is not in {message:?}");
        assert_eq!((retry_after_s, model.requests().len()), (retry_after, tries), "{words}");
        assert!(!format!("{message} {source:?}").contains(KEY), "the key is shown");
    };
    check(vec![Reply::status(500); 3], 3, "its endpoint failed", None).await;
    check(vec![Reply::status(429).with_header("retry-after", "90")], 1, "no more requests", Some(90)).await;
    check(vec![Reply::status(401)], 1, "does not accept LLM_API_KEY", None).await;
    check(vec![Reply::status(404)], 1, "no such model", None).await;
    check(vec![Reply::status(400)], 1, "refused the request", None).await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable_and_not_usable() {
    let llm = llm("http://127.0.0.1:9/v1".into(), Some(KEY), Duration::from_secs(10));
    let answer = ask(&llm, &[]).await;
    assert!(matches!(answer, Err(TranslateError::Unavailable { .. })), "{answer:?}");
    assert!(llm.usable().await.unwrap_err().contains("can't be reached"));
}

#[tokio::test]
async fn an_endpoint_that_is_there_is_usable() {
    let (model, llm) = scripted([]).await;
    assert_eq!(llm.usable().await, Ok(()));
    assert!(model.requests().is_empty(), "asking costs no completion");
}

#[tokio::test]
async fn a_slow_model_is_timed_out() {
    let model = ScriptedLlm::start().await;
    for _ in 0..3 {
        model.push(submitted().after(Duration::from_secs(5)));
    }
    let llm = llm(model.base_url(), None, Duration::from_millis(200));
    let answer = ask(&llm, &[]).await;
    assert!(matches!(answer, Err(TranslateError::TimedOut { limit_ms: 200 })), "{answer:?}");
    assert_eq!(model.requests().len(), 2, "a timeout is tried again once");
}

#[tokio::test]
async fn earlier_attempts_are_told_as_calls_and_results() {
    let (model, llm) = scripted([submitted()]).await;
    let feedback =
        [Feedback { sql: "SELECT nam FROM users".into(), problem: "COLUMN_NOT_FOUND: no column nam".into() }];
    ask(&llm, &feedback).await.unwrap();
    let request = &model.requests()[0];
    assert_eq!(request.refusal, None);
    assert!(request.contents("tool")[0].contains("COLUMN_NOT_FOUND: no column nam"));
    assert!(request.body["messages"][2]["tool_calls"][0]["function"]["arguments"].as_str().unwrap().contains("nam"));
}

#[test]
fn a_schema_within_the_budget_is_shown_whole() {
    let shown = budget::schema_text(&shop(), "users", 8000);
    assert_eq!(shown.cut, None);
    assert_eq!(
        shown.text,
        "Database shop: A small shop\nSearch path: public\n\
         \nTABLE users -- People who registered\n  id bigint PRIMARY KEY\n  status user_status ('on', 'o''ff') NOT NULL -- May log in\n\
         \nTABLE orders\n  id bigint PRIMARY KEY\n  user_id bigint NOT NULL -> users.id\n\
         \nTABLE audit.\"Log\"\n  id bigint PRIMARY KEY\n"
    );
}

#[test]
fn a_schema_over_the_budget_loses_comments_then_tables_and_says_so() {
    let check = |tokens: usize, question: &str, shown: &[&str], hidden: &[&str], cut: &str| {
        let text = budget::schema_text(&shop(), question, tokens);
        for part in shown {
            assert!(text.text.contains(part), "{part} is missing at {tokens}: {}", text.text);
        }
        for part in hidden {
            assert!(!text.text.contains(part), "{part} is there at {tokens}: {}", text.text);
        }
        assert!(text.cut.as_deref().is_some_and(|words| words.contains(cut)), "{:?}", text.cut);
    };
    check(85, "users", &["TABLE users", "TABLE orders", "Log"], &["registered"], "without comments");
    check(50, "how many orders", &["TABLE orders"], &["TABLE users"], "of 3 tables");
    check(1, "how many orders", &["TABLE orders"], &["TABLE users", "Log"], "1 of 3 tables");
}

#[test]
fn masked_columns_are_marked_and_explained_where_there_are_any() {
    let open = budget::schema_text(&shop(), "users", 8000).text;
    assert!(!open.contains("MASKED"), "{open}");
    let mut context = shop();
    context.tables[1].columns[1].masked = true;
    let text = budget::schema_text(&context, "users", 8000).text;
    assert!(text.contains("\n  user_id bigint MASKED NOT NULL -> users.id\n"), "{text}");
    for rule in ["Columns marked MASKED", "count(column) without DISTINCT", "GROUP BY", "cannot_answer"] {
        assert!(text.contains(rule), "{rule} is missing in {text}");
    }
    assert_eq!(text.matches("MASKED").count(), 2, "{text}");
}

fn shop() -> SchemaContext {
    let users = Table {
        description: Some("People who\nregistered".into()),
        columns: vec![
            key(),
            Column {
                enum_values: Some(vec!["on".into(), "o'ff".into()]),
                description: Some("May log in".into()),
                ..column("status", "user_status")
            },
        ],
        ..table("public", "users")
    };
    let orders = Table {
        columns: vec![key(), column("user_id", "bigint")],
        foreign_keys: vec![ForeignKey {
            constraint_name: "orders_user_id_fkey".into(),
            from_schema: "public".into(),
            from_table: "orders".into(),
            from_columns: vec!["user_id".into()],
            to_schema: "public".into(),
            to_table: "users".into(),
            to_columns: vec!["id".into()],
            on_update: "NO ACTION".into(),
            on_delete: "NO ACTION".into(),
        }],
        ..table("public", "orders")
    };
    SchemaContext {
        database: "shop".into(),
        description: Some("A small shop".into()),
        search_path: vec!["public".into()],
        tables: vec![users, orders, Table { columns: vec![key()], ..table("audit", "Log") }],
        timezone: "Europe/Berlin".into(),
        today: NaiveDate::from_ymd_opt(2025, 11, 1).unwrap(),
    }
}

fn table(schema: &str, name: &str) -> Table {
    Table {
        table_name: name.into(),
        schema_name: schema.into(),
        r#type: TableKind::Table,
        description: None,
        columns: Vec::new(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_row_count: None,
        partition_count: None,
        view_definition: None,
        partition_key: None,
    }
}

fn key() -> Column {
    Column { is_primary_key: true, ..column("id", "bigint") }
}

fn column(name: &str, data_type: &str) -> Column {
    Column {
        name: name.into(),
        data_type: data_type.into(),
        type_definition: None,
        is_nullable: false,
        default_value: None,
        description: None,
        is_primary_key: false,
        is_unique: false,
        character_maximum_length: None,
        numeric_precision: None,
        numeric_scale: None,
        enum_values: None,
        sample_values: None,
        is_generated: false,
        is_identity: false,
        masked: false,
    }
}
