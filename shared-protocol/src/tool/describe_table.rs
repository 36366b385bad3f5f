//! `describe_table`: one table with its columns, indexes and constraints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run_sql::is_false;
use super::yes;
use crate::catalog::{Constraint, Index, TableKind};

/// Name of the tool in the registry.
pub const NAME: &str = "describe_table";

/// Arguments of `describe_table`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeTableInput {
    /// Table or view.
    pub table_name: String,
    /// Default: first of the search_path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    /// Default: the default database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Whether to list indexes.
    #[serde(default = "yes")]
    pub include_indexes: bool,
    /// Whether to list constraints.
    #[serde(default = "yes")]
    pub include_constraints: bool,
}

/// What `describe_table` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DescribeTableOutput {
    /// Its name.
    pub table_name: String,
    /// Its schema.
    pub schema_name: String,
    /// What it is.
    pub r#type: TableKind,
    /// Its comment.
    pub description: Option<String>,
    /// Its columns in order.
    pub columns: Vec<DescribedColumn>,
    /// Its indexes by name; `null` where they weren't asked for.
    pub indexes: Option<Vec<Index>>,
    /// Its constraints by name; `null` where they weren't asked for.
    pub constraints: Option<Vec<Constraint>>,
    /// The planner's estimate; `null` where it was never analysed, and for views.
    pub estimated_row_count: Option<i64>,
    /// Size on disk with its indexes; `null` for views.
    pub size_pretty: Option<String>,
    /// The SELECT behind a view; `null` where policy restricts what it speaks of.
    pub view_definition: Option<String>,
    /// What it is partitioned by, e.g. `RANGE (day)`.
    pub partition_key: Option<String>,
    /// What else there is to know.
    pub note: Option<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DescribedColumn {
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
    /// The foreign key that it is part of; of a composite key, this column's own pair.
    pub foreign_key: Option<Reference>,
    /// Most characters, where the type has such a bound.
    pub character_maximum_length: Option<i32>,
    /// Digits of a numeric, where they are bounded.
    pub numeric_precision: Option<i32>,
    /// Digits of a numeric behind the point, where they are bounded.
    pub numeric_scale: Option<i32>,
    /// The labels of its enum type, in order.
    pub enum_values: Option<Vec<String>>,
    /// Whether it is generated from others.
    pub is_generated: bool,
    /// Whether it is an identity column.
    pub is_identity: bool,
    /// Whether policy hides its values: they may only be put out, as `***`, or counted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masked: bool,
}

/// Where a column's foreign key points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Reference {
    /// Name of the constraint.
    pub constraint_name: String,
    /// Schema of the referenced table.
    pub referenced_schema: String,
    /// The referenced table.
    pub referenced_table: String,
    /// The referenced column.
    pub referenced_column: String,
    /// `NO ACTION`, `RESTRICT`, `CASCADE`, `SET NULL` or `SET DEFAULT`.
    pub on_update: String,
    /// As `on_update`.
    pub on_delete: String,
}
