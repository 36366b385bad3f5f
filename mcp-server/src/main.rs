//! The program: settings, and then the job that the command line names.

use std::process::ExitCode;

use daemon::cli;
use daemon::settings::Source;
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::{app, telemetry};

fn main() -> ExitCode {
    let source = Source::load(command(), VARIABLES);
    let job = source.subcommand().map(str::to_owned);
    if job.as_deref() == Some(cli::SETTINGS) {
        return cli::settings(VARIABLES);
    }
    let config = match Config::from_source(source) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("mcp-server: {problems}");
            return ExitCode::from(2);
        }
    };
    match job.as_deref() {
        Some(cli::READY) => cli::ready("mcp-server", config.listener.address),
        _ => serve(config),
    }
}

fn serve(config: Config) -> ExitCode {
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
