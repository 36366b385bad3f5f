//! The one mapping from failures to what callers read: code, message, suggestion, context. Nothing internal gets past here.

use std::borrow::Cow;

use daemon::log::Chain;
use rmcp::ErrorData;
use rmcp::model::{ClientRequest, ErrorCode as FaultCode, RequestId, ServerJsonRpcMessage, ServerResult};
use serde_json::{Map, Value};
use shared_protocol::error::{ErrorCode, ErrorContext, ErrorDetail, Position, ToolFailure};
use shared_protocol::names::{closest, did_you_mean, shortened};
use sql_guard::Rejection;
use tracing::error;

use crate::catalog::LoadError;
use crate::databases::{AcquireError, ConnectError};
use crate::executor::{Copies, DatabaseFault, ExecuteError, MemoryFull};
use crate::tools::{Failed, NotFound, Stopped, ToolError};

/// JSON-RPC code for a server that can't take a request now (the range -32000 to -32099 is the server's own).
const UNAVAILABLE: i32 = -32000;

/// Milliseconds after which a connection or a log that had no room may have some.
const BUSY_RETRY_MS: u64 = 1000;

/// Longest text of a caller's that is sent back to them, in characters.
const ECHO_CHARS: usize = 400;

/// Most characters of a call's arguments that are sent back, all together.
const ECHO_TOTAL_CHARS: usize = 4000;

/// PostgreSQL's code for a column that isn't there.
const UNDEFINED_COLUMN: &str = "42703";

/// How many columns a message lists.
const MAX_LISTED: usize = 30;

/// The structured content of a failed call.
pub fn failure(tool: &str, arguments: Map<String, Value>, error: &ToolError) -> ToolFailure {
    ToolFailure { error: detail(error), tool_name: tool.to_owned(), input_received: cut(arguments) }
}

/// What a failure is called and what would work instead. An internal one is logged here, under the id in its message.
pub fn detail(error: &ToolError) -> ErrorDetail {
    match error {
        ToolError::Arguments { message, suggestion } => {
            say(ErrorCode::ParameterError, message).suggest_if(suggestion.clone()).0
        }
        ToolError::NotAudited(_) => busy(error, BUSY_RETRY_MS),
        ToolError::MemoryFull(full) => memory_full(full),
        ToolError::TooOften(too_often) => {
            // Rounded up: a call that comes just too early would be refused once more.
            let retry_after_ms = too_often.retry_after.as_millis() + 1;
            let detail = busy(error, retry_after_ms.try_into().unwrap_or(u64::MAX));
            ErrorDetail { code: ErrorCode::RateLimited, ..detail }
        }
        ToolError::UnknownDatabase { wanted, known } => unknown_database(wanted, known),
        ToolError::NotFound(missing) => not_found(missing),
        ToolError::TooLarge { .. } => {
            say(ErrorCode::ResultTooLarge, error).suggest("Ask for less: leave out indexes and constraints.").0
        }
        ToolError::SubjectRefused { .. } => {
            say(ErrorCode::AccessDenied, error)
                .suggest(
                    "Leave pgmcp/subject out of _meta, or have may_act_for = true set for the key in the policy file.",
                )
                .0
        }
        ToolError::Rejected(rejection) => rejected(rejection),
        ToolError::Catalog(error) => catalog(error),
        ToolError::Stopped(stopped @ Stopped::TimedOut { .. }) => {
            say(ErrorCode::QueryTimeout, stopped).suggest("Try again in a few seconds.").0
        }
        ToolError::Denied { message, suggestion } => {
            say(ErrorCode::AccessDenied, message).suggest(suggestion.clone()).0
        }
        ToolError::Internal(cause) => internal(&anyhow::anyhow!("{cause}")),
        ToolError::Cursor(error) => say(ErrorCode::ParameterError, error).suggest("Start again without a cursor.").0,
        ToolError::Stopped(Stopped::Cancelled) => say(ErrorCode::QueryCancelled, error).0,
        ToolError::Execute(failed) => executed(failed),
    }
}

/// What a failure is and what would work instead, in a sentence or two.
pub fn sentences(error: &ToolError) -> String {
    let ErrorDetail { message, suggestion, .. } = detail(error);
    [Some(message), suggestion].into_iter().flatten().collect::<Vec<_>>().join(". ")
}

/// A failure as a JSON-RPC error, where there is no tool result to carry it.
pub fn fault(error: &ToolError) -> ErrorData {
    fault_of(&detail(error))
}

/// The same where the request's own parameters are at fault.
pub fn invalid(error: &ToolError) -> ErrorData {
    ErrorData::invalid_params(sentences(error), None)
}

