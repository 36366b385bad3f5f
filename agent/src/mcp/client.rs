//! Typed calls to mcp-server: which databases there are, the catalog of one, and running a statement.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared_protocol::catalog::CatalogPage;
use shared_protocol::endpoint::{catalog_uri, meta};
use shared_protocol::envelope::{ErrorObjectOwned, ResourceRead, ResourceResult, ToolCall, ToolResult, fault, method};
use shared_protocol::error::{ErrorDetail, ToolFailure};
use shared_protocol::tool::run_sql::{self, RunSqlInput, RunSqlOutput};
use tokio::time::Instant;

use super::behalf::{Behalf, SHARED};
use super::link::{ConnectError, Link, LinkError, State};
use super::transport::TransportError;
use crate::config::LinkConfig;

/// What the server keeps back of a call's time, so that its own timeout comes first and can be told.
const RESERVE: Duration = Duration::from_secs(6);

/// Least time that a statement is given.
const MIN_STATEMENT_TIME: Duration = Duration::from_secs(1);

/// Most pages of one listing or catalog; a server that never ends one is not followed for ever.
const MAX_PAGES: usize = 1000;

/// The tools that the agent can't do without.
const REQUIRED_TOOLS: [&str; 1] = [run_sql::NAME];

/// mcp-server, as the agent uses it; clones share one link.
#[derive(Debug, Clone)]
pub struct Client {
    link: Link,
    call_timeout: Duration,
    max_result_bytes: usize,
    require_subject: bool,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The link failed.
    #[error(transparent)]
    Link(LinkError),
    /// The callers of the agent must be told apart, and the server doesn't let them.
    #[error("{SHARED}, and REQUIRE_SUBJECT is true")]
    SubjectRequired,
    /// The server was asked, and says why not.
    #[error("{}", .0.message)]
    Failed(Box<ErrorDetail>),
    /// There is no such database, or catalog.
    #[error("mcp-server has no catalog of that database")]
    UnknownDatabase,
    /// The catalog changed while its pages were read.
    #[error("the catalog changed while it was read")]
    CatalogChanged,
    /// The answer was not of the form that it must have.
    #[error("mcp-server answered in an unexpected form")]
    Malformed(#[source] anyhow::Error),
}

/// How the link stands, for `/ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    /// Calls go through.
    Up,
    /// Not connected; it is tried again and again.
    Down,
    /// The server doesn't take our key.
    KeyRefused,
    /// Connected, but tools are missing.
    ToolsMissing(Vec<String>),
}

impl Client {
    /// A client over `link`.
    pub fn new(link: Link, config: &LinkConfig) -> Self {
        Self {
            link,
            call_timeout: config.call_timeout,
            max_result_bytes: config.max_result_bytes,
            require_subject: config.require_subject,
        }
    }

    /// The link under it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// How the link stands now.
    pub fn status(&self) -> LinkStatus {
        match self.link.state() {
            State::Connecting => LinkStatus::Down,
            State::Down(error) => match *error {
                ConnectError::Transport(TransportError::KeyRefused) => LinkStatus::KeyRefused,
                _ => LinkStatus::Down,
            },
            State::Up(connection) => {
                let tools = connection.tools();
                let missing = REQUIRED_TOOLS.iter().filter(|name| !tools.iter().any(|tool| tool == *name));
                let missing: Vec<String> = missing.map(ToString::to_string).collect();
                if missing.is_empty() { LinkStatus::Up } else { LinkStatus::ToolsMissing(missing) }
            }
        }
    }

    /// On whose behalf the calls for a question of this caller are to be made, as the server lets us.
    pub async fn behalf_of(&self, caller: Option<&Arc<str>>, deadline: Instant) -> Result<Behalf, Error> {
        let Some(name) = caller else { return Ok(Behalf::Nobody) };
        let connection = self.link.connection(deadline).await.map_err(Error::Link)?;
        match (connection.may_act_for(), self.require_subject) {
            (true, _) => Ok(Behalf::Subject(Arc::clone(name))),
            (false, true) => Err(Error::SubjectRequired),
            (false, false) => Ok(Behalf::Unsaid),
        }
    }

    /// Whether questions are refused where the server won't be told which caller asks.
    pub fn requires_subject(&self) -> bool {
        self.require_subject
    }

    /// Whether the key may act for others; unknown while there is no connection.
    pub fn may_act_for(&self) -> Option<bool> {
        match self.link.state() {
            State::Up(connection) => Some(connection.may_act_for()),
            State::Connecting | State::Down(_) => None,
        }
    }

