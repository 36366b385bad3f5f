//! Which relation a name in FROM means: a common table expression in scope, or else one of the catalog.

use pg_query::protobuf::{Alias, RangeVar};
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use super::{Mode, Walk, names};
use crate::access::{Access, Sight};
use crate::catalog::RelationName;
use crate::columns::{Columns, Restriction};
use crate::rejection::Rejection;
use crate::scope::{CteState, Item};
use crate::system::{HARMLESS_VIEWS, PG_CATALOG, is_system_schema};

impl<'a> Walk<'a> {
    /// Resolves a relation, notes it as read, and brings it in as an item of FROM.
    pub(super) fn relation(&mut self, relation: &RangeVar) -> Result<Columns, Rejection> {
        let RangeVar { catalogname, schemaname, relname, inh: _, relpersistence: _, alias, location } = relation;
        let columns = if !catalogname.is_empty() && !self.is_own_database(catalogname) {
            let message = format!("{catalogname}.{schemaname}.{relname} names a database");
            return Err(Rejection::new(ErrorCode::InvalidSql, message)
                .refused(format!("{catalogname}.{schemaname}.{relname}"))
                .suggest(format!("Write {schemaname}.{relname}; the call's database argument chooses the database."))
                .at(self.text, *location));
        } else if !schemaname.is_empty() {
            self.qualified(schemaname, relname, *location)?
        } else if let Some(columns) = self.cte(relname)? {
            columns
        } else {
            self.unqualified(relname, *location)?
        };
        self.bring_in(relname, alias.as_ref(), columns)
    }

    /// Whether a name that begins with that of a database may be one of this database.
    fn is_own_database(&self, name: &str) -> bool {
        match self.access.and_then(|access| access.catalog.database()) {
            Some(known) => known == name,
            None => self.mode == Mode::Advisory,
        }
    }

    /// Makes an item of FROM visible to the rest of its query level, under its alias and with its column aliases.
    pub(super) fn bring_in(
        &mut self,
        name: &str,
        alias: Option<&Alias>,
        columns: Columns,
    ) -> Result<Columns, Rejection> {
        let (name, columns) = match alias {
            Some(Alias { aliasname, colnames }) => {
                let aliases = names(colnames);
                if !aliases.is_empty() && columns.worst() == Restriction::Hidden {
                    return Err(self.all_columns_denied(&columns, "a list of column aliases", -1));
                }
                if !columns.is_open() && aliases.len() > columns.known().len() {
                    let known = columns.known().len();
                    let message = format!("{aliasname} has {known} columns but {} aliases", aliases.len());
                    return Err(Rejection::new(ErrorCode::ColumnNotFound, message)
                        .refused(aliases[known])
                        .suggest(format!("Give at most {known} column aliases.")));
                }
                (aliasname.as_str(), self.renamed(columns, &aliases)?)
            }
            None => (name, columns),
        };
        self.level().items.push(Item { name: name.to_string(), columns: columns.clone() });
        Ok(columns)
    }

    /// The columns under their aliases: a list of its own, which is counted.
    pub(super) fn renamed(&mut self, columns: Columns, aliases: &[&str]) -> Result<Columns, Rejection> {
        let columns = columns.renamed(aliases)?;
        if !aliases.is_empty() {
            self.count_columns(&columns)?;
        }
        Ok(columns)
    }

    /// The innermost common table expression of that name; judged now, where its turn hasn't come.
    fn cte(&mut self, name: &str) -> Result<Option<Columns>, Rejection> {
        for level in (0..self.levels.len()).rev() {
            let Some(at) = self.levels[level].ctes.iter().rposition(|cte| cte.name == name) else { continue };
            self.refer_to_cte(level, at)?;
            return match &self.levels[level].ctes[at].state {
                CteState::Begun(columns) | CteState::Judged(columns) => Ok(Some(columns.clone())),
                CteState::Waiting(_) => {
                    // It sees what its own level sees, not what stands around this place.
                    let inner = self.levels.split_off(level + 1);
                    let judged = self.judge_cte(at);
                    self.levels.extend(inner);
                    judged.map(Some)
                }
            };
        }
        Ok(None)
    }

    fn qualified(&mut self, schema: &str, name: &str, location: i32) -> Result<Columns, Rejection> {
        if is_system_schema(schema) {
            return self.system_relation(schema, name, location);
        }
        match self.access {
            None => Ok(self.read_unchecked(schema, name)),
            Some(access) => match self.read(access, schema, name, location)? {
                Some(Some(columns)) => Ok(columns),
                None if self.mode == Mode::Definition => Ok(Columns::unknown()),
                _ => Err(self.table_not_found(access, &format!("{schema}.{name}"), name, location)),
            },
        }
    }

