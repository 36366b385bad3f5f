//! Policy as callers meet it: two keys, and two subjects of one key, see different worlds; a changed file takes effect.

use std::fs;
use std::path::PathBuf;

use harness::{McpServer, ServerOptions, shared_postgres};
use mcp_server::executor::ExecuteError;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, until};
use crate::database_of;
use crate::runner::{Runner, limits};

const WEB: &str = "web-key-of-22-characters";
const OPS: &str = "ops-key-of-22-characters";

const SCHEMA: &str = "
    CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, mail text, password_hash text);
    INSERT INTO people VALUES (1, 'Ada', 'SSN-1', 'ada@example.org', 'HASH-1'), (2, 'Bo', NULL, NULL, 'HASH-2');
    CREATE TABLE payroll (person int REFERENCES people, salary int);
    INSERT INTO payroll VALUES (1, 777001);
    CREATE VIEW payroll_of AS SELECT name, salary FROM people JOIN payroll ON person = id;
    CREATE TABLE orders (tenant text, item text);
    INSERT INTO orders VALUES ('a', 'apple'), ('b', 'bread');
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON orders USING (tenant = current_setting('app.tenant', true));
    CREATE FUNCTION shout(word text) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT upper(word)';";

const POLICY: &str = r#"
    [keys.web]
    may_act_for = true
    deny_tables = ["public.payroll"]
    mask_columns = ["public.people.mail"]
    deny_columns = ["public.people.ssn"]
    max_rows = 1

    [keys.ops]
    allow_functions = ["public.shout"]

    [subjects.alice]
    session = { "app.tenant" = "a" }

    [subjects.bob]
    session = { "app.tenant" = "b" }
    mask_columns = ["public.people.name"]
"#;

/// A server with two keys under a policy file that may be changed.
struct Stage {
    server: McpServer,
    database: String,
    file: PathBuf,
    _folder: TempDir,
}

impl Stage {
    async fn new(policy: &str) -> Self {
        let postgres = shared_postgres().await;
        let database = database_of(postgres, SCHEMA).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        fs::write(&file, policy).unwrap();
        let options = ServerOptions::new(postgres.reader_url(&database))
            .with_env("WS_API_KEY", format!("web:{WEB},ops:{OPS}"))
            .with_env("POLICY_FILE", file.to_str().unwrap());
        Self { server: McpServer::start(options).await.unwrap(), database, file, _folder: folder }
    }

    async fn web(&self) -> Client {
        Client::open_with_key(&self.server, WEB).await
    }

    async fn ops(&self) -> Client {
        Client::open_with_key(&self.server, OPS).await
    }

    async fn catalog(&self, client: &mut Client) -> Value {
        let uri = format!("postgres://{}/catalog", self.database);
        let answer = client.request("resources/read", json!({ "uri": uri })).await;
        let text = answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
        serde_json::from_str(text).unwrap()
    }
}

async fn rows(client: &mut Client, query: &str) -> Value {
    serde_json::from_str(client.rows(query, json!([])).await.rows.get()).unwrap()
}

/// A call for somebody: its rows, or its error.
async fn as_subject(client: &mut Client, subject: Value, query: &str) -> Value {
    let params = json!({
        "name": "run_sql", "arguments": { "query": query }, "_meta": { "pgmcp/subject": subject }
    });
    let answer = client.request("tools/call", params).await;
    answer["result"]["structuredContent"].clone()
}

