//! `refresh_schema`: reads a database's catalog again.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::tool::refresh_schema::{NAME, RefreshSchemaInput, RefreshSchemaOutput, RefreshedDatabase};

use super::arguments::parse;
use super::databases::Refreshed;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::answer;
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};

/// The tool.
#[derive(Debug)]
pub(super) struct RefreshSchema;

const DESCRIPTION: &str = "Reads a database's tables and columns again, after they were changed; this also happens by itself within seconds. \
Example: {\"database\": \"shop\"}";

#[async_trait]
impl Tool for RefreshSchema {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Read the schema again",
            description: DESCRIPTION,
            input_schema: input_schema::<RefreshSchemaInput>(),
            output_schema: output_schema::<RefreshSchemaOutput>(),
            described_output: described_output::<RefreshSchemaOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: RefreshSchemaInput = parse(arguments)?;
        let databases: Vec<_> = context.refresh(input.database.as_deref(), call).await?.into_iter().map(told).collect();
        let rows = databases.len();
        answer(&RefreshSchemaOutput { databases }, rows, context, call).await
    }
}

fn told(refreshed: Refreshed) -> RefreshedDatabase {
    let Refreshed { name, before, after, took_ms } = refreshed;
    let before = before.map(|view| view.visible.structure().to_owned());
    RefreshedDatabase {
        name,
        tables: after.visible.tables().len(),
        duration_ms: (took_ms * 1000.0).round() / 1000.0,
        changed: before.as_deref() != Some(after.visible.structure()),
    }
}
