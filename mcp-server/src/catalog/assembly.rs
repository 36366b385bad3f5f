//! The rows that introspection read, put together into tables.

use std::collections::HashMap;

use shared_protocol::catalog::{Column, Constraint, ForeignKey, Index, Table, TableKind};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;

use super::extras::{ColumnKey, Extras};
use super::identifier::quoted;

/// PostgreSQL's own numbers of the types whose modifier is a length or digits.
const BPCHAR: Oid = Oid(1042);
const VARCHAR: Oid = Oid(1043);
const BIT: Oid = Oid(1560);
const VARBIT: Oid = Oid(1562);
const NUMERIC: Oid = Oid(1700);

/// Bytes that PostgreSQL counts in a modifier before what it means.
const HEADER: i32 = 4;

/// A type with its modifier, such as the digits of a numeric.
pub(super) type TypeKey = (Oid, i32);

/// Names of relations and columns by their numbers; those of columns that the role may not read are told to indexes alone, which
/// are left out later where they speak of them.
pub(super) struct Names {
    relations: HashMap<Oid, (String, String)>,
    columns: HashMap<ColumnKey, NamedColumn>,
}

struct NamedColumn {
    name: String,
    collation: Oid,
    is_readable: bool,
}

impl Names {
    pub(super) fn new(relations: &[&PgRow], columns: &[PgRow]) -> Self {
        let named = |row: &PgRow| NamedColumn {
            name: row.get("name"),
            collation: row.get("collation"),
            is_readable: row.get("is_readable"),
        };
        Self {
            relations: relations
                .iter()
                .map(|row| (row.get("oid"), (row.get("schema_name"), row.get("table_name"))))
                .collect(),
            columns: columns.iter().map(|row| ((row.get("relation"), row.get("attnum")), named(row))).collect(),
        }
    }

    /// The columns' names; `None` where the role may not see one of them.
    fn of(&self, relation: Oid, numbers: &[i16]) -> Option<Vec<String>> {
        let readable = |number: &i16| self.columns.get(&(relation, *number)).filter(|column| column.is_readable);
        numbers.iter().map(|number| readable(number).map(|column| column.name.clone())).collect()
    }
}

