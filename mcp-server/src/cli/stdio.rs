//! `mcp-server stdio`: serves the one client that started this process, for desktop programs that speak MCP over pipes.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use daemon::settings::SettingsError;

use super::sound;
use crate::config::Config;
use crate::{app, runtime};

pub(super) fn command() -> Command {
    Command::new("stdio").about(
        "Speaks MCP on stdin and stdout with whoever started it, as the key named stdio; ends when stdin does. The log is on stderr",
    )
}

/// Exit code 0 where the client left, 1 where nothing could be served.
pub(super) fn run(_: &ArgMatches, config: Result<Config, SettingsError>) -> anyhow::Result<ExitCode> {
    match runtime::run(sound(config)?, |config, _| app::run_stdio(config)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("mcp-server: {error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}
