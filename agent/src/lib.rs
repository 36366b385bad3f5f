//! The agent: a question in plain words goes in, rows and an answer come out.

pub mod answer;
pub mod app;
pub mod config;
pub mod http;
pub mod mcp;
pub mod pipeline;
pub mod schema_context;
pub mod telemetry;
pub mod translator;
