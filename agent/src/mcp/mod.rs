//! The agent's end of MCP: one persistent WebSocket to mcp-server, and typed calls over it.

pub mod behalf;
pub mod catalogs;
pub mod client;
mod in_flight;
pub mod link;
pub mod sharing;
pub(crate) mod transport;

#[cfg(test)]
mod tests;
