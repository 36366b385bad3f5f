//! Why a run gave no rows, as situations that a caller can act on.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::{MemoryFull, OverLimit};
use crate::databases::{AcquireError, ConnectError};

/// Why a run gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Too many statements run or wait already.
    #[error("all slots for running statements are taken")]
    Busy {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Results that nobody has read yet take all the memory that there is for them.
    #[error(transparent)]
    MemoryFull(#[from] MemoryFull),
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
    /// The planner expects it to cost more than the policy allows, so it wasn't run.
    #[error("{}", .0.message())]
    OverLimit(Box<OverLimit>),
    /// The plan that limits on cost want to see is too long to look through.
    #[error("the planner's plan of this statement is too long to be looked through")]
    PlanTooLarge,
    /// One row alone is over the page's byte cap.
    #[error("row {row} alone takes more than the {limit} bytes of a page")]
    RowTooLarge {
        /// Which row, from 1.
        row: u64,
        /// The page's cap.
        limit: usize,
    },
    /// The result has other columns than the statement was judged to have: a table has changed meanwhile.
    #[error("a table has changed since its columns were read")]
    StaleCatalog,
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
    /// A statement without columns, or with too many, has no second page.
    #[error("this statement's rows can't be read page by page")]
    NoPages,
    /// A parameter is of a type that can't be bound directly.
    #[error("a parameter is of a type that can't be bound directly")]
    UnknownParameterType,
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// PostgreSQL's code for a right that is missing. Its message names the object without quotes.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The class of codes that PL/pgSQL's RAISE and ASSERT have where they give none of their own.
const RAISED: &str = "P0";

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
    /// Whether it was raised within a function, which may say anything, under any code.
    pub is_of_code: bool,
    /// Whether a parameter was at fault, and nothing of the database's own.
    pub is_of_parameter: bool,
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
            error @ sqlx::Error::ColumnDecode { .. } => Self::Internal(error.into()),
            error => Self::Lost(error),
        }
    }

    /// The same without a number that the planner expects.
    pub(super) fn without_estimate(self) -> Self {
        match self {
            Self::OverLimit(over) => Self::OverLimit(Box::new(OverLimit { estimate: None, ..*over })),
            other => other,
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

    /// Whether the same statement may succeed at once, prepared anew: a serialisation failure or a deadlock, a plan that DDL made
    /// stale, what the driver remembers of a table as it was, or a prepared statement that a user's function threw away.
    pub(super) fn is_worth_repeating(&self) -> bool {
        if matches!(self, Self::StaleCatalog) {
            return true;
        }
        let Self::Database(fault) = self else { return false };
        matches!(fault.sqlstate.as_str(), "40001" | "40P01" | "26000") || fault.is_stale_plan()
    }
}

impl DatabaseFault {
    /// The same without what a policy may hide. Where PostgreSQL tells the place in the statement, it speaks of the statement's own
    /// text: what stands in quotes or parentheses stays where it stands in the statement. Anything else may speak of values that it
    /// met, under any code: nothing stays from the first quote or parenthesis on, and no number. Which object a right is missing on
    /// isn't told, nor anything of what a function of the database's own says. What is wrong with a parameter speaks of the caller's own
    /// value.
    pub fn without_values(&self, sql: &str) -> Self {
        let message = match self.sqlstate.as_str() {
            INSUFFICIENT_PRIVILEGE => "permission denied".to_owned(),
            _ if self.is_of_parameter => self.message.clone(),
            state if self.is_of_code || state.starts_with(RAISED) => "a function of the database failed".to_owned(),
            _ if self.position.is_some() => redact(&self.message, sql),
            _ => without_numbers(&without_what_is_quoted(&self.message)),
        };
        Self { message, hint: None, ..self.clone() }
    }

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
            // PostgreSQL tells of the functions that it was in. Of bad JSON it tells the line, too.
            is_of_code: error.r#where().is_some_and(|place| !is_parameter(place))
                && !error.routine().is_some_and(|routine| routine.starts_with("json_")),
            is_of_parameter: error.r#where().is_some_and(is_parameter),
        }
    }
}

impl From<ConnectError> for ExecuteError {
    fn from(error: ConnectError) -> Self {
        Self::Acquire(AcquireError::Connect(error))
    }
}

