//! Questions that are answered, and what becomes of those that aren't.

use std::time::Duration;

use harness::Reply;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::mcp::Outcome;
use crate::stack::{PATIENCE, answer, stack, submit};

const USERS: &str = "SELECT id FROM users";

#[tokio::test]
async fn an_answer_has_the_shape_of_the_contract() {
    let replies = [submit("SELECT id FROM users LIMIT $1", json!([5]))];
    let (agent, _model, mut server) = stack(replies, [Outcome::Rows(r#"[{"id":1},{"id":2}]"#)], &[]).await;
    let (status, mut body) =
        agent.ask(json!({ "question": " last 5 users ", "database": "shop", "max_rows": 7, "explain": true })).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["request_id"].as_str().is_some_and(|id| id.len() == 36), "{body}");
    assert!(body["timings_ms"].as_object().unwrap().values().all(Value::is_f64), "{body}");
    body["request_id"] = "[id]".into();
    for time in body["timings_ms"].as_object_mut().unwrap().values_mut() {
        *time = "[ms]".into();
    }
    for tokens in ["prompt_tokens", "completion_tokens"] {
        assert!(body["usage"][tokens].as_u64().is_some_and(|n| n > 0), "{body}");
        body["usage"][tokens] = "[n]".into();
    }
    insta::assert_json_snapshot!("answer", body);

    let call = server.next().await;
    assert_eq!(call["params"]["arguments"]["params"], json!([5]));
    assert_eq!(call["params"]["arguments"]["maxRows"], 7);
}

#[tokio::test]
async fn digits_cross_both_tiers_untouched() {
    let rows = r#"[{"a":1.10,"b":9223372036854775807,"c":0.1234567890123456789012345678901234567890,"c_2":-0.0}]"#;
    let (agent, _model, _server) = stack([submit(USERS, json!([]))], [Outcome::Rows(rows)], &[]).await;
    let request = agent.client.post(format!("{}/query", agent.url)).json(&json!({ "question": "show all users" }));
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.contains(&format!("\"rows\":{rows},")), "{text}");
}

#[tokio::test]
async fn a_failed_statement_goes_back_to_the_model_with_the_servers_words() {
    let replies = [submit("SELECT 1 / 0 FROM users", json!([])), submit(USERS, json!([]))];
    let outcomes = [Outcome::Failure("EXECUTION_ERROR", "division by zero"), Outcome::Rows(r#"[{"id":1}]"#)];
    let (agent, model, _server) = stack(replies, outcomes, &[]).await;
    let (status, body) = agent.ask_for_users().await;
    assert_eq!((status, &body["attempts"], &body["sql"]), (200, &json!(2), &json!(USERS)), "{body}");
    assert_eq!(body["usage"]["tool_calls"], 2);
    let told = &model.requests()[1];
    assert!(told.contents("tool")[0].contains("EXECUTION_ERROR: division by zero\nDo it otherwise."), "{told:?}");
}

#[tokio::test]
async fn a_name_that_is_not_found_has_the_catalog_read_again() {
    let statement = || submit(USERS, json!([]));
    let outcomes = [Outcome::Rows("[]"), Outcome::Failure("COLUMN_NOT_FOUND", "no"), Outcome::Rows("[]")];
    let (agent, _model, server) = stack([statement(), statement(), statement()], outcomes, &[]).await;
    assert_eq!((agent.ask_for_users().await.0, server.catalog_reads()), (200, 1));
    assert_eq!((agent.ask_for_users().await.0, server.catalog_reads()), (200, 2));
}

#[tokio::test]
async fn what_no_server_could_accept_costs_no_round_trip() {
    let bad = [
        "DELETE FROM users",
        "SELECT 1; SELECT 2",
        "SELECT id FROM user_s",
        "SELECT id FROM users WHERE id = $1",
        "SELEC",
    ];
    for sql in bad {
        let (agent, model, server) =
            stack([submit(sql, json!([])), submit(USERS, json!([]))], [Outcome::Rows("[]")], &[]).await;
        let (status, body) = agent.ask_for_users().await;
        assert_eq!((status, &body["attempts"]), (200, &json!(2)), "{sql}: {body}");
        assert_eq!((model.remaining(), server.remaining()), (0, 0), "{sql}");
    }
}

#[tokio::test]
async fn a_statement_nested_as_deep_as_you_like_ends_nobody() {
    for (open, close) in
        [("(", ")"), ("- ", ""), ("NOT ", ""), ("(SELECT ", ")"), ("ARRAY[", "]"), ("", "+1"), ("", " OR a")]
    {
        let sql = format!("SELECT {}1{} FROM users", open.repeat(32_000), close.repeat(32_000));
        let (agent, _model, server) =
            stack([submit(&sql, json!([])), submit(USERS, json!([]))], [Outcome::Rows("[]")], &[]).await;
        let (status, body) = agent.ask_for_users().await;
        assert_eq!((status, &body["attempts"]), (200, &json!(2)), "{open}…{close}: {body}");
        assert_eq!(server.remaining(), 0, "{open}…{close}");
    }
}

#[tokio::test]
async fn after_the_last_attempt_the_refusal_is_told() {
    let replies = [submit(USERS, json!([])), submit("SELECT name FROM users", json!([])), submit(USERS, json!([]))];
    let outcomes = [Outcome::Failure("INVALID_SQL", "first"), Outcome::Failure("COLUMN_NOT_FOUND", "second")];
    let (agent, model, _server) = stack(replies, outcomes, &["--max-attempts", "2"]).await;
    let (status, body) = agent.ask_for_users().await;
    assert_eq!((status, &body["code"], &body["detail"]), (422, &json!("COLUMN_NOT_FOUND"), &json!("second")), "{body}");
    assert_eq!((&body["attempts"], &body["sql"]), (&json!(2), &json!("SELECT name FROM users")), "{body}");
    assert_eq!(model.remaining(), 1);
}

#[tokio::test]
async fn what_another_statement_can_not_mend_is_told_at_once() {
    for (code, expected) in
        [("CONNECTION_ERROR", 503), ("SERVER_BUSY", 503), ("QUERY_TIMEOUT", 504), ("INTERNAL_ERROR", 500)]
    {
        let (agent, _model, _server) = stack([submit(USERS, json!([]))], [Outcome::Failure(code, "no")], &[]).await;
        let (status, body) = agent.ask_for_users().await;
        assert_eq!((status, &body["code"]), (expected, &json!(code)), "{body}");
    }
}

#[tokio::test]
async fn a_model_that_is_down_or_of_no_use_is_told_and_survived() {
    let check = async |replies: Vec<Reply>, status: u16, code: &str| {
        let (agent, model, _server) = stack(replies, [Outcome::Rows("[]")], &[]).await;
        let (found, body) = agent.ask_for_users().await;
        assert_eq!((found, &body["code"]), (status, &json!(code)), "{body}");
        model.push(submit(USERS, json!([])));
        assert_eq!(agent.ask_for_users().await.0, 200, "{code}: not up after it");
    };
    check(vec![Reply::text("SELECT id FROM users"), Reply::text("Sorry?")], 502, "LLM_UNUSABLE_ANSWER").await;
    check(vec![Reply::garbage("<html>"), Reply::garbage("")], 502, "LLM_UNUSABLE_ANSWER").await;
    check(vec![Reply::status(500); 3], 503, "LLM_UNAVAILABLE").await;
    check(vec![Reply::tool_call("cannot_answer", json!({ "reason": "No weather here." }))], 422, "CANNOT_ANSWER").await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_the_statement() {
    let (agent, _model, mut server) = stack([submit(USERS, json!([]))], [Outcome::Silence], &[]).await;
    let request = agent.client.post(format!("{}/query", agent.url)).json(&json!({ "question": "show all users" }));
    let call = tokio::spawn(request.send());
    let id = server.next().await["id"].clone();
    call.abort();
    let cancelled = server.next().await;
    assert_eq!((&cancelled["method"], &cancelled["params"]["requestId"]), (&json!("notifications/cancelled"), &id));
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_ended() {
    let (agent, _model, mut server) =
        stack([submit(USERS, json!([]))], [Outcome::Silence], &["--request-timeout-ms", "1000"]).await;
    let (status, body) = agent.ask_for_users().await;
    assert_eq!(status, 504, "{body}");
    let id = server.next().await["id"].clone();
    assert_eq!(server.next().await["params"]["requestId"], id, "the statement is cancelled");
}

#[tokio::test]
async fn a_stop_lets_questions_under_way_finish() {
    let slow = submit(USERS, json!([])).after(Duration::from_millis(500));
    let (agent, model, _server) = stack([slow], [Outcome::Rows(r#"[{"id":1}]"#)], &[]).await;
    let request = agent.client.post(format!("{}/query", agent.url)).json(&json!({ "question": "show all users" }));
    let under_way = tokio::spawn(answer(request));
    let asked = async {
        while model.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("the model is asked");
    agent.stop();
    assert_eq!(under_way.await.unwrap().0, 200);
    let (fresh, url) = (reqwest::Client::builder().no_proxy().build().unwrap(), format!("{}/health", agent.url));
    agent.stopped().await;
    assert!(fresh.get(url).send().await.is_err(), "it still listens");
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_grace() {
    let (agent, _model, mut server) =
        stack([submit(USERS, json!([]))], [Outcome::Silence], &["--shutdown-grace-ms", "100"]).await;
    let request = agent.client.post(format!("{}/query", agent.url)).json(&json!({ "question": "show all users" }));
    let under_way = tokio::spawn(request.send());
    let id = server.next().await["id"].clone();
    agent.stop();
    agent.stopped().await;
    assert!(under_way.await.unwrap().is_err(), "the connection is cut");
    assert_eq!(server.next().await["params"]["requestId"], id, "the statement is cancelled");
}
