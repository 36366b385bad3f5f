//! What the benches share; see `benches/`. Run them with `make bench`.

use std::sync::Arc;

use anyhow::Result;
use daemon::settings::Source;
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::databases::{Database, SessionPins};

/// The database at `url`, reached in the mode `direct` or `pooler`.
///
/// # Errors
/// Where either is none.
pub fn database(url: &str, mode: &str) -> Result<Arc<Database>> {
    let key = "0123456789abcdefghijkl";
    let flags = ["mcp-server", "--ws-api-key", key, "--postgres-sslmode", "disable", "--database-url", url];
    let flags = flags.into_iter().chain(["--postgres-mode", mode]);
    let config = Config::from_source(Source::from_parts(command(), VARIABLES, flags, |_| None)?)?;
    Ok(Database::alone(&config.databases.default, SessionPins::of(&config)))
}