/// The same as a JSON-RPC error, where there is no tool result to carry it.
pub fn fault_of(detail: &ErrorDetail) -> ErrorData {
    let code = match detail.code {
        ErrorCode::InternalError => FaultCode::INTERNAL_ERROR,
        _ => FaultCode(UNAVAILABLE),
    };
    ErrorData::new(code, detail.message.clone(), serde_json::to_value(detail).ok())
}

/// The answer to a request that its connection has no room for: a failed result for a tool call, an error for any other.
pub fn busy_answer(id: RequestId, request: &ClientRequest, why: &str) -> ServerJsonRpcMessage {
    let detail = busy(why, BUSY_RETRY_MS);
    let ClientRequest::CallToolRequest(call) = request else {
        return ServerJsonRpcMessage::error(fault_of(&detail), Some(id));
    };
    let failure = ToolFailure {
        error: detail,
        tool_name: call.params.name.to_string(),
        input_received: cut(call.params.arguments.clone().unwrap_or_default()),
    };
    let mut result =
        super::wire::tool_result(serde_json::to_string(&failure).expect("plain data"), true, Copies::StructuredAndText);
    result.result_type = None;
    ServerJsonRpcMessage::response(ServerResult::CallToolResult(result), id)
}

/// An [`ErrorDetail`] in the making.
struct Said(ErrorDetail);

fn say(code: ErrorCode, message: impl ToString) -> Said {
    Said(ErrorDetail { code, message: message.to_string(), suggestion: None, context: None })
}

impl Said {
    fn suggest(self, suggestion: impl Into<String>) -> Self {
        self.suggest_if(Some(suggestion.into()))
    }

    fn suggest_if(mut self, suggestion: Option<String>) -> Self {
        self.0.suggestion = suggestion;
        self
    }

    fn with(mut self, context: ErrorContext) -> ErrorDetail {
        self.0.context = (context != ErrorContext::default()).then_some(context);
        self.0
    }
}

fn unknown_database(wanted: &str, known: &[String]) -> ErrorDetail {
    let near = closest(wanted, known.iter().map(String::as_str), 3);
    let list = format!("The databases are: {}.", known.join(", "));
    let suggestion = did_you_mean(&near).map_or(list.clone(), |question| format!("{question} {list}"));
    say(ErrorCode::DatabaseNotFound, format!("there is no database {:?}", shortened(wanted))).suggest(suggestion).0
}

fn not_found(missing: &NotFound) -> ErrorDetail {
    let similar = missing.similar.clone();
    let context = match missing.code {
        ErrorCode::SchemaNotFound => ErrorContext { similar_schemas: similar, ..ErrorContext::default() },
        ErrorCode::ColumnNotFound => ErrorContext { similar_columns: similar, ..ErrorContext::default() },
        _ => ErrorContext { similar_tables: similar, nearest_depth: missing.nearest_depth, ..ErrorContext::default() },
    };
    say(missing.code, missing).suggest(&*missing.suggestion).with(context)
}

fn rejected(rejection: &Rejection) -> ErrorDetail {
    let context = ErrorContext {
        position: rejection.position,
        refused: rejection.refused.clone(),
        similar_tables: rejection.similar_tables.clone(),
        similar_columns: rejection.similar_columns.clone(),
        ..ErrorContext::default()
    };
    say(rejection.code, rejection).suggest_if(rejection.suggestion.clone()).with(context)
}

fn catalog(error: &LoadError) -> ErrorDetail {
    match error {
        LoadError::Acquire(error) => acquired(error),
        LoadError::Query(cause) => {
            error!(error = %Chain(cause), "the catalog can't be read");
            say(ErrorCode::ConnectionError, "the database's catalog can't be read")
                .suggest("Try again in a few seconds.")
                .0
        }
        LoadError::TimedOut => say(ErrorCode::ConnectionError, error).suggest("Try again in a few seconds.").0,
    }
}

fn acquired(error: &AcquireError) -> ErrorDetail {
    let cause = match error {
        AcquireError::Busy { waited, .. } => return busy(error, waited.as_millis().try_into().unwrap_or(u64::MAX)),
        AcquireError::Connect(cause) => cause,
    };
    // PostgreSQL's code may be known to callers, its words may not.
    let context = match cause {
        ConnectError::Unreachable(sqlx::Error::Database(cause)) => {
            ErrorContext { sqlstate: cause.code().map(Cow::into_owned), ..ErrorContext::default() }
        }
        _ => ErrorContext::default(),
    };
    say(ErrorCode::ConnectionError, error).suggest(cause.way_out()).with(context)
}

