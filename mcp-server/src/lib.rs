//! mcp-server: validated, read-only SQL on PostgreSQL for clients that speak MCP.
//!
//! Reading order is call order: [`app`] joins the parts, [`transport`] brings messages, [`mcp`] speaks the protocol, [`tools`]
//! answer calls with the help of [`catalog`] and [`executor`], which work on [`databases`].

pub mod admin;
pub mod app;
pub mod audit;
pub mod caller;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod databases;
mod deep_json;
mod digest;
pub mod executor;
pub mod mcp;
mod outlook;
pub mod plan;
pub mod policy;
pub mod queries;
pub mod runtime;
pub mod telemetry;
pub mod tools;
pub mod transport;
