//! The corpora through the guard over the catalog of a real database: what attacks is refused, what is honest passes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harness::{ThrowawayPostgres, repository_file, shared_postgres};
use mcp_server::catalog::{CatalogCache, OnPath, Snapshot};
use serde_json::Value;
use sql_guard::{Access, CheckedQuery, Guard, Limits, Pattern, Policy, Rejection};

use crate::rows::{Installation, is_expected, rows, statement};
use crate::runner::database;

/// The guard over one database, and what of it each policy leaves.
struct Bench {
    guard: Guard,
    snapshot: Arc<Snapshot>,
    seen: HashMap<(String, String), Arc<Access>>,
}

impl Bench {
    /// Over a database made of these files, seen by a superuser, so that the guard alone stands before everything.
    async fn over(postgres: &ThrowawayPostgres, name: &str, files: &[&Path]) -> Self {
        postgres.create_database(name, files).await.unwrap();
        let guard = Guard::new(Limits::default());
        let catalogs =
            CatalogCache::new(database(&postgres.superuser_url(name), &[]), guard.clone(), Duration::from_secs(600));
        let snapshot = catalogs.current().await.unwrap();
        Self { guard, snapshot, seen: HashMap::new() }
    }

    async fn judge(&mut self, row: &Value, sql: &str) -> Result<CheckedQuery, Rejection> {
        let path = row["search_path"].as_str().unwrap_or("public").to_owned();
        let key = (path.clone(), row["policy"].to_string());
        if !self.seen.contains_key(&key) {
            let path = path.split(',').map(|schema| schema.trim().trim_matches('"').to_owned()).collect();
            let catalog = Arc::new(OnPath { snapshot: Arc::clone(&self.snapshot), search_path: path });
            let access = self.guard.access(catalog, Arc::new(policy(&row["policy"]))).await.unwrap();
            self.seen.insert(key.clone(), access);
        }
        self.guard.check(sql, &self.seen[&key]).await
    }
}

fn policy(rules: &Value) -> Policy {
    Policy {
        deny_tables: patterns(rules, &["deny_tables", "hidden_tables"]),
        allow_tables: rules.get("allow_tables").map(|_| patterns(rules, &["allow_tables"])).into_iter().collect(),
        deny_columns: patterns(rules, &["deny_columns", "hidden_columns"]),
        mask_columns: patterns(rules, &["mask_columns"]),
        allow_functions: rules
            .get("allow_functions")
            .map(|_| patterns(rules, &["allow_functions"]))
            .into_iter()
            .collect(),
        mask_sensitive: rules["mask_sensitive"].as_bool().unwrap_or(true),
    }
}

fn patterns<const PARTS: usize>(rules: &Value, names: &[&str]) -> Vec<Pattern<PARTS>> {
    let texts = names.iter().filter_map(|name| rules[*name].as_array()).flatten();
    texts.map(|text| text.as_str().unwrap().parse().unwrap()).collect()
}

/// Accepted and refused, by category.
#[derive(Default)]
struct Counts(BTreeMap<String, (usize, usize)>);

impl Counts {
    fn add(&mut self, row: &Value, is_accepted: bool) {
        let category = row["category"].as_str().or(row["source"].as_str()).unwrap_or_default();
        let (accepted, refused) = self.0.entry(category.to_owned()).or_default();
        *if is_accepted { accepted } else { refused } += 1;
    }

    fn print(&self, title: &str) {
        let (accepted, refused) = self.0.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
        println!("{title}: {accepted} accepted, {refused} refused; by category:");
        for (category, (accepted, refused)) in &self.0 {
            println!("  {category}: {accepted}/{refused}");
        }
    }
}

async fn attacks_are_refused(bench: &mut Bench, rows: &[Value], title: &str) -> Vec<String> {
    let (mut counts, mut failures) = (Counts::default(), Vec::new());
    for row in rows {
        let (id, sql) = (row["id"].as_str().unwrap(), statement(row));
        let verdict = bench.judge(row, &sql).await;
        counts.add(row, verdict.is_ok());
        // Those that only take too much pass, and end by a limit.
        let ends_by_limit = row["wall"] == 4 || row["category"] == "resource";
        match verdict {
            Ok(query) => {
                let places = query.masked().iter().map(|at| Value::from(at + 1)).collect::<Vec<_>>();
                let is_masked = row.get("or_masked").is_some_and(|masked| *masked == Value::from(places));
                // PostgreSQL itself refuses some on every version; those may come that far.
                let is_harmless = row.get("harmless_on").is_some();
                if !ends_by_limit && !is_masked && !is_harmless {
                    failures.push(format!("{id} passes: {sql:.300}  -- {}", row["policy"]));
                }
            }
            Err(rejection) if ends_by_limit => failures.push(format!("{id} is refused: {rejection}: {sql:.200}")),
            Err(rejection) if !is_expected(row, rejection.code.as_str()) => {
                failures.push(format!("{id} isn't to be {}: {rejection}: {sql:.200}", rejection.code));
            }
            Err(_) => {}
        }
    }
    counts.print(title);
    failures
}

