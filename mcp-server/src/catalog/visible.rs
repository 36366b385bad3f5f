//! A catalog as one caller sees it: what policy hides is not there.

use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use shared_protocol::catalog::{Column, Constraint, ForeignKey, Function, Index, Table};
use sql_guard::{Access, Restriction};

use super::Snapshot;
use crate::executor::Directory;

/// A catalog as one caller sees it, never changed.
#[derive(Debug)]
pub struct Visible {
    pub(super) snapshot: Arc<Snapshot>,
    access: Arc<Access>,
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<Function>,
    pub(super) fingerprint: String,
}

/// What the fingerprint is taken over: all that the caller sees.
#[derive(Serialize)]
struct Seen<'a> {
    database: &'a str,
    description: &'a Option<String>,
    server_version: &'a str,
    timezone: &'a str,
    search_path: &'a [String],
    tables: &'a [Table],
    functions: &'a [Function],
}

impl Visible {
    /// What of `snapshot` the access, which was made from it, leaves.
    pub(super) fn new(snapshot: Arc<Snapshot>, access: Arc<Access>) -> Self {
        let tables: Vec<Table> = snapshot.tables.iter().filter_map(|table| visible_table(table, &access)).collect();
        // One that may not be called could speak of what is hidden by its very signature.
        let functions =
            snapshot.functions.iter().filter(|function| access.allows_function(&function.schema, &function.name));
        let functions: Vec<Function> =
            functions.map(|function| Function { allowed: true, ..function.clone() }).collect();
        let seen = Seen {
            database: &snapshot.database,
            description: &snapshot.description,
            server_version: &snapshot.server_version,
            timezone: &snapshot.timezone,
            search_path: &snapshot.search_path,
            tables: &tables,
            functions: &functions,
        };
        let text = serde_json::to_vec(&seen).expect("a catalog is plain data");
        let fingerprint = Sha256::digest(&text)[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { snapshot, access, tables, functions, fingerprint }
    }

    /// The catalog that it was made from.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// What the guard judges by.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Changes when anything that the caller sees changes.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The masked columns of the tables that are listed, with their tables.
    pub fn masked(&self) -> Vec<String> {
        let of = |table: &Table| {
            let masked = table.columns.iter().filter(|column| column.masked);
            let name = format!("{}.{}", table.schema_name, table.table_name);
            masked.map(|column| format!("{name}.{}", column.name)).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }

    /// The tables and views that are listed, by schema and name.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The name of a type by its number, as SQL is written with it.
    pub fn written_type(&self, oid: u32) -> Option<&str> {
        self.snapshot.numbered_type(oid).map(|of| of.written.as_str())
    }

    /// The columns of a relation that the caller may know of, for suggestions.
    pub fn columns_of(&self, schema: &str, name: &str) -> Vec<String> {
        let columns = self.access.columns(schema, name).unwrap_or_default();
        let known = columns.into_iter().filter(|(_, restriction)| *restriction != Restriction::Hidden);
        known.map(|(name, _)| name.to_string()).collect()
    }
}

impl Directory for Visible {
    fn type_name(&self, oid: u32) -> Option<String> {
        self.snapshot.numbered_type(oid).map(|of| of.name.clone())
    }

    fn restriction(&self, relation: u32, column: i16) -> Option<Restriction> {
        let (relation, place) = self.snapshot.numbered(relation, column)?;
        self.access.restriction(relation, place)
    }
}

/// A table without what is hidden, or nothing where it is hidden itself.
fn visible_table(table: &Table, access: &Access) -> Option<Table> {
    let restrictions = access.columns(&table.schema_name, &table.table_name)?;
    let restriction = |name: &str| {
        restrictions.iter().find(|(column, _)| **column == *name).map_or(Restriction::Hidden, |(_, found)| *found)
    };
    let is_visible = |name: &str| restriction(name) != Restriction::Hidden;
    // The text of an index, a default or a constraint may speak of columns that its list of columns doesn't name, and hold values of
    // masked ones.
    let mentions = |text: &str, least: Restriction| {
        let found = restrictions.iter().filter(|(_, found)| *found >= least);
        found.map(|(name, _)| name).any(|name| text.contains(&**name) || text.contains(&name.replace('"', "\"\"")))
    };
    let speaks = |text: &str| mentions(text, Restriction::Hidden);
    let tells = |text: &str| mentions(text, Restriction::Masked);
    let columns = table.columns.iter().filter(|column| is_visible(&column.name)).map(|column| Column {
        masked: restriction(&column.name) == Restriction::Masked,
        default_value: column
            .default_value
            .clone()
            .filter(|default| restriction(&column.name) < Restriction::Masked && !tells(default))
            .filter(|default| !access.names_hidden(default)),
        ..column.clone()
    });
    let indexes = table.indexes.iter().filter(|index| {
        let Index { definition, predicate, columns, .. } = index;
        // What isn't the name of a column is an expression, which may hold values.
        let is_name = |column: &&String| restrictions.iter().any(|(name, _)| **name == ***column);
        columns.iter().all(|column| !speaks(column))
            && !columns.iter().filter(|column| !is_name(column)).any(|column| tells(column))
            && !speaks(definition)
            && !predicate.as_deref().is_some_and(tells)
    });
    let foreign_keys: Vec<ForeignKey> =
        table.foreign_keys.iter().filter(|key| is_visible_key(key, access)).cloned().collect();
    let constraints = table.constraints.iter().filter(|constraint| {
        let Constraint { name, r#type, columns, definition, referenced_table } = constraint;
        let has_values = matches!(r#type.as_str(), "CHECK" | "EXCLUDE");
        columns.iter().all(|column| is_visible(column))
            && !definition.as_deref().is_some_and(|text| if has_values { tells(text) } else { speaks(text) })
            && (referenced_table.is_none() || foreign_keys.iter().any(|key| key.constraint_name == *name))
    });
    Some(Table {
        columns: columns.collect(),
        indexes: indexes.cloned().collect(),
        constraints: constraints.cloned().collect(),
        foreign_keys,
        ..table.clone()
    })
}

/// Whether both ends of a foreign key may be seen.
fn is_visible_key(key: &ForeignKey, access: &Access) -> bool {
    let sees = |schema: &str, table: &str, columns: &[String]| {
        access.columns(schema, table).is_some_and(|known| {
            let sees =
                |column: &String| known.iter().any(|(name, found)| **name == **column && *found != Restriction::Hidden);
            columns.iter().all(sees)
        })
    };
    sees(&key.from_schema, &key.from_table, &key.from_columns) && sees(&key.to_schema, &key.to_table, &key.to_columns)
}
