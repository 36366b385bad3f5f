//! Two worlds that differ in nothing but secrets: SQL that gives the secret columns of a table other values on either side.
//!
//! What may be seen of a masked column stays the same in both, which is where it is NULL; of a hidden one nothing does, and
//! tables that are hidden as a whole even lose rows. Values come from one small pool, so that a join, comparison or
//! DISTINCT of secrets has something to find, in each world something else.

use std::collections::BTreeMap;

use crate::rules::Secrecy;
use crate::schema::{Column, Kind, Oid, Relation, Schema, quoted};

/// Stands in every secret text.
pub(crate) const SENTINEL: &str = "S3NT1NEL";

/// One of the two worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Makes a transaction's database the one of that side. Tables are written anew row by row, so that on both sides their rows
/// lie in the same order.
pub(crate) fn disguise(
    schema: &Schema,
    secrets: &BTreeMap<(Oid, String), Secrecy>,
    hidden: &[Oid],
    side: Side,
) -> Vec<String> {
    let tables = schema.relations.iter().filter(|(_, relation)| relation.kind == Kind::Table);
    let mut statements: Vec<String> = tables
        .flat_map(|(oid, relation)| {
            let secrecy = |column: &Column| secrets.get(&(*oid, column.name.clone())).copied();
            rewrite(relation, secrecy, hidden.contains(oid), side)
        })
        .collect();
    let views = schema.relations.values().filter(|relation| relation.kind == Kind::Materialized);
    statements.extend(views.map(|view| format!("REFRESH MATERIALIZED VIEW {}", view.qualified())));
    statements
}

/// Gives a table other values in its secret columns, if it has any; one that is hidden as a whole loses rows on the right.
pub(crate) fn rewrite(
    relation: &Relation,
    secrecy: impl Fn(&Column) -> Option<Secrecy>,
    is_hidden: bool,
    side: Side,
) -> Vec<String> {
    if !relation.columns.iter().any(|column| secrecy(column).is_some()) {
        return Vec::new();
    }
    let table = relation.qualified();
    let names: Vec<String> = relation.columns.iter().map(|column| quoted(&column.name)).collect();
    let values: Vec<String> = relation.columns.iter().map(|column| new_value(column, secrecy(column), side)).collect();
    let rows = if is_hidden && side == Side::Right { " WHERE \"#\" % 4 < 2" } else { "" };
    vec![
        format!(
            "CREATE TEMP TABLE before AS SELECT row_number() OVER (ORDER BY ctid) AS \"#\", * FROM ONLY {table} ORDER BY ctid"
        ),
        format!("TRUNCATE ONLY {table}"),
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM pg_temp.before AS t{rows} ORDER BY \"#\"",
            names.join(", "),
            values.join(", ")
        ),
        "DROP TABLE pg_temp.before".to_owned(),
    ]
}

fn new_value(column: &Column, secrecy: Option<Secrecy>, side: Side) -> String {
    let name = quoted(&column.name);
    let value = value(column, side);
    match (secrecy, side) {
        (None, _) => format!("t.{name}"),
        (Some(Secrecy::Masked), _) => {
            format!("CASE WHEN t.{name} IS NULL THEN NULL ELSE coalesce({value}, t.{name}) END")
        }
        (Some(Secrecy::Hidden), Side::Right) if column.is_nullable => {
            format!("CASE WHEN \"#\" % 3 > 0 THEN {value} END")
        }
        (Some(Secrecy::Hidden), _) => format!("coalesce({value}, t.{name})"),
    }
}

/// A value for row `#` by the column's type.
fn value(column: &Column, side: Side) -> String {
    let number = match (column.is_unique, side) {
        (true, Side::Left) => "\"#\"",
        (true, Side::Right) => "(5000 - \"#\")",
        (false, Side::Left) => "(\"#\" * 3 % 10)",
        (false, Side::Right) => "((\"#\" * 7 + 4) % 10)",
    };
    let text = format!("('{SENTINEL}@' || lpad({number}::text, 4, '0'))");
    match column.type_name.as_str() {
        "text" | "varchar" | "bpchar" | "name" => match column.bound {
            Some(most) if most < 13 => format!("lpad({number}::text, {most}, 'Z')"),
            _ => text,
        },
        "int4" => format!("(910000 + {number})::int4"),
        "int8" => format!("(910000 + {number})"),
        "int2" => format!("(9100 + {number})::int2"),
        "numeric" if column.bound.is_some_and(|digits| digits < 6) => format!("({number} + 0.25)"),
        "numeric" => format!("(910000.25 + {number})"),
        "money" => format!("(910000.25 + {number})::numeric::money"),
        "float4" | "float8" => format!("(910000.5 + {number})"),
        "bool" => format!("({number} % 2 = 0)"),
        "date" => format!("(date '1999-01-01' + {number}::int4)"),
        "timestamp" => format!("(timestamp '1999-01-01' + {number} * interval '1 day')"),
        "timestamptz" => format!("(timestamptz '1999-01-01 00:00+00' + {number} * interval '1 day')"),
        "interval" => format!("({number} * interval '9 hours')"),
        "uuid" => format!("md5({text})::uuid"),
        "json" => format!("json_build_object('secret', {text})"),
        "jsonb" => format!("jsonb_build_object('secret', {text})"),
        "xml" => format!("xmlelement(name secret, {text})"),
        "bytea" => format!("convert_to({text}, 'UTF8')"),
        "inet" => format!("(inet '10.9.0.0' + {number})"),
        "_text" => format!("ARRAY[{text}, 'secret']"),
        "_int4" => format!("ARRAY[910000, {number}::int4]"),
        // Of types whose values aren't easily made up, rows take each other's.
        _ if side == Side::Right => {
            let name = quoted(&column.name);
            format!("coalesce(lead(t.{name}) OVER (ORDER BY \"#\"), first_value(t.{name}) OVER (ORDER BY \"#\"))")
        }
        _ => format!("t.{}", quoted(&column.name)),
    }
}
