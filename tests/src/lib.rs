//! What tests, benches and the demo stand on: a throwaway PostgreSQL, both programs as real processes on ports of their
//! own, and a language model that reads a script. Nothing started here outlives the process that started it.

pub mod llm;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod programs;
mod reaper;

pub use llm::{RecordedRequest, Reply, ScriptedLlm};
pub use pgbouncer::PgBouncer;
pub use postgres::{SHOP, ThrowawayPostgres, shared_postgres};
pub use programs::{Agent, AgentOptions, McpServer, ServerOptions, Stack, Until};
pub use reaper::clean_up;

use std::path::PathBuf;
use std::time::Duration;

/// How long anything that is waited for may take before the wait fails, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Path of a file of the repository, from its root: `repository_file("fixtures/shop/shop.sql")`.
pub fn repository_file(path: &str) -> PathBuf {
    // Under cargo, the crate that is being tested; what stood there at compile time may be another clone that shares the
    // target folder.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).join("..").join(path)
}

/// A port of loopback that nobody has at the moment, for a program that must be told one before it starts.
///
/// # Panics
/// When loopback has none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// A fresh random secret of 32 letters and digits, long enough for an API key and safe in a URL.
pub fn random_secret() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}
