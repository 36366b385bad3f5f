//! `explain_query`: how PostgreSQL would run a statement, or ran it, and what would make it faster.

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared_protocol::catalog::Table;
use shared_protocol::tool::explain_query::{ExplainQueryInput, ExplainQueryOutput, NAME, PlanFormat};

use super::arguments::parse;
use super::definition::{described_output, input_schema, output_schema};
use super::statement::{Page, Request, page};
use super::{Call, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput};
use crate::catalog::Visible;
use crate::deep_json;
use crate::executor::Explain;
use crate::plan::{self, Plan, TableFacts};

/// The tool.
#[derive(Debug)]
pub(super) struct ExplainQuery;

const DESCRIPTION: &str = "Tell how PostgreSQL would run a statement, and what would make it faster. Use it when execute_query is slow. With \
analyze it is run and timed, where policy allows that. Example: {\"sql\": \"SELECT * FROM orders WHERE status = $1\", \"params\": [\"paid\"]}";

#[async_trait]
impl Tool for ExplainQuery {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: NAME,
            title: "Explain a SELECT",
            description: DESCRIPTION,
            input_schema: input_schema::<ExplainQueryInput>(),
            output_schema: output_schema::<ExplainQueryOutput>(),
            described_output: described_output::<ExplainQueryOutput>,
            is_idempotent: false,
        }
    }

    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError> {
        let input: ExplainQueryInput = parse(arguments)?;
        if input.buffers && !input.analyze {
            return Err(ToolError::Arguments {
                message: "buffers tells what a run has read, and without analyze nothing is run".to_owned(),
                suggestion: Some("Set analyze to true too, or leave buffers out.".to_owned()),
            });
        }
        let catalog = context.catalog(input.database.as_deref())?;
        let rules = context.policies.rules(catalog.database().name(), &call.caller);
        if input.analyze && !rules.limits.allow_explain_analyze {
            return Err(ToolError::Denied {
                message: "policy does not allow to run a statement for its plan".to_owned(),
                suggestion: "Leave analyze out, or have allow_explain_analyze = true set in the policy file."
                    .to_owned(),
            });
        }
        // The schemas of relations are told only by a verbose one.
        let explain = Explain { analyze: input.analyze, verbose: true, buffers: input.buffers };
        let request = Request {
            sql: &input.sql,
            params: &input.params,
            database: input.database.as_deref(),
            max_rows: 1,
            timeout_ms: None,
            timeout_argument: None,
            cursor: None,
            explain: Some(explain),
        };
        let Page { rows, visible, .. } = page(context, request, call).await?;
        let json = deep_json::with_value(&rows.json, |mut answer| {
            let plan = Plan::new(answer[0]["plan"].take())?;
            Some(serde_json::to_string(&output(plan, &input, &visible)).expect("plain data"))
        });
        let json = json.map_err(|error| ToolError::Internal(format!("the plan can't be read: {error}")))?;
        let json = json.ok_or_else(|| ToolError::Internal("PostgreSQL gave a plan of an unknown form".to_owned()))?;
        Ok(ToolOutput { json, rows: 0, memory: rows.memory })
    }
}

fn output(plan: Plan, input: &ExplainQueryInput, visible: &Visible) -> ExplainQueryOutput {
    let warnings = plan::warnings(&plan, |schema, table| facts(visible, schema, table));
    let plan = if input.verbose { plan } else { plan.without_details() };
    let (estimated_cost, estimated_rows, actual_time_ms) = (plan.cost(), plan.rows(), plan.time());
    let plan = match input.format {
        PlanFormat::Text => plan::text(&plan).into(),
        PlanFormat::Json => plan.into_value(),
        PlanFormat::Yaml => serde_saphyr::to_string(&plan.into_value()).expect("plain data").into(),
    };
    let warnings = (!warnings.is_empty()).then_some(warnings);
    ExplainQueryOutput { plan, format: input.format, estimated_cost, estimated_rows, actual_time_ms, warnings }
}

/// What the catalog knows of a table.
fn facts(visible: &Visible, schema: Option<&str>, name: &str) -> Option<TableFacts> {
    let is_it = |table: &&Table| table.table_name == name && schema.is_none_or(|schema| table.schema_name == schema);
    let table = visible.tables().iter().find(is_it)?;
    Some(TableFacts {
        rows: table.estimated_row_count,
        columns: table.columns.iter().map(|column| column.name.clone()).collect(),
        indexed: table.indexes.iter().filter_map(|index| index.columns.first().cloned()).collect(),
    })
}
