//! The agent over HTTP, with a scripted language model on one side and a scripted mcp-server on the other.
#![expect(clippy::unwrap_used, reason = "what a test can't go on without, it may unwrap")]

mod every_setting;
mod mcp;
mod questions;
mod requests;
mod stack;
