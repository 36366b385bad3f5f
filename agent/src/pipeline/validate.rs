//! Validate: the guard looks at a statement before it costs a round trip. The server's own guard decides.

use std::sync::Arc;

use shared_protocol::error::ErrorCode;
use sql_guard::Guard;

use super::Refusal;
use crate::mcp::catalogs::Catalog;
use crate::translator::Candidate;

/// Passes what a server could accept; refuses, in words that a translator can act on, what none would.
pub(super) async fn validate(guard: &Guard, candidate: &Candidate, catalog: Arc<Catalog>) -> Result<(), Refusal> {
    match guard.advise(&candidate.sql, Some(candidate.params.len()), Some(catalog)).await {
        Ok(_) => Ok(()),
        // The guard had no time for it, which says nothing of the statement.
        Err(rejection) if matches!(rejection.code, ErrorCode::ServerBusy | ErrorCode::InternalError) => Ok(()),
        Err(rejection) => Err(rejection.into()),
    }
}
