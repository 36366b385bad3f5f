//! What a tool is, what it is given, and how it fails. One file per tool; the registry is the list of them.

mod arguments;
mod databases;
mod definition;
mod describe_table;
mod disclosure;
mod execute_query;
mod explain_query;
mod find_join_path;
mod get_foreign_keys;
mod get_sample_rows;
mod list_databases;
mod list_schemas;
mod list_tables;
mod listing;
mod refresh_schema;
mod registry;
pub mod run_sql;
mod search_schema;
mod statement;
mod view;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use daemon::rate_limit::TooOften;
use serde_json::{Map, Value};
use sql_guard::{Guard, Rejection, RelationName};
use tokio_util::sync::CancellationToken;

pub use definition::ToolDefinition;
pub(crate) use describe_table::described;
pub(crate) use listing::Listing;
pub use registry::{Registered, Registry};
pub use view::{NotFound, View};

use crate::audit::CannotAudit;
use crate::caller::Caller;
use crate::catalog::{Catalogs, LoadError};
use crate::config::LimitsConfig;
use crate::databases::Databases;
use crate::executor::{Copies, CursorError, Cursors, ExecuteError, Executor, MemoryFull, Reservation};
use crate::policy::Policies;
use crate::queries::SavedQueries;

/// A tool: described once, called often.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Name, description and schemas, as clients are shown them.
    fn definition(&self) -> ToolDefinition;

    /// Runs the tool.
    ///
    /// # Errors
    /// [`ToolError`]; the edge turns it into a result with `isError: true`.
    async fn call(
        &self,
        context: &ToolContext,
        arguments: Map<String, Value>,
        call: &Call,
    ) -> Result<ToolOutput, ToolError>;
}

/// What every tool works with.
#[derive(Clone)]
pub struct ToolContext {
    /// The databases that are served.
    pub databases: Databases,
    /// Their catalogs.
    pub catalogs: Catalogs,
    /// What runs statements.
    pub executor: Executor,
    /// What tells where the next page of their rows begins.
    pub cursors: Cursors,
    /// What judges them.
    pub guard: Guard,
    /// What each caller may see and take.
    pub policies: Policies,
    /// What a call may take.
    pub limits: LimitsConfig,
    /// Queries that the operator saved.
    pub queries: SavedQueries,
}

/// A call that came to its end before its statement could run.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The time that it had is over.
    #[error("the statement was not begun within {} ms", .limit.as_millis())]
    TimedOut {
        /// The time that it had.
        limit: Duration,
    },
    /// The caller cancelled, or went away.
    #[error("the call was cancelled")]
    Cancelled,
}

/// What one call wants besides its arguments.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// Fires when nobody waits for the answer any more.
    pub cancel: CancellationToken,
    /// Most bytes of the whole message.
    pub page_bytes: usize,
    /// Whether a copy as text goes with the structured content.
    pub copies: Copies,
    /// The relations that its statement reads, once that is known; for the audit log.
    pub touched: Arc<OnceLock<Vec<RelationName>>>,
}

/// What a tool gives back.
#[derive(Debug)]
pub struct ToolOutput {
    /// The structured content as JSON text: it reaches the wire as it is.
    pub json: String,
    /// Rows in it, for metrics.
    pub rows: u64,
    /// What it has of the memory for results; to be kept until it has left.
    pub memory: Reservation,
}

/// Why a tool gave nothing back.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments aren't the tool's.
    #[error("{message}")]
    Arguments {
        /// What is wrong with them.
        message: String,
        /// What would be right.
        suggestion: Option<String>,
    },
    /// There is no place in the audit log for it.
    #[error(transparent)]
    NotAudited(#[from] CannotAudit),
    /// The caller makes too many calls.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// There is no room for its answer.
    #[error(transparent)]
    MemoryFull(#[from] MemoryFull),
    /// No such database.
    #[error("there is no database {wanted:?}")]
    UnknownDatabase {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A schema, table or path that isn't there.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// The answer has no room in a message.
    #[error("the answer takes {bytes} bytes, and a message has room for {most}")]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// What there is room for.
        most: usize,
    },
    /// The key may not act for others, and the call says that it does.
    #[error("the key {key} may not act for others")]
    SubjectRefused {
        /// Name of the key.
        key: String,
    },
    /// The guard refused the statement.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There is no catalog to judge it by.
    #[error(transparent)]
    Catalog(#[from] LoadError),
    /// It had no verdict in time, or its caller went away.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Policy forbids it.
    #[error("{message}")]
    Denied {
        /// What it forbids.
        message: String,
        /// What would be allowed.
        suggestion: String,
    },
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
    /// A cursor leads nowhere.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// It was run, and failed.
    #[error(transparent)]
    Execute(Box<Failed>),
}

/// A statement that was run, and failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// Why.
    #[source]
    pub error: ExecuteError,
    /// The statement, to find the place that PostgreSQL names.
    pub sql: String,
    /// Columns of the tables that it reads, to find the closest names.
    pub columns: Vec<String>,
    /// Whether policy hides anything from the caller.
    pub is_restricted: bool,
    /// The argument that asks for more time, while there is room.
    pub more_time: Option<&'static str>,
}

impl Call {
    /// `work`, unless it takes longer than `limit` or nobody waits for it any more. For what comes before a statement runs.
    ///
    /// # Errors
    /// [`Stopped`] says which.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            output = work => Ok(output),
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
            () = tokio::time::sleep(limit) => Err(Stopped::TimedOut { limit }),
        }
    }
}
