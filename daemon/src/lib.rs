//! What makes either tier a long-running program: command line, settings, keys, log, port and signals. Nothing here knows what
//! they do.

pub mod address;
pub mod cli;
mod failures;
pub mod keys;
pub mod listener;
pub mod log;
pub mod rate_limit;
pub mod settings;
pub mod shutdown;
mod silence;
mod stall;
pub mod tls;