/// The core rows by relation.
pub(super) struct Assembly<'a> {
    columns: HashMap<Oid, Vec<&'a PgRow>>,
    constraints: HashMap<Oid, Vec<&'a PgRow>>,
    indexes: HashMap<Oid, Vec<&'a PgRow>>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(columns: &[&'a PgRow], constraints: &'a [PgRow], indexes: &'a [PgRow]) -> Self {
        Self {
            columns: by_relation(columns.iter().copied()),
            constraints: by_relation(constraints),
            indexes: by_relation(indexes),
        }
    }

    pub(super) fn table(
        &mut self,
        relation: &PgRow,
        names: &Names,
        data_types: &HashMap<TypeKey, String>,
        extras: &Extras,
    ) -> Table {
        let oid: Oid = relation.get("oid");
        let constraints: Vec<&PgRow> = self.constraints.remove(&oid).unwrap_or_default();
        let indexes = self.indexes.remove(&oid).unwrap_or_default();
        let columns = self.columns.remove(&oid).unwrap_or_default();
        let keys = Keys::of(&constraints, &indexes);
        let (partition_count, partition_key) = extras.partitions.get(&oid).cloned().unzip();
        Table {
            table_name: relation.get("table_name"),
            schema_name: relation.get("schema_name"),
            r#type: kind(relation.get("kind")),
            description: extras.descriptions.get(&(oid, 0)).cloned(),
            columns: columns.iter().map(|row| column(row, oid, &keys, data_types, extras)).collect(),
            indexes: indexes.iter().filter_map(|row| index(row, names, extras)).collect(),
            constraints: constraints.iter().filter_map(|row| constraint(row, oid, names)).collect(),
            foreign_keys: constraints.iter().filter_map(|row| foreign_key(row, oid, names)).collect(),
            estimated_row_count: relation.get("estimated_row_count"),
            partition_count,
            view_definition: relation.get("definition"),
            partition_key,
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
    fn of(constraints: &[&PgRow], indexes: &[&PgRow]) -> Self {
        let of_kind = |kinds: &[&str]| {
            let rows = constraints.iter().filter(|row| kinds.contains(&row.get::<&str, _>("kind")));
            rows.map(|row| row.get::<Option<Vec<i16>>, _>("columns").unwrap_or_default()).collect::<Vec<_>>()
        };
        // A constraint that isn't checked at once is unique at the end, too; an index says nothing of it.
        let alone = of_kind(&["p", "u"]).into_iter().filter(|key| key.len() == 1).flatten();
        let indexed = indexes.iter().filter(|row| row.get("is_unique_alone"));
        let indexed = indexed.filter_map(|row| row.get::<Vec<i16>, _>("keys").first().copied());
        Self { primary: of_kind(&["p"]).concat(), unique: alone.chain(indexed).collect() }
    }
}

fn column(row: &PgRow, relation: Oid, keys: &Keys, data_types: &HashMap<TypeKey, String>, extras: &Extras) -> Column {
    let number: i16 = row.get("attnum");
    let own_type: TypeKey = (row.get("type_oid"), row.get("type_modifier"));
    let name_of = |key: &TypeKey| data_types.get(key).cloned();
    let base = base_type(row);
    let checks = extras.definitions.get(&own_type.0).cloned();
    let type_definition = match (base.as_ref().and_then(name_of), checks) {
        (Some(base), Some(checks)) => Some(format!("{base} {checks}")),
        (base, checks) => base.or(checks),
    };
    let bounds = Bounds::of(base.unwrap_or(own_type));
    Column {
        name: row.get("name"),
        data_type: name_of(&own_type).expect("all types were asked for"),
        type_definition,
        is_nullable: row.get("is_nullable"),
        default_value: extras.defaults.get(&(relation, number)).cloned(),
        description: extras.descriptions.get(&(relation, i32::from(number))).cloned(),
        is_primary_key: keys.primary.contains(&number),
        is_unique: keys.unique.contains(&number),
        character_maximum_length: bounds.length,
        numeric_precision: bounds.precision,
        numeric_scale: bounds.scale,
        enum_values: row.get::<Option<Oid>, _>("enum_type").and_then(|of| extras.labels.get(&of).cloned()),
        sample_values: None,
        is_generated: row.get("is_generated"),
        is_identity: row.get("is_identity"),
        masked: false,
    }
}

/// What a type's modifier says of its values.
#[derive(Debug, Default, PartialEq)]
struct Bounds {
    length: Option<i32>,
    precision: Option<i32>,
    scale: Option<i32>,
}

impl Bounds {
    fn of((oid, modifier): TypeKey) -> Self {
        if modifier < 0 {
            return Self::default();
        }
        let digits = modifier - HEADER;
        match oid {
            BPCHAR | VARCHAR => Self { length: Some(digits), ..Self::default() },
            BIT | VARBIT => Self { length: Some(modifier), ..Self::default() },
            NUMERIC => {
                // Eleven bits with a sign; before PostgreSQL 15 there was none, and no scale that needs the highest bit.
                let scale = ((digits & 0x7ff) ^ 0x400) - 0x400;
                Self { precision: Some((digits >> 16) & 0xffff), scale: Some(scale), length: None }
            }
            _ => Self::default(),
        }
    }
}

/// An index; nothing where it is of a column that isn't known, which is then PostgreSQL's own.
fn index(row: &PgRow, names: &Names, extras: &Extras) -> Option<Index> {
    let (relation, name): (Oid, String) = (row.get("relation"), row.get("name"));
    let (keys, collations) = (row.get::<Vec<i16>, _>("keys"), row.get::<Vec<Oid>, _>("collations"));
    let (is_unique, index_type): (bool, String) = (row.get("is_unique"), row.get("index_type"));
    let count = usize::try_from(row.get::<i32, _>("key_count")).unwrap_or_default();
    let mut expressions = row.get::<Option<Vec<String>>, _>("expressions").unwrap_or_default().into_iter();
    let (mut columns, mut written) = (Vec::new(), Vec::new());
    for (number, collation) in keys.into_iter().zip(collations).take(count) {
        if number == 0 {
            let expression = expressions.next()?;
            written.push(expression.clone());
            columns.push(expression);
            continue;
        }
        let column = names.columns.get(&(relation, number))?;
        // Of another collation than the database's own PostgreSQL tells itself.
        let collation = if column.collation == collation { "" } else { " COLLATE \"default\"" };
        written.push(format!("{}{collation}", quoted(&column.name)));
        columns.push(column.name.clone());
    }
    let predicate: Option<String> = row.get("predicate");
    let definition = row.get::<Option<String>, _>("definition").or_else(|| {
        let (schema, table) = names.relations.get(&relation)?;
        let unique = if is_unique { "UNIQUE " } else { "" };
        let (name, schema, table) = (quoted(&name), quoted(schema), quoted(table));
        let condition = predicate.as_ref().map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default();
        let columns = written.join(", ");
        Some(format!("CREATE {unique}INDEX {name} ON {schema}.{table} USING {index_type} ({columns}){condition}"))
    });
    Some(Index {
        description: extras.descriptions.get(&(row.get("oid"), 0)).cloned(),
        name,
        columns,
        is_unique,
        is_primary: row.get("is_primary"),
        index_type,
        predicate,
        definition: definition?,
    })
}

/// A constraint, unless it names a column or table that the role may not see.
fn constraint(row: &PgRow, relation: Oid, names: &Names) -> Option<Constraint> {
    let numbers: Option<Vec<i16>> = row.get("columns");
    let referenced: Oid = row.get("referenced");
    let referenced_table = match referenced {
        Oid(0) => None,
        oid => names.relations.get(&oid).map(|(schema, name)| Some(format!("{schema}.{name}")))?,
    };
    if let Some(there) = row.get::<Option<Vec<i16>>, _>("referenced_columns") {
        names.of(referenced, &there)?;
    }
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
    // A temporal key's last columns are periods: its rows are not joined by being equal.
    if row.get::<&str, _>("kind") != "f" || row.get::<bool, _>("is_temporal") {
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

/// The type that a column's domain is based on.
pub(super) fn base_type(column: &PgRow) -> Option<TypeKey> {
    let base: Option<Oid> = column.get("base_oid");
    base.map(|base| (base, column.get("base_modifier")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_tell_lengths_and_digits() {
        let check = |oid: Oid, modifier: i32, length: Option<i32>, digits: Option<(i32, i32)>| {
            let (precision, scale) = digits.unzip();
            assert_eq!(Bounds::of((oid, modifier)), Bounds { length, precision, scale }, "{oid:?} {modifier}");
        };
        check(VARCHAR, 24, Some(20), None);
        check(VARCHAR, -1, None, None);
        check(BIT, 3, Some(3), None);
        check(NUMERIC, (10 << 16 | 2) + HEADER, None, Some((10, 2)));
        // numeric(2, -3), from PostgreSQL 15 on.
        check(NUMERIC, (2 << 16 | (-3 & 0x7ff)) + HEADER, None, Some((2, -3)));
        check(Oid(23), 7, None, None);
    }
}
