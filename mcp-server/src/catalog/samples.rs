//! Values that stand in text columns with few different ones: what questions call things by. They come from the planner's statistics,
//! or from one short read of a table that was never analysed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::log::Chain;
use shared_protocol::catalog::{Table, TableKind};
use sql_guard::{Access, Guard, Rejection};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::Instant;
use tracing::debug;

use super::identifier::quoted;
use super::snapshot::Snapshot;
use crate::databases::{AcquireError, Database, Frame};

/// Most values that are kept of a column (tools.md, "Resources").
const MAX_VALUES: usize = 20;

/// Most different values that a column may have.
const MAX_DISTINCT: usize = 50;

/// Most characters of a value: a column with a longer one holds texts, not names of things.
const MAX_CHARS: usize = 100;

/// Most rows that are read of a table.
const MAX_ROWS: usize = 1000;

/// Most columns that are read of a table.
const MAX_COLUMNS: usize = 40;

/// Longest that one read may take, in milliseconds; PostgreSQL ends it then.
const READ_LIMIT: &str = "2000";

/// Longest that it waits for a lock, in milliseconds.
const LOCK_LIMIT: &str = "200";

/// Longest that all reads of a database may take together; the tables that are left go without.
const LIMIT: Duration = Duration::from_secs(60);

/// How long what was read of a table counts, in place of another read.
const KEEP: Duration = Duration::from_secs(3600);

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

/// When a table was read, and which of its columns.
#[derive(Debug, Clone)]
struct Read {
    at: Instant,
    columns: Vec<String>,
}

/// Why there are none of one table, or none at all.
#[derive(Debug, thiserror::Error)]
enum SampleError {
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("samples can't be read")]
    Query(#[from] sqlx::Error),
    #[error("reading it is refused: {0}")]
    Rejected(#[from] Rejection),
}

impl Samples {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { serial: NEXT.fetch_add(1, Ordering::Relaxed), by_table: HashMap::new(), reads: HashMap::new() }
    }

    /// Tells them from all others of the process.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether all values are the same.
    pub(super) fn are_like(&self, others: &Self) -> bool {
        self.by_table == others.by_table
    }

    /// The values of a column, where it has few.
    pub(super) fn of(&self, schema: &str, table: &str, column: &str) -> Option<&[String]> {
        let columns = self.by_table.get(&(schema.to_owned(), table.to_owned()))?;
        columns.get(column).map(Vec::as_slice)
    }

    fn put(&mut self, schema: &str, table: &str, column: String, values: Vec<String>) {
        self.by_table.entry((schema.to_owned(), table.to_owned())).or_default().insert(column, values);
    }

    /// Those of all tables of `snapshot`, what was read of a table lately taken from `before`; nothing where the database can't be
    /// asked. A table is read only where the guard would let a caller without a policy do so: planning it may run code.
    pub(super) async fn read(
        database: &Database,
        snapshot: &Snapshot,
        (guard, access): (&Guard, &Arc<Access>),
        before: Option<&Self>,
    ) -> Option<Self> {
        let name = database.name();
        let mut samples = Self::new();
        let told = match samples.read_statistics(database).await {
            Ok(()) => true,
            Err(error @ SampleError::Acquire(_)) => {
                debug!(database = name, error = %Chain(&error), "{name} goes without samples");
                return None;
            }
            // Not every database that speaks PostgreSQL's protocol has them.
            Err(error) => {
                debug!(database = name, error = %Chain(&error), "{name} has no statistics");
                false
            }
        };
        let deadline = Instant::now() + LIMIT;
        for table in &snapshot.tables {
            let is_known = told && table.estimated_row_count.is_some();
            if is_known || !may_be_read(table, snapshot) || before.is_some_and(|before| samples.take(before, table)) {
                continue;
            }
            if Instant::now() >= deadline {
                debug!(database = name, "the tables that are left go without samples: they took too long");
                break;
            }
            if let Err(error) = samples.read_table(database, (guard, access), table).await {
                debug!(database = name, table = table.table_name, error = %Chain(&error), "a table goes without samples");
            }
        }
        Some(samples)
    }

    async fn read_statistics(&mut self, database: &Database) -> Result<(), SampleError> {
        let most = f32::from(u16::try_from(MAX_DISTINCT).expect("a small number"));
        let query = sqlx::query(include_str!("sql/statistics.sql")).bind(most);
        for row in rows(database, query, &frame(false)).await? {
            let lists: [Option<Vec<Option<String>>>; 2] = [row.get("frequent"), row.get("others")];
            let values: Vec<String> = lists.into_iter().flatten().flatten().flatten().collect();
            if !values.is_empty() && values.iter().all(|value| value.chars().count() <= MAX_CHARS) {
                let values = values.into_iter().take(MAX_VALUES).collect();
                self.put(row.get("schema_name"), row.get("table_name"), row.get("column_name"), values);
            }
        }
        Ok(())
    }

    /// Takes over what was read of a table before, where that still counts; whether it does.
    fn take(&mut self, before: &Self, table: &Table) -> bool {
        let name = (table.schema_name.clone(), table.table_name.clone());
        let Some(read) = before.reads.get(&name) else { return false };
        if read.at.elapsed() >= KEEP || read.columns != text_columns(table) {
            return false;
        }
        self.reads.insert(name.clone(), read.clone());
        if let Some(values) = before.by_table.get(&name) {
            self.by_table.insert(name, values.clone());
        }
        true
    }

    async fn read_table(
        &mut self,
        database: &Database,
        (guard, access): (&Guard, &Arc<Access>),
        table: &Table,
    ) -> Result<(), SampleError> {
        let columns = text_columns(table);
        if columns.is_empty() {
            return Ok(());
        }
        // One character more than is kept shows which are too long.
        let cut = |column: &String| format!("pg_catalog.left({}::pg_catalog.text, {})", quoted(column), MAX_CHARS + 1);
        let list = columns.iter().map(cut).collect::<Vec<_>>().join(", ");
        let (schema, name) = (quoted(&table.schema_name), quoted(&table.table_name));
        let sql = format!("SELECT {list} FROM {schema}.{name} LIMIT {MAX_ROWS}");
        let checked = guard.check(&sql, access).await?;
        let frame = frame(checked.runs_user_code());
        let read = rows(database, sqlx::query(AssertSqlSafe(sql)).persistent(false), &frame).await?;
        for (place, column) in columns.iter().enumerate() {
            let values = read.iter().filter_map(|row| row.get::<Option<String>, _>(place));
            if let Some(values) = few(values) {
                self.put(&table.schema_name, &table.table_name, column.clone(), values);
            }
        }
        // One that was empty may soon be no more.
        if !read.is_empty() {
            let name = (table.schema_name.clone(), table.table_name.clone());
            self.reads.insert(name, Read { at: Instant::now(), columns });
        }
        Ok(())
    }
}

