//! PostgreSQL's own types: which of them a statement may convert to.

use std::borrow::Cow;

use crate::catalog::TypeName;
use crate::system::PG_CATALOG;

/// PostgreSQL's types that any statement may name. An array type is its element's name with `[]`, or with `_` before it.
pub(crate) const ALLOWED: &[&str] = &[
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    // Names of text search objects only; no table hides behind them.
    "regconfig",
    "regdictionary",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];

/// PostgreSQL's types that are refused: they look names up in the catalog, hidden ones too, or are internal.
const REFUSED: &[&str] = &[
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "cstring",
    "event_trigger",
    "fdw_handler",
    "gtsvector",
    "index_am_handler",
    "internal",
    "language_handler",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_ddl_command",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "regclass",
    "regcollation",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "table_am_handler",
    "trigger",
    "tsm_handler",
];

/// Why nothing may be converted to a type of PostgreSQL's, or to arrays of it, if it may not; an array type has `_` before its
/// element's name.
pub(crate) fn refusal(name: &str) -> Option<&'static str> {
    let element = name.strip_prefix('_').unwrap_or(name);
    if ALLOWED.contains(&element) {
        return None;
    }
    Some(match REFUSED.contains(&element) {
        true if looks_names_up(element) => "looks up names of objects that may be hidden",
        true => "is internal to the server",
        false if element.starts_with("pg_") => "is a system catalog's row type",
        false => "is not one of PostgreSQL's that are known to be harmless",
    })
}

/// Whether a type of PostgreSQL's, or an array of it, takes names of objects for values, hidden ones too.
pub(crate) fn looks_names_up(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    element.starts_with("reg") && REFUSED.contains(&element)
}

/// Other words by which PostgreSQL's types go in SQL.
const SPELLINGS: &[(&str, &[&str])] = &[
    ("bool", &["boolean"]),
    ("bpchar", &["character", "char", "nchar"]),
    ("float4", &["real", "float"]),
    ("float8", &["double", "float"]),
    ("int2", &["smallint"]),
    ("int4", &["int", "integer"]),
    ("int8", &["bigint"]),
    ("numeric", &["decimal", "dec"]),
    ("timestamptz", &["timestamp"]),
    ("timetz", &["time"]),
    ("varbit", &["bit"]),
    ("varchar", &["character", "char", "nchar"]),
];

/// The words by which a type of PostgreSQL's may be named: its name, that of its array type, and what SQL calls it.
pub(crate) fn spellings(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = SPELLINGS.iter().filter(move |(of, _)| *of == name).flat_map(|(_, words)| *words);
    [Cow::Borrowed(name), Cow::Owned(format!("_{name}"))].into_iter().chain(others.map(|word| Cow::Borrowed(*word)))
}

/// PostgreSQL's types of which no statement can make a value: to convert anything to one is an error.
const VALUELESS: &[&str] =
    &["event_trigger", "fdw_handler", "internal", "language_handler", "table_am_handler", "trigger"];

/// Whether nothing can be converted to a type of PostgreSQL's, so that its name in `value.name` can only be a column's.
pub(crate) fn is_valueless(name: &str) -> bool {
    VALUELESS.contains(&name) || name.starts_with("any") && REFUSED.contains(&name)
}

/// Whether a type of an argument stands for whatever is given.
pub(crate) fn is_polymorphic(name: &TypeName) -> bool {
    &*name.schema == PG_CATALOG && name.name.starts_with("any")
}

/// Whether PostgreSQL has a type of that name, or of its element's. The row types of the system catalogs count only as arrays where
/// `is_call`: a call never means a row type.
pub(crate) fn exists(name: &str, is_call: bool) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    ALLOWED.contains(&element)
        || REFUSED.contains(&element)
        || element.starts_with("pg_") && !(is_call && element == name)
}
