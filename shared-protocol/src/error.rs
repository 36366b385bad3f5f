//! What a tool answers when it fails: one shape, one list of codes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why a tool call failed. The wire form is the name in capitals, e.g. `TABLE_NOT_FOUND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// No schema of that name that the caller may see.
    SchemaNotFound,
    /// No table, view or other relation of that name that the caller may see.
    TableNotFound,
    /// No column of that name that the caller may see.
    ColumnNotFound,
    /// No function of that name and number of arguments.
    FunctionNotFound,
    /// No database of that name on this server.
    DatabaseNotFound,
    /// PostgreSQL would not accept the text.
    InvalidSql,
    /// The statement would write, lock or change something.
    WriteOperationDenied,
    /// More than one statement in one text.
    MultipleStatements,
    /// Too long, too deep or too many tokens.
    QueryTooComplex,
    /// A function that is not on the allow list.
    FunctionDenied,
    /// Policy forbids it, and the caller may know that the object exists.
    AccessDenied,
    /// The planner expects the statement to cost more than policy allows.
    CostLimitExceeded,
    /// The statement ran out of time.
    QueryTimeout,
    /// The caller cancelled, or went away.
    QueryCancelled,
    /// One row alone is over the byte cap.
    ResultTooLarge,
    /// PostgreSQL failed while running the statement.
    ExecutionError,
    /// The database can't be reached, or refused us.
    ConnectionError,
    /// The database role lacks the right.
    PermissionDenied,
    /// A parameter is missing, superfluous or of the wrong type.
    ParameterError,
    /// No way along foreign keys from one table to the other.
    PathNotFound,
    /// This caller makes more calls a minute than allowed; try again after `context.retry_after_ms`.
    RateLimited,
    /// Too many calls are waiting; try again after `context.retry_after_ms`.
    ServerBusy,
    /// A fault of ours; the message carries an id that stands in the log.
    InternalError,
}

impl ErrorCode {
    /// The wire form, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SchemaNotFound => "SCHEMA_NOT_FOUND",
            Self::TableNotFound => "TABLE_NOT_FOUND",
            Self::ColumnNotFound => "COLUMN_NOT_FOUND",
            Self::FunctionNotFound => "FUNCTION_NOT_FOUND",
            Self::DatabaseNotFound => "DATABASE_NOT_FOUND",
            Self::InvalidSql => "INVALID_SQL",
            Self::WriteOperationDenied => "WRITE_OPERATION_DENIED",
            Self::MultipleStatements => "MULTIPLE_STATEMENTS",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::FunctionDenied => "FUNCTION_DENIED",
            Self::AccessDenied => "ACCESS_DENIED",
            Self::CostLimitExceeded => "COST_LIMIT_EXCEEDED",
            Self::QueryTimeout => "QUERY_TIMEOUT",
            Self::QueryCancelled => "QUERY_CANCELLED",
            Self::ResultTooLarge => "RESULT_TOO_LARGE",
            Self::ExecutionError => "EXECUTION_ERROR",
            Self::ConnectionError => "CONNECTION_ERROR",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ParameterError => "PARAMETER_ERROR",
            Self::PathNotFound => "PATH_NOT_FOUND",
            Self::RateLimited => "RATE_LIMITED",
            Self::ServerBusy => "SERVER_BUSY",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The structured content of a result with `isError: true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFailure {
    /// What went wrong.
    pub error: ErrorDetail,
    /// The tool that was called.
    pub tool_name: String,
    /// The arguments as they came, long SQL cut.
    pub input_received: Map<String, Value>,
}

/// What went wrong, in words for a person and in fields for a program. Every tool's schema holds its schema, so that one is short:
/// codes are texts in it, and facts an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct ErrorDetail {
    /// The situation, for programs.
    #[schemars(with = "String")]
    pub code: ErrorCode,
    /// The situation, for people. Never holds a secret or a cell value.
    pub message: String,
    /// What would work instead.
    pub suggestion: Option<String>,
    /// Facts about the failure.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub context: Option<ErrorContext>,
}

/// Facts about a failure; only those that are known are sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorContext {
    /// PostgreSQL's five-character error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// Where in the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// PostgreSQL's own hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What was refused, as it stood in the statement (a function, a keyword, a name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The closest schemas that the caller may see, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub similar_schemas: Vec<String>,
    /// The closest relations that the caller may see, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub similar_tables: Vec<String>,
    /// The closest columns that the caller may see, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub similar_columns: Vec<String>,
    /// Number of the parameter at fault, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<usize>,
    /// The type that PostgreSQL expects there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_type: Option<String>,
    /// Number of joins of the shortest path, where it is longer than what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_depth: Option<usize>,
    /// Milliseconds after which it is worth trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A place in a statement, both numbers from 1 and counted in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Line of the statement.
    pub line: u32,
    /// Character within the line.
    pub column: u32,
}

impl Position {
    /// The place of byte `offset` in `text`; an offset past the end, or inside a character, is the nearest place before it.
    pub fn of_byte(text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::after(&text[..end])
    }

    /// The place of the `number`th character of `text`, from 1, as PostgreSQL reports it.
    pub fn of_char(text: &str, number: usize) -> Self {
        let end = text.char_indices().nth(number.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
        Self::after(&text[..end])
    }

    fn after(head: &str) -> Self {
        let line = head.matches('\n').count() + 1;
        let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line: line.try_into().unwrap_or(u32::MAX), column: column.try_into().unwrap_or(u32::MAX) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let check = |text: &str, offset: usize, line: u32, column: u32| {
            assert_eq!(Position::of_byte(text, offset), Position { line, column }, "byte {offset} of {text:?}");
        };
        check("SELECT x", 7, 1, 8);
        check("SELECT\n  é, y", 13, 2, 6);
        check("SELECT\n  é, y", 10, 2, 3);
        check("a", 99, 1, 2);
        assert_eq!(Position::of_char("SELECT\n  é, y", 13), Position { line: 2, column: 6 });
    }

    #[test]
    fn codes_have_one_wire_form() {
        for code in [
            ErrorCode::TableNotFound,
            ErrorCode::InvalidSql,
            ErrorCode::CostLimitExceeded,
            ErrorCode::PathNotFound,
            ErrorCode::RateLimited,
            ErrorCode::ServerBusy,
            ErrorCode::DatabaseNotFound,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
