//! One statement of a caller's on its way: judged, run within its bounds, and cut into pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use shared_protocol::error::ErrorCode;
use shared_protocol::tool::execute_query::QueryColumn;
use shared_protocol::tool::run_sql::ResultColumn;
use sql_guard::{CheckedQuery, Rejection};

use super::disclosure::tells_nothing_hidden;
use super::{Call, Failed, ToolContext, ToolError};
use crate::catalog::{CatalogCache, Snapshot, Visible};
use crate::executor::{Binding, CostLimits, ExecuteError, Explain, PageLimit, RowSet, Run, RunLimits};
use crate::policy::Rules;

/// What a caller asks to be run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) sql: &'a str,
    pub(super) params: &'a [Value],
    pub(super) database: Option<&'a str>,
    /// Most rows of the page.
    pub(super) max_rows: u64,
    /// The time that it asks for, if it does, in milliseconds.
    pub(super) timeout_ms: Option<u64>,
    /// What the tool calls that argument; nothing where it has none.
    pub(super) timeout_argument: Option<&'static str>,
    /// The cursor that the page before gave.
    pub(super) cursor: Option<&'a str>,
    /// The plan instead of the rows, where it may be told.
    pub(super) explain: Option<Explain>,
}

/// One page of a statement's rows.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: RowSet,
    /// Where the next one begins, where there is one.
    pub(super) next_cursor: Option<String>,
    /// What the caller should know of the rows.
    pub(super) warnings: Vec<String>,
    /// The catalog by which it was judged.
    pub(super) visible: Arc<Visible>,
}

/// A statement and what it may take.
struct Statement<'a> {
    context: &'a ToolContext,
    catalog: CatalogCache,
    rules: Arc<Rules>,
    request: Request<'a>,
    call: &'a Call,
    limits: RunLimits,
}

/// A statement that may run, and the catalog by which it may.
type Judged = (CheckedQuery, Arc<Visible>);

/// Runs what is asked for, up to the end of its page.
///
/// # Errors
/// [`ToolError`] where it may not run, can't, or failed.
pub(super) async fn page(context: &ToolContext, request: Request<'_>, call: &Call) -> Result<Page, ToolError> {
    let catalog = context.catalog(request.database)?;
    let rules = context.policies.rules(catalog.database().name(), &call.caller);
    let limits = limits(context, &rules, &request, call);
    let statement = Statement { context, catalog, rules, request, call, limits };
    match statement.attempt(statement.judged()).await {
        Err(ToolError::Execute(failed)) if matches!(failed.error, ExecuteError::StaleCatalog) => {
            statement.attempt(statement.judged_anew(Instant::now())).await
        }
        page => page,
    }
}

/// What the call may take: its own wishes, within the policy's bounds and the server's.
fn limits(context: &ToolContext, rules: &Rules, request: &Request<'_>, call: &Call) -> RunLimits {
    let timeout = request.timeout_ms.map_or(context.limits.statement_timeout, Duration::from_millis);
    RunLimits {
        max_rows: request.max_rows.min(context.limits.max_rows).min(rules.limits.max_rows.unwrap_or(u64::MAX)),
        page: PageLimit { bytes: call.page_bytes, copies: call.copies },
        timeout: timeout.min(most_time(context, rules)),
        cost: CostLimits {
            max_cost: rules.limits.max_cost,
            max_estimated_rows: rules.limits.max_estimated_rows,
            deny_seq_scan_over_rows: rules.limits.deny_seq_scan_over_rows,
        },
    }
}

/// Most time that a call of theirs may ask for.
fn most_time(context: &ToolContext, rules: &Rules) -> Duration {
    context.limits.max_statement_timeout.min(rules.limits.statement_timeout.unwrap_or(Duration::MAX))
}