fn memory_full(full: &MemoryFull) -> ErrorDetail {
    busy(full, full.retry_after.as_millis().try_into().unwrap_or(u64::MAX))
}

fn busy(message: impl ToString, retry_after_ms: u64) -> ErrorDetail {
    let context = ErrorContext { retry_after_ms: Some(retry_after_ms), ..ErrorContext::default() };
    say(ErrorCode::ServerBusy, message).suggest(format!("Try again in {retry_after_ms} ms.")).with(context)
}

fn executed(failed: &Failed) -> ErrorDetail {
    let Failed { error, sql, columns, is_restricted, more_time } = failed;
    match error {
        ExecuteError::Busy { retry_after } => busy(error, retry_after.as_millis().try_into().unwrap_or(u64::MAX)),
        ExecuteError::MemoryFull(full) => memory_full(full),
        ExecuteError::Acquire(error) => acquired(error),
        ExecuteError::Lost(cause) => {
            error!(error = %Chain(cause), "a statement's connection was lost");
            say(ErrorCode::ConnectionError, error).suggest("Try again: the statement only reads.").0
        }
        ExecuteError::ParameterCount { .. } => {
            say(ErrorCode::ParameterError, error).suggest("Give one value in params for each placeholder.").0
        }
        ExecuteError::Parameter { number, expected_type, way_out, .. } => {
            let context = ErrorContext {
                parameter: Some(*number),
                expected_type: Some(expected_type.clone()),
                ..ErrorContext::default()
            };
            say(ErrorCode::ParameterError, error).suggest(format!("Way out: {way_out}.")).with(context)
        }
        ExecuteError::UnknownParameterType => {
            say(ErrorCode::ParameterError, error).suggest("Write $1::text::its_type and send the value as a string.").0
        }
        ExecuteError::Database(fault) if *is_restricted && names_unknown_column(fault) => {
            unknown_column(fault, sql, columns)
        }
        ExecuteError::Database(fault) if *is_restricted => {
            database_fault(&fault.without_values(sql), sql, columns, *more_time)
        }
        ExecuteError::Database(fault) => database_fault(fault, sql, columns, *more_time),
        ExecuteError::TimedOut { .. } => say(ErrorCode::QueryTimeout, error).suggest(read_less(*more_time)).0,
        ExecuteError::Cancelled => say(ErrorCode::QueryCancelled, error).0,
        ExecuteError::OverLimit(_) => {
            say(ErrorCode::CostLimitExceeded, error)
                .suggest("Read less: add a WHERE on an indexed column, join on keys, or add a LIMIT.")
                .0
        }
        ExecuteError::RowTooLarge { .. } => {
            say(ErrorCode::ResultTooLarge, error)
                .suggest("Select fewer columns, or cut long values with left(column, 1000).")
                .0
        }
        ExecuteError::PlanTooLarge => {
            say(ErrorCode::QueryTooComplex, error).suggest("Read fewer tables and partitions at once.").0
        }
        ExecuteError::StaleCatalog => {
            say(ErrorCode::ExecutionError, error).suggest("Name the columns that you need, or try again.").0
        }
        ExecuteError::NoPages => {
            say(ErrorCode::ParameterError, error).suggest("Name the columns that you need, or leave the cursor out.").0
        }
        ExecuteError::NotUtf8 { column } => {
            say(ErrorCode::ExecutionError, error)
                .suggest(format!("Leave {column} out, or read its bytes with convert_to."))
                .0
        }
        ExecuteError::Unreadable { column, .. } => {
            say(ErrorCode::ExecutionError, error).suggest(format!("Cast {column} to text.")).0
        }
        ExecuteError::Internal(cause) => internal(cause),
    }
}

/// What helps where the time was over; `more_time` is the argument that asks for more of it, while there is room.
fn read_less(more_time: Option<&str>) -> String {
    match more_time {
        Some(argument) => format!("Filter or aggregate more, or ask for more time with {argument}."),
        None => "Filter or aggregate more.".to_owned(),
    }
}

fn internal(cause: &anyhow::Error) -> ErrorDetail {
    let id = uuid::Uuid::new_v4();
    error!(%id, error = %Chain(cause.as_ref()), "internal error {id}");
    say(ErrorCode::InternalError, format!("internal error; its id in the server's log is {id}")).0
}

