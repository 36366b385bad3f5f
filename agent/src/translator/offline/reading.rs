//! A plan in words, so that a person can see how the question was understood.

use super::columns::{Family, family};
use super::lexicon::{Aggregate, Comparison, Direction};
use super::plan::{Filter, Measure, Operand, Order, OrderKey, Plan, other_end};
use super::scope::{ColumnRef, Schema};

/// How the question was read, e.g. `users, newest first by created_at, 5 rows`.
pub(super) fn reading(schema: &Schema<'_>, plan: &Plan) -> String {
    let mut words = subject(schema, plan);
    if !plan.groups.is_empty() {
        words += &format!(" per {}", groups(schema, plan));
    }
    let conditions = conditions(schema, plan);
    if !conditions.is_empty() {
        words += &format!(" where {}", conditions.join(" and "));
    }
    for order in &plan.order {
        words += &format!(", {}", ordering(schema, plan, order));
    }
    match plan.limit {
        Some(1) => words += ", 1 row",
        Some(limit) => words += &format!(", {limit} rows"),
        None => {}
    }
    words
}

/// The reading as a sentence.
pub(super) fn sentence(reading: &str) -> String {
    let mut characters = reading.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

fn subject(schema: &Schema<'_>, plan: &Plan) -> String {
    let entity = &schema.table(plan.entity).table_name;
    if !plan.measures.is_empty() {
        let measures: Vec<String> = plan.measures.iter().map(|m| measure(schema, plan, m)).collect();
        return measures.join(" and ");
    }
    let distinct = if plan.distinct { "different " } else { "" };
    match plan.columns.as_slice() {
        columns if plan.distinct || columns.len() <= 3 => {
            let names: Vec<String> = columns.iter().map(|c| short(schema, plan, *c)).collect();
            format!("{distinct}{} of {entity}", names.join(", "))
        }
        _ => entity.clone(),
    }
}

/// A measure in words, e.g. `average price of products`.
pub(super) fn measure(schema: &Schema<'_>, plan: &Plan, measure: &Measure) -> String {
    let entity = &schema.table(plan.entity).table_name;
    match measure {
        Measure::Rows | Measure::Keys(_) => format!("number of {entity}"),
        Measure::Values(column) => {
            format!("number of different values of {} in {entity}", short(schema, plan, *column))
        }
        Measure::Of(aggregate, column) => {
            let function = match aggregate {
                Aggregate::Sum => "total",
                Aggregate::Average => "average",
                Aggregate::Minimum => "lowest",
                Aggregate::Maximum => "highest",
            };
            let name = short(schema, plan, *column);
            // A column may be called by the function itself: the total of orders.
            let name = if name == function { String::new() } else { format!(" {name}") };
            format!("{function}{name} of {entity}")
        }
    }
}

fn groups(schema: &Schema<'_>, plan: &Plan) -> String {
    let shown: Vec<String> = plan.columns.iter().map(|c| short(schema, plan, *c)).collect();
    shown.join(", ")
}

fn conditions(schema: &Schema<'_>, plan: &Plan) -> Vec<String> {
    let several = plan.join.is_some();
    let mut words: Vec<String> = plan.filters.iter().map(|filter| condition(schema, filter, several)).collect();
    if let Some(related) = &plan.related {
        let inner: Vec<String> = related.filters.iter().map(|filter| condition(schema, filter, false)).collect();
        let has = if related.exists { "there are" } else { "there are no" };
        let with = if inner.is_empty() { String::new() } else { format!(" with {}", inner.join(" and ")) };
        words.push(format!("{has} {}{with}", schema.table(related.table).table_name));
    }
    words
}

/// A condition in words, with the table's name where `qualified`.
pub(super) fn condition(schema: &Schema<'_>, filter: &Filter, qualified: bool) -> String {
    let column = filter.column();
    let name = &schema.column(column).name;
    let name = if qualified { format!("{}.{name}", schema.table(column.table).table_name) } else { name.clone() };
    let list = |values: &[Operand]| values.iter().map(Operand::words).collect::<Vec<_>>().join(", ");
    match filter {
        Filter::Compare(_, comparison, value) => format!("{name} {} {}", sign(*comparison), value.words()),
        Filter::Between(_, low, high) => format!("{name} is between {} and {}", low.words(), high.words()),
        Filter::Among(_, true, values) => format!("{name} is one of {}", list(values)),
        Filter::Among(_, false, values) => format!("{name} is none of {}", list(values)),
        Filter::During(_, Some(from), Some(until)) => match until.pred_opt() {
            Some(last) if last == *from => format!("{name} is on {from}"),
            Some(last) => format!("{name} is from {from} to {last}"),
            None => format!("{name} is from {from}"),
        },
        Filter::During(_, Some(from), None) => format!("{name} is {from} or later"),
        Filter::During(_, None, Some(until)) => format!("{name} is before {until}"),
        Filter::During(_, None, None) => format!("{name} is any time"),
        Filter::Missing(_, true) => format!("{name} is missing"),
        Filter::Missing(_, false) => format!("{name} is present"),
        Filter::Flag(_, value) => format!("{name} is {value}"),
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "is",
        Comparison::NotEqual => "is not",
        Comparison::Less => "is less than",
        Comparison::LessOrEqual => "is at most",
        Comparison::Greater => "is more than",
        Comparison::GreaterOrEqual => "is at least",
    }
}

fn ordering(schema: &Schema<'_>, plan: &Plan, order: &Order) -> String {
    let descending = order.direction == Direction::Descending;
    match order.by {
        OrderKey::Column(column) if order.in_time && family(schema.column(column)).is_time() => {
            format!("{} first by {}", if descending { "newest" } else { "oldest" }, short(schema, plan, column))
        }
        OrderKey::Column(column) if family(schema.column(column)) == Family::Text => {
            format!("by {}{}", short(schema, plan, column), if descending { " from z to a" } else { "" })
        }
        OrderKey::Column(column) => {
            format!("{} {} first", if descending { "highest" } else { "lowest" }, short(schema, plan, column))
        }
        OrderKey::Measure(_) => format!("{} first", if descending { "highest" } else { "lowest" }),
    }
}

/// A column's name, with its table's where it isn't the entity's.
fn short(schema: &Schema<'_>, plan: &Plan, column: ColumnRef) -> String {
    let name = &schema.column(column).name;
    if column.table == plan.entity {
        return name.clone();
    }
    let through = plan.join.filter(|&link| is_one_of_several(schema, link)).map(|link| through(schema, link));
    format!("{}.{name}{}", schema.table(column.table).table_name, through.unwrap_or_default())
}

fn is_one_of_several(schema: &Schema<'_>, link: usize) -> bool {
    let (from, to) = (schema.links[link].from, schema.links[link].to);
    schema.links.iter().filter(|l| (l.from, l.to) == (from, to) || (l.to, l.from) == (from, to)).count() > 1
}

/// Which of several links between the same tables is meant.
fn through(schema: &Schema<'_>, position: usize) -> String {
    let link = &schema.links[position];
    let column = |&(from, _): &(usize, usize)| schema.table(link.from).columns[from].name.as_str();
    format!(" (through {})", link.columns.iter().map(column).collect::<Vec<_>>().join(", "))
}

/// How the reading of a plan that joins tells itself from its rivals.
pub(super) fn reading_of_rival(schema: &Schema<'_>, plan: &Plan) -> String {
    let words = reading(schema, plan);
    match plan.join {
        Some(link) if is_one_of_several(schema, link) && !words.contains("(through ") => {
            let other = schema.table(other_end(schema, link, plan.entity)).table_name.as_str();
            format!("{words}, {other}{}", through(schema, link))
        }
        _ => words,
    }
}
