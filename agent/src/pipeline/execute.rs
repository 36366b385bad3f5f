//! Execute: mcp-server runs the statement.

use shared_protocol::error::{ErrorCode, ErrorDetail};
use shared_protocol::tool::run_sql::RunSqlOutput;

use super::{Attempt, Question, Reason};
use crate::mcp::behalf::Behalf;
use crate::mcp::client::{Client, Error};
use crate::translator::Candidate;

/// The rows of a statement, digits untouched.
pub(super) type Rows = RunSqlOutput;

/// Runs `candidate` on `database` for this caller, until the question's deadline.
pub(super) async fn execute(
    client: &Client,
    database: &str,
    candidate: &Candidate,
    question: &Question,
    behalf: &Behalf,
) -> Result<Rows, Attempt> {
    let Question { max_rows, deadline, .. } = *question;
    let run = client.run_sql(database, &candidate.sql, &candidate.params, max_rows, behalf, deadline);
    run.await.map_err(|error| match error {
        Error::Failed(detail) if another_may_do_better(&detail) => Attempt::Refused((*detail).into()),
        other => Attempt::Over(Reason::from(other)),
    })
}

/// Whether the statement is at fault, rather than server, database or time.
fn another_may_do_better(detail: &ErrorDetail) -> bool {
    match detail.code {
        ErrorCode::SchemaNotFound
        | ErrorCode::TableNotFound
        | ErrorCode::ColumnNotFound
        | ErrorCode::FunctionNotFound
        | ErrorCode::InvalidSql
        | ErrorCode::WriteOperationDenied
        | ErrorCode::MultipleStatements
        | ErrorCode::QueryTooComplex
        | ErrorCode::FunctionDenied
        | ErrorCode::AccessDenied
        | ErrorCode::CostLimitExceeded
        | ErrorCode::ResultTooLarge
        | ErrorCode::ExecutionError
        | ErrorCode::PermissionDenied
        | ErrorCode::ParameterError => true,
        ErrorCode::DatabaseNotFound
        | ErrorCode::PathNotFound
        | ErrorCode::QueryTimeout
        | ErrorCode::QueryCancelled
        | ErrorCode::ConnectionError
        | ErrorCode::RateLimited
        | ErrorCode::ServerBusy
        | ErrorCode::InternalError => false,
    }
}
