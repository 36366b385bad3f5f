//! `search_schema`: tables and columns by words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bounded;

/// Name of the tool in the registry.
pub const NAME: &str = "search_schema";

/// Arguments of `search_schema`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSchemaInput {
    /// Words to look for.
    pub text: String,
    /// Most matches.
    #[serde(default)]
    pub limit: Bounded<1, 500, 20>,
    /// next_cursor of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What `search_schema` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchSchemaOutput {
    /// Best first.
    pub matches: Vec<SchemaMatch>,
    /// Number on all pages.
    pub total_count: usize,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A table or column that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct SchemaMatch {
    /// The schema.
    pub schema_name: String,
    /// The table.
    pub table_name: String,
    /// The column; `null` where the table itself was found.
    pub column_name: Option<String>,
    /// By what it was found.
    pub kind: MatchKind,
    /// From 0 to 1.
    pub score: f64,
    /// Its comment.
    pub description: Option<String>,
}

/// What of a table or column the words were found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum MatchKind {
    /// A table's or view's name.
    Table,
    /// A column's name.
    Column,
    /// A comment.
    Comment,
    /// A label of a column's enum type.
    EnumValue,
    /// A value that stands in a column.
    SampledValue,
}
