//! Masked columns: what a plan asks of one that only may be put out, as `***`, or counted.

use super::plan::{Filter, Measure, OrderKey, Plan, Related};
use super::scope::{ColumnRef, Schema};

/// Why a plan can't run, where it needs the values of a masked column for more than to put them out.
pub(super) fn misuse(schema: &Schema<'_>, plan: &Plan) -> Option<String> {
    let (column, need) = uses(schema, plan).into_iter().find(|(column, _)| schema.column(*column).masked)?;
    let (table, name) = (&schema.table(column.table).table_name, &schema.column(column).name);
    Some(format!("{table}.{name} is masked: its values are shown as *** only, and the question asks {need} them"))
}

/// The columns whose values a plan does more with than to show them, each with what that is.
fn uses(schema: &Schema<'_>, plan: &Plan) -> Vec<(ColumnRef, &'static str)> {
    let mut uses: Vec<(ColumnRef, &'static str)> = Vec::new();
    let mut add =
        |columns: &mut dyn Iterator<Item = ColumnRef>, need| uses.extend(columns.map(|column| (column, need)));
    let related = plan.related.iter().flat_map(|related| &related.filters);
    add(&mut plan.filters.iter().chain(related).map(Filter::column), "for a condition on");
    for measure in &plan.measures {
        match measure {
            Measure::Rows => {}
            Measure::Keys(columns) => add(&mut columns.iter().copied(), "for the number of different ones among"),
            Measure::Values(column) => add(&mut [*column].into_iter(), "for the number of different ones among"),
            Measure::Of(_, column) => add(&mut [*column].into_iter(), "for a figure of"),
        }
    }
    add(&mut plan.groups.iter().copied(), "for groups by");
    let shown = if plan.distinct { plan.columns.as_slice() } else { &[] };
    add(&mut shown.iter().copied(), "for the different ones among");
    let ordered = plan.order.iter().filter_map(|order| match order.by {
        OrderKey::Column(column) => Some(column),
        OrderKey::Measure(_) => None,
    });
    add(&mut { ordered }, "for an order by");
    for link in plan.join.into_iter().chain(plan.related.as_ref().map(|Related { link, .. }| *link)) {
        let link = &schema.links[link];
        let ends = |&(from, to): &(usize, usize)| {
            [ColumnRef { table: link.from, column: from }, ColumnRef { table: link.to, column: to }]
        };
        add(&mut link.columns.iter().flat_map(ends), "for a join along");
    }
    uses
}