impl Statement<'_> {
    /// Judges it and runs it. A turn is taken before it is judged, so that nobody's many statements keep the guard from another's.
    async fn attempt(&self, judged: impl Future<Output = Result<Judged, ToolError>>) -> Result<Page, ToolError> {
        let Self { context, catalog, rules, request, call, limits } = self;
        let turn = context.executor.turn(&call.caller, rules.limits.max_concurrent_queries);
        let turn = call.within(limits.timeout, turn).await?.map_err(|error| self.failed(error, Vec::new(), false))?;
        let (query, visible) = call.within(limits.timeout, judged).await??;
        // Set once: a second judgement of the statement is of the same relations.
        let _ = call.touched.set(query.relations().to_vec());
        if query.placeholders() != request.params.len() {
            return Err(wrong_count(query.placeholders(), request.params.len()));
        }
        if request.explain.is_some() {
            tells_nothing_hidden(&query, &visible)?;
        }
        let binding = self.binding(&visible);
        let offset = request.cursor.map_or(Ok(0), |cursor| context.cursors.take(cursor, &binding))?;
        let run = Run {
            query: query.clone(),
            params: request.params.to_vec(),
            offset,
            explain: request.explain,
            // Asked only where there is a limit to be over.
            tells_estimates: limits.cost.is_empty() || tells_nothing_hidden(&query, &visible).is_ok(),
            settings: rules.limits.session.clone(),
            limits: *limits,
        };
        let rows =
            context.executor.run(turn, catalog.database(), run, Arc::<Visible>::clone(&visible), &call.cancel).await;
        let rows = rows.map_err(|error| {
            let relations = query.relations().iter();
            let columns = relations.flat_map(|name| visible.columns_of(&name.schema, &name.name)).collect();
            self.failed(error, columns, visible.access().restricts())
        })?;
        // A result without columns has nothing that another page could show.
        let has_more = rows.truncated && !rows.timed_out && !rows.columns.is_empty();
        let next_cursor = has_more.then(|| context.cursors.give(offset + rows.row_count, &binding));
        let warnings = warnings(&query, &rows, next_cursor.is_some() || offset > 0, limits.timeout);
        Ok(Page { rows, next_cursor, warnings, visible })
    }

    /// What a cursor of this statement is good for.
    fn binding(&self, visible: &Visible) -> Binding {
        let Request { sql, params, .. } = self.request;
        Binding::new(sql, params, self.catalog.database().name(), &self.call.caller, visible.structure())
    }

    fn failed(&self, error: ExecuteError, columns: Vec<String>, is_restricted: bool) -> ToolError {
        let has_room = self.limits.timeout < most_time(self.context, &self.rules);
        ToolError::Execute(Box::new(Failed {
            error,
            columns,
            is_restricted,
            sql: self.request.sql.to_owned(),
            more_time: self.request.timeout_argument.filter(|_| has_room),
        }))
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
        let visible = self.catalog.visible(snapshot, &self.rules).await;
        let visible = visible.map_err(|rejection| Rejection::clone(&rejection))?;
        let query = self.context.guard.check(self.request.sql, visible.access()).await?;
        Ok((query, visible))
    }
}

fn warnings(query: &CheckedQuery, rows: &RowSet, is_paged: bool, timeout: Duration) -> Vec<String> {
    let mut warnings = Vec::new();
    if rows.timed_out {
        warnings.push(format!(
            "{}: the statement was cancelled after {} ms; these are the rows that had come by then",
            ErrorCode::QueryTimeout,
            timeout.as_millis()
        ));
    }
    if is_paged && !query.is_ordered() {
        warnings.push(
            "without an ORDER BY on something unique, pages may overlap or leave rows out: add one, and start again"
                .to_owned(),
        );
    }
    warnings
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

/// The columns of a page, their types named as SQL is written with them.
pub(super) fn query_columns(page: &Page) -> Vec<QueryColumn> {
    let column = |(column, oid): (&ResultColumn, &Option<u32>)| QueryColumn {
        name: column.name.clone(),
        data_type: oid.and_then(|oid| page.visible.written_type(oid)).unwrap_or_else(|| column.r#type.clone()),
        masked: column.masked,
    };
    page.rows.columns.iter().zip(&page.rows.types).map(column).collect()
}

/// A duration in milliseconds, to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// `{"rows":…}` with the fields of `rest` behind them. In place: a big result must not stand in memory twice.
pub(super) fn with_rows(mut rows: String, rest: &impl Serialize) -> String {
    let rest = serde_json::to_string(rest).expect("plain data");
    let rest = rest.strip_prefix('{').expect("a struct is an object");
    rows.insert_str(0, "{\"rows\":");
    rows.push(',');
    rows.push_str(rest);
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_keep_their_digits_beside_the_rest() {
        let text = with_rows(r#"[{"a":1.10}]"#.to_owned(), &json!({ "rowCount": 1 }));
        assert_eq!(text, r#"{"rows":[{"a":1.10}],"rowCount":1}"#);
        assert!((milliseconds(Duration::from_micros(1500)) - 1.5).abs() < 1e-9);
    }
}
