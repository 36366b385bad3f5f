//! A whole schema as compact, DDL-like text: for a language model to read, not to be run.

use std::collections::BTreeMap;
use std::fmt::Write;

use shared_protocol::catalog::{Column, Constraint, Function, Table, TableKind};

use super::identifier::quoted;
use super::visible::Visible;

/// Everything that the caller may see: types, tables and views with their keys and comments, functions. What takes more than about
/// `bytes` in a message is left out, and the end says so.
pub fn ddl(visible: &Visible, bytes: usize) -> String {
    let snapshot = visible.snapshot();
    let mut text = format!("-- Database {}", snapshot.database);
    if let Some(description) = visible.description() {
        let _ = write!(text, ": {}", one_line(description));
    }
    let path = visible.search_path().join(", ");
    let _ = writeln!(text, "\n-- PostgreSQL {}, search_path {path}", snapshot.server_version);
    write_statements(&mut text, visible.tables(), &visible.functions, bytes);
    text
}

/// Types, tables and functions, as far as there is room.
fn write_statements(text: &mut String, tables: &[Table], functions: &[Function], bytes: usize) {
    let types = types(tables);
    let total = types.len() + tables.len() + functions.len();
    let statements =
        types.into_values().chain(tables.iter().map(table_text)).chain(functions.iter().map(function_text));
    let mut used = bytes_in_string(text);
    for (at, statement) in statements.enumerate() {
        used += bytes_in_string(&statement) + 2;
        if used > bytes {
            let left = total - at;
            let _ =
                writeln!(text, "\n-- There is no room for {left} more: list_tables and describe_table tell of all.");
            return;
        }
        let _ = writeln!(text, "\n{}", statement.trim_end());
    }
}

fn function_text(Function { schema, name, args, returns, .. }: &Function) -> String {
    format!("CREATE FUNCTION {}.{}({args}) RETURNS {returns};", quoted(schema), quoted(name))
}

/// Bytes that a text takes in a JSON string.
pub(super) fn bytes_in_string(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n')).count()
}

/// The types of the columns that are the database's own, by name.
fn types(tables: &[Table]) -> BTreeMap<&str, String> {
    let columns = tables.iter().flat_map(|table| &table.columns);
    columns.filter_map(|column| Some((column.data_type.as_str(), definition_of(column)?))).collect()
}

/// The statement that would make a column's type.
fn definition_of(column: &Column) -> Option<String> {
    let name = &column.data_type;
    match (&column.type_definition, &column.enum_values) {
        (Some(fields), _) if fields.starts_with('(') => Some(format!("CREATE TYPE {name} AS {fields};")),
        (Some(base), _) => Some(format!("CREATE DOMAIN {name} AS {base};")),
        (None, Some(labels)) => {
            let labels: Vec<String> = labels.iter().map(|label| format!("'{}'", label.replace('\'', "''"))).collect();
            Some(format!("CREATE TYPE {name} AS ENUM ({});", labels.join(", ")))
        }
        (None, None) => None,
    }
}

fn table_text(table: &Table) -> String {
    let mut text = String::new();
    if let Some(description) = &table.description {
        let _ = writeln!(text, "-- {}", one_line(description));
    }
    let what = match table.r#type {
        TableKind::Table | TableKind::PartitionedTable => "TABLE",
        TableKind::View => "VIEW",
        TableKind::MaterializedView => "MATERIALIZED VIEW",
        TableKind::ForeignTable => "FOREIGN TABLE",
    };
    let _ = writeln!(text, "CREATE {what} {}.{} (", quoted(&table.schema_name), quoted(&table.table_name));
    let columns = table.columns.iter().map(|column| (column_text(column), column.description.as_deref()));
    let constraints = table.constraints.iter().filter_map(constraint_text).map(|text| (text, None));
    let lines: Vec<(String, Option<&str>)> = columns.chain(constraints).collect();
    for (at, (line, comment)) in lines.iter().enumerate() {
        let comma = if at + 1 < lines.len() { "," } else { "" };
        let comment = comment.map(|comment| format!(" -- {}", one_line(comment))).unwrap_or_default();
        let _ = writeln!(text, "  {line}{comma}{comment}");
    }
    text.push(')');
    if let Some(key) = &table.partition_key {
        let _ = write!(text, " PARTITION BY {key}");
    }
    text.push(';');
    if let Some(rows) = table.estimated_row_count {
        let _ = write!(text, " -- about {rows} rows");
    }
    text
}

fn column_text(column: &Column) -> String {
    let mut text = format!("{} {}", quoted(&column.name), column.data_type);
    if !column.is_nullable {
        text.push_str(" NOT NULL");
    }
    match (&column.default_value, column.is_generated, column.is_identity) {
        (_, _, true) => text.push_str(" GENERATED AS IDENTITY"),
        (Some(expression), true, _) => {
            let _ = write!(text, " GENERATED ALWAYS AS ({expression})");
        }
        (Some(default), false, _) => {
            let _ = write!(text, " DEFAULT {default}");
        }
        (None, ..) => {}
    }
    if column.masked {
        text.push_str(" /* masked: its values are shown as *** */");
    }
    text
}

/// A constraint as PostgreSQL prints it.
fn constraint_text(constraint: &Constraint) -> Option<String> {
    constraint.definition.clone()
}

/// A comment that can't end the line it stands on.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{column, table};
    use super::*;

    #[test]
    fn tells_types_tables_keys_and_comments_in_short() {
        let mut orders = table("public", "order", &["id!", "token*"]);
        orders.description = Some("What people\nbought".to_owned());
        orders.estimated_row_count = Some(1500);
        orders.partition_key = Some("RANGE (id)".to_owned());
        orders.columns.push(Column {
            data_type: "order_status".to_owned(),
            enum_values: Some(vec!["new".to_owned(), "can't".to_owned()]),
            default_value: Some("'new'::order_status".to_owned()),
            description: Some("where it stands".to_owned()),
            ..column("status!")
        });
        let spot =
            Column { data_type: "place".to_owned(), type_definition: Some("(x integer)".to_owned()), ..column("spot") };
        let mail = Column {
            data_type: "email".to_owned(),
            type_definition: Some("text CHECK (VALUE ~ '@')".to_owned()),
            ..column("mail")
        };
        orders.columns.extend([spot, mail]);
        orders.constraints.push(Constraint {
            name: "order_pkey".to_owned(),
            r#type: "PRIMARY KEY".to_owned(),
            columns: vec!["id".to_owned()],
            definition: Some("PRIMARY KEY (id)".to_owned()),
            referenced_table: None,
        });
        let mut text = String::new();
        write_statements(&mut text, &[orders.clone()], &[], 10_000);
        let expected = r#"
CREATE DOMAIN email AS text CHECK (VALUE ~ '@');

CREATE TYPE order_status AS ENUM ('new', 'can''t');

CREATE TYPE place AS (x integer);

-- What people bought
CREATE TABLE public."order" (
  id integer NOT NULL,
  token integer /* masked: its values are shown as *** */,
  status order_status NOT NULL DEFAULT 'new'::order_status, -- where it stands
  spot place,
  mail email,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id); -- about 1500 rows
"#;
        assert_eq!(text, expected);
        let mut short = String::new();
        write_statements(&mut short, &[orders], &[], 150);
        let end = "\n-- There is no room for 1 more: list_tables and describe_table tell of all.\n";
        assert_eq!(short, format!("{}{end}", &expected[..short.len() - end.len()]));
    }
}
