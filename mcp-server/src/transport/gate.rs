//! What stands at the port: who may come in, how many, and what they are let in to.

use std::sync::Arc;
use std::time::Duration;

use daemon::keys::{Authenticator, Principal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Ending, Terms};
use crate::config::ListenerConfig;
use crate::mcp::handler::Service;

/// Longest that a client may take to open its session.
const OPENING_LIMIT: Duration = Duration::from_secs(30);

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

impl Gate {
    /// What a connection of `principal` gets.
    pub(super) fn terms(&self, principal: Principal) -> Terms {
        Terms {
            service: self.service.clone(),
            principal,
            push_registry: self.config.push_registry,
            opening_limit: Some(OPENING_LIMIT),
            idle_limit: None,
            draining: self.draining.clone(),
            gone: self.kill.child_token(),
            ending: Ending::default(),
        }
    }
}
