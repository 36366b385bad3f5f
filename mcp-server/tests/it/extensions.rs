//! Extensions that PostgreSQL comes with: their types, functions and operators work, and what reaches beyond the data doesn't.

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::Client;
use crate::database_of;

/// An extension, a statement that uses it, and the first row's value.
const HONEST: &[(&str, &str, &str)] = &[
    ("citext", "SELECT 'A'::citext = 'a' AS v", "true"),
    ("hstore", "SELECT ('a=>1'::hstore) -> 'a' AS v", "\"1\""),
    ("ltree", "SELECT 'a.b'::ltree <@ 'a' AS v", "true"),
    ("cube", "SELECT cube_dim(cube(1, 2)) AS v", "1"),
    ("isn", "SELECT '978-0-393-04002-9'::isbn13::text AS v", "\"978-0-393-04002-9\""),
    ("intarray", "SELECT ARRAY[1, 2] & ARRAY[2, 3] AS v", "[2]"),
    ("seg", "SELECT '1 .. 2'::seg @> '1.5'::seg AS v", "true"),
    ("pg_trgm", "SELECT similarity('abc', 'abc')::int AS v", "1"),
    ("fuzzystrmatch", "SELECT levenshtein('abc', 'abd') AS v", "1"),
    ("unaccent", "SELECT unaccent('é') AS v", "\"e\""),
    ("pgcrypto", "SELECT encode(digest('a', 'md5'), 'hex') AS v", "\"0cc175b9c0f1b6a831c399e269772661\""),
    ("btree_gist", "SELECT place AS v FROM spots ORDER BY name LIMIT 1", "\"(1,2)\""),
    ("earthdistance", "SELECT round(earth())::int AS v", "6378168"),
    ("tsm_system_rows", "SELECT count(*)::int AS v FROM spots TABLESAMPLE system_rows(1)", "1"),
    ("tsm_system_time", "SELECT count(*)::int AS v FROM spots TABLESAMPLE system_time(1000)", "2"),
    ("uuid-ossp", "SELECT uuid_nil()::text AS v", "\"00000000-0000-0000-0000-000000000000\""),
];

#[tokio::test]
async fn what_extensions_bring_can_be_used() {
    let postgres = shared_postgres().await;
    let database = database_of(
        postgres,
        "CREATE TABLE spots (name varchar(9), place point); INSERT INTO spots VALUES ('a', '(1,2)'), ('b', '(0,0)');",
    )
    .await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let mut there = Vec::new();
    for (extension, statement, expected) in HONEST {
        let create = format!("CREATE EXTENSION \"{extension}\" CASCADE");
        match sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut superuser).await {
            Ok(_) => there.push((extension, statement, expected)),
            Err(error) => println!("without {extension}: {error}"),
        }
    }
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    // isn alone has 28 operators called =, and each of these conditions may mean any of them.
    let long = (0..400).map(|number| format!("length(name) = {number}")).collect::<Vec<_>>().join(" OR ");
    client.rows(&format!("SELECT name FROM spots WHERE {long}"), json!([])).await;
    for (extension, statement, expected) in there {
        let rows: Value = serde_json::from_str(client.rows(statement, json!([])).await.rows.get()).unwrap();
        assert_eq!(rows[0]["v"].to_string(), *expected, "{extension}: {statement}");
    }
}
