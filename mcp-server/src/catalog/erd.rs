//! The tables and their foreign keys as a Mermaid `erDiagram`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use shared_protocol::catalog::{Column, ForeignKey, Table};

use super::ddl::bytes_in_string;

/// The diagram of `tables`, as text that Mermaid parses whatever they are called. `on_path` says whether a table is found by its name
/// alone; others are called by their schema, too. Where there is more than about `bytes` of it, columns are left out, then tables, and
/// a comment says so.
pub fn erd(tables: &[Table], on_path: impl Fn(&Table) -> bool, bytes: usize) -> String {
    let whole = drawn(tables, &on_path, true);
    if bytes_in_string(&whole) <= bytes {
        return whole;
    }
    let mut shown = tables.len();
    loop {
        let part = drawn(&tables[..shown], &on_path, false);
        let note = match tables.len() - shown {
            0 => "%% There is no room for columns.\n".to_owned(),
            left => format!("%% There is no room for columns, and for {left} more tables.\n"),
        };
        if shown == 0 || bytes_in_string(&part) + note.len() <= bytes {
            return part + &note;
        }
        shown /= 2;
    }
}

fn drawn(tables: &[Table], on_path: &impl Fn(&Table) -> bool, with_columns: bool) -> String {
    let mut taken = HashSet::new();
    let mut entities: HashMap<(&str, &str), String> = HashMap::new();
    let mut text = "erDiagram\n".to_owned();
    for table in tables {
        let schema = if on_path(table) { String::new() } else { format!("{}.", table.schema_name) };
        let entity = entity(&format!("{schema}{}", table.table_name), &mut taken);
        let _ = writeln!(text, "    {entity} {{");
        for column in table.columns.iter().filter(|_| with_columns) {
            let _ = writeln!(text, "        {}", attribute(column, table));
        }
        text.push_str("    }\n");
        entities.insert((&table.schema_name, &table.table_name), entity);
    }
    for (table, key) in tables.iter().flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key))) {
        let parent = entities.get(&(key.to_schema.as_str(), key.to_table.as_str()));
        let child = entities.get(&(key.from_schema.as_str(), key.from_table.as_str()));
        if let (Some(parent), Some(child)) = (parent, child) {
            let _ = writeln!(
                text,
                "    {parent} {} {child} : {}",
                cardinality(table, key),
                in_quotes(&key.constraint_name)
            );
        }
    }
    text
}

/// A name in quotes, with what Mermaid doesn't take there replaced, and a number where another table is called so already.
fn entity(name: &str, taken: &mut HashSet<String>) -> String {
    let plain: String =
        name.chars().map(|one| if matches!(one, '"' | '%' | '\\') || one.is_control() { '_' } else { one }).collect();
    // Mermaid has no empty names, and PostgreSQL none either.
    let numbered = (2..).map(|number| format!("{plain} {number}"));
    let mut candidates = std::iter::once(plain.clone()).chain(numbered);
    let free = candidates.find(|name| !taken.contains(name)).expect("numbers never end");
    taken.insert(free.clone());
    format!("\"{free}\"")
}

/// `type name PK, FK "comment"`.
fn attribute(column: &Column, table: &Table) -> String {
    let name = word(&column.name);
    let is_key = table.foreign_keys.iter().any(|key| key.from_columns.contains(&column.name));
    let is_unique = column.is_unique && !column.is_primary_key;
    let keys = [(column.is_primary_key, "PK"), (is_key, "FK"), (is_unique, "UK")];
    let keys: Vec<&str> = keys.into_iter().filter_map(|(is, key)| is.then_some(key)).collect();
    let mut text = format!("{} {name}", word(&column.data_type));
    if !keys.is_empty() {
        let _ = write!(text, " {}", keys.join(", "));
    }
    // What had to be written otherwise is told in full beside it.
    let real_name = (name != column.name).then_some(column.name.as_str());
    let notes: Vec<&str> = real_name.into_iter().chain(column.description.as_deref()).collect();
    if !notes.is_empty() {
        let _ = write!(text, " {}", in_quotes(&notes.join(": ")));
    }
    text
}

