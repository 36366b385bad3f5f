//! The log on stderr: stdout stays free for a protocol.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal;

use anyhow::Context;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::settings::{Source, Variable};

/// LOG_FORMAT, for a program's table.
pub const FORMAT: Variable = Variable::plain(
    "LOG_FORMAT",
    "",
    "text or json",
    "Form of the log on stderr; text on a terminal, else json, unless given",
);

/// LOG_LEVEL, for a program's table.
pub const LEVEL: Variable = Variable::plain(
    "LOG_LEVEL",
    "info",
    "error, warn, info, debug or trace, or directives such as info,agent=debug",
    "What is logged",
);

/// An error as a log's field: its words and those of every cause, which the JSON form would leave out.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut next = self.0.source();
        while let Some(cause) = next {
            let words = cause.to_string();
            // Some errors repeat their cause at the end of their own words.
            if !said.ends_with(&words) {
                said = format!("{said}: {words}");
            }
            next = cause.source();
        }
        f.write_str(&said)
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Its form; by whether stderr is a terminal where `None`.
    pub format: Option<LogFormat>,
    /// What is logged, as tracing directives.
    pub directives: String,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    /// The settings LOG_FORMAT and LOG_LEVEL.
    pub fn read(source: &mut Source) -> Self {
        let format = source.choice(FORMAT.name, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let directives = source.text(LEVEL.name).unwrap_or_default();
        if !directives.split(',').all(is_directive) {
            source.reject(LEVEL.name);
        }
        Self { format, directives }
    }
}

/// A level, or `target=level`. tracing itself would take any word for a target, and a misspelt level would log everything.
fn is_directive(part: &str) -> bool {
    let (target, level) = part.rsplit_once('=').unwrap_or(("any", part));
    !target.trim().is_empty() && !level.trim().is_empty() && level.trim().parse::<LevelFilter>().is_ok()
}

/// A library whose log is kept down, whatever LOG_LEVEL says: its debug output holds whole messages.
#[derive(Debug, Clone, Copy)]
pub struct Quiet {
    /// Beginning of its targets.
    pub target: &'static str,
    /// The most that it may say.
    pub most: LevelFilter,
}

impl Quiet {
    /// A library that may only warn.
    pub const fn warn(target: &'static str) -> Self {
        Self { target, most: LevelFilter::WARN }
    }

    /// A library that may say nothing.
    pub const fn off(target: &'static str) -> Self {
        Self { target, most: LevelFilter::OFF }
    }
}

/// Starts the log.
///
/// # Errors
/// Where a log was started before.
pub fn start(config: &LogConfig, quiet: &'static [Quiet]) -> anyhow::Result<()> {
    let wanted = EnvFilter::try_new(&config.directives).context("build the log filter")?;
    // A filter of its own: among directives the narrowest wins, and somebody's could be narrower than ours.
    let allowed = filter_fn(move |event| may_log(quiet, event.target(), *event.level()));
    let is_terminal = std::io::stderr().is_terminal();
    let usual = if is_terminal { LogFormat::Text } else { LogFormat::Json };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format.unwrap_or(usual) {
        LogFormat::Text => lines.with_ansi(is_terminal).boxed(),
        LogFormat::Json => lines.json().with_current_span(true).with_span_list(false).boxed(),
    };
    let log = tracing_subscriber::registry().with(lines.with_filter(allowed).with_filter(wanted));
    log.try_init().context("start the log")
}

fn may_log(quiet: &[Quiet], target: &str, level: Level) -> bool {
    quiet.iter().filter(|library| target.starts_with(library.target)).all(|library| level <= library.most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_or_directives() {
        let check = |level: &str, accepted: bool| assert_eq!(level.split(',').all(is_directive), accepted, "{level}");
        check("warn", true);
        check("off", true);
        check("info,agent=debug", true);
        check("verbose", false);
        check("info,", false);
        check("agent=loud", false);
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let chain = |error: &anyhow::Error| Chain(error.as_ref()).to_string();
        let error = anyhow::anyhow!("refused").context("connect").context("load");
        assert_eq!(chain(&error), "load: connect: refused");
        assert_eq!(chain(&anyhow::anyhow!("refused").context("connect: refused")), "connect: refused");
    }

    #[test]
    fn quiet_libraries_stay_quiet() {
        const QUIET: &[Quiet] = &[Quiet::warn("rmcp"), Quiet::off("async_openai")];
        let check = |target: &str, level: Level, logged: bool| {
            assert_eq!(may_log(QUIET, target, level), logged, "{target} {level}");
        };
        check("rmcp::service", Level::DEBUG, false);
        check("rmcp::service", Level::WARN, true);
        check("async_openai::client", Level::ERROR, false);
        check("agent::app", Level::TRACE, true);
    }
}
