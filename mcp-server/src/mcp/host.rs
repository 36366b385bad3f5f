//! What a transport serves: it opens a session for each client that is let in, whatever brings the messages.

use daemon::keys::Principal;
use rmcp::ServerHandler;
use rmcp::model::ServerJsonRpcMessage;
use tokio_util::sync::CancellationToken;

/// Opens sessions. Clones open them alike.
pub trait Host: Clone + Send + Sync + 'static {
    /// One client's side of MCP.
    type Session: ServerHandler;

    /// A session for `principal`; `gone` fires when its connection is lost, and stops whatever still runs for it.
    fn session(&self, principal: &Principal, gone: &CancellationToken) -> Self::Session;

    /// What `principal` is sent before anything else; nothing where clients find out by asking.
    fn greeting(&self, principal: &Principal) -> Option<ServerJsonRpcMessage>;

    /// Calls that one connection of `principal` may have running at once.
    fn max_in_flight(&self, principal: &Principal) -> usize;
}
