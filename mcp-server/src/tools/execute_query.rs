//! `execute_query`: one read-only statement, page by page, for callers that think in SQL.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_protocol::tool::execute_query::{ExecuteQueryInput, ExecuteQueryOutput, NAME, QueryColumn};

use super::arguments::{parse, positive};
use super::definition::{described_output, input_schema, output_schema};
use super::statement::{Page, Request, milliseconds, page, query_columns, with_rows};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};

/// The tool.
#[derive(Debug)]
pub(super) struct ExecuteQuery;

const DESCRIPTION: &str = "Run one read-only statement and get its rows page by page: send it again with cursor = next_cursor for the \
next page. Look at describe_table first; explain_query tells why one is slow. Values go into params as $1, $2 ... \
Example: {\"sql\": \"SELECT id, email FROM users WHERE id > $1 ORDER BY id\", \"params\": [100], \"limit\": 50}";

#[async_trait]
impl Tool for ExecuteQuery {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Run a SELECT, page by page",
            description: DESCRIPTION,
            input_schema: input_schema::<ExecuteQueryInput>(),
            output_schema: output_schema::<ExecuteQueryOutput>(),
            described_output: described_output::<ExecuteQueryOutput>,
            is_idempotent: false,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: ExecuteQueryInput = parse(arguments)?;
        positive("timeout_ms", input.timeout_ms)?;
        let request = Request {
            sql: &input.sql,
            params: &input.params,
            database: input.database.as_deref(),
            max_rows: input.limit.get().into(),
            timeout_ms: input.timeout_ms,
            timeout_argument: Some("timeout_ms"),
            cursor: input.cursor.as_deref(),
            explain: None,
        };
        let mut page = page(context, request, call).await?;
        // The statement passed the guard, so it has one.
        let query_hash = context.guard.fingerprint(&input.sql).await?;
        let memory = std::mem::take(&mut page.rows.memory);
        Ok(ToolOutput { rows: page.rows.row_count, json: to_json(page, query_hash), memory })
    }
}

/// The output as JSON text: [`ExecuteQueryOutput`], but without reading the rows again.
fn to_json(page: Page, query_hash: String) -> String {
    #[derive(Serialize)]
    struct AllButRows {
        columns: Vec<QueryColumn>,
        row_count: u64,
        has_more: bool,
        next_cursor: Option<String>,
        execution_time_ms: f64,
        query_hash: String,
        warnings: Option<Vec<String>>,
    }
    let columns = query_columns(&page);
    let Page { rows, next_cursor, warnings, .. } = page;
    let rest = AllButRows {
        columns,
        row_count: rows.row_count,
        has_more: rows.truncated,
        next_cursor,
        execution_time_ms: milliseconds(rows.elapsed),
        query_hash,
        warnings: (!warnings.is_empty()).then_some(warnings),
    };
    with_rows(rows.json, &rest)
}
