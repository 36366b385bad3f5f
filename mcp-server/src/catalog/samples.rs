//! Values that stand in text columns with few different ones: what questions call things by.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shared_protocol::catalog::Table;
use tokio::time::Instant;

/// Most values that are kept of a column (tools.md, "Resources").
const MAX_VALUES: usize = 20;

/// Most different values that a column may have.
pub(super) const MAX_DISTINCT: u16 = 50;

/// Most characters of a value: a column with a longer one holds texts, not names of things.
pub(super) const MAX_CHARS: usize = 100;

/// Most columns that are read of a table.
const MAX_COLUMNS: usize = 40;

/// How long what was read of a table counts, in place of another read.
const KEEP: Duration = Duration::from_secs(3600);

/// The same where it was empty: that may soon be otherwise.
const KEEP_EMPTY: Duration = Duration::from_secs(600);

/// A table by its schema and name.
type Name = (String, String);

/// The values by table and column, the most frequent first.
#[derive(Debug)]
pub(super) struct Samples {
    serial: u64,
    by_table: HashMap<Name, BTreeMap<String, Vec<String>>>,
    /// The tables that were read themselves.
    reads: HashMap<Name, Read>,
}

/// Until when it counts that a table was read, and which of its columns.
#[derive(Debug, Clone)]
struct Read {
    until: Instant,
    columns: Vec<String>,
}

impl Samples {
    /// None yet.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { serial: NEXT.fetch_add(1, Ordering::Relaxed), by_table: HashMap::new(), reads: HashMap::new() }
    }

    /// Tells them from all others of the process.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// These, as the same ones as `known` where all values are; whether they are others.
    pub(super) fn after(self, known: &Self) -> (Self, bool) {
        let is_new = self.by_table != known.by_table;
        (Self { serial: if is_new { self.serial } else { known.serial }, ..self }, is_new)
    }

    /// The values of a column, where it has few.
    pub(super) fn of(&self, schema: &str, table: &str, column: &str) -> Option<&[String]> {
        let columns = self.by_table.get(&(schema.to_owned(), table.to_owned()))?;
        columns.get(column).map(Vec::as_slice)
    }

    /// Takes the values of a column, the most frequent first, where none is long.
    pub(super) fn put(&mut self, schema: String, table: String, column: String, mut values: Vec<String>) {
        if !values.is_empty() && values.iter().all(|value| value.chars().count() <= MAX_CHARS) {
            values.truncate(MAX_VALUES);
            self.by_table.entry((schema, table)).or_default().insert(column, values);
        }
    }

    /// That this table was read itself, these columns of it.
    pub(super) fn note_read(&mut self, table: &Table, columns: Vec<String>, was_empty: bool) {
        let until = Instant::now() + if was_empty { KEEP_EMPTY } else { KEEP };
        self.reads.insert(name_of(table), Read { until, columns });
    }

    /// Takes over what was read of a table before, where that still counts; whether it does.
    pub(super) fn take(&mut self, before: &Self, table: &Table) -> bool {
        let name = name_of(table);
        let Some(read) = before.reads.get(&name) else { return false };
        if Instant::now() >= read.until || read.columns != text_columns(table) {
            return false;
        }
        self.reads.insert(name.clone(), read.clone());
        if let Some(values) = before.by_table.get(&name) {
            self.by_table.insert(name, values.clone());
        }
        true
    }
}

fn name_of(table: &Table) -> Name {
    (table.schema_name.clone(), table.table_name.clone())
}

/// A column's values, the most frequent first, where it has few different ones.
pub(super) fn few(values: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
        if counts.len() > usize::from(MAX_DISTINCT) {
            return None;
        }
    }
    let mut counted: Vec<(String, usize)> = counts.into_iter().collect();
    // Stable, so equals stay in their order.
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Some(counted.into_iter().map(|(value, _)| value).collect())
}

/// The columns that values are read of.
pub(super) fn text_columns(table: &Table) -> Vec<String> {
    let columns = table.columns.iter().filter(|column| is_text(&column.data_type) && !column.is_generated);
    columns.take(MAX_COLUMNS).map(|column| column.name.clone()).collect()
}

/// Whether a type is a text, by `format_type`'s name of it.
fn is_text(data_type: &str) -> bool {
    data_type == "text" || data_type.starts_with("character")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: Option<&[&str]>) {
        let found = few(values.iter().map(|value| (*value).to_owned()));
        let found: Option<Vec<&str>> = found.as_ref().map(|values| values.iter().map(String::as_str).collect());
        assert_eq!(found.as_deref(), expected, "{values:?}");
    }

    #[test]
    fn keeps_the_most_frequent_of_few_values() {
        check(&["b", "a", "b", "c"], Some(&["b", "a", "c"]));
        check(&[], Some(&[]));
        let many: Vec<String> = (0..=MAX_DISTINCT).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(&many, None);
        let mut samples = Samples::new();
        let mut put = |column: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            samples.put("s".to_owned(), "t".to_owned(), column.to_owned(), values);
        };
        let long = "x".repeat(MAX_CHARS + 1);
        put("many", &many[1..]);
        put("long", &["a", &long]);
        put("short", &[&long[1..]]);
        put("none", &[]);
        let count = |column: &str| samples.of("s", "t", column).map(<[String]>::len);
        assert_eq!(
            (count("many"), count("long"), count("short"), count("none")),
            (Some(MAX_VALUES), None, Some(1), None)
        );
    }

    #[test]
    fn only_texts_are_sampled() {
        for (data_type, expected) in [
            ("text", true),
            ("character varying(20)", true),
            ("character(2)", true),
            ("text[]", false),
            ("integer", false),
            ("order_status", false),
        ] {
            assert_eq!(is_text(data_type), expected, "{data_type}");
        }
    }
}