    /// Our names of the databases that there are for this caller, in the server's order.
    pub async fn databases(&self, behalf: &Behalf) -> Result<Vec<String>, Error> {
        let deadline = Instant::now() + self.call_timeout;
        let mut names = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut params = json!({ "_meta": subject(behalf) });
            if let Some(cursor) = cursor {
                params["cursor"] = cursor.into();
            }
            let page: ResourcePage =
                self.link.call(method::RESOURCES_LIST, &params, behalf, deadline).await.map_err(from_link)?;
            names.extend(page.resources.iter().filter_map(|resource| database_of(&resource.uri)));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(names);
            }
        }
        Err(Error::Malformed(anyhow::anyhow!("the list of resources does not end")))
    }

    /// The whole catalog of one database as this caller may see it: all pages, in order, as one.
    pub async fn catalog(&self, database: &str, behalf: &Behalf) -> Result<CatalogPage, Error> {
        let deadline = Instant::now() + self.call_timeout;
        let mut catalog = self.catalog_page(database, None, behalf, deadline).await?;
        for _ in 0..MAX_PAGES {
            let Some(cursor) = catalog.next_cursor.take() else { return Ok(catalog) };
            let page = self.catalog_page(database, Some(&cursor), behalf, deadline).await?;
            if page.fingerprint != catalog.fingerprint {
                return Err(Error::CatalogChanged);
            }
            catalog.tables.extend(page.tables);
            catalog.functions.extend(page.functions);
            catalog.next_cursor = page.next_cursor;
        }
        Err(Error::Malformed(anyhow::anyhow!("the catalog does not end")))
    }

    async fn catalog_page(
        &self,
        database: &str,
        cursor: Option<&str>,
        behalf: &Behalf,
        deadline: Instant,
    ) -> Result<CatalogPage, Error> {
        let params = ResourceRead { uri: catalog_uri(database, cursor), meta: subject(behalf) };
        let result: ResourceResult =
            self.link.call(method::RESOURCES_READ, &params, behalf, deadline).await.map_err(from_link)?;
        let part = result.contents.first().ok_or_else(|| Error::Malformed(anyhow::anyhow!("an empty resource")))?;
        serde_json::from_str(&part.text).map_err(|error| Error::Malformed(error.into()))
    }

    /// Runs one statement for this caller. Takes at most the configured time of a call, and not past `deadline`; dropping
    /// the future cancels the statement in PostgreSQL.
    pub async fn run_sql(
        &self,
        database: &str,
        query: &str,
        params: &[Value],
        max_rows: u64,
        behalf: &Behalf,
        deadline: Instant,
    ) -> Result<RunSqlOutput, Error> {
        let deadline = deadline.min(Instant::now() + self.call_timeout);
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(RESERVE).max(MIN_STATEMENT_TIME);
        let mut meta = subject(behalf);
        meta.insert(meta::STRUCTURED_ONLY.to_owned(), true.into());
        meta.insert(meta::MAX_PAGE_BYTES.to_owned(), self.max_result_bytes.into());
        let call = ToolCall {
            name: run_sql::NAME.to_owned(),
            arguments: RunSqlInput {
                query: query.to_owned(),
                params: params.to_vec(),
                database: Some(database.to_owned()),
                max_rows,
                timeout_ms: u64::try_from(left.as_millis()).ok(),
                cursor: None,
            },
            meta,
        };
        let result: ToolResult =
            self.link.call(method::TOOLS_CALL, &call, behalf, deadline).await.map_err(from_link)?;
        let content = result.structured_content.ok_or_else(|| Error::Malformed(anyhow::anyhow!("no content")))?;
        if result.is_error {
            let failure: ToolFailure =
                serde_json::from_str(content.get()).map_err(|error| Error::Malformed(error.into()))?;
            return Err(Error::Failed(Box::new(failure.error)));
        }
        serde_json::from_str(content.get()).map_err(|error| Error::Malformed(error.into()))
    }
}

/// The `_meta` that names the caller, where there is one to name.
fn subject(behalf: &Behalf) -> Map<String, Value> {
    let named = behalf.subject().map(|name| (meta::SUBJECT.to_owned(), Value::from(&**name)));
    named.into_iter().collect()
}

/// A refused request may carry the same detail as a failed tool.
fn from_link(error: LinkError) -> Error {
    match error {
        LinkError::Refused(refusal) => match (detail_of(&refusal), refusal.code()) {
            (Some(detail), _) => Error::Failed(Box::new(detail)),
            (None, fault::RESOURCE_NOT_FOUND) => Error::UnknownDatabase,
            (None, _) => Error::Link(LinkError::Refused(refusal)),
        },
        other => Error::Link(other),
    }
}

fn detail_of(refusal: &ErrorObjectOwned) -> Option<ErrorDetail> {
    let data = refusal.data()?.get();
    serde_json::from_str::<ErrorDetail>(data).ok().or_else(|| {
        let failure: ToolFailure = serde_json::from_str(data).ok()?;
        Some(failure.error)
    })
}

/// `shop` of `postgres://shop/catalog`; nothing of any other resource.
fn database_of(uri: &str) -> Option<String> {
    let name = uri.strip_prefix("postgres://")?.strip_suffix("/catalog")?;
    (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourcePage {
    resources: Vec<Resource>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Resource {
    uri: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_those_with_a_catalog() {
        let check = |uri: &str, database: Option<&str>| assert_eq!(database_of(uri).as_deref(), database, "{uri}");
        check("postgres://shop/catalog", Some("shop"));
        check("postgres://shop/schema", None);
        check("postgres://shop/public/catalog", None);
        check("postgres:///catalog", None);
        check("file://shop/catalog", None);
    }
}
