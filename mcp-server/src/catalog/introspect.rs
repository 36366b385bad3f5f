//! Reads a catalog from PostgreSQL: a core that must succeed, and extras that degrade to nothing (Citus, CockroachDB and
//! YugabyteDB lack some).

use std::collections::HashMap;

use daemon::log::Chain;
use shared_protocol::catalog::{Column, Constraint, ForeignKey, Function, Index, Table, TableKind};
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};
use tracing::debug;

use super::facts;
use super::snapshot::{Draft, NumberedType};

/// A column by its relation and number.
type ColumnKey = (Oid, i16);

/// Everything that the role of `connection` may see of its database.
///
/// # Errors
/// Where a core query fails.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Draft, sqlx::Error> {
    let database = sqlx::query(include_str!("sql/database.sql")).fetch_one(&mut *connection).await?;
    let relations = sqlx::query(include_str!("sql/relations.sql")).fetch_all(&mut *connection).await?;
    let oids = |rows: &mut dyn Iterator<Item = &PgRow>| rows.map(|row| row.get("oid")).collect::<Vec<Oid>>();
    let columns = of_relations(connection, include_str!("sql/columns.sql"), &oids(&mut relations.iter())).await?;
    let readable: Vec<&PgRow> = relations.iter().filter(|relation| relation.get("is_readable")).collect();
    let oids = oids(&mut readable.iter().copied());
    let constraints = of_relations(connection, include_str!("sql/constraints.sql"), &oids).await?;
    let indexes = of_relations(connection, include_str!("sql/indexes.sql"), &oids).await?;
    let types = sqlx::query(include_str!("sql/types.sql")).fetch_all(&mut *connection).await?;
    let facts = facts::read(connection, &relations, &columns).await?;
    let extras = Extras::read(connection, &oids, &columns).await;
    let functions =
        extra(sqlx::query(include_str!("sql/functions.sql")).fetch_all(&mut *connection).await, "functions");

    let mut draft = Draft {
        description: database.get("description"),
        server_version: database.get("server_version"),
        timezone: database.get("timezone"),
        is_utf8: database.get("is_utf8"),
        tables: Vec::new(),
        functions: functions.iter().map(function).collect(),
        types: types.iter().map(type_name).collect(),
        facts,
    };
    let columns: Vec<&PgRow> = columns.iter().filter(|column| column.get("is_readable")).collect();
    let names = Names::new(&readable, &columns);
    let mut assembly = Assembly::new(&columns, &constraints, &indexes);
    for relation in readable {
        // Statements may name a partition, but it is not listed.
        if !relation.get::<bool, _>("is_partition") {
            draft.tables.push(assembly.table(relation, &names, &extras));
        }
    }
    Ok(draft)
}

async fn of_relations(
    connection: &mut PgConnection,
    sql: &'static str,
    oids: &[Oid],
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(sql).bind(oids).fetch_all(connection).await
}

/// The rows of an extra, or none where the database doesn't know what was asked.
fn extra(rows: Result<Vec<PgRow>, sqlx::Error>, what: &str) -> Vec<PgRow> {
    rows.unwrap_or_else(|error| {
        debug!(error = %Chain(&error), "the catalog goes without {what}");
        Vec::new()
    })
}

/// What a catalog can do without.
struct Extras {
    descriptions: HashMap<(Oid, i32), String>,
    defaults: HashMap<ColumnKey, String>,
    labels: HashMap<Oid, Vec<String>>,
    definitions: HashMap<Oid, String>,
    partitions: HashMap<Oid, i64>,
}

impl Extras {
    async fn read(connection: &mut PgConnection, oids: &[Oid], columns: &[PgRow]) -> Self {
        let enums: Vec<Oid> = columns.iter().filter_map(|row| row.get("enum_type")).collect();
        let types: Vec<Oid> = columns.iter().map(|row| row.get("type_oid")).collect();
        let mut rows =
            async |sql: &'static str, oids: &[Oid], what: &str| extra(of_relations(connection, sql, oids).await, what);
        let descriptions = rows(include_str!("sql/descriptions.sql"), oids, "comments").await;
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
            partitions: partitions.iter().map(|row| (row.get("relation"), row.get("partitions"))).collect(),
        }
    }
}

