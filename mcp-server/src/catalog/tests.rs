//! Tables for tests.

use shared_protocol::catalog::{Column, Table, TableKind};

/// An integer column; one whose name ends in `!` is NOT NULL, in `*` masked, and `id!` is the primary key.
pub(super) fn column(text: &str) -> Column {
    Column {
        name: text.trim_end_matches(['!', '*']).to_owned(),
        data_type: "integer".to_owned(),
        type_definition: None,
        is_nullable: !text.contains('!'),
        default_value: None,
        description: None,
        is_primary_key: text == "id!",
        is_unique: text == "id!",
        character_maximum_length: None,
        numeric_precision: None,
        numeric_scale: None,
        enum_values: None,
        sample_values: None,
        is_generated: false,
        is_identity: false,
        masked: text.contains('*'),
    }
}

/// A table of such columns.
pub(super) fn table(schema: &str, name: &str, columns: &[&str]) -> Table {
    Table {
        table_name: name.to_owned(),
        schema_name: schema.to_owned(),
        r#type: TableKind::Table,
        description: None,
        columns: columns.iter().map(|text| column(text)).collect(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_row_count: None,
        partition_count: None,
        view_definition: None,
        partition_key: None,
    }
}
