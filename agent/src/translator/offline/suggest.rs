//! Questions that this schema can answer, nearest to what was asked first.

use super::columns::{self, Family};
use super::scope::Schema;
use super::words::split_identifier;

/// Questions worth trying, tables in `near` first; the caller keeps those that translate.
pub(super) fn questions(schema: &Schema<'_>, near: &[usize]) -> Vec<String> {
    let mut tables: Vec<usize> = near.to_vec();
    let mut others: Vec<usize> = (0..schema.context.tables.len()).filter(|table| !near.contains(table)).collect();
    // Tables that others point to are what a database is about.
    let pointed_at = |table: &usize| schema.links.iter().filter(|link| link.to == *table).count();
    others.sort_by_key(|table| std::cmp::Reverse(pointed_at(table)));
    tables.extend(others);
    tables.into_iter().take(4).flat_map(|table| about(schema, table)).collect()
}

fn about(schema: &Schema<'_>, table: usize) -> Vec<String> {
    let definition = schema.table(table);
    let plain = |name: &str| split_identifier(name).join(" ");
    let name = plain(&definition.table_name);
    let mut questions = Vec::new();
    if columns::creation_time(definition).is_some() {
        questions.push(format!("show the last 5 {name}"));
    }
    let labelled = definition.columns.iter().find(|c| columns::labels(definition, c).is_some());
    if let Some(column) = labelled {
        questions.push(format!("number of {name} per {}", plain(&column.name)));
    }
    let measurable = definition
        .columns
        .iter()
        .position(|c| matches!(columns::family(c), Family::Decimal | Family::Float) && !c.is_primary_key);
    if let Some(column) = measurable {
        questions.push(format!("average {} of {name}", plain(&definition.columns[column].name)));
    }
    questions.push(format!("how many {name} are there"));
    questions
}