/// Names of relations and columns by their numbers.
struct Names {
    relations: HashMap<Oid, (String, String)>,
    columns: HashMap<ColumnKey, String>,
}

impl Names {
    fn new(relations: &[&PgRow], columns: &[&PgRow]) -> Self {
        Self {
            relations: relations
                .iter()
                .map(|row| (row.get("oid"), (row.get("schema_name"), row.get("table_name"))))
                .collect(),
            columns: columns.iter().map(|row| ((row.get("relation"), row.get("attnum")), row.get("name"))).collect(),
        }
    }

    /// The columns' names; `None` where the role may not see one of them.
    fn of(&self, relation: Oid, numbers: &[i16]) -> Option<Vec<String>> {
        numbers.iter().map(|number| self.columns.get(&(relation, *number)).cloned()).collect()
    }
}

/// The core rows by relation.
struct Assembly<'a> {
    columns: HashMap<Oid, Vec<&'a PgRow>>,
    constraints: HashMap<Oid, Vec<&'a PgRow>>,
    indexes: HashMap<Oid, Vec<&'a PgRow>>,
}

impl<'a> Assembly<'a> {
    fn new(columns: &[&'a PgRow], constraints: &'a [PgRow], indexes: &'a [PgRow]) -> Self {
        Self {
            columns: by_relation(columns.iter().copied()),
            constraints: by_relation(constraints),
            indexes: by_relation(indexes),
        }
    }

    fn table(&mut self, relation: &PgRow, names: &Names, extras: &Extras) -> Table {
        let oid: Oid = relation.get("oid");
        let constraints: Vec<&PgRow> = self.constraints.remove(&oid).unwrap_or_default();
        let indexes = self.indexes.remove(&oid).unwrap_or_default();
        let columns = self.columns.remove(&oid).unwrap_or_default();
        let keys = Keys::of(&constraints);
        Table {
            table_name: relation.get("table_name"),
            schema_name: relation.get("schema_name"),
            r#type: kind(relation.get("kind")),
            description: extras.descriptions.get(&(oid, 0)).cloned(),
            columns: columns.iter().map(|row| column(row, oid, &keys, extras)).collect(),
            indexes: indexes.iter().map(|row| index(row)).collect(),
            constraints: constraints.iter().filter_map(|row| constraint(row, oid, names)).collect(),
            foreign_keys: constraints.iter().filter_map(|row| foreign_key(row, oid, names)).collect(),
            estimated_row_count: relation.get("estimated_row_count"),
            partition_count: extras.partitions.get(&oid).copied(),
            view_definition: None,
            partition_key: None,
        }
    }
}

fn by_relation<'a>(rows: impl IntoIterator<Item = &'a PgRow>) -> HashMap<Oid, Vec<&'a PgRow>> {
    let mut grouped: HashMap<Oid, Vec<&PgRow>> = HashMap::new();
    for row in rows {
        grouped.entry(row.get("relation")).or_default().push(row);
    }
    grouped
}

/// Which columns of one table are keys.
struct Keys {
    primary: Vec<i16>,
    unique: Vec<i16>,
}

impl Keys {
    fn of(constraints: &[&PgRow]) -> Self {
        let of_kind = |kinds: &[&str]| {
            let rows = constraints.iter().filter(|row| kinds.contains(&row.get::<&str, _>("kind")));
            rows.map(|row| row.get::<Option<Vec<i16>>, _>("columns").unwrap_or_default()).collect::<Vec<_>>()
        };
        let alone = |columns: Vec<Vec<i16>>| columns.into_iter().filter(|key| key.len() == 1).flatten().collect();
        Self { primary: of_kind(&["p"]).concat(), unique: alone(of_kind(&["p", "u"])) }
    }
}

