//! Clients that nobody here wrote, in the versions that `scripts/setup --tests` installs: the official SDKs and the
//! Inspector. Their own code lies in `mcp-server/tests/clients/`; what they print is compared here.

mod inspector;
mod rust;
mod sdks;

use std::path::PathBuf;

use harness::process::binary;
use harness::{SHOP, shared_postgres};
use serde_json::Value;

/// Each of them must be listed.
const TOOLS: [&str; 12] = [
    "describe_table",
    "execute_query",
    "explain_query",
    "find_join_path",
    "get_foreign_keys",
    "get_sample_rows",
    "list_databases",
    "list_schemas",
    "list_tables",
    "refresh_schema",
    "run_sql",
    "search_schema",
];

/// What every SDK calls run_sql with, and how its answer begins: digits that a float would lose.
const QUERY: &str = "SELECT 1.10::numeric AS a, 9223372036854775807 AS b";
const DIGITS: &str = r#"{"rows":[{"a":1.10,"b":9223372036854775807}],"rowCount":1,"#;

/// What `scripts/setup --tests` wrote down for the tests.
pub(crate) fn installed(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is set by `. scripts/environment` after `scripts/setup --tests`")).into()
}

/// The program as clients start it over stdio, and its environment: the shop, read by the reader role.
async fn stdio_server() -> (PathBuf, [(&'static str, String); 3]) {
    let url = shared_postgres().await.reader_url(SHOP);
    let env =
        [("DATABASE_URL", url), ("POSTGRES_DATABASES", SHOP.to_owned()), ("POSTGRES_SSLMODE", "disable".to_owned())];
    (binary("mcp-server").unwrap(), env)
}

fn catalog_uri() -> String {
    format!("postgres://{SHOP}/catalog")
}

/// The client lists every tool.
fn check_tools(names: &[&str]) {
    let missing: Vec<_> = TOOLS.iter().filter(|tool| !names.contains(tool)).collect();
    assert!(missing.is_empty(), "{missing:?} aren't in {names:?}");
}

/// The client shows the answer to [`QUERY`] with every digit.
fn check_digits(result: &Value) {
    assert_eq!(result["isError"], false, "{result}");
    assert!(result["content"][0]["text"].as_str().unwrap().starts_with(DIGITS), "{result}");
    assert_eq!(result["structuredContent"]["columns"][1]["type"], "int8", "{result}");
}

/// The client shows the refusal of a DROP with its code and what to do instead, as text and as structured content.
fn check_refusal(result: &Value) {
    assert_eq!(result["isError"], true, "{result}");
    let structured = &result["structuredContent"];
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    for shown in [structured, &text] {
        assert_eq!(shown["error"]["code"], "WRITE_OPERATION_DENIED", "{result}");
        assert!(shown["error"]["suggestion"].as_str().unwrap().contains("SELECT"), "{result}");
    }
}

/// The client reads the shop's catalog.
fn check_catalog(contents: &Value) {
    assert_eq!((&contents["uri"], &contents["mimeType"]), (&catalog_uri().into(), &"application/json".into()));
    let catalog: Value = serde_json::from_str(contents["text"].as_str().unwrap()).unwrap();
    assert_eq!(catalog["database"], SHOP);
    assert!(catalog["tables"].as_array().unwrap().iter().any(|table| table["table_name"] == "users"), "{catalog}");
}
