//! The catalog of one database, as the resource `postgres://{database}/catalog` gives it: how the agent learns a database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tool::run_sql::is_false;

/// One page of a catalog; pages of one catalog share its fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogPage {
    /// Changes when anything that this caller sees of the catalog changes.
    pub fingerprint: String,
    /// Our name of the database.
    pub database: String,
    /// The database's comment.
    pub description: Option<String>,
    /// PostgreSQL's version, e.g. `15.18`.
    pub server_version: String,
    /// Time zone of every session.
    pub timezone: String,
    /// Schemas in which unqualified names are looked up, in order.
    pub search_path: Vec<String>,
    /// Whether the columns' values have been read.
    pub samples: SamplesState,
    /// Tables, views and other relations by schema and name.
    pub tables: Vec<Table>,
    /// The user's own functions; built-ins are sql-guard's.
    pub functions: Vec<Function>,
    /// Where the next page starts; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Whether the values of columns ([`Column::sample_values`]) are there. The fingerprint changes when they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplesState {
    /// They are being read.
    Loading,
    /// They are there, as far as they can be told.
    Complete,
}

/// A table, view, materialised view, partitioned or foreign table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub table_name: String,
    /// Its schema.
    pub schema_name: String,
    /// What it is.
    pub r#type: TableKind,
    /// Its comment.
    pub description: Option<String>,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Its indexes by name.
    pub indexes: Vec<Index>,
    /// Its constraints by name.
    pub constraints: Vec<Constraint>,
    /// Its outgoing foreign keys by name.
    pub foreign_keys: Vec<ForeignKey>,
    /// The planner's estimate; `null` where it was never analysed.
    pub estimated_row_count: Option<i64>,
    /// Number of partitions, where it is partitioned.
    pub partition_count: Option<i64>,
    /// The SELECT behind a view; `null` where policy restricts what it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_definition: Option<String>,
    /// What it is partitioned by, e.g. `RANGE (day)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<String>,
}

/// What kind of relation a [`Table`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum TableKind {
    /// An ordinary table.
    Table,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A partitioned table; its partitions are not listed.
    PartitionedTable,
    /// A foreign table.
    ForeignTable,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `format_type`'s name of its type, e.g. `bigint` or `numeric(10,2)`.
    pub data_type: String,
    /// A domain's base type and CHECK, or a composite's fields.
    pub type_definition: Option<String>,
    /// Whether it may be NULL.
    pub is_nullable: bool,
    /// Its default as SQL.
    pub default_value: Option<String>,
    /// Its comment.
    pub description: Option<String>,
    /// Whether it is part of the primary key.
    pub is_primary_key: bool,
    /// Whether it alone is unique.
    pub is_unique: bool,
    /// Most characters, where the type has such a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub character_maximum_length: Option<i32>,
    /// Digits of a numeric, where they are bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_precision: Option<i32>,
    /// Digits of a numeric behind the point, where they are bounded; below 0, so many before it are rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_scale: Option<i32>,
    /// The labels of its enum type, in order.
    pub enum_values: Option<Vec<String>>,
    /// Values that stand in it, the most frequent first, where it is a text column with few different ones; at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_values: Option<Vec<String>>,
    /// Whether it is generated from others.
    pub is_generated: bool,
    /// Whether it is an identity column.
    pub is_identity: bool,
    /// Whether policy hides its values: they may only be put out, as `***`, or counted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masked: bool,
}

/// An index of a [`Table`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its columns, or expressions as SQL.
    pub columns: Vec<String>,
    /// Whether it is unique.
    pub is_unique: bool,
    /// Whether it is the primary key's.
    pub is_primary: bool,
    /// Its access method, e.g. `btree`.
    pub index_type: String,
    /// The condition of a partial index.
    pub predicate: Option<String>,
    /// Its comment.
    #[serde(default)]
    pub description: Option<String>,
    /// The CREATE INDEX statement.
    pub definition: String,
}

/// A constraint of a [`Table`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Constraint {
    /// Its name.
    pub name: String,
    /// `PRIMARY KEY`, `FOREIGN KEY`, `UNIQUE`, `CHECK` or `EXCLUDE`.
    pub r#type: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its definition as SQL.
    pub definition: Option<String>,
    /// The table that a foreign key points to, as schema.table.
    pub referenced_table: Option<String>,
}

/// A foreign key, with the pairing of a composite one kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub constraint_name: String,
    /// Schema of the referencing table.
    pub from_schema: String,
    /// The referencing table.
    pub from_table: String,
    /// The referencing columns.
    pub from_columns: Vec<String>,
    /// Schema of the referenced table.
    pub to_schema: String,
    /// The referenced table.
    pub to_table: String,
    /// The referenced columns, each the pair of the one at its place in `from_columns`.
    pub to_columns: Vec<String>,
    /// `NO ACTION`, `RESTRICT`, `CASCADE`, `SET NULL` or `SET DEFAULT`.
    pub on_update: String,
    /// As `on_update`.
    pub on_delete: String,
}

/// One of the user's own functions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its arguments as SQL.
    pub args: String,
    /// Its result type as SQL.
    pub returns: String,
    /// Whether a statement may call it.
    pub allowed: bool,
}