fn column(row: &PgRow, relation: Oid, keys: &Keys, extras: &Extras) -> Column {
    let number: i16 = row.get("attnum");
    let checks = extras.definitions.get(&row.get::<Oid, _>("type_oid")).cloned();
    let base: Option<String> = row.get("domain_base");
    let type_definition = match (base, checks) {
        (Some(base), Some(checks)) => Some(format!("{base} {checks}")),
        (base, checks) => base.or(checks),
    };
    Column {
        name: row.get("name"),
        data_type: row.get("data_type"),
        type_definition,
        is_nullable: row.get("is_nullable"),
        default_value: extras.defaults.get(&(relation, number)).cloned(),
        description: extras.descriptions.get(&(relation, i32::from(number))).cloned(),
        is_primary_key: keys.primary.contains(&number),
        is_unique: keys.unique.contains(&number),
        character_maximum_length: None,
        numeric_precision: None,
        numeric_scale: None,
        enum_values: row.get::<Option<Oid>, _>("enum_type").and_then(|of| extras.labels.get(&of).cloned()),
        is_generated: row.get("is_generated"),
        is_identity: row.get("is_identity"),
        masked: false,
    }
}

fn index(row: &PgRow) -> Index {
    Index {
        name: row.get("name"),
        columns: row.get("columns"),
        is_unique: row.get("is_unique"),
        is_primary: row.get("is_primary"),
        index_type: row.get("index_type"),
        predicate: row.get("predicate"),
        description: None,
        definition: row.get("definition"),
    }
}

/// A constraint, unless it names a column or table that the role may not see.
fn constraint(row: &PgRow, relation: Oid, names: &Names) -> Option<Constraint> {
    let numbers: Option<Vec<i16>> = row.get("columns");
    let referenced: Oid = row.get("referenced");
    let referenced_table = match referenced {
        Oid(0) => None,
        oid => names.relations.get(&oid).map(|(schema, name)| Some(format!("{schema}.{name}")))?,
    };
    let kind = match row.get("kind") {
        "p" => "PRIMARY KEY",
        "f" => "FOREIGN KEY",
        "u" => "UNIQUE",
        "c" => "CHECK",
        _ => "EXCLUDE",
    };
    Some(Constraint {
        name: row.get("name"),
        r#type: kind.to_owned(),
        columns: names.of(relation, &numbers.unwrap_or_default())?,
        definition: row.get("definition"),
        referenced_table,
    })
}

/// A foreign key, unless one of its ends is hidden from the role.
fn foreign_key(row: &PgRow, relation: Oid, names: &Names) -> Option<ForeignKey> {
    if row.get::<&str, _>("kind") != "f" {
        return None;
    }
    let referenced: Oid = row.get("referenced");
    let (from_schema, from_table) = names.relations.get(&relation)?.clone();
    let (to_schema, to_table) = names.relations.get(&referenced)?.clone();
    Some(ForeignKey {
        constraint_name: row.get("name"),
        from_schema,
        from_table,
        from_columns: names.of(relation, &row.get::<Vec<i16>, _>("columns"))?,
        to_schema,
        to_table,
        to_columns: names.of(referenced, &row.get::<Vec<i16>, _>("referenced_columns"))?,
        on_update: action(row.get("on_update")),
        on_delete: action(row.get("on_delete")),
    })
}

fn action(letter: &str) -> String {
    let words = match letter {
        "r" => "RESTRICT",
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => "NO ACTION",
    };
    words.to_owned()
}

fn kind(letter: &str) -> TableKind {
    match letter {
        "v" => TableKind::View,
        "m" => TableKind::MaterializedView,
        "p" => TableKind::PartitionedTable,
        "f" => TableKind::ForeignTable,
        _ => TableKind::Table,
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

fn type_name(row: &PgRow) -> NumberedType {
    NumberedType { oid: row.get::<Oid, _>("oid").0, name: row.get("typname"), written: row.get("written") }
}
