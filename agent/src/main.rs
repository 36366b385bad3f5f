//! The program: its command line and settings, and then its work.

use std::process::ExitCode;

use agent::app::App;
use agent::config::{Config, VARIABLES, command};
use agent::telemetry;
use anyhow::Context;
use daemon::cli::Program;

fn main() -> ExitCode {
    let program = Program {
        name: "agent",
        command: command(),
        jobs: &[],
        variables: VARIABLES,
        read: Config::from_source,
        address: |config: &Config| (config.http.address, config.http.tls.is_some()),
        serve,
    };
    program.run()
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    daemon::log::start(&config.log, telemetry::QUIET)?;
    let metrics = telemetry::start_metrics()?;
    // Two providers are compiled in by our dependencies; rustls wants one to be named.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stop = daemon::shutdown::on_signal().context("listen for signals")?;
    App::bind(config, metrics).await?.run(stop).await
}
