//! The policy file: TOML sections, taken apart strictly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use sql_guard::{Pattern, PatternError};

use crate::config::{Config, STDIO_KEY};

/// A policy file, read and found sound.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PolicyFile {
    pub(super) default: Section,
    pub(super) databases: BTreeMap<String, Section>,
    pub(super) keys: BTreeMap<String, KeySection>,
    pub(super) subjects: BTreeMap<String, Section>,
}

/// The rules for one key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct KeySection {
    pub(super) rules: Section,
    pub(super) databases: BTreeMap<String, Section>,
    pub(super) may_act_for: bool,
}

/// Rules as a section has them; what it leaves out it says nothing about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Section {
    pub(super) deny_tables: Vec<Pattern<2>>,
    pub(super) allow_tables: Option<Vec<Pattern<2>>>,
    pub(super) deny_columns: Vec<Pattern<3>>,
    pub(super) mask_columns: Vec<Pattern<3>>,
    pub(super) allow_functions: Option<Vec<Pattern<2>>>,
    pub(super) mask_sensitive: Option<bool>,
    pub(super) max_cost: Option<f64>,
    pub(super) max_estimated_rows: Option<u64>,
    pub(super) deny_seq_scan_over_rows: Option<u64>,
    pub(super) allow_explain_analyze: Option<bool>,
    pub(super) max_concurrent_queries: Option<usize>,
    pub(super) max_rows: Option<u64>,
    pub(super) statement_timeout_ms: Option<u64>,
    pub(super) session: BTreeMap<String, String>,
}

/// Why a policy file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It can't be read at all.
    #[error("the policy file {} can't be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It isn't TOML, or not of a policy's form.
    #[error("{0}")]
    Malformed(String),
    /// It speaks of what there isn't, or of what can't be; every problem is a line.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
}

/// What there is for a policy to speak of.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Our names of the databases; nothing where they are still to be found.
    pub databases: Option<BTreeSet<String>>,
    /// The names of the server's keys.
    pub keys: BTreeSet<String>,
}

impl Known {
    /// The databases and the keys of the settings.
    pub fn of(config: &Config) -> Self {
        let databases = config.databases.configured().map(|database| database.name.clone());
        Self {
            databases: (!config.databases.discover).then(|| databases.collect()),
            keys: config.listener.keys.names().chain([STDIO_KEY]).map(str::to_owned).collect(),
        }
    }
}

/// A section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenSection {
    deny_tables: Vec<String>,
    allow_tables: Option<Vec<String>>,
    deny_columns: Vec<String>,
    mask_columns: Vec<String>,
    allow_functions: Option<Vec<String>>,
    mask_sensitive: Option<bool>,
    max_cost: Option<f64>,
    max_estimated_rows: Option<u64>,
    deny_seq_scan_over_rows: Option<u64>,
    allow_explain_analyze: Option<bool>,
    max_concurrent_queries: Option<usize>,
    max_rows: Option<u64>,
    statement_timeout_ms: Option<u64>,
    session: BTreeMap<String, String>,
}

/// The file as it is written; the sections of keys hold sections themselves.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    default: WrittenSection,
    databases: BTreeMap<String, WrittenSection>,
    keys: BTreeMap<String, toml::Table>,
    subjects: BTreeMap<String, WrittenSection>,
}

impl PolicyFile {
    /// The text of the file at `path`.
    ///
    /// # Errors
    /// [`PolicyError::Unreadable`] where it can't be read.
    pub(super) fn text(path: &Path) -> Result<String, PolicyError> {
        std::fs::read_to_string(path).map_err(|source| PolicyError::Unreadable { path: path.to_owned(), source })
    }

    /// The file of that text.
    ///
    /// # Errors
    /// [`PolicyError`] with every problem that was found.
    pub(super) fn parse(text: &str, known: &Known) -> Result<Self, PolicyError> {
        let written: Written = toml::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        let mut problems = Problems(Vec::new());
        let mut file = Self { default: problems.section("default", written.default), ..Self::default() };
        for (name, section) in written.databases {
            problems.must_be_served(&name, known);
            file.databases.insert(name.clone(), problems.section(&format!("databases.{name}"), section));
        }
        for (name, table) in written.keys {
            problems.must_be_known("key", &name, &known.keys);
            let section = problems.key(&name, table, known);
            file.keys.insert(name, section);
        }
        for (name, section) in written.subjects {
            file.subjects.insert(name.clone(), problems.section(&format!("subjects.{name}"), section));
        }
        if problems.0.is_empty() { Ok(file) } else { Err(PolicyError::Wrong(problems.0)) }
    }
}

