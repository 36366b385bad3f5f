//! Both corpora through the guard: what attacks is refused, what is honest passes.

mod schema;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schema::Schema;
use serde_json::Value;
use sql_guard::{CheckedQuery, Guard, Limits, Rejection};

/// Attacks that this guard lets through on purpose, and who stops them.
const PASSED_ON: &[(&str, &str)] = &[
    ("atk-333", WHOLE_ROW),
    ("atk-335", WHOLE_ROW),
    ("atk-336", WHOLE_ROW),
    ("atk-337", WHOLE_ROW),
    ("atk-351", WHOLE_ROW),
    ("atk-352", WHOLE_ROW),
    ("atk-355", WHOLE_ROW),
];

const WHOLE_ROW: &str =
    "a whole row with a hidden column: policy decides on columns, until then the role's column grants do";

/// Attacks that are refused with another code than the corpus has: a name with a database is bad SQL, whatever it leads to.
const OTHER_CODES: &[&str] = &["atk-285"];

/// Hidden means absent, and so do functions of extensions that the catalog doesn't have.
fn same_situation(expected: &str, code: &str) -> bool {
    expected == code
        || expected == "ACCESS_DENIED" && ["TABLE_NOT_FOUND", "COLUMN_NOT_FOUND"].contains(&code)
        || expected == "FUNCTION_DENIED" && code == "FUNCTION_NOT_FOUND"
}

/// The corpora, where they stand beside the checkout.
fn corpus() -> Option<PathBuf> {
    let folder = match std::env::var_os("GUARD_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/guard"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "no guard corpus at {}: only the crate's own statements are judged (src/statement/tests.rs)",
        folder.display()
    );
    None
}

fn rows(folder: &std::path::Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(file)).expect("the corpus can be read");
    text.lines().map(|line| serde_json::from_str(line).expect("a corpus line is JSON")).collect()
}

fn schema(folder: &std::path::Path, file: &str) -> Schema {
    Schema::read(&std::fs::read_to_string(folder.join(file)).expect("the schema can be read"))
}

fn statement(row: &Value) -> String {
    if let Some(sql) = row["sql"].as_str() {
        return sql.to_string();
    }
    let parts = row["generate"]["parts"].as_array().expect("a generated row has parts");
    parts
        .iter()
        .map(|part| match part.as_str() {
            Some(text) => text.to_string(),
            None => {
                let times = part[1].as_u64().and_then(|times| usize::try_from(times).ok()).expect("a part has a count");
                part[0].as_str().expect("a part has a text").repeat(times)
            }
        })
        .collect()
}

async fn check(guard: &Guard, sql: &str, schema: Schema) -> Result<CheckedQuery, Rejection> {
    guard.check(sql, Arc::new(schema)).await
}

#[tokio::test]
async fn attacks_are_refused() {
    let Some(folder) = corpus() else { return };
    let guard = Guard::new(Limits::default());
    let lab = schema(&folder, "attack_schema.sql").on("public");
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut failures, mut other_codes) = (Vec::new(), Vec::new());
    for row in rows(&folder, "attacks.jsonl") {
        let (id, category) = (row["id"].as_str().unwrap(), row["category"].as_str().unwrap());
        let sql = statement(&row);
        let mut visible = lab.clone();
        for hidden in row["policy"]["hidden_tables"].as_array().into_iter().flatten() {
            visible = visible.without_table(hidden.as_str().unwrap());
        }
        for hidden in row["policy"]["hidden_columns"].as_array().into_iter().flatten() {
            visible = visible.without_column(hidden.as_str().unwrap());
        }
        let verdict = check(&guard, &sql, visible).await;
        let count = counts.entry(category.to_string()).or_default();
        match &verdict {
            Ok(_) => count.0 += 1,
            Err(_) => count.1 += 1,
        }
        let resource = category == "resource";
        let passed_on = PASSED_ON.iter().any(|(known, _)| *known == id);
        match verdict {
            Ok(_) if !resource && !passed_on => failures.push(format!("{id} ({category}) passes: {sql}")),
            Err(rejection) if resource => failures.push(format!("{id} is refused: {rejection}: {sql}")),
            Err(_) if passed_on => failures.push(format!("{id} is refused now: take it off the list")),
            Err(rejection) => {
                let expected = row["expected_error_code"].as_str().unwrap();
                if !same_situation(expected, rejection.code.as_str()) && !OTHER_CODES.contains(&id) {
                    other_codes.push(format!("{id} {expected} -> {}: {rejection}: {:.100}", rejection.code, sql));
                }
            }
            Ok(_) => {}
        }
    }
    println!("attacks, category: accepted/refused");
    for (category, (accepted, refused)) in &counts {
        println!("  {category}: {accepted}/{refused}");
    }
    assert!(other_codes.is_empty(), "refused with another code:\n{}", other_codes.join("\n"));
    assert!(failures.is_empty(), "{} wrong verdicts:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn honest_statements_pass() {
    let Some(folder) = corpus() else { return };
    let guard = Guard::new(Limits::default());
    let all = schema(&folder, "benign_schema.sql").and(schema(&folder, "benign_regress_schema.sql"));
    let (mut accepted, mut refused, mut failures) = (0, 0, Vec::new());
    for row in rows(&folder, "benign.jsonl") {
        let id = row["id"].as_str().unwrap();
        let sql = statement(&row);
        match check(&guard, &sql, all.clone().on(row["search_path"].as_str().unwrap())).await {
            Ok(query) => {
                accepted += 1;
                assert!(sql.starts_with(query.text()), "{id}: the text that runs is the text that came");
            }
            Err(rejection) => {
                refused += 1;
                failures.push(format!("{id} {}: {rejection}: {sql:.200}", rejection.code));
            }
        }
    }
    println!("honest statements: {accepted} accepted, {refused} refused");
    assert!(failures.is_empty(), "{} wrong verdicts:\n{}", failures.len(), failures.join("\n"));
}
