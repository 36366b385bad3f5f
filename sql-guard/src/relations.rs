//! Which relation a name means: common table expressions in scope, then the search_path.

use pg_query::protobuf::{Alias, RangeVar};
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use crate::catalog::{Catalog, RelationName};
use crate::columns::Columns;
use crate::rejection::Rejection;
use crate::statement::{Walk, names};

/// The schema of PostgreSQL's own objects.
pub(crate) const PG_CATALOG: &str = "pg_catalog";

/// System views that speak of no object of the database and of no other session.
const HARMLESS_VIEWS: &[&str] = &["pg_timezone_names", "pg_timezone_abbrevs"];

/// One query level: what its WITH clause names, what its FROM clause has brought in so far, and the names of its output.
#[derive(Debug, Default)]
pub(crate) struct Level {
    pub(crate) ctes: Vec<Named>,
    pub(crate) items: Vec<Named>,
    pub(crate) outputs: Columns,
}

impl Level {
    /// All lists of columns that an unqualified name is looked up in.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Columns> {
        self.items.iter().map(|item| &item.columns).chain([&self.outputs])
    }
}

/// A common table expression, or an item of FROM by the name that columns are qualified with.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) columns: Columns,
}

impl Walk<'_> {
    /// Resolves a relation, notes it as read, and brings it in as an item of FROM.
    pub(crate) fn relation(&mut self, relation: &RangeVar) -> Result<(), Rejection> {
        let RangeVar { catalogname, schemaname, relname, inh: _, relpersistence: _, alias, location } = relation;
        let columns = if !catalogname.is_empty() {
            let message = format!("{catalogname}.{schemaname}.{relname} names a database");
            return Err(Rejection::new(ErrorCode::InvalidSql, message)
                .refused(format!("{catalogname}.{schemaname}.{relname}"))
                .suggest(format!("Write {schemaname}.{relname}; the call's database argument chooses the database."))
                .at(self.text, *location));
        } else if !schemaname.is_empty() {
            self.qualified(schemaname, relname, *location)?
        } else if let Some(columns) = self.cte(relname) {
            columns
        } else {
            self.unqualified(relname, *location)?
        };
        self.bring_in(relname, alias.as_ref(), columns)
    }

    /// Makes an item of FROM visible to the rest of its query level, under its alias and with its column aliases.
    pub(crate) fn bring_in(&mut self, name: &str, alias: Option<&Alias>, columns: Columns) -> Result<(), Rejection> {
        let (name, columns) = match alias {
            Some(Alias { aliasname, colnames }) => {
                let aliases = names(colnames);
                if !columns.open && aliases.len() > columns.known.len() {
                    let message =
                        format!("{aliasname} has {} columns but {} aliases", columns.known.len(), aliases.len());
                    return Err(Rejection::new(ErrorCode::ColumnNotFound, message)
                        .refused(aliases[columns.known.len()])
                        .suggest(format!("Give at most {} column aliases.", columns.known.len())));
                }
                (aliasname.as_str(), self.renamed(columns, &aliases)?)
            }
            None => (name, columns),
        };
        self.level().items.push(Named { name: name.to_string(), columns });
        Ok(())
    }

    /// The columns under their aliases: a list of its own, which is counted.
    pub(crate) fn renamed(&mut self, columns: Columns, aliases: &[&str]) -> Result<Columns, Rejection> {
        let columns = columns.renamed(aliases)?;
        if !aliases.is_empty() {
            self.count_columns(&columns)?;
        }
        Ok(columns)
    }

    /// The innermost common table expression of that name.
    fn cte(&self, name: &str) -> Option<Columns> {
        let mut ctes = self.levels.iter().rev().flat_map(|level| level.ctes.iter().rev());
        ctes.find(|cte| cte.name == name).map(|cte| cte.columns.clone())
    }

    fn qualified(&mut self, schema: &str, name: &str, location: i32) -> Result<Columns, Rejection> {
        if is_system_schema(schema) {
            return self.system_relation(schema, name, location);
        }
        match self.catalog {
            None => Ok(self.read_unchecked(schema, name)),
            Some(catalog) => match self.read(catalog, schema, name)? {
                Some(columns) => Ok(columns),
                None => Err(self.table_not_found(catalog, &format!("{schema}.{name}"), name, location)),
            },
        }
    }

    fn unqualified(&mut self, name: &str, location: i32) -> Result<Columns, Rejection> {
        let is_system = name.starts_with("pg_");
        let Some(catalog) = self.catalog else {
            return match is_system {
                true => self.system_relation(PG_CATALOG, name, location),
                false => Ok(self.read_unchecked("", name)),
            };
        };
        let path = catalog.search_path();
        if is_system && !path.iter().any(|schema| schema == PG_CATALOG) {
            return self.system_relation(PG_CATALOG, name, location);
        }
        for schema in path {
            if is_system_schema(schema) {
                // Every relation of pg_catalog is called pg_something, so no other name can end there.
                if is_system || schema != PG_CATALOG {
                    return self.system_relation(schema, name, location);
                }
            } else if let Some(columns) = self.read(catalog, schema, name)? {
                return Ok(columns);
            }
        }
        Err(self.table_not_found(catalog, name, name, location))
    }

    /// Notes a relation of the catalog as read.
    fn read(&mut self, catalog: &dyn Catalog, schema: &str, name: &str) -> Result<Option<Columns>, Rejection> {
        let asked = RelationName { schema: schema.to_string(), name: name.to_string() };
        if let Some(columns) = self.relations.get(&asked) {
            return Ok(Some(columns.clone()));
        }
        let Some(relation) = catalog.relation(schema, name) else { return Ok(None) };
        let columns = Columns::all(relation.columns)?;
        self.relations.insert(relation.name, columns.clone());
        Ok(Some(columns))
    }

    /// Notes a relation as read where there is no catalog to ask.
    fn read_unchecked(&mut self, schema: &str, name: &str) -> Columns {
        self.relations.insert(RelationName { schema: schema.to_string(), name: name.to_string() }, Columns::unknown());
        Columns::unknown()
    }

    fn system_relation(&mut self, schema: &str, name: &str, location: i32) -> Result<Columns, Rejection> {
        if schema == PG_CATALOG && HARMLESS_VIEWS.contains(&name) {
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

    fn table_not_found(&self, catalog: &dyn Catalog, written: &str, name: &str, location: i32) -> Rejection {
        let known = catalog.relation_names();
        let names: Vec<&str> = known.iter().map(|relation| relation.name.as_str()).collect();
        let mut similar = Vec::new();
        for near in closest(name, names, 5) {
            for relation in known.iter().filter(|relation| relation.name == near) {
                let written = shortest(catalog, relation);
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
fn shortest(catalog: &dyn Catalog, relation: &RelationName) -> String {
    let first = catalog.search_path().iter().find(|schema| catalog.relation(schema, &relation.name).is_some());
    match first {
        Some(schema) if *schema == relation.schema => relation.name.clone(),
        _ => format!("{}.{}", relation.schema, relation.name),
    }
}

/// Schemas whose names PostgreSQL keeps for itself, temporary ones included, and the information schema.
fn is_system_schema(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema"
}
