//! What stands at the port: who may come in, how many, and what they are let in to.

use std::sync::Arc;

use daemon::keys::Authenticator;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ListenerConfig;
use crate::mcp::handler::Service;

/// Everything that the port needs to let a client in.
#[derive(Clone)]
pub struct Gate {
    /// What a session offers.
    pub service: Service,
    /// Who may come in.
    pub authenticator: Authenticator,
    /// From where, and how much.
    pub config: Arc<ListenerConfig>,
    /// Places for connections.
    pub places: Arc<Semaphore>,
    /// The connections' tasks.
    pub connections: TaskTracker,
    /// No new calls; connections end when theirs are answered.
    pub draining: CancellationToken,
    /// Everything ends now.
    pub kill: CancellationToken,
}
