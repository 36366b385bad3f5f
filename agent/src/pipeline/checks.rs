//! The free checks: what rows and statement alone tell of an answer.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::execute::Rows;
use crate::answer::Check;
use crate::translator::Candidate;

/// All checks, in a fixed order.
pub(super) fn run(question: &str, candidate: &Candidate, rows: &Rows) -> Vec<Check> {
    vec![has_rows(rows), has_values(rows), complete(rows), limit_was_asked_for(question, candidate, rows)]
}

fn has_rows(rows: &Rows) -> Check {
    check("has_rows", rows.row_count > 0, || "No row matches.".to_owned())
}

fn has_values(rows: &Rows) -> Check {
    let passed = rows.row_count == 0 || holds_a_value(rows.rows.get());
    check("has_values", passed, || "Every value is NULL, as when a total is taken over no rows.".to_owned())
}

fn complete(rows: &Rows) -> Check {
    check("complete", !rows.truncated, || {
        format!("More rows match than were fetched ({}): ask for more with max_rows.", rows.row_count)
    })
}

/// A LIMIT that the question doesn't mention, and that was reached, may have cut what was asked for.
fn limit_was_asked_for(question: &str, candidate: &Candidate, rows: &Rows) -> Check {
    let cut = final_limit(&candidate.sql, &candidate.params)
        .filter(|limit| *limit > 1 && rows.row_count >= *limit && !mentions(question, *limit));
    check("limit_asked_for", cut.is_none(), || {
        format!("The statement keeps only {} rows, a number that the question doesn't mention.", rows.row_count)
    })
}

fn check(name: &'static str, passed: bool, detail: impl FnOnce() -> String) -> Check {
    Check { name, passed, detail: (!passed).then(detail) }
}

/// The number of a LIMIT that ends the statement, written out or bound.
fn final_limit(sql: &str, params: &[Value]) -> Option<u64> {
    let words: Vec<&str> = sql.trim_end_matches([';', ' ', '\n', '\t', '\r']).split_ascii_whitespace().collect();
    let words = match words.as_slice() {
        [head @ .., offset, _] if offset.eq_ignore_ascii_case("offset") => head,
        all => all,
    };
    let [.., limit, number] = words else { return None };
    if !limit.eq_ignore_ascii_case("limit") {
        return None;
    }
    match number.strip_prefix('$') {
        Some(place) => params.get(place.parse::<usize>().ok()?.checked_sub(1)?)?.as_u64(),
        None => number.parse().ok(),
    }
}

fn mentions(question: &str, number: u64) -> bool {
    const NUMBERS: [&str; 13] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let spelled = usize::try_from(number).ok().and_then(|number| NUMBERS.get(number));
    question
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word.parse() == Ok(number) || spelled.is_some_and(|spelled| word.eq_ignore_ascii_case(spelled)))
}

fn holds_a_value(rows: &str) -> bool {
    serde_json::from_str(rows).is_ok_and(|HoldsValue(holds)| holds)
}

/// Whether a JSON text of rows holds a value that isn't null. Reads the text once, and builds nothing.
struct HoldsValue(bool);

impl<'de> Deserialize<'de> for HoldsValue {
    fn deserialize<D: Deserializer<'de>>(rows: D) -> Result<Self, D::Error> {
        rows.deserialize_any(Rowset).map(HoldsValue)
    }
}

struct Rowset;

impl<'de> Visitor<'de> for Rowset {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(HoldsValue(holds)) = rows.next_element()? {
            found |= holds;
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some((_, value)) = row.next_entry::<IgnoredAny, Option<IgnoredAny>>()? {
            found |= value.is_some();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn nulls_alone_are_no_value() {
        let check = |rows: &str, holds: bool| assert_eq!(holds_a_value(rows), holds, "{rows}");
        check("[]", false);
        check(r#"[{"sum": null}]"#, false);
        check(r#"[{"a": null, "b": null}, {"a": null, "b": 0}]"#, true);
        check(r#"[{"a": {"b": null}}]"#, true);
        check(r#"[{"a": ""}]"#, true);
    }

    #[test]
    fn the_last_limit_is_read() {
        let check =
            |sql: &str, limit: Option<u64>| assert_eq!(final_limit(sql, &[json!("x"), json!(5)]), limit, "{sql}");
        check("SELECT 1 LIMIT 10", Some(10));
        check("SELECT 1 limit $2 ;\n", Some(5));
        check("SELECT 1 LIMIT 7 OFFSET 3", Some(7));
        check("SELECT 1 LIMIT $1", None);
        check("SELECT 1 LIMIT $9", None);
        check("SELECT * FROM (SELECT 1 LIMIT 3) t", None);
        check("SELECT 1", None);
    }

    #[test]
    fn a_limit_that_the_question_names_is_no_cut() {
        let check =
            |question: &str, number: u64, named: bool| assert_eq!(mentions(question, number), named, "{question}");
        check("show last 5 users", 5, true);
        check("the five newest users", 5, true);
        check("Top 10", 10, true);
        check("show users of 2025", 5, false);
        check("show users", 100, false);
    }

    #[test]
    fn each_check_finds_its_fault() {
        let rows = |text: &str, row_count: u64, truncated: bool| Rows {
            next_cursor: None,
            rows: RawValue::from_string(text.to_owned()).unwrap(),
            row_count,
            execution_time_ms: 0.1,
            columns: Vec::new(),
            truncated,
            warnings: Vec::new(),
        };
        let check = |rows: Rows, sql: &str, failed: &[&str]| {
            let candidate = Candidate { sql: sql.to_owned(), ..Candidate::default() };
            let found: Vec<&str> =
                run("show users", &candidate, &rows).iter().filter(|c| !c.passed).map(|c| c.name).collect();
            assert_eq!(found, failed, "{sql} {rows:?}");
        };
        check(rows(r#"[{"id":1}]"#, 1, false), "SELECT id FROM users", &[]);
        check(rows("[]", 0, false), "SELECT id FROM users", &["has_rows"]);
        check(rows(r#"[{"sum":null}]"#, 1, false), "SELECT sum(x) FROM users", &["has_values"]);
        check(rows(r#"[{"id":1}]"#, 1, true), "SELECT id FROM users", &["complete"]);
        check(rows(r#"[{"id":1},{"id":2}]"#, 2, false), "SELECT id FROM users LIMIT 2", &["limit_asked_for"]);
    }
}
