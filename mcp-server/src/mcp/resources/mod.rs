//! Resources: a database's schema as text, as a diagram and for machines, each of its tables, and saved queries. What the caller may
//! not see is not there.

mod address;

use rmcp::ErrorData;
use rmcp::model::{
    ErrorCode as FaultCode, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};
use serde_json::json;
use shared_protocol::catalog::Table;
use shared_protocol::endpoint::DEFAULT_PAGE_BYTES;
use shared_protocol::envelope::fault;
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean, shortened};

use self::address::{Address, Part};
use super::error;
use crate::caller::Caller;
use crate::catalog::{Visible, ddl, erd, page};
use crate::digest::digest;
use crate::executor::Held;
use crate::queries::SavedQuery;
use crate::tools::{Call, Listing, ToolContext, ToolError, View, described};

const JSON: &str = "application/json";
const SQL: &str = "application/sql";
const MERMAID: &str = "text/vnd.mermaid";

/// Bytes of a message that are not the resource's: the envelope and the URI.
const ENVELOPE_BYTES: usize = 1024;

/// Most resources of one page.
const PAGE: usize = 100;

/// Longest description of a resource in a list, in characters.
const DESCRIPTION_CHARS: usize = 200;

/// One page of the resources that the caller may read: of each database the whole, its saved queries, and its tables. Those of a
/// database whose catalog isn't there yet come when it is.
///
/// # Errors
/// Where the cursor leads nowhere.
pub(super) async fn list(
    context: &ToolContext,
    caller: &Caller,
    cursor: Option<&str>,
) -> Result<ListResourcesResult, ErrorData> {
    let mut resources = Vec::new();
    for database in context.databases.all() {
        let name = database.name();
        resources.extend(of_database(name));
        let catalog = context.catalogs.of(&database);
        let Some(snapshot) = catalog.held() else { continue };
        let view = context.view_of(&catalog, &snapshot, caller).await.map_err(|busy| error::fault(&busy))?;
        for query in allowed_queries(context, &view).await.map_err(|busy| error::fault(&busy))? {
            resources.push(of_query(name, query));
        }
        resources.extend(view.visible.tables().iter().map(|table| of_table(name, table)));
    }
    let uris: String = resources.iter().map(|resource| resource.uri.as_str()).collect::<Vec<_>>().join("\n");
    let listing = Listing::new("resources/list", &digest(uris), &());
    let start = listing.start(cursor).map_err(|error| error::invalid(&error))?;
    let total = resources.len();
    let end = total.min(start.saturating_add(PAGE));
    let mut result = ListResourcesResult::with_all_items(resources.drain(start.min(end)..end).collect());
    result.next_cursor = listing.next(end, total);
    Ok(result)
}

/// The forms of their URIs.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = |uri: &str, name: &str, description: &str, kind: &str| {
        ResourceTemplate::new(uri, name).with_description(description).with_mime_type(kind)
    };
    vec![
        template("postgres://{database}/schema", "schema", "The whole schema as compact, DDL-like text", SQL),
        template("postgres://{database}/{schema}/{table}", "table", "One table, as describe_table tells of it", JSON),
        template("postgres://{database}/erd", "erd", "The tables and their keys as a Mermaid diagram", MERMAID),
        template("postgres://{database}/catalog{?cursor}", "catalog", "The whole catalog for machines, in pages", JSON),
        template(
            "postgres://{database}/queries/{name}",
            "query",
            "A saved query; run it with execute_query, its parameters in params",
            SQL,
        ),
    ]
}

/// The resource at `uri`; `held` keeps what it has of the memory for results.
///
/// # Errors
/// Where nothing that the caller may read is there, or it can't be read now.
pub(super) async fn read(
    context: &ToolContext,
    uri: &str,
    call: &Call,
    held: &Held,
) -> Result<ReadResourceResult, ErrorData> {
    let Address { database, part } = Address::parse(uri).ok_or_else(|| no_address(context, uri))?;
    let read = async {
        let (text, kind) = text_of(context, &database, part, call).await?;
        let reserved = call.within(context.limits.statement_timeout, context.executor.memory().reserve(text.len()));
        held.keep(reserved.await??);
        Ok((text, kind))
    };
    let (text, kind) = read.await.map_err(|failure| fault_of(uri, failure))?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(kind)]))
}

/// A resource as it is: what changes when its text does, as far as that is known without asking PostgreSQL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The view that this was seen in.
    view: Option<u64>,
    /// Nothing where there is none that the caller may read.
    digest: Option<String>,
}

