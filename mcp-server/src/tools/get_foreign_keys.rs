//! `get_foreign_keys`: what a table points to, and what points to it.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::catalog::Table;
use shared_protocol::tool::get_foreign_keys::{GetForeignKeysInput, GetForeignKeysOutput, NAME};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::{Listing, answer};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};

/// The tool.
#[derive(Debug)]
pub(super) struct GetForeignKeys;

const DESCRIPTION: &str = "Foreign keys from a table and to it, column by column. After describe_table; for tables further apart use find_join_path. \
Example: {\"table_name\": \"orders\"}";

#[async_trait]
impl Tool for GetForeignKeys {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Foreign keys of a table",
            description: DESCRIPTION,
            input_schema: input_schema::<GetForeignKeysInput>(),
            output_schema: output_schema::<GetForeignKeysOutput>(),
            described_output: described_output::<GetForeignKeysOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: GetForeignKeysInput = parse(arguments)?;
        let find = |view: &View| view.table(input.schema_name.as_deref(), &input.table_name);
        let (View { visible, .. }, table) = context.find(input.database.as_deref(), call, find).await?;
        let Table { table_name, schema_name, foreign_keys: mut keys, .. } = table;
        let outgoing_count = keys.len();
        keys.extend(visible.keys_to(&schema_name, &table_name).cloned());
        let incoming_count = keys.len() - outgoing_count;
        let which = (&input.database, &schema_name, &table_name);
        let listing = Listing::new(NAME, visible.structure(), &which);
        let start = listing.start(input.cursor.as_deref())?;
        let mut page = listing.page(keys, start, input.limit.as_usize(), call);
        let rows = page.entries.len();
        let incoming = page.entries.split_off(outgoing_count.saturating_sub(start).min(rows));
        let output = GetForeignKeysOutput {
            table_name,
            schema_name,
            outgoing: page.entries,
            incoming,
            outgoing_count,
            incoming_count,
            next_cursor: page.next_cursor,
        };
        answer(&output, rows, context, call).await
    }
}
