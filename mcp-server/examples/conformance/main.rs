//! A server for the MCP conformance suite: the tools, resources and prompts that its scenarios name, on the product's transports.
//! `mcp-server/tests/it/conformance.rs` runs the suite against it.
//!
//! It takes those settings of mcp-server that say where and to whom it listens: `WS_API_KEY=… cargo run --example conformance`.

mod ask;
mod fixture;
mod prompts;
mod resources;
mod samples;
mod tools;

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use daemon::keys::Authenticator;
use daemon::listener::{Listener, Service};
use daemon::log::LogConfig;
use daemon::settings::Source;
use mcp_server::config::{ListenerConfig, VARIABLES};
use mcp_server::telemetry::{self, metrics};
use mcp_server::transport::{Gate, router};
use tokio_util::task::TaskTracker;
use tracing::info;

use self::fixture::Fixture;

/// Runs until SIGTERM or Ctrl-C.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut source = Source::load(clap::Command::new("conformance"), VARIABLES);
    let (config, log) = (ListenerConfig::read(&mut source), LogConfig::read(&mut source));
    source.finish()?;
    daemon::log::start(&log, telemetry::QUIET)?;
    let stop = daemon::shutdown::on_signal().context("listen for signals")?;

    let listener = Listener::bind(config.address, "WS_HOST, WS_PORT").await?;
    let address = listener.address();
    let (max_connections, tls) = (config.max_connections, config.tls.clone());
    let authenticator = Authenticator::new(&config.keys, config.trusted_proxies.clone(), max_connections);
    let connections = TaskTracker::new();
    // Nobody waits for what still runs at the end: no new calls and no calls are one.
    let ends = (stop.clone(), stop.clone());
    let gate = Gate::new(Fixture, authenticator, config, connections.clone(), ends);
    let service = Service {
        tls,
        max_connections,
        router: router(gate, Router::new()),
        grace: Duration::ZERO,
        gauge: metrics::HTTP_CONNECTIONS,
    };
    info!(%address, "listening on {address}");
    listener.serve(service, stop).await;
    connections.close();
    connections.wait().await;
    Ok(())
}