/// The most frequent of a column's values, where it has few different ones and none is long.
fn few(values: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        if value.chars().count() > MAX_CHARS {
            return None;
        }
        *counts.entry(value).or_default() += 1;
        if counts.len() > MAX_DISTINCT {
            return None;
        }
    }
    let mut counted: Vec<(String, usize)> = counts.into_iter().collect();
    // Stable, so equals stay in their order.
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let values: Vec<String> = counted.into_iter().take(MAX_VALUES).map(|(value, _)| value).collect();
    (!values.is_empty()).then_some(values)
}

/// Whether reading a table runs no code of anybody's and tells no caller of another's rows.
fn may_be_read(table: &Table, snapshot: &Snapshot) -> bool {
    matches!(table.r#type, TableKind::Table | TableKind::PartitionedTable | TableKind::MaterializedView)
        && !snapshot.has_row_security(&table.schema_name, &table.table_name)
}

/// The columns that values are read of.
fn text_columns(table: &Table) -> Vec<String> {
    let columns = table.columns.iter().filter(|column| is_text(&column.data_type) && !column.is_generated);
    columns.take(MAX_COLUMNS).map(|column| column.name.clone()).collect()
}

/// Whether a type is a text, by `format_type`'s name of it.
fn is_text(data_type: &str) -> bool {
    data_type == "text" || data_type.starts_with("character")
}

/// A transaction with little time.
fn frame(runs_user_code: bool) -> Frame {
    let settings = [("statement_timeout", READ_LIMIT), ("lock_timeout", LOCK_LIMIT)];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Frame { settings, runs_user_code, ..Frame::default() }
}

/// The rows of a query of ours, in a transaction of its own.
async fn rows(
    database: &Database,
    query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    frame: &Frame,
) -> Result<Vec<sqlx::postgres::PgRow>, SampleError> {
    let mut session = database.session().await?;
    session.begin(frame).await?;
    let rows = query.fetch_all(session.connection()).await;
    session.end(frame).await;
    Ok(rows?)
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
        check(&[], None);
        let many: Vec<String> = (0..=MAX_DISTINCT).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(&many, None);
        assert_eq!(few(many[1..].iter().map(|value| (*value).to_owned())).unwrap().len(), MAX_VALUES);
        let long = "x".repeat(MAX_CHARS + 1);
        check(&["a", &long], None);
        check(&[&long[1..]], Some(&[&long[1..]]));
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
