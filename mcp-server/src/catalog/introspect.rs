//! Reads a catalog from PostgreSQL: a core that must succeed, and extras that degrade to nothing (Citus, CockroachDB and
//! YugabyteDB lack some).

use std::collections::{HashMap, HashSet};

use shared_protocol::catalog::Function;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

use super::assembly::{Assembly, Names, TypeKey, base_type};
use super::extras::{Extras, extra};
use super::facts;
use super::snapshot::{Draft, NumberedType, Schema};

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
        own_name: database.get("name"),
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

async fn of_relations(
    connection: &mut PgConnection,
    sql: &'static str,
    oids: &[Oid],
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(sql).bind(oids).fetch_all(connection).await
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