impl State {
    /// Whether nothing is there.
    pub(super) fn is_gone(&self) -> bool {
        self.digest.is_none()
    }

    /// Whether the resource is the same, in whichever view.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// How the resource at `uri` is now, where it was `before`.
///
/// # Errors
/// Where the guard is too busy to tell.
pub(super) async fn state(
    context: &ToolContext,
    uri: &str,
    caller: &Caller,
    before: Option<&State>,
) -> Result<State, ErrorData> {
    let found =
        Address::parse(uri).and_then(|address| Some((context.catalog(Some(&address.database)).ok()?, address.part)));
    let Some((catalog, part)) = found else { return Ok(State::default()) };
    let Some(snapshot) = catalog.held() else { return Ok(State::default()) };
    let view = context.view_of(&catalog, &snapshot, caller).await.map_err(|busy| error::fault(&busy))?;
    let seen = Some(view.visible.serial());
    if let Some(before) = before.filter(|before| before.view == seen) {
        return Ok(before.clone());
    }
    let digest = match part {
        Part::Catalog { .. } => Some(view.visible.fingerprint().to_owned()),
        Part::Schema | Part::Erd => Some(view.visible.structure().to_owned()),
        Part::Table { schema, table } => view.visible.table(&schema, &table).map(|table| {
            let mut table = table.clone();
            // It doesn't show them.
            table.columns.iter_mut().for_each(|column| column.sample_values = None);
            digest(serde_json::to_vec(&table).expect("a catalog is plain data"))
        }),
        Part::Query { name } => {
            let queries = allowed_queries(context, &view).await.map_err(|busy| error::fault(&busy))?;
            queries.into_iter().find(|query| query.name == name).map(|query| digest(&query.sql))
        }
    };
    Ok(State { view: seen, digest })
}

/// Why a resource isn't given.
enum Failure {
    Tool(ToolError),
    /// Nothing of that kind has that name; there is this.
    Missing(String),
    Cursor(String),
}

impl<E: Into<ToolError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Tool(error.into())
    }
}

async fn text_of(
    context: &ToolContext,
    database: &str,
    part: Part,
    call: &Call,
) -> Result<(String, &'static str), Failure> {
    let bytes = DEFAULT_PAGE_BYTES - ENVELOPE_BYTES;
    let view = async || context.find(Some(database), call, |_| Ok(())).await.map(|(view, ())| view);
    match part {
        Part::Table { schema, table } => {
            let find = |view: &View| view.table(Some(&schema), &table);
            let (view, table) = context.find(Some(database), call, find).await?;
            let text = serde_json::to_string(&described(&view, table).await).expect("outputs are plain data");
            match text.len() > bytes {
                true => Err(ToolError::TooLarge { bytes: text.len(), most: bytes }.into()),
                false => Ok((text, JSON)),
            }
        }
        Part::Query { name } => {
            let view = view().await?;
            let queries = allowed_queries(context, &view).await?;
            match queries.iter().find(|query| query.name == name) {
                Some(query) => Ok((query.sql.clone(), SQL)),
                None => {
                    let near = closest(&name, queries.iter().map(|query| query.name.as_str()), 3);
                    let list = || "resources/list names those that there are.".to_owned();
                    let message = format!("There is no saved query {:?}. ", shortened(&name));
                    Err(Failure::Missing(message + &did_you_mean(&near).unwrap_or_else(list)))
                }
            }
        }
        Part::Catalog { cursor } => {
            let text = written(view().await?, move |visible| page(visible, cursor.as_deref(), bytes)).await;
            text.map(|text| (text, JSON)).map_err(|error| Failure::Cursor(error.to_string()))
        }
        Part::Schema => Ok((written(view().await?, move |visible| ddl::ddl(visible, bytes)).await, SQL)),
        Part::Erd => Ok((written(view().await?, move |visible| diagram(visible, bytes)).await, MERMAID)),
    }
}

/// What `write` makes of a whole view: of a large one that takes a while, so no thread that answers calls does it.
async fn written<T: Send + 'static>(view: View, write: impl FnOnce(&Visible) -> T + Send + 'static) -> T {
    let writing = tokio::task::spawn_blocking(move || write(&view.visible));
    writing.await.expect("writing a catalog doesn't panic")
}

fn diagram(visible: &Visible, bytes: usize) -> String {
    erd::erd(visible.tables(), |table| visible.is_on_path(table), bytes)
}

