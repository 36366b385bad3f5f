//! The path through a language model: forced tool calls, repair with feedback, and a model that is down or talks prose.

use harness::{Reply, ScriptedLlm, Stack, shared_postgres};
use serde_json::json;

use crate::ask;

async fn stack(llm: &ScriptedLlm) -> Stack {
    let postgres = shared_postgres().await;
    Stack::start_with(postgres, |agent| agent.with_llm(&llm.base_url())).await.expect("both programs start")
}

fn submit(sql: &str, params: serde_json::Value) -> Reply {
    let arguments =
        json!({"sql": sql, "params": params, "explanation": "as asked", "assumptions": [], "confidence": 9});
    Reply::tool_call("submit_sql", arguments)
}

#[tokio::test]
async fn the_model_submits_sql_and_rows_come_back() {
    let llm = ScriptedLlm::start().await;
    llm.push(submit("SELECT count(*) AS users FROM users WHERE country = $1", json!(["Ireland"])));
    let stack = stack(&llm).await;
    let (status, answer) = ask(&stack.agent, "how many people from Ireland signed up").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["params"], json!(["Ireland"]));
    assert_eq!((&answer["attempts"], &answer["translator"]), (&json!(1), &json!("llm:scripted")));
    assert!(answer["rows"][0]["users"].as_u64().unwrap() > 0, "{answer}");

    let requests = llm.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body["tool_choice"], "required");
    assert!(requests[0].tools().contains(&"submit_sql"), "{:?}", requests[0].tools());
    let prompt = requests[0].body["messages"].to_string();
    assert!(prompt.contains("order_items") && prompt.contains("how many people from Ireland"), "{prompt}");
}

#[tokio::test]
async fn a_refused_statement_goes_back_with_the_reason() {
    let llm = ScriptedLlm::start().await;
    llm.push(submit("SELECT count(*) FROM userz", json!([])));
    llm.push(submit("SELECT count(*) FROM users", json!([])));
    let stack = stack(&llm).await;
    let (status, answer) = ask(&stack.agent, "how many users").await;
    assert_eq!((status, &answer["attempts"]), (200, &json!(2)), "{answer}");
    let repair = llm.requests()[1].body["messages"].to_string();
    assert!(repair.contains("userz") && repair.contains("users"), "{repair}");
}

#[tokio::test]
async fn a_write_never_reaches_the_database() {
    let llm = ScriptedLlm::start().await;
    for _ in 0..3 {
        llm.push(submit("DELETE FROM reviews", json!([])));
    }
    let stack = stack(&llm).await;
    let (status, problem) = ask(&stack.agent, "delete all reviews").await;
    assert_eq!((status, &problem["code"]), (422, &json!("WRITE_OPERATION_DENIED")), "{problem}");
}

#[tokio::test]
async fn prose_is_asked_again_once_and_then_is_a_502() {
    let llm = ScriptedLlm::start().await;
    for _ in 0..10 {
        llm.push(Reply::text("There are many users, I would say."));
    }
    let stack = stack(&llm).await;
    let (status, problem) = ask(&stack.agent, "how many users").await;
    assert_eq!(status, 502, "{problem}");
}

#[tokio::test]
async fn garbage_from_the_model_is_a_502() {
    let llm = ScriptedLlm::start().await;
    for _ in 0..10 {
        llm.push(Reply::garbage(b"<html>hello</html>".to_vec()));
    }
    let stack = stack(&llm).await;
    let (status, problem) = ask(&stack.agent, "how many users").await;
    assert_eq!(status, 502, "{problem}");
}

#[tokio::test]
async fn a_model_that_is_down_is_a_503_with_retry_after() {
    let llm = ScriptedLlm::start().await;
    for _ in 0..20 {
        llm.push(Reply::status(500));
    }
    let stack = stack(&llm).await;
    let (status, problem) = ask(&stack.agent, "how many users").await;
    assert_eq!(status, 503, "{problem}");
}

#[tokio::test]
async fn a_busy_model_is_asked_again() {
    let llm = ScriptedLlm::start().await;
    llm.push(Reply::status(429).with_header("retry-after", "1"));
    llm.push(submit("SELECT count(*) AS users FROM users", json!([])));
    let stack = stack(&llm).await;
    let (status, answer) = ask(&stack.agent, "how many users").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(llm.requests().len(), 2);
}
