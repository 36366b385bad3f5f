//! `list_schemas`: the schemas of a database.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::tool::list_schemas::{ListSchemasInput, ListSchemasOutput, ListedSchema, NAME};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::{Listing, answer};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};
use crate::catalog::VisibleSchema;

/// The tool.
#[derive(Debug)]
pub(super) struct ListSchemas;

const DESCRIPTION: &str = "The schemas of a database, with owner, comment and number of tables. After list_databases; next list_tables. \
Example: {\"database\": \"shop\"}";

#[async_trait]
impl Tool for ListSchemas {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "List schemas",
            description: DESCRIPTION,
            input_schema: input_schema::<ListSchemasInput>(),
            output_schema: output_schema::<ListSchemasOutput>(),
            described_output: described_output::<ListSchemasOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: ListSchemasInput = parse(arguments)?;
        let (View { visible, .. }, ()) = context.find(input.database.as_deref(), call, |_| Ok(())).await?;
        let which = (&input.database, input.include_system);
        let listing = Listing::new(NAME, visible.structure(), &which);
        let start = listing.start(input.cursor.as_deref())?;
        let schemas = visible.schemas().iter().filter(|schema| input.include_system || !schema.is_system);
        let page = listing.page(schemas.map(listed).collect(), start, input.limit.as_usize(), call);
        let rows = page.entries.len();
        let output =
            ListSchemasOutput { schemas: page.entries, total_count: page.total, next_cursor: page.next_cursor };
        answer(&output, rows, context, call).await
    }
}

fn listed(schema: &VisibleSchema) -> ListedSchema {
    ListedSchema {
        name: schema.name.clone(),
        owner: schema.owner.clone(),
        description: schema.description.clone(),
        table_count: schema.table_count,
    }
}
