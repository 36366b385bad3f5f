//! Why a run gave no rows, as situations that a caller can act on.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use crate::databases::{AcquireError, ConnectError};

/// Why a run gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Too many statements run already.
    #[error("all slots for running statements are taken")]
    Busy {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// There is no connection to run it on.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The connection was lost on the way.
    #[error("the connection to the database was lost")]
    Lost(#[source] sqlx::Error),
    /// The number of parameters is not the number of placeholders.
    #[error("the statement has {expected} parameter(s) and {given} value(s) were given")]
    ParameterCount {
        /// Placeholders in the statement.
        expected: usize,
        /// Values in the call.
        given: usize,
    },
    /// A value doesn't fit the type that PostgreSQL inferred.
    #[error("parameter ${number} must be {expected_type}: {problem}")]
    Parameter {
        /// Which, from 1.
        number: usize,
        /// The type's name.
        expected_type: String,
        /// What is wrong with the value, without showing it.
        problem: String,
        /// What would work.
        way_out: String,
    },
    /// PostgreSQL refused or failed.
    #[error("{}", .0.message)]
    Database(DatabaseFault),
    /// It took too long, and was cancelled.
    #[error("the statement was cancelled after {} ms", .limit.as_millis())]
    TimedOut {
        /// The time that it had.
        limit: Duration,
    },
    /// The caller cancelled, or went away.
    #[error("the statement was cancelled")]
    Cancelled,
    /// One row alone is over the page's byte cap.
    #[error("row {row} alone takes more than the {limit} bytes of a page")]
    RowTooLarge {
        /// Which row, from 1.
        row: u64,
        /// The page's cap.
        limit: usize,
    },
    /// A text value isn't UTF-8 (SQL_ASCII databases).
    #[error("column {column:?} holds text that is not valid UTF-8")]
    NotUtf8 {
        /// The column.
        column: String,
    },
    /// A column's type can't be read from this statement.
    #[error("column {column:?} has type {type_name}, which can't be read here")]
    Unreadable {
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// A parameter is of a type that can't be bound directly.
    #[error("a parameter is of a type that can't be bound directly")]
    UnknownParameterType,
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// What PostgreSQL said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFault {
    /// Its five-character code.
    pub sqlstate: String,
    /// Its message.
    pub message: String,
    /// Its hint.
    pub hint: Option<String>,
    /// The character of the statement at fault, from 1.
    pub position: Option<usize>,
}

impl ExecuteError {
    /// What sqlx reports, told apart: PostgreSQL's word, or a lost connection.
    pub(super) fn from_sqlx(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => Self::Database(DatabaseFault::from(error)),
                None => Self::Lost(sqlx::Error::Database(error)),
            },
            sqlx::Error::Decode(error) | sqlx::Error::Encode(error) => Self::Internal(anyhow::anyhow!(error)),
            error => Self::Lost(error),
        }
    }

    /// Whether the connection itself is gone.
    pub(super) fn is_connection_lost(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Database(fault) => fault.sqlstate.starts_with("08") || fault.sqlstate.starts_with("57P0"),
            _ => false,
        }
    }

    /// Whether the same statement may succeed at once: a serialisation failure or a deadlock, or a plan that DDL made stale.
    pub(super) fn is_worth_repeating(&self) -> bool {
        let Self::Database(fault) = self else { return false };
        matches!(fault.sqlstate.as_str(), "40001" | "40P01") || fault.is_stale_plan()
    }
}

impl DatabaseFault {
    /// "cached plan must not change result type": the prepared statement is older than the table.
    fn is_stale_plan(&self) -> bool {
        self.sqlstate == "0A000" && self.message.contains("cached plan")
    }
}

impl From<&PgDatabaseError> for DatabaseFault {
    fn from(error: &PgDatabaseError) -> Self {
        let position = match error.position() {
            Some(PgErrorPosition::Original(position)) => Some(position),
            _ => None,
        };
        Self {
            sqlstate: error.code().to_owned(),
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
            position,
        }
    }
}

impl From<ConnectError> for ExecuteError {
    fn from(error: ConnectError) -> Self {
        Self::Acquire(AcquireError::Connect(error))
    }
}
