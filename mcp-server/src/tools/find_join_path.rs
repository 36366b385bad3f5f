//! `find_join_path`: how two tables are joined along foreign keys.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::catalog::Table;
use shared_protocol::error::ErrorCode;
use shared_protocol::tool::find_join_path::{Depth, FindJoinPathInput, FindJoinPathOutput, NAME};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::listing::answer;
use super::{Call, NotFound, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, View};
use crate::catalog::join_path::{NoPath, join_paths};

/// The tool.
#[derive(Debug)]
pub(super) struct FindJoinPath;

const DESCRIPTION: &str = "The shortest ways to join two tables along foreign keys, each with SQL that runs as it is. Next: execute_query. \
Example: {\"from_table\": \"order_items\", \"to_table\": \"users\"}";

#[async_trait]
impl Tool for FindJoinPath {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Find a join path",
            description: DESCRIPTION,
            input_schema: input_schema::<FindJoinPathInput>(),
            output_schema: output_schema::<FindJoinPathOutput>(),
            described_output: described_output::<FindJoinPathOutput>,
            is_idempotent: true,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: FindJoinPathInput = parse(arguments)?;
        let find = |view: &View| {
            let from = view.table(input.from_schema.as_deref(), &input.from_table)?;
            Ok((from, view.table(input.to_schema.as_deref(), &input.to_table)?))
        };
        let (View { visible, .. }, (from, to)) = context.find(input.database.as_deref(), call, find).await?;
        let (start, end) = ((&*from.schema_name, &*from.table_name), (&*to.schema_name, &*to.table_name));
        if start == end {
            return Err(ToolError::Arguments {
                message: format!("from_table and to_table are the same table, {}.{}", start.0, start.1),
                suggestion: Some("Name two tables. get_foreign_keys tells the keys of a table to itself.".to_owned()),
            });
        }
        let depth = input.max_depth.as_usize();
        let found = join_paths(visible.tables(), start, end, depth, |table| visible.is_on_path(table));
        let found = found.map_err(|none| no_path(&from, &to, depth, none))?;
        let note = (found.paths.len() > 1).then(|| match found.has_more {
            true => format!("There are more than {} equally short paths; these are the first.", found.paths.len()),
            false => "These paths are equally short: choose by what their keys mean.".to_owned(),
        });
        let rows = found.paths.len();
        let output = FindJoinPathOutput {
            from_table: from.table_name.clone(),
            to_table: to.table_name.clone(),
            paths: found.paths,
            paths_found: rows,
            note,
        };
        answer(&output, rows, context, call).await
    }
}

fn no_path(from: &Table, to: &Table, depth: usize, none: NoPath) -> NotFound {
    let most = Depth::MOST as usize;
    let (from, to) =
        (format!("{}.{}", from.schema_name, from.table_name), format!("{}.{}", to.schema_name, to.table_name));
    let (message, suggestion) = match none.nearest {
        Some(nearest) => (
            format!("there is no path of at most {depth} joins from {from} to {to}; the shortest has {nearest}"),
            match nearest <= most {
                true => format!("Call again with max_depth {nearest}."),
                false => format!("max_depth is at most {most}: go by way of a table between them."),
            },
        ),
        None => (
            format!("foreign keys don't lead from {from} to {to}"),
            "Join on columns that mean the same; describe_table and search_schema help to find them.".to_owned(),
        ),
    };
    NotFound { code: ErrorCode::PathNotFound, message, suggestion, similar: Vec::new(), nearest_depth: none.nearest }
}
