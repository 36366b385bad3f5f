//! `list_tables`: the tables and views of a schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PageSize, yes};
use crate::catalog::TableKind;

/// Name of the tool in the registry.
pub const NAME: &str = "list_tables";

/// Arguments of `list_tables`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListTablesInput {
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Default: first of the search_path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    /// Also views.
    #[serde(default = "yes")]
    pub include_views: bool,
    /// LIKE pattern, e.g. "order%".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_pattern: Option<String>,
    /// Most entries.
    #[serde(default)]
    pub limit: PageSize,
    /// next_cursor of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What `list_tables` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListTablesOutput {
    /// By name. Partitions are counted under their parent, not listed.
    pub tables: Vec<ListedTable>,
    /// The schema.
    pub schema_name: String,
    /// Number on all pages.
    pub total_count: usize,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedTable {
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema_name: String,
    /// What it is.
    pub r#type: TableKind,
    /// Its comment.
    pub description: Option<String>,
    /// The planner's estimate; `null` where it was never analysed, and for views.
    pub estimated_row_count: Option<i64>,
    /// Size on disk with its indexes; `null` for views.
    pub size_bytes: Option<i64>,
    /// The same for people.
    pub size_pretty: Option<String>,
    /// Whether it has a primary key.
    pub has_primary_key: bool,
    /// Number of columns that the caller may see.
    pub column_count: usize,
    /// Number of partitions, where it is partitioned.
    pub partition_count: Option<i64>,
    /// What else there is to know.
    pub note: Option<String>,
}
