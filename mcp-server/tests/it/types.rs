//! Values: every built-in type reads as PostgreSQL's own `row_to_json` prints it.

use std::fmt::Write;

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::json;
use sqlx::Connection;

use crate::client::Client;
use crate::{database_of, shop_server_with};

/// Samples of each built-in type that a table can hold: its name, then values as text.
const SAMPLES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["0", "-32768", "32767"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("float4", &["0", "-0", "0.1", "1e-45", "3.4028235e38", "100000", "1000000", "NaN", "Infinity", "-Infinity"]),
    (
        "float8",
        &[
            "0",
            "-0",
            "0.1",
            "5e-324",
            "1.7976931348623157e308",
            "1e14",
            "1e15",
            "0.0001",
            "0.00001",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "1.10",
            "-0.000000001234",
            "123456789012345678901234567890.123456789",
            "1e-30",
            "1e40",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    ),
    ("money", &["12.34", "-1.5"]),
    ("text", &["", "plain", "quote \" backslash \\ newline \n tab \t", "émoji 🙂 \u{7f}", "null"]),
    ("varchar", &["x"]),
    ("bpchar", &["padded   "]),
    ("name", &["a_name"]),
    ("\"char\"", &["a", ""]),
    (
        "date",
        &["2024-02-29", "0044-03-15 BC", "10000-01-01", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"],
    ),
    ("time", &["00:00", "23:59:59.999999", "24:00:00"]),
    ("timetz", &["12:00+02", "23:59:59.5-11:30"]),
    (
        "timestamp",
        &["2024-02-29 12:34:56.789", "0044-03-15 01:02:03 BC", "infinity", "-infinity", "294276-12-31 23:59:59.999999"],
    ),
    ("timestamptz", &["2024-02-29 12:34:56.789+02", "0044-03-15 01:02:03+00 BC", "infinity", "-infinity"]),
    ("interval", &["1 year 2 mons -3 days 04:05:06.7", "0"]),
    ("uuid", &["6f1c2b9e-0d7a-4c3b-8f5e-1a2b3c4d5e6f"]),
    ("json", &["{\"a\":1.10,\"a\":2,\"b\":[true,null,\"x y\"]}", "1.0", "\"text\"", "null"]),
    ("jsonb", &["{\"b\": 1.10, \"a\": [1, 2]}", "12345678901234567890.123", "null"]),
    ("jsonpath", &["$.a[*] ? (@ > 1)"]),
    ("xml", &["<a>1</a>"]),
    ("bit(4)", &["1010"]),
    ("varbit", &["10101"]),
    ("inet", &["10.0.0.1", "2001:db8::1/64"]),
    ("cidr", &["10.0.0.0/8"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("point", &["(1.5,-2)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(0,0),(1,1)]"]),
    ("box", &["(1,1),(0,0)"]),
    ("path", &["((0,0),(1,1),(2,0))", "[(0,0),(1,1)]"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("circle", &["<(0,0),2.5>"]),
    ("tsvector", &["'cat':1 'sat':2"]),
    ("tsquery", &["'cat' & 'sat'"]),
    ("oid", &["4294967295"]),
    ("xid", &["7"]),
    ("xid8", &["18446744073709551615"]),
    ("cid", &["7"]),
    ("tid", &["(0,1)"]),
    ("pg_lsn", &["16/B374D848"]),
    ("txid_snapshot", &["10:20:10,14,15"]),
    ("pg_snapshot", &["10:20:10,14,15"]),
    ("refcursor", &["c"]),
    ("regclass", &["pg_class"]),
    ("regtype", &["integer"]),
    ("regproc", &["now"]),
    ("regprocedure", &["abs(integer)"]),
    ("regoper", &["||/"]),
    ("regoperator", &["+(integer,integer)"]),
    ("regrole", &["pg_monitor"]),
    ("regnamespace", &["pg_catalog"]),
    ("regcollation", &["\"C\""]),
    ("regconfig", &["english"]),
    ("regdictionary", &["simple"]),
    ("aclitem", &["pg_monitor=r/pg_monitor"]),
    ("int2vector", &["1 2 3"]),
    ("oidvector", &["1 2 3"]),
    ("int4range", &["[1,5)", "empty"]),
    ("int8range", &["[1,)"]),
    ("numrange", &["(1.10,2]"]),
    ("daterange", &["[2024-01-01,2024-02-01)"]),
    ("tsrange", &["[2024-01-01 10:00,)"]),
    ("tstzrange", &["[2024-01-01 10:00+00,2024-01-02 10:00+00)"]),
    ("int4multirange", &["{[1,3),[5,7)}"]),
    ("int8multirange", &["{}"]),
    ("nummultirange", &["{[1.1,2.2]}"]),
    ("datemultirange", &["{[2024-01-01,2024-02-01)}"]),
    ("tsmultirange", &["{[2024-01-01 10:00,2024-01-01 11:00)}"]),
    ("tstzmultirange", &["{[2024-01-01 10:00+00,)}"]),
    ("int4[]", &["{1,NULL,3}", "{}", "{{1,2},{3,4}}", "[0:1]={5,6}"]),
    ("text[]", &["{\"a b\",\"c\\\"d\",NULL}"]),
    ("numeric[]", &["{1.10,NaN}"]),
    ("timestamptz[]", &["{\"2024-01-01 00:00+00\"}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1.10}\"}"]),
    ("mood", &["happy", "so so"]),
    ("mood[]", &["{happy}"]),
    ("pair", &["(1,\"a b\")"]),
    ("positive", &["1.10"]),
];

/// Base types that hold no values of a user's: PostgreSQL's own bookkeeping.
const INTERNAL: &[&str] = &[
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "gtsvector",
];

/// bytea differs on purpose: base64 (tools.md, Values).
const DELIBERATE: &str = "bytea";

async fn server_and_database(sql: &str) -> (McpServer, String) {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, sql).await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    (server, database)
}

fn table_of(at: usize) -> String {
    format!("sample_{at}")
}

#[tokio::test]
async fn every_built_in_type_reads_as_row_to_json_prints_it() {
    let mut sql = String::from(
        "CREATE TYPE mood AS ENUM ('happy', 'so so'); CREATE TYPE pair AS (n int, t text);\n\
         CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);\n",
    );
    for (at, (of, values)) in SAMPLES.iter().enumerate() {
        writeln!(sql, "CREATE TABLE {} (place int, v {of});", table_of(at)).unwrap();
        for (place, value) in values.iter().enumerate() {
            let value = value.replace('\'', "''");
            writeln!(sql, "INSERT INTO {} VALUES ({place}, '{value}');", table_of(at)).unwrap();
        }
        writeln!(sql, "INSERT INTO {} VALUES ({}, NULL);", table_of(at), values.len()).unwrap();
    }
    let (server, database) = server_and_database(&sql).await;
    let mut client = Client::open(&server).await;
    let mut judge = shared_postgres().await.superuser(&database).await.unwrap();
    for (at, (of, values)) in SAMPLES.iter().enumerate() {
        let table = table_of(at);
        let theirs = format!("SELECT row_to_json(q)::text FROM (SELECT v FROM {table} ORDER BY place) AS q");
        let theirs: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(theirs)).fetch_all(&mut judge).await.unwrap();
        let ours = client.rows(&format!("SELECT v FROM {table} ORDER BY place"), json!([])).await;
        assert_eq!(ours.row_count, values.len() as u64 + 1);
        // PostgreSQL keeps the blanks that jsonb's own text has; we drop them everywhere.
        let theirs = theirs.iter().map(|row| without_blanks(row)).collect::<Vec<_>>().join(",");
        assert_eq!(ours.rows.get(), format!("[{theirs}]"), "{of}");
    }
}

/// JSON without the white space between its tokens.
fn without_blanks(json: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    let keep = |letter: &char| {
        let blank = !inside && letter.is_ascii_whitespace();
        inside = if *letter == '"' && !escaped { !inside } else { inside };
        escaped = *letter == '\\' && !escaped;
        !blank
    };
    json.chars().filter(keep).collect()
}

#[tokio::test]
async fn no_built_in_type_is_forgotten() {
    let mut judge = shared_postgres().await.superuser("postgres").await.unwrap();
    let query = "SELECT typname::text FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') \
                 AND typelem = 0 ORDER BY typname";
    let known: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut judge).await.unwrap();
    assert!(known.len() > 60, "{known:?}");
    for name in known {
        let sampled = SAMPLES.iter().any(|(of, _)| of.trim_matches('"').split('(').next() == Some(name.as_str()));
        assert!(sampled || INTERNAL.contains(&name.as_str()) || name == DELIBERATE, "{name} has no sample");
    }
}

#[tokio::test]
async fn bytea_is_base64() {
    let (server, _) =
        server_and_database("CREATE TABLE files (content bytea); INSERT INTO files VALUES ('\\x00ff10'), ('');").await;
    let rows = Client::open(&server).await.rows("SELECT content FROM files", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"content":"AP8Q"},{"content":""}]"#);
    assert_eq!(rows.columns[0].r#type, "bytea");
}

#[tokio::test]
async fn json_loses_its_line_breaks_and_nothing_else() {
    let json = "{ \"b\" :\n 1.10, \"a\": \"x  \\n y\",\t\"b\": 2 }";
    let (server, _) =
        server_and_database(&format!("CREATE TABLE notes (j json); INSERT INTO notes VALUES ('{json}');")).await;
    let rows = Client::open(&server).await.rows("SELECT j FROM notes", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"j":{"b":1.10,"a":"x  \n y","b":2}}]"#);
}

#[tokio::test]
async fn floating_point_prints_the_digits_that_postgresql_prints() {
    // Powers of two, where the lower neighbour is nearer, then numbers over all exponents: a fixed multiplicative sequence.
    let mut bits: Vec<u64> = (1..2047).map(|exponent: u64| exponent << 52).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..4000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bits.push(state);
    }
    let doubles = bits.iter().map(|bits| f64::from_bits(*bits)).filter(|value| value.is_finite());
    let singles = bits.iter().map(|bits| f32::from_bits((*bits >> 32) as u32)).filter(|value| value.is_finite());
    let mut sql =
        String::from("CREATE TABLE doubles (place serial, v float8); CREATE TABLE singles (place serial, v float4);\n");
    let doubles: Vec<String> = doubles.map(|value| format!("('{value:e}')")).collect();
    let singles: Vec<String> = singles.map(|value| format!("('{value:e}')")).collect();
    writeln!(
        sql,
        "INSERT INTO doubles (v) VALUES {};\nINSERT INTO singles (v) VALUES {};",
        doubles.join(","),
        singles.join(",")
    )
    .unwrap();
    let (server, database) = server_and_database(&sql).await;
    let mut client = Client::open(&server).await;
    let mut judge = shared_postgres().await.superuser(&database).await.unwrap();
    for table in ["doubles", "singles"] {
        let theirs = format!("SELECT v::text FROM {table} ORDER BY place");
        let theirs: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(theirs)).fetch_all(&mut judge).await.unwrap();
        let arguments = json!({ "query": format!("SELECT v FROM {table} ORDER BY place"), "maxRows": 10000 });
        let (content, _) = client.run(arguments).await;
        let start = content.find('[').unwrap() + 1;
        let ours = content[start..content.find(']').unwrap()]
            .split(',')
            .map(|row| row.trim_start_matches("{\"v\":").trim_end_matches('}'));
        let differing: Vec<(&str, &String)> = ours.zip(&theirs).filter(|(ours, theirs)| ours != theirs).collect();
        assert!(
            differing.is_empty(),
            "{table}: {} differ, first {:?}",
            differing.len(),
            &differing[..differing.len().min(5)]
        );
    }
    judge.close().await.unwrap();
}

