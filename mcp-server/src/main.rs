//! The program: its command line and settings, and then its work.

use std::process::ExitCode;

use daemon::cli::Program;
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::{app, cli, telemetry};
use sql_guard::IN_PLACE_STACK;

/// Stack of each thread that answers calls: the guard judges short statements there, above what the call itself needs. Only what
/// is used of it takes memory.
const STACK_BYTES: usize = IN_PLACE_STACK + (8 << 20);

fn main() -> ExitCode {
    let program = Program {
        name: "mcp-server",
        command: command(),
        jobs: cli::JOBS,
        variables: VARIABLES,
        read: Config::from_source,
        address: |config: &Config| config.listener.address,
        serve,
    };
    program.run()
}

fn serve(config: Config) -> anyhow::Result<()> {
    daemon::log::start(&config.log, telemetry::QUIET)?;
    let metrics = telemetry::metrics::start()?;
    // One TLS provider in the process: two side by side panic at run time.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_stack_size(STACK_BYTES).build()?.block_on(app::run(config, metrics))
}
