//! The columns of a statement that sqlx can't describe: it knows no multiranges (type category `m`), alone or within others.
//!
//! PostgreSQL is asked for a row of NULLs with the same columns. The simple protocol answers with their names and type numbers
//! and sqlx looks no further into them; the caller's text itself goes over the extended protocol, as ever.

use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Column, PgConnection, Row};

use super::ExecuteError;

/// One column of a result.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) oid: Option<u32>,
}

/// Whether sqlx failed to describe, rather than PostgreSQL to prepare.
pub(super) fn is_needed(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { index, .. } if index.contains("typtype"))
}

/// The columns of `text`, which has `placeholders` parameters. Nothing of it is run: it stands behind a join that is never true.
pub(super) async fn columns(
    connection: &mut PgConnection,
    text: &str,
    placeholders: usize,
) -> Result<Vec<Described>, ExecuteError> {
    let prepare =
        format!("PREPARE pgmcp_described AS SELECT q.* FROM (SELECT) AS one LEFT JOIN (\n{text}\n) AS q ON false");
    sqlx::query(AssertSqlSafe(prepare))
        .persistent(false)
        .execute(&mut *connection)
        .await
        .map_err(ExecuteError::from_sqlx)?;
    let nulls = vec!["NULL"; placeholders].join(", ");
    let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let row =
        sqlx::raw_sql(AssertSqlSafe(format!("EXECUTE pgmcp_described {arguments}"))).fetch_one(&mut *connection).await;
    let row = row.map_err(ExecuteError::from_sqlx)?;
    sqlx::raw_sql("DEALLOCATE pgmcp_described").execute(connection).await.map_err(ExecuteError::from_sqlx)?;
    Ok(described(&row))
}

fn described(row: &PgRow) -> Vec<Described> {
    let column = |column: &sqlx::postgres::PgColumn| Described {
        name: column.name().to_owned(),
        oid: column.type_info().oid().map(|Oid(oid)| oid),
    };
    row.columns().iter().map(column).collect()
}
