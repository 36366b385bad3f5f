//! What a question's answer holds: plain data. Rows are the bytes that the server wrote.
//!
//! No type here flattens, tags or is untagged: serde would read the rows into a tree, and digits would change.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared_protocol::tool::run_sql::ResultColumn;

use crate::translator::Usage;

/// The answer to one question.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The question as it came, trimmed.
    pub question: String,
    /// Our name of the database that answered.
    pub database: String,
    /// The statement that ran.
    pub sql: String,
    /// Its parameters, `$1` first.
    pub params: Vec<Value>,
    /// The columns in order.
    pub columns: Vec<ResultColumn>,
    /// One object per row, keyed by column name.
    pub rows: Box<RawValue>,
    /// Number of rows.
    #[serde(rename = "rowCount")]
    pub row_count: u64,
    /// Whether more rows are there than were fetched.
    pub truncated: bool,
    /// Milliseconds that PostgreSQL and the server's encoder took.
    #[serde(rename = "executionTimeMs")]
    pub execution_time_ms: f64,
    /// What the rows are, in one sentence.
    pub summary: Option<String>,
    /// A judge's score from 0 to 10; `null` where nobody judged.
    pub confidence: Option<u8>,
    /// Why the score was given, or which checks passed.
    pub verdict: String,
    /// The free checks.
    pub checks: Vec<Check>,
    /// How the question was read, in words.
    pub reading: Option<String>,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
    /// What the caller should know of the answer.
    pub warnings: Vec<String>,
    /// Who wrote the statement: `offline`, or `llm:` and the model.
    pub translator: String,
    /// Which attempt stands, from 1.
    pub attempts: u32,
    /// Id of the request, as in the logs.
    pub request_id: String,
    /// Where the time went.
    pub timings_ms: Timings,
    /// What the language model took, over all attempts.
    pub usage: Usage,
    /// The translator's plan, `null` where it has none; only with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// What the translator was shown; only with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ShownContext>,
}

/// A check of the rows that needs no model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether nothing was found.
    pub passed: bool,
    /// What was found, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Milliseconds by stage, over all attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Choosing the database.
    pub route: f64,
    /// Getting its schema.
    pub context: f64,
    /// Writing the statement.
    pub generate: f64,
    /// The early guard.
    pub validate: f64,
    /// Running it.
    pub execute: f64,
    /// Checking the rows.
    pub verify: f64,
    /// All of it.
    pub total: f64,
}

/// The part of the schema that the translator was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownContext {
    /// The tables and views.
    pub tables: Vec<ShownTable>,
}

/// One table that the translator was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownTable {
    /// Its name with the schema.
    pub name: String,
    /// Its columns in order.
    pub columns: Vec<String>,
}
