//! `list_databases`: which databases there are.

use async_trait::async_trait;
use chrono::SecondsFormat;
use serde_json::{Map, Value};
use shared_protocol::tool::list_databases::{ListDatabasesInput, ListDatabasesOutput, ListedDatabase, NAME};

use super::arguments::parse;
use super::databases::KnownDatabase;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::{Listing, answer};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};
use crate::catalog::Visible;

/// The tool.
#[derive(Debug)]
pub(super) struct ListDatabases;

const DESCRIPTION: &str = "The databases on this server, with size, number of tables and status. Call it first; give a name from it as \"database\" \
to the other tools. Next: list_schemas or list_tables. Example: {}";

#[async_trait]
impl Tool for ListDatabases {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "List databases",
            description: DESCRIPTION,
            input_schema: input_schema::<ListDatabasesInput>(),
            output_schema: output_schema::<ListDatabasesOutput>(),
            described_output: described_output::<ListDatabasesOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: ListDatabasesInput = parse(arguments)?;
        let databases = context.known_databases(call).await?;
        let names: Vec<&str> = databases.iter().map(|database| database.name.as_str()).collect();
        let listing = Listing::new(NAME, "names", &names);
        let start = listing.start(input.cursor.as_deref())?;
        let databases = databases.into_iter().map(listed).collect();
        let page = listing.page(databases, start, input.limit.as_usize(), call);
        let rows = page.entries.len();
        let output =
            ListDatabasesOutput { databases: page.entries, total_count: page.total, next_cursor: page.next_cursor };
        answer(&output, rows, context, call).await
    }
}

fn listed(database: KnownDatabase) -> ListedDatabase {
    let KnownDatabase { name, description, is_default, status, view, size } = database;
    // It would tell when something changed that they may not see.
    let hides = view.as_ref().is_some_and(|view| view.rules.policy.hides());
    let visible = view.map(|view| view.visible);
    let snapshot = visible.as_ref().map(|visible| visible.snapshot());
    let schemas = |visible: &Visible| visible.schemas().iter().filter(|schema| !schema.is_system).count();
    ListedDatabase {
        name,
        description: description.or_else(|| visible.as_deref().and_then(Visible::description).map(str::to_owned)),
        is_default,
        schema_count: visible.as_deref().map(schemas),
        table_count: visible.as_ref().map(|visible| visible.tables().len()),
        size_bytes: size.as_ref().map(|size| size.bytes),
        size_pretty: size.map(|size| size.pretty),
        schema_loaded_at: snapshot
            .filter(|_| !hides)
            .map(|snapshot| snapshot.loaded_on.to_rfc3339_opts(SecondsFormat::Millis, true)),
        status,
        fingerprint: visible.as_ref().map(|visible| visible.fingerprint().to_owned()),
    }
}