/// The saved queries of a database that the guard lets the caller run, and that speak of nothing hidden in their comments either.
///
/// # Errors
/// Where the guard is too busy to tell.
async fn allowed_queries<'a>(context: &'a ToolContext, view: &View) -> Result<Vec<&'a SavedQuery>, ToolError> {
    let name = view.database.name();
    let access = view.visible.access();
    let is_default = name == context.databases.default().name();
    let mut allowed = Vec::new();
    for query in context.queries.of(name, is_default).filter(|query| !access.comment_names_hidden(&query.sql)) {
        match context.guard.check(&query.sql, access).await {
            Ok(_) => allowed.push(query),
            Err(busy) if matches!(busy.code, ErrorCode::ServerBusy | ErrorCode::InternalError) => {
                return Err(busy.into());
            }
            Err(_) => {}
        }
    }
    Ok(allowed)
}

fn of_database(database: &str) -> [Resource; 3] {
    let resource = |part: Part, name: &str, description: &str, kind: &str| {
        let uri = Address { database: database.to_owned(), part }.uri();
        Resource::new(uri, format!("{name} of {database}")).with_description(description).with_mime_type(kind)
    };
    [
        resource(Part::Schema, "Schema", "Types, tables, keys and comments as compact, DDL-like text", SQL),
        resource(Part::Erd, "Diagram", "Tables and their keys as a Mermaid erDiagram", MERMAID),
        resource(
            Part::Catalog { cursor: None },
            "Catalog",
            "Tables, columns, keys, comments, labels and sample values, as JSON in pages",
            JSON,
        ),
    ]
}

fn of_query(database: &str, query: &SavedQuery) -> Resource {
    let part = Part::Query { name: query.name.clone() };
    let uri = Address { database: database.to_owned(), part }.uri();
    let resource = Resource::new(uri, query.name.clone()).with_mime_type(SQL);
    match &query.description {
        Some(description) => resource.with_description(cut(description)),
        None => resource,
    }
}

fn of_table(database: &str, table: &Table) -> Resource {
    let part = Part::Table { schema: table.schema_name.clone(), table: table.table_name.clone() };
    let uri = Address { database: database.to_owned(), part }.uri();
    let name = format!("{}.{}", table.schema_name, table.table_name);
    let resource = Resource::new(uri, name).with_mime_type(JSON);
    match &table.description {
        Some(description) => resource.with_description(cut(description)),
        None => resource,
    }
}

fn cut(description: &str) -> String {
    description.chars().take(DESCRIPTION_CHARS).collect()
}

fn fault_of(uri: &str, failure: Failure) -> ErrorData {
    let not_found = |message: String| {
        ErrorData::new(FaultCode(fault::RESOURCE_NOT_FOUND), message, Some(json!({ "uri": shortened(uri) })))
    };
    match failure {
        Failure::Missing(message) => not_found(message),
        Failure::Cursor(message) => ErrorData::invalid_params(message, None),
        Failure::Tool(failure @ (ToolError::UnknownDatabase { .. } | ToolError::NotFound(_))) => {
            not_found(error::sentences(&failure))
        }
        Failure::Tool(failure) => error::fault(&failure),
    }
}

/// What is told of a resource that isn't there for the caller.
pub(super) fn not_there(context: &ToolContext, uri: &str) -> ErrorData {
    match Address::parse(uri) {
        None => no_address(context, uri),
        Some(_) => fault_of(uri, Failure::Missing(format!("There is no resource {:?}.", shortened(uri)))),
    }
}

/// The names of the saved queries that the caller may run.
///
/// # Errors
/// Where the guard is too busy to tell.
pub(super) async fn query_names(context: &ToolContext, view: &View) -> Result<Vec<String>, ToolError> {
    Ok(allowed_queries(context, view).await?.into_iter().map(|query| query.name.clone()).collect())
}

/// The database that a URI names.
pub(super) fn database_of(uri: &str) -> Option<String> {
    Address::parse(uri).map(|address| address.database)
}

fn no_address(context: &ToolContext, uri: &str) -> ErrorData {
    let database = context.databases.default().name().to_owned();
    let example = Address { database, part: Part::Schema }.uri();
    fault_of(
        uri,
        Failure::Missing(format!(
            "There is no resource {:?}. There is {example}, and resources/templates/list has the forms of all.",
            shortened(uri)
        )),
    )
}
