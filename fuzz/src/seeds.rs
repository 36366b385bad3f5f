//! The statements that mutation begins with, and the databases that they speak of: the corpora of honest statements.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use harness::repository_file;
use pg_query::NodeEnum;
use serde_json::Value;
use tempfile::TempDir;

use crate::tree::{self, Spot};

/// Longest statement that mutation begins with, in bytes.
const MAX_BYTES: usize = 1000;

/// One corpus.
pub(crate) struct Seeds {
    /// What makes its database.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) statements: Vec<String>,
    /// Where files lie that were made for it.
    _folder: Option<TempDir>,
}

/// The corpora that there are: the guard's own, and the shared one where it stands beside the checkout.
pub(crate) fn all() -> Result<Vec<Seeds>> {
    let folder = repository_file("fixtures/guard");
    let statements = statements(&folder.join("honest.jsonl"), |row| row.get("search_path").is_none())?;
    let own = Seeds { files: vec![folder.join("schema.sql")], statements, _folder: None };
    Ok([own].into_iter().chain(shared()?).collect())
}

/// PostgreSQL's regression suite, as the shared corpus has it.
fn shared() -> Result<Option<Seeds>> {
    let folder = repository_file("../shared/data/guard");
    if !folder.is_dir() {
        return Ok(None);
    }
    let schema = "benign_regress_schema.sql";
    let statements = statements(&folder.join("benign.jsonl"), |row| row["schema"] == schema)?;
    // psql's own lines are left out, the database that the file makes, and a view over a table that it doesn't make.
    let sql = std::fs::read_to_string(folder.join(schema)).with_context(|| format!("read {schema}"))?;
    let lines = sql.lines().filter(|line| !line.starts_with('\\') && !line.contains("CREATE DATABASE"));
    let sql: String = lines.map(|line| format!("{line}\n")).collect();
    let sql: String = sql.split_inclusive(";\n").filter(|statement| !statement.contains("public.road ")).collect();
    let made = tempfile::tempdir()?;
    let file = made.path().join(schema);
    std::fs::write(&file, sql)?;
    Ok(Some(Seeds { files: vec![file], statements, _folder: Some(made) }))
}

/// The statements of a file that are wanted, of a usual size, and with their parameters in place.
fn statements(file: &Path, is_wanted: impl Fn(&Value) -> bool) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut statements = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).with_context(|| format!("read {}: {line}", file.display()))?;
        let Some(sql) = row["sql"].as_str().filter(|sql| sql.len() <= MAX_BYTES) else { continue };
        if !is_wanted(&row) || row.get("needs").is_some() {
            continue;
        }
        match row["params"].as_array() {
            None => statements.push(sql.to_owned()),
            Some(params) => statements.extend(filled_in(sql, params)),
        }
    }
    Ok(statements)
}

/// The statement with the values of its parameters in it.
fn filled_in(sql: &str, params: &[Value]) -> Option<String> {
    let mut select = tree::parse(sql)?;
    tree::visit(&mut select, &mut |spot| {
        if let Spot::Expression(node) = spot
            && let Some(NodeEnum::ParamRef(param)) = &node.node
        {
            let value = usize::try_from(param.number - 1).ok().and_then(|at| params.get(at)).and_then(Value::as_str);
            let literal = value.map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
            if let Some(value) = tree::expression(&literal) {
                *node = value;
            }
        }
    });
    tree::print(&select)
}

impl Seeds {
    /// Every mention of a relation, as schema and name; the schema is empty where none is written.
    pub(crate) fn relations(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for mut select in self.statements.iter().filter_map(|text| tree::parse(text)) {
            let mut mentioned = BTreeSet::new();
            tree::visit(&mut select, &mut |spot| {
                if let Spot::Source(node) = spot
                    && let Some(NodeEnum::RangeVar(relation)) = &node.node
                {
                    mentioned.insert((relation.schemaname.clone(), relation.relname.clone()));
                }
            });
            found.extend(mentioned);
        }
        found
    }
}
