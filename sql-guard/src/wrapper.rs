//! The page wrapper: our own SELECT about a statement whose text stays as it came.

use crate::columns::MAX_COLUMNS;

/// How the wrapper passes a column of the statement on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrappedColumn {
    /// As it is.
    Plain,
    /// As JSON text, for a type that has no decoder.
    ToJson,
    /// As the type's own text, where a conversion to JSON could run what may not run.
    Text,
}

/// `SELECT … FROM (⏎text⏎) AS q(c1, …)`, one expression a column, in order. The line breaks close a trailing `--` comment.
///
/// Nothing where there is no such query: a statement without columns can't be given column names, and more than 1,664 don't fit.
pub(crate) fn wrap(text: &str, columns: &[WrappedColumn]) -> Option<String> {
    if columns.is_empty() || columns.len() > MAX_COLUMNS {
        return None;
    }
    let (mut outputs, mut names) = (Vec::new(), Vec::new());
    for (number, column) in (1..).zip(columns) {
        names.push(format!("c{number}"));
        outputs.push(match column {
            WrappedColumn::Plain => format!("c{number}"),
            WrappedColumn::Text => format!("c{number}::pg_catalog.text"),
            WrappedColumn::ToJson => format!("pg_catalog.to_json(c{number})"),
        });
    }
    Some(format!("SELECT {} FROM (\n{text}\n) AS q({})", outputs.join(", "), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_the_text_untouched() {
        let check = |text: &str, columns: &[WrappedColumn], expected: Option<&str>| {
            assert_eq!(wrap(text, columns).as_deref(), expected);
        };
        use WrappedColumn::{Plain, Text, ToJson};
        check("SELECT 1 -- one", &[Plain], Some("SELECT c1 FROM (\nSELECT 1 -- one\n) AS q(c1)"));
        check("TABLE t", &[Text], Some("SELECT c1::pg_catalog.text FROM (\nTABLE t\n) AS q(c1)"));
        check("TABLE t", &[Plain, ToJson], Some("SELECT c1, pg_catalog.to_json(c2) FROM (\nTABLE t\n) AS q(c1, c2)"));
        check("SELECT FROM t", &[], None);
        check("SELECT *", &[Plain; 1665], None);
    }
}
