//! `run_sql`: one read-only statement with bound parameters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_protocol::error::ErrorCode;
use shared_protocol::tool::run_sql::{NAME, ResultColumn, RunSqlInput, RunSqlOutput};
use sql_guard::{CheckedQuery, Rejection};

use super::arguments::parse;
use super::definition::{input_schema, output_schema};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};
use crate::catalog::{CatalogCache, Snapshot, Visible};
use crate::executor::{CostLimits, ExecuteError, PageLimit, RowSet, Run, RunLimits};
use crate::policy::Rules;

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
        let catalog = context.catalog(input.database.as_deref())?;
        let rules = context.policies.rules(catalog.database().name(), &call.caller);
        let limits = limits(context, &rules, &input, call)?;
        let statement = Statement { context, catalog: &catalog, rules: &rules, input: &input, call, limits };
        let mut rows = match statement.attempt(statement.judged()).await {
            Err(ToolError::Execute { error: ExecuteError::StaleCatalog, .. }) => {
                statement.attempt(statement.judged_anew(Instant::now())).await?
            }
            rows => rows?,
        };
        let memory = std::mem::take(&mut rows.memory);
        Ok(ToolOutput { rows: rows.row_count, json: to_json(rows), memory })
    }
}

/// What the call may take: its own wishes, within the policy's bounds and the server's.
fn limits(context: &ToolContext, rules: &Rules, input: &RunSqlInput, call: &Call) -> Result<RunLimits, ToolError> {
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
        max_rows: input.max_rows.min(context.limits.max_rows).min(rules.limits.max_rows.unwrap_or(u64::MAX)),
        page: PageLimit { bytes: call.page_bytes, copies: call.copies },
        timeout: timeout
            .min(context.limits.max_statement_timeout)
            .min(rules.limits.statement_timeout.unwrap_or(Duration::MAX)),
        cost: CostLimits {
            max_cost: rules.limits.max_cost,
            max_estimated_rows: rules.limits.max_estimated_rows,
            deny_seq_scan_over_rows: rules.limits.deny_seq_scan_over_rows,
        },
    })
}

/// One statement of a caller's, and what it may take.
struct Statement<'a> {
    context: &'a ToolContext,
    catalog: &'a CatalogCache,
    rules: &'a Rules,
    input: &'a RunSqlInput,
    call: &'a Call,
    limits: RunLimits,
}

/// A statement that may run, and the catalog by which it may.
type Judged = (CheckedQuery, Arc<Visible>);

impl Statement<'_> {
    /// Judges it and runs it. A turn is taken before it is judged, so that nobody's many statements keep the guard from another's.
    async fn attempt(&self, judged: impl Future<Output = Result<Judged, ToolError>>) -> Result<RowSet, ToolError> {
        let Self { context, catalog, rules, input, call, limits } = self;
        let turn = context.executor.turn(&call.caller, rules.limits.max_concurrent_queries);
        let turn = call.within(limits.timeout, turn).await?.map_err(|error| self.failed(error, Vec::new(), false))?;
        let (query, visible) = call.within(limits.timeout, judged).await??;
        // Set once: a second judgement of the statement is of the same relations.
        let _ = call.touched.set(query.relations().to_vec());
        if query.placeholders() != input.params.len() {
            return Err(wrong_count(query.placeholders(), input.params.len()));
        }
        let relations = query.relations().to_vec();
        let settings = rules.limits.session.clone();
        let run = Run { query, params: input.params.clone(), settings, limits: *limits };
        let rows =
            context.executor.run(turn, catalog.database(), run, Arc::<Visible>::clone(&visible), &call.cancel).await;
        rows.map_err(|error| {
            let columns = relations.iter().flat_map(|name| visible.columns_of(&name.schema, &name.name)).collect();
            self.failed(error, columns, visible.access().restricts())
        })
    }

    fn failed(&self, error: ExecuteError, columns: Vec<String>, is_restricted: bool) -> ToolError {
        ToolError::Execute { error, columns, is_restricted, sql: self.input.query.clone() }
    }

    /// The statement, judged against the catalog; against a fresh one where it names a relation that the old one lacks.
    async fn judged(&self) -> Result<Judged, ToolError> {
        let snapshot = self.catalog.current().await?;
        let rejection = match self.judged_by(&snapshot).await {
            Err(ToolError::Rejected(rejection)) if rejection.code == ErrorCode::TableNotFound => rejection,
            judged => return judged,
        };
        let newer = self.catalog.after_unknown_name(&snapshot).await?;
        match Arc::ptr_eq(&newer, &snapshot) {
            true => Err(rejection.into()),
            false => self.judged_by(&newer).await,
        }
    }

    /// The statement, judged against the catalog as it is after `moment`, when a table turned out to have changed.
    async fn judged_anew(&self, moment: Instant) -> Result<Judged, ToolError> {
        let newer = self.catalog.read_after(moment).await?;
        self.judged_by(&newer).await
    }

    async fn judged_by(&self, snapshot: &Arc<Snapshot>) -> Result<Judged, ToolError> {
        let visible = self.catalog.visible(snapshot, self.rules).await;
        let visible = visible.map_err(|rejection| Rejection::clone(&rejection))?;
        let query = self.context.guard.check(&self.input.query, visible.access()).await?;
        Ok((query, visible))
    }
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
    // In place: a big result must not stand in memory twice.
    let mut json = rows.json;
    json.insert_str(0, "{\"rows\":");
    json.push(',');
    json.push_str(rest);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Reservation;

    #[test]
    fn the_text_it_writes_is_its_output_type() {
        let rows = RowSet {
            json: r#"[{"a":1.10}]"#.to_owned(),
            row_count: 1,
            columns: vec![ResultColumn { name: "a".to_owned(), r#type: "numeric".to_owned(), masked: false }],
            truncated: false,
            elapsed: Duration::from_micros(1500),
            memory: Reservation::default(),
        };
        let text = to_json(rows);
        let output: RunSqlOutput = serde_json::from_str(&text).unwrap();
        assert_eq!(output.rows.get(), r#"[{"a":1.10}]"#);
        assert_eq!(output.row_count, 1);
        assert!((output.execution_time_ms - 1.5).abs() < 1e-9);
    }
}