#[tokio::test]
async fn text_that_is_not_utf8_is_an_error_that_names_the_column() {
    let postgres = shared_postgres().await;
    let mut superuser = postgres.superuser("postgres").await.unwrap();
    sqlx::raw_sql("CREATE DATABASE bytes_only ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        .execute(&mut superuser)
        .await
        .unwrap();
    let mut database = postgres.superuser("bytes_only").await.unwrap();
    // Before PostgreSQL 15 everybody may create in public, and no names are looked up where the role could create.
    let sql = format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         CREATE TABLE words (word text); INSERT INTO words VALUES (E'\\xff'); GRANT SELECT ON words TO {}",
        harness::postgres::READER
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
    let server = McpServer::start(ServerOptions::new(postgres.reader_url("bytes_only"))).await.unwrap();
    let error = Client::open(&server).await.error(json!({ "query": "SELECT word FROM words" })).await;
    assert_eq!(error["code"], "EXECUTION_ERROR");
    assert!(error["message"].as_str().unwrap().contains("word"), "{error}");
}

#[tokio::test]
async fn timestamps_are_shown_and_read_in_the_zone_that_is_set() {
    let server = shop_server_with(&[("TIMEZONE", "Asia/Kolkata")]).await;
    let query = "SELECT '2024-01-01 00:00+00'::timestamptz AS shown, $1::timestamptz = '2024-01-01 00:00+00' AS same";
    let rows = Client::open(&server).await.rows(query, json!(["2024-01-01 05:30"])).await;
    assert_eq!(rows.rows.get(), r#"[{"shown":"2024-01-01T05:30:00+05:30","same":true}]"#);
}
