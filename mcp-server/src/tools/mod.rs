//! What a tool is, what it is given, and how it fails. One file per tool; the registry is the list of them.

mod arguments;
mod definition;
mod registry;
pub mod run_sql;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sql_guard::{Guard, Rejection};
use tokio_util::sync::CancellationToken;

pub use definition::ToolDefinition;
pub use registry::Registry;

use crate::catalog::{Catalogs, LoadError};
use crate::config::LimitsConfig;
use crate::databases::Database;
use crate::executor::{Copies, ExecuteError, Executor};

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
    /// The database that is served.
    pub database: Arc<Database>,
    /// Its catalog.
    pub catalogs: Catalogs,
    /// What runs statements.
    pub executor: Executor,
    /// What judges them.
    pub guard: Guard,
    /// What a call may take.
    pub limits: LimitsConfig,
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
    /// Fires when nobody waits for the answer any more.
    pub cancel: CancellationToken,
    /// Most bytes of the whole message.
    pub page_bytes: usize,
    /// Whether a copy as text goes with the structured content.
    pub copies: Copies,
}

/// What a tool gives back.
#[derive(Debug)]
pub struct ToolOutput {
    /// The structured content as JSON text: it reaches the wire as it is.
    pub json: String,
    /// Rows in it, for metrics.
    pub rows: u64,
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
    /// No such database.
    #[error("there is no database {wanted:?}")]
    UnknownDatabase {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
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
    /// It was run, and failed.
    #[error("{error}")]
    Execute {
        /// Why.
        #[source]
        error: ExecuteError,
        /// The statement, to find the place that PostgreSQL names.
        sql: String,
        /// Columns of the tables that it reads, to find the closest names.
        columns: Vec<String>,
    },
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

impl ToolContext {
    /// The database that a call means.
    ///
    /// # Errors
    /// [`ToolError::UnknownDatabase`] where there is none of that name.
    pub fn database(&self, wanted: Option<&str>) -> Result<&Arc<Database>, ToolError> {
        match wanted {
            Some(wanted) if wanted != self.database.name() => Err(ToolError::UnknownDatabase {
                wanted: wanted.to_owned(),
                known: vec![self.database.name().to_owned()],
            }),
            _ => Ok(&self.database),
        }
    }
}
