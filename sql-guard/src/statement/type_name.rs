//! Types that a statement converts to: PostgreSQL's own, and those of the database whose conversions may run.

use std::sync::Arc;

use pg_query::NodeEnum;
use pg_query::protobuf::TypeName as Written;
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use super::{Mode, Walk, names};
use crate::access::Sight;
use crate::catalog::{RelationName, TypeName};
use crate::rejection::Rejection;
use crate::system::PG_CATALOG;
use crate::types::{self, ALLOWED};

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
    pub(super) fn type_name(&self, type_name: &Written) -> Result<(), Rejection> {
        let Written { names: parts, type_oid: _, setof, pct_type, typmods, typemod: _, array_bounds: _, location } =
            type_name;
        if self.mode == Mode::Definition {
            return Ok(());
        }
        if *setof || *pct_type {
            return Err(self.refused_type("SETOF or %TYPE", "belongs in function definitions", *location));
        }
        for modifier in typmods {
            // Modifiers such as (10, 2) are constants or bare words, never calls.
            if !matches!(&modifier.node, Some(NodeEnum::AConst(_) | NodeEnum::ColumnRef(_))) {
                return Err(self.refused_type("a type modifier", "must be a constant", *location));
            }
        }
        let found = match names(parts).as_slice() {
            [name] => self.named_type(None, name, Notation::Cast, *location),
            [schema, name] => self.named_type(Some(schema), name, Notation::Cast, *location),
            other => Some(Err(self.refused_type(&other.join("."), "has too many parts", *location))),
        };
        match found {
            Some(verdict) => verdict,
            None if self.mode == Mode::Final => Err(self.unknown_type(&names(parts).join("."), *location)),
            None => Ok(()),
        }
    }

    /// Judges optional types.
    pub(super) fn optional_type(&self, type_name: Option<&Written>) -> Result<(), Rejection> {
        type_name.map_or(Ok(()), |type_name| self.type_name(type_name))
    }

    /// Judges a name by which `name(value)` or `value.name` would mean a cast; nothing where no type has it.
    pub(super) fn cast_by_call(&self, schema: Option<&str>, name: &str) -> Option<Result<(), Rejection>> {
        self.named_type(schema, name, Notation::Call, -1)
    }

    /// The verdict on the first type of that name on the search_path, or in that schema; nothing where there is none.
    fn named_type(
        &self,
        schema: Option<&str>,
        name: &str,
        notation: Notation,
        location: i32,
    ) -> Option<Result<(), Rejection>> {
        if let Some(schema) = schema {
            return self.type_in(schema, name, notation, location);
        }
        let path = self.access.map_or(&[][..], |access| access.catalog.search_path());
        let implied = (!path.iter().any(|schema| schema == PG_CATALOG)).then_some(PG_CATALOG);
        let schemas = implied.into_iter().chain(path.iter().map(String::as_str));
        schemas.into_iter().find_map(|schema| self.type_in(schema, name, notation, location))
    }

    fn type_in(&self, schema: &str, name: &str, notation: Notation, location: i32) -> Option<Result<(), Rejection>> {
        let is_call = notation == Notation::Call;
        let known = match schema {
            PG_CATALOG => types::exists(name, is_call),
            _ if self.mode == Mode::Advisory => return Some(Ok(())).filter(|_| !is_call),
            _ => self.has_type(schema, name, is_call),
        };
        if !known {
            return None;
        }
        let full = TypeName { schema: Arc::from(schema), name: Arc::from(name) };
        let why = match self.access {
            Some(access) if self.mode == Mode::Final => access.type_denied(&full),
            _ => types::refusal(name).filter(|_| schema == PG_CATALOG).map(str::to_string),
        };
        Some(match why {
            Some(why) => Err(self.refused_type(name, &why, location)),
            None => {
                self.runs_conversion(&full);
                Ok(())
            }
        })
    }

    /// Whether a schema has a type of that name, or one whose array it would be.
    fn has_type(&self, schema: &str, name: &str, is_call: bool) -> bool {
        let Some(access) = self.access else { return false };
        let Some(known) = access.catalog.user_type(schema, name) else { return false };
        let element = known.parts.first().filter(|_| known.is_array);
        let row = match element {
            Some(element) => access.catalog.user_type(&element.schema, &element.name).and_then(|of| of.row_of.as_ref()),
            None => known.row_of.as_ref(),
        };
        // The row type of a hidden table is as absent as the table.
        let is_hidden =
            |relation: &RelationName| matches!(access.sight(&relation.schema, &relation.name), Some(Sight::Hidden));
        (known.is_array || !is_call || known.row_of.is_none()) && !row.is_some_and(is_hidden)
    }

    /// Whether the database has a type of its own of that name, wherever it is looked up.
    pub(super) fn has_own_type(&self, name: &str) -> bool {
        self.access.is_some_and(|access| {
            access.catalog.search_path().iter().any(|schema| access.catalog.user_type(schema, name).is_some())
        })
    }

    /// Notes whether a conversion may leave something behind.
    fn runs_conversion(&self, name: &TypeName) {
        if self.access.is_some_and(|access| access.type_leaves_traces(name)) {
            self.runs_code.set(true);
        }
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
