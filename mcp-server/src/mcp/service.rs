//! What all sessions share.

use std::sync::Arc;

use daemon::rate_limit::RateLimit;
use rmcp::model::ServerNotification;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::push;
use crate::audit::Audit;
use crate::caller::Caller;
use crate::tools::{Registry, ToolContext};

/// Calls of one connection that may run at once.
const MAX_IN_FLIGHT: usize = 16;

/// The same where many people stand behind the connection: their keys say so ([`crate::policy::Policies::may_act_for`]).
const MAX_IN_FLIGHT_FOR_OTHERS: usize = 128;

/// What all sessions share.
#[derive(Clone)]
pub struct Service {
    /// What tools work with.
    pub tools: Arc<ToolContext>,
    /// The tools there are.
    pub registry: Registry,
    /// How often they may be called.
    pub rate_limit: RateLimit<Caller>,
    /// Where each call is written down.
    pub audit: Audit,
    /// Whether the registry goes out before anything else, and whenever what a client may see has changed.
    pub push_registry: bool,
    /// Fires when the server begins to stop.
    pub draining: CancellationToken,
}

impl Service {
    /// What the server says of itself to the holder of a key, in `initialize` and with the registry.
    pub(super) fn identity(&self, key: &str) -> Map<String, Value> {
        push::identity(self.places(key), self.tools.policies.may_act_for(key))
    }

    /// The registry for the holder of a key; nothing where it isn't pushed.
    pub(super) fn push(&self, key: &str) -> Option<ServerNotification> {
        self.push_registry.then(|| push::notification(&self.registry, self.identity(key)))
    }

    /// Calls that one connection of the holder of a key may have running at once.
    pub(super) fn places(&self, key: &str) -> usize {
        match self.tools.policies.may_act_for(key) {
            true => MAX_IN_FLIGHT_FOR_OTHERS,
            false => MAX_IN_FLIGHT,
        }
    }
}
