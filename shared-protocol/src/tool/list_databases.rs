//! `list_databases`: which databases there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PageSize;

/// Name of the tool in the registry.
pub const NAME: &str = "list_databases";

/// Arguments of `list_databases`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDatabasesInput {
    /// Most entries.
    #[serde(default)]
    pub limit: PageSize,
    /// next_cursor of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What `list_databases` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListDatabasesOutput {
    /// By name.
    pub databases: Vec<ListedDatabase>,
    /// Number on all pages.
    pub total_count: usize,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A database; what isn't known while it can't be reached is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedDatabase {
    /// What to call it by in `database`.
    pub name: String,
    /// Its comment.
    pub description: Option<String>,
    /// Whether calls that name no database mean it.
    pub is_default: bool,
    /// Number of schemas that the caller may see.
    pub schema_count: Option<usize>,
    /// Number of tables and views that the caller may see.
    pub table_count: Option<usize>,
    /// Its size on disk.
    pub size_bytes: Option<i64>,
    /// The same for people.
    pub size_pretty: Option<String>,
    /// When its catalog was read, in ISO 8601; `null` where policy hides anything of it.
    pub schema_loaded_at: Option<String>,
    /// Whether it can be asked.
    pub status: DatabaseStatus,
    /// Changes when what this caller may see of its catalog changes.
    pub fingerprint: Option<String>,
}

/// Whether a database can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DatabaseStatus {
    /// It can.
    Available,
    /// It can't be reached at present; what is known of its catalog is still told.
    Unavailable,
    /// Its role could do more than read, so nothing runs there.
    Refused,
}
