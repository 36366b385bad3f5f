//! A question goes in, rows come out: the main job, offline.

use harness::{SHOP, Stack, shared_postgres};
use serde_json::{Value, json};

use crate::{ask, post};

/// Rows of a statement as PostgreSQL itself writes them.
async fn expected_rows(sql: &str) -> Value {
    let mut superuser = shared_postgres().await.superuser(SHOP).await.expect("the superuser may connect");
    let sql = format!("SELECT coalesce(json_agg(q), '[]')::text FROM ({sql}) AS q");
    let rows: String =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut superuser).await.expect("the statement runs");
    serde_json::from_str(&rows).expect("PostgreSQL writes JSON")
}

#[tokio::test]
async fn shows_the_last_five_users() {
    let stack = Stack::start(shared_postgres().await).await.unwrap();
    let (status, answer) = ask(&stack.agent, "show last 5 users").await;
    assert_eq!(status, 200, "{answer}");
    let newest = expected_rows("SELECT id FROM users ORDER BY created_at DESC LIMIT 5").await;
    let ids: Vec<Value> = answer["rows"].as_array().unwrap().iter().map(|row| json!({"id": row["id"]})).collect();
    assert_eq!(Value::Array(ids), newest, "{answer}");
    assert_eq!(answer["rowCount"], 5);
    assert_eq!(answer["truncated"], false);
    assert_eq!(answer["translator"], "offline");
    assert_eq!(answer["confidence"], Value::Null, "no judge, no confidence");
}

#[tokio::test]
async fn rows_hold_what_the_columns_say() {
    let stack = Stack::start(shared_postgres().await).await.unwrap();
    let (status, answer) = ask(&stack.agent, "show the first 3 orders").await;
    assert_eq!(status, 200, "{answer}");
    let columns: Vec<&str> =
        answer["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    let expected =
        expected_rows(&format!("SELECT {} FROM orders ORDER BY created_at LIMIT 3", columns.join(", "))).await;
    assert_eq!(answer["rows"], expected);
}

#[tokio::test]
async fn max_rows_cuts_and_says_so() {
    let stack = Stack::start(shared_postgres().await).await.unwrap();
    let (status, answer) = post(&stack.agent, &json!({"question": "list all users", "max_rows": 7}).to_string()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["rowCount"], &answer["truncated"]), (&json!(7), &json!(true)));
}

#[tokio::test]
async fn refuses_bad_requests_in_words_and_stays_up() {
    let stack = Stack::start(shared_postgres().await).await.unwrap();
    let check = async |body: &str, status: u16, mentioned: &str| {
        let (got, problem) = post(&stack.agent, body).await;
        assert_eq!(got, status, "{body}: {problem}");
        assert!(problem.to_string().contains(mentioned), "{body}: {problem} doesn't mention {mentioned}");
        assert_eq!(problem["status"], status, "{body}: {problem}");
    };
    check("{", 400, "JSON").await;
    check(r#"{"question": ""}"#, 400, "question").await;
    check(r#"{"questoin": "show last 5 users"}"#, 400, "questoin").await;
    check(r#"{"question": "show last 5 users", "verify": true}"#, 400, "verify").await;
    check(r#"{"question": "show last 5 users", "max_rows": 0}"#, 400, "max_rows").await;
    check(r#"{"question": "show last 5 users", "database": "shpo"}"#, 404, SHOP).await;
    check(r#"{"question": "how many penguins swim in the pond"}"#, 422, "penguins").await;
    let long = json!({"question": "show users ".repeat(500)}).to_string();
    check(&long, 413, "question").await;

    let (status, answer) = ask(&stack.agent, "how many users").await;
    assert_eq!(status, 200, "{answer}");
}
