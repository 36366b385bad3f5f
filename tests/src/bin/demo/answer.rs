//! An answer as a person reads it in a terminal.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Widest column of the printed table, in characters.
const WIDEST_COLUMN: usize = 28;

/// Columns get no narrower than this to fit a terminal.
const NARROWEST_COLUMN: usize = 6;

/// The part of an answer that is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    sql: String,
    params: Vec<Value>,
    columns: Vec<Column>,
    /// Cells as they came: a number's digits are PostgreSQL's.
    rows: Vec<HashMap<String, Box<RawValue>>>,
    row_count: u64,
    execution_time_ms: f64,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

impl Answer {
    /// As text; the table is no wider than this if it can be helped.
    pub(crate) fn shown(&self, width: usize) -> String {
        let mut text = format!("SQL:         {}\n", self.sql);
        if !self.params.is_empty() {
            let _ = writeln!(text, "Parameters:  {}", Value::Array(self.params.clone()));
        }
        let header = self.columns.iter().map(|column| column.name.clone()).collect();
        let rows = self
            .rows
            .iter()
            .map(|row| self.columns.iter().map(|column| cell(row.get(&column.name).map(AsRef::as_ref))).collect());
        let table = table(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), width);
        let summary = self.summary.as_deref().unwrap_or("");
        let _ = writeln!(text, "\n{table}\n{} rows in {:.1} ms. {summary}", self.row_count, self.execution_time_ms);
        text
    }
}

/// Text of a cell: strings without their quotes, all else as JSON writes it.
fn cell(value: Option<&RawValue>) -> String {
    let raw = value.map_or("", RawValue::get);
    serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
}

/// Lines of equal columns; the first row is the header.
fn table(rows: &[Vec<String>], width: usize) -> String {
    let widths = column_widths(rows, width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", cut(cell, *width))).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            let _ = writeln!(text, "  {}", rules.join("  "));
        }
    }
    text
}

/// The widest column gives way first.
fn column_widths(rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns).map(|column| longest(column).min(WIDEST_COLUMN)).collect();
    while widths.iter().map(|width| width + 2).sum::<usize>() > width
        && let Some(widest) = widths.iter_mut().max()
        && *widest > NARROWEST_COLUMN
    {
        *widest -= 1;
    }
    widths
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// How many characters fit a line of the terminal, where there is one.
pub(crate) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    // `stty` asks about the terminal at its standard input.
    let size = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    let width = String::from_utf8_lossy(&size.stdout).split_whitespace().nth(1)?.parse().ok()?;
    (width > 0).then_some(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_an_answer_with_its_digits() {
        let answer = r#"{"sql": "SELECT id, price, name FROM t LIMIT $1", "params": [2], "columns": [{"name": "id"}, {"name": "price"}, {"name": "name"}],
            "rows": [{"id": 7, "price": 1.10, "name": "Łukasz"}, {"id": 9223372036854775807, "price": null, "name": "a \"b\""}],
            "rowCount": 2, "executionTimeMs": 0.5, "summary": "Two rows."}"#;
        let shown = serde_json::from_str::<Answer>(answer).unwrap().shown(usize::MAX);
        let expected = "SQL:         SELECT id, price, name FROM t LIMIT $1\nParameters:  [2]\n\n\
            \x20 id                   price  name\n\
            \x20 ───────────────────  ─────  ──────\n\
            \x20 7                    1.10   Łukasz\n\
            \x20 9223372036854775807  null   a \"b\"\n\n\
            2 rows in 0.5 ms. Two rows.\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let rows = [["id", "email", "created_at"], ["7", "someone@example.org", "2025-10-30T10:07:56+00:00"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let shown = table(&rows, 40);
        let expected = "\x20 id  email             created_at\n\
            \x20 ──  ────────────────  ────────────────\n\
            \x20 7   someone@example…  2025-10-30T10:0…\n";
        assert_eq!(shown, expected);
        let lines = table(&rows, 0);
        assert_eq!(lines.lines().next(), Some("  id  email   creat…"), "it can't be narrower");
    }
}
