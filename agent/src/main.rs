//! The agent program: reads its settings, starts, and stops on SIGTERM or Ctrl-C.

use std::process::ExitCode;

use agent::app::App;
use agent::config::Config;
use agent::telemetry;
use anyhow::Context;

fn main() -> ExitCode {
    let config = match Config::load() {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("agent can't start: {problems}");
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent stopped: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    daemon::log::start(&config.log, telemetry::QUIET)?;
    let metrics = telemetry::start_metrics()?;
    // Two providers are compiled in by our dependencies; rustls wants one to be named.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stop = daemon::shutdown::on_signal().context("listen for signals")?;
    App::bind(config, metrics).await?.run(stop).await
}
