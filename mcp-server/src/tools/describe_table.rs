//! `describe_table`: one table with its columns, indexes and constraints.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::catalog::{Column, ForeignKey, Table};
use shared_protocol::tool::describe_table::{
    DescribeTableInput, DescribeTableOutput, DescribedColumn, NAME, Reference,
};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::list_tables::note;
use super::listing::answer;
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};
use crate::catalog::sizes_of;

/// The tool.
#[derive(Debug)]
pub(super) struct DescribeTable;

const DESCRIPTION: &str = "Columns of a table or view with type, keys, default, comment and enum values, and its indexes and constraints. Call it \
before writing SQL; next get_foreign_keys or find_join_path. Values of a column with \"masked\" are shown as ***, and it may only be selected. \
Example: {\"table_name\": \"orders\"}";

#[async_trait]
impl Tool for DescribeTable {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Describe a table",
            description: DESCRIPTION,
            input_schema: input_schema::<DescribeTableInput>(),
            output_schema: output_schema::<DescribeTableOutput>(),
            described_output: described_output::<DescribeTableOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: DescribeTableInput = parse(arguments)?;
        let find = |view: &View| view.table(input.schema_name.as_deref(), &input.table_name);
        let (view, table) = context.find(input.database.as_deref(), call, find).await?;
        let whole = described(&view, table).await;
        let output = DescribeTableOutput {
            indexes: whole.indexes.filter(|_| input.include_indexes),
            constraints: whole.constraints.filter(|_| input.include_constraints),
            ..whole
        };
        answer(&output, output.columns.len(), context, call).await
    }
}

/// All that there is to tell of a table in a caller's view.
pub(crate) async fn described(View { database, visible, .. }: &View, table: Table) -> DescribeTableOutput {
    let size = sizes_of(database, std::slice::from_ref(&table)).await.into_values().next();
    DescribeTableOutput {
        columns: table.columns.iter().map(|column| described_column(column, &table)).collect(),
        note: note(&table, visible),
        size_pretty: size.map(|size| size.pretty),
        table_name: table.table_name,
        schema_name: table.schema_name,
        r#type: table.r#type,
        description: table.description,
        indexes: Some(table.indexes),
        constraints: Some(table.constraints),
        estimated_row_count: table.estimated_row_count,
        view_definition: table.view_definition,
        partition_key: table.partition_key,
    }
}

fn described_column(column: &Column, table: &Table) -> DescribedColumn {
    let column = column.clone();
    DescribedColumn {
        foreign_key: reference(&column.name, &table.foreign_keys),
        name: column.name,
        data_type: column.data_type,
        type_definition: column.type_definition,
        is_nullable: column.is_nullable,
        default_value: column.default_value,
        description: column.description,
        is_primary_key: column.is_primary_key,
        is_unique: column.is_unique,
        character_maximum_length: column.character_maximum_length,
        numeric_precision: column.numeric_precision,
        numeric_scale: column.numeric_scale,
        enum_values: column.enum_values,
        is_generated: column.is_generated,
        is_identity: column.is_identity,
        masked: column.masked,
    }
}

/// Where a column points; of several keys the one that it is all of, then the first by name.
fn reference(column: &str, keys: &[ForeignKey]) -> Option<Reference> {
    let places = keys.iter().filter_map(|key| Some((key, key.from_columns.iter().position(|name| name == column)?)));
    let (key, place) = places.min_by_key(|(key, _)| key.from_columns.len())?;
    Some(Reference {
        constraint_name: key.constraint_name.clone(),
        referenced_schema: key.to_schema.clone(),
        referenced_table: key.to_table.clone(),
        referenced_column: key.to_columns.get(place)?.clone(),
        on_update: key.on_update.clone(),
        on_delete: key.on_delete.clone(),
    })
}
