//! Reads the values of columns: from the planner's statistics, or from one short read of a table that was never analysed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use daemon::log::Chain;
use shared_protocol::catalog::{Table, TableKind};
use sql_guard::{Access, Guard, Rejection};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row};
use tokio::time::Instant;
use tracing::debug;

use super::identifier::quoted;
use super::samples::{MAX_CHARS, MAX_DISTINCT, Samples, few, text_columns};
use super::snapshot::Snapshot;
use crate::databases::{AcquireError, Database, Frame};

/// Most rows that are read of a table.
const MAX_ROWS: usize = 1000;

/// Longest that one read of a table may take, in milliseconds; PostgreSQL ends it then.
const READ_LIMIT: &str = "2000";

/// The same for the statistics of a whole database.
const STATISTICS_LIMIT: &str = "15000";

/// PostgreSQL's code for a statement that was ended.
const CANCELLED: &str = "57014";

/// Longest that it waits for a lock, in milliseconds.
const LOCK_LIMIT: &str = "200";

/// Longest that all reads of a database may take together; the tables that are left go without.
const LIMIT: Duration = Duration::from_secs(60);

/// Judges what is read: planning a read may run code, so a table is read only where a caller without a policy could read it.
pub(super) struct Judge {
    pub(super) guard: Guard,
    pub(super) access: Arc<Access>,
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

/// The values of all tables of `snapshot`, what was read of a table lately taken from `before`; nothing where the database can't be
/// asked.
pub(super) async fn read(
    database: &Database,
    snapshot: &Snapshot,
    judge: &Judge,
    before: Option<&Samples>,
) -> Option<Samples> {
    let name = database.name();
    let mut samples = Samples::new();
    let analysed = match read_statistics(&mut samples, database).await {
        Ok(analysed) => analysed,
        Err(error) if is_passing(&error) => {
            debug!(database = name, error = %Chain(&error), "{name} keeps the samples that it has");
            return None;
        }
        // Not every database that speaks PostgreSQL's protocol has them.
        Err(error) => {
            debug!(database = name, error = %Chain(&error), "{name} has no statistics");
            HashSet::new()
        }
    };
    let deadline = Instant::now() + LIMIT;
    for table in &snapshot.tables {
        let is_known = analysed.contains(&(table.schema_name.clone(), table.table_name.clone()));
        if is_known || !may_be_read(table, snapshot) || before.is_some_and(|before| samples.take(before, table)) {
            continue;
        }
        if Instant::now() >= deadline {
            debug!(database = name, table = table.table_name, "a table goes without samples: the others took too long");
            continue;
        }
        if let Err(error) = read_table(&mut samples, database, judge, table).await {
            debug!(database = name, table = table.table_name, error = %Chain(&error), "a table goes without samples");
        }
    }
    Some(samples)
}

/// Whether it may be otherwise the next time: there was no session, or too little time.
fn is_passing(error: &SampleError) -> bool {
    match error {
        SampleError::Acquire(_) => true,
        SampleError::Query(error) => {
            error.as_database_error().is_none_or(|error| error.code().as_deref() == Some(CANCELLED))
        }
        SampleError::Rejected(_) => false,
    }
}

/// Takes what the planner knows; the tables that it knows anything of, by schema and name.
async fn read_statistics(samples: &mut Samples, database: &Database) -> Result<HashSet<(String, String)>, SampleError> {
    let query = sqlx::query(include_str!("sql/statistics.sql")).bind(f32::from(MAX_DISTINCT));
    let mut analysed = HashSet::new();
    for row in rows(database, query, &frame(false, STATISTICS_LIMIT)).await? {
        let lists: [Option<Vec<Option<String>>>; 2] = [row.get("frequent"), row.get("others")];
        let values = lists.into_iter().flatten().flatten().flatten().collect();
        samples.put(row.get("schema_name"), row.get("table_name"), row.get("column_name"), values);
        analysed.insert((row.get("schema_name"), row.get("table_name")));
    }
    Ok(analysed)
}

async fn read_table(
    samples: &mut Samples,
    database: &Database,
    Judge { guard, access }: &Judge,
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
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let read = rows(database, query, &frame(checked.runs_user_code(), READ_LIMIT)).await?;
    for (place, column) in columns.iter().enumerate() {
        let values = read.iter().filter_map(|row| row.get::<Option<String>, _>(place));
        if let Some(values) = few(values) {
            samples.put(table.schema_name.clone(), table.table_name.clone(), column.clone(), values);
        }
    }
    samples.note_read(table, columns, read.is_empty());
    Ok(())
}

/// Whether there is anything to read of it, and no rows that only some may see.
fn may_be_read(table: &Table, snapshot: &Snapshot) -> bool {
    matches!(table.r#type, TableKind::Table | TableKind::PartitionedTable | TableKind::MaterializedView)
        && !snapshot.has_row_security(&table.schema_name, &table.table_name)
}

/// A transaction with little time.
fn frame(runs_user_code: bool, limit: &str) -> Frame {
    let settings = [("statement_timeout", limit), ("lock_timeout", LOCK_LIMIT)];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Frame { settings, runs_user_code, ..Frame::default() }
}

/// The rows of a query of ours, in a transaction of its own.
async fn rows(
    database: &Database,
    query: Query<'_, Postgres, PgArguments>,
    frame: &Frame,
) -> Result<Vec<PgRow>, SampleError> {
    let mut session = database.session().await?;
    session.begin(frame).await?;
    let rows = query.fetch_all(session.connection()).await;
    session.end(frame).await;
    Ok(rows?)
}
