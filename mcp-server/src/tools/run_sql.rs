//! `run_sql`: one read-only statement with bound parameters.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_protocol::error::ErrorCode;
use shared_protocol::tool::run_sql::{NAME, ResultColumn, RunSqlInput, RunSqlOutput};
use sql_guard::{CheckedQuery, Rejection};

use super::arguments::parse;
use super::definition::{input_schema, output_schema};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};
use crate::catalog::Snapshot;
use crate::executor::{PageLimit, RowSet, RunLimits};

/// The tool.
#[derive(Debug)]
pub struct RunSql;

const DESCRIPTION: &str = "Run one read-only SQL statement (SELECT, VALUES, TABLE or WITH ... SELECT) on PostgreSQL and get its \
rows as JSON. Values go into params and stand in the query as $1, $2 ...; write each value there rather than into the text. \
Read the resource postgres://{database}/catalog first to learn tables, columns and keys. Statements that write, lock, or call \
functions with side effects are refused with a code and a suggestion. \
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
        let limits = limits(context, &input, call)?;
        let database = context.database(input.database.as_deref())?;
        let (query, snapshot) = call.within(limits.timeout, checked(context, &input.query)).await??;
        if query.placeholders() != input.params.len() {
            return Err(wrong_count(query.placeholders(), input.params.len()));
        }
        let relations = query.relations().to_vec();
        let types = Arc::clone(&snapshot);
        let rows = context.executor.run(database, query, input.params, limits, types, &call.cancel).await;
        let rows = rows.map_err(|error| ToolError::Execute {
            error,
            columns: snapshot.columns_of(&relations).map(str::to_owned).collect(),
            sql: input.query,
        })?;
        Ok(ToolOutput { rows: rows.row_count, json: to_json(rows) })
    }
}

/// What the call may take: its own wishes, within the server's bounds.
fn limits(context: &ToolContext, input: &RunSqlInput, call: &Call) -> Result<RunLimits, ToolError> {
    for (name, value) in [("maxRows", Some(input.max_rows)), ("timeoutMs", input.timeout_ms)] {
        if value == Some(0) {
            return Err(ToolError::Arguments {
                message: format!("argument {name:?} is 0"),
                suggestion: Some("Accepted is a whole number from 1; the server's own bound holds too.".to_owned()),
            });
        }
    }
    let timeout = input.timeout_ms.map_or(context.limits.statement_timeout, Duration::from_millis);
    Ok(RunLimits {
        max_rows: input.max_rows.min(context.limits.max_rows),
        page: PageLimit { bytes: call.page_bytes, copies: call.copies },
        timeout: timeout.min(context.limits.max_statement_timeout),
    })
}

/// The statement, judged against the catalog; against a fresh one where it names a relation that the old one lacks.
async fn checked(context: &ToolContext, text: &str) -> Result<(CheckedQuery, Arc<Snapshot>), ToolError> {
    let snapshot = context.catalogs.current().await?;
    let rejection: Rejection = match context.guard.check(text, Arc::<Snapshot>::clone(&snapshot)).await {
        Ok(query) => return Ok((query, snapshot)),
        Err(rejection) => rejection,
    };
    if rejection.code != ErrorCode::TableNotFound {
        return Err(rejection.into());
    }
    let newer = context.catalogs.after_unknown_name(&snapshot).await?;
    if Arc::ptr_eq(&newer, &snapshot) {
        return Err(rejection.into());
    }
    let query = context.guard.check(text, Arc::<Snapshot>::clone(&newer)).await?;
    Ok((query, newer))
}

fn wrong_count(expected: usize, given: usize) -> ToolError {
    ToolError::Arguments {
        message: format!("the statement has {expected} parameter(s) and {given} value(s) were given"),
        suggestion: Some(match expected {
            0 => "Leave params out, or write $1, $2 ... where its values belong.".to_owned(),
            _ => format!("Give one value in params for each of $1 to ${expected}."),
        }),
    }
}

/// The output as JSON text, the rows as the executor wrote them: [`RunSqlOutput`], but without reading them again.
fn to_json(rows: RowSet) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct AllButRows<'a> {
        row_count: u64,
        execution_time_ms: f64,
        columns: &'a [ResultColumn],
        truncated: bool,
    }
    let rest = AllButRows {
        row_count: rows.row_count,
        execution_time_ms: (rows.elapsed.as_secs_f64() * 1_000_000.0).round() / 1000.0,
        columns: &rows.columns,
        truncated: rows.truncated,
    };
    let rest = serde_json::to_string(&rest).expect("plain data");
    let rest = rest.strip_prefix('{').expect("a struct is an object");
    format!("{{\"rows\":{},{rest}", rows.json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_it_writes_is_its_output_type() {
        let rows = RowSet {
            json: r#"[{"a":1.10}]"#.to_owned(),
            row_count: 1,
            columns: vec![ResultColumn { name: "a".to_owned(), r#type: "numeric".to_owned() }],
            truncated: false,
            elapsed: Duration::from_micros(1500),
        };
        let text = to_json(rows);
        let output: RunSqlOutput = serde_json::from_str(&text).unwrap();
        assert_eq!(output.rows.get(), r#"[{"a":1.10}]"#);
        assert_eq!(output.row_count, 1);
        assert!((output.execution_time_ms - 1.5).abs() < 1e-9);
    }
}
