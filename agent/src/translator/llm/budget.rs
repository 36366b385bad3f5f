//! The schema as text for a prompt, within a budget of tokens.

use std::collections::HashSet;
use std::fmt::Write;

use shared_protocol::catalog::{Column, Table, TableKind};

use crate::schema_context::SchemaContext;

/// Bytes that count as one token. Names split into shorter tokens than prose; so the estimate errs on the high side.
const BYTES_PER_TOKEN: usize = 3;

/// A schema in words.
pub(super) struct SchemaText {
    pub(super) text: String,
    /// What was left out, in a sentence for the caller.
    pub(super) cut: Option<String>,
}

/// The whole schema where it fits into `tokens`; else without comments; else only the tables that share the most words
/// with `question`, and says so.
pub(super) fn schema_text(context: &SchemaContext, question: &str, tokens: usize) -> SchemaText {
    let budget = tokens.saturating_mul(BYTES_PER_TOKEN);
    let head = head(context);
    for comments in [true, false] {
        let tables: String = context.tables.iter().map(|table| table_text(context, table, comments)).collect();
        if head.len() + tables.len() <= budget {
            let cut = (!comments).then(|| {
                "The schema is large for LLM_CONTEXT_TOKENS: the model was shown it without comments.".to_owned()
            });
            return SchemaText { text: head + &tables, cut };
        }
    }
    let mut kept = most_relevant(context, question, budget.saturating_sub(head.len()));
    let cut = format!(
        "The schema is too large for LLM_CONTEXT_TOKENS: the model was shown {} of {} tables, without comments.",
        kept.len(),
        context.tables.len()
    );
    kept.sort_by_key(|(at, _)| *at);
    let text = kept.into_iter().fold(head, |text, (_, table)| text + &table);
    SchemaText { text, cut: Some(cut) }
}

/// Tables by how many words they share with the question, until `budget` bytes are used; at least one.
fn most_relevant(context: &SchemaContext, question: &str, budget: usize) -> Vec<(usize, String)> {
    let asked = words(question);
    let shared = |text: &str, weight: usize| words(text).intersection(&asked).count() * weight;
    let score = |table: &Table| {
        let columns: usize = table.columns.iter().map(|column| shared(&column.name, 1)).sum();
        shared(&table.table_name, 4) + columns + shared(table.description.as_deref().unwrap_or_default(), 1)
    };
    let mut ranked: Vec<(usize, &Table)> = context.tables.iter().enumerate().collect();
    ranked.sort_by_key(|(_, table)| std::cmp::Reverse(score(table)));
    let mut kept: Vec<(usize, String)> = Vec::new();
    let mut used = 0;
    for (at, table) in ranked {
        let text = table_text(context, table, false);
        if used + text.len() <= budget || kept.is_empty() {
            used += text.len();
            kept.push((at, text));
        }
    }
    kept
}

/// Words in lower case, split at anything but letters and digits, without a plural's s.
fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1);
    words.map(|word| word.to_lowercase().trim_end_matches('s').to_owned()).collect()
}

/// What a model must know of masked columns; it is told only where there are any.
const MASKED: &str = "Columns marked MASKED hold values that may not be seen. They may stand in the output as they are, under their \
    own name or another, where *** is shown for each value, or as the argument of count(column) without DISTINCT. Anywhere else \
    (conditions, joins, GROUP BY, ORDER BY, DISTINCT, UNION, casts, functions and other expressions) the statement is refused. Where \
    the question needs that, call cannot_answer and say which column is masked.\n";

fn head(context: &SchemaContext) -> String {
    let description = context.description.as_deref().map(|text| format!(": {}", one_line(text))).unwrap_or_default();
    let has_masked = context.tables.iter().flat_map(|table| &table.columns).any(|column| column.masked);
    let masked = if has_masked { MASKED } else { "" };
    format!("Database {}{description}\nSearch path: {}\n{masked}", context.database, context.search_path.join(", "))
}

fn table_text(context: &SchemaContext, table: &Table, comments: bool) -> String {
    let name = if context.is_on_search_path(table) {
        quoted(&table.table_name)
    } else {
        format!("{}.{}", quoted(&table.schema_name), quoted(&table.table_name))
    };
    let kind = match table.r#type {
        TableKind::View => "VIEW",
        TableKind::MaterializedView => "MATERIALIZED VIEW",
        TableKind::Table | TableKind::PartitionedTable | TableKind::ForeignTable => "TABLE",
    };
    let mut text = format!("\n{kind} {name}{}\n", comment(table.description.as_deref(), comments));
    for column in &table.columns {
        let _ = writeln!(text, "  {}{}", column_text(table, column), comment(column.description.as_deref(), comments));
    }
    for constraint in &table.constraints {
        let composite_key = constraint.r#type == "PRIMARY KEY" && constraint.columns.len() > 1;
        if (constraint.r#type == "CHECK" || composite_key)
            && let Some(definition) = &constraint.definition
        {
            let _ = writeln!(text, "  {}", one_line(definition));
        }
    }
    for key in table.foreign_keys.iter().filter(|key| key.from_columns.len() > 1) {
        let target = format!("{}.{}", quoted(&key.to_schema), quoted(&key.to_table));
        let _ = writeln!(
            text,
            "  FOREIGN KEY ({}) -> {target} ({})",
            key.from_columns.join(", "),
            key.to_columns.join(", ")
        );
    }
    text
}

fn column_text(table: &Table, column: &Column) -> String {
    let mut text = format!("{} {}", quoted(&column.name), column.data_type);
    if let Some(labels) = &column.enum_values {
        let labels: Vec<String> = labels.iter().map(|label| format!("'{}'", label.replace('\'', "''"))).collect();
        let _ = write!(text, " ({})", labels.join(", "));
    }
    if column.masked {
        text.push_str(" MASKED");
    }
    let composite_key = table.columns.iter().filter(|column| column.is_primary_key).count() > 1;
    if column.is_primary_key && !composite_key {
        text.push_str(" PRIMARY KEY");
    } else if !column.is_nullable {
        text.push_str(" NOT NULL");
    }
    if column.is_unique && !column.is_primary_key {
        text.push_str(" UNIQUE");
    }
    let own = [column.name.clone()];
    for key in table.foreign_keys.iter().filter(|key| key.from_columns == own) {
        let same_schema = key.to_schema == key.from_schema;
        let schema = if same_schema { String::new() } else { format!("{}.", quoted(&key.to_schema)) };
        let to_column = key.to_columns.first().map(|name| quoted(name)).unwrap_or_default();
        let _ = write!(text, " -> {schema}{}.{to_column}", quoted(&key.to_table));
    }
    text
}

fn comment(description: Option<&str>, shown: bool) -> String {
    match description.filter(|_| shown) {
        Some(description) => format!(" -- {}", one_line(description)),
        None => String::new(),
    }
}

/// A comment with a line break in it could pass for schema.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name as SQL needs it.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
