//! `search_schema`: tables and columns by words.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::tool::search_schema::{NAME, SearchSchemaInput, SearchSchemaOutput};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::{Listing, answer};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};
use crate::catalog::search;

/// The tool.
#[derive(Debug)]
pub(super) struct SearchSchema;

const DESCRIPTION: &str = "Tables and columns by words of their names, comments and enum values, best first. Use it where you don't know a table's \
name; next describe_table. Example: {\"text\": \"order status\"}";

/// Longest text that is looked for, in characters.
const MAX_TEXT: usize = 200;

#[async_trait]
impl Tool for SearchSchema {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Search tables and columns",
            description: DESCRIPTION,
            input_schema: input_schema::<SearchSchemaInput>(),
            output_schema: output_schema::<SearchSchemaOutput>(),
            described_output: described_output::<SearchSchemaOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: SearchSchemaInput = parse(arguments)?;
        let length = input.text.chars().count();
        if !(1..=MAX_TEXT).contains(&length) || !input.text.contains(char::is_alphanumeric) {
            return Err(ToolError::Arguments {
                message: format!("argument \"text\" has {length} characters, and no word to look for or too many"),
                suggestion: Some(format!("Accepted are 1 to {MAX_TEXT} characters with a letter or digit among them.")),
            });
        }
        let (View { visible, .. }, ()) = context.find(input.database.as_deref(), call, |_| Ok(())).await?;
        let listing = Listing::new(NAME, visible.fingerprint(), &(&input.database, &input.text));
        let start = listing.start(input.cursor.as_deref())?;
        let text = input.text;
        // All names of a large catalog are compared.
        let matches = tokio::task::spawn_blocking(move || search(visible.tables(), &text)).await;
        let page = listing.page(matches.expect("searching doesn't panic"), start, input.limit.as_usize(), call);
        let rows = page.entries.len();
        let output =
            SearchSchemaOutput { matches: page.entries, total_count: page.total, next_cursor: page.next_cursor };
        answer(&output, rows, context, call).await
    }
}
