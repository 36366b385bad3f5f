//! `run_sql`: one read-only statement with bound parameters. The agent's tool, hence camelCase.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Name of the tool in the registry.
pub const NAME: &str = "run_sql";

/// Most rows that a call gets when it names no number.
pub const DEFAULT_MAX_ROWS: u64 = 1000;

/// Arguments of `run_sql`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSqlInput {
    /// One SELECT, VALUES, TABLE or WITH … SELECT statement. $1, $2 … stand for the parameters.
    pub query: String,
    /// Values of $1, $2 …; each is bound with the type that PostgreSQL infers. Send numbers over 64 bits or 17 digits as strings.
    #[serde(default)]
    pub params: Vec<Value>,
    /// Which database; the default one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Most rows to return; the server's own cap holds too.
    #[serde(default = "default_max_rows")]
    #[schemars(range(min = 1))]
    pub max_rows: u64,
    /// Milliseconds that the statement may take; the server's own bound holds too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// nextCursor of the page before, with the same query and params.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// For fields that are sent only when they are true.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

fn default_max_rows() -> u64 {
    DEFAULT_MAX_ROWS
}

/// What `run_sql` answers. `rows` is the JSON text that the server wrote, digits untouched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSqlOutput {
    /// One object per row, keyed by column name.
    #[schemars(with = "Vec<Map<String, Value>>")]
    pub rows: Box<RawValue>,
    /// Number of rows returned.
    pub row_count: u64,
    /// Milliseconds that PostgreSQL and the encoder took.
    pub execution_time_ms: f64,
    /// The columns in order; a name that came twice has a number behind it.
    pub columns: Vec<ResultColumn>,
    /// Whether a row or byte cap cut the rows.
    pub truncated: bool,
    /// Where the next page begins, where a cap has left rows out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// What the caller should know about the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct ResultColumn {
    /// Key of the column's values in `rows`.
    pub name: String,
    /// `pg_type.typname`, e.g. `int8`.
    pub r#type: String,
    /// Whether policy hides its values: `***` stands for each that isn't null.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masked: bool,
}