/// What is wrong with a file, found all at once.
struct Problems(Vec<String>);

impl Problems {
    /// A database's name, where it is known which there are.
    fn must_be_served(&mut self, name: &str, known: &Known) {
        if let Some(databases) = &known.databases {
            self.must_be_known("database", name, databases);
        }
    }

    fn must_be_known(&mut self, kind: &str, name: &str, known: &BTreeSet<String>) {
        if !known.contains(name) {
            let there_is = match known.iter().map(String::as_str).collect::<Vec<_>>().join(", ") {
                list if list.is_empty() => format!("there is none at all: name the {kind}s in the settings"),
                list => format!("there is {list}"),
            };
            self.0.push(format!("[{kind}s.{name}]: there is no {kind} {name}; {there_is}"));
        }
    }

    fn key(&mut self, name: &str, mut table: toml::Table, known: &Known) -> KeySection {
        let place = format!("keys.{name}");
        let may_act_for = match table.remove("may_act_for") {
            None => false,
            Some(toml::Value::Boolean(value)) => value,
            Some(_) => {
                self.0.push(format!("[{place}] may_act_for: must be true or false"));
                false
            }
        };
        let databases = match table.remove("databases") {
            None => toml::Table::new(),
            Some(toml::Value::Table(databases)) => databases,
            Some(_) => {
                self.0.push(format!("[{place}] databases: must be tables such as [{place}.databases.shop]"));
                toml::Table::new()
            }
        };
        let mut section = KeySection { may_act_for, rules: self.table(&place, table), ..KeySection::default() };
        for (database, table) in databases {
            self.must_be_served(&database, known);
            let place = format!("{place}.databases.{database}");
            let rules = match table {
                toml::Value::Table(table) => self.table(&place, table),
                _ => {
                    self.0.push(format!("[{place}]: must be a table"));
                    Section::default()
                }
            };
            section.databases.insert(database, rules);
        }
        section
    }

    fn table(&mut self, place: &str, table: toml::Table) -> Section {
        match table.try_into::<WrittenSection>() {
            Ok(written) => self.section(place, written),
            Err(error) => {
                self.0.push(format!("[{place}] {}", error.message()));
                Section::default()
            }
        }
    }

    fn section(&mut self, place: &str, written: WrittenSection) -> Section {
        let allow_functions = written.allow_functions.map(|list| self.patterns::<2>(place, "allow_functions", list));
        for denied in allow_functions.iter().flatten().filter_map(Pattern::names_denied_function) {
            self.0.push(format!(
                "[{place}] allow_functions: {denied} changes or reveals what no statement may; it can't be allowed"
            ));
        }
        for (name, value) in [
            ("max_concurrent_queries", written.max_concurrent_queries.map(|most| most as u64)),
            ("max_rows", written.max_rows),
            ("statement_timeout_ms", written.statement_timeout_ms),
        ] {
            if value == Some(0) {
                self.0.push(format!("[{place}] {name}: must be at least 1"));
            }
        }
        if written.max_cost.is_some_and(|cost| cost.is_nan() || cost <= 0.0) {
            self.0.push(format!("[{place}] max_cost: must be a number over 0"));
        }
        for name in written.session.keys().filter(|name| !is_custom_setting(name)) {
            self.0.push(format!(
                "[{place}] session: {name:?} is not a setting of your own; such a one has a dot in its name, like app.tenant"
            ));
        }
        Section {
            deny_tables: self.patterns(place, "deny_tables", written.deny_tables),
            allow_tables: written.allow_tables.map(|list| self.patterns(place, "allow_tables", list)),
            deny_columns: self.patterns(place, "deny_columns", written.deny_columns),
            mask_columns: self.patterns(place, "mask_columns", written.mask_columns),
            allow_functions,
            mask_sensitive: written.mask_sensitive,
            max_cost: written.max_cost,
            max_estimated_rows: written.max_estimated_rows,
            deny_seq_scan_over_rows: written.deny_seq_scan_over_rows,
            allow_explain_analyze: written.allow_explain_analyze,
            max_concurrent_queries: written.max_concurrent_queries,
            max_rows: written.max_rows,
            statement_timeout_ms: written.statement_timeout_ms,
            session: written.session,
        }
    }

