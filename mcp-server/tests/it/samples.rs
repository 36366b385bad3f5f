//! A few rows of a table: chosen as asked for, judged as any statement is.

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{database_of, shop_server};

const TABLES: &str = r#"
    CREATE TABLE people (id integer PRIMARY KEY, name text, ssn text, "Odd ""name" integer);
    INSERT INTO people SELECT n, 'p' || n, 's' || n, n FROM generate_series(1, 30) AS n;
    CREATE TABLE large AS SELECT n AS id FROM generate_series(1, 20000) AS n;
    CREATE VIEW grown AS SELECT id, name FROM people WHERE id > 10;
    CREATE TABLE hidden (id integer);
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
    ANALYZE;"#;

const POLICY: &str = "[default]\ndeny_tables = [\"public.hidden\"]\nmask_columns = [\"public.people.ssn\"]\n";

async fn sampled(arguments: &[Value]) -> Vec<Value> {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, TABLES).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&name)).with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    let mut answers = Vec::new();
    for arguments in arguments {
        answers.push(client.try_call("get_sample_rows", arguments.clone()).await.0);
    }
    answers
}

#[tokio::test]
async fn rows_come_by_primary_key_with_their_count() {
    let answers = sampled(&[
        json!({ "table_name": "people", "limit": 2 }),
        json!({ "table_name": "people", "columns": ["Odd \"name", "id"], "where_clause": "id > 3 -- the others", "limit": 1 }),
        json!({ "table_name": "grown", "limit": 1 }),
        json!({ "table_name": "large", "limit": 3 }),
    ])
    .await;
    let [people, some, view, large] = answers.as_slice() else { panic!() };
    assert_eq!(people["rows"][1], json!({ "id": 2, "name": "p2", "ssn": "***", "Odd \"name": 2 }), "{people}");
    assert_eq!(people["columns"][2], json!({ "name": "ssn", "data_type": "text", "masked": true }));
    assert_eq!((&people["row_count"], &people["total_table_rows"]), (&json!(2), &json!(30)));
    assert!(people["note"].as_str().unwrap().contains("primary key (id); total_table_rows is exact"), "{people}");
    assert_eq!(some["rows"], json!([{ "Odd \"name": 4, "id": 4 }]), "{some}");
    assert_eq!((&view["total_table_rows"], view["rows"].as_array().unwrap().len()), (&json!(20), 1), "{view}");
    assert!(view["note"].as_str().unwrap().contains("no particular order"), "{view}");
    assert_eq!(large["total_table_rows"], 20000);
    assert!(large["note"].as_str().unwrap().contains("the planner's estimate"), "{large}");
}

#[tokio::test]
async fn random_rows_are_drawn_from_a_part_of_a_large_table() {
    let answers = sampled(&[
        json!({ "table_name": "people", "limit": 30, "randomize": true }),
        json!({ "table_name": "large", "limit": 5, "randomize": true }),
        json!({ "table_name": "grown", "limit": 5, "randomize": true }),
        json!({ "table_name": "large", "limit": 5, "randomize": true, "where_clause": "id = 7" }),
    ])
    .await;
    let ids: Vec<i64> = answers[0]["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert!(ids.len() == 30 && !ids.is_sorted(), "{ids:?}");
    assert!(answers[1]["note"].as_str().unwrap().starts_with("random rows of a random part"), "{}", answers[1]);
    assert!(answers[2]["note"].as_str().unwrap().starts_with("random rows;"), "{}", answers[2]);
    assert_eq!(answers[3]["row_count"], 1, "a condition that few rows meet: {}", answers[3]);
    assert!(answers[3]["note"].as_str().unwrap().starts_with("random rows;"), "{}", answers[3]);
}

#[tokio::test]
async fn what_a_statement_may_not_do_a_sample_may_not_either() {
    let condition = |text: &str| json!({ "table_name": "people", "where_clause": text });
    let cases = [
        (json!({ "table_name": "hidden" }), "TABLE_NOT_FOUND"),
        (json!({ "table_name": "peple" }), "TABLE_NOT_FOUND"),
        (json!({ "table_name": "people", "columns": ["nam"] }), "COLUMN_NOT_FOUND"),
        (condition("id = 1) OR (1 = 1"), "INVALID_SQL"),
        (condition("id = 1; DROP TABLE people"), "MULTIPLE_STATEMENTS"),
        (condition("ssn = 's1'"), "ACCESS_DENIED"),
        (condition("EXISTS (SELECT 1 FROM hidden)"), "TABLE_NOT_FOUND"),
        (condition("pg_sleep(1) IS NULL"), "FUNCTION_DENIED"),
        (json!({ "table_name": "people", "limit": 101 }), "PARAMETER_ERROR"),
    ];
    let arguments: Vec<Value> = cases.iter().map(|(arguments, _)| arguments.clone()).collect();
    for (answer, (arguments, code)) in sampled(&arguments).await.iter().zip(cases) {
        assert_eq!(answer["error"]["code"], code, "{arguments}: {answer}");
        assert!(answer["error"]["suggestion"].is_string(), "{arguments}: {answer}");
        if code == "COLUMN_NOT_FOUND" {
            assert_eq!(answer["error"]["context"]["similar_columns"][0], "name", "{answer}");
        }
    }
}

#[tokio::test]
async fn samples_are_to_be_had_of_every_table_of_the_shop() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let tables = client.call("list_tables", json!({})).await;
    for table in tables["tables"].as_array().unwrap() {
        let sample = client.call("get_sample_rows", json!({ "table_name": table["name"], "limit": 1 })).await;
        assert_eq!(sample["row_count"], 1, "{sample}");
    }
}