/// A type or a column as one of Mermaid's words: letters, digits, `_`, `-` and brackets, with a letter first, and none that means a
/// key to it.
fn word(text: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '[' | ']' | '(' | ')');
    let word: String = text.chars().map(|one| if is_plain(one) { one } else { '_' }).collect();
    let begins = word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let first_part: String = word.chars().take_while(|one| one.is_ascii_alphanumeric() || *one == '_').collect();
    let means_a_key = ["pk", "fk", "uk"].contains(&first_part.to_ascii_lowercase().as_str());
    if begins && !means_a_key { word } else { format!("_{word}") }
}

/// How many rows stand on either side of a key: its table's own, many or one, and one or none of the other's.
fn cardinality(table: &Table, key: &ForeignKey) -> String {
    let column = |name: &String| table.columns.iter().find(|column| column.name == *name);
    let is_required = key.from_columns.iter().all(|name| column(name).is_some_and(|column| !column.is_nullable));
    let is_unique = matches!(&key.from_columns[..], [only] if column(only).is_some_and(|column| column.is_unique));
    format!("{}--{}", if is_required { "||" } else { "|o" }, if is_unique { "o|" } else { "o{" })
}

/// A text in Mermaid's quotes, which it can't escape, on one line.
fn in_quotes(text: &str) -> String {
    let text: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    format!("\"{}\"", text.replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{column, table};
    use super::*;

    fn key(from: &Table, from_column: &str, to: &Table) -> ForeignKey {
        ForeignKey {
            constraint_name: format!("{}_fkey", from.table_name),
            from_schema: from.schema_name.clone(),
            from_table: from.table_name.clone(),
            from_columns: vec![from_column.to_owned()],
            to_schema: to.schema_name.clone(),
            to_table: to.table_name.clone(),
            to_columns: vec!["id".to_owned()],
            on_update: "NO ACTION".to_owned(),
            on_delete: "NO ACTION".to_owned(),
        }
    }

    #[test]
    fn writes_tables_and_keys_in_mermaids_own_words() {
        let users = table("public", "users", &["id!"]);
        let mut notes = table("crm", "Odd \"100%\" notes", &["id!", "user_id", "pk", "2nd", "größe"]);
        let price = Column {
            data_type: "numeric(10,2)".to_owned(),
            description: Some("what it \"costs\"\nin all".to_owned()),
            ..column("price")
        };
        notes.columns.push(price);
        notes.foreign_keys.push(key(&notes, "user_id", &users));
        let text = erd(&[notes, users], |table| table.schema_name == "public", 10_000);
        let expected = r#"erDiagram
    "crm.Odd _100__ notes" {
        integer id PK
        integer user_id FK
        integer _pk "pk"
        integer _2nd "2nd"
        integer gr__e "größe"
        numeric(10_2) price "what it 'costs' in all"
    }
    "users" {
        integer id PK
    }
    "users" |o--o{ "crm.Odd _100__ notes" : "Odd '100%' notes_fkey"
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn the_ends_of_a_key_say_how_many_there_are() {
        let users = table("public", "users", &["id!"]);
        let check = |column: &str, is_unique: bool, expected: &str| {
            let mut child = table("public", "child", &[column]);
            child.columns[0].is_unique = is_unique;
            let key = key(&child, &child.columns[0].name, &users);
            assert_eq!(cardinality(&child, &key), expected, "{column}");
        };
        check("user_id", false, "|o--o{");
        check("user_id!", false, "||--o{");
        check("user_id!", true, "||--o|");
    }

    #[test]
    fn tables_of_one_name_are_told_apart() {
        let tables = [table("a", "x%", &[]), table("a", "x_", &[])];
        let text = erd(&tables, |_| true, 10_000);
        assert_eq!(text, "erDiagram\n    \"x_\" {\n    }\n    \"x_ 2\" {\n    }\n");
    }
}