/// What PostgreSQL said, by the table of tools.md, "Errors".
fn database_fault(fault: &DatabaseFault, sql: &str, columns: &[String], more_time: Option<&str>) -> ErrorDetail {
    let code = match fault.sqlstate.as_str() {
        "42P01" if !fault.is_of_code => ErrorCode::TableNotFound,
        UNDEFINED_COLUMN if !fault.is_of_code => ErrorCode::ColumnNotFound,
        "42883" if !fault.is_of_code => ErrorCode::FunctionNotFound,
        "3F000" if !fault.is_of_code => ErrorCode::SchemaNotFound,
        "42501" => ErrorCode::PermissionDenied,
        "25006" => ErrorCode::WriteOperationDenied,
        "57014" => ErrorCode::QueryTimeout,
        // The statement's own text is in order.
        state if state.starts_with("42") && fault.is_of_code => ErrorCode::ExecutionError,
        state if state.starts_with("42") => ErrorCode::InvalidSql,
        state if state.starts_with("53") => ErrorCode::ServerBusy,
        state if state.starts_with("08") || state.starts_with("57P0") => ErrorCode::ConnectionError,
        _ => ErrorCode::ExecutionError,
    };
    let similar_columns: Vec<String> = match code {
        ErrorCode::ColumnNotFound => {
            let wanted = missing_column(&fault.message);
            closest(wanted, columns.iter().map(String::as_str), 3).into_iter().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let suggestion = match code {
        ErrorCode::ColumnNotFound => {
            did_you_mean(&similar_columns).or_else(|| Some(format!("The columns are: {}.", columns.join(", "))))
        }
        ErrorCode::QueryTimeout => Some(read_less(more_time)),
        ErrorCode::ServerBusy => Some("Try again in a second.".to_owned()),
        ErrorCode::ConnectionError => Some("Try again: the statement only reads.".to_owned()),
        ErrorCode::PermissionDenied => {
            Some("The database role lacks this right: use other tables or columns.".to_owned())
        }
        _ => fault.hint.clone(),
    };
    let context = ErrorContext {
        sqlstate: Some(fault.sqlstate.clone()),
        position: fault.position.map(|at| Position::of_char(sql, at)),
        hint: fault.hint.clone(),
        similar_columns,
        retry_after_ms: (code == ErrorCode::ServerBusy).then_some(1000),
        ..ErrorContext::default()
    };
    say(code, &fault.message).suggest_if(suggestion).with(context)
}

/// Whether PostgreSQL speaks of a column that the statement's own text names: it gives the place there, and no function has a part in it,
/// which may raise anything under any code.
fn names_unknown_column(fault: &DatabaseFault) -> bool {
    fault.sqlstate == UNDEFINED_COLUMN && fault.position.is_some() && !fault.is_of_code
}

/// A column that PostgreSQL doesn't know, told as the guard tells of one that is hidden: nobody may tell them apart.
fn unknown_column(fault: &DatabaseFault, sql: &str, columns: &[String]) -> ErrorDetail {
    let written = fault.message.strip_prefix("column ").and_then(|rest| rest.strip_suffix(" does not exist"));
    let written = written.unwrap_or_default().trim_matches('"');
    // PostgreSQL folds names to lower case.
    let text = sql.to_lowercase();
    let is_own = written.split('.').all(|part| text.contains(&part.trim_matches('"').to_lowercase()));
    let written = if is_own { written } else { "…" };
    let mut names: Vec<&str> = columns.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let similar_columns: Vec<String> =
        closest(missing_column(&fault.message), names.iter().copied(), 5).into_iter().map(str::to_owned).collect();
    let list = || format!("The columns are {}.", names.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", "));
    let suggestion = did_you_mean(&similar_columns).unwrap_or_else(list);
    let position = fault.position.map(|at| Position::of_char(sql, at));
    let place = position.map(|position| format!(" ({position})")).unwrap_or_default();
    let context =
        ErrorContext { position, refused: Some(written.to_owned()), similar_columns, ..ErrorContext::default() };
    say(ErrorCode::ColumnNotFound, format!("there is no column {written}{place}")).suggest(suggestion).with(context)
}

/// The column's name in `column u.nam does not exist` or `column "nam" does not exist`.
fn missing_column(message: &str) -> &str {
    let rest = message.strip_prefix("column ").unwrap_or(message);
    let name = rest.split(" does not exist").next().unwrap_or(rest);
    name.rsplit('.').next().unwrap_or(name).trim_matches('"')
}

/// `arguments` with long names and texts cut, and what is past a few of them left out.
fn cut(arguments: Map<String, Value>) -> Map<String, Value> {
    let mut left = ECHO_TOTAL_CHARS;
    cut_fields(arguments, &mut left)
}

fn cut_fields(fields: Map<String, Value>, left: &mut usize) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, value) in fields {
        if *left == 0 {
            break;
        }
        kept.insert(cut_text(name, left), cut_value(value, left));
    }
    kept
}

