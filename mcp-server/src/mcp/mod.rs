//! MCP itself, the same on every transport: what a session offers, how its errors read, how its messages are written.

mod call;
mod completion;
pub mod error;
mod handler;
pub mod host;
mod logging;
mod progress;
mod prompts;
mod push;
mod resources;
pub mod service;
mod subscriptions;
pub mod wire;