#[tokio::test]
async fn two_keys_see_different_worlds() {
    let stage = Stage::new(POLICY).await;
    let (mut web, mut ops) = (stage.web().await, stage.ops().await);
    // Hidden is absent, masked is shown as such, and NULL stays NULL.
    let output = ops.rows("SELECT id, mail FROM people ORDER BY id", json!([])).await;
    assert_eq!(output.rows.get(), r#"[{"id":1,"mail":"ada@example.org"},{"id":2,"mail":null}]"#);
    assert!(!output.columns[1].masked);
    let output = web.rows("SELECT id, mail FROM people ORDER BY id DESC", json!([])).await;
    assert_eq!(output.rows.get(), r#"[{"id":2,"mail":null}]"#);
    assert!(output.truncated && output.columns[1].masked && !output.columns[0].masked);
    let output = web.rows("SELECT mail, id FROM people ORDER BY id", json!([])).await;
    assert_eq!(output.rows.get(), r#"[{"mail":"***","id":1}]"#);
    // By its name alone, for both.
    assert_eq!(
        rows(&mut ops, "SELECT password_hash FROM people WHERE id = 1").await,
        json!([{ "password_hash": "***" }])
    );
    for (query, code) in [
        ("SELECT * FROM payroll", "TABLE_NOT_FOUND"),
        ("SELECT * FROM payroll_of", "TABLE_NOT_FOUND"),
        ("SELECT ssn FROM people", "COLUMN_NOT_FOUND"),
        ("SELECT * FROM people", "ACCESS_DENIED"),
        ("SELECT lower(mail) FROM people", "ACCESS_DENIED"),
        ("SELECT shout('a')", "FUNCTION_DENIED"),
    ] {
        let error = web.error(json!({ "query": query })).await;
        assert_eq!(error["code"], code, "{query}: {error}");
        let said = error.to_string();
        for hidden in ["payroll_of", "salary", "\"payroll\"", "SSN-1"] {
            assert!(query.contains(hidden.trim_matches('"')) || !said.contains(hidden), "{query}: {said}");
        }
    }
    assert_eq!(rows(&mut ops, "SELECT salary FROM payroll_of").await, json!([{ "salary": 777_001 }]));
    assert_eq!(rows(&mut ops, "SELECT ssn FROM people WHERE id = 1").await, json!([{ "ssn": "SSN-1" }]));
    assert_eq!(rows(&mut ops, "SELECT shout('a') AS s").await, json!([{ "s": "A" }]));
    // The catalog says no more than statements may.
    let seen = stage.catalog(&mut web).await.to_string();
    assert!(!seen.contains("payroll") && !seen.contains("ssn") && !seen.contains("shout"), "{seen}");
    assert!(seen.contains("\"masked\":true"), "{seen}");
    let seen = stage.catalog(&mut ops).await;
    assert_eq!(seen["tables"].as_array().unwrap().len(), 4, "{seen}");
    assert!(seen.to_string().contains("shout"), "{seen}");
}

#[tokio::test]
async fn two_subjects_of_one_key_see_different_worlds() {
    let stage = Stage::new(POLICY).await;
    let mut web = stage.web().await;
    let orders = "SELECT item FROM orders";
    assert_eq!(as_subject(&mut web, json!("alice"), orders).await["rows"], json!([{ "item": "apple" }]));
    assert_eq!(as_subject(&mut web, json!("bob"), orders).await["rows"], json!([{ "item": "bread" }]));
    // Somebody whom the file doesn't name has the key's rules, and so has the key itself.
    assert_eq!(as_subject(&mut web, json!("carol"), orders).await["rows"], json!([]));
    assert_eq!(rows(&mut web, orders).await, json!([]));
    let names = "SELECT name FROM people WHERE id = 1";
    assert_eq!(as_subject(&mut web, json!("alice"), names).await["rows"], json!([{ "name": "Ada" }]));
    assert_eq!(as_subject(&mut web, json!("bob"), names).await["rows"], json!([{ "name": "***" }]));
    // A statement can't change whom it is for.
    let change = "SELECT set_config('app.tenant', 'a', true)";
    assert_eq!(as_subject(&mut web, json!("bob"), change).await["error"]["code"], "FUNCTION_DENIED");
    // The key's own rules hold for everybody it acts for.
    let payroll = "SELECT * FROM payroll";
    assert_eq!(as_subject(&mut web, json!("alice"), payroll).await["error"]["code"], "TABLE_NOT_FOUND");
    let mut ops = stage.ops().await;
    let error = as_subject(&mut ops, json!("alice"), orders).await;
    assert_eq!(error["error"]["code"], "ACCESS_DENIED", "{error}");
    assert!(error["error"]["suggestion"].as_str().unwrap().contains("may_act_for"), "{error}");
}

#[tokio::test]
async fn whether_a_key_may_act_for_others_is_told_at_once() {
    let stage = Stage::new(POLICY).await;
    for (key, may) in [(WEB, true), (OPS, false)] {
        let mut client = Client::connect_with_key(&stage.server, key).await;
        let push = client.receive().await;
        assert_eq!(push["params"]["_meta"]["pgmcp/mayActFor"], may, "{push}");
        let answer = client.initialize("2025-11-25").await;
        assert_eq!(answer["result"]["_meta"]["pgmcp/mayActFor"], may, "{answer}");
    }
}

#[tokio::test]
async fn a_changed_file_takes_effect_and_a_bad_one_does_not() {
    let mut stage = Stage::new(POLICY).await;
    let mut ops = stage.ops().await;
    assert_eq!(rows(&mut ops, "SELECT salary FROM payroll").await, json!([{ "salary": 777_001 }]));
    fs::write(&stage.file, "[default]\ndeny_tables = [\"public.payroll\", \"public.payrol\"]\n").unwrap();
    let file = stage.file.clone();
    let hidden = async |stage: &Stage| {
        let params = json!({ "name": "run_sql", "arguments": { "query": "SELECT salary FROM payroll" } });
        let answer = stage.ops().await.request("tools/call", params).await;
        answer["result"]["structuredContent"]["error"]["code"] == "TABLE_NOT_FOUND"
    };
    until("the new policy is in force", async || hidden(&stage).await).await;
    let warned = |line: &str| line.contains("public.payrol matches nothing").then_some(());
    stage.server.process().logged("that a pattern matches nothing", warned).await.unwrap();
    fs::write(&file, "[default]\ndeny_tables = [\"payroll\"]\n").unwrap();
    let told = |line: &str| line.contains("the old policy stays in force").then(|| line.to_owned());
    let line = stage.server.process().logged("that the file is bad", told).await.unwrap();
    assert!(line.contains("of the form schema.name"), "{line}");
    assert!(hidden(&stage).await, "the policy before it still holds");
}

#[tokio::test]
async fn a_bad_policy_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, "[keys.wbe]\nmax_rows = 0\n").unwrap();
    let postgres = shared_postgres().await;
    let options =
        ServerOptions::new(postgres.reader_url(harness::SHOP)).with_env("POLICY_FILE", file.to_str().unwrap());
    let said = McpServer::start(options).await.err().expect("it ends").to_string();
    for expected in ["POLICY_FILE", "there is no key wbe; there is default", "[keys.wbe] max_rows: must be at least 1"]
    {
        assert!(said.contains(expected), "{expected} in: {said}");
    }
}

#[tokio::test]
async fn limits_of_the_policy_hold() {
    let stage = Stage::new(
        "[keys.web]\nmax_cost = 100\n[keys.ops]\nstatement_timeout_ms = 300\nmax_concurrent_queries = 1\n[default]\nmax_rows = 2\n",
    )
    .await;
    let (mut web, mut ops) = (stage.web().await, stage.ops().await);
    let many = "SELECT count(*) FROM generate_series(1, 100000000)";
    let error = web.error(json!({ "query": many })).await;
    assert_eq!(error["code"], "COST_LIMIT_EXCEEDED", "{error}");
    assert!(error["message"].as_str().unwrap().contains("max_cost"), "{error}");
    assert_eq!(ops.error(json!({ "query": many, "timeoutMs": 60000 })).await["code"], "QUERY_TIMEOUT");
    assert_eq!(ops.rows("SELECT generate_series(1, 9)", json!([])).await.row_count, 2);
}

#[tokio::test]
async fn postgresqls_words_give_no_hidden_value_away() {
    let stage = Stage::new(POLICY).await;
    let error = stage.web().await.error(json!({ "query": "SELECT name::int FROM people" })).await;
    assert_eq!(error["code"], "EXECUTION_ERROR");
    assert!(!error.to_string().contains("Ada"), "{error}");
}

#[tokio::test]
async fn the_values_that_a_views_condition_keeps_out_are_not_told_by_errors() {
    let postgres = shared_postgres().await;
    let sql = "CREATE TABLE bills (tenant int, amount int, note text);
        INSERT INTO bills VALUES (1, 10, 'note a'), (2, 987654321, 'note SECRET');
        CREATE VIEW my_bills AS SELECT * FROM bills WHERE tenant = current_setting('app.tenant')::int;
        CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE DOMAIN size AS int CHECK (VALUE > 0);
        GRANT SELECT ON my_bills TO PUBLIC;";
    let name = database_of(postgres, sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let policy = "[default]\ndeny_tables = [\"public.bills\"]\nallow_tables = [\"public.my_bills\"]\n\
                  session = { \"app.tenant\" = \"1\" }\n";
    fs::write(&file, policy).unwrap();
    let options = ServerOptions::new(postgres.superuser_url(&name))
        .with_env("POLICY_FILE", file.to_str().unwrap())
        .with_env("ALLOW_PRIVILEGED_ROLE", "true");
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    for condition in [
        "CASE tenant WHEN 1 THEN true ELSE ('\"' || note)::tsquery IS NOT NULL END",
        "make_date(CASE tenant WHEN 1 THEN 2000 ELSE amount END, 1, 1) IS NOT NULL",
        "make_time(CASE tenant WHEN 1 THEN 1 ELSE amount END, 1, 1) IS NOT NULL",
        "chr(CASE tenant WHEN 1 THEN 65 ELSE amount END) <> ''",
        "('$ ' || CASE tenant WHEN 1 THEN '' ELSE note END)::jsonpath IS NOT NULL AND 'note SECRET' <> ''",
        "(CASE tenant WHEN 1 THEN '1' ELSE note END)::int > 0 AND 'note SECRET' <> ''",
    ] {
        let error = client.error(json!({ "query": format!("SELECT amount FROM my_bills WHERE {condition}") })).await;
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains("SECRET") && !message.contains("987"), "{condition}: {message}");
    }
    let error = client.error(json!({ "query": "SELECT '{1,'::int[]" })).await;
    assert!(error["message"].as_str().unwrap().contains("{1,"), "{error}");
    // What is wrong with a parameter is the caller's own.
    for (query, param, said) in [
        ("SELECT $1::mood", json!("zz"), "invalid input value for enum mood: \"zz\""),
        ("SELECT amount FROM my_bills WHERE amount = $1::size", json!(-5), "value for domain size violates"),
        (
            "SELECT my_bills.note, count(*) FROM my_bills GROUP BY amount",
            Value::Null,
            "column \"my_bills.note\" must appear",
        ),
    ] {
        let params = if param.is_null() { json!([]) } else { json!([param]) };
        let error = client.error(json!({ "query": query, "params": params })).await;
        assert!(error["message"].as_str().unwrap().contains(said), "{query}: {error}");
    }
}

#[tokio::test]
async fn the_values_that_a_function_raises_are_told_under_no_code() {
    let postgres = shared_postgres().await;
    let codes = ["42703", "42P01", "42883", "42P02", "3F000", "42601", "22P02", "P0001"];
    let mut sql = "CREATE TABLE payroll (id int);".to_owned();
    for code in codes {
        let table = format!("notes_{}", code.to_lowercase());
        sql += &format!(
            "CREATE TABLE {table} (id int, note text); INSERT INTO {table} VALUES (1, 'secret');
             CREATE FUNCTION check_{table}(note text) RETURNS bool LANGUAGE plpgsql STABLE AS
                 $$BEGIN RAISE EXCEPTION 'column % does not exist', note USING ERRCODE = '{code}'; END$$;
             ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON {table} USING (check_{table}(note));"
        );
    }
    let name = database_of(postgres, &sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, "[default]\ndeny_tables = [\"public.payroll\"]\n").unwrap();
    let options = ServerOptions::new(postgres.reader_url(&name)).with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    for code in codes {
        let error = client.error(json!({ "query": format!("SELECT id FROM notes_{code}") })).await;
        assert_eq!(error["code"], "EXECUTION_ERROR", "{code}: {error}");
        assert_eq!(error["message"], "a function of the database failed", "{code}: {error}");
        assert!(!error.to_string().contains("secret"), "{code}: {error}");
    }
}

#[tokio::test]
async fn no_estimate_is_told_of_what_stands_behind_a_view_or_a_function() {
    let postgres = shared_postgres().await;
    let sql = "CREATE TABLE bills (id int, tenant int, note text);
        INSERT INTO bills SELECT n, n % 10, CASE n % 10 WHEN 1 THEN 'mine' WHEN 2 THEN 'SECRET' ELSE n::text END
            FROM generate_series(1, 5000) AS n;
        ANALYZE bills;
        CREATE VIEW my_bills AS SELECT id, note FROM bills WHERE tenant = 1;
        CREATE FUNCTION ids() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM public.bills';
        GRANT SELECT ON my_bills TO PUBLIC;";
    let name = database_of(postgres, sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let policy = "[default]\nallow_tables = [\"public.my_bills\"]\nallow_functions = [\"public.ids\"]\n\
                  max_estimated_rows = 100\n";
    fs::write(&file, policy).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&name)).with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    let mut said = Vec::new();
    for source in [
        "my_bills AS b WHERE b.note = 'SECRET' AND g > b.id",
        "my_bills AS b WHERE b.note = 'nothing' AND g > b.id",
        "my_bills AS b WHERE b.note = 'mine' AND g > b.id",
        "ids() AS b(id) WHERE g > b.id",
    ] {
        let query = format!("SELECT count(*) FROM generate_series(1, 1000000) AS g, {source}");
        let error = client.error(json!({ "query": query })).await;
        assert_eq!(error["code"], "COST_LIMIT_EXCEEDED", "{query}: {error}");
        said.push(error["message"].clone());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn a_masked_column_keeps_its_mask_when_its_table_changes() {
    let stage = Stage::new("[default]\nmask_columns = [\"public.people.mail\"]\n").await;
    let mut ops = stage.ops().await;
    let query = "SELECT * FROM people WHERE id = 1";
    assert_eq!(rows(&mut ops, query).await[0]["mail"], "***");
    let mut superuser = shared_postgres().await.superuser(&stage.database).await.unwrap();
    for change in
        ["ALTER TABLE people DROP COLUMN name CASCADE", "ALTER TABLE people ADD COLUMN api_key text DEFAULT 'KEY'"]
    {
        sqlx::raw_sql(change).execute(&mut superuser).await.unwrap();
        let row = rows(&mut ops, query).await[0].clone();
        assert_eq!((&row["mail"], &row["password_hash"], &row["ssn"]), (&json!("***"), &json!("***"), &json!("SSN-1")));
        assert_ne!(row["api_key"], "KEY", "a new column that is called like a secret is masked at once");
    }
}

#[tokio::test]
async fn a_masked_column_under_another_columns_name_is_noticed_before_it_is_read() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, SCHEMA).await;
    let runner = Runner::new(&postgres.reader_url(&database), &[]);
    let judged = runner.judged("SELECT name FROM people").await;
    assert_eq!(runner.rows("SELECT name FROM people WHERE id = 1", &[]).await, json!([{ "name": "Ada" }]));
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let swap = "ALTER TABLE people RENAME COLUMN name TO other; ALTER TABLE people RENAME COLUMN password_hash TO name";
    sqlx::raw_sql(swap).execute(&mut superuser).await.unwrap();
    let outcome = runner.run_judged(judged, Vec::new(), Vec::new(), limits(), &CancellationToken::new()).await;
    assert!(matches!(outcome, Err(ExecuteError::StaleCatalog)), "{outcome:?}");
}

