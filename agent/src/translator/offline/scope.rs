//! The part of a schema that one reading speaks about: a table, or two that a foreign key joins.

use shared_protocol::catalog::{Column, Table};

use super::columns;
use crate::schema_context::SchemaContext;

/// A column of the schema, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ColumnRef {
    pub(super) table: usize,
    pub(super) column: usize,
}

/// A foreign key between two different tables of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The referencing table.
    pub(super) from: usize,
    /// The referenced table.
    pub(super) to: usize,
    /// Referencing and referenced column, pair by pair.
    pub(super) columns: Vec<(usize, usize)>,
    /// Whether a row of `to` has at most one row of `from`.
    pub(super) is_one_to_one: bool,
    /// Whether every row of `from` has its row of `to`.
    pub(super) is_mandatory: bool,
}

/// The tables that a question asks about, resolved.
#[derive(Debug)]
pub(super) struct Schema<'a> {
    pub(super) context: &'a SchemaContext,
    pub(super) links: Vec<Link>,
}

impl<'a> Schema<'a> {
    pub(super) fn new(context: &'a SchemaContext) -> Self {
        Self { context, links: links(context) }
    }

    pub(super) fn table(&self, table: usize) -> &'a Table {
        &self.context.tables[table]
    }

    pub(super) fn column(&self, column: ColumnRef) -> &'a Column {
        &self.context.tables[column.table].columns[column.column]
    }

    pub(super) fn family(&self, column: ColumnRef) -> columns::Family {
        columns::family(self.column(column))
    }

    pub(super) fn columns_of(&self, table: usize) -> impl Iterator<Item = ColumnRef> + use<> {
        (0..self.context.tables[table].columns.len()).map(move |column| ColumnRef { table, column })
    }

    /// The columns by which a row of the table is called; none where it has no such column.
    pub(super) fn naming(&self, table: usize) -> Vec<ColumnRef> {
        let columns = columns::naming(self.table(table));
        columns.into_iter().map(|column| ColumnRef { table, column }).collect()
    }

    pub(super) fn primary_key(&self, table: usize) -> Vec<ColumnRef> {
        let columns = columns::primary_key(self.table(table));
        columns.into_iter().map(|column| ColumnRef { table, column }).collect()
    }

    /// The foreign key that consists of this column alone.
    pub(super) fn link_of(&self, column: ColumnRef) -> Option<&Link> {
        let alone =
            |link: &&Link| link.from == column.table && link.columns.len() == 1 && link.columns[0].0 == column.column;
        self.links.iter().find(alone)
    }
}

fn links(context: &SchemaContext) -> Vec<Link> {
    let position =
        |schema: &str, name: &str| context.tables.iter().position(|t| t.schema_name == schema && t.table_name == name);
    let mut links: Vec<Link> = Vec::new();
    for (from, table) in context.tables.iter().enumerate() {
        for key in &table.foreign_keys {
            let Some(to) = position(&key.to_schema, &key.to_table).filter(|&to| to != from) else { continue };
            let column =
                |table: usize, name: &String| context.tables[table].columns.iter().position(|c| c.name == *name);
            let pair = |(a, b): (&String, &String)| Some((column(from, a)?, column(to, b)?));
            let pairs: Option<Vec<_>> = key.from_columns.iter().zip(&key.to_columns).map(pair).collect();
            let Some(columns) = pairs.filter(|pairs| !pairs.is_empty()) else { continue };
            let link = Link {
                from,
                to,
                is_one_to_one: is_unique(table, &key.from_columns),
                is_mandatory: columns.iter().all(|&(a, _)| !table.columns[a].is_nullable),
                columns,
            };
            // The same key may be declared twice.
            if !links.contains(&link) {
                links.push(link);
            }
        }
    }
    links
}

fn is_unique(table: &Table, names: &[String]) -> bool {
    let covers = |columns: &[String]| !columns.is_empty() && columns.iter().all(|column| names.contains(column));
    let key: Vec<String> = table.columns.iter().filter(|c| c.is_primary_key).map(|c| c.name.clone()).collect();
    covers(&key)
        || table.columns.iter().any(|c| c.is_unique && names.contains(&c.name))
        || table.indexes.iter().any(|index| index.is_unique && index.predicate.is_none() && covers(&index.columns))
}

/// One table, or two with the foreign key that joins them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) first: usize,
    /// The position of the link, where there are two tables.
    pub(super) link: Option<usize>,
    /// The second table.
    pub(super) second: Option<usize>,
}

impl Scope {
    pub(super) fn holds(&self, table: usize) -> bool {
        self.first == table || self.second == Some(table)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = usize> {
        [Some(self.first), self.second].into_iter().flatten()
    }

    /// The table of the scope that isn't `table`.
    pub(super) fn other(&self, table: usize) -> Option<usize> {
        if self.second == Some(table) { Some(self.first) } else { self.second }
    }
}

/// Every table alone, then every pair that a foreign key joins.
pub(super) fn scopes(schema: &Schema<'_>) -> Vec<Scope> {
    let alone = (0..schema.context.tables.len()).map(|first| Scope { first, link: None, second: None });
    let pair = |(index, link): (usize, &Link)| Scope { first: link.from, link: Some(index), second: Some(link.to) };
    alone.chain(schema.links.iter().enumerate().map(pair)).collect()
}
