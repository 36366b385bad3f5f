//! What values of a type hold: rows of tables, or text in which a secret could stand.

use std::collections::HashSet;

use super::{Access, Sight};
use crate::catalog::{TypeName, UserType};
use crate::columns::Restriction;
use crate::system::PG_CATALOG;

/// PostgreSQL's types that hold text or bytes.
const TEXT_TYPES: &[&str] = &["text", "varchar", "bpchar", "char", "name", "bytea", "citext"];

impl Access {
    /// How restricted the tables are whose rows a type holds, at any depth: hidden where one is hidden, masked where one has columns
    /// that the caller may not read.
    pub(crate) fn rows_within(&self, name: &TypeName) -> Restriction {
        self.rows_of(name, &mut HashSet::new())
    }

    fn rows_of(&self, name: &TypeName, seen: &mut HashSet<TypeName>) -> Restriction {
        if &*name.schema == PG_CATALOG || !seen.insert(name.clone()) {
            return Restriction::Free;
        }
        let known = self.catalog.user_type(&name.schema, &name.name);
        known.map_or(Restriction::Free, |known| self.restriction_of_rows(known, seen))
    }

    fn restriction_of_rows(&self, known: &UserType, seen: &mut HashSet<TypeName>) -> Restriction {
        let own = known.row_of.as_ref().map_or(Restriction::Free, |relation| match self.look_at(relation) {
            Some(Sight::Seen(seen)) if seen.to_views.worst() >= Restriction::Masked => Restriction::Masked,
            Some(Sight::Seen(_)) => Restriction::Free,
            _ => Restriction::Hidden,
        });
        known.parts.iter().map(|part| self.rows_of(part, seen)).fold(own, Restriction::max)
    }

    /// Whether a type holds text or bytes, so that a secret could stand in it.
    pub(crate) fn holds_text(&self, name: &TypeName) -> bool {
        if TEXT_TYPES.contains(&&*name.name) {
            return true;
        }
        match self.catalog.user_type(&name.schema, &name.name) {
            Some(known) if known.is_domain => known.parts.iter().any(|base| self.holds_text(base)),
            _ => false,
        }
    }
}
