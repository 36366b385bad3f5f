//! `get_foreign_keys`: what a table points to, and what points to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PageSize;
use crate::catalog::ForeignKey;

/// Name of the tool in the registry.
pub const NAME: &str = "get_foreign_keys";

/// Arguments of `get_foreign_keys`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetForeignKeysInput {
    /// The table.
    pub table_name: String,
    /// Default: first of the search_path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Most keys.
    #[serde(default)]
    pub limit: PageSize,
    /// next_cursor of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What `get_foreign_keys` answers. A key of a table to itself stands on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GetForeignKeysOutput {
    /// The table.
    pub table_name: String,
    /// Its schema.
    pub schema_name: String,
    /// Its own keys, by name.
    pub outgoing: Vec<ForeignKey>,
    /// Keys of tables that point to it, by table and name.
    pub incoming: Vec<ForeignKey>,
    /// Number of its own on all pages.
    pub outgoing_count: usize,
    /// Number of those that point to it on all pages.
    pub incoming_count: usize,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
}
