//! The program: configuration, log, metrics, and then the app.

use std::process::ExitCode;

use mcp_server::config::Config;
use mcp_server::{app, telemetry};

fn main() -> ExitCode {
    let config = match Config::load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("mcp-server: {error}");
            return ExitCode::from(2);
        }
    };
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: Config) -> anyhow::Result<()> {
    daemon::log::start(&config.log, telemetry::QUIET)?;
    let metrics = telemetry::metrics::start()?;
    // One TLS provider in the process: two side by side panic at run time.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(app::run(config, metrics))
}
