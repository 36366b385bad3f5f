//! What the planner expects a statement to cost, held against the limits of the policy before it runs.
//!
//! EXPLAIN is put before the very text that will run, with the same parameters, on the same session: the planner sees what it will
//! see again.

use serde_json::Value;
use serde_json::value::RawValue;
use sql_guard::RelationName;
use sqlx::postgres::PgArguments;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::ExecuteError;
use crate::deep_json;

/// Longest plan that is looked through; in memory it takes some ten times as much.
const MAX_PLAN_BYTES: usize = 8 << 20;

/// What stands before the statement.
pub(super) const LEAD: &str = "EXPLAIN (FORMAT JSON, VERBOSE) ";

const MAX_COST: &str = "max_cost";
const MAX_ROWS: &str = "max_estimated_rows";
const MAX_SCANNED: &str = "deny_seq_scan_over_rows";

/// What EXPLAIN is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explain {
    /// Whether the statement is run, so that what really happened is told.
    pub analyze: bool,
    /// Whether the columns that each step puts out are told.
    pub verbose: bool,
    /// Whether the blocks that were read are told.
    pub buffers: bool,
}

impl Explain {
    /// What stands before the statement.
    pub(super) fn lead(self) -> String {
        let Self { analyze, verbose, buffers } = self;
        // Of several PostgreSQL versions some tell of buffers unless asked not to.
        format!("EXPLAIN (FORMAT JSON, ANALYZE {analyze}, VERBOSE {verbose}, BUFFERS {buffers}) ")
    }
}

/// Most that a statement may cost by the planner's estimate; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CostLimits {
    /// The whole statement, in the planner's units.
    pub max_cost: Option<f64>,
    /// Rows of any step of it.
    pub max_estimated_rows: Option<u64>,
    /// Rows of a table that is read from its beginning rather than through an index.
    pub deny_seq_scan_over_rows: Option<u64>,
}

/// A limit that a statement is over.
#[derive(Debug, Clone, PartialEq)]
pub struct OverLimit {
    /// The limit, as the policy calls it.
    pub limit: &'static str,
    /// What it allows.
    pub allowed: f64,
    /// What the planner expects; nothing where it reckons with rows of a table that not everybody may see.
    pub estimate: Option<f64>,
    /// The step of the plan, e.g. `Seq Scan`.
    pub step: String,
    /// The table that it reads, where the statement names it; what stands behind a view stays unnamed.
    pub table: Option<String>,
}

impl OverLimit {
    /// The limit, the estimate and the step, in words.
    pub(super) fn message(&self) -> String {
        let Self { limit, allowed, estimate, step, table } = self;
        let of = table.as_ref().map(|table| format!(" of {table}")).unwrap_or_default();
        let over = format!("over the policy's {limit} of {allowed:.0}");
        match (*limit, estimate) {
            (MAX_COST, Some(estimate)) => format!("the statement's estimated cost is {estimate:.0}, {over}"),
            (MAX_COST, None) => format!("the statement's estimated cost is {over}"),
            (MAX_ROWS, Some(estimate)) => {
                format!("a step of the plan ({step}{of}) is estimated at {estimate:.0} rows, {over}")
            }
            (MAX_ROWS, None) => format!("a step of the plan ({step}{of}) is estimated at more rows, {over}"),
            (_, Some(estimate)) => {
                format!("the plan would read about {estimate:.0} rows one after another ({step}{of}), {over}")
            }
            (_, None) => format!("the plan would read too many rows one after another ({step}{of}), {over}"),
        }
    }
}

impl CostLimits {
    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Asks for the plan of `sql` and compares it.
///
/// # Errors
/// [`ExecuteError::OverLimit`] names the limit, the estimate and where in the plan it is.
pub(super) async fn check(
    connection: &mut PgConnection,
    sql: &str,
    arguments: PgArguments,
    limits: &CostLimits,
    named: &[RelationName],
) -> Result<(), ExecuteError> {
    let sql = AssertSqlSafe(format!("{LEAD}{sql}"));
    let plan = sqlx::query_scalar_with::<_, Json<Box<RawValue>>, _>(sql, arguments).fetch_one(&mut *connection);
    let Json(plan) = plan.await.map_err(ExecuteError::from_sqlx)?;
    if plan.get().len() > MAX_PLAN_BYTES {
        return Err(ExecuteError::PlanTooLarge);
    }
    let steps = deep_json::with_value(plan.get(), |plan| {
        let mut steps = Vec::new();
        read(plan.pointer("/0/Plan").unwrap_or(&Value::Null), 1.0, &mut steps);
        steps
    });
    let steps = steps.map_err(|error| ExecuteError::Internal(error.into()))?;
    let table = |step: &Step| {
        let table = step.table.as_ref().filter(|table| named.contains(table))?;
        Some(format!("{}.{}", table.schema, table.name))
    };
    let over = |limit: &'static str, allowed: f64, estimate: f64, step: &Step| OverLimit {
        limit,
        allowed,
        estimate: Some(estimate),
        step: step.kind.clone(),
        table: table(step),
    };
    let Some(over) = first_over(connection, &steps, limits, over).await? else { return Ok(()) };
    let (schemas, names): (Vec<_>, Vec<_>) =
        steps.iter().filter_map(|step| step.table.as_ref()).map(|table| (&*table.schema, &*table.name)).unzip();
    let secured = sqlx::query_scalar::<_, bool>(include_str!("sql/row_security.sql")).bind(schemas).bind(names);
    let is_secured = secured.fetch_one(connection).await.map_err(ExecuteError::from_sqlx)?;
    let estimate = over.estimate.filter(|_| !is_secured);
    Err(ExecuteError::OverLimit(Box::new(OverLimit { estimate, ..over })))
}

