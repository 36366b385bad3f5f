//! Resources: the catalog of a database, for machines.

use rmcp::ErrorData;
use rmcp::model::{ErrorCode, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;
use shared_protocol::endpoint::{DEFAULT_PAGE_BYTES, catalog_uri};
use shared_protocol::envelope::fault;
use shared_protocol::names::{closest, did_you_mean, shortened};

use super::error;
use crate::caller::Caller;
use crate::catalog::page;
use crate::executor::Held;
use crate::tools::{ToolContext, ToolError};

const JSON: &str = "application/json";

/// Bytes of a page that are not the catalog's: the envelope and the URI.
const ENVELOPE_BYTES: usize = 1024;

/// The resources there are.
pub(super) fn list(context: &ToolContext) -> Vec<Resource> {
    let resource = |name: &str| {
        Resource::new(catalog_uri(name, None), format!("Catalog of {name}"))
            .with_description("Tables, columns, keys, comments and enum labels, as JSON in pages")
            .with_mime_type(JSON)
    };
    context.databases.all().iter().map(|database| resource(database.name())).collect()
}

/// The form of their URIs.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new("postgres://{database}/catalog{?cursor}", "Catalog of a database")
        .with_description("Tables, columns, keys, comments and enum labels, as JSON in pages")
        .with_mime_type(JSON);
    vec![template]
}

/// The resource at `uri`; `held` keeps what it has of the memory for results.
pub(super) async fn read(
    context: &ToolContext,
    caller: &Caller,
    uri: &str,
    held: &Held,
) -> Result<ReadResourceResult, ErrorData> {
    let (database, cursor) = catalog_address(uri).ok_or_else(|| {
        not_found(
            uri,
            format!(
                "There is no resource {:?}. Read {}.",
                shortened(uri),
                catalog_uri(context.databases.default().name(), None)
            ),
        )
    })?;
    let fault = |failure: ToolError| error::fault_of(&error::detail(&failure));
    let visible = match context.view(Some(database), caller).await {
        Ok(view) => view.visible,
        Err(ToolError::UnknownDatabase { known, .. }) => {
            let near = closest(database, known.iter().map(String::as_str), 3);
            let question = did_you_mean(&near).unwrap_or_else(|| format!("There is {}.", known.join(", ")));
            return Err(not_found(uri, format!("There is no database {:?}. {question}", shortened(database))));
        }
        Err(failure) => return Err(fault(failure)),
    };
    let reservation = context.executor.memory().reserve(DEFAULT_PAGE_BYTES).await;
    held.keep(reservation.map_err(|full| fault(full.into()))?);
    let bytes = DEFAULT_PAGE_BYTES - ENVELOPE_BYTES;
    let text = page(&visible, cursor, bytes).map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(JSON)]))
}

/// `postgres://{database}/catalog{?cursor}` taken apart.
fn catalog_address(uri: &str) -> Option<(&str, Option<&str>)> {
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query.strip_prefix("cursor=")?)),
        None => (uri, None),
    };
    let database = path.strip_prefix("postgres://")?.strip_suffix("/catalog")?;
    (!database.is_empty()).then_some((database, query))
}

fn not_found(uri: &str, message: String) -> ErrorData {
    ErrorData::new(ErrorCode(fault::RESOURCE_NOT_FOUND), message, Some(json!({ "uri": shortened(uri) })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_uris_are_taken_apart() {
        let check =
            |uri: &str, address: Option<(&str, Option<&str>)>| assert_eq!(catalog_address(uri), address, "{uri}");
        check("postgres://shop/catalog", Some(("shop", None)));
        check("postgres://shop/catalog?cursor=ab-1", Some(("shop", Some("ab-1"))));
        check("postgres://shop/catalog?page=1", None);
        check("postgres:///catalog", None);
        check("postgres://shop/tables", None);
        check("file:///etc/passwd", None);
    }
}
