//! Resources: schemas as text and diagrams, tables, saved queries and values of columns, each for those who may see them.

use std::fmt::Write;

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::{database_of, shop_server};

const OPEN_KEY: &str = "open-key-of-22-characters-or-more";
const CLOSED_KEY: &str = "closed-key-of-22-characters-or-more";

/// All resources that a client is told of, over all pages.
async fn listed(client: &mut Client) -> Vec<Value> {
    let mut resources = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
        let page = client.request("resources/list", params).await;
        let entries = page["result"]["resources"].as_array().unwrap_or_else(|| panic!("{page}"));
        assert!(entries.len() <= 100, "{} on a page", entries.len());
        resources.extend(entries.clone());
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            return resources;
        }
    }
}

async fn read(client: &mut Client, uri: &str) -> Result<String, Value> {
    let answer = client.request("resources/read", json!({ "uri": uri })).await;
    match answer["result"]["contents"][0]["text"].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(answer["error"].clone()),
    }
}

fn uris(resources: &[Value]) -> Vec<&str> {
    resources.iter().map(|resource| resource["uri"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_shop_can_be_read_as_text_as_a_diagram_and_table_by_table() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let resources = listed(&mut client).await;
    let uri = |part: &str| format!("postgres://{SHOP}/{part}");
    for part in ["schema", "erd", "catalog", "public/orders"] {
        assert!(uris(&resources).contains(&uri(part).as_str()), "{part} in {resources:?}");
    }
    let schema = read(&mut client, &uri("schema")).await.unwrap();
    assert!(
        schema.contains("CREATE TABLE public.orders (") && schema.contains("CREATE TYPE order_status AS ENUM"),
        "{schema}"
    );
    let diagram = read(&mut client, &uri("erd")).await.unwrap();
    assert!(diagram.starts_with("erDiagram\n") && diagram.contains("\"users\" ||--o{ \"orders\""), "{diagram}");
    let table: Value = serde_json::from_str(&read(&mut client, &uri("public/orders")).await.unwrap()).unwrap();
    assert_eq!(table, client.call("describe_table", json!({ "table_name": "orders" })).await);

    let templates = client.request("resources/templates/list", json!({})).await;
    let templates = templates["result"]["resourceTemplates"].as_array().unwrap();
    let forms: Vec<&str> = templates.iter().map(|template| template["uriTemplate"].as_str().unwrap()).collect();
    assert!(forms.contains(&"postgres://{database}/{schema}/{table}"), "{forms:?}");
    assert!(forms.contains(&"postgres://{database}/catalog{?cursor}"), "{forms:?}");
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    for (uri, said) in [
        (format!("postgres://{SHOP}/public/ordrs"), "Did you mean orders, "),
        (format!("postgres://{SHOP}/publik/orders"), "Did you mean public?"),
        ("postgres://shap/schema".to_owned(), "there is no database \"shap\""),
        (format!("postgres://{SHOP}/queries/top"), "There is no saved query \"top\""),
        (format!("postgres://{SHOP}/tables"), "resources/templates/list has the forms of all"),
        ("file:///etc/passwd".to_owned(), "There is no resource \"file:///etc/passwd\""),
    ] {
        let error = read(&mut client, &uri).await.unwrap_err();
        assert_eq!(error["code"], -32002, "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{uri}: {error}");
    }
    for list in ["resources/list", "resources/templates/list", "tools/list", "prompts/list"] {
        let page = client.request(list, json!({ "cursor": "nowhere" })).await;
        assert_eq!(page["error"]["code"], -32602, "{list}: {page}");
    }
}

#[tokio::test]
async fn many_tables_come_in_pages_and_as_much_text_as_has_room() {
    let mut sql = String::new();
    for number in 0..150 {
        let _ = writeln!(sql, "CREATE TABLE t{number:03} (id int PRIMARY KEY);");
        let _ = writeln!(sql, "COMMENT ON TABLE t{number:03} IS '{}';", "word ".repeat(1500));
    }
    let postgres = shared_postgres().await;
    let database = database_of(postgres, &sql).await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    let resources = listed(&mut client).await;
    assert_eq!(resources.len(), 3 + 150);
    let schema = read(&mut client, &format!("postgres://{database}/schema")).await.unwrap();
    assert!(schema.len() < 768 * 1024, "{} bytes", schema.len());
    assert!(
        schema.trim_end().ends_with("more: list_tables and describe_table tell of all."),
        "{}",
        &schema[schema.len() - 200..]
    );
}

#[tokio::test]
async fn a_callers_resources_are_what_their_policy_leaves() {
    let sql = "
        CREATE TABLE shown (id int PRIMARY KEY, kind text, mail text);
        CREATE TABLE closed (id int PRIMARY KEY, shown int REFERENCES shown);
        CREATE TABLE mine (tenant text);
        ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
        CREATE POLICY all_rows ON mine USING (true);
        INSERT INTO mine VALUES ('acme');
        INSERT INTO shown SELECT n, (ARRAY['red', 'green', 'red'])[n % 3 + 1], 'somebody@example' FROM generate_series(1, 90) AS n;
        ANALYZE shown;
        CREATE TABLE never_analysed (word text, code varchar(9), body text);
        INSERT INTO never_analysed VALUES ('zebra', 'a', repeat('x', 200)), ('zebra', 'b', 'y'), ('yak', NULL, NULL);
        -- Counts the rows, and nothing else.
        CREATE INDEX ON never_analysed (word);
        CREATE TABLE emptied (mail text);
        INSERT INTO emptied SELECT 'gone ' || n FROM generate_series(1, 40) AS n;
        ANALYZE emptied;
        CREATE TABLE parents (word text);
        CREATE TABLE children () INHERITS (parents);
        INSERT INTO children SELECT 'word ' || n FROM generate_series(1, 1000) AS n;
        ANALYZE parents, children;";
    let policy = r#"
        [keys.closed]
        deny_tables = ["public.closed"]
        mask_columns = ["public.shown.mail"]"#;
    let postgres = shared_postgres().await;
    let database = database_of(postgres, sql).await;
    // In a transaction of its own: what PostgreSQL then knows is of rows that are gone.
    let mut owner = postgres.superuser(&database).await.unwrap();
    sqlx::raw_sql("TRUNCATE emptied").execute(&mut owner).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, policy).unwrap();
    let queries = folder.path().join("queries");
    std::fs::create_dir_all(queries.join(&database)).unwrap();
    let write = |name: &str, sql: &str| std::fs::write(queries.join(name), sql).unwrap();
    write(
        "kinds.sql",
        "-- How many of each kind\nSELECT kind, count(*) AS many FROM shown WHERE id > $1 GROUP BY kind ORDER BY kind;\n",
    );
    write("behind.sql", "SELECT * FROM closed");
    write("wipe.sql", "DROP TABLE shown");
    write("beside.sql", "-- As in closed, but for all\nSELECT count(*) AS many FROM shown");
    write(&format!("{database}/own.sql"), "SELECT 1 AS one");
    let options = ServerOptions::new(postgres.reader_url(&database))
        .with_env("POLICY_FILE", file.to_str().unwrap())
        .with_env("QUERIES_DIR", queries.to_str().unwrap())
        .with_env("WS_API_KEY", format!("open:{OPEN_KEY},closed:{CLOSED_KEY}"));
    let server = McpServer::start(options).await.unwrap();
    let mut open = Client::open_with_key(&server, OPEN_KEY).await;
    let mut closed = Client::open_with_key(&server, CLOSED_KEY).await;
    let uri = |part: &str| format!("postgres://{database}/{part}");

    let of_open = listed(&mut open).await;
    for part in ["public/closed", "public/shown", "queries/kinds", "queries/behind", "queries/beside", "queries/own"] {
        assert!(uris(&of_open).contains(&uri(part).as_str()), "{part} in {of_open:?}");
    }
    assert!(!uris(&of_open).contains(&uri("queries/wipe").as_str()), "{of_open:?}");
    assert!(server.logs().contains("the saved query wipe of"), "{}", server.logs());
    let kinds = of_open.iter().find(|resource| resource["uri"] == uri("queries/kinds")).unwrap();
    assert_eq!(
        (&kinds["description"], &kinds["mimeType"]),
        (&json!("How many of each kind"), &json!("application/sql"))
    );
    let sql = read(&mut open, &uri("queries/kinds")).await.unwrap();
    let answer = open.call("execute_query", json!({ "sql": sql, "params": [30] })).await;
    assert_eq!(answer["rows"], json!([{ "kind": "green", "many": 20 }, { "kind": "red", "many": 40 }]));

    let of_closed = listed(&mut closed).await;
    assert!(!uris(&of_closed).contains(&uri("queries/beside").as_str()), "{of_closed:?}");
    let mut told = json!(of_closed).to_string();
    for part in ["schema", "erd", "catalog", "public/shown", "queries/kinds"] {
        told += &read(&mut closed, &uri(part)).await.unwrap();
    }
    // The name of the key itself is nowhere in them.
    assert!(!told.contains("closed"), "{told}");
    for part in ["public/closed", "queries/behind"] {
        let hidden = read(&mut closed, &uri(part)).await.unwrap_err();
        let absent =
            read(&mut closed, &uri(&part.replace("closed", "cl0sed").replace("behind", "b3hind"))).await.unwrap_err();
        let same = hidden.to_string().replace("closed", "cl0sed").replace("behind", "b3hind");
        assert_eq!(same, absent.to_string());
    }

    // Values of columns: the planner's, or read where it knows none; not of what is masked, nor where rows depend on who asks.
    let samples = async |client: &mut Client| {
        let mut page = Value::Null;
        until("the values are read", async || {
            page = serde_json::from_str(&read(client, &uri("catalog")).await.unwrap()).unwrap();
            page["samples"] == "complete"
        })
        .await;
        let mut found = serde_json::Map::new();
        for table in page["tables"].as_array().unwrap() {
            for column in table["columns"].as_array().unwrap() {
                if let Some(values) = column.get("sample_values") {
                    let name =
                        format!("{}.{}", table["table_name"].as_str().unwrap(), column["name"].as_str().unwrap());
                    found.insert(name, values.clone());
                }
            }
        }
        Value::Object(found)
    };
    let of_both = json!({
        "never_analysed.word": ["zebra", "yak"], "never_analysed.code": ["a", "b"], "shown.kind": ["red", "green"],
    });
    let mut of_open = of_both.clone();
    of_open["shown.mail"] = json!(["somebody@example"]);
    assert_eq!(samples(&mut open).await, of_open);
    assert_eq!(samples(&mut closed).await, of_both);
    let found = closed.call("search_schema", json!({ "text": "zebra" })).await;
    assert_eq!(found["matches"][0]["column_name"], "word", "{found}");
    assert_eq!(found["matches"][0]["kind"], "sampled_value", "{found}");
    assert_eq!(closed.call("search_schema", json!({ "text": "somebody" })).await["total_count"], 0);
}
