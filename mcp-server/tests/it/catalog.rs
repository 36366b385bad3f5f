//! The catalog resource: how an agent learns a database.

use std::fmt::Write;

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};
use serde_json::{Value, json};
use shared_protocol::catalog::{CatalogPage, SamplesState, Table, TableKind};

use crate::client::{Client, until};
use crate::{database_of, shop_server};

/// A page, once the values of columns are there.
async fn page(client: &mut Client, uri: &str) -> Result<CatalogPage, Value> {
    let mut read = None;
    until("the values of columns are read", async || {
        let answer = client.request("resources/read", json!({ "uri": uri })).await;
        let page = match answer["result"]["contents"][0]["text"].as_str() {
            Some(text) => Ok(serde_json::from_str::<CatalogPage>(text).unwrap()),
            None => Err(answer["error"].clone()),
        };
        let is_whole = page.as_ref().map_or(true, |page| page.samples == SamplesState::Complete);
        read = Some(page);
        is_whole
    })
    .await;
    read.unwrap()
}

fn table<'a>(page: &'a CatalogPage, name: &str) -> &'a Table {
    page.tables.iter().find(|table| table.table_name == name).unwrap_or_else(|| panic!("{name} is listed"))
}

#[tokio::test]
async fn the_shop_is_described_with_keys_comments_and_labels() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let page = page(&mut client, &format!("postgres://{SHOP}/catalog")).await.unwrap();
    assert_eq!(page.search_path, ["public"]);
    assert_eq!(page.timezone, "UTC");

    let users = table(&page, "users");
    assert!(users.description.is_some(), "tables have comments");
    let id = &users.columns[0];
    assert!(id.is_primary_key && id.is_unique && !id.is_nullable, "{id:?}");
    let orders = table(&page, "orders");
    let status = orders.columns.iter().find(|column| column.name == "status").unwrap();
    assert!(status.enum_values.as_ref().unwrap().contains(&"shipped".to_owned()));
    let key = orders.foreign_keys.iter().find(|key| key.to_table == "users").unwrap();
    assert_eq!(
        (key.from_columns.as_slice(), key.to_columns.as_slice()),
        (&["user_id".to_owned()][..], &["id".to_owned()][..])
    );
    assert!(page.tables.iter().any(|table| table.r#type == TableKind::View));
    assert!(orders.indexes.iter().any(|index| index.is_primary));
}

#[tokio::test]
async fn every_kind_of_object_is_described() {
    let postgres = shared_postgres().await;
    let sql = "
        CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
        CREATE TYPE size AS ENUM ('s', 'l', 'm');
        CREATE TYPE place AS (x int, y int);
        CREATE TABLE parents (a int, b int, PRIMARY KEY (a, b));
        CREATE TABLE children (
            id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pa int, pb int, mail email, size size DEFAULT 'm', spot place,
            doubled int GENERATED ALWAYS AS (pa * 2) STORED,
            parent int REFERENCES children ON DELETE SET NULL, FOREIGN KEY (pb, pa) REFERENCES parents (b, a),
            CHECK (pa > 0), UNIQUE (mail)
        );
        CREATE INDEX big_children ON children (lower(mail)) WHERE pa > 100;
        CREATE TABLE events (day date, n int) PARTITION BY RANGE (day);
        CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE MATERIALIZED VIEW sums AS SELECT pa, count(*) FROM children GROUP BY pa;
        CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
        COMMENT ON COLUMN children.mail IS 'where to write';
        COMMENT ON INDEX big_children IS 'for the big ones';
        CREATE DOMAIN code AS varchar(8);
        CREATE TABLE \"Odd Ones\" (
            \"Key\" varchar(20), price numeric(10, 2), free numeric, bits bit(3), code code, name text COLLATE \"C\",
            PRIMARY KEY (\"Key\"), CHECK (price >= 0)
        );
        CREATE UNIQUE INDEX ON \"Odd Ones\" (code);
        CREATE INDEX \"by name\" ON \"Odd Ones\" (name DESC, price) INCLUDE (free);
        CREATE INDEX mixed ON \"Odd Ones\" ((price * 2), \"Key\", lower(name)) WHERE price > 1 AND bits IS NOT NULL;
        CREATE INDEX in_default ON \"Odd Ones\" (name COLLATE \"default\");
    ";
    let database = database_of(postgres, sql).await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    let page = page(&mut client, &format!("postgres://{database}/catalog")).await.unwrap();
    let mut seen = serde_json::to_value(&page).unwrap();
    for changing in ["fingerprint", "database", "server_version"] {
        seen[changing] = Value::Null;
    }
    // Versions of PostgreSQL print it each in its own way.
    let sums = seen["tables"].as_array_mut().unwrap().iter_mut().find(|table| table["table_name"] == "sums").unwrap();
    assert!(sums["view_definition"].take().as_str().unwrap().contains("GROUP BY"), "{sums}");
    insta::assert_json_snapshot!("catalog", seen);
    let partition = client.rows("SELECT n FROM events_2024", json!([])).await;
    assert_eq!(partition.row_count, 0, "a partition is not listed, but may be read");
    // What PostgreSQL wasn't asked for is what it would have said, in one of its two styles.
    let mut superuser = postgres.superuser(&database).await.unwrap();
    sqlx::raw_sql("SET search_path = ''").execute(&mut superuser).await.unwrap();
    let said = "SELECT c.relname, pg_get_indexdef(c.oid), pg_get_indexdef(c.oid, 0, true) FROM pg_class c \
                JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'i' AND nspname = 'public'";
    let said: Vec<(String, String, String)> = sqlx::query_as(said).fetch_all(&mut superuser).await.unwrap();
    let indexes: Vec<_> = page.tables.iter().flat_map(|table| &table.indexes).collect();
    assert_eq!((indexes.len(), said.len()), (9, 9));
    for (name, one, other) in said {
        let index = indexes.iter().find(|index| index.name == name).unwrap();
        assert!([&one, &other].contains(&&index.definition), "{} is neither {one} nor {other}", index.definition);
    }
}

#[tokio::test]
async fn what_the_version_of_postgresql_has_besides_is_not_mistaken() {
    let postgres = shared_postgres().await;
    let mut superuser = postgres.superuser("postgres").await.unwrap();
    let version: String = sqlx::query_scalar("SHOW server_version_num").fetch_one(&mut superuser).await.unwrap();
    let is_18 = version.parse::<u32>().unwrap() >= 180_000;
    let mut sql = "
        CREATE TABLE stays (room int NOT NULL, span int4range NOT NULL, id int NOT NULL UNIQUE);
        CREATE TABLE extras (id int NOT NULL REFERENCES stays (id), room int, span int4range);
    "
    .to_owned();
    if is_18 {
        sql.push_str(
            "CREATE EXTENSION btree_gist;
             ALTER TABLE stays ADD PRIMARY KEY (room, span WITHOUT OVERLAPS);
             ALTER TABLE extras ADD FOREIGN KEY (room, PERIOD span) REFERENCES stays (room, PERIOD span);",
        );
    }
    let database = database_of(postgres, &sql).await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    let page = page(&mut client, &format!("postgres://{database}/catalog")).await.unwrap();
    let kinds = |name: &str| table(&page, name).constraints.iter().map(|one| one.r#type.clone()).collect::<Vec<_>>();
    let keys: Vec<&[String]> = table(&page, "extras").foreign_keys.iter().map(|key| &key.from_columns[..]).collect();
    assert_eq!(keys, [["id"]], "rows of a temporal key are not joined by being equal");
    if is_18 {
        assert_eq!(kinds("stays"), ["UNIQUE", "PRIMARY KEY"], "NOT NULL stands with the columns");
        assert_eq!(kinds("extras"), ["FOREIGN KEY"; 2], "but it is a constraint");
    } else {
        assert_eq!(kinds("stays"), ["UNIQUE"]);
        assert_eq!(kinds("extras"), ["FOREIGN KEY"]);
    }
}

#[tokio::test]
async fn what_the_role_may_not_read_is_absent() {
    let postgres = shared_postgres().await;
    let database =
        database_of(postgres, "CREATE TABLE open (id int, secret text, shown text); CREATE TABLE closed (id int);")
            .await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let reader = harness::postgres::READER;
    let sql = format!(
        "REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {reader}; GRANT SELECT (id, shown) ON open TO {reader};"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    let page = page(&mut client, &format!("postgres://{database}/catalog")).await.unwrap();
    assert_eq!(page.tables.iter().map(|table| table.table_name.as_str()).collect::<Vec<_>>(), ["open"]);
    assert_eq!(page.tables[0].columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id", "shown"]);
    assert_eq!(client.error(json!({ "query": "SELECT id FROM closed" })).await["code"], "TABLE_NOT_FOUND");
}

#[tokio::test]
async fn texts_that_speak_of_what_is_hidden_are_left_out() {
    let postgres = shared_postgres().await;
    let sql = "
        CREATE TABLE salaries (id int PRIMARY KEY);
        CREATE TABLE people (id int PRIMARY KEY, name text, ssn text CHECK (ssn LIKE 'S%'));
        CREATE TYPE place AS (street text, city text);
        CREATE DOMAIN of_salaries AS int CHECK (VALUE <> 'salaries'::regclass::oid::int);
        CREATE DOMAIN grade AS text CHECK (VALUE IN ('grade one', 'grade two'));
        CREATE TABLE shown (
            id int CHECK (id <> 'salaries'::regclass::oid::int), person people, home place, number of_salaries, rank grade, level grade,
            salaries_count int CHECK (salaries_count > 0), next int DEFAULT nextval('salaries_seq')
        );
        CREATE INDEX of_hidden ON shown (id) WHERE id <> 'salaries'::regclass::oid::int;
        CREATE INDEX of_expression ON shown ((id + 'public.salaries'::regclass::oid::int));
        CREATE INDEX of_columns ON shown (id, salaries_count);
        COMMENT ON TABLE shown IS 'sums of salaries.id';
        COMMENT ON COLUMN shown.id IS 'like the one in Salaries';
        COMMENT ON COLUMN shown.home IS 'an address';";
    let database = database_of(postgres, &format!("CREATE SEQUENCE salaries_seq; {sql}")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let policy = "
        [default]
        deny_tables = ['public.salaries']
        deny_columns = ['public.people.ssn']
        mask_columns = ['public.shown.level']";
    std::fs::write(&file, policy).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&database)).with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    let page = page(&mut client, &format!("postgres://{database}/catalog")).await.unwrap();
    let shown = table(&page, "shown");
    let definition = |name: &str| {
        shown.columns.iter().find(|column| column.name == name).and_then(|column| column.type_definition.as_deref())
    };
    assert_eq!(definition("person"), None);
    assert_eq!(definition("home"), Some("(street text, city text)"));
    assert_eq!(definition("number"), None);
    assert!(definition("rank").unwrap().contains("grade one"));
    assert_eq!(definition("level"), None, "it lists the values of a masked column");
    assert_eq!(shown.description, None);
    let descriptions: Vec<_> = shown.columns.iter().filter_map(|column| column.description.as_deref()).collect();
    assert_eq!(descriptions, ["an address"]);
    assert_eq!(
        shown.constraints.iter().map(|known| known.name.as_str()).collect::<Vec<_>>(),
        ["shown_salaries_count_check"]
    );
    assert_eq!(shown.indexes.iter().map(|known| known.name.as_str()).collect::<Vec<_>>(), ["of_columns"]);
    assert!(shown.columns.iter().all(|column| column.default_value.is_none()), "{shown:?}");
}

#[tokio::test]
async fn schemas_that_policy_hides_wholly_are_named_nowhere() {
    let postgres = shared_postgres().await;
    let sql = "
        CREATE SCHEMA zq_hidden; CREATE SCHEMA zq_other; CREATE SCHEMA kinds;
        CREATE TABLE zq_hidden.closed (id int); CREATE SEQUENCE zq_other.seq; CREATE TABLE zq_hidden.too (id int);
        CREATE TYPE zq_other.mood AS ENUM ('good'); CREATE DOMAIN zq_other.small AS int CHECK (VALUE < 10);
        CREATE TYPE kinds.kind AS ENUM ('one');
        CREATE TABLE shown (
            id int DEFAULT nextval('zq_other.seq'::regclass), mood zq_other.mood DEFAULT 'good'::zq_other.mood, size zq_other.small,
            moods zq_other.mood[], kind kinds.kind DEFAULT 'one'::kinds.kind, CHECK (mood >= 'good'::zq_other.mood), CHECK (id > 0)
        );
        CREATE INDEX of_expression ON shown ((mood = 'good'::zq_other.mood));
        CREATE INDEX of_column ON shown (id);
        GRANT USAGE ON SCHEMA zq_hidden, zq_other, kinds TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA zq_hidden TO PUBLIC;
        COMMENT ON COLUMN shown.id IS 'counted by zq_other.seq';
        DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET search_path TO zq_hidden, public', current_database()); END$$;";
    let database = database_of(postgres, sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "[default]\ndeny_tables = ['zq_hidden.*', 'zq_other.*']\n").unwrap();
    let options = ServerOptions::new(postgres.reader_url(&database)).with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    let page = page(&mut client, &format!("postgres://{database}/catalog")).await.unwrap();
    assert_eq!(page.search_path, ["public"]);
    let shown = table(&page, "shown");
    let types: Vec<&str> = shown.columns.iter().map(|column| column.data_type.as_str()).collect();
    assert_eq!(types, ["integer", "mood", "small", "mood[]", "kinds.kind"]);
    let defaults: Vec<_> = shown.columns.iter().filter_map(|column| column.default_value.as_deref()).collect();
    assert_eq!(defaults, ["'one'::kinds.kind"]);
    assert_eq!(shown.constraints.iter().map(|known| known.name.as_str()).collect::<Vec<_>>(), ["shown_id_check"]);
    assert_eq!(shown.indexes.iter().map(|known| known.name.as_str()).collect::<Vec<_>>(), ["of_column"]);
    let schema = client.request("resources/read", json!({ "uri": format!("postgres://{database}/schema") })).await;
    let described = client.call("describe_table", json!({ "table_name": "shown" })).await;
    let schemas = client.call("list_schemas", json!({})).await;
    let rows = client.call("execute_query", json!({ "sql": "SELECT mood, moods FROM shown" })).await;
    for told in [json!(page), schema, described, schemas, rows] {
        assert!(!told.to_string().contains("zq_"), "{told}");
    }
}

#[tokio::test]
async fn a_large_catalog_comes_in_pages() {
    let postgres = shared_postgres().await;
    let mut sql = String::new();
    for number in 0..400 {
        let columns: Vec<String> =
            (0..16).map(|column| format!("column_number_{column} text NOT NULL DEFAULT 'value {column}'")).collect();
        writeln!(sql, "CREATE TABLE wide_table_{number:03} (id int PRIMARY KEY, {});", columns.join(", ")).unwrap();
    }
    let database = database_of(postgres, &sql).await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    // When the values of columns come, pages begin anew.
    page(&mut client, &format!("postgres://{database}/catalog")).await.unwrap();
    let mut names = Vec::new();
    let mut pages = 0;
    let mut cursor: Option<String> = None;
    loop {
        let uri = shared_protocol::endpoint::catalog_uri(&database, cursor.as_deref());
        let text = client.request_text("resources/read", json!({ "uri": uri })).await;
        assert!(text.len() <= 768 * 1024, "{} bytes", text.len());
        let answer: Value = serde_json::from_str(&text).unwrap();
        let page: CatalogPage =
            serde_json::from_str(answer["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
        names.extend(page.tables.into_iter().map(|table| table.table_name));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(pages > 1, "400 wide tables are more than a page");
    assert_eq!(names.len(), 400);
    names.dedup();
    assert_eq!(names.len(), 400);

    let stale = page(&mut client, &format!("postgres://{database}/catalog?cursor=0123-1")).await.unwrap_err();
    assert!(stale["message"].as_str().unwrap().contains("start again"), "{stale}");
}

#[tokio::test]
async fn a_table_made_meanwhile_is_found_when_it_is_asked_for() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE old (id int);").await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let sql = format!("CREATE TABLE young (id int); GRANT SELECT ON young TO {}", harness::postgres::READER);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
    // An unknown name causes a reload at most every ten seconds.
    until("the table is found", async || {
        let (_, is_error) = Client::open(&server).await.run(json!({ "query": "SELECT id FROM young" })).await;
        !is_error
    })
    .await;
}

#[tokio::test]
async fn a_statement_survives_a_change_of_its_table() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE things (id int); INSERT INTO things VALUES (1);").await;
    let server =
        McpServer::start(ServerOptions::new(postgres.reader_url(&database)).with_env("POOL_SIZE", "1")).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(client.rows("SELECT * FROM things", json!([])).await.rows.get(), r#"[{"id":1}]"#);
    let mut superuser = postgres.superuser(&database).await.unwrap();
    sqlx::raw_sql("ALTER TABLE things ADD COLUMN name text DEFAULT 'new'").execute(&mut superuser).await.unwrap();
    assert_eq!(client.rows("SELECT * FROM things", json!([])).await.rows.get(), r#"[{"id":1,"name":"new"}]"#);
}

#[tokio::test]
async fn a_locked_table_holds_up_nobody_else() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE locked (id int DEFAULT 1); CREATE TABLE free (id int);").await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database)).with_env("CATALOG_TTL_S", "1"))
        .await
        .unwrap();
    let mut client = Client::open(&server).await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE").execute(&mut superuser).await.unwrap();
    // The catalog is old by then, and reading it again waits for the lock.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for _ in 0..3 {
        let (content, is_error) = client.run(json!({ "query": "SELECT id FROM free", "timeoutMs": 1000 })).await;
        assert!(!is_error, "{content}");
    }
}
