//! `get_sample_rows`: a few rows of a table, to see what its values look like.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_protocol::catalog::{Table, TableKind};
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean, shortened};
use shared_protocol::tool::execute_query::QueryColumn;
use shared_protocol::tool::get_sample_rows::{GetSampleRowsInput, GetSampleRowsOutput, NAME};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::statement::{Page, Request, page, query_columns, with_rows};
use super::{Call, NotFound, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};
use crate::catalog::quoted;

/// Rows up to which a table's are counted one by one.
const COUNTED: i64 = 10_000;

/// How many times more rows than are wanted a random sample is drawn from.
const SPREAD: f64 = 50.0;

/// The tool.
#[derive(Debug)]
pub(super) struct GetSampleRows;

const DESCRIPTION: &str = "A few rows of a table or view, to see what values look like before writing SQL. Call describe_table first. \
Example: {\"table_name\": \"orders\", \"limit\": 3, \"columns\": [\"id\", \"status\"], \"where_clause\": \"total > 100\"}";

#[async_trait]
impl Tool for GetSampleRows {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Sample rows of a table",
            description: DESCRIPTION,
            input_schema: input_schema::<GetSampleRowsInput>(),
            output_schema: output_schema::<GetSampleRowsOutput>(),
            described_output: described_output::<GetSampleRowsOutput>,
            is_idempotent: false,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: GetSampleRowsInput = parse(arguments)?;
        let find = |view: &View| view.table(input.schema_name.as_deref(), &input.table_name);
        let (View { visible, .. }, table) = context.find(input.database.as_deref(), call, find).await?;
        if let Some(condition) = &input.where_clause {
            context.guard.expression(condition).await?;
        }
        let has_row_security = visible.has_row_security(&table);
        let sample = Sample::new(&table, &input, !has_row_security)?;
        let database = input.database.as_deref();
        let mut rows =
            run(context, &sample.sql(), database, input.limit.get().into(), call).await.map_err(in_the_clause)?;
        let total = sample.total(context, database, call).await;
        let memory = std::mem::take(&mut rows.rows.memory);
        let note = Some(sample.note(&total));
        let json = to_json(rows, &table, total.rows(), note);
        Ok(ToolOutput { rows: 0, json, memory })
    }
}

/// Runs a statement of ours under the caller's rules, as any of theirs.
async fn run(
    context: &ToolContext,
    sql: &str,
    database: Option<&str>,
    max_rows: u64,
    call: &Call,
) -> Result<Page, ToolError> {
    let (timeout_ms, timeout_argument, cursor, explain) = (None, None, None, None);
    let request = Request { sql, params: &[], database, max_rows, timeout_ms, timeout_argument, cursor, explain };
    page(context, request, call).await
}

/// Which rows of a table are wanted, and how they are chosen.
struct Sample<'a> {
    table: &'a Table,
    columns: Vec<&'a str>,
    condition: Option<&'a str>,
    limit: u32,
    is_random: bool,
    /// The columns that rows are ordered by.
    key: Vec<&'a str>,
    /// The planner's estimate, where it may be told.
    estimate: Option<i64>,
}

/// How many rows a table has.
enum Total {
    Exact(i64),
    Estimate(i64),
    Unknown,
}

impl Total {
    fn rows(&self) -> Option<i64> {
        match self {
            Self::Exact(rows) | Self::Estimate(rows) => Some(*rows),
            Self::Unknown => None,
        }
    }
}

impl<'a> Sample<'a> {
    fn new(table: &'a Table, input: &'a GetSampleRowsInput, tells_estimate: bool) -> Result<Self, NotFound> {
        let known = || table.columns.iter().map(|column| column.name.as_str());
        let columns: Vec<&str> = match &input.columns {
            None => known().collect(),
            Some(wanted) => wanted.iter().map(|wanted| find_column(wanted, table)).collect::<Result<_, _>>()?,
        };
        // A masked column may not be ordered by.
        let key: Vec<_> = table.columns.iter().filter(|column| column.is_primary_key).collect();
        let is_free = key.iter().all(|column| !column.masked);
        Ok(Self {
            columns,
            condition: input.where_clause.as_deref(),
            limit: input.limit.get(),
            is_random: input.randomize,
            key: key.iter().filter(|_| is_free).map(|column| column.name.as_str()).collect(),
            estimate: table.estimated_row_count.filter(|_| tells_estimate),
            table,
        })
    }

    fn name(&self) -> String {
        format!("{}.{}", quoted(&self.table.schema_name), quoted(&self.table.table_name))
    }

