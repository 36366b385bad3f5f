//! Reads a catalog from PostgreSQL: a core that must succeed, and extras that degrade to nothing (Citus, CockroachDB and
//! YugabyteDB lack some).

use std::collections::{HashMap, HashSet};

use daemon::log::Chain;
use shared_protocol::catalog::Function;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};
use tracing::debug;

use super::assembly::{Assembly, Names};
use super::facts;
use super::snapshot::{Draft, NumberedType, Schema};

/// A column by its relation and number.
pub(super) type ColumnKey = (Oid, i16);

/// A type with its modifier, such as the digits of a numeric.
pub(super) type TypeKey = (Oid, i32);

/// Everything that the role of `connection` may see of its database.
///
/// # Errors
/// Where a core query fails.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Draft, sqlx::Error> {
    let database = sqlx::query(include_str!("sql/database.sql")).fetch_one(&mut *connection).await?;
    let relations = sqlx::query(include_str!("sql/relations.sql")).fetch_all(&mut *connection).await?;
    let oids = |rows: &mut dyn Iterator<Item = &PgRow>| rows.map(|row| row.get("oid")).collect::<Vec<Oid>>();
    let is_whole: Vec<bool> = relations.iter().map(|row| row.get("is_whole")).collect();
    let columns = sqlx::query(include_str!("sql/columns.sql")).bind(oids(&mut relations.iter())).bind(is_whole);
    let columns = columns.fetch_all(&mut *connection).await?;
    let data_types = data_types(connection, &columns).await?;
    let readable: Vec<&PgRow> = relations.iter().filter(|relation| relation.get("is_readable")).collect();
    let oids = oids(&mut readable.iter().copied());
    let constraints = of_relations(connection, include_str!("sql/constraints.sql"), &oids).await?;
    let indexes = of_relations(connection, include_str!("sql/indexes.sql"), &oids).await?;
    let types = sqlx::query(include_str!("sql/types.sql")).fetch_all(&mut *connection).await?;
    let facts = facts::read(connection, &relations, &columns).await?;
    let commented = [oids.clone(), indexes.iter().map(|row| row.get("oid")).collect()].concat();
    sqlx::raw_sql("SAVEPOINT extras").execute(&mut *connection).await?;
    let extras = Extras::read(connection, &oids, &commented, &columns).await;
    let functions = extra(connection, sqlx::query(include_str!("sql/functions.sql")), "functions").await;
    let schemas = extra(connection, sqlx::query(include_str!("sql/schemas.sql")), "schemas").await;

    let mut draft = Draft {
        description: database.get("description"),
        server_version: database.get("server_version"),
        timezone: database.get("timezone"),
        is_utf8: database.get("is_utf8"),
        tables: Vec::new(),
        functions: functions.iter().map(function).collect(),
        schemas: schemas.iter().map(schema).collect(),
        types: types.iter().map(type_name).collect(),
        facts,
    };
    let names = Names::new(&readable, &columns);
    let columns: Vec<&PgRow> = columns.iter().filter(|column| column.get("is_readable")).collect();
    let mut assembly = Assembly::new(&columns, &constraints, &indexes);
    for relation in readable {
        // Statements may name a partition, but it is not listed.
        if !relation.get::<bool, _>("is_partition") {
            draft.tables.push(assembly.table(relation, &names, &data_types, &extras));
        }
    }
    draft.tables.sort_by(|a, b| (&a.schema_name, &a.table_name).cmp(&(&b.schema_name, &b.table_name)));
    Ok(draft)
}

/// What the types of the columns are called: there are fewer of them than columns.
async fn data_types(connection: &mut PgConnection, columns: &[PgRow]) -> Result<HashMap<TypeKey, String>, sqlx::Error> {
    let of_column = |row: &PgRow| (row.get("type_oid"), row.get("type_modifier"));
    let types: HashSet<TypeKey> =
        columns.iter().flat_map(|row| [Some(of_column(row)), base_type(row)]).flatten().collect();
    let (oids, modifiers): (Vec<Oid>, Vec<i32>) = types.into_iter().unzip();
    let names = sqlx::query(include_str!("sql/type_names.sql")).bind(oids).bind(modifiers);
    let names = names.fetch_all(connection).await?;
    Ok(names.iter().map(|row| ((row.get("oid"), row.get("modifier")), row.get("name"))).collect())
}

/// The type that a column's domain is based on.
pub(super) fn base_type(column: &PgRow) -> Option<TypeKey> {
    let base: Option<Oid> = column.get("base_oid");
    base.map(|base| (base, column.get("base_modifier")))
}

async fn of_relations(
    connection: &mut PgConnection,
    sql: &'static str,
    oids: &[Oid],
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(sql).bind(oids).fetch_all(connection).await
}

/// The rows of an extra, or none where the database doesn't know what was asked; the transaction goes on in either case.
async fn extra(connection: &mut PgConnection, query: Query<'_, Postgres, PgArguments>, what: &str) -> Vec<PgRow> {
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
    async fn read(connection: &mut PgConnection, oids: &[Oid], commented: &[Oid], columns: &[PgRow]) -> Self {
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

fn function(row: &PgRow) -> Function {
    Function {
        schema: row.get("schema_name"),
        name: row.get("name"),
        args: row.get("args"),
        returns: row.get::<Option<String>, _>("returns").unwrap_or_default(),
        allowed: false, // That is told caller by caller.
    }
}

fn schema(row: &PgRow) -> Schema {
    Schema {
        name: row.get("name"),
        owner: row.get("owner"),
        description: row.get("description"),
        is_system: row.get("is_system"),
        system_tables: usize::try_from(row.get::<i64, _>("system_tables")).unwrap_or_default(),
    }
}

fn type_name(row: &PgRow) -> NumberedType {
    NumberedType { oid: row.get::<Oid, _>("oid").0, name: row.get("typname"), written: row.get("written") }
}
