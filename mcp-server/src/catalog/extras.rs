//! What of a catalog degrades to nothing where the database doesn't know it.

use std::collections::{HashMap, HashSet};

use daemon::log::Chain;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};
use tracing::debug;

/// A column by its relation and number.
pub(super) type ColumnKey = (Oid, i16);

/// The rows of an extra, or none where the database doesn't know what was asked; the transaction goes on in either case.
pub(super) async fn extra(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
    what: &str,
) -> Vec<PgRow> {
    match query.fetch_all(&mut *connection).await {
        Ok(rows) => rows,
        Err(error) => {
            debug!(error = %Chain(&error), "the catalog goes without {what}");
            if let Err(error) = sqlx::raw_sql("ROLLBACK TO SAVEPOINT extras").execute(connection).await {
                debug!(error = %Chain(&error), "the extras end here");
            }
            Vec::new()
        }
    }
}

/// What a catalog can do without.
pub(super) struct Extras {
    pub(super) descriptions: HashMap<(Oid, i32), String>,
    pub(super) defaults: HashMap<ColumnKey, String>,
    pub(super) labels: HashMap<Oid, Vec<String>>,
    pub(super) definitions: HashMap<Oid, String>,
    pub(super) partitions: HashMap<Oid, (i64, String)>,
}

impl Extras {
    /// Those of the relations; comments also those of their indexes.
    pub(super) async fn read(
        connection: &mut PgConnection,
        oids: &[Oid],
        commented: &[Oid],
        columns: &[PgRow],
    ) -> Self {
        let enums: HashSet<Oid> = columns.iter().filter_map(|row| row.get::<Option<Oid>, _>("enum_type")).collect();
        let enums: Vec<Oid> = enums.into_iter().collect();
        let types: HashSet<Oid> = columns.iter().map(|row| row.get("type_oid")).collect();
        let types: Vec<Oid> = types.into_iter().collect();
        let mut rows = async |sql: &'static str, oids: &[Oid], what: &str| {
            extra(connection, sqlx::query(sql).bind(oids), what).await
        };
        let descriptions = rows(include_str!("sql/descriptions.sql"), commented, "comments").await;
        let defaults = rows(include_str!("sql/defaults.sql"), oids, "defaults").await;
        let labels = rows(include_str!("sql/enums.sql"), &enums, "enum labels").await;
        let checks = rows(include_str!("sql/domains.sql"), &types, "domains").await;
        let fields = rows(include_str!("sql/composites.sql"), &types, "composite types").await;
        let partitions = rows(include_str!("sql/partitions.sql"), oids, "partitions").await;
        let checks = checks.iter().map(|row| (row.get("type"), row.get("checks")));
        let fields = fields.iter().map(|row| (row.get("type"), row.get("fields")));
        Self {
            descriptions: descriptions
                .iter()
                .map(|row| ((row.get("relation"), row.get("attnum")), row.get("description")))
                .collect(),
            defaults: defaults
                .iter()
                .map(|row| ((row.get("relation"), row.get("attnum")), row.get("default_value")))
                .collect(),
            labels: labels.iter().map(|row| (row.get("type"), row.get("labels"))).collect(),
            definitions: checks.chain(fields).collect(),
            partitions: partitions
                .iter()
                .map(|row| (row.get("relation"), (row.get("partitions"), row.get("key"))))
                .collect(),
        }
    }
}
