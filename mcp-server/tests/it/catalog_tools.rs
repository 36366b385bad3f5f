//! The tools that tell of a catalog, each result held against the tool's own output schema.

use std::collections::HashSet;

use harness::{McpServer, SHOP, ServerOptions, shared_postgres};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::client::Client;
use crate::{database_of, shop_server};

async fn server_of(sql: &str) -> (McpServer, String) {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, sql).await;
    (McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap(), database)
}

/// The names in a listing.
fn names(listing: &Value, entries: &str, name: &str) -> Vec<String> {
    let entries = listing[entries].as_array().unwrap_or_else(|| panic!("{entries} in {listing}"));
    entries.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_shop_is_found_step_by_step() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let databases = client.call("list_databases", json!({})).await;
    let shop = &databases["databases"][0];
    assert_eq!(
        (&shop["name"], &shop["is_default"], &shop["status"]),
        (&json!(SHOP), &json!(true), &json!("available"))
    );
    assert!(
        shop["size_bytes"].as_i64().unwrap() > 1 << 20 && shop["size_pretty"].as_str().unwrap().contains(' '),
        "{shop}"
    );
    assert!(shop["schema_loaded_at"].as_str().unwrap().ends_with('Z'), "{shop}");
    assert!(shop["description"].as_str().unwrap().contains("online shop"), "{shop}");

    let schemas = client.call("list_schemas", json!({ "database": SHOP })).await;
    assert_eq!(names(&schemas, "schemas", "name"), ["public"]);
    assert_eq!(schemas["schemas"][0]["table_count"], shop["table_count"]);
    let all = client.call("list_schemas", json!({ "include_system": true })).await;
    assert_eq!(names(&all, "schemas", "name"), ["information_schema", "pg_catalog", "public"]);

    let tables = client.call("list_tables", json!({ "name_pattern": "order%", "include_views": false })).await;
    assert_eq!(names(&tables, "tables", "name"), ["order_items", "orders"]);
    let orders = &tables["tables"][1];
    assert_eq!((&orders["type"], &orders["has_primary_key"]), (&json!("table"), &json!(true)));
    assert!(orders["size_bytes"].as_i64().unwrap() > 0, "{orders}");
    let tables = client.call("list_tables", json!({})).await;
    let views = tables["tables"].as_array().unwrap().iter().filter(|table| table["type"] == "view");
    for view in views {
        assert_eq!(
            (&view["size_bytes"], &view["estimated_row_count"], &view["note"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }

    let orders = client.call("describe_table", json!({ "table_name": "orders" })).await;
    let column = |name: &str| {
        let columns = orders["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("{name} in {orders}")).clone()
    };
    assert_eq!(column("user_id")["foreign_key"]["referenced_table"], "users");
    assert_eq!(column("user_id")["foreign_key"]["referenced_column"], "id");
    assert!(column("status")["enum_values"].as_array().unwrap().contains(&json!("shipped")));
    assert_eq!(column("id")["is_primary_key"], true);
    assert!(!orders["indexes"].as_array().unwrap().is_empty());
    let arguments = json!({ "table_name": "orders", "include_indexes": false, "include_constraints": false });
    let short = client.call("describe_table", arguments).await;
    assert_eq!((&short["indexes"], &short["constraints"]), (&Value::Null, &Value::Null));

    let keys = client.call("get_foreign_keys", json!({ "table_name": "categories" })).await;
    assert_eq!(names(&keys, "outgoing", "to_table"), ["categories"], "a key to itself stands on both sides");
    assert_eq!(names(&keys, "incoming", "from_table"), ["categories", "products"]);

    let paths = client.call("find_join_path", json!({ "from_table": "order_items", "to_table": "users" })).await;
    assert_eq!(paths["paths_found"], 1);
    assert_eq!(paths["paths"][0]["steps"][1]["join_type"], "INNER JOIN");

    let found = client.call("search_schema", json!({ "text": "order status" })).await;
    assert_eq!(
        (&found["matches"][0]["table_name"], &found["matches"][0]["column_name"]),
        (&json!("orders"), &json!("status"))
    );
}

/// Keys of all kinds, between tables whose names need quotes.
const ODD: &str = r#"
    CREATE SCHEMA "Sales Dept";
    CREATE SCHEMA crm;
    CREATE TABLE regions (country text, code text, name text, PRIMARY KEY (country, code));
    CREATE TABLE "Order" (
        "Id" int PRIMARY KEY, "select" int NOT NULL, country text NOT NULL, code text NOT NULL,
        FOREIGN KEY (country, code) REFERENCES regions
    );
    CREATE TABLE employees (id int PRIMARY KEY, boss int REFERENCES employees, country text, code text,
        FOREIGN KEY (code, country) REFERENCES regions (code, country));
    CREATE TABLE "Sales Dept"."it's ""odd""" (id int PRIMARY KEY, "Order" int REFERENCES "Order", seller int NOT NULL REFERENCES employees, checker int REFERENCES employees);
    CREATE TABLE crm."Order" (id int PRIMARY KEY, "user" int NOT NULL REFERENCES "Sales Dept"."it's ""odd""");
    CREATE TABLE crm.größe (ид int PRIMARY KEY, "order" int REFERENCES crm."Order");
    CREATE TABLE account_state (id int PRIMARY KEY, employee int UNIQUE REFERENCES employees);
    CREATE TABLE lonely (id int);
    INSERT INTO regions VALUES ('no', '1', 'Oslo');
    INSERT INTO "Order" VALUES (1, 1, 'no', '1');
    INSERT INTO employees VALUES (1, NULL, 'no', '1'), (2, 1, NULL, NULL);
    INSERT INTO "Sales Dept"."it's ""odd""" VALUES (1, 1, 1, NULL), (2, NULL, 2, 1);
    GRANT USAGE ON SCHEMA "Sales Dept", crm TO PUBLIC;
    GRANT SELECT ON ALL TABLES IN SCHEMA "Sales Dept", crm TO PUBLIC;
"#;

#[tokio::test]
async fn every_example_of_a_join_path_runs() {
    let (server, database) = server_of(ODD).await;
    let mut client = Client::open(&server).await;
    let mut superuser = shared_postgres().await.superuser(&database).await.unwrap();
    let tables = [
        ("public", "regions"),
        ("public", "Order"),
        ("public", "employees"),
        ("Sales Dept", "it's \"odd\""),
        ("crm", "Order"),
        ("crm", "größe"),
        ("public", "account_state"),
    ];
    let (mut paths, mut joins, mut composite) = (0, HashSet::new(), 0);
    for from in tables {
        for to in tables.into_iter().filter(|to| *to != from) {
            let arguments = json!({
                "from_schema": from.0, "from_table": from.1, "to_schema": to.0, "to_table": to.1, "max_depth": 6
            });
            let found = client.call("find_join_path", arguments).await;
            for path in found["paths"].as_array().unwrap() {
                let sql = path["sql_example"].as_str().unwrap();
                assert_eq!(path["steps"].as_array().unwrap().len() as u64, path["depth"].as_u64().unwrap());
                // Through the guard, and as PostgreSQL itself takes it.
                client.rows(sql, json!([])).await;
                sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut superuser)
                    .await
                    .unwrap_or_else(|error| panic!("{sql}: {error}"));
                for step in path["steps"].as_array().unwrap() {
                    joins.insert(step["join_type"].as_str().unwrap().to_owned());
                    composite += usize::from(step["from_columns"].is_array());
                }
                paths += 1;
            }
        }
    }
    assert_eq!(joins.len(), 2, "{joins:?}");
    assert!(paths > 42 && composite > 10, "{paths} paths, {composite} composite steps");
    // No row of the table that the path starts from is lost, or doubled by a parent.
    let arguments = json!({ "from_schema": "Sales Dept", "from_table": "it's \"odd\"", "to_table": "regions" });
    let found = client.call("find_join_path", arguments).await;
    for path in found["paths"].as_array().unwrap() {
        assert_eq!(client.rows(path["sql_example"].as_str().unwrap(), json!([])).await.row_count, 2, "{path}");
    }
    assert_eq!(found["paths_found"], 3, "by the order, the seller and the checker: {found}");
}

#[tokio::test]
async fn every_example_in_the_shop_runs() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let tables = names(&client.call("list_tables", json!({ "include_views": false })).await, "tables", "name");
    let mut paths = 0;
    for from in &tables {
        for to in tables.iter().filter(|to| *to != from) {
            let arguments = json!({ "from_table": from, "to_table": to, "max_depth": 6 });
            let (found, is_error) = client.try_call("find_join_path", arguments).await;
            assert!(!is_error || found["error"]["code"] == "PATH_NOT_FOUND", "{found}");
            for path in found["paths"].as_array().into_iter().flatten() {
                client.rows(path["sql_example"].as_str().unwrap(), json!([])).await;
                paths += 1;
            }
        }
    }
    assert!(paths > 50, "{paths} paths");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_the_nearest_names() {
    let (server, database) = server_of(ODD).await;
    let mut client = Client::open(&server).await;
    let cases = [
        ("list_tables", json!({ "schema_name": "crn" }), "SCHEMA_NOT_FOUND", "Did you mean crm?"),
        (
            "list_tables",
            json!({ "schema_name": "zzz" }),
            "SCHEMA_NOT_FOUND",
            "The schemas are: Sales Dept, crm, public.",
        ),
        ("list_tables", json!({ "schema_name": "pg_catalog" }), "ACCESS_DENIED", "list_schemas"),
        ("describe_table", json!({ "table_name": "employes" }), "TABLE_NOT_FOUND", "Did you mean employees?"),
        ("describe_table", json!({ "table_name": "größe" }), "TABLE_NOT_FOUND", "Did you mean crm.größe?"),
        ("describe_table", json!({ "table_name": "xyz" }), "TABLE_NOT_FOUND", "Call list_tables"),
        ("get_foreign_keys", json!({ "table_name": "region" }), "TABLE_NOT_FOUND", "Did you mean regions?"),
        ("find_join_path", json!({ "from_table": "regions", "to_table": "ordr" }), "TABLE_NOT_FOUND", "Order"),
        (
            "find_join_path",
            json!({ "from_table": "regions", "to_table": "lonely" }),
            "PATH_NOT_FOUND",
            "columns that mean",
        ),
        (
            "find_join_path",
            json!({ "from_table": "regions", "to_table": "Order", "to_schema": "crm", "max_depth": 2 }),
            "PATH_NOT_FOUND",
            "Call again with max_depth 3.",
        ),
        (
            "find_join_path",
            json!({ "from_table": "regions", "to_table": "regions" }),
            "PARAMETER_ERROR",
            "Name two tables",
        ),
        ("find_join_path", json!({ "from_table": "a", "to_table": "b", "max_depth": 7 }), "PARAMETER_ERROR", ""),
        ("list_tables", json!({ "limit": 0 }), "PARAMETER_ERROR", ""),
        ("list_tables", json!({ "limit": 501 }), "PARAMETER_ERROR", ""),
        ("list_tables", json!({ "schema": "public" }), "PARAMETER_ERROR", "Did you mean schema_name?"),
        ("list_tables", json!({ "cursor": "12" }), "PARAMETER_ERROR", "Send next_cursor"),
        ("describe_table", json!({}), "PARAMETER_ERROR", "The arguments are table_name"),
        ("search_schema", json!({ "text": "" }), "PARAMETER_ERROR", "1 to 200 characters"),
        ("list_schemas", json!({ "database": "nowhere" }), "DATABASE_NOT_FOUND", &database),
        ("refresh_schema", json!({ "database": "nowhere" }), "DATABASE_NOT_FOUND", &database),
    ];
    for (tool, arguments, code, suggestion) in cases {
        let (failure, is_error) = client.try_call(tool, arguments.clone()).await;
        let error = &failure["error"];
        assert!(is_error && error["code"] == code, "{tool} {arguments}: {failure}");
        assert!(error["suggestion"].as_str().unwrap().contains(suggestion), "{tool} {arguments}: {failure}");
        assert_eq!((&failure["tool_name"], &failure["input_received"]), (&json!(tool), &arguments));
    }
    let (failure, _) = client.try_call("list_tables", json!({ "limit": 501 })).await;
    assert!(failure["error"]["message"].as_str().unwrap().contains("from 1 to 500, not 501"), "{failure}");
    let (failure, _) = client.try_call("describe_table", json!({ "table_name": "employes" })).await;
    assert_eq!(failure["error"]["context"]["similar_tables"], json!(["employees"]));
    let (failure, _) = client.try_call("list_tables", json!({ "schema_name": "crn" })).await;
    assert_eq!(failure["error"]["context"]["similar_schemas"], json!(["crm"]));
    let arguments = json!({ "from_table": "regions", "to_table": "Order", "to_schema": "crm", "max_depth": 2 });
    let (failure, _) = client.try_call("find_join_path", arguments).await;
    assert_eq!(failure["error"]["context"]["nearest_depth"], 3);
}

#[tokio::test]
async fn listings_come_in_pages_until_they_change() {
    let tables: String =
        (0..125).map(|number| format!("CREATE TABLE t{number:03} (id int, word{number} text);")).collect();
    let (server, database) = server_of(&tables).await;
    let mut client = Client::open(&server).await;
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    for count in [50, 50, 25] {
        let page = client.call("list_tables", json!({ "limit": 50, "cursor": cursor })).await;
        assert_eq!((page["tables"].as_array().unwrap().len(), &page["total_count"]), (count, &json!(125)));
        seen.extend(names(&page, "tables", "name"));
        cursor = page["next_cursor"].clone();
    }
    assert_eq!(cursor, Value::Null);
    assert!(seen.len() == 125 && seen.is_sorted(), "{seen:?}");
    assert_eq!(client.call("list_tables", json!({})).await["tables"].as_array().unwrap().len(), 100, "by default");

    let found = client.call("search_schema", json!({ "text": "word" })).await;
    assert_eq!((found["matches"].as_array().unwrap().len(), &found["total_count"]), (20, &json!(125)));
    let cursor = found["next_cursor"].clone();
    let next = client.call("search_schema", json!({ "text": "word", "limit": 500, "cursor": cursor })).await;
    assert_eq!((next["matches"].as_array().unwrap().len(), &next["next_cursor"]), (105, &Value::Null));
    let (failure, _) = client.try_call("search_schema", json!({ "text": "other", "cursor": cursor })).await;
    assert_eq!(failure["error"]["code"], "PARAMETER_ERROR", "another search's cursor: {failure}");

    let mut superuser = shared_postgres().await.superuser(&database).await.unwrap();
    let sql = format!("CREATE TABLE later (id int); GRANT SELECT ON later TO {}", harness::postgres::READER);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
    let refreshed = client.call("refresh_schema", json!({ "database": database })).await;
    let told = &refreshed["databases"][0];
    assert_eq!((&told["name"], &told["tables"], &told["changed"]), (&json!(database), &json!(126), &json!(true)));
    let (failure, _) = client.try_call("search_schema", json!({ "text": "word", "cursor": cursor })).await;
    assert_eq!(failure["error"]["code"], "PARAMETER_ERROR", "{failure}");
    assert!(failure["error"]["suggestion"].as_str().unwrap().contains("Start again"), "{failure}");
    let again = client.call("refresh_schema", json!({})).await;
    assert_eq!(again["databases"][0]["changed"], false);
    client.call("describe_table", json!({ "table_name": "later" })).await;
}

#[tokio::test]
async fn what_policy_hides_shows_in_no_tool() {
    let sql = "
        CREATE SCHEMA vault;
        CREATE TABLE vault.gold (id int PRIMARY KEY, bars int);
        CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, mail text, gold int REFERENCES vault.gold);
        CREATE TABLE visits (id int PRIMARY KEY, person int NOT NULL REFERENCES people, by_mail text);
        CREATE VIEW safe AS SELECT id, name FROM people WHERE id > 0;
        CREATE VIEW of_mail AS SELECT id FROM people WHERE mail = 'someone@example.org';
        CREATE VIEW with_mail AS SELECT id, mail FROM people;
        CREATE VIEW of_ssn AS SELECT id FROM people WHERE ssn IS NOT NULL;
        CREATE VIEW rich AS SELECT name FROM people JOIN vault.gold ON gold.id = people.gold;
        CREATE TABLE by_ssn (ssn text, n int) PARTITION BY LIST (ssn);
        CREATE TABLE by_mail (mail text, n int) PARTITION BY LIST (lower(mail));
        CREATE TYPE state AS ENUM ('on', 'off');
        CREATE TYPE metal AS ENUM ('silver', 'gold');
        CREATE TYPE mood AS ENUM ('hushed', 'loud');
        CREATE TABLE mine (tenant text, state state, metal metal, mood mood);
        DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'All the gold'); END $$;
        ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
        CREATE POLICY all_rows ON mine USING (true);
        INSERT INTO mine VALUES ('a', 'on');
        COMMENT ON SCHEMA public IS 'All but the gold';
        COMMENT ON INDEX people_pkey IS 'As in gold';
        COMMENT ON TABLE visits IS 'Paid in gold';
        COMMENT ON COLUMN visits.person IS 'Who has gold';
        GRANT USAGE ON SCHEMA vault TO PUBLIC;
        GRANT SELECT ON ALL TABLES IN SCHEMA vault TO PUBLIC;
        ANALYZE;";
    let policy = r#"
        [default]
        deny_tables = ["vault.*"]
        deny_columns = ["public.people.ssn", "public.people.gold", "public.by_ssn.ssn"]
        mask_columns = ["public.people.mail", "public.by_mail.mail", "public.mine.mood"]"#;
    let postgres = shared_postgres().await;
    let database = database_of(postgres, sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, policy).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&database)).with_env("POLICY_FILE", file.to_str().unwrap());
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;

    let listed = client.call("list_tables", json!({})).await;
    let tables = names(&listed, "tables", "name");
    assert_eq!(tables, ["by_mail", "by_ssn", "mine", "people", "safe", "visits", "with_mail"]);
    let mut said = vec![
        listed.clone(),
        client.call("list_databases", json!({})).await,
        client.call("list_schemas", json!({ "include_system": true })).await,
        client.call("search_schema", json!({ "text": "gold bars vault ssn people" })).await,
        client.call("search_schema", json!({ "text": "hushed" })).await["results"].clone(),
        client.call("refresh_schema", json!({})).await,
    ];
    for table in &tables {
        let arguments = json!({ "table_name": table });
        said.push(client.call("describe_table", arguments.clone()).await);
        said.push(client.call("get_foreign_keys", arguments).await);
    }
    for (from, to) in [("visits", "people"), ("people", "visits")] {
        said.push(client.call("find_join_path", json!({ "from_table": from, "to_table": to })).await);
    }
    for (tool, arguments) in [
        ("list_tables", json!({ "schema_name": "vaul" })),
        ("list_tables", json!({ "schema_name": "gold" })),
        ("describe_table", json!({ "table_name": "golden" })),
        ("describe_table", json!({ "table_name": "riches" })),
        ("find_join_path", json!({ "from_table": "people", "to_table": "golf" })),
    ] {
        let (failure, is_error) = client.try_call(tool, arguments).await;
        assert!(is_error, "{failure}");
        said.push(failure["error"].clone());
    }
    for said in &said {
        let mut text = said.to_string();
        // What was asked for is said back.
        for asked in ["vaul\\\"", "\\\"gold\\\"", "golden", "riches", "golf", "by_ssn"] {
            text = text.replace(asked, "");
        }
        for hidden in ["gold", "bars", "vault", "ssn", "rich", "of_mail", "someone@", "hushed"] {
            assert!(!text.contains(hidden), "{hidden} in {said}");
        }
    }
    // A hidden name is answered as one that isn't there.
    let told = async |client: &mut Client, schema: &str, table: &str| {
        let (failure, _) =
            client.try_call("describe_table", json!({ "schema_name": schema, "table_name": table })).await;
        failure["error"].to_string().replace(schema, "…").replace(table, "…")
    };
    assert_eq!(told(&mut client, "vault", "gold").await, told(&mut client, "vxxlt", "gxld").await);
    assert_eq!(told(&mut client, "public", "rich").await, told(&mut client, "public", "rxch").await);

    let people = client.call("describe_table", json!({ "table_name": "people" })).await;
    let mail = people["columns"].as_array().unwrap().iter().find(|column| column["name"] == "mail").unwrap();
    assert_eq!(mail["masked"], true);
    assert_eq!(names(&people, "columns", "name"), ["id", "name", "mail"]);
    let mut of = async |table: &str| client.call("describe_table", json!({ "table_name": table })).await;
    assert!(of("safe").await["view_definition"].as_str().unwrap().contains("WHERE"), "it speaks of nothing hidden");
    assert_eq!(of("with_mail").await["view_definition"], Value::Null, "a masked column's values could stand in it");
    assert_eq!(of("by_ssn").await["partition_key"], Value::Null);
    assert_eq!(of("by_mail").await["partition_key"], Value::Null);
    let mine = of("mine").await;
    assert_eq!((&mine["estimated_row_count"], &mine["size_pretty"]), (&Value::Null, &Value::Null));
    assert!(mine["note"].as_str().unwrap().contains("row-level security"), "{mine}");
}

