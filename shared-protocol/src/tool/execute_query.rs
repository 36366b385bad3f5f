//! `execute_query`: one read-only statement, page by page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Bounded;
use super::run_sql::is_false;

/// Name of the tool in the registry.
pub const NAME: &str = "execute_query";

/// Arguments of `execute_query`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteQueryInput {
    /// One SELECT, VALUES, TABLE or WITH … SELECT.
    pub sql: String,
    /// Values of $1, $2 …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Value>,
    /// Most rows.
    #[serde(default)]
    pub limit: Bounded<1, 10_000, 1000>,
    /// Most milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// next_cursor of the page before, with the same sql and params.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What `execute_query` answers. `rows` is the JSON text that the server wrote, digits untouched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ExecuteQueryOutput {
    /// The columns in order; a name that came twice has a number behind it.
    pub columns: Vec<QueryColumn>,
    /// One object per row, keyed by column name.
    #[schemars(with = "Vec<Map<String, Value>>")]
    pub rows: Box<RawValue>,
    /// Number of rows returned.
    pub row_count: u64,
    /// Whether there are more rows.
    pub has_more: bool,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
    /// Milliseconds that PostgreSQL and the encoder took.
    pub execution_time_ms: f64,
    /// The same for statements that differ in white space, comments and literals alone.
    pub query_hash: String,
    /// What the caller should know about the rows.
    pub warnings: Option<Vec<String>>,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct QueryColumn {
    /// Key of the column's values in `rows`.
    pub name: String,
    /// `format_type`'s name of its type, e.g. `bigint`.
    pub data_type: String,
    /// Whether policy hides its values: `***` stands for each that isn't null.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masked: bool,
}
