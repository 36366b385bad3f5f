//! What makes a plan slow, by what it says of itself, and what would help.

use serde_json::Value;

use super::{Plan, below, name, number, steps};

/// Rows from which on a table is large.
const LARGE_TABLE: f64 = 10_000.0;

/// The part of a large table that is few rows enough for an index to be worth it.
const FEW: f64 = 0.1;

/// Pairs of rows from which on a nested loop is long.
const MANY_PAIRS: f64 = 1_000_000.0;

/// How many times an estimate may be off.
const FAR_OFF: f64 = 10.0;

/// Rows up to which it doesn't matter how far an estimate is off.
const NO_MATTER: f64 = 100.0;

/// What is known of a table besides what the plan says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFacts {
    /// How many rows it has, by the planner's estimate.
    pub rows: Option<i64>,
    /// Its columns.
    pub columns: Vec<String>,
    /// The first column of each of its indexes.
    pub indexed: Vec<String>,
}

/// What is worth knowing of a plan. `facts` gives what is known of a table by its schema, where the plan tells it, and its name.
pub fn warnings(plan: &Plan, facts: impl Fn(Option<&str>, &str) -> Option<TableFacts>) -> Vec<String> {
    let mut found = Vec::new();
    for step in steps(plan.root()) {
        let kind = name(step, "Node Type").unwrap_or_default();
        found.extend(if kind == "Seq Scan" { missing_index(step, &facts) } else { None });
        found.extend(if kind == "Nested Loop" { loops(step) } else { None });
        found.extend(spill(step, kind));
        found.extend(misjudged(step, kind));
    }
    found
}

/// A large table read from end to end for a few rows.
fn missing_index(step: &Value, facts: impl Fn(Option<&str>, &str) -> Option<TableFacts>) -> Option<String> {
    let filter = name(step, "Filter")?;
    let table = name(step, "Relation Name")?;
    let schema = name(step, "Schema");
    let TableFacts { rows, columns, indexed } = facts(schema, table)?;
    let rows = as_number(rows?);
    if rows < LARGE_TABLE || number(step, "Plan Rows")? > rows * FEW {
        return None;
    }
    let filtered: Vec<&String> = columns.iter().filter(|column| mentions(filter, column)).collect();
    let table = schema.map_or(table.to_owned(), |schema| format!("{schema}.{table}"));
    let reads = format!("{table} is read from end to end (about {rows:.0} rows) for a few of them");
    let new: Vec<&str> =
        filtered.iter().filter(|column| !indexed.contains(column)).map(|column| column.as_str()).collect();
    Some(match new.as_slice() {
        [] => format!("{reads}, by {filter}: an index on that expression would help"),
        columns => {
            let columns = columns.join(", ");
            format!("{reads}, by {columns}: an index would help, as CREATE INDEX ON {table} ({columns}) makes one")
        }
    })
}

/// A join that looks at all pairs, or at very many.
fn loops(step: &Value) -> Option<String> {
    let sides: Vec<&Value> = below(step).collect();
    let [outer, inner] = sides.as_slice() else { return None };
    let (first, second) = (number(outer, "Plan Rows")?, number(inner, "Plan Rows")?);
    let is_tied = |step: &&Value| {
        let ties = ["Index Cond", "Recheck Cond", "TID Cond", "Cache Key", "Hash Cond", "Merge Cond"];
        ties.iter().any(|tie| step.get(tie).is_some())
    };
    let is_free = step.get("Join Filter").is_none() && !steps(inner).iter().any(is_tied);
    let pairs = first * second;
    if is_free && first > 1.0 && second > 1.0 && steps(inner).iter().all(|step| step.get("Filter").is_none()) {
        return Some(format!(
            "every row of one side is paired with every row of the other (about {pairs:.0} pairs): join them by a condition"
        ));
    }
    (pairs >= MANY_PAIRS).then(|| {
        format!(
            "a nested loop goes over about {pairs:.0} pairs of rows: an index on the inner side's join columns, or fewer outer rows, would help"
        )
    })
}