async fn honest_statements_pass(bench: &mut Bench, rows: &[Value], title: &str) -> Vec<String> {
    let (mut counts, mut failures) = (Counts::default(), Vec::new());
    for row in rows {
        let (id, sql) = (row["id"].as_str().unwrap(), statement(row));
        let verdict = bench.judge(row, &sql).await;
        counts.add(row, verdict.is_ok());
        match verdict {
            Ok(query) => {
                assert!(sql.starts_with(query.text()), "{id}: the text that runs is the text that came");
                let masked: Vec<Value> = query.masked().iter().map(|at| Value::from(at + 1)).collect();
                let expected = row["masked"].as_array().cloned().unwrap_or_default();
                if masked != expected {
                    failures.push(format!("{id} masks {masked:?}, not {expected:?}: {sql:.200}"));
                }
            }
            Err(rejection) => {
                failures.push(format!("{id} {}: {rejection}: {sql:.300}  -- {}", rejection.code, row["policy"]));
            }
        }
    }
    counts.print(title);
    failures
}

fn none(failures: &[String]) {
    assert!(failures.is_empty(), "{} wrong verdicts:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn our_own_corpus_is_judged_right() {
    let postgres = shared_postgres().await;
    let installation = Installation::of(postgres).await;
    let schema = installation.schema();
    let schema: Vec<&Path> = schema.iter().map(PathBuf::as_path).collect();
    let mut bench = Bench::over(postgres, "guard_corpus", &schema).await;
    let (attacks, attacks_left) = installation.rows("attacks.jsonl");
    let (honest, honest_left) = installation.rows("honest.jsonl");
    let mut failures = attacks_are_refused(&mut bench, &attacks, "attacks").await;
    failures.extend(honest_statements_pass(&mut bench, &honest, "honest statements").await);
    println!("left out for what this PostgreSQL hasn't: {attacks_left} attacks, {honest_left} honest statements");
    none(&failures);
}

#[tokio::test]
async fn the_shared_corpora_are_judged_right() {
    let Some(folder) = shared_corpora() else { return };
    let postgres = shared_postgres().await;
    let has_adminpack = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'adminpack')";
    let mut superuser = postgres.superuser("postgres").await.unwrap();
    let has_adminpack: bool = sqlx::query_scalar(has_adminpack).fetch_one(&mut superuser).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    // psql's own lines are left out, and so is the database that a file makes: it is ours to make here.
    let runnable = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('\\') && !line.contains("CREATE DATABASE"));
        let path = scratch.path().join(file);
        let sql: String = lines.map(|line| format!("{line}\n")).collect();
        // PostgreSQL 17 has dropped one of the extensions.
        let sql = if has_adminpack { sql } else { sql.replace("CREATE EXTENSION adminpack;", "") };
        // A view over a table that the file doesn't make, and that no statement reads.
        let statements = sql.split_inclusive(";\n").filter(|statement| !statement.contains("public.road "));
        std::fs::write(&path, statements.collect::<String>()).unwrap();
        path
    };
    let mut bench = Bench::over(postgres, "guard_lab", &[&runnable("attack_schema.sql")]).await;
    let mut failures = attacks_are_refused(&mut bench, &rows(&folder.join("attacks.jsonl")), "shared attacks").await;
    let files = ["benign_schema.sql", "benign_regress_schema.sql"].map(runnable);
    let mut bench = Bench::over(postgres, "guard_benign", &[&files[0], &files[1]]).await;
    let benign = rows(&folder.join("benign.jsonl"));
    failures.extend(honest_statements_pass(&mut bench, &benign, "shared honest statements").await);
    none(&failures);
}

/// The shared corpora, where they stand beside the checkout.
fn shared_corpora() -> Option<PathBuf> {
    let folder = repository_file("../shared/data/guard");
    if !folder.is_dir() {
        println!("there are no shared corpora at {}: only the project's own is judged", folder.display());
    }
    folder.is_dir().then_some(folder)
}
