//! What all sessions share, and what it takes to open one.

use std::sync::Arc;

use daemon::keys::Principal;
use daemon::rate_limit::RateLimit;
use rmcp::model::{ServerJsonRpcMessage, ServerNotification};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::handler::Session;
use super::host::Host;
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

    fn places(&self, key: &str) -> usize {
        match self.tools.policies.may_act_for(key) {
            true => MAX_IN_FLIGHT_FOR_OTHERS,
            false => MAX_IN_FLIGHT,
        }
    }
}

impl Host for Service {
    type Session = Session;

    fn session(&self, principal: &Principal, gone: &CancellationToken) -> Session {
        Session::new(self.clone(), principal.clone(), gone.clone())
    }

    fn greeting(&self, principal: &Principal) -> Option<ServerJsonRpcMessage> {
        self.push(&principal.name).map(ServerJsonRpcMessage::notification)
    }

    fn max_in_flight(&self, principal: &Principal) -> usize {
        self.places(&principal.name)
    }
}
