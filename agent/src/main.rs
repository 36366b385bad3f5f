//! The program: settings, and then the job that the command line names.

use std::process::ExitCode;

use agent::app::App;
use agent::config::{Config, VARIABLES, command};
use agent::telemetry;
use anyhow::Context;
use daemon::cli;
use daemon::settings::Source;

fn main() -> ExitCode {
    let source = Source::load(command(), VARIABLES);
    let job = source.subcommand().map(str::to_owned);
    if job.as_deref() == Some(cli::SETTINGS) {
        return cli::settings(VARIABLES);
    }
    let config = match Config::from_source(source) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("agent: {problems}");
            return ExitCode::from(2);
        }
    };
    match job.as_deref() {
        Some(cli::READY) => cli::ready("agent", config.http.address),
        _ => serve(config),
    }
}

fn serve(config: Config) -> ExitCode {
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(config: Config) -> anyhow::Result<()> {
    daemon::log::start(&config.log, telemetry::QUIET)?;
    let metrics = telemetry::start_metrics()?;
    // Two providers are compiled in by our dependencies; rustls wants one to be named.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stop = daemon::shutdown::on_signal().context("listen for signals")?;
    App::bind(config, metrics).await?.run(stop).await
}