/// The first limit that a plan is over.
async fn first_over(
    connection: &mut PgConnection,
    steps: &[Step],
    limits: &CostLimits,
    over: impl Fn(&'static str, f64, f64, &Step) -> OverLimit,
) -> Result<Option<OverLimit>, ExecuteError> {
    if let (Some(most), Some(whole)) = (limits.max_cost, steps.first())
        && whole.cost > most
    {
        return Ok(Some(over(MAX_COST, most, whole.cost, whole)));
    }
    if let Some(most) = limits.max_estimated_rows.map(as_estimate)
        && let Some(step) = steps.iter().find(|step| step.rows > most)
    {
        return Ok(Some(over(MAX_ROWS, most, step.rows, step)));
    }
    if let Some(most) = limits.deny_seq_scan_over_rows.map(as_estimate) {
        for step in steps.iter().filter(|step| step.kind == SEQ_SCAN) {
            let Some(table) = &step.table else { continue };
            let size = table_rows(connection, table).await?.max(step.plain_rows);
            let read = size * step.part;
            if read > most {
                return Ok(Some(over(MAX_SCANNED, most, read, step)));
            }
        }
    }
    Ok(None)
}

async fn table_rows(connection: &mut PgConnection, table: &RelationName) -> Result<f64, ExecuteError> {
    let rows = sqlx::query_scalar::<_, f64>(include_str!("sql/table_rows.sql")).bind(&table.schema).bind(&table.name);
    Ok(rows.fetch_optional(connection).await.map_err(ExecuteError::from_sqlx)?.unwrap_or_default())
}

const SEQ_SCAN: &str = "Seq Scan";

/// One step of a plan.
#[derive(Debug, PartialEq)]
struct Step {
    kind: String,
    table: Option<RelationName>,
    cost: f64,
    /// Rows that it gives, as far as a LIMIT above lets it.
    rows: f64,
    /// Rows that it would give without one.
    plain_rows: f64,
    /// The part of its input that it reads, as far as a LIMIT above lets it.
    part: f64,
}

/// Steps that pass rows on as they come, so that a LIMIT above them stops them early; all others read their input to its end.
const STREAMING: [&str; 12] = [
    "Limit",
    "Result",
    "ProjectSet",
    "Subquery Scan",
    "Append",
    "Merge Append",
    "Nested Loop",
    "Hash Join",
    "Merge Join",
    "LockRows",
    "Gather",
    "Memoize",
];

/// Lists `node` and all below it, those of sub-selects and WITH queries too, the outermost first; a LIMIT above lets it be run only
/// for this `part`.
fn read(node: &Value, part: f64, steps: &mut Vec<Step>) {
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let number = |key: &str| node.get(key).and_then(Value::as_f64).unwrap_or_default();
    let Some(kind) = text("Node Type") else { return };
    let table = text("Relation Name").zip(text("Schema"));
    let plain_rows = number("Plan Rows");
    steps.push(Step {
        kind: kind.to_owned(),
        table: table.map(|(name, schema)| RelationName { schema: schema.to_owned(), name: name.to_owned() }),
        cost: number("Total Cost"),
        rows: plain_rows * part,
        plain_rows,
        part,
    });
    for child in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        let relation = child.get("Parent Relationship").and_then(Value::as_str).unwrap_or_default();
        let below = child.get("Plan Rows").and_then(Value::as_f64).unwrap_or_default();
        let part = match (kind, relation) {
            ("Limit", "Outer") if below > 0.0 => part * (plain_rows / below).min(1.0),
            (_, "Outer" | "Member" | "Subquery") if STREAMING.contains(&kind) => part,
            _ => 1.0,
        };
        read(child, part, steps);
    }
}

#[expect(clippy::cast_precision_loss, reason = "estimates are no more exact than that")]
fn as_estimate(rows: u64) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(plan: &Value) -> Vec<(String, f64)> {
        let mut steps = Vec::new();
        read(plan, 1.0, &mut steps);
        steps.into_iter().map(|step| (step.kind, step.rows)).collect()
    }

    fn step(kind: &str, rows: f64, relation: &str, plans: Value) -> Value {
        json!({ "Node Type": kind, "Plan Rows": rows, "Parent Relationship": relation, "Plans": plans })
    }

    #[test]
    fn every_step_counts_also_those_of_subplans() {
        let inner = step("Seq Scan", 7.0, "Outer", json!([]));
        let subplan = step("Aggregate", 1.0, "SubPlan", json!([inner]));
        let plan = step("Index Scan", 5.0, "", json!([subplan]));
        let expected = [("Index Scan", 5.0), ("Aggregate", 1.0), ("Seq Scan", 7.0)];
        assert_eq!(steps(&plan), expected.map(|(kind, rows)| (kind.to_owned(), rows)));
    }

    #[test]
    fn a_limit_stops_what_streams_into_it() {
        let scan = step("Seq Scan", 1000.0, "Outer", json!([]));
        let streamed = step("Limit", 10.0, "", json!([scan]));
        assert_eq!(steps(&streamed)[1].1, 10.0);
        let sort = step("Sort", 1000.0, "Outer", json!([scan]));
        let sorted = step("Limit", 10.0, "", json!([sort]));
        assert_eq!((steps(&sorted)[1].1, steps(&sorted)[2].1), (10.0, 1000.0));
    }
}
