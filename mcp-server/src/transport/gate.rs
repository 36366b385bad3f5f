//! What stands at the port: who may come in, how many, and what they are let in to.

use std::sync::Arc;
use std::time::Duration;

use daemon::keys::{Authenticator, Principal};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Arrival, Ending, Terms};
use super::directory::Directory;
use super::streamable_http::session::Sessions;
use crate::config::ListenerConfig;
use crate::mcp::host::Host;

/// Longest that a client may take to open its session.
const OPENING_LIMIT: Duration = Duration::from_secs(30);

/// Everything that the port needs to let a client in.
#[derive(Clone)]
pub struct Gate<H> {
    /// What opens sessions.
    pub(super) host: H,
    /// Who may come in.
    pub(super) authenticator: Authenticator,
    /// From where, and how much.
    pub(super) config: Arc<ListenerConfig>,
    /// Places for connections.
    pub(super) places: Arc<Semaphore>,
    /// The sessions of Streamable HTTP.
    pub(super) sessions: Sessions,
    /// The streams of the HTTP+SSE transport that came before it, each by where its messages go.
    pub(super) streams: Directory<mpsc::Sender<Arrival>>,
    /// The connections' tasks.
    pub(super) connections: TaskTracker,
    /// No new calls; connections end when theirs are answered.
    pub(super) draining: CancellationToken,
    /// Everything ends now.
    pub(super) kill: CancellationToken,
}

impl<H: Host> Gate<H> {
    /// A port that nobody has come through yet.
    pub fn new(
        host: H,
        authenticator: Authenticator,
        config: ListenerConfig,
        connections: TaskTracker,
        (draining, kill): (CancellationToken, CancellationToken),
    ) -> Self {
        Self {
            host,
            authenticator,
            places: Arc::new(Semaphore::new(config.max_connections)),
            config: Arc::new(config),
            sessions: Sessions::default(),
            streams: Directory::default(),
            connections,
            draining,
            kill,
        }
    }

    /// What a connection of `principal` gets.
    pub(super) fn terms(&self, principal: Principal) -> Terms {
        Terms {
            max_in_flight: self.host.max_in_flight(&principal),
            principal,
            opening_limit: Some(OPENING_LIMIT),
            idle_limit: None,
            draining: self.draining.clone(),
            gone: self.kill.child_token(),
            ending: Ending::default(),
        }
    }
}
