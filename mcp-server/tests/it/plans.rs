//! How a statement would run: explain_query, its warnings, and what policy says to it.

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{database_of, shop_server};

const LARGE: &str = "
    CREATE TABLE events AS SELECT n AS id, n % 1000 AS kind, 'e' || n AS name FROM generate_series(1, 50000) AS n;
    CREATE INDEX ON events (id);
    CREATE TABLE secrets AS SELECT n AS id, 's' || n AS word FROM generate_series(1, 10) AS n;
    CREATE VIEW words AS SELECT word FROM secrets;
    CREATE FUNCTION said() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT word FROM words';
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
    ANALYZE;";

async fn server(policy: &str) -> (McpServer, tempfile::TempDir) {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, LARGE).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, policy).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&name)).with_env("POLICY_FILE", file.to_str().unwrap());
    (McpServer::start(options).await.unwrap(), folder)
}

fn warned(answer: &Value, part: &str) -> bool {
    answer["warnings"].as_array().is_some_and(|all| all.iter().any(|one| one.as_str().unwrap().contains(part)))
}

#[tokio::test]
async fn a_plan_is_told_in_each_form() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let explain = |format: &str| json!({ "sql": "SELECT * FROM users WHERE id = $1", "params": [1], "format": format });
    let text = client.use_tool("explain_query", explain("text")).await;
    assert!(text["plan"].as_str().unwrap().contains(" on users  (cost="), "{text}");
    assert!(text["estimated_cost"].is_number() && text["estimated_rows"] == 1.0, "{text}");
    assert_eq!((&text["actual_time_ms"], &text["format"]), (&Value::Null, &json!("text")));
    let json = client.use_tool("explain_query", explain("json")).await;
    assert_eq!(json["plan"][0]["Plan"]["Relation Name"], "users", "{json}");
    assert!(json["plan"][0]["Plan"]["Output"].is_null(), "{json}");
    let yaml = client.use_tool("explain_query", explain("yaml")).await;
    let plan: Value = serde_saphyr::from_str(yaml["plan"].as_str().unwrap()).unwrap();
    assert_eq!(plan, json["plan"]);
    let verbose = json!({ "sql": "SELECT email FROM users", "verbose": true });
    let verbose = client.use_tool("explain_query", verbose).await;
    assert!(verbose["plan"].as_str().unwrap().contains("Output: email"), "{verbose}");
}

#[tokio::test]
async fn a_plan_that_nests_deep_is_told_under_a_limit_and_in_each_form() {
    let (server, _folder) = server("[default]\nmax_cost = 100000\n").await;
    let mut client = Client::open(&server).await;
    for depth in [70, 200] {
        let (begin, end) = ("SELECT * FROM (".repeat(depth), " LIMIT 1) q".repeat(depth));
        let sql = format!("{begin}SELECT id FROM events{end}");
        let answer = client.use_tool("execute_query", json!({ "sql": sql })).await;
        assert_eq!(answer["row_count"], 1, "{answer}");
        let text = client.use_tool("explain_query", json!({ "sql": sql })).await;
        assert_eq!(text["plan"].as_str().unwrap().matches("Limit  (cost=").count(), depth, "{text}");
        let yaml = client.use_tool("explain_query", json!({ "sql": sql, "format": "yaml" })).await;
        assert_eq!(yaml["plan"].as_str().unwrap().matches("Node Type: Limit").count(), depth, "{yaml}");
        // Deeper than this client's parser goes.
        let arguments = json!({ "sql": sql, "format": "json" });
        let params =
            json!({ "name": "explain_query", "arguments": arguments, "_meta": { "pgmcp/structuredOnly": true } });
        client.start("tools/call", params).await;
        let json = client.receive_text().await;
        assert_eq!(json.matches("\"Node Type\":\"Limit\"").count(), depth, "{json}");
    }
    let answer = client.use_tool("execute_query", json!({ "sql": "SELECT 1 AS one" })).await;
    assert_eq!(answer["row_count"], 1, "{answer}");
}

#[tokio::test]
async fn slow_plans_are_warned_of() {
    let (server, _folder) = server("").await;
    let mut client = Client::open(&server).await;
    let answer = client.use_tool("explain_query", json!({ "sql": "SELECT name FROM events WHERE kind = 7" })).await;
    assert!(warned(&answer, "CREATE INDEX ON public.events (kind)"), "{answer}");
    let answer = client.use_tool("explain_query", json!({ "sql": "SELECT name FROM events WHERE id = 7" })).await;
    assert!(answer["warnings"].is_null(), "{answer}");
    let answer = client.use_tool("explain_query", json!({ "sql": "SELECT 1 FROM events, secrets" })).await;
    assert!(warned(&answer, "every row of one side is paired"), "{answer}");
}

