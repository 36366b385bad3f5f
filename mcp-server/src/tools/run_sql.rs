//! `run_sql`: one read-only statement with bound parameters.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_protocol::tool::run_sql::{NAME, ResultColumn, RunSqlInput, RunSqlOutput};

use super::arguments::{parse, positive};
use super::definition::{described_output, input_schema, output_schema};
use super::statement::{Page, Request, milliseconds, page, with_rows};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};

/// The tool.
#[derive(Debug)]
pub struct RunSql;

const DESCRIPTION: &str = "Run one read-only SQL statement (SELECT, VALUES, TABLE or WITH ... SELECT) on PostgreSQL and get its \
rows as JSON. Values go into params and stand in the query as $1, $2 ... Look at describe_table first. A page that is cut has nextCursor. \
Example: {\"query\": \"SELECT id, email FROM users WHERE created_at >= $1 ORDER BY created_at DESC LIMIT $2\", \
\"params\": [\"2024-01-01\", 5]}";

#[async_trait]
impl Tool for RunSql {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Run a SELECT",
            description: DESCRIPTION,
            input_schema: input_schema::<RunSqlInput>(),
            output_schema: output_schema::<RunSqlOutput>(),
            described_output: described_output::<RunSqlOutput>,
            is_idempotent: false,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: RunSqlInput = parse(arguments)?;
        positive("maxRows", Some(input.max_rows))?;
        positive("timeoutMs", input.timeout_ms)?;
        let request = Request {
            sql: &input.query,
            params: &input.params,
            database: input.database.as_deref(),
            max_rows: input.max_rows,
            timeout_ms: input.timeout_ms,
            timeout_argument: Some("timeoutMs"),
            cursor: input.cursor.as_deref(),
            explain: None,
        };
        let mut page = page(context, request, call).await?;
        let memory = std::mem::take(&mut page.rows.memory);
        Ok(ToolOutput { rows: page.rows.row_count, json: to_json(page), memory })
    }
}

/// The output as JSON text: [`RunSqlOutput`], but without reading the rows again.
fn to_json(page: Page) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct AllButRows {
        row_count: u64,
        execution_time_ms: f64,
        columns: Vec<ResultColumn>,
        truncated: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    }
    let Page { rows, next_cursor, warnings, .. } = page;
    let rest = AllButRows {
        row_count: rows.row_count,
        execution_time_ms: milliseconds(rows.elapsed),
        columns: rows.columns,
        truncated: rows.truncated,
        next_cursor,
        warnings,
    };
    with_rows(rows.json, &rest)
}
