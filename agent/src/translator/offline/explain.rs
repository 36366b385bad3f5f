//! The plan as JSON, for callers who ask how a question was read.

use serde_json::{Value, json};

use super::lexicon::Direction;
use super::plan::{Filter, Order, OrderKey, Plan, other_end};
use super::reading::{condition, measure};
use super::scope::{ColumnRef, Schema};

/// The plan with names in place of positions.
pub(super) fn json(schema: &Schema<'_>, plan: &Plan) -> Value {
    let name = |column: &ColumnRef| qualified(schema, *column);
    let names = |columns: &[ColumnRef]| columns.iter().map(name).collect::<Vec<_>>();
    let filters = |filters: &[Filter]| filters.iter().map(|f| condition(schema, f, true)).collect::<Vec<_>>();
    let order = |order: &Order| {
        let by = match order.by {
            OrderKey::Column(column) => qualified(schema, column),
            OrderKey::Measure(index) => measure(schema, plan, &plan.measures[index]),
        };
        json!({"by": by, "direction": if order.direction == Direction::Descending { "desc" } else { "asc" }})
    };
    json!({
        "entity": schema.table(plan.entity).table_name,
        "join": plan.join.map(|link| schema.table(other_end(schema, link, plan.entity)).table_name.as_str()),
        "distinct": plan.distinct,
        "columns": names(&plan.columns),
        "measures": plan.measures.iter().map(|m| measure(schema, plan, m)).collect::<Vec<_>>(),
        "group_by": names(&plan.groups),
        "filters": filters(&plan.filters),
        "related": plan.related.as_ref().map(|related| json!({
            "table": schema.table(related.table).table_name,
            "exists": related.exists,
            "filters": filters(&related.filters),
        })),
        "order_by": plan.order.iter().map(order).collect::<Vec<_>>(),
        "limit": plan.limit,
        "score": (plan.score * 100.0).round() / 100.0,
    })
}

fn qualified(schema: &Schema<'_>, column: ColumnRef) -> String {
    format!("{}.{}", schema.table(column.table).table_name, schema.column(column).name)
}
