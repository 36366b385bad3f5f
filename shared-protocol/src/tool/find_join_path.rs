//! `find_join_path`: how two tables are joined along foreign keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bounded;

/// Name of the tool in the registry.
pub const NAME: &str = "find_join_path";

/// How many joins a path may have.
pub type Depth = Bounded<1, 6, 4>;

/// Arguments of `find_join_path`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindJoinPathInput {
    /// Where the path starts.
    pub from_table: String,
    /// Where it ends.
    pub to_table: String,
    /// Default: first of the search_path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_schema: Option<String>,
    /// Default: first of the search_path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_schema: Option<String>,
    /// Most joins.
    #[serde(default)]
    pub max_depth: Depth,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What `find_join_path` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindJoinPathOutput {
    /// Where the paths start, as schema.table.
    pub from_table: String,
    /// Where they end, as schema.table.
    pub to_table: String,
    /// The shortest paths, at most ten.
    pub paths: Vec<JoinPath>,
    /// Number of paths given.
    pub paths_found: usize,
    /// What else there is to know.
    pub note: Option<String>,
}

/// One way from one table to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct JoinPath {
    /// The joins in order.
    pub steps: Vec<JoinStep>,
    /// Number of joins.
    pub depth: usize,
    /// A statement that runs as it is.
    pub sql_example: String,
}

/// One join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct JoinStep {
    /// The table that is there already.
    pub from_table: String,
    /// Its schema.
    pub from_schema: String,
    /// Its column; of a composite key, the first.
    pub from_column: String,
    /// The table that is joined.
    pub to_table: String,
    /// Its schema.
    pub to_schema: String,
    /// Its column; of a composite key, the first.
    pub to_column: String,
    /// Of a composite key, all columns of the table that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_columns: Option<Vec<String>>,
    /// Of a composite key, all columns of the joined table, each the pair of the one at its place in `from_columns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_columns: Option<Vec<String>>,
    /// How it is joined.
    pub join_type: JoinType,
    /// Name of the foreign key.
    pub constraint_name: String,
}

/// How a table is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum JoinType {
    /// Every row has its partner.
    #[serde(rename = "INNER JOIN")]
    Inner,
    /// Rows without a partner stay.
    #[serde(rename = "LEFT JOIN")]
    Left,
}

impl JoinType {
    /// As SQL has it.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::Inner => "INNER JOIN",
            Self::Left => "LEFT JOIN",
        }
    }
}
