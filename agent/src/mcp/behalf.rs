//! On whose behalf calls are made, and what becomes of that where mcp-server lets the agent's key act for nobody.

use std::future::pending;
use std::sync::Arc;

use tracing::{info, warn};

use super::client::Client;

/// For whom calls are made. It is found out once for a question, so that all its calls are made for the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behalf {
    /// Nobody who has a name: the key's policy holds.
    Nobody,
    /// A caller whom the server would not hear of: the key's policy holds, as long as the server lets the key act for nobody.
    Unsaid,
    /// This caller, whose own policy narrows the key's.
    Subject(Arc<str>),
}

impl Behalf {
    /// The name that goes with each call, and by which all is kept apart that a caller may see.
    pub fn subject(&self) -> Option<&Arc<str>> {
        match self {
            Self::Nobody | Self::Unsaid => None,
            Self::Subject(name) => Some(name),
        }
    }

    /// Whether calls may go over a connection whose key may act for others, or may not.
    pub(super) fn fits(&self, may_act_for: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Unsaid => !may_act_for,
            Self::Subject(_) => may_act_for,
        }
    }
}

/// Says in the log when callers come to share the key's policy, and when they no longer do. Ends where that is not to be, once the
/// server has said that the key may act for nobody.
pub async fn watch_over(client: &Client) {
    let mut news = client.link().news();
    let mut told = None;
    while let Some(connection) = news.next().await {
        let may_act_for = connection.may_act_for();
        if !may_act_for && client.requires_subject() {
            return;
        }
        if told.replace(may_act_for) != Some(may_act_for) {
            tell(may_act_for);
        }
    }
    pending::<()>().await;
}

fn tell(may_act_for: bool) {
    if may_act_for {
        info!("mcp-server is told which caller asks: each has a policy of its own");
    } else {
        warn!("{SHARED} (may_act_for in POLICY_FILE): all callers share the key's policy");
    }
}

/// Why callers share a policy.
pub const SHARED: &str = "mcp-server lets the agent's key act for nobody";

/// What to do about it where that is not to be.
pub const TELL_CALLERS_APART: &str =
    "Set may_act_for = true for the agent's key in mcp-server's POLICY_FILE, or REQUIRE_SUBJECT=false.";
