//! `list_tables`: the tables and views of a schema.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::catalog::{Table, TableKind};
use shared_protocol::tool::list_tables::{ListTablesInput, ListTablesOutput, ListedTable, NAME};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::{Listing, answer};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};
use crate::catalog::{Size, Visible, sizes_of};

/// The tool.
#[derive(Debug)]
pub(super) struct ListTables;

const DESCRIPTION: &str = "The tables and views of a schema with comment, estimated rows and size, in pages. Next: describe_table for columns. To find \
a table by a word, use search_schema. Example: {\"schema_name\": \"public\", \"name_pattern\": \"order%\"}";

#[async_trait]
impl Tool for ListTables {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "List tables",
            description: DESCRIPTION,
            input_schema: input_schema::<ListTablesInput>(),
            output_schema: output_schema::<ListTablesOutput>(),
            described_output: described_output::<ListTablesOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: ListTablesInput = parse(arguments)?;
        let find = |view: &View| view.schema(input.schema_name.as_deref());
        let (View { database, visible, .. }, schema) = context.find(input.database.as_deref(), call, find).await?;
        let which = (&input.database, &schema, input.include_views, &input.name_pattern);
        let listing = Listing::new(NAME, visible.structure(), &which);
        let start = listing.start(input.cursor.as_deref())?;
        let is_wanted = |table: &&Table| {
            (input.include_views || !is_view(table))
                && input.name_pattern.as_deref().is_none_or(|pattern| is_like(&table.table_name, pattern))
        };
        let tables: Vec<Table> = visible.tables_of(&schema).iter().filter(is_wanted).cloned().collect();
        let total_count = tables.len();
        let shown = tables.into_iter().skip(start).take(input.limit.as_usize()).collect::<Vec<_>>();
        let sizes = sizes_of(&database, &shown).await;
        let listed = shown.iter().map(|table| listed(table, &visible, &sizes)).collect();
        let page = listing.cut(listed, start, total_count, call);
        let rows = page.entries.len();
        let output = ListTablesOutput {
            tables: page.entries,
            schema_name: schema,
            total_count: page.total,
            next_cursor: page.next_cursor,
        };
        answer(&output, rows, context, call).await
    }
}

fn listed(table: &Table, visible: &Visible, sizes: &HashMap<(String, String), Size>) -> ListedTable {
    let size = sizes.get(&(table.schema_name.clone(), table.table_name.clone()));
    ListedTable {
        name: table.table_name.clone(),
        schema_name: table.schema_name.clone(),
        r#type: table.r#type,
        description: table.description.clone(),
        estimated_row_count: table.estimated_row_count,
        size_bytes: size.map(|size| size.bytes),
        size_pretty: size.map(|size| size.pretty.clone()),
        has_primary_key: table.columns.iter().any(|column| column.is_primary_key),
        column_count: table.columns.len(),
        partition_count: table.partition_count,
        note: note(table, visible),
    }
}

/// Why there is no estimate of a table's rows, where there could be one.
pub(super) fn note(table: &Table, visible: &Visible) -> Option<String> {
    if is_view(table) && table.r#type == TableKind::View || table.estimated_row_count.is_some() {
        return None;
    }
    let why = match visible.has_row_security(table) {
        true => "Its rows depend on who asks (row-level security), so nothing tells how many there are.",
        false => "Never analysed, so there is no estimate of its rows.",
    };
    Some(why.to_owned())
}

fn is_view(table: &Table) -> bool {
    matches!(table.r#type, TableKind::View | TableKind::MaterializedView)
}

/// Whether a name is LIKE a pattern, as in SQL: `%` stands for any text, `_` for any one character, and a backslash before either for
/// itself.
fn is_like(name: &str, pattern: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let pattern = parts(pattern);
    let (mut at, mut in_pattern) = (0, 0);
    // Where the last % stands, and where the text that it took ends so far.
    let mut last_any: Option<(usize, usize)> = None;
    while at < name.len() {
        let fits = match pattern.get(in_pattern) {
            Some(Part::Any) => {
                last_any = Some((in_pattern, at));
                in_pattern += 1;
                continue;
            }
            Some(Part::One) => true,
            Some(Part::Letter(letter)) => *letter == name[at],
            None => false,
        };
        match (fits, last_any) {
            (true, _) => (at, in_pattern) = (at + 1, in_pattern + 1),
            (false, Some((place, taken))) => {
                last_any = Some((place, taken + 1));
                (at, in_pattern) = (taken + 1, place + 1);
            }
            (false, None) => return false,
        }
    }
    pattern[in_pattern..].iter().all(|part| matches!(part, Part::Any))
}

enum Part {
    Any,
    One,
    Letter(char),
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut letters = pattern.chars();
    let mut parts = Vec::new();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Letter(letters.next().unwrap_or('\\')),
            letter => Part::Letter(letter),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_like_patterns_as_in_sql() {
        let check = |name: &str, pattern: &str, expected: bool| {
            assert_eq!(is_like(name, pattern), expected, "{name} LIKE {pattern}");
        };
        check("orders", "order%", true);
        check("orders", "order", false);
        check("order_items", "%\\_items", true);
        check("orderXitems", "%\\_items", false);
        check("orderXitems", "%_items", true);
        check("orders", "o_d%s", true);
        check("orders", "O%", false);
        check("aXbXc", "a%b%c", true);
        check("aXbX", "a%b%c", false);
        check("größe", "gr__e", true);
        check("", "%", true);
        check("", "", true);
        check("a", "", false);
        check("a\\", "a\\", true);
        check(&"a".repeat(60), &format!("{}b", "%a".repeat(30)), false);
    }
}
