//! MCP itself, the same on every transport: what a session offers, how its errors read, how its messages are written.

pub mod error;
pub mod handler;
pub mod host;
pub mod push;
mod resources;
pub mod service;
pub mod wire;