/// A sort or hash table that didn't fit into work_mem.
fn spill(step: &Value, kind: &str) -> Option<String> {
    let on_disk = name(step, "Sort Space Type") == Some("Disk");
    let batches = number(step, "Hash Batches").is_some_and(|batches| batches > 1.0);
    let disk = number(step, "Disk Usage").is_some_and(|kilobytes| kilobytes > 0.0);
    (on_disk || batches || disk).then(|| {
        let kilobytes = number(step, "Sort Space Used").or(number(step, "Disk Usage"));
        let size = kilobytes.filter(|_| on_disk || disk).map(|size| format!(" ({size:.0} kB)")).unwrap_or_default();
        format!("the {kind} did not fit into memory and was put on disk{size}: read fewer rows or columns, or raise work_mem")
    })
}

/// An estimate that turned out wrong.
fn misjudged(step: &Value, kind: &str) -> Option<String> {
    let (expected, actual) = (number(step, "Plan Rows")?, number(step, "Actual Rows")?);
    if number(step, "Actual Loops")? == 0.0 || expected.max(actual) < NO_MATTER {
        return None;
    }
    let (least, most) = (expected.min(actual).max(1.0), expected.max(actual));
    let of = name(step, "Relation Name").map(|table| format!(" on {table}")).unwrap_or_default();
    (most / least >= FAR_OFF).then(|| {
        format!("the planner expected {expected:.0} rows of the {kind}{of} and {actual:.0} came: ANALYZE the table, or its statistics tell too little")
    })
}

/// Whether an expression names a column.
fn mentions(expression: &str, column: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    expression.match_indices(column).any(|(at, _)| {
        let before = expression[..at].chars().next_back();
        let after = expression[at + column.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[expect(clippy::cast_precision_loss, reason = "estimates are no more exact than that")]
fn as_number(rows: i64) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warned(root: Value) -> Vec<String> {
        let plan = Plan::new(json!([{ "Plan": root }])).unwrap();
        warnings(&plan, |schema, table| {
            assert_eq!((schema, table), (Some("public"), "orders"));
            let columns = ["id", "status"].map(str::to_owned).into();
            Some(TableFacts { rows: Some(50_000), columns, indexed: vec!["id".to_owned()] })
        })
    }

    fn check(root: Value, expected: Option<&str>) {
        let found = warned(root);
        match expected {
            None => assert!(found.is_empty(), "{found:?}"),
            Some(part) => assert!(found.len() == 1 && found[0].contains(part), "{found:?}"),
        }
    }

    #[test]
    fn a_few_rows_of_a_large_table_want_an_index() {
        let scan = |rows: i64, filter: &str| json!({ "Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "public", "Plan Rows": rows, "Filter": filter });
        check(scan(100, "(orders.status = 'paid'::text)"), Some("CREATE INDEX ON public.orders (status)"));
        check(scan(100, "(orders.identity = 1)"), Some("an index on that expression"));
        check(scan(40_000, "(orders.status = 'paid'::text)"), None);
    }

    #[test]
    fn joins_without_a_condition_are_told() {
        let scan = |rows: i64| json!({ "Node Type": "Function Scan", "Plan Rows": rows });
        let joined = |inner: Value, filter: Option<&str>| {
            let mut step = json!({ "Node Type": "Nested Loop", "Plan Rows": 1, "Plans": [scan(2000), inner] });
            if let Some(filter) = filter {
                step["Join Filter"] = filter.into();
            }
            step
        };
        check(joined(scan(10), None), Some("about 20000 pairs"));
        check(joined(scan(10), Some("(a = b)")), None);
        check(joined(scan(1000), Some("(a = b)")), Some("about 2000000 pairs"));
        check(joined(json!({ "Node Type": "Index Scan", "Plan Rows": 10, "Index Cond": "(a = b)" }), None), None);
    }

    #[test]
    fn what_went_to_disk_and_what_was_misjudged_is_told() {
        let sort = json!({ "Node Type": "Sort", "Sort Space Type": "Disk", "Sort Space Used": 2048, "Plan Rows": 5 });
        check(sort, Some("the Sort did not fit into memory and was put on disk (2048 kB)"));
        check(json!({ "Node Type": "Hash", "Hash Batches": 4, "Plan Rows": 5 }), Some("the Hash did not fit"));
        let actual = |expected: i64, actual: i64| json!({ "Node Type": "Aggregate", "Plan Rows": expected, "Actual Rows": actual, "Actual Loops": 1 });
        check(actual(10, 1000), Some("expected 10 rows of the Aggregate and 1000 came"));
        check(actual(1000, 0), Some("expected 1000 rows"));
        check(actual(1, 50), None);
        check(actual(500, 1000), None);
    }
}
