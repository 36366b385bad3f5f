//! `get_sample_rows`: a few rows of a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Bounded;
use super::execute_query::QueryColumn;

/// Name of the tool in the registry.
pub const NAME: &str = "get_sample_rows";

/// Arguments of `get_sample_rows`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSampleRowsInput {
    /// Table or view.
    pub table_name: String,
    /// Default: first of the search_path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Most rows.
    #[serde(default)]
    pub limit: Bounded<1, 100, 5>,
    /// Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Condition as SQL, e.g. "status = 'paid'".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub where_clause: Option<String>,
    /// Random rows instead of the first.
    #[serde(default)]
    pub randomize: bool,
}

/// What `get_sample_rows` answers. `rows` is the JSON text that the server wrote, digits untouched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GetSampleRowsOutput {
    /// The table.
    pub table_name: String,
    /// Its schema.
    pub schema_name: String,
    /// The columns in order.
    pub columns: Vec<QueryColumn>,
    /// One object per row, keyed by column name.
    #[schemars(with = "Vec<Map<String, Value>>")]
    pub rows: Box<RawValue>,
    /// Number of rows returned.
    pub row_count: u64,
    /// Exact under 10,000 rows, else the planner's estimate, or `null`; the note says which.
    pub total_table_rows: Option<i64>,
    /// How the rows were chosen, and what `total_table_rows` is.
    pub note: Option<String>,
}
