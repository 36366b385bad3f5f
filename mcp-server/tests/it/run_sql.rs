//! `run_sql`: rows, parameters, caps, and errors that say what would work.

use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::{shop_server, shop_server_with};

#[tokio::test]
async fn digits_arrive_as_postgresql_wrote_them() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let query = "SELECT 1.10 AS a, 9223372036854775807 AS b, 12345678901234567890.12345678901234567890::numeric(60,20) AS c, \
                 '{\"x\":1.10,\"x\":2}'::json AS d, 0.1::float8 AS e, 1e15::float8 AS f";
    let rows = client.rows(query, json!([])).await;
    let expected = "[{\"a\":1.10,\"b\":9223372036854775807,\"c\":12345678901234567890.12345678901234567890,\
                    \"d\":{\"x\":1.10,\"x\":2},\"e\":0.1,\"f\":1e+15}]";
    assert_eq!(rows.rows.get(), expected);
}

#[tokio::test]
async fn columns_that_share_a_name_both_survive() {
    let server = shop_server().await;
    let rows = Client::open(&server).await.rows("SELECT 1 AS id, 2 AS id, 3 AS id_2", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"id":1,"id_3":2,"id_2":3}]"#);
    assert_eq!(rows.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id", "id_3", "id_2"]);
}

#[tokio::test]
async fn parameters_are_bound_by_the_type_that_postgresql_infers() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let cases = [
        ("SELECT id FROM users WHERE id = $1", json!([5]), r#"[{"id":5}]"#),
        ("SELECT id FROM users WHERE id = $1", json!(["5"]), r#"[{"id":5}]"#),
        ("SELECT $1::numeric AS n", json!(["12345678901234567890.10"]), r#"[{"n":12345678901234567890.10}]"#),
        (
            "SELECT $1::date AS d, $2::timestamp AS t",
            json!(["2024-02-29", "2024-02-29 10:00"]),
            r#"[{"d":"2024-02-29","t":"2024-02-29T10:00:00"}]"#,
        ),
        ("SELECT $1::bool AS b, $2::text AS t", json!([true, null]), r#"[{"b":true,"t":null}]"#),
        ("SELECT count(*) AS n FROM users WHERE id = ANY ($1)", json!([[1, 2, 3]]), r#"[{"n":3}]"#),
        ("SELECT $1::jsonb AS j", json!([{ "a": [1, null] }]), r#"[{"j":{"a":[1,null]}}]"#),
        ("SELECT count(*) > 0 AS some FROM orders WHERE status = $1", json!(["shipped"]), r#"[{"some":true}]"#),
        ("SELECT id FROM users ORDER BY id LIMIT $1 OFFSET $2", json!([1, 1]), r#"[{"id":2}]"#),
    ];
    for (query, params, rows) in cases {
        assert_eq!(client.rows(query, params).await.rows.get(), rows, "{query}");
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let error = client.error(json!({ "query": "SELECT id FROM users WHERE id = $1", "params": ["five"] })).await;
    assert_eq!(error["code"], "PARAMETER_ERROR");
    assert_eq!((&error["context"]["parameter"], &error["context"]["expected_type"]), (&json!(1), &json!("int4")));
    assert!(!error.to_string().contains("five"), "the value itself stays out of the message: {error}");

    for params in [json!([]), json!([1, 2])] {
        let error = client.error(json!({ "query": "SELECT id FROM users WHERE id = $1", "params": params })).await;
        assert_eq!(error["code"], "PARAMETER_ERROR", "{params}");
    }
    let error = client.error(json!({ "query": "SELECT $1::inet AS i", "params": ["10.0.0.1"] })).await;
    assert!(error["suggestion"].as_str().unwrap().contains("$1::text::inet"), "{error}");
    assert_eq!(
        client.rows("SELECT $1::text::inet AS i", json!(["10.0.0.1"])).await.rows.get(),
        r#"[{"i":"10.0.0.1"}]"#
    );
}

#[tokio::test]
async fn row_caps_cut_and_say_so() {
    let server = shop_server_with(&[("MAX_ROWS", "50")]).await;
    let mut client = Client::open(&server).await;
    let cut = async |client: &mut Client, max_rows: Value| {
        let (content, _) = client.run(json!({ "query": "SELECT id FROM users", "maxRows": max_rows })).await;
        let output: Value = serde_json::from_str(&content).unwrap();
        (output["rowCount"].as_u64().unwrap(), output["truncated"].as_bool().unwrap())
    };
    assert_eq!(cut(&mut client, json!(3)).await, (3, true));
    assert_eq!(cut(&mut client, json!(1000)).await, (50, true));
    assert!(!client.rows("SELECT id FROM users WHERE id <= 50", json!([])).await.truncated);
    assert_eq!(client.error(json!({ "query": "SELECT 1", "maxRows": 0 })).await["code"], "PARAMETER_ERROR");
}

#[tokio::test]
async fn byte_caps_cut_and_a_row_that_is_too_big_alone_is_an_error() {
    let server = shop_server_with(&[("MAX_PAGE_BYTES", "4096"), ("MAX_RESULT_BYTES", "16384")]).await;
    let mut client = Client::open(&server).await;
    let params = json!({ "name": "run_sql", "arguments": { "query": "SELECT id, email, name FROM users" } });
    let text = client.request_text("tools/call", params.clone()).await;
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["result"]["structuredContent"]["truncated"], true);

    let mut more = params;
    more["_meta"] = json!({ "pgmcp/structuredOnly": true, "pgmcp/maxPageBytes": 1 << 30 });
    let text = client.request_text("tools/call", more).await;
    assert!((4096..=16384).contains(&text.len()), "{} bytes", text.len());

    let error = client.error(json!({ "query": "SELECT repeat('x', 20000) AS long" })).await;
    assert_eq!(error["code"], "RESULT_TOO_LARGE");
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}

#[tokio::test]
async fn a_capped_result_leaves_its_connection_in_order() {
    let server = shop_server_with(&[("POOL_SIZE", "1")]).await;
    let mut client = Client::open(&server).await;
    for _ in 0..5 {
        let (content, is_error) =
            client.run(json!({ "query": "SELECT a.id FROM order_items a, order_items b", "maxRows": 2 })).await;
        assert!(!is_error, "{content}");
        assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    }
}

#[tokio::test]
async fn statements_that_do_more_than_read_are_refused() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let cases = [
        ("INSERT INTO users (email) VALUES ('x')", "WRITE_OPERATION_DENIED"),
        ("DROP TABLE users", "WRITE_OPERATION_DENIED"),
        ("WITH gone AS (DELETE FROM users RETURNING id) SELECT * FROM gone", "WRITE_OPERATION_DENIED"),
        ("SELECT * INTO evil FROM users", "WRITE_OPERATION_DENIED"),
        ("SELECT * FROM users FOR UPDATE", "WRITE_OPERATION_DENIED"),
        ("SELECT 1; DROP TABLE users", "MULTIPLE_STATEMENTS"),
        ("SELECT pg_sleep(10)", "FUNCTION_DENIED"),
        ("SELECT set_config('search_path', 'x', false)", "FUNCTION_DENIED"),
        ("SELEC 1", "INVALID_SQL"),
        ("", "INVALID_SQL"),
    ];
    for (query, code) in cases {
        let error = client.error(json!({ "query": query })).await;
        assert_eq!(error["code"], code, "{query}: {error}");
        assert!(error["suggestion"].is_string(), "{query} gets a way out: {error}");
    }
    assert!(client.rows("SELECT count(*) AS n FROM users", json!([])).await.rows.get().contains("600"));
}

#[tokio::test]
async fn unknown_names_are_answered_with_the_closest() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let error = client.error(json!({ "query": "SELECT * FROM user" .replace("user", "userss") })).await;
    assert_eq!(error["code"], "TABLE_NOT_FOUND");
    assert_eq!(error["context"]["similar_tables"][0], "users");
    let error = client.error(json!({ "query": "SELECT\n  emial FROM users" })).await;
    assert_eq!(error["code"], "COLUMN_NOT_FOUND");
    assert_eq!(error["context"]["similar_columns"][0], "email");
    assert_eq!(error["context"]["position"], json!({ "line": 2, "column": 3 }));
    let error = client.error(json!({ "query": "SELECT lenght(email) FROM users" })).await;
    assert_eq!(error["code"], "FUNCTION_NOT_FOUND");
    let error = client.error(json!({ "query": "SELECT 1", "database": "shopp" })).await;
    assert_eq!(error["code"], "DATABASE_NOT_FOUND");
}

#[tokio::test]
async fn postgresqls_own_errors_come_with_their_code() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let error = client.error(json!({ "query": "SELECT 1 / 0" })).await;
    assert_eq!((&error["code"], &error["context"]["sqlstate"]), (&json!("EXECUTION_ERROR"), &json!("22012")));
    let error = client.error(json!({ "query": "SELECT id, count(*) FROM users" })).await;
    assert_eq!((&error["code"], &error["context"]["sqlstate"]), (&json!("INVALID_SQL"), &json!("42803")));
    assert_eq!(error["context"]["position"], json!({ "line": 1, "column": 8 }));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped() {
    let server = shop_server_with(&[("POOL_SIZE", "1")]).await;
    let mut client = Client::open(&server).await;
    let slow = "SELECT count(*) FROM order_items a, order_items b, order_items c";
    let error = client.error(json!({ "query": slow, "timeoutMs": 200 })).await;
    assert_eq!(error["code"], "QUERY_TIMEOUT");
    // The only connection is in order again.
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
    let error = client.error(json!({ "query": "SELECT 1", "timeoutMs": 0 })).await;
    assert_eq!(error["code"], "PARAMETER_ERROR");
}

#[tokio::test]
async fn a_call_gets_no_more_time_than_the_server_allows() {
    let server = shop_server_with(&[("STATEMENT_TIMEOUT_MS", "1000"), ("MAX_STATEMENT_TIMEOUT_MS", "1000")]).await;
    let slow = "SELECT count(*) FROM order_items a, order_items b, order_items c";
    let error = Client::open(&server).await.error(json!({ "query": slow, "timeoutMs": 999_999_999 })).await;
    assert_eq!(error["code"], "QUERY_TIMEOUT");
}

#[tokio::test]
async fn calls_that_find_no_slot_and_no_connection_are_told_to_come_back() {
    for scarce in ["MAX_CONCURRENT_QUERIES", "POOL_SIZE"] {
        let server = shop_server_with(&[(scarce, "1"), ("POOL_TIMEOUT_MS", "300")]).await;
        let (mut one, mut other) = (Client::open(&server).await, Client::open(&server).await);
        // The first takes the only place; answered or not, it is over after three seconds.
        let slow =
            json!({ "query": "SELECT count(*) FROM order_items a, order_items b, order_items c", "timeoutMs": 3000 });
        let id = one.start("tools/call", json!({ "name": "run_sql", "arguments": slow })).await;
        until("the only place is taken", async || {
            Client::open(&server).await.run(json!({ "query": "SELECT 1" })).await.1
        })
        .await;
        let error = other.error(json!({ "query": "SELECT 1" })).await;
        assert_eq!(
            (&error["code"], &error["context"]["retry_after_ms"]),
            (&json!("SERVER_BUSY"), &json!(300)),
            "{scarce}"
        );
        assert_eq!(one.receive().await["id"], id);
        assert_eq!(other.rows("SELECT 1 AS one", json!([])).await.row_count, 1, "{scarce}");
    }
}

#[tokio::test]
async fn unknown_and_ill_typed_arguments_are_named() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let error = client.error(json!({ "query": "SELECT 1", "maxrows": 1 })).await;
    assert_eq!(error["code"], "PARAMETER_ERROR");
    assert!(error["suggestion"].as_str().unwrap().contains("maxRows"), "{error}");
    let error = client.error(json!({ "query": "SELECT 1", "maxRows": "many" })).await;
    assert!(error["message"].as_str().unwrap().contains("maxRows"), "{error}");
    let error = client.error(json!({ "params": [] })).await;
    assert!(error["message"].as_str().unwrap().contains("query"), "{error}");
}

#[tokio::test]
async fn the_example_in_its_own_description_runs() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let description = client.tool("run_sql").await["description"].as_str().unwrap().to_owned();
    let (_, example) = description.split_once("Example: ").unwrap();
    let (content, is_error) = client.run(serde_json::from_str(example).unwrap()).await;
    assert!(!is_error, "{content}");
}

#[tokio::test]
async fn a_statement_nested_as_deep_as_you_like_is_refused_and_others_are_answered() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    for (open, close) in
        [("(", ")"), ("- ", ""), ("NOT ", ""), ("(SELECT ", ")"), ("ARRAY[", "]"), ("", "+1"), ("", " OR a")]
    {
        let query = format!("SELECT {}1{}", open.repeat(32_000), close.repeat(32_000));
        let error = client.error(json!({ "query": query })).await;
        assert_eq!(error["code"], "QUERY_TOO_COMPLEX", "{open}…{close}: {error}");
        assert_eq!(client.rows("SELECT 1", json!([])).await.row_count, 1, "after {open}…{close}");
    }
}