    fn patterns<const PARTS: usize>(&mut self, place: &str, name: &str, texts: Vec<String>) -> Vec<Pattern<PARTS>> {
        let mut patterns = Vec::new();
        for text in texts {
            match Pattern::from_str(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.0.push(format!("[{place}] {name}: {}", error as PatternError)),
            }
        }
        patterns
    }
}

/// Whether a name is one of a setting that PostgreSQL leaves to the user: `prefix.name`. No setting of its own has a dot.
fn is_custom_setting(name: &str) -> bool {
    let is_word = |part: &str| {
        part.starts_with(|one: char| one.is_ascii_alphabetic() || one == '_')
            && part.chars().all(|one| one.is_ascii_alphanumeric() || one == '_' || one == '$')
    };
    name.contains('.') && name.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Known { databases: Some(set(&["shop"])), keys: set(&["web", "default"]) }
    }

    #[test]
    fn every_key_is_read() {
        let file = PolicyFile::parse(
            r#"
            [default]
            deny_tables = ["audit.*"]
            allow_tables = ["public.*"]
            deny_columns = ["public.users.ssn"]
            mask_columns = ["public.*.email"]
            allow_functions = ["public.total", "pg_catalog.pg_get_viewdef"]
            mask_sensitive = false
            max_cost = 1e6
            max_estimated_rows = 100000
            deny_seq_scan_over_rows = 50000
            allow_explain_analyze = true
            max_concurrent_queries = 2
            max_rows = 500
            statement_timeout_ms = 5000
            session = { "app.tenant" = "a" }

            [databases.shop]
            max_rows = 10

            [keys.web]
            may_act_for = true
            max_rows = 9

            [keys.web.databases.shop]
            max_rows = 8

            [subjects.alice]
            max_rows = 7
            "#,
            &known(),
        )
        .unwrap();
        assert_eq!(file.default.session["app.tenant"], "a");
        assert_eq!(file.default.deny_seq_scan_over_rows, Some(50_000));
        assert_eq!(file.databases["shop"].max_rows, Some(10));
        assert!(file.keys["web"].may_act_for);
        assert_eq!(file.keys["web"].rules.max_rows, Some(9));
        assert_eq!(file.keys["web"].databases["shop"].max_rows, Some(8));
        assert_eq!(file.subjects["alice"].max_rows, Some(7));
        assert_eq!(PolicyFile::parse("", &known()).unwrap(), PolicyFile::default());
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let check = |text: &str, words: &[&str]| {
            let problem = PolicyFile::parse(text, &known()).unwrap_err().to_string();
            for words in words {
                assert!(problem.contains(words), "{text}: {problem}");
            }
        };
        check("[defualt]", &["defualt"]);
        check("[default]\ndeny_table = []", &["deny_table"]);
        check("[default]\nmax_rows = \"many\"", &["max_rows", "expected u64"]);
        check("[default]\nmax_rows = 0\nmax_cost = -1", &["[default] max_rows: must be at least 1", "max_cost"]);
        check("[databases.sohp]", &["there is no database sohp; there is shop"]);
        check("[keys.wbe]", &["there is no key wbe"]);
        check("[keys.web]\nmay_act_for = 1", &["[keys.web] may_act_for"]);
        check("[keys.web]\nmay_atc_for = true", &["[keys.web]", "may_atc_for"]);
        check("[keys.web.databases.other]", &["there is no database other"]);
        check("[keys.web]\ndatabases = 1", &["[keys.web] databases"]);
        check(
            "[default]\ndeny_tables = [\"secret\"]",
            &["[default] deny_tables: \"secret\" is not of the form schema.name"],
        );
        check("[default]\nmask_columns = [\"a.b\"]", &["schema.table.column"]);
        check("[default]\nallow_functions = [\"pg_catalog.pg_sleep\"]", &["pg_catalog.pg_sleep", "can't be allowed"]);
        check("[default]\nsession = { search_path = \"x\" }", &["\"search_path\"", "app.tenant"]);
        check("[default", &["default"]);
    }
}
