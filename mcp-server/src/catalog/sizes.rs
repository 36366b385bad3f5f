//! Sizes on disk. They are asked for when they are shown: they take PostgreSQL longer than all else in a catalog, and change with
//! every row.

use std::collections::HashMap;
use std::time::Duration;

use daemon::log::Chain;
use shared_protocol::catalog::Table;
use sqlx::Row;
use tracing::debug;

use crate::databases::{AcquireError, Database, Frame};

/// Longest that an answer waits for sizes; it goes without them then.
const LIMIT: Duration = Duration::from_secs(1);

/// Longest that PostgreSQL waits for a lock on a table, in milliseconds.
const LOCK_LIMIT: &str = "200";

/// Bytes on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// The number.
    pub bytes: i64,
    /// The same for people.
    pub pretty: String,
}

/// Why there are none. Nobody is told: sizes may be missing.
#[derive(Debug, thiserror::Error)]
enum SizeError {
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("sizes can't be read")]
    Query(#[from] sqlx::Error),
}

/// The sizes of tables, by schema and name; those are missing that can't be told within a second.
pub async fn sizes_of(database: &Database, tables: &[Table]) -> HashMap<(String, String), Size> {
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema_name.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.table_name.as_str()).collect();
    let read = async {
        let mut session = database.session().await?;
        let frame = Frame { settings: settings(), ..Frame::default() };
        session.begin(&frame).await?;
        let query = sqlx::query(include_str!("sql/sizes.sql")).bind(schemas).bind(names);
        let rows = query.fetch_all(session.connection()).await;
        session.end(&frame).await;
        Ok(rows?)
    };
    let rows = within_limit(database, read).await.unwrap_or_default();
    let key = |row: &sqlx::postgres::PgRow| (row.get("schema_name"), row.get("table_name"));
    rows.iter().filter_map(|row| Some((key(row), size(row)?))).collect()
}

/// The size of the whole database, if it can be told within a second.
pub async fn size_of_database(database: &Database) -> Option<Size> {
    let read = async {
        let mut session = database.session().await?;
        let frame = Frame { settings: settings(), ..Frame::default() };
        session.begin(&frame).await?;
        let row = sqlx::query(include_str!("sql/database_size.sql")).fetch_one(session.connection()).await;
        session.end(&frame).await;
        Ok(row?)
    };
    within_limit(database, read).await.and_then(|row| size(&row))
}

fn settings() -> Vec<(String, String)> {
    vec![("lock_timeout".to_owned(), LOCK_LIMIT.to_owned())]
}

/// A session that is given up half-way is closed by its pool.
async fn within_limit<T>(database: &Database, read: impl Future<Output = Result<T, SizeError>>) -> Option<T> {
    let name = database.name();
    match tokio::time::timeout(LIMIT, read).await {
        Ok(Ok(read)) => Some(read),
        Ok(Err(error)) => {
            debug!(database = name, error = %Chain(&error), "{name} goes without sizes");
            None
        }
        Err(_) => {
            debug!(database = name, "{name} goes without sizes: they took too long");
            None
        }
    }
}

fn size(row: &sqlx::postgres::PgRow) -> Option<Size> {
    let bytes: Option<i64> = row.get("bytes");
    Some(Size { bytes: bytes?, pretty: row.get("pretty") })
}
