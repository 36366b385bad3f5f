//! What the server says about itself: its log on stderr, and its metrics.

pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::config::{LogConfig, LogFormat};

/// Crates whose debug output holds whole requests: they may only warn, whatever `LOG_LEVEL` says.
const QUIET: [&str; 3] = ["rmcp=warn", "sqlx=warn", "tungstenite=warn"];

/// Starts the log on stderr; stdout stays free for a protocol.
///
/// # Errors
/// Where a log was started before.
pub fn start_log(config: &LogConfig) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&config.directives)?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse::<Directive>()?);
    }
    let is_terminal = std::io::stderr().is_terminal();
    let usual = if is_terminal { LogFormat::Text } else { LogFormat::Json };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format.unwrap_or(usual) {
        LogFormat::Text => log.with_ansi(is_terminal).try_init(),
        LogFormat::Json => log.json().with_current_span(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error))
}