#[tokio::test]
async fn estimates_and_sizes_are_told_where_there_are_any() {
    let sql = "
        CREATE SCHEMA empty;
        COMMENT ON SCHEMA empty IS 'for later';
        GRANT USAGE ON SCHEMA empty TO PUBLIC;
        CREATE TABLE counted AS SELECT generate_series(1, 1000) AS n;
        CREATE MATERIALIZED VIEW kept AS SELECT n FROM counted;
        ANALYZE;
        CREATE TABLE fresh (n int);
        CREATE TABLE parts (day date, n int) PARTITION BY RANGE (day);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        INSERT INTO parts SELECT '2024-05-05', generate_series(1, 1000);";
    let (server, database) = server_of(sql).await;
    let mut client = Client::open(&server).await;
    let schemas = client.call("list_schemas", json!({})).await;
    assert_eq!(names(&schemas, "schemas", "name"), ["empty", "public"]);
    assert_eq!(
        (&schemas["schemas"][0]["description"], &schemas["schemas"][0]["table_count"]),
        (&json!("for later"), &json!(0))
    );
    assert_eq!(client.call("list_tables", json!({ "schema_name": "empty" })).await["total_count"], 0);

    let tables = client.call("list_tables", json!({})).await;
    assert_eq!(names(&tables, "tables", "name"), ["counted", "fresh", "kept", "parts"]);
    let [counted, fresh, kept, parts] = &tables["tables"].as_array().unwrap()[..] else { panic!("{tables}") };
    assert_eq!((&counted["estimated_row_count"], &counted["note"]), (&json!(1000), &Value::Null));
    assert_eq!((&kept["type"], &kept["estimated_row_count"]), (&json!("materialized_view"), &json!(1000)));
    assert_eq!(fresh["estimated_row_count"], Value::Null);
    assert!(fresh["note"].as_str().unwrap().contains("Never analysed"), "{fresh}");
    assert_eq!((&parts["type"], &parts["partition_count"]), (&json!("partitioned_table"), &json!(2)));
    assert!(parts["size_bytes"].as_i64().unwrap() >= counted["size_bytes"].as_i64().unwrap(), "its partitions count");
    let described = client.call("describe_table", json!({ "table_name": "parts" })).await;
    assert_eq!(described["partition_key"], "RANGE (day)");

    // A lock on one table keeps nobody from the others.
    let mut superuser = shared_postgres().await.superuser(&database).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE counted IN ACCESS EXCLUSIVE MODE").execute(&mut superuser).await.unwrap();
    let tables = client.call("list_tables", json!({})).await;
    assert_eq!(tables["tables"][0]["size_bytes"], Value::Null);
    assert!(tables["tables"][3]["size_bytes"].is_number(), "{tables}");
}
