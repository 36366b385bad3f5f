//! Completion: names of databases, schemas, tables, columns and saved queries, while somebody fills in a prompt or a resource's URI.

use std::collections::{HashMap, HashSet};

use rmcp::ErrorData;
use rmcp::model::{CompleteRequestParams, CompletionInfo, Reference};
use shared_protocol::names::shortened;

use super::error;
use super::{prompts, resources};
use crate::tools::{Call, ToolContext, ToolError, View};

/// What a name is completed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Database,
    Schema,
    Table,
    Column,
    Query,
    /// Nothing: it is free text.
    Text,
}

/// The names that begin with what has been typed, then those that have it in them.
///
/// # Errors
/// Where there is no such prompt, template or argument, or the database of which names are wanted.
pub(super) async fn complete(
    context: &ToolContext,
    request: CompleteRequestParams,
    call: &Call,
) -> Result<CompletionInfo, ErrorData> {
    let argument = &request.argument;
    let kind = match &request.r#ref {
        Reference::Prompt(prompt) => match prompts::has_argument(&prompt.name, &argument.name)? {
            true => of_prompt(&argument.name),
            false => return Err(unknown_argument(&format!("the prompt {}", prompt.name), &argument.name)),
        },
        Reference::Resource(template) => of_template(&template.uri, &argument.name)?,
        _ => return Err(ErrorData::invalid_params("ref must be a prompt or a resource template", None)),
    };
    let known = request.context.and_then(|context| context.arguments).unwrap_or_default();
    let names = names(context, kind, &known, call).await;
    let names = names.map_err(|failure| match failure {
        ToolError::UnknownDatabase { .. } => error::invalid(&failure),
        failure => error::fault(&failure),
    });
    Ok(fitting(names?, &argument.value))
}

fn of_prompt(argument: &str) -> Kind {
    match argument {
        "database" => Kind::Database,
        "schema" => Kind::Schema,
        "table" => Kind::Table,
        "column" => Kind::Column,
        _ => Kind::Text,
    }
}

fn of_template(uri: &str, argument: &str) -> Result<Kind, ErrorData> {
    let templates = resources::templates();
    let Some(template) = templates.iter().find(|template| template.uri_template == uri) else {
        let forms = templates.iter().map(|template| template.uri_template.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("there is no template {:?}. The templates are: {forms}.", shortened(uri));
        return Err(ErrorData::invalid_params(message, None));
    };
    match argument {
        _ if ![format!("{{{argument}}}"), format!("{{?{argument}}}")]
            .iter()
            .any(|place| template.uri_template.contains(place)) =>
        {
            Err(unknown_argument(&format!("the template {uri}"), argument))
        }
        "database" => Ok(Kind::Database),
        "schema" => Ok(Kind::Schema),
        "table" => Ok(Kind::Table),
        "name" => Ok(Kind::Query),
        _ => Ok(Kind::Text),
    }
}

fn unknown_argument(of: &str, argument: &str) -> ErrorData {
    ErrorData::invalid_params(format!("{of} has no argument {:?}", shortened(argument)), None)
}

/// All names of a kind that the caller may know of, in the order in which they are best offered.
async fn names(
    context: &ToolContext,
    kind: Kind,
    known: &HashMap<String, String>,
    call: &Call,
) -> Result<Vec<String>, ToolError> {
    let of = |name: &str| known.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let view = async || context.find(of("database"), call, |_| Ok(())).await.map(|(view, ())| view);
    Ok(match kind {
        Kind::Text => Vec::new(),
        Kind::Database => context.databases.names(),
        Kind::Schema => schemas(&view().await?),
        Kind::Table => tables(&view().await?, of("schema")),
        Kind::Column => columns(&view().await?, of("schema"), of("table")),
        Kind::Query => resources::query_names(context, &view().await?).await?,
    })
}

fn schemas(view: &View) -> Vec<String> {
    let schemas = view.visible.schemas().iter().filter(|schema| !schema.is_system);
    schemas.map(|schema| schema.name.clone()).collect()
}

/// Those of one schema, by default the first in which names are looked up; none where it isn't there.
fn tables(view: &View, schema: Option<&str>) -> Vec<String> {
    let Ok(schema) = view.schema(schema) else { return Vec::new() };
    view.visible.tables_of(&schema).iter().map(|table| table.table_name.clone()).collect()
}

/// Those of one table; of all tables of the schema where none is named.
fn columns(view: &View, schema: Option<&str>, table: Option<&str>) -> Vec<String> {
    let Ok(schema) = view.schema(schema) else { return Vec::new() };
    let tables = view.visible.tables_of(&schema).iter();
    let tables = tables.filter(|known| table.is_none_or(|table| known.table_name == table));
    let mut seen = HashSet::new();
    let names = tables.flat_map(|table| &table.columns).map(|column| column.name.as_str());
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}

fn fitting(names: Vec<String>, typed: &str) -> CompletionInfo {
    let typed = typed.to_lowercase();
    let (begin, others): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| name.to_lowercase().starts_with(&typed));
    let within = others.into_iter().filter(|name| name.to_lowercase().contains(&typed));
    let mut values: Vec<String> = begin.into_iter().chain(within).collect();
    let total = values.len();
    values.truncate(CompletionInfo::MAX_VALUES);
    let has_more = values.len() < total;
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    CompletionInfo::with_pagination(values, Some(total), has_more).expect("no more values than fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_begin_so_come_first() {
        let names = ["orders", "border", "users", "Order_items"].map(str::to_owned).to_vec();
        let found = fitting(names, "ord");
        assert_eq!(found.values, ["orders", "Order_items", "border"]);
        assert_eq!((found.total, found.has_more), (Some(3), Some(false)));
        let many: Vec<String> = (0..250).map(|number| format!("t{number}")).collect();
        let found = fitting(many, "");
        assert_eq!((found.values.len(), found.total, found.has_more), (100, Some(250), Some(true)));
    }

    #[test]
    fn arguments_of_templates_have_kinds() {
        assert_eq!(of_template("postgres://{database}/{schema}/{table}", "table").unwrap(), Kind::Table);
        assert_eq!(of_template("postgres://{database}/catalog{?cursor}", "cursor").unwrap(), Kind::Text);
        assert_eq!(of_template("postgres://{database}/queries/{name}", "name").unwrap(), Kind::Query);
        assert!(of_template("postgres://{database}/erd", "table").unwrap_err().message.contains("no argument"));
        assert!(of_template("postgres://{database}/catalog{?cursor}", "ursor").is_err());
        assert!(of_template("postgres://{db}/erd", "db").unwrap_err().message.contains("The templates are"));
    }
}