/// Whether what PostgreSQL says of an error's place is that it was reading a parameter, and in no function.
fn is_parameter(place: &str) -> bool {
    let rest = place.strip_prefix("unnamed portal parameter $");
    rest.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `message` up to the first place where a value could stand. Values may have quotes of their own, so nothing after it is sure.
fn without_what_is_quoted(message: &str) -> String {
    match message.find(['"', '\'', '(']) {
        Some(at) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

/// `message` with each word that has a digit in it replaced.
fn without_numbers(message: &str) -> String {
    let is_of_word = |one: char| one.is_alphanumeric() || one == '_';
    let mut shown = String::new();
    for run in message.split_inclusive(|one| !is_of_word(one)) {
        let end = run.trim_end_matches(|one| !is_of_word(one)).len();
        let (word, rest) = run.split_at(end);
        shown.push_str(if word.contains(char::is_numeric) { "…" } else { word });
        shown.push_str(rest);
    }
    shown
}

/// `message` with each quoted text that isn't the statement's own replaced. After an empty one nothing is sure: a value may have begun
/// with a quote.
fn redact(message: &str, sql: &str) -> String {
    let mut shown = String::new();
    let mut rest = message;
    while let Some(start) = rest.find(['"', '\'', '(']) {
        let open = rest[start..].chars().next().expect("found just now");
        let close = if open == '(' { ')' } else { open };
        let inside = &rest[start + 1..];
        // What isn't closed goes on to the end.
        let end = inside.find(close).unwrap_or(inside.len());
        let quoted = &inside[..end];
        shown.push_str(&rest[..=start]);
        if quoted.is_empty() {
            shown.push('…');
            return shown;
        }
        // PostgreSQL writes a column with its table, whether or not the statement does.
        let is_own = sql.contains(quoted) || quoted.split('.').all(|part| !part.is_empty() && sql.contains(part));
        shown.push_str(if is_own { quoted } else { "…" });
        if end < inside.len() {
            shown.push(close);
        }
        rest = inside.get(end + 1..).unwrap_or_default();
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_can_not_read_is_no_lost_connection() {
        let source = "recursion limit exceeded";
        let unreadable = sqlx::Error::ColumnDecode { index: "0".to_owned(), source: source.into() };
        for error in [unreadable, sqlx::Error::Decode(source.into())] {
            let error = ExecuteError::from_sqlx(error);
            assert!(matches!(error, ExecuteError::Internal(_)) && !error.is_connection_lost(), "{error:?}");
        }
        assert!(ExecuteError::from_sqlx(sqlx::Error::WorkerCrashed).is_connection_lost());
    }

    #[test]
    fn values_that_the_statement_does_not_have_are_taken_out_of_messages() {
        let check = |message: &str, shown: &str| assert_eq!(redact(message, "SELECT a::int FROM t"), shown);
        check("invalid input syntax for type integer: \"SSN-1\"", "invalid input syntax for type integer: \"…\"");
        check("column \"a\" does not exist", "column \"a\" does not exist");
        check("Key (ssn)=(1) already exists, 'x", "Key (…)=(…) already exists, '…");
        check("division by zero", "division by zero");
        check("syntax error in tsquery: \"\"note of a\"", "syntax error in tsquery: \"…");
        let told = |sqlstate: &str, message: &str, is_of_code: bool, position: Option<usize>| {
            let (sqlstate, message) = (sqlstate.to_owned(), message.to_owned());
            let fault = DatabaseFault { sqlstate, message, hint: None, position, is_of_code, is_of_parameter: false };
            fault.without_values("SELECT 1, 'note'").message
        };
        let fault = |sqlstate: &str, message: &str, is_of_code: bool| told(sqlstate, message, is_of_code, None);
        assert_eq!(fault("42501", "permission denied for table vault", false), "permission denied");
        assert_eq!(fault("P0001", "hidden is 7", false), "a function of the database failed");
        assert_eq!(fault("22012", "hidden is 7", true), "a function of the database failed");
        assert_eq!(fault("22012", "division by zero", false), "division by zero");
        // Under which code a value is met says nothing.
        assert_eq!(fault("42601", "syntax error in tsquery: \"\"note secret\"", false), "syntax error in tsquery: …");
        assert_eq!(fault("42601", "unknown token note", false), "unknown token note");
        assert_eq!(fault("22008", "date out of range: 987654321-01-01", false), "date out of range: …-…-…");
        assert_eq!(
            fault("54000", "requested character too large for encoding: 1", false),
            "requested character too large for encoding: …"
        );
        assert_eq!(fault("22003", "value x1f is out of range", false), "value … is out of range");
        // What the caller wrote is told to them.
        let literal = "malformed array literal: \"note\"";
        assert_eq!(fault("22P02", literal, false), "malformed array literal: …");
        assert_eq!(told("22P02", literal, false, Some(11)), literal);
        assert_eq!(
            told("42883", "function int4of(text) does not exist", false, Some(8)),
            "function int4of(…) does not exist"
        );
    }
}