#[tokio::test]
async fn a_statement_is_run_for_its_plan_only_where_policy_allows_it() {
    let (server_without, _one) = server("").await;
    let sql = json!({ "sql": "SELECT count(*) FROM events GROUP BY name ORDER BY 1, name", "analyze": true, "buffers": true });
    let error = Client::open(&server_without).await.use_tool("explain_query", sql.clone()).await;
    assert_eq!(error["error"]["code"], "ACCESS_DENIED");
    assert!(error["error"]["suggestion"].as_str().unwrap().contains("allow_explain_analyze"), "{error}");
    let (server, _two) = server("[default]\nallow_explain_analyze = true\n").await;
    let mut client = Client::open(&server).await;
    let answer = client.use_tool("explain_query", sql).await;
    assert!(answer["actual_time_ms"].is_number(), "{answer}");
    assert!(answer["plan"].as_str().unwrap().contains("(actual time="), "{answer}");
    let error = client.use_tool("explain_query", json!({ "sql": "SELECT 1", "buffers": true })).await;
    assert_eq!(error["error"]["code"], "PARAMETER_ERROR");
    let error = client.use_tool("explain_query", json!({ "sql": "DELETE FROM events", "analyze": true })).await;
    assert_eq!(error["error"]["code"], "WRITE_OPERATION_DENIED");
    let error = client.use_tool("explain_query", json!({ "sql": "EXPLAIN SELECT 1" })).await;
    assert!(error["error"]["code"].is_string(), "{error}");
}

#[tokio::test]
async fn a_plan_does_not_show_what_stands_behind_a_view() {
    let (server, _folder) =
        server("[default]\ndeny_tables = [\"public.secrets\"]\nallow_tables = [\"public.words\", \"public.events\"]\n")
            .await;
    let mut client = Client::open(&server).await;
    let answer = client.use_tool("explain_query", json!({ "sql": "SELECT word FROM words" })).await;
    assert_eq!(answer["error"]["code"], "ACCESS_DENIED", "{answer}");
    assert!(!answer.to_string().contains("secrets"), "{answer}");
    let answer =
        client.use_tool("explain_query", json!({ "sql": "SELECT word FROM words WHERE false", "verbose": true })).await;
    assert_eq!(answer["error"]["code"], "ACCESS_DENIED", "{answer}");
    let answer = client.use_tool("explain_query", json!({ "sql": "SELECT * FROM said() AS word" })).await;
    assert_eq!(answer["error"]["code"], "ACCESS_DENIED", "{answer}");
    assert!(!answer.to_string().contains("secrets"), "{answer}");
    let answer = client.use_tool("explain_query", json!({ "sql": "SELECT name FROM events" })).await;
    assert!(answer["plan"].is_string(), "{answer}");
}

#[tokio::test]
async fn a_plan_does_not_show_values_that_are_masked_or_other_peoples_rows() {
    let sql = "
        CREATE VIEW settings AS SELECT 1 AS id, 'sk-live-123'::text AS api_key;
        CREATE TABLE cards (id integer, pin text);
        INSERT INTO cards VALUES (3, 'PIN-4711');
        CREATE FUNCTION pin_of(integer) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pin FROM cards WHERE id = $1';
        CREATE VIEW third AS SELECT pin_of(3) AS pin;
        CREATE TABLE rents (id integer, tenant text);
        ALTER TABLE rents ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON rents USING (tenant <> 'somebody else');
        CREATE VIEW of_rents AS SELECT id FROM rents;
        CREATE FUNCTION pins() RETURNS SETOF cards LANGUAGE sql STABLE AS 'SELECT * FROM cards WHERE pin <> ''PIN-1''';
        CREATE FUNCTION my_rents() RETURNS SETOF rents LANGUAGE sql STABLE AS 'SELECT * FROM rents';
        CREATE FUNCTION rent_ids() RETURNS SETOF integer LANGUAGE sql STABLE AS 'SELECT id FROM my_rents()';
        CREATE FUNCTION of_ids() RETURNS SETOF integer LANGUAGE sql STABLE AS 'SELECT id FROM of_rents';
        CREATE VIEW by_function AS SELECT * FROM rent_ids() AS f(id);
        CREATE TABLE opened (id integer);
        CREATE FUNCTION open_ids() RETURNS SETOF integer LANGUAGE sql STABLE AS 'SELECT id FROM opened';
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;";
    let postgres = shared_postgres().await;
    let name = database_of(postgres, sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let masks = "[default]\nmask_columns = [\"public.cards.pin\"]\nallow_explain_analyze = true\n\
                 allow_functions = [\"public.pins\"]\n";
    std::fs::write(&file, masks).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&name)).with_env("POLICY_FILE", file.to_str().unwrap());
    let masked = McpServer::start(options).await.unwrap();
    let plain =
        McpServer::start(ServerOptions::new(postgres.reader_url(&name)).with_env("POLICY_FILE", "")).await.unwrap();
    let of_rents = ["rents", "of_rents", "my_rents()", "rent_ids() AS f(id)", "of_ids()", "by_function"];
    let of_masks = ["settings", "third", "cards", "pins()"];
    for (server, tables) in [(&masked, [&of_masks[..], &of_rents].concat()), (&plain, of_rents.to_vec())] {
        let mut client = Client::open(server).await;
        for table in tables {
            let sql = format!("SELECT * FROM {table}");
            let answer = client.use_tool("explain_query", json!({ "sql": sql, "verbose": true })).await;
            assert!(answer["error"]["code"].is_string(), "{table}: {answer}");
            for hidden in ["sk-live", "PIN-", "somebody"] {
                assert!(!answer.to_string().contains(hidden), "{table}: {answer}");
            }
        }
        let answer = client.use_tool("explain_query", json!({ "sql": "SELECT * FROM open_ids() AS f(id)" })).await;
        assert!(answer["plan"].is_string(), "{answer}");
    }
}