fn cut_value(value: Value, left: &mut usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut_text(text, left)),
        Value::Array(values) => {
            let mut kept = Vec::new();
            for value in values {
                if *left == 0 {
                    break;
                }
                kept.push(cut_value(value, left));
            }
            Value::Array(kept)
        }
        Value::Object(fields) => Value::Object(cut_fields(fields, left)),
        plain => {
            *left = left.saturating_sub(1);
            plain
        }
    }
}

fn cut_text(mut text: String, left: &mut usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(ECHO_CHARS.min(*left)) {
        text.truncate(end);
        text.push('…');
    }
    // At least one, so that empty texts come to an end too.
    *left = left.saturating_sub(text.chars().count().max(1));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(sqlstate: &str, message: &str) -> DatabaseFault {
        DatabaseFault {
            sqlstate: sqlstate.to_owned(),
            message: message.to_owned(),
            hint: None,
            position: Some(8),
            is_of_code: false,
            is_of_parameter: false,
        }
    }

    #[test]
    fn every_sqlstate_has_its_code() {
        let check = |sqlstate: &str, code: ErrorCode| {
            assert_eq!(database_fault(&fault(sqlstate, "x"), "SELECT x", &[], None).code, code, "{sqlstate}");
        };
        check("42601", ErrorCode::InvalidSql);
        check("42P01", ErrorCode::TableNotFound);
        check("42703", ErrorCode::ColumnNotFound);
        check("42883", ErrorCode::FunctionNotFound);
        check("3F000", ErrorCode::SchemaNotFound);
        check("42501", ErrorCode::PermissionDenied);
        check("25006", ErrorCode::WriteOperationDenied);
        check("57014", ErrorCode::QueryTimeout);
        check("53300", ErrorCode::ServerBusy);
        check("08006", ErrorCode::ConnectionError);
        check("57P01", ErrorCode::ConnectionError);
        check("22012", ErrorCode::ExecutionError);
        check("21000", ErrorCode::ExecutionError);
        check("P0001", ErrorCode::ExecutionError);
    }

    #[test]
    fn what_a_function_raises_is_no_column_of_the_statements() {
        let columns = ["id".to_owned()];
        let of = |fault: DatabaseFault| {
            let sql = "SELECT ID.x FROM t".to_owned();
            let error = ExecuteError::Database(fault);
            executed(&Failed { error, sql, columns: columns.to_vec(), is_restricted: true, more_time: None })
        };
        let told = of(fault("42703", "column id.x does not exist"));
        assert_eq!(
            (told.code, &*told.message),
            (ErrorCode::ColumnNotFound, "there is no column id.x (line 1, column 8)")
        );
        let told = of(fault("42703", "column secret does not exist"));
        assert_eq!((told.code, &*told.message), (ErrorCode::ColumnNotFound, "there is no column … (line 1, column 8)"));
        for sqlstate in ["42703", "42P01", "42883", "42P02", "3F000", "42601"] {
            let raised = DatabaseFault { is_of_code: true, ..fault(sqlstate, "column secret does not exist") };
            let told = of(raised);
            assert_eq!((told.code, &*told.message), (ErrorCode::ExecutionError, "a function of the database failed"));
        }
    }

    #[test]
    fn an_unknown_column_gets_the_closest_names_and_its_place() {
        let columns = ["id".to_owned(), "email".to_owned(), "name".to_owned()];
        let detail = database_fault(
            &fault("42703", "column u.emial does not exist"),
            "SELECT u.emial FROM users u",
            &columns,
            None,
        );
        let context = detail.context.unwrap();
        assert_eq!(context.similar_columns, ["email"]);
        assert_eq!(context.position, Some(Position { line: 1, column: 8 }));
        assert_eq!(detail.suggestion.unwrap(), "Did you mean email?");
    }

    #[test]
    fn long_sql_is_cut_in_what_is_sent_back() {
        let mut arguments = Map::new();
        arguments.insert("query".to_owned(), Value::String("é".repeat(1000)));
        let Value::String(text) = &cut(arguments)["query"] else { panic!() };
        assert_eq!(text.chars().count(), ECHO_CHARS + 1);
    }

    #[test]
    fn many_or_nested_arguments_are_cut_too() {
        let params = Value::from(vec!["\"".repeat(300); 500]);
        let arguments = Map::from_iter([("params".to_owned(), serde_json::json!({ "deep": [params] }))]);
        let text = serde_json::to_string(&cut(arguments)).unwrap();
        assert!(text.len() < 16 * 1024, "{} bytes", text.len());
    }
}
