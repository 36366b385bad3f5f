//! `refresh_schema`: reads a database's catalog again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the tool in the registry.
pub const NAME: &str = "refresh_schema";

/// Arguments of `refresh_schema`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshSchemaInput {
    /// Default: all databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What `refresh_schema` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefreshSchemaOutput {
    /// By name.
    pub databases: Vec<RefreshedDatabase>,
}

/// A database whose catalog was read again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct RefreshedDatabase {
    /// Its name.
    pub name: String,
    /// Number of tables and views that the caller may see.
    pub tables: usize,
    /// Milliseconds that it took.
    pub duration_ms: f64,
    /// Whether the caller sees anything else than before.
    pub changed: bool,
}
