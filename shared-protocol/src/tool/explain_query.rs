//! `explain_query`: how PostgreSQL would run a statement, or how it ran.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run_sql::is_false;

/// Name of the tool in the registry.
pub const NAME: &str = "explain_query";

/// Arguments of `explain_query`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQueryInput {
    /// The statement, without EXPLAIN.
    pub sql: String,
    /// Values of $1, $2 …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Value>,
    /// Run it and say what really happened.
    #[serde(default, skip_serializing_if = "is_false")]
    pub analyze: bool,
    /// Form of the plan.
    #[serde(default)]
    pub format: PlanFormat,
    /// Also output columns.
    #[serde(default, skip_serializing_if = "is_false")]
    pub verbose: bool,
    /// Also blocks read; needs analyze.
    #[serde(default, skip_serializing_if = "is_false")]
    pub buffers: bool,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// The form of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum PlanFormat {
    /// Lines to read.
    #[default]
    Text,
    /// A JSON document.
    Json,
    /// A YAML document.
    Yaml,
}

/// What `explain_query` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainQueryOutput {
    /// The plan: a text, or the document itself where the format is `json`.
    pub plan: Value,
    /// Its form.
    pub format: PlanFormat,
    /// The planner's cost of the whole.
    pub estimated_cost: Option<f64>,
    /// Rows that the planner expects.
    pub estimated_rows: Option<f64>,
    /// Milliseconds that it really took, where it was run.
    pub actual_time_ms: Option<f64>,
    /// What makes it slow, and what would help.
    pub warnings: Option<Vec<String>>,
}