    /// What of a large table a random sample is drawn from, in per cent; nothing where it is drawn from all rows. A condition may hold
    /// for a few rows only, of which a part of the table has none.
    fn percent(&self) -> Option<f64> {
        let can = self.condition.is_none()
            && matches!(
                self.table.r#type,
                TableKind::Table | TableKind::PartitionedTable | TableKind::MaterializedView
            );
        let rows = self.estimate.filter(|rows| self.is_random && can && *rows > COUNTED)?;
        Some((f64::from(self.limit) * SPREAD * 100.0 / as_number(rows)).clamp(0.001, 100.0))
    }

    fn sql(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|name| quoted(name)).collect();
        let sampled = self.percent().map(|percent| format!(" TABLESAMPLE SYSTEM ({percent:.4})")).unwrap_or_default();
        // The line breaks close a comment at the condition's end.
        let condition = self.condition.map(|text| format!(" WHERE (\n{text}\n)")).unwrap_or_default();
        let order = match (self.is_random, self.key.as_slice()) {
            (true, _) => " ORDER BY pg_catalog.random()".to_owned(),
            (false, []) => String::new(),
            (false, key) => format!(" ORDER BY {}", key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")),
        };
        format!("SELECT {} FROM {}{sampled}{condition}{order} LIMIT {}", columns.join(", "), self.name(), self.limit)
    }

    /// Counts the rows of a table that isn't known to be large; what can't be counted in time stays unknown.
    async fn total(&self, context: &ToolContext, database: Option<&str>, call: &Call) -> Total {
        if let Some(rows) = self.estimate.filter(|rows| *rows >= COUNTED) {
            return Total::Estimate(rows);
        }
        let most = COUNTED + 1;
        let sql = format!("SELECT count(*) AS n FROM (SELECT FROM {} LIMIT {most}) AS counted", self.name());
        let Ok(counted) = run(context, &sql, database, 1, call).await else { return Total::Unknown };
        let rows: Vec<Counted> = serde_json::from_str(&counted.rows.json).unwrap_or_default();
        match (rows.first().map(|row| row.n), self.estimate) {
            (Some(rows), _) if rows <= COUNTED => Total::Exact(rows),
            (_, Some(estimate)) => Total::Estimate(estimate),
            _ => Total::Unknown,
        }
    }

    fn note(&self, total: &Total) -> String {
        let chosen = match (self.is_random, self.percent(), self.key.as_slice()) {
            (true, Some(_), _) => "random rows of a random part of the table's blocks".to_owned(),
            (true, None, _) => "random rows".to_owned(),
            (false, _, []) => "rows in no particular order: there is no primary key to order by".to_owned(),
            (false, _, key) => format!("the first rows by primary key ({})", key.join(", ")),
        };
        let counted = match total {
            Total::Exact(_) => "total_table_rows is exact",
            Total::Estimate(_) => "total_table_rows is the planner's estimate",
            Total::Unknown => "total_table_rows is not known",
        };
        format!("{chosen}; {counted}")
    }
}

/// One row of the count.
#[derive(Debug, serde::Deserialize)]
struct Counted {
    n: i64,
}

fn find_column<'a>(wanted: &str, table: &'a Table) -> Result<&'a str, NotFound> {
    let mut names = table.columns.iter().map(|column| column.name.as_str());
    names.clone().find(|name| *name == wanted).ok_or_else(|| {
        let similar: Vec<String> = closest(wanted, names.by_ref(), 5).into_iter().map(str::to_owned).collect();
        let all = || table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        NotFound {
            code: ErrorCode::ColumnNotFound,
            message: format!(
                "there is no column {:?} in {}.{}",
                shortened(wanted),
                table.schema_name,
                table.table_name
            ),
            suggestion: did_you_mean(&similar).unwrap_or_else(|| format!("The columns are: {}.", all())),
            similar,
            nearest_depth: None,
        }
    })
}

/// A refusal with its place counted in the condition, which begins on the second line of our statement.
fn in_the_clause(error: ToolError) -> ToolError {
    match error {
        ToolError::Rejected(rejection) => ToolError::Rejected(rejection.below_the_first_line()),
        other => other,
    }
}

fn to_json(page: Page, table: &Table, total_table_rows: Option<i64>, note: Option<String>) -> String {
    #[derive(Serialize)]
    struct AllButRows<'a> {
        table_name: &'a str,
        schema_name: &'a str,
        columns: Vec<QueryColumn>,
        row_count: u64,
        total_table_rows: Option<i64>,
        note: Option<String>,
    }
    let rest = AllButRows {
        table_name: &table.table_name,
        schema_name: &table.schema_name,
        columns: query_columns(&page),
        row_count: page.rows.row_count,
        total_table_rows,
        note,
    };
    with_rows(page.rows.json, &rest)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate is no more exact than that")]
fn as_number(rows: i64) -> f64 {
    rows as f64
}
