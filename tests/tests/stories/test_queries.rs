//! fixtures/TEST_QUERIES.md: every statement runs as the reader, and the agent answers every question rightly or not at
//! all. A wrong answer is worse than none.

use std::collections::BTreeMap;

use harness::{SHOP, Stack, repository_file, shared_postgres};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::post;

struct Case {
    name: String,
    question: String,
    sql: String,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(repository_file("fixtures/TEST_QUERIES.md")).expect("the file can be read");
    let mut lines = text.lines();
    let mut cases = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("* ") else { continue };
        let mut field = |label: &str| {
            let line = lines.next().and_then(|line| line.trim().strip_prefix(label));
            line.unwrap_or_else(|| panic!("case {name} has no {label:?} where it belongs")).to_owned()
        };
        let (question, sql) = (field("Question: "), field("Expected SQL: "));
        cases.push(Case { name: name.to_owned(), question, sql });
    }
    assert!(cases.len() >= 20, "only {} cases were read", cases.len());
    cases
}

/// Rows of a statement, each by column name.
async fn rows(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<BTreeMap<String, Value>>> {
    let sql = format!("SELECT coalesce(json_agg(q), '[]')::text FROM ({sql}) AS q");
    let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(serde_json::from_str(&rows).expect("PostgreSQL writes JSON"))
}

#[tokio::test]
async fn every_expected_statement_runs_as_the_reader() {
    let mut reader = PgConnection::connect(&shared_postgres().await.reader_url(SHOP)).await.unwrap();
    for case in cases() {
        let rows = rows(&mut reader, &case.sql).await.unwrap_or_else(|error| panic!("case {}: {error}", case.name));
        assert!(!rows.is_empty(), "case {} has no rows, so it tells right from wrong badly", case.name);
    }
}

#[tokio::test]
async fn the_agent_answers_rightly_or_not_at_all() {
    let postgres = shared_postgres().await;
    let stack = Stack::start(postgres).await.unwrap();
    let mut reader = PgConnection::connect(&postgres.reader_url(SHOP)).await.unwrap();
    let (mut right, mut abstained, mut wrong) = (0, Vec::new(), Vec::new());
    for case in cases() {
        // More rows than any of the answers has, so that none is cut.
        let body = json!({"question": case.question, "max_rows": 5000});
        let (status, answer) = post(&stack.agent, &body.to_string()).await;
        match status {
            200 => {
                let expected = rows(&mut reader, &case.sql).await.unwrap();
                let got: Vec<BTreeMap<String, Value>> = serde_json::from_value(answer["rows"].clone()).unwrap();
                if answers(&expected, &got) {
                    right += 1;
                } else {
                    wrong.push(format!("{}: {}", case.name, answer["sql"]));
                }
            }
            422 => abstained.push(case.name),
            _ => wrong.push(format!("{}: {status} {answer}", case.name)),
        }
    }
    println!("{right} right, abstained from {abstained:?}");
    assert!(wrong.is_empty(), "wrong answers:\n{}", wrong.join("\n"));
    assert!(right >= 20, "only {right} right; abstained from {abstained:?}");
}

/// Whether the rows that came hold what was expected, in any order of rows and under any column names: each of them the
/// values of a row of its own. One side may show more columns than the other, as `SELECT *` does.
fn answers(expected: &[BTreeMap<String, Value>], got: &[BTreeMap<String, Value>]) -> bool {
    let mut open: Vec<Vec<&Value>> = expected.iter().map(|row| row.values().collect()).collect();
    let all_found = got.iter().all(|row| {
        let values: Vec<&Value> = row.values().collect();
        let found = open.iter().position(|other| {
            let (few, many) = if values.len() <= other.len() { (&values, other) } else { (other, &values) };
            few.iter().all(|value| many.contains(value))
        });
        found.map(|position| open.swap_remove(position)).is_some()
    });
    all_found && open.is_empty()
}

#[test]
fn tells_right_rows_from_wrong_ones() {
    let rows = |text: &str| -> Vec<BTreeMap<String, Value>> { serde_json::from_str(text).unwrap() };
    let check = |expected: &str, got: &str, right: bool| {
        assert_eq!(answers(&rows(expected), &rows(got)), right, "{expected} {got}");
    };
    check(r#"[{"count": 3}]"#, r#"[{"n": 3}]"#, true);
    check(r#"[{"count": 3}]"#, r#"[{"n": 4}]"#, false);
    check(r#"[{"a": 1}, {"a": 2}]"#, r#"[{"a": 2}, {"a": 1}]"#, true);
    check(r#"[{"a": 1}, {"a": 2}]"#, r#"[{"a": 1}]"#, false);
    check(r#"[{"a": 1}]"#, r#"[{"a": 1}, {"a": 1}]"#, false);
    check(r#"[{"id": 1, "name": "x", "city": "y"}]"#, r#"[{"id": 1, "name": "x"}]"#, true);
}