    fn unqualified(&mut self, name: &str, location: i32) -> Result<Columns, Rejection> {
        let is_system = name.starts_with("pg_");
        let Some(access) = self.access else {
            return match is_system {
                true => self.system_relation(PG_CATALOG, name, location),
                false => Ok(self.read_unchecked("", name)),
            };
        };
        let path = access.catalog.search_path();
        if is_system && !path.iter().any(|schema| schema == PG_CATALOG) {
            return self.system_relation(PG_CATALOG, name, location);
        }
        for schema in path {
            if is_system_schema(schema) {
                // Every relation of pg_catalog is called pg_something, so no other name can end there.
                if is_system || schema != PG_CATALOG {
                    return self.system_relation(schema, name, location);
                }
            } else if let Some(found) = self.read(access, schema, name, location)? {
                // A hidden relation is the one that PostgreSQL would read, whatever comes later on the path.
                return found.ok_or_else(|| self.table_not_found(access, name, name, location));
            }
        }
        match self.mode {
            Mode::Definition => Ok(Columns::unknown()),
            _ => Err(self.table_not_found(access, name, name, location)),
        }
    }

    /// Notes a relation of the catalog as read: nothing where there is none, and no columns where it is hidden.
    fn read(
        &mut self,
        access: &Access,
        schema: &str,
        name: &str,
        location: i32,
    ) -> Result<Option<Option<Columns>>, Rejection> {
        let relation = RelationName { schema: schema.to_string(), name: name.to_string() };
        let sight = match self.mode {
            // Its owner's rights count, not the role's.
            Mode::Definition => access.look_at(&relation),
            _ => access.sight(schema, name),
        };
        let seen = match sight {
            None => return Ok(None),
            Some(Sight::Hidden) => return Ok(Some(None)),
            Some(Sight::Seen(seen)) => seen,
        };
        if let Some(why) = seen.denied.as_deref().filter(|_| self.mode != Mode::Advisory) {
            let message = format!("reading {schema}.{name} {why}, though no statement names it");
            return Err(Rejection::new(ErrorCode::FunctionDenied, message)
                .refused(name)
                .suggest("Read other tables. An administrator may allow the function by name in the policy file.")
                .at(self.text, location));
        }
        self.join_in(
            access
                .catalog
                .relation(schema, name)
                .map_or(1, |of| 1 + of.view.as_ref().map_or(0, |view| view.reads.len())),
        )?;
        self.read_parts(seen.columns.heaviest())?;
        self.relations.insert(relation);
        if seen.runs_code {
            self.runs_code.set(true);
        }
        Ok(Some(Some(match self.mode {
            Mode::Definition => seen.to_views.clone(),
            _ => seen.columns.clone(),
        })))
    }

    /// Notes a relation as read where there is no catalog to ask.
    fn read_unchecked(&mut self, schema: &str, name: &str) -> Columns {
        self.relations.insert(RelationName { schema: schema.to_string(), name: name.to_string() });
        Columns::unknown()
    }

    fn system_relation(&mut self, schema: &str, name: &str, location: i32) -> Result<Columns, Rejection> {
        if self.mode == Mode::Definition || schema == PG_CATALOG && HARMLESS_VIEWS.contains(&name) {
            return Ok(self.read_unchecked(schema, name));
        }
        Err(Rejection::new(
            ErrorCode::AccessDenied,
            format!("{schema}.{name} is a system catalog, which statements may not read"),
        )
        .refused(name)
        .suggest("Read the database's tables and columns from its catalog resource.")
        .at(self.text, location))
    }

    fn table_not_found(&self, access: &Access, written: &str, name: &str, location: i32) -> Rejection {
        let known: Vec<&RelationName> = access.visible().map(|relation| &relation.name).collect();
        let mut names: Vec<&str> = known.iter().map(|relation| relation.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut similar = Vec::new();
        for near in closest(name, names, 5) {
            let mut schemas: Vec<_> = known.iter().filter(|relation| relation.name == near).collect();
            schemas.sort_unstable();
            for relation in schemas {
                let written = shortest(access, relation);
                if !similar.contains(&written) && similar.len() < 5 {
                    similar.push(written);
                }
            }
        }
        let nothing_near = || "Read the names of the tables from the database's catalog resource.".to_string();
        let mut rejection = Rejection::new(ErrorCode::TableNotFound, format!("there is no table {written}"))
            .refused(written)
            .suggest(did_you_mean(&similar).unwrap_or_else(nothing_near))
            .at(self.text, location);
        rejection.similar_tables = similar;
        rejection
    }
}

/// The name alone where the search_path leads to this very relation, else with its schema.
fn shortest(access: &Access, relation: &RelationName) -> String {
    let catalog = &access.catalog;
    let first = catalog.search_path().iter().find(|schema| catalog.relation(schema, &relation.name).is_some());
    match first {
        Some(schema) if *schema == relation.schema => relation.name.clone(),
        _ => format!("{}.{}", relation.schema, relation.name),
    }
}
