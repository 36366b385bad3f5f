//! The program: its command line and settings, and then its work.

use std::process::ExitCode;

use daemon::cli::Program;
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::{app, cli, runtime};

fn main() -> ExitCode {
    let program = Program {
        name: "mcp-server",
        command: command(),
        jobs: cli::JOBS,
        variables: VARIABLES,
        read: Config::from_source,
        address: |config: &Config| (config.listener.address, config.listener.tls.is_some()),
        serve: |config| runtime::run(config, app::run),
    };
    program.run()
}
