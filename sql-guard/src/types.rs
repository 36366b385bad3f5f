//! Which types a statement may cast to: PostgreSQL's own, and those of the database that run no function of the user's.

use pg_query::NodeEnum;
use pg_query::protobuf::TypeName;
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use crate::catalog::UserType;
use crate::rejection::Rejection;
use crate::relations::PG_CATALOG;
use crate::statement::{Mode, Walk, names};

/// PostgreSQL's types that any statement may name. An array type is its element's name with `[]`, or with `_` before it.
const ALLOWED: &[&str] = &[
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

/// How a statement names a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// `value::name`, `CAST` or a column definition.
    Cast,
    /// `name(value)` or `value.name`, which never mean a row type, but may mean an array of one.
    Call,
}

impl Walk<'_> {
    /// Judges the type of a cast, of a column definition or of a RETURNING clause.
    pub(crate) fn type_name(&self, type_name: &TypeName) -> Result<(), Rejection> {
        let TypeName { names: parts, type_oid: _, setof, pct_type, typmods, typemod: _, array_bounds: _, location } =
            type_name;
        if *setof || *pct_type {
            return Err(self.refused_type("SETOF or %TYPE", "belongs in function definitions", *location));
        }
        for modifier in typmods {
            // Modifiers such as (10, 2) are constants or bare words, never calls.
            if !matches!(&modifier.node, Some(NodeEnum::AConst(_) | NodeEnum::ColumnRef(_))) {
                return Err(self.refused_type("a type modifier", "must be a constant", *location));
            }
        }
        match names(parts).as_slice() {
            [PG_CATALOG, name] => self
                .built_in_type(name, Notation::Cast, *location)
                .unwrap_or_else(|| Err(self.unknown_type(name, *location))),
            [schema, name] => self.user_type(schema, name, *location),
            [name] => self.unqualified_type(name, *location),
            other => Err(self.refused_type(&other.join("."), "has too many parts", *location)),
        }
    }

    /// Judges a name by which `name(value)` or `value.name` would mean a cast; nothing where no type has it.
    pub(crate) fn cast_in_disguise(&self, name: &str, only_built_in: bool) -> Option<Result<(), Rejection>> {
        match only_built_in {
            true => self.built_in_type(name, Notation::Call, -1),
            false => self.named_type(name, Notation::Call, -1),
        }
    }

    fn unqualified_type(&self, name: &str, location: i32) -> Result<(), Rejection> {
        match self.named_type(name, Notation::Cast, location) {
            Some(verdict) => verdict,
            None if self.mode == Mode::Final => Err(self.unknown_type(name, location)),
            None => Ok(()),
        }
    }

    /// The verdict on the first type of that name on the search_path, or nothing where there is none.
    fn named_type(&self, name: &str, notation: Notation, location: i32) -> Option<Result<(), Rejection>> {
        let path = self.catalog.map_or(&[][..], |catalog| catalog.search_path());
        let implied = (!path.iter().any(|schema| schema == PG_CATALOG)).then_some(PG_CATALOG);
        implied.into_iter().chain(path.iter().map(String::as_str)).find_map(|schema| match schema {
            PG_CATALOG => self.built_in_type(name, notation, location),
            _ if notation == Notation::Call && self.is_row_type(schema, name) => None,
            _ if self.has_type(schema, name) => Some(self.user_type(schema, name, location)),
            _ => None,
        })
    }

    /// The verdict on one of PostgreSQL's types, or nothing where it has none of that name.
    fn built_in_type(&self, name: &str, notation: Notation, location: i32) -> Option<Result<(), Rejection>> {
        let element = name.strip_prefix('_').unwrap_or(name);
        if ALLOWED.contains(&element) {
            return Some(Ok(()));
        }
        let why = match REFUSED.contains(&element) {
            true if element.starts_with("reg") => "looks up names of objects that may be hidden",
            true => "is internal to the server",
            // The row types of the system catalogs.
            false if notation == Notation::Call && element == name => return None,
            false if element.starts_with("pg_") => "is a system catalog's row type",
            false => return None,
        };
        Some(Err(self.refused_type(name, why, location)))
    }

    fn user_type(&self, schema: &str, name: &str, location: i32) -> Result<(), Rejection> {
        if self.mode == Mode::Advisory {
            return Ok(());
        }
        let element = name.strip_prefix('_').unwrap_or(name);
        let find = |name| self.catalog.and_then(|catalog| catalog.user_type(schema, name));
        match find(name).or_else(|| find(element)) {
            _ if self.is_row_type(schema, name) || self.is_row_type(schema, element) => {
                Err(self.refused_type(name, "is a table's row type", location))
            }
            Some(UserType::Plain) => Ok(()),
            Some(UserType::Guarded) => Err(self.refused_type(
                name,
                "may run functions of the database's own when a value is cast to it",
                location,
            )),
            None => Err(self.unknown_type(&format!("{schema}.{name}"), location)),
        }
    }

    fn is_row_type(&self, schema: &str, name: &str) -> bool {
        self.catalog.is_some_and(|catalog| catalog.relation(schema, name).is_some())
    }

    /// Whether a schema has a type of that name; every relation has a row type, and every type an array type.
    fn has_type(&self, schema: &str, name: &str) -> bool {
        let element = name.strip_prefix('_').unwrap_or(name);
        self.catalog.is_some_and(|catalog| {
            [name, element]
                .iter()
                .any(|name| catalog.user_type(schema, name).is_some() || self.is_row_type(schema, name))
        })
    }

    fn refused_type(&self, name: &str, why: &str, location: i32) -> Rejection {
        Rejection::new(ErrorCode::FunctionDenied, format!("the type {name} is not allowed: it {why}"))
            .refused(name)
            .suggest("Leave the cast out, or cast to one of PostgreSQL's plain types such as text.")
            .at(self.text, location)
    }

    fn unknown_type(&self, name: &str, location: i32) -> Rejection {
        let similar = closest(name, ALLOWED.iter().copied(), 3);
        Rejection::new(ErrorCode::InvalidSql, format!("there is no type {name}"))
            .refused(name)
            .suggest(did_you_mean(&similar).unwrap_or_else(|| "Use one of PostgreSQL's own types.".to_string()))
            .at(self.text, location)
    }
}