#[tokio::test]
async fn a_hidden_column_is_told_as_one_that_is_not_there_also_where_postgresql_tells_it() {
    let stage = Stage::new(POLICY).await;
    let mut web = stage.web().await;
    let mut told = async |column: &str| {
        let query = format!("SELECT {column} FROM people, (SELECT (jsonb_each('{{}}')).*) AS others");
        web.error(json!({ "query": query })).await.to_string().replace(column, "…")
    };
    assert_eq!(told("ssn").await, told("sso").await);
}

#[tokio::test]
async fn what_changes_while_nobody_says_so_is_noticed() {
    let stage = Stage::new("[default]\nmask_columns = [\"public.people.mail\"]\n").await;
    let mut superuser = shared_postgres().await.superuser(&stage.database).await.unwrap();
    let view = |columns: &str| {
        sqlx::AssertSqlSafe(format!(
            "CREATE OR REPLACE VIEW shown AS SELECT {columns} FROM people; GRANT SELECT ON shown TO PUBLIC"
        ))
    };
    sqlx::raw_sql(view("name AS one, mail AS other")).execute(&mut superuser).await.unwrap();
    let is_refused = async || stage.ops().await.run(json!({ "query": "SELECT one || '!' AS one FROM shown" })).await.1;
    until("the view is known", async || !is_refused().await).await;
    // The same names and types, so that no result looks different.
    sqlx::raw_sql(view("mail AS one, name AS other")).execute(&mut superuser).await.unwrap();
    until("the masked column is known under its new name", is_refused).await;
    assert_eq!(
        stage.ops().await.error(json!({ "query": "SELECT one || '!' FROM shown" })).await["code"],
        "ACCESS_DENIED"
    );
}

#[tokio::test]
async fn a_column_that_was_made_anew_is_read_on_the_same_session() {
    let stage = Stage::new(POLICY).await;
    let mut ops = stage.ops().await;
    let query = "SELECT name FROM people WHERE id = 1";
    assert_eq!(rows(&mut ops, query).await[0]["name"], "Ada");
    let mut superuser = shared_postgres().await.superuser(&stage.database).await.unwrap();
    let anew = "ALTER TABLE people DROP COLUMN name CASCADE; ALTER TABLE people ADD COLUMN name text DEFAULT 'Eve'";
    sqlx::raw_sql(anew).execute(&mut superuser).await.unwrap();
    until("the catalog is read again", async || {
        stage.ops().await.run(json!({ "query": "SELECT 1" })).await;
        stage.server.logs().matches("loaded").count() > 1
    })
    .await;
    assert_eq!(rows(&mut ops, query).await[0]["name"], "Eve");
}
