//! `list_schemas`: the schemas of a database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PageSize;

/// Name of the tool in the registry.
pub const NAME: &str = "list_schemas";

/// Arguments of `list_schemas`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSchemasInput {
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Also PostgreSQL's own.
    #[serde(default)]
    pub include_system: bool,
    /// Most entries.
    #[serde(default)]
    pub limit: PageSize,
    /// next_cursor of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What `list_schemas` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListSchemasOutput {
    /// By name.
    pub schemas: Vec<ListedSchema>,
    /// Number on all pages.
    pub total_count: usize,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedSchema {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: Option<String>,
    /// Its comment.
    pub description: Option<String>,
    /// Number of tables and views in it that the caller may see.
    pub table_count: usize,
}
